"""Controls beside the ladder: lessons that lack one thing that a level's have.

``truncate-R4`` is R1 cut to the words of R4, which tells what condensing adds to being short;
``answer_only`` is the final answer alone, which tells what any reasoning adds. ``unverified`` is
every trace of the teacher, right or wrong, and ``wrong`` those that are wrong alone: beside R0 they
tell what verifying adds. ``one_trace`` has one trace a problem where the level it stands beside has
several, at equal steps, ``one_trace_epochs`` at equal epochs: they tell what the others add. No
model makes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from potstill.lessons.condense import in_tags, trace_lesson, trace_text
from potstill.lessons.ladder import LADDER, count_words
from potstill.plugins import nearest
from potstill.records import (
    Control,
    Finish,
    Lesson,
    Level,
    Outcome,
    Problem,
    Response,
    Verdict,
    level_of_control,
    variant_parts,
)

__all__ = [
    "OF_TRACES",
    "compared_with",
    "expand_controls",
    "has_equal_epochs",
    "is_control",
    "is_one_trace",
    "make_controls",
    "one_trace",
    "unverified_traces",
]

OF_TRACES = (Control.UNVERIFIED.value, Control.WRONG.value)
_OF_ONE = (Control.ONE_TRACE.value, Control.ONE_TRACE_EPOCHS.value)
_MADE_BY = "potstill"
_TRUNCATED = {f"{Control.TRUNCATE}-{spec.level.value}": spec.level for spec in LADDER[1:]}
# what a sentence puts before its boxed answer, and no cut should leave dangling
_OPENED_MATH = re.compile(r"(?:\$+|\\\(|\\\[)\s*$")


def is_control(variant: str) -> bool:
    """Return whether a student's variant is a control and no level of the ladder."""
    return variant in (*_TRUNCATED, Control.ANSWER_ONLY, *OF_TRACES) or is_one_trace(variant)


def is_one_trace(variant: str) -> bool:
    """Return whether a variant is a control of one trace a problem, at equal steps or epochs."""
    return variant_parts(variant)[0] in _OF_ONE


def has_equal_epochs(variant: str) -> bool:
    """Return whether a variant sees its fewer lessons as often as its level's student its own."""
    return variant_parts(variant)[0] == Control.ONE_TRACE_EPOCHS


def compared_with(control: str) -> Level:
    """Return the level a control is there for: truncate-R4 for R4, answer_only for R1, unverified
    for R0, one_trace-R1 for R1.
    """
    return Level(level_of_control(control) or Level.R1)


def expand_controls(names: Iterable[str], levels: Iterable[Level]) -> tuple[str, ...]:
    """Return the controls that a study names, longest lessons first, ``truncate`` as one for each
    level, ``one_trace`` with the level it stands beside: the fullest.

    Raises ValueError for a name that is no control (with the nearest), for a level that is not
    among ``levels``, and where R1 is not, which they are made from (R0 for those of traces).
    """
    compared, named = set(levels), list(names)
    possible = [name for name, level in _TRUNCATED.items() if level in compared]
    fullest = min(compared, default=Level.R1).value
    single = {name: f"{name}-{fullest}" for name in _OF_ONE}
    named = [single.get(name, name) for name in named]
    whole = (Control.TRUNCATE.value, Control.ANSWER_ONLY.value)
    known = (*whole, *possible, *OF_TRACES, *single)
    found: set[str] = set()
    for name in named:
        if name == Control.TRUNCATE and not possible:
            raise ValueError("controls: truncate needs a level below R1 among levels")
        if is_one_trace(name) and name not in single.values():
            raise ValueError(f"controls: {variant_parts(name)[0]} is set beside {fullest} alone")
        if name != Control.TRUNCATE and not is_control(name):
            raise ValueError(f"controls: there is no {name!r}{nearest(name, known)}")
        if name in _TRUNCATED and name not in possible:
            raise ValueError(f"controls: {name} needs {_TRUNCATED[name].value} among levels")
        if name in OF_TRACES and Level.R0 not in compared:
            raise ValueError(
                f"controls: {name} is set beside R0, the verified trace; add R0 to levels"
            )
        found |= set(possible) if name == Control.TRUNCATE else {name}
    if found - {*OF_TRACES, *single.values()} and Level.R1 not in compared:
        raise ValueError("controls are made from R1; add R1 to levels")
    order = (*_TRUNCATED, Control.ANSWER_ONLY.value, *OF_TRACES, *single.values())
    return tuple(name for name in order if name in found)


