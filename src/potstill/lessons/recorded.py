"""Levels that someone made before: read from files, matched to problems, and checked as our own.

A raw row of a levels file: ``year,section,question_id,question,true_answer,reasoning_1,...``; of a
messages file: ``{"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from potstill.errors import InputError
from potstill.lessons.condense import GradePairs
from potstill.lessons.ladder import count_words
from potstill.lessons.quality import GateOptions, check
from potstill.problems.raw import normalise
from potstill.problems.rows import as_text, column, read_rows
from potstill.records import Finish, Lesson, Level, Problem, Response, Verdict

__all__ = [
    "Inversion",
    "Options",
    "Recorded",
    "RecordedFile",
    "Unmatched",
    "inversions",
    "inverted_problems",
    "read_recorded",
]


class RecordedFile(BaseModel):
    """One file of levels: which column holds which, and how its rows name their problem.

    ``id``: the columns that make up a problem's id, joined by "/"; or ``question``: the column of
    its text. A ``messages`` file holds one level, the last assistant turn; its question is the last
    user turn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: Path = Field(description="The table of lessons.")
    levels: dict[Level, str] = Field(description="level: column ('messages' for a chat file)")
    id: tuple[str, ...] = ()
    question: str = ""

    @model_validator(mode="after")
    def _agree(self) -> RecordedFile:
        if not self.levels:
            raise ValueError("levels: names no level; say R2: COLUMN")
        if not self.id and not self.question and set(self.levels.values()) != {"messages"}:
            raise ValueError("give id: (columns) or question: (a column) to match rows to problems")
        return self


class Options(BaseModel):
    """The files that hold recorded levels, and who made them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    files: tuple[RecordedFile, ...] = Field(min_length=1, description="The files of levels.")
    made_by: str = Field(default="recorded", description="Who made them, for the report.")


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A recorded text that belongs to no problem of the study, or to one that has its text."""

    where: str
    level: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """The lessons read from a record, checked, and the texts that could not be placed."""

    lessons: tuple[Lesson, ...]
    unmatched: tuple[Unmatched, ...]


@dataclass(frozen=True, slots=True)
class Inversion:
    """How many problems have ``level`` longer in words than the level ``above``, of how many."""

    above: str
    level: str
    longer: int
    of: int


def read_recorded(
    options: Options,
    problems: Sequence[Problem],
    *,
    grade: GradePairs,
    count_tokens: Callable[[str], int],
    gates: GateOptions | None = None,
) -> Recorded:
    """The recorded lessons of ``problems``, as they stand, with the flags of every gate.

    Each must end in the right answer and be no longer than the nearest level above it in the
    record. Raises InputError for a file or a column that is not there.
    """
    unmatched: list[Unmatched] = []
    texts: dict[str, dict[str, str]] = {}
    for file in options.files:
        for problem_id, level, text, where in _texts(file, problems, unmatched):
            own = texts.setdefault(problem_id, {})
            if level in own:
                unmatched.append(Unmatched(where, level, problem_id, "a second text of this level"))
            else:
                own[level] = text
    by_id = {p.id: p for p in problems}
    verdicts = _verdicts(texts, by_id, options.made_by, grade)
    lessons = []
    for problem_id in (p.id for p in problems if p.id in texts):
        own = texts[problem_id]
        words = {level: count_words(text) for level, text in own.items()}
        above = ""
        for level in sorted(own):
            flags = check(
                by_id[problem_id],
                own[level],
                verdicts[problem_id, level],
                level=level,
                options=gates,
                words_above=words.get(above),
                words_r1=words.get(Level.R1),
            )
            lessons.append(
                Lesson(
                    problem_id=problem_id,
                    level=level,
                    parent=above,
                    text=own[level],
                    words=words[level],
                    tokens=count_tokens(own[level]),
                    made_by=options.made_by,
                    flags=flags,
                )
            )
            above = level
    return Recorded(tuple(lessons), tuple(unmatched))


def inversions(lessons: Iterable[Lesson]) -> tuple[Inversion, ...]:
    """A row for each two neighbouring levels that some problem has both of."""
    table = _words(lessons)
    levels = sorted({level for own in table.values() for level in own})
    rows = []
    for above, level in pairwise(levels):
        both = [own for own in table.values() if above in own and level in own]
        longer = sum(own[level] > own[above] for own in both)
        rows.append(Inversion(above, level, longer, len(both)))
    return tuple(rows)


def inverted_problems(lessons: Iterable[Lesson], levels: Sequence[str]) -> tuple[int, int]:
    """How many problems have any of ``levels`` longer than the one before it, and of how many."""
    wanted = sorted(str(level) for level in levels)
    whole = [o for o in _words(lessons).values() if all(level in o for level in wanted)]
    inverted = sum(any(o[b] > o[a] for a, b in pairwise(wanted)) for o in whole)
    return inverted, len(whole)


def _words(lessons: Iterable[Lesson]) -> Mapping[str, Mapping[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for lesson in lessons:
        table.setdefault(lesson.problem_id, {})[str(lesson.level)] = lesson.words
    return table


def _texts(
    file: RecordedFile, problems: Sequence[Problem], unmatched: list[Unmatched]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield problem id, level, text and place; what fits no problem is noted."""
    ids = {p.id for p in problems}
    by_text = {normalise(p.text): p.id for p in problems}
    for number, row in read_rows(file.path):
        where = f"{file.path} line {number}"
        if file.id:
            name = "/".join(as_text(column(row, c, where)) for c in file.id)
            problem_id = name if name in ids else None
        else:
            question = (
                column(row, file.question, where) if file.question else _turn(row, "user", where)
            )
            name = as_text(question)
            problem_id = by_text.get(normalise(name))
        for level, source in sorted(file.levels.items()):
            if problem_id is None:
                why = "no problem of the study has this id or text (it may have been set aside)"
                unmatched.append(Unmatched(where, level.value, name, why))
                continue
            is_chat = source == "messages"
            text = (
                _turn(row, "assistant", where) if is_chat else as_text(column(row, source, where))
            )
            yield problem_id, level.value, text.strip(), where


def _turn(row: Mapping[str, Any], role: str, where: str) -> str:
    """The last turn of that role in a row's messages."""
    turns = column(row, "messages", where)
    if isinstance(turns, list):
        for turn in reversed(turns):
            if isinstance(turn, dict) and turn.get("role") == role:
                return as_text(turn.get("content"))
    raise InputError(
        f"{where}: messages holds no {role} turn; expected "
        f'[{{"role": "user", "content": ...}}, {{"role": "assistant", ...}}].'
    )


def _verdicts(
    texts: Mapping[str, Mapping[str, str]],
    problems: Mapping[str, Problem],
    made_by: str,
    grade: GradePairs,
) -> Mapping[tuple[str, str], Verdict]:
    names: dict[str, tuple[str, str]] = {}

    def pairs() -> Iterator[tuple[Problem, Response]]:
        for problem_id, own in texts.items():
            for level, text in own.items():
                response = Response(
                    solver=made_by,
                    problem_id=problem_id,
                    condition_id=f"recorded/{level}",
                    sample=0,
                    attempt=0,
                    reasoning="",
                    text=text,
                    finish=Finish.STOP,
                    tokens_in=0,
                    tokens_out=0,
                    ledger_key="",
                )
                names[response.response_id] = (problem_id, level)
                yield problems[problem_id], response

    return {names[verdict.response_id]: verdict for verdict in grade(pairs())}
