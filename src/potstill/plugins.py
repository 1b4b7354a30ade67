"""Plugins: problem sources, solvers and answer kinds, found through entry points.

Potstill's own are registered as anyone else's are (``[project.entry-points]`` in pyproject.toml).
A source is a :class:`~potstill.problems.raw.ProblemSource`, a solver a
:class:`~potstill.chat.SolverPlugin`, a kind a :class:`~potstill.grading.plugins.KindPlugin`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import NoneType, UnionType
from typing import Any

from potstill.errors import InputError, PotstillError

__all__ = [
    "KINDS",
    "SOLVERS",
    "SOURCES",
    "ask_plugin",
    "called_elsewhere",
    "choose",
    "closest",
    "failed_plugin",
    "is_own",
    "load_plugin",
    "misshapen",
    "nearest",
    "plugin_names",
]

SOURCES = "potstill.problems"
SOLVERS = "potstill.solvers"
KINDS = "potstill.kinds"
_SHOWN = 20
_CALLED = {SOURCES: "problem source", SOLVERS: "solver", KINDS: "answer kind"}
_LOADED: set[tuple[str, str]] = set()
"""Group and name of the plugins that this process has loaded: who may have failed."""
_FUNCTION = {SOURCES: "read", SOLVERS: "open_solver", KINDS: "compare"}


@cache
def _registered(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def plugin_names(group: str) -> tuple[str, ...]:
    """Return the names of the plugins of a group, in alphabetical order."""
    return tuple(sorted(_registered(group)))


def load_plugin(group: str, name: str) -> Any:
    """Return the module or object that an entry point names.

    Raises InputError with the nearest name where there is none, with the plugin's own error where
    it cannot be imported, and with what it lacks.
    """
    point = _registered(group).get(name)
    if point is None:
        known = plugin_names(group)
        raise InputError(f"there is no {_CALLED[group]} named {name!r}{nearest(name, known)}.")
    _LOADED.add((group, name))
    try:
        plugin = point.load()
    except (Exception, SystemExit) as exc:  # whatever a plugin raises as it is imported
        raise InputError(
            f"the {_CALLED[group]} {name!r} ({point.value}) cannot be loaded: "
            f"{exc or type(exc).__name__}; install what it needs, or mend the plugin."
        ) from exc
    if lacks := _lacks(group, plugin):
        raise InputError(f"the {_CALLED[group]} {name!r} ({point.value}) {lacks}; mend the plugin.")
    return plugin


def _lacks(group: str, plugin: Any) -> str:
    """Return what a plugin lacks of its kind's two parts, "" for nothing."""
    options, function = getattr(plugin, "Options", None), _FUNCTION[group]
    if not callable(getattr(plugin, function, None)):
        return f"is no module or object with a function {function}"
    if not (isinstance(options, type) and hasattr(options, "model_validate")):
        return "has no class Options, a pydantic model of its settings"
    if group == SOLVERS and not callable(getattr(options, "identity", None)):
        return "has Options without a method identity"
    return ""


def is_own(group: str, name: str) -> bool:
    """Return whether a plugin is Potstill's own."""
    point = _registered(group).get(name)
    return point is not None and point.module.startswith("potstill.")


def ask_plugin(
    group: str, name: str, function: str, called: Any, *arguments: Any, gives: type | UnionType
) -> Any:
    """Return what a function of a plugin gives for some arguments.

    Raises InputError naming plugin and function where it fails, or gives something of another type.
    """
    try:
        found = called(*arguments)
    except PotstillError:
        raise
    except (Exception, SystemExit) as exc:  # whatever a plugin raises
        what = f"fails in {function} with {type(exc).__name__}: {' '.join(str(exc).split())}"
        raise misshapen(group, name, what) from exc
    if not isinstance(found, gives):
        kinds = gives.__args__ if isinstance(gives, UnionType) else (gives,)
        wanted = " or ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
        what = f"gives {type(found).__name__} in {function} in place of {wanted}"
        raise misshapen(group, name, what)
    return found


def misshapen(group: str, name: str, what: str) -> InputError:
    """Return the error of a plugin that gives what no plugin of its group may give."""
    return InputError(f"the {_CALLED[group]} {name!r} {what}; mend the plugin.")


def failed_plugin(exc: BaseException) -> str:
    """Return one sentence that names the installed plugin whose code an error passed through.

    Empty where it passed through none but Potstill's own.
    """
    found = [
        (group, name, point.value)
        for group in _CALLED
        for name, point in _registered(group).items()
        if not point.module.startswith("potstill.") and _passed(exc, point.module)
    ]
    if not found:
        return ""
    # of the plugins of one module it is one of those that were in use
    used = [(g, name, value) for g, name, value in found if (g, name) in _LOADED] or found
    who = " or ".join(f"the {_CALLED[group]} {name!r} ({value})" for group, name, value in used)
    return (
        f"{who} failed with {type(exc).__name__}: {exc}; mend the plugin, then run again: what was "
        "finished is kept."
    )


def _passed(exc: BaseException, module: str) -> bool:
    """Return whether a function of a module, or of its package, stands in an error's traceback."""
    trace = exc.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        if name == module or name.startswith(f"{module}."):
            return True
        trace = trace.tb_next
    return False


_ELSEWHERE = {
    "valid": ("dev", "val", "validation", "eval"),
    "heldout": ("test", "testing"),
    "share": ("random", "fraction", "ratio", "proportion", "percent", "percentage", "stratified"),
    "cuda": ("gpu", "nvidia"),
    "mps": ("metal", "apple"),
    "float16": ("fp16", "half"),
    "bfloat16": ("bf16", "fp16", "float16", "half"),
    "float32": ("fp32", "full", "single"),
    "nf4": ("4bit", "4-bit", "int4", "qlora"),
    "api": ("openai", "http", "vllm", "ollama", "anthropic", "deepseek", "openrouter"),
    "transformers": ("torch", "pytorch", "hf", "huggingface"),
    "llama": ("llama.cpp", "llama-cpp", "llamacpp", "gguf"),
    "repetition loop": ("loop", "repetition"),
    "too long for the level": ("too long",),
    "too short for the level": ("too short",),
}
"""A name of ours, and what others call the same; of settings store/peer_names.py knows it."""


def called_elsewhere(name: str, known: Iterable[str]) -> str:
    """Return the known name of what other tools call by this one, "" where there is none."""
    there = set(map(str, known))
    ours = (x for x, theirs in _ELSEWHERE.items() if name.casefold() in theirs)
    return next((x for x in ours if x in there), "")


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is meant by or most like one that is not, "" where none is."""
    lowered = {k.casefold(): k for k in map(str, known)}
    if meant := called_elsewhere(name, lowered.values()):
        return meant
    close = difflib.get_close_matches(name.casefold(), lowered, n=1, cutoff=0.5)
    return lowered[close[0]] if close else ""


def choose(what: str, given: str, known: Iterable[str], *, there: str = "there is") -> str:
    """Return the known name that is meant, in whatever case it was given.

    Raises InputError with the nearest of them where it is none; ``there`` begins the sentence.
    """
    names = [str(k) for k in known]
    if given in names:
        return given
    same = [k for k in names if k.casefold() == given.casefold()]
    if len(same) != 1:
        raise InputError(f"{there} no {what} {given!r}{nearest(given, names)}.")
    return same[0]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence on an unknown name: the nearest one, and what is there."""
    names = [str(k) for k in known]
    close = closest(name, names)
    hint = f"; did you mean {close!r}?" if close else ";"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = ", ".join(names[:_SHOWN]) + more
    there = "There are" if close else "there are"
    return f"{hint} {there}: {shown or 'none'}"
