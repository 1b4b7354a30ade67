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

from potstill.errors import StudyError
from potstill.store.untrusted import STUDY_BYTES, read_bytes

__all__ = ["RENAMED", "SECRET_NAME", "expand", "read_study", "with_new_names"]

_VALUES_MAX = 50_000
_DEPTH_MAX = 40
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
SECRET_NAME = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
RENAMED = {"levers": "optimizations", "cached_trunk": "activation_cache"}
"""Settings that once had another name: the old one, the new one."""

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
    try:
        raw = yaml.load(read_bytes(path, STUDY_BYTES).decode("utf-8-sig"), Loader=_OnceLoader)
    except FileNotFoundError as exc:
        raise StudyError(
            f"{path} does not exist; write one with potstill init NAME, or check the path."
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise StudyError(
            f"{path} cannot be read as UTF-8 text ({exc}); save it as UTF-8 and try again."
        ) from exc
    except yaml.YAMLError as exc:
        where = getattr(exc, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        what = getattr(exc, "problem", None) or "cannot be read"
        raise StudyError(f"{path}{line}: not valid YAML ({what}); mend that line.") from exc
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        # a date that is none, a number of thousands of digits, thousands of brackets
        raise StudyError(f"{path} holds a value that cannot be read ({exc}); mend it.") from exc
    except (AttributeError, LookupError) as exc:  # PyYAML's own at "!!timestamp 1", "!!bool 1"
        raise StudyError(
            f"{path} holds a value that is not of the kind its !! tag says; mend it, or leave the "
            "tag out."
        ) from exc
    if not isinstance(raw, dict):
        raise StudyError(
            f"{path} holds no study (a mapping with name:, problems:, teacher: ...); write one "
            "with potstill init NAME."
        )
    _refuse_bomb(raw, path)
    return raw


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


# 1e-3 is a number in YAML 1.2 and text in 1.1; what may be a commit's hash stays text.
_OnceLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:[0-9]+(?:\.[0-9]*)?[eE][-+][0-9]{1,3}|[0-9]{1,3}(?:\.[0-9]*)?[eE][0-9]{1,2})$"
    ),
    list("-+0123456789"),
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


def _expand(value: Any, path: Path, where: str) -> Any:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or _UNFIT.search(key):
                raise StudyError(
                    f"{path}: {where or 'the study'} has a key {key!r} that is no name"
                    f"{_of_comma(key)}."
                )
        return {k: _expand(v, path, f"{where}.{k}".lstrip(".")) for k, v in value.items()}
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


def _expand_text(value: str, path: Path, where: str) -> str:
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
    is_path = where.rpartition(".")[2] in ("path", "file")
    is_gguf = where == "student.base" and expanded.lower().endswith(".gguf")
    is_path = is_path or (is_gguf and not expanded.startswith(("~", "package:")))
    if is_path and expanded and not Path(expanded).is_absolute():
        return str((path.parent / expanded).resolve())
    return expanded
