"""What is wrong with a setting, in one sentence: where, what it should be, what was found."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from potstill.plugins import SOLVERS, SOURCES, called_elsewhere, closest, nearest, plugin_names
from potstill.store.peer_names import called_here
from potstill.store.rows import SUFFIXES
from potstill.store.untrusted import holds_login
from potstill.text import several

__all__ = ["RENAMED", "SECRET_NAME", "SECRET_VALUE", "first_error", "with_lists"]

SECRET_VALUE = "secret_value"
"""The type of an error whose value is not to be shown."""
SECRET_NAME = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
RENAMED = {"levers": "optimizations", "cached_trunk": "activation_cache"}
"""Settings that once had another name: the old one, the new one."""

_Error = Mapping[str, Any]
_SHOWN = 60
_SCALARS = ("bool", "str", "int", "float")
_NOTHING = ("none", "null", "nil", "no", "off", "false", "nothing", "-")
"""What people write for a section that is not to be."""
_SHORT = 4
"""Letters of a word under which every other short one is near: gpu is not meant to be cpu."""


def first_error(exc: ValidationError, model: type[BaseModel], known: Iterable[str] = ()) -> str:
    """Return one sentence for the first of a model's faults.

    ``known`` are keys that may stand beside the model's own.
    """
    errors = exc.errors(include_url=False, include_input=True)
    loc = _fields(errors[0]["loc"], model)
    same = [error for error in errors if _fields(error["loc"], model) == loc]
    where, error = _where(loc), same[0]
    name = str(loc[-1]) if loc else ""
    if error["type"] == "extra_forbidden" and name in RENAMED:
        return f"{where!r} is called {RENAMED[name]!r} now; rename it."
    if error["type"] == "extra_forbidden":
        names = sorted(set(list(known) or _keys(loc, model)) - {"options"})
        return f"unknown key {where!r}{called_here(name, names) or nearest(name, names)}."
    if error["type"] == "missing":
        if isinstance(error["loc"][-1], int):
            return f"{_where(loc[:-1])!r}: should be {several(error['loc'][-1] + 1, 'value')}."
        return f"the key {where!r} is missing; add it (potstill init shows a commented example)."
    subject = f"{where!r}: " if where else ""
    if error["type"] in ("value_error", SECRET_VALUE):
        message = str(error["msg"]).removeprefix("Value error, ")
        secret = error["type"] == SECRET_VALUE or SECRET_NAME.search(name)
        found = "" if secret else _found(error["input"])
        return f"{subject}{message[:1].lower()}{message[1:]}{found}."
    if error["input"] is None:
        return f"{subject}is empty; give a value, or take the line out."
    should = " or ".join(dict.fromkeys(_should(x, name) for x in same))
    if error["type"].startswith("model"):
        if nothing := _for_nothing(loc, model, error["input"]):
            return f"{subject}should be a section{_found(error['input'])}; {nothing}."
        should += _first_key(loc, model, error["input"])
    hint = _hint(error)
    if "did you mean" in hint and should.count("', '") > _MOST_LISTED:
        return f"{subject}there is no {error['input']!r}{hint}"
    return f"{subject}should be {should}{_found(error['input'])}{hint or '.'}"


def with_lists(raw: Any, model: Any) -> Any:
    """Return what stands in a file with each single value where a list belongs as a list of one,
    and on and off as the words they are where a setting has those.
    """
    if not isinstance(raw, Mapping) or not _is_model(model):
        return raw
    fields = model.model_fields
    return {
        name: _with_list(value, fields[name].annotation) if name in fields else value
        for name, value in raw.items()
    }


def _with_list(value: Any, annotation: Any) -> Any:
    alternatives = _alternatives(annotation)
    if isinstance(value, Mapping) and any(typing.get_origin(x) is dict for x in alternatives):
        return value
    for inner in alternatives:
        origin, arguments = typing.get_origin(inner), typing.get_args(inner)
        item = _item(origin, arguments)
        if item is not None:
            single = isinstance(value, bool | int | float | str | Mapping)
            if single and not (item is int and not isinstance(value, bool)):
                value = [value]
            if isinstance(value, list):
                return [with_lists(x, _model_in(item)) for x in value]
        elif _is_model(inner) and isinstance(value, Mapping):
            return with_lists(value, inner)
        elif isinstance(value, bool) and {"on", "off"} <= set(arguments):
            return "on" if value else "off"  # which YAML 1.1 reads as true and false
    return value


def _item(origin: Any, arguments: tuple[Any, ...]) -> Any:
    """Return what a list of any length holds; None for what is no such list."""
    of_any_length = len(arguments) == 2 and arguments[1] is Ellipsis
    if not arguments or not (origin is list or (origin is tuple and of_any_length)):
        return None
    item = arguments[0]
    return typing.get_args(item)[0] if typing.get_origin(item) is typing.Annotated else item


def _alternatives(annotation: Any) -> list[Any]:
    """Return what a field may be, None left out and metadata taken off."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _alternatives(arguments[0])
    if arguments and origin not in (list, tuple, dict, typing.Literal):
        return [x for part in arguments if part is not type(None) for x in _alternatives(part)]
    return [annotation]


