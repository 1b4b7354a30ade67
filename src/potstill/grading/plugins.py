"""Kinds of answer beyond mathematics, found through the entry-point group ``potstill.kinds``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from potstill.errors import InputError
from potstill.grading.maths.comparison import Comparison
from potstill.plugins import KINDS, load_plugin, misshapen, nearest, plugin_names
from potstill.records import (
    AnswerKind,
    NumberGold,
    Problem,
    RubricGold,
    TestsGold,
    TextGold,
)

__all__ = [
    "KindPlugin",
    "can_be_voted",
    "check_kind",
    "compare_with",
    "is_for_plugin",
    "kind_of",
    "kind_settings",
    "runs_code",
]


_NEED_THEIR_KEY = ("code", "tests", "form", "judge", "rubric")
"""Kinds whose key is no answer, but what an answer is tried by."""


@runtime_checkable
class KindPlugin(Protocol):
    """What an entry point of the group names: a module or object with these two.

    ``Options`` is a pydantic model of the kind's settings; ``compare`` says whether an answer is
    right, with the options of the study (or ``Options()``).
    """

    Options: type[BaseModel]

    def compare(self, problem: Problem, text: str, options: Any) -> Comparison:
        """Return the comparison of a response's text with the problem's gold."""
        ...


def check_kind(name: str) -> None:
    """Raise InputError, with the nearest name, for an answer kind that nobody grades."""
    known = (*(kind.value for kind in AnswerKind), *plugin_names(KINDS))
    if name not in known:
        raise InputError(f"there is no answer kind {name!r}{nearest(name, known)}.")


def kind_settings(given: Mapping[str, Mapping[str, Any]]) -> dict[str, BaseModel]:
    """Return settings of answer kinds, checked by each kind's own ``Options``."""
    return {
        name: load_plugin(KINDS, name).Options.model_validate(dict(options), strict=False)
        for name, options in given.items()
    }


def is_for_plugin(problem: Problem) -> bool:
    """Return whether a registered kind grades this problem, and not the grader of mathematics."""
    return not isinstance(problem.gold, TextGold) or problem.kind in plugin_names(KINDS)


def kind_of(problem: Problem) -> str:
    """Return the registered kind that grades a problem: its own where registered, else its
    gold's.
    """
    if problem.kind in plugin_names(KINDS):
        return problem.kind
    match problem.gold:
        case NumberGold():
            return "numeric"
        case TestsGold():
            return "code"
        case RubricGold():
            return "judge"
    return problem.kind


def can_be_voted(kind: str) -> bool:
    """Return whether answers of a kind ("" where it is not named) say a value, so that most of them
    can say the same; the answer of a registered kind is read by its ``extract``.
    """
    if kind in _NEED_THEIR_KEY:
        return False
    return kind not in plugin_names(KINDS) or hasattr(load_plugin(KINDS, kind), "extract")


def runs_code(problem: Problem) -> bool:
    """Return whether grading an answer to this problem runs Python: the answer's and the problem's
    own.
    """
    return kind_of(problem) == "code"


def compare_with(kind: str, problem: Problem, text: str, options: BaseModel | None) -> Comparison:
    """Return what a registered kind says of a text. Raises InputError where it is no comparison."""
    plugin = load_plugin(KINDS, kind)
    found = plugin.compare(problem, text, options or plugin.Options())
    if not isinstance(found, Comparison):
        what = f"compares with {type(found).__name__} in place of Comparison"
        raise misshapen(KINDS, kind, what)
    return found
