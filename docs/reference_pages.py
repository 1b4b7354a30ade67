"""The two pages of reference, made from the code; run this file to write them anew."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib.metadata import entry_points
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

__all__ = ["FOLDER", "commands_page", "pages", "study_page"]

_BOUNDS = {
    Ge: ("ge", "≥ {}"),
    Gt: ("gt", "> {}"),
    Le: ("le", "≤ {}"),
    Lt: ("lt", "< {}"),
    MinLen: ("min_length", "at least {} long"),
    MaxLen: ("max_length", "at most {} long"),
}
_PLUGINS = {
    "Source": ("potstill.problems", "source"),
    "Agent": ("potstill.solvers", "solver"),
    "Teacher": ("potstill.solvers", "solver"),
}


FOLDER = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Return the text of each page by its name in ``docs/reference``."""
    return {"study.md": study_page(), "commands.md": commands_page()}


def study_page() -> str:
    """Return every section of a study file, every field with its type, default and description."""
    from potstill.lessons.quality import Gate, GateOptions
    from potstill.study.schema import Study
    from potstill.training.recipe import PRESETS, Recipe

    parts = [
        "# The study file",
        "Made from the code. A study file is YAML; `potstill init NAME` writes a commented one. An "
        "unknown key is an error that names the nearest known one. `${NAME}` in any text is taken "
        "from the environment; relative paths start at the file. `potstill run STUDY --dry-run` "
        "prints every value and where it came from.",
    ]
    sections = _sections(Study)
    for model, title in sections.items():
        heading = f"## {title} {{ #{_slug(title)} }}"
        parts += [heading, _markdown(inspect.getdoc(model) or ""), _table(model, sections)]
        if model is Recipe:
            parts += ["### Presets", _presets(PRESETS)]
        if model is GateOptions:
            parts += ["The gates: " + ", ".join(f"`{gate.value}`" for gate in Gate) + "."]
    parts += ["## Answer kinds", _kinds()]
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """Return every command with its help as the terminal shows it."""
    import typer

    from potstill.cli.main import app

    parts = [
        "# Commands",
        "Made from the code: what `potstill COMMAND --help` prints. An error that is yours to mend "
        "is one sentence and exit code 2; Ctrl-C is exit code 130, and what was finished is kept.",
    ]
    for name, text in _helps(typer.main.get_command(app), "potstill"):
        parts += [f"## {name}", f"```text\n{text.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield every command below (and with) this one, and its help at 80 columns."""
    context = command.make_context(name, [], resilient_parsing=True, terminal_width=80)
    yield name, command.get_help(context)
    for below in getattr(command, "commands", {}).values():
        yield from _helps(below, f"{name} {below.name}")


def _sections(study: type[BaseModel]) -> dict[type[BaseModel], str]:
    """Return the study, its models and the options of every plugin, each with its title."""
    found: dict[type[BaseModel], str] = {}

    def visit(model: type[BaseModel], title: str) -> None:
        if model in found:
            return
        found[model] = title
        if model.__name__ in _PLUGINS:
            group, key = _PLUGINS[model.__name__]
            for point in sorted(entry_points(group=group), key=lambda entry: entry.name):
                visit(point.load().Options, f"{key}: {point.name}")
        for name, field in model.model_fields.items():
            for inner in _models(field.annotation):
                visit(inner, f"{title}.{name}" if title != "The whole" else name)

    visit(study, "The whole")
    return found


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower())


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _table(model: type[BaseModel], titles: Mapping[type[BaseModel], str]) -> str:
    rows = ["| field | type | default | what it is |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if name == "options" and model.__name__ in _PLUGINS:
            _, key = _PLUGINS[model.__name__]
            rows.append(f"| *others* | | | Those of the `{key}`, below. |")
            continue
        kind = _type(field)
        for inner in _models(field.annotation):
            kind = kind.replace("section", f"[section](#{_slug(titles[inner])})")
        cells = (f"`{name}`", kind, _default(field), _markdown(field.description or ""))
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _type(field: FieldInfo) -> str:
    bounds = [_bound(each) for each in field.metadata]
    return ", ".join([_type_of(field.annotation), *(text for text in bounds if text)])


def _type_of(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [b for each in inner[1:] for b in _bounds_within(each)]
        return ", ".join([_type_of(inner[0]), *bounds])
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " \\| ".join("none" if a is NoneType else _type_of(a) for a in inner)
    if origin in (list, tuple):
        kinds = [_type_of(a) for a in inner if a is not Ellipsis]
        pair = origin is tuple and Ellipsis not in inner
        return f"[{', '.join(kinds)}]" if pair else f"list of {kinds[0]}"
    if origin in (dict, Mapping):
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        few = len(annotation) < 8
        return " \\| ".join(f"`{each.value}`" for each in annotation) if few else "names below"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    plain = {
        str: "text",
        bool: "true \\| false",
        int: "whole number",
        float: "number",
        Path: "path",
    }
    return plain.get(annotation, "any value")


def _bounds_within(each: Any) -> Iterator[str]:
    for one in getattr(each, "metadata", [each]):
        if text := _bound(one):
            yield text


def _bound(each: Any) -> str:
    pattern = getattr(each, "pattern", None)
    if pattern:
        return f"like `{pattern}`"
    name, text = _BOUNDS.get(type(each), ("", ""))
    return text.format(getattr(each, name)) if name else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, list | tuple):
        return f"`[{', '.join(str(getattr(v, 'value', v)) for v in value)}]`"
    if isinstance(value, dict):
        return "`{}`" if not value else f"`{value}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    text = str(value).replace("\n", "\\n").replace("|", "\\|")
    return f"`{text}`" if text else "empty"


def _kinds() -> str:
    """Return every kind of answer: those of the grader of mathematics, and the registered ones."""
    from potstill.plugins import KINDS, load_plugin, plugin_names
    from potstill.records import AnswerKind

    own = ", ".join(f"`{kind.value}`" for kind in AnswerKind)
    lines = [f"Of mathematics, inferred from the key where `kind` is not given: {own}.", ""]
    lines.append("Beyond mathematics, by the entry-point group `potstill.kinds`:")
    lines.append("")
    for name in plugin_names(KINDS):
        said = (inspect.getdoc(load_plugin(KINDS, name)) or "").partition("\n")[0]
        lines.append(f"- `{name}`: {_markdown(said.partition(': ')[2])}")
    return "\n".join(lines)


def _presets(presets: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["`preset:` names one; any field beside it is changed.", ""]
    for name, fields in presets.items():
        told = ", ".join(f"`{key}: {value}`" for key, value in fields.items())
        lines.append(f"- `{name}`: {told or 'the defaults above'}")
    return "\n".join(lines)


def _markdown(text: str) -> str:
    """Return a docstring's or description's reStructuredText as Markdown."""
    text = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text)
    return text.replace("``", "`")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text.rstrip() + "\n", encoding="utf-8")