def make_controls(
    chosen: Mapping[str, Sequence[Lesson]],
    controls: Sequence[str],
    problems: Iterable[Problem],
    count_tokens: Callable[[str], int],
) -> Mapping[str, tuple[Lesson, ...]]:
    """Return the lessons of each control made from R1, of the lessons ``chosen`` to train on by
    level.

    Each ends in the answer that R1 ends in, boxed (the key's text where none is found there). A
    problem has a ``truncate-`` lesson where both R1 and that level were chosen; its words are those
    of that level's lesson, the boxed answer among them, and fewer only where R1 has no more.
    """
    by_id = {problem.id: problem for problem in problems}
    whole = {(x.problem_id, x.sample): x for x in chosen.get(Level.R1.value, ())}
    made: dict[str, tuple[Lesson, ...]] = {}
    for control in controls:
        if control in OF_TRACES or is_one_trace(control):
            continue
        wanted = chosen[compared_with(control).value]
        made[control] = tuple(
            _control(control, r1, x.words, by_id[x.problem_id], count_tokens)
            for x in wanted
            if (r1 := whole.get((x.problem_id, x.sample)))
        )
    return made


def one_trace(
    controls: Sequence[str],
    chosen: Mapping[str, Sequence[Lesson]],
    select_first: Callable[[], Mapping[str, Sequence[Lesson]]],
) -> Mapping[str, tuple[Lesson, ...]]:
    """Return the lessons of each control of one trace a problem, of the problems ``chosen``.

    ``select_first`` gives the lessons by level of what take: first takes, as far as they may be
    trained on, and is asked only where there is such a control; where a problem has none there, the
    first that was chosen stands in for it, so that both students have the same problems.
    """
    made: dict[str, tuple[Lesson, ...]] = {}
    asked = [control for control in controls if is_one_trace(control)]
    alone = select_first() if asked else {}
    for control in asked:
        level = compared_with(control).value
        first = {lesson.problem_id: lesson for lesson in alone.get(level, ())}
        own: dict[str, Lesson] = {}
        for lesson in chosen[level]:
            own.setdefault(lesson.problem_id, first.get(lesson.problem_id, lesson))
        made[control] = tuple(replace(x, level=control) for x in own.values())
    return made


def unverified_traces(
    controls: Sequence[str],
    taught: Iterable[tuple[Response, Verdict]],
    count_tokens: Callable[[str], int],
    *,
    tags: bool,
) -> Mapping[str, tuple[Lesson, ...]]:
    """Return the lessons of each control that is made from the teacher's traces: of every problem
    the first, in R0's form (``tags`` as there), whatever its verdict says or where it says WRONG.

    What has no end or no answer is left out: cut, filtered, failed, blank. No gate is passed.
    """
    form = in_tags if tags else trace_text
    first: dict[str, tuple[Response, Verdict]] = {}
    for response, verdict in taught:
        if response.sample == 0:  # a later attempt takes the place of an earlier
            first[response.problem_id] = response, verdict
    whole = [
        (response, verdict)
        for response, verdict in first.values()
        if response.finish is Finish.STOP and response.text.strip()
    ]
    return {
        control: tuple(
            trace_lesson(response, form(response), count_tokens, level=control)
            for response, verdict in whole
            if control == Control.UNVERIFIED or verdict.outcome is Outcome.WRONG
        )
        for control in controls
        if control in OF_TRACES
    }


def _control(
    control: str, r1: Lesson, words: int, problem: Problem, count_tokens: Callable[[str], int]
) -> Lesson:
    body, answer = _parted(r1.text, problem)
    text = answer if control == Control.ANSWER_ONLY else _cut(body, words, answer)
    return Lesson(
        problem_id=problem.id,
        level=control,
        parent=r1.level,
        text=text,
        words=count_words(text),
        tokens=count_tokens(text),
        made_by=_MADE_BY,
        sample=r1.sample,
    )


def _parted(text: str, problem: Problem) -> tuple[str, str]:
    """Return R1 up to its final box (all of it where there is none), and its final answer,
    boxed.
    """
    from potstill.grading.boxes import boxed_values
    from potstill.grading.extraction import extract

    boxes = boxed_values(text)
    body = _OPENED_MATH.sub("", text[: boxes[0][1]]) if boxes else text
    answer = extract(text, problem.kind).text or problem.gold_text
    return body, f"\\boxed{{{answer}}}"


def _cut(body: str, words: int, answer: str) -> str:
    """Return the beginning of ``body``, its line breaks kept, and the answer: ``words`` words in
    all.
    """
    room = max(0, words - count_words(answer))
    ends = [match.end() for match in re.finditer(r"\S+", body)]
    kept = body[: ends[min(room, len(ends)) - 1]] if room and ends else ""
    return f"{kept} {answer}".strip()
