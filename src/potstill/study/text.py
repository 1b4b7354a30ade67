"""A study file as text: YAML without code, without surprises, and of a bounded size.

What comes out is plain: mappings, lists, text, finite numbers, yes and no.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from potstill.errors import InputError, StudyError
from potstill.plugins import SOLVERS, closest, load_plugin, plugin_names
from potstill.store.rows import SUFFIXES
from potstill.store.setting_errors import RENAMED, SECRET_NAME
from potstill.store.untrusted import STUDY_BYTES, read_bytes
from potstill.study.sections import SHIPPED_BASE

__all__ = ["expand", "read_study", "with_new_names"]

_VALUES_MAX = 50_000
_DEPTH_MAX = 40
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def with_new_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's settings, as an earlier Potstill wrote them down, under today's names."""
    named = {RENAMED.get(name, name): value for name, value in settings.items()}
    if isinstance(inner := named.get("optimizations"), Mapping):
        named["optimizations"] = {RENAMED.get(name, name): value for name, value in inner.items()}
    return named


def read_study(path: Path) -> Mapping[str, Any]:
    """Return what stands in a study file, its keys unchecked.

    Raises StudyError for what is no study.
    """
    _refuse_folder(path)
    try:
        raw = yaml.load(read_bytes(path, STUDY_BYTES).decode("utf-8-sig"), Loader=_OnceLoader)
    except FileNotFoundError as exc:
        there = [x.name for x in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        near = closest(path.name, there)
        what = f"did you mean {path.parent / near}?" if near else "or check the path."
        raise StudyError(
            f"{path} does not exist; write one with potstill init NAME{';' if near else ','} {what}"
        ) from exc
    except UnicodeDecodeError as exc:
        raise StudyError(
            f"{path} is not UTF-8 text (byte {exc.start}); save it as UTF-8 and try again."
        ) from exc
    except OSError as exc:
        raise StudyError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    except yaml.YAMLError as exc:
        where = getattr(exc, "problem_mark", None)
        if where is None or path.suffix.lower() not in _ENDINGS:
            raise _no_study(path) from exc
        line = f" line {where.line + 1}"
        what = _in_words(str(getattr(exc, "problem", None) or "cannot be read"))
        raise StudyError(f"{path}{line}: not valid YAML ({what}); mend that line.") from exc
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise StudyError(
            f"{path} holds a value that cannot be read: a date that is none, a number of thousands "
            "of digits, or brackets within brackets; mend it, or put it in quotes."
        ) from exc
    except (AttributeError, LookupError) as exc:  # PyYAML's own at "!!timestamp 1", "!!bool 1"
        raise StudyError(
            f"{path} holds a value that is not of the kind its !! tag says; mend it, or leave the "
            "tag out."
        ) from exc
    if not isinstance(raw, dict):
        raise _no_study(path)
    _refuse_bomb(raw, path)
    return raw


_ENDINGS = (".yaml", ".yml", ".json")


def _no_study(path: Path) -> StudyError:
    """Return what to say of a file that is no study, a table most of all."""
    table = path.suffix.lower() in SUFFIXES and path.suffix.lower() not in _ENDINGS
    of_it = f" --from {path}" if table else ""
    return StudyError(
        f"{path} holds no study (a mapping with name:, problems:, teacher: ...); write one "
        f"with potstill init NAME{of_it}."
    )


def _refuse_folder(path: Path) -> None:
    if not path.is_dir():
        return
    if (path / "study.yaml").is_file():
        raise StudyError(f"{path} is a folder; give the study file in it: {path / 'study.yaml'}")
    if (kept := path / "study.json").is_file():
        raise StudyError(
            f"{path} is the directory of a run; give its study file, or what it keeps of it: "
            f"potstill run {kept} --out {path} goes on with it."
        )
    raise StudyError(f"{path} is a folder; give a study file, such as potstill init NAME writes.")


_PROBLEMS = (
    (r"could not determine a constructor for the tag '(.*)'", r"no study has the tag \1"),
    ("expected a mapping .*for merging", "<<: takes what was named before with &NAME, as *NAME"),
    ("found unhashable key", "a list or a section stands where a key belongs"),
    (r"found undefined alias '(.*)'", r"*\1 is named nowhere before it with &\1"),
    ("mapping values are not allowed", "a colon too many; put text that holds one in quotes"),
    (r"found character '\\t'", "a tab where blanks belong"),
    (r"found character '(.)' that cannot", r"text that begins with \1 needs quotes"),
    ("could not find expected ':'", "a key without a colon, or text over several lines"),
    ("expected <block end>", "a line that is not indented as those above it, or a quote too many"),
    ("expected ',' or '[]}]'", "a bracket that is not closed, or a comma that is missing"),
    ("expected '<document start>'", "what stands above it is no key with a colon and a blank"),
    ("but found another document", "--- begins a second document, and a study is one"),
    ("unexpected end of stream|found unexpected end", "a quote or a bracket that is not closed"),
)
"""What PyYAML says of a fault, and what it means to who wrote the file."""


def _in_words(problem: str) -> str:
    for pattern, words in _PROBLEMS:
        if (found := re.match(pattern, problem)) is not None:
            return found.expand(words)
    return problem


def expand(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the study with ``${NAME}`` and ``${NAME:-default}`` taken from the environment,
    relative paths from the study file.

    Raises StudyError for a variable that is not set, one whose name is a secret's, and a value that
    cannot be kept as JSON.
    """
    expanded: dict[str, Any] = _expand(dict(raw), path, "")
    return expanded


def _of_comma(key: object) -> str:
    """Return what a number in place of a name is likely to be: the decimals behind a comma."""
    return "; decimals are written with a point (1.5, not 1,5)" if isinstance(key, int) else ""


_OLD = ("int", "float", "value")  # what YAML 1.1 resolves otherwise than 1.2


class _OnceLoader(yaml.SafeLoader):
    """YAML's safe loader, refusing a key that stands twice in one mapping.

    A key is text: ``off`` is the gates' setting and not YAML 1.1's false.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:bool":
                key_node.tag = "tag:yaml.org,2002:str"
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else str(key))
        return super().construct_mapping(node, deep)


_TAG = "tag:yaml.org,2002:"
# In YAML 1.1 alone 010 is eight, 1:30 ninety and 1_000 a thousand: here all that is text, as in a
# setting of text it is meant. 1e-3 is a number; what may be a commit's hash stays text.
_OnceLoader.yaml_implicit_resolvers = {
    first: [found for found in resolvers if found[0].removeprefix(_TAG) not in _OLD]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_OnceLoader.add_implicit_resolver(
    f"{_TAG}int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
_OnceLoader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?|[0-9]+[eE][-+][0-9]{1,3}"
        r"|[0-9]{1,3}[eE][0-9]{1,2}|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
    ),
    list("-+.0123456789"),
)
_OnceLoader.add_constructor(  # << where no key stands
    f"{_TAG}merge",
    yaml.SafeLoader.construct_yaml_str,  # type: ignore[type-var]
)


def _refuse_bomb(raw: Any, path: Path) -> None:
    """Raise StudyError where aliases (``*name``) make a small file a huge study."""
    waiting = [(raw, 0)]
    seen = 0
    while waiting:
        value, depth = waiting.pop()
        inside = list(value.values()) if isinstance(value, dict) else value
        seen += 1
        if seen > _VALUES_MAX or depth > _DEPTH_MAX:
            raise StudyError(
                f"{path} is nested more than {_DEPTH_MAX} deep or comes to more than "
                f"{_VALUES_MAX:,} values once its *names are filled in; write it out plainly."
            )
        if isinstance(inside, list):
            waiting += [(part, depth + 1) for part in inside]


def _bases_of(solver: Any) -> tuple[str, ...]:
    """Return the options of a solver that name a model as ``student.base`` does."""
    if not isinstance(solver, str) or solver not in plugin_names(SOLVERS):
        return ()
    try:
        return tuple(getattr(load_plugin(SOLVERS, solver), "BASES", ()))
    except InputError:  # told where the agent's options are read
        return ()


def _expand(value: Any, path: Path, where: str) -> Any:
    if isinstance(value, dict):
        bases = _bases_of(value.get("solver"))
        for key in value:
            if not isinstance(key, str) or _UNFIT.search(key):
                raise StudyError(
                    f"{path}: {where or 'the study'} has a key {key!r} that is no name"
                    f"{_of_comma(key)}."
                )
        return {
            k: _expand_text(v, path, f"{where}.{k}", is_base=True)
            if k in bases and isinstance(v, str)
            else _expand(v, path, f"{where}.{k}".lstrip("."))
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_expand(v, path, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, str):
        return _expand_text(value, path, where)
    whole = isinstance(value, int) and abs(value) < 2**63
    if not (value is None or whole or (isinstance(value, float) and math.isfinite(value))):
        raise StudyError(
            f"{path}: {where!r}: a study holds text, numbers of ordinary size, yes and no "
            f"({_and_not(value)}."
        )
    return value


def _and_not(value: object) -> str:
    """Return what was found in place of a plain value, and what to do."""
    if isinstance(value, float):
        sign = "-" if value < 0 else ""
        written = ".nan" if math.isnan(value) else f"{sign}.inf"
        return f"found {written}, which is none of them); give a number, or take the line out"
    if isinstance(value, int):
        return "found a number of more than 18 digits); give a smaller one"
    if isinstance(value, date):
        return f"found the date {value}); put a date in quotes"
    if isinstance(value, bytes):
        return "found !!binary data); write it as text"
    return f"found {type(value).__name__}); write it as text, in quotes"


def _expand_text(value: str, path: Path, where: str, *, is_base: bool = False) -> str:
    def look_up(match: re.Match[str]) -> str:
        if SECRET_NAME.search(match[1]):
            raise StudyError(
                f"{path}: {where} would write the secret {match[1]} into the study's directory; "
                "name the variable in api_key_env, or a file in api_key_file."
            )
        found = os.environ.get(match[1], match[2])
        if found is None:
            raise StudyError(
                f"{path}: {where} needs the environment variable {match[1]}, which is not set; "
                f"export {match[1]}=... and run again."
            )
        return found

    expanded = _VARIABLE.sub(look_up, value)
    if _UNFIT.search(expanded):
        raise StudyError(f"{path}: {where!r} holds a character that no text has; delete it.")
    name = where.rpartition(".")[2]
    if name == "path" and not expanded.strip():
        raise StudyError(f"{path}: {where!r} is empty; give a file, or take the line out.")
    is_path = name in ("path", "file") or (name.endswith("_file") and expanded[:1] != "~")
    if name in ("model", "dataset"):  # a folder or a name, unless it says that it is a path
        is_path = expanded.startswith(("./", "../"))
    if is_base or where == "student.base":
        is_path = _is_path_of_base(expanded, path, where)
    if is_path and expanded.startswith("~/"):
        return str(Path(expanded).expanduser())
    if is_path and expanded and not Path(expanded).is_absolute():
        return str((path.parent / expanded).resolve())
    return expanded


def _is_path_of_base(base: str, study: Path, where: str) -> bool:
    """Return whether a base is named by its path from the study file, and not a hub id or a name.

    Raises StudyError for a path from the working directory.
    """
    if base in ("", SHIPPED_BASE) or base.startswith(("~", "package:")) or Path(base).is_absolute():
        return False
    # os.path's exists: a text too long to be a path is none
    dotted = base in (".", "..") or base.startswith(("./", "../"))
    if dotted or base.lower().endswith(".gguf") or os.path.exists(study.parent / base):
        return True
    if os.path.exists(base):
        raise StudyError(
            f"{study}: {where!r}: {base} is in the working directory and not beside the study "
            "file, where relative paths start; give its path from there, or the whole path."
        )
    return False
