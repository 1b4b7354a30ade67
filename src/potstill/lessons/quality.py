"""The quality gates: named rules on a reasoning, counted, on by default, each to be set.

A gate that fires excludes the lesson, or only advises: it is counted and shown, and the lesson
stays. Which do which by default was decided by reading what they fire on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from potstill.chat import template_mark
from potstill.lessons.ladder import INSTRUCTIONS, LADDER, REQUEST, count_words
from potstill.records import Level, Outcome, Problem, Response, Verdict
from potstill.store.settings import Settings
from potstill.text import several

__all__ = ["Finding", "Gate", "GateOptions", "findings", "flags_of"]


class Gate(StrEnum):
    """What can be wrong with a reasoning. The values are the flags of lessons."""

    NO_TEXT = "problem without text"
    KEY_LEAKED = "key leaked"
    CUT = "cut"
    BLANK = "blank"
    WRONG = "wrong answer"
    NO_ANSWER = "no answer"
    ONLY_REASONING = "no answer behind the reasoning"
    UNDECIDED = "verdict undecided"
    BAD_KEY = "key cannot be read"
    FILTERED = "filtered"
    ERROR = "error"
    NOT_ASKED = "not asked"
    LANGUAGE = "language switch"
    LOOP = "repetition loop"
    MARKS = "marks of a template"
    ECHO = "echo of the request"
    FALSE_EQUATION = "false equation"
    NOT_DERIVED = "answer not derived"
    TOO_SHORT = "too short for the level"
    TOO_LONG = "too long for the level"
    OTHER_PROBLEM = "reasoning of another problem"
    LONGER = "longer than the level above"


# Read by hand on the recorded lessons: NOT_DERIVED fires on 5 % of good ones (an answer rounded or
# rewritten in its last line); lengths are an aim, and order among the levels is what is compared.
_ADVISORY = (Gate.NOT_DERIVED, Gate.TOO_SHORT, Gate.TOO_LONG)


class GateOptions(Settings):
    """Which gates are off, which only advise, and where they draw the line."""

    off: tuple[Gate, ...] = Field(default=(), description="gates that are not looked at")
    advisory: tuple[Gate, ...] = Field(
        default=_ADVISORY, description="gates that are counted and leave nothing out"
    )
    repeat_times: Annotated[
        int, Field(ge=2, le=1000, description="How often a passage comes before it is a loop.")
    ] = 4
    foreign_letters: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="The share of letters of a script that the problem does not use.",
        ),
    ] = 0.01
    own_numbers: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="The least share of the problem's numbers that its reasoning names.",
        ),
    ] = 0.15
    least_words_r1: Annotated[
        int, Field(ge=0, le=1000, description="Fewer words at R1 are too short.")
    ] = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One gate that fired: what it saw, and whether the lesson is left out for it."""

    gate: Gate
    detail: str
    excludes: bool


_OF_OUTCOME = {
    Outcome.WRONG: Gate.WRONG,
    Outcome.UNPARSED: Gate.NO_ANSWER,
    Outcome.UNDECIDED: Gate.UNDECIDED,
    Outcome.BLANK: Gate.BLANK,
    Outcome.TRUNCATED: Gate.CUT,
    Outcome.FILTERED: Gate.FILTERED,
    Outcome.ERRORED: Gate.ERROR,
    Outcome.BAD_KEY: Gate.BAD_KEY,
}


def flags_of(found: Iterable[Finding]) -> tuple[str, ...]:
    """Return the flags of a text: the names of the gates that fired and exclude."""
    return tuple(finding.gate.value for finding in found if finding.excludes)


def findings(
    problem: Problem,
    response: Response | str,
    verdict: Verdict | None = None,
    *,
    level: str = Level.R0,
    options: GateOptions | None = None,
    words_above: int | None = None,
    words_r1: int | None = None,
) -> tuple[Finding, ...]:
    """Return every gate that fires on a response (or a lesson's text), each once.

    Without ``verdict`` the answer is not judged. ``words_above`` is the length of the level above,
    ``words_r1`` that of R1, for the gates on length; without them those are passed over.
    """
    options = options or GateOptions()
    text = response if isinstance(response, str) else _whole(response)
    found: dict[Gate, str] = {}
    rules = (_on_verdict, _on_text, _on_length)
    context = _Context(problem, text, verdict, str(level), options, words_above, words_r1)
    for rule in rules:
        for gate, detail in rule(context):
            found.setdefault(gate, detail)
    return tuple(
        Finding(gate, detail, gate not in options.advisory)
        for gate, detail in found.items()
        if gate not in options.off
    )