def _model_in(annotation: Any) -> Any:
    return next((x for x in _alternatives(annotation) if _is_model(x)), None)


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _fields(loc: Sequence[int | str], model: Any) -> tuple[int | str, ...]:
    """Return the path of names and places that stands in the file, without pydantic's own marks."""
    found: list[int | str] = []
    inside: Any = model
    tagged = False
    for part in loc:
        if isinstance(part, int):
            found.append(part)
        elif _is_model(inside):
            found.append(part)
            field = inside.model_fields.get(part)
            tagged = field is not None and len(_alternatives(field.annotation)) > 1
            inside = _within(field.annotation) if field else None
        elif inside is dict and not part.startswith("["):
            # of a field that may be other things too, which alternative it is comes first
            if tagged and (part in _SCALARS or "[" in part):
                inside = inside if part.startswith("dict") else None
            else:
                found.append(part)
                inside = None
            tagged = False
    return tuple(found)


def _within(annotation: Any) -> Any:
    """Return the model, or ``dict``, that a field leads into."""
    for inner in _alternatives(annotation):
        if _is_model(inner):
            return inner
        item = _item(typing.get_origin(inner), typing.get_args(inner))
        if item is not None and (within := _within(item)) is not None:
            return within
        if typing.get_origin(inner) is dict:
            return dict
    return None


def _keys(loc: Sequence[int | str], model: Any) -> list[str]:
    """Return the keys of the section that ``loc`` leads into."""
    for part in loc[:-1]:
        if isinstance(part, str) and _is_model(model):
            model = _within(model.model_fields[part].annotation)
    return list(model.model_fields) if _is_model(model) else []


def _where(loc: Iterable[int | str]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _found(value: Any) -> str:
    plain = isinstance(value, str | int | float) and not holds_login(str(value))
    if isinstance(value, str) and len(value) > _SHOWN:
        value = f"{value[:_SHOWN]} ..."
    return f" (found {value!r})" if plain else ""


_MOST_LISTED = 8  # choices, beyond which the nearest alone is told


_SHOULD: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda c: f"more than {c['gt']:g}",
    "greater_than_equal": lambda c: f"{c['ge']:g} or more",
    "less_than": lambda c: f"less than {c['lt']:,.15g}",
    "less_than_equal": lambda c: f"{c['le']:,.15g} or less",
    "too_short": lambda c: f"a list of {c['min_length']} or more",
    "too_long": lambda c: f"{several(c['max_length'], 'value')} and no more",
    "string_too_short": lambda c: "some text",
    "string_too_long": lambda c: f"{c['max_length']:,} characters or fewer",
    "literal_error": lambda c: str(c["expected"]),
    "enum": lambda c: str(c["expected"]),
}
_WORDS = {
    "list": "a list, such as [a, b]",
    "tuple": "a list, such as [a, b]",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "text (put it in quotes)",
    "dict": "a section, its keys beneath it",
    "mapping": "a section, its keys beneath it",
    "model": "a section, its keys beneath it",
    "path": "the path of a file",
}


def _should(error: _Error, name: str) -> str:
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return "letters, digits, dots, dashes and underscores, such as my-study_1"
    if kind in _SHOULD:
        return _SHOULD[kind](context)
    value = error["input"]
    if name == "seeds" and kind == "list_type" and isinstance(value, int) and 0 < value <= 9:
        return f"a list of seeds: give {list(range(value))} for {several(value, 'seed')}"
    return _WORDS.get(kind.split("_")[0]) or str(error["msg"]).lower()


def _first_key(loc: Sequence[int | str], model: Any, found: Any) -> str:
    """Return how a section is written of which only its first value was given."""
    for part in loc:
        if isinstance(part, str):
            model = _within(model.model_fields[part].annotation)
    if not isinstance(found, str) or not _is_model(model):
        return ""
    own = [name for name in model.model_fields if name != "options"]
    first = "preset" if "iterations" in own else own[0]
    plugins = {"solver": SOLVERS, "source": SOURCES}.get(first)
    if plugins and found not in (names := plugin_names(plugins)) and Path(found).suffix == "":
        return f", {first} ({', '.join(names)}) first"
    field = model.model_fields.get(first)  # a preset is no field of the recipe
    if field and found not in (_values(field.annotation) or [found]):
        return ""
    if first == "source" and Path(found).suffix.lower() in SUFFIXES:
        return f": source: table and path: {found}"
    return f": {first}: {found}"


