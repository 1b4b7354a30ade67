"""Kinds of answer beyond mathematics, found through the entry-point group ``potstill.kinds``."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from potstill.errors import InputError
from potstill.grading.comparison import Comparison, KeyUnreadable
from potstill.records import Finish, NumberGold, Problem, RubricGold, TestsGold, TextGold, Verdict

__all__ = [
    "GROUP",
    "KindPlugin",
    "grade_with_plugin",
    "is_for_plugin",
    "kind_names",
    "load_kind",
    "runs_code",
]

GROUP = "potstill.kinds"


@runtime_checkable
class KindPlugin(Protocol):
    """What an entry point of the group names: a module or object with these two.

    ``Options`` is a pydantic model of the kind's settings; ``compare`` says whether an answer is
    right, with the options of the study (or ``Options()``).
    """

    Options: type[BaseModel]

    def compare(self, problem: Problem, text: str, options: Any) -> Comparison:
        """The comparison of a response's text with the problem's gold."""
        ...


@lru_cache(maxsize=1)
def _registered() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=GROUP)}


def kind_names() -> list[str]:
    """The names of the registered kinds, in alphabetical order."""
    return sorted(_registered())


def load_kind(name: str) -> Any:
    """The plugin of a kind. Raises InputError where none is registered or it does not load."""
    point = _registered().get(name)
    if point is None:
        raise InputError(
            f"No grader is registered for the answer kind {name!r}; registered: "
            f"{', '.join(kind_names()) or 'none'}. Install the package that adds it."
        )
    try:
        return point.load()
    except Exception as error:
        raise InputError(
            f"The grader for the answer kind {name!r} ({point.value}) does not load: {error}."
        ) from error


def is_for_plugin(problem: Problem) -> bool:
    """Whether a registered kind grades this problem, and not the grader of mathematics."""
    return not isinstance(problem.gold, TextGold) or problem.kind in _registered()


def kind_of(problem: Problem) -> str:
    """The registered kind that grades a problem: its own where registered, else its gold's."""
    if problem.kind in _registered():
        return problem.kind
    match problem.gold:
        case NumberGold():
            return "numeric"
        case TestsGold():
            return "code"
        case RubricGold():
            return "judge"
    return problem.kind


def runs_code(problem: Problem) -> bool:
    """Whether grading an answer to this problem runs Python: the answer's and the problem's own."""
    return kind_of(problem) == "code"


def grade_with_plugin(
    problem: Problem,
    text: str,
    *,
    finish: Finish = Finish.STOP,
    response_id: str = "",
    options: BaseModel | None = None,
    error: str = "",
) -> Verdict:
    """The verdict of a problem's registered kind on one response. Raises InputError."""
    from potstill.grading.extraction import Extraction
    from potstill.grading.verdicts import Settled, settle, verdict_of, verdict_of_state
    from potstill.records import Outcome

    plugin = load_kind(kind_of(problem))
    if not problem.gold_text.strip():
        return verdict_of_state(problem, response_id, Settled(Outcome.BAD_KEY, "the key is empty"))
    if (settled := settle(text, finish, error)) is not None:
        return verdict_of_state(problem, response_id, settled)
    try:
        result = plugin.compare(problem, text, options or plugin.Options())
    except KeyUnreadable as bad:
        return verdict_of_state(problem, response_id, Settled(Outcome.BAD_KEY, str(bad)))
    found = getattr(plugin, "extract", None)
    extracted = found(problem, text) if found else Extraction(text.strip()[:2_000], "whole text")
    return verdict_of(problem, response_id, extracted, result, finish)