@dataclass(frozen=True, slots=True)
class _Context:
    problem: Problem
    text: str
    verdict: Verdict | None
    level: str
    options: GateOptions
    words_above: int | None
    words_r1: int | None

    def wants(self, gate: Gate) -> bool:
        return gate not in self.options.off


def _whole(response: Response) -> str:
    """Return all that a response says; the gates on reasoning look at both of its parts."""
    return "\n\n".join(part for part in (response.reasoning, response.text) if part.strip())


def _on_verdict(c: _Context) -> Iterator[tuple[Gate, str]]:
    if not c.problem.text.strip():
        yield Gate.NO_TEXT, ""
    if not c.text.strip():
        yield Gate.BLANK, ""
    if c.verdict is not None and c.verdict.outcome in _OF_OUTCOME:
        thought = c.verdict.outcome is Outcome.BLANK and bool(c.text.strip())
        yield Gate.ONLY_REASONING if thought else _OF_OUTCOME[c.verdict.outcome], c.verdict.why


def _on_text(c: _Context) -> Iterator[tuple[Gate, str]]:
    from potstill.lessons import gates

    text, asked, options = c.text, c.problem.text, c.options
    if not text.strip():
        return
    answered = c.verdict is None or c.verdict.outcome in (Outcome.CORRECT, Outcome.UNDECIDED)
    answer = c.verdict.extracted if c.verdict is not None and answered else ""
    rules: tuple[tuple[Gate, Callable[[], str]], ...] = (
        (Gate.CUT, lambda: gates.stops_short(text, answered=answered)),
        (Gate.KEY_LEAKED, lambda: gates.cites_key(text, asked)),
        (
            Gate.ECHO,
            lambda: (
                gates.echoes(text, asked, REQUEST) or gates.begins_as(text, asked, INSTRUCTIONS)
            ),
        ),
        (Gate.MARKS, lambda: "" if template_mark(asked) else template_mark(text)),
        (Gate.LOOP, lambda: gates.repeats(text, times=options.repeat_times)),
        (Gate.LANGUAGE, lambda: gates.foreign_script(text, asked, share=options.foreign_letters)),
        (Gate.FALSE_EQUATION, lambda: gates.false_equation(text)),
        (
            Gate.OTHER_PROBLEM,
            lambda: (
                gates.asks_back(text, asked)
                or (
                    gates.foreign_numbers(text, asked, least_share=options.own_numbers)
                    if c.level
                    in (Level.R0, Level.R1, Level.R2)  # lower ones need not restate givens
                    else ""
                )
            ),
        ),
        (Gate.NOT_DERIVED, lambda: gates.not_derived(text, answer, asked) if answer else ""),
    )
    for gate, rule in rules:
        detail = rule() if c.wants(gate) else ""
        if detail:
            yield gate, detail


def _on_length(c: _Context) -> Iterator[tuple[Gate, str]]:
    words = count_words(c.text)
    if c.words_above is not None and words > c.words_above:
        yield Gate.LONGER, f"{words} words, the level above has {c.words_above}"
    spec = next((spec for spec in LADDER if spec.level == c.level), None)
    if spec is None:
        return
    if spec.level is Level.R1:
        if 0 < words < c.options.least_words_r1:
            yield Gate.TOO_SHORT, several(words, "word")
    elif c.words_r1:
        most = spec.limit_words(c.words_r1)
        if words > most:
            yield Gate.TOO_LONG, f"{words} words, at most {most} at {spec.level.value}"
        if 0 < words < 0.25 * spec.share * c.words_r1:
            yield Gate.TOO_SHORT, f"{words} words, R1 has {c.words_r1}"