def _values(annotation: Any) -> list[Any]:
    """Return the values of a choice, none for what is no choice."""
    alternatives = _alternatives(annotation)
    return [
        value
        for inner in alternatives
        if typing.get_origin(inner) is typing.Literal
        for value in typing.get_args(inner)
    ]


def _for_nothing(loc: Sequence[int | str], model: Any, found: Any) -> str:
    """Return what to do in place of none or off for a section, "" where it must be there."""
    if str(found).casefold() not in _NOTHING or len(loc) != 1:
        return ""
    field = model.model_fields[loc[0]]
    inner = _within(field.annotation)
    if "off" in inner.model_fields:
        return f"name under off: what is not to be looked at, such as {loc[0]}: {{off: [cut]}}"
    switches = [name for name, x in inner.model_fields.items() if x.annotation is bool]
    if len(switches) == len(inner.model_fields):
        return f"each of its keys is switched alone, such as {switches[0]}: false"
    return "" if field.is_required() else "take the line out"


def _hint(error: _Error) -> str:
    """Return the nearest of the values that may stand here, where one is near."""
    if number := _number_meant(error):
        return f"; {number}."
    expected = str(error.get("ctx", {}).get("expected", ""))
    choices = [x.strip().strip("'") for x in expected.replace(" or ", ", ").split(",") if x]
    found, in_list = error["input"], any(isinstance(x, int) for x in error["loc"][-1:])
    if choices and isinstance(found, int) and (close := _numbered(str(found), choices)):
        first = in_list and error["loc"][-1] == 0 and found > 1
        them = f", or [{', '.join(choices[1 : found + 1])}]" if first else ""
        return f"; did you mean {close!r}{them}?"
    if not choices or not isinstance(found, str):
        return ""
    if in_list and (several_of_them := _listed(found, choices)):
        return f"; write a list: [{', '.join(several_of_them)}]."
    close = next((x for x in choices if x.casefold() == found.casefold()), "")
    if not close:
        close = (called_elsewhere if len(found) < _SHORT else closest)(found, choices)
    close = close or _numbered(found, choices)
    if not close and {"group", "share"} <= set(choices) and found.isidentifier():
        return f"; did you mean 'group', with group: {found} beside it?"
    return f"; did you mean {close!r}?" if close else ""


def _numbered(found: str, choices: Sequence[str]) -> str:
    """Return the choice meant by its number alone (3 for R3), or the one nearest to a name whose
    number is beyond them (R6 for R7); "" where there is none.
    """
    given = _NUMBERED.fullmatch(found)
    parts = {x: part for x in choices if (part := _NUMBERED.fullmatch(x))}
    if not given or len(parts) != len(choices):
        return ""
    name, number = given[1].casefold(), int(given[2])
    same = {x: abs(int(p[2]) - number) for x, p in parts.items() if p[1].casefold() == name}
    if name:
        return min(same, key=same.__getitem__, default="")
    return next((x for x, part in parts.items() if int(part[2]) == number), "")


_NUMBERED = re.compile(r"([A-Za-z]*)(\d{1,9})")
_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
_MONEY = re.compile(r"\s*(?:US)?[$€£]\s*(\d+(?:\.\d+)?)\s*")


def _number_meant(error: _Error) -> str:
    """Return the number that a percentage or a price stands for, "" for anything else."""
    found = error["input"]
    share = error.get("ctx", {}).get("lt") == 1 or error.get("ctx", {}).get("le") == 1
    if share and isinstance(found, int | float) and 1 < found <= 100:
        return f"{found:g} % is {found / 100:g}"
    if not isinstance(found, str) or not str(error["type"]).startswith(("float", "int")):
        return ""
    if percent := _PERCENT.fullmatch(found):
        return f"{found.strip()} is {float(percent[1]) / 100:g}"
    money = _MONEY.fullmatch(found)
    return f"give {money[1]}" if money else ""


def _listed(found: str, choices: Sequence[str]) -> list[str]:
    """Return the choices that a text such as "R1, R3" or "R1-R6" means, none for one or another."""
    if found.strip().casefold() == "all":
        return [x for x in choices if x != "R0"]  # the reasoning as it came, beside the ladder
    known = {x.casefold(): x for x in choices}
    ends = [known.get(x.strip().casefold()) for x in re.split(r"-|\.\.+|\bto\b", found)]
    if len(ends) == 2 and ends[0] and ends[1]:
        first, last = choices.index(ends[0]), choices.index(ends[1])
        return list(choices[first : last + 1])
    parts = [known.get(x.casefold()) for x in re.split(r"[,;\s]+", found.strip())]
    return [x for x in parts if x] if len(parts) > 1 and all(parts) else []
