"""Levels that someone made before: read from files, matched to problems, and checked as our own.

A raw row of a levels file: ``year,section,question_id,question,true_answer,reasoning_1,...``; of a
messages file: ``{"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}``.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from potstill.errors import InputError
from potstill.lessons.ladder import count_words
from potstill.lessons.quality import Gate, GateOptions, findings, flags_of
from potstill.problems.raw import normalise, text_key
from potstill.records import Lesson, Level, Problem, Response, Verdict
from potstill.store.rows import as_text, column, place_of_row, read_rows
from potstill.store.settings import Settings
from potstill.store.tables import in_batches

if TYPE_CHECKING:
    from potstill.lessons.condense import GradePairs

__all__ = [
    "Inversion",
    "Options",
    "RecordedFile",
    "RecordedTally",
    "Unmatched",
    "inversions",
    "read_recorded",
    "refuse_unmatched",
]


_CHECKED_TOGETHER = 2_048


class RecordedFile(Settings):
    """One file of levels: which column holds which, and how its rows name their problem.

    ``id``: the columns that make up a problem's id, joined by "/"; or ``question``: the column of
    its text. A ``messages`` file holds one level, the last assistant turn; its question is the last
    user turn.
    """

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
        if self.id and self.question:
            raise ValueError(
                "question decides nothing beside id, by which rows are matched; take one of them "
                "out"
            )
        columns = list(self.levels.values())
        for level, name in self.levels.items():
            if columns.count(name) > 1:
                others = ", ".join(x for x, column in self.levels.items() if column == name)
                raise ValueError(
                    f"levels: {others} are all of the column {name!r}, so their students would be "
                    f"alike; give {level} a column of its own"
                )
        return self


class Options(Settings):
    """The files that hold recorded levels, and who made them."""

    files: tuple[RecordedFile, ...] = Field(min_length=1, description="The files of levels.")
    made_by: str = Field(default="recorded", description="Who made them, for the report.")

    @model_validator(mode="after")
    def _once(self) -> Options:
        seen: set[tuple[Path, str, str]] = set()
        for index, file in enumerate(self.files):
            for level, name in file.levels.items():
                if (file.path, level, name) in seen:
                    raise ValueError(
                        f"files[{index}]: {level} of {file.path.name} stands there twice; take one "
                        "of them out"
                    )
                seen.add((file.path, level, name))
        return self


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A recorded text that belongs to no problem of the study, or to one that has its text."""

    where: str
    level: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Inversion:
    """How many traces have ``level`` longer in words than the level ``above``, of how many."""

    above: str
    level: str
    longer: int
    of: int


# Why a lesson was left out, in the order in which one of several reasons is told.
_REASONS = (
    (Gate.BLANK, "blank"),
    (Gate.CUT, "cut off"),
    (Gate.NO_ANSWER, "without an answer"),
    (Gate.WRONG, "with a wrong answer"),
    (Gate.UNDECIDED, "with an answer that could not be decided"),
)


class RecordedTally:
    """Counts what :func:`read_recorded` yields: lessons kept, left out by reason, and unmatched."""

    def __init__(self) -> None:
        self._kept = 0
        self._left_out: Counter[str] = Counter()
        self._unmatched = 0

    def add(self, found: Lesson | Unmatched) -> None:
        """Count one text."""
        if isinstance(found, Unmatched):
            self._unmatched += 1
        elif found.flags:
            self._left_out[_reason(found.flags)] += 1
        else:
            self._kept += 1

    def line(self) -> str:
        """Return the counts in one line; those of the texts that were matched add up."""
        total = self._kept + self._left_out.total()
        why = ", ".join(f"{count:,} {reason}" for reason, count in self._left_out.most_common())
        line = f"recorded levels: {self._kept:,} of {total:,} kept" + (f" ({why})" if why else "")
        if self._unmatched:
            line += (
                f"; {self._unmatched:,} more belong to no problem that is taught (held out, "
                "excluded, unknown, or a second text)"
            )
        return line


def _reason(flags: Sequence[str]) -> str:
    told = next((told for gate, told in _REASONS if gate.value in flags), "")
    return told or str(flags[0])


def read_recorded(
    options: Options,
    problems: Sequence[Problem],
    *,
    grade: GradePairs,
    count_tokens: Callable[[str], int],
    gates: GateOptions | None = None,
) -> Iterator[Lesson | Unmatched]:
    """Yield the texts that could not be placed, then the lessons by problem and level.

    Lessons are as recorded, with the flags of every gate: each must end in the right answer and be
    no longer than the nearest level above it in the record. Raises InputError for a file or a
    column that is not there.
    """
    with closing(sqlite3.connect("")) as texts:  # on disk once it is large, and gone when closed
        texts.execute("CREATE TABLE texts (place, level, text, UNIQUE (place, level))")
        finder = _Finder(problems)
        for file in options.files:
            yield from _keep_texts(file, finder, texts)
        found = texts.execute("SELECT place, level, text FROM texts ORDER BY place, level")
        for batch in in_batches(_with_texts(problems, found), _CHECKED_TOGETHER):
            yield from _checked(batch, options.made_by, grade, count_tokens, gates)


class _Finder:
    """Where a problem stands among all, by its id or its text."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._problems = problems

    @cached_property
    def by_id(self) -> Mapping[str, int]:
        return {p.id: i for i, p in enumerate(self._problems)}

    @cached_property
    def by_text(self) -> Mapping[bytes, int]:
        return {text_key(normalise(p.text)): i for i, p in enumerate(self._problems)}

    def find(
        self, file: RecordedFile, row: Mapping[str, Any], where: str
    ) -> tuple[str, int | None]:
        """Return what a row calls its problem, and where that stands; None for no problem's."""
        if file.id:
            name = "/".join(as_text(column(row, c, where)) for c in file.id)
            return name, self.by_id.get(name)
        question = column(row, file.question, where) if file.question else _turn(row, "user", where)
        name = as_text(question)
        return name, self.by_text.get(text_key(normalise(name)))


def refuse_unmatched(options: Options, problems: Sequence[Problem]) -> None:
    """Raise InputError for a file of levels of which no row belongs to any of the problems."""
    finder = _Finder(problems)
    for file in options.files:
        first = ""
        for number, row in read_rows(file.path):
            where = f"{file.path} {place_of_row(file.path, number)}"
            name, place = finder.find(file, row, where)
            if place is not None:
                break
            first = first or name[:60]
        else:
            by, theirs = ("id", problems[0].id) if file.id else ("question", problems[0].text[:60])
            raise InputError(
                f"recorded: no row of {file.path} belongs to a problem of the study, so no level "
                f"would be taught: its first {by} is {first!r}, and the study's "
                f"first is {theirs!r}; name the column of {by}s."
            )


def _keep_texts(
    file: RecordedFile, finder: _Finder, texts: sqlite3.Connection
) -> Iterator[Unmatched]:
    """Yield what fits no problem; the rest is kept."""
    for number, row in read_rows(file.path):
        where = f"{file.path} {place_of_row(file.path, number)}"
        name, place = finder.find(file, row, where)
        for level, source in sorted(file.levels.items()):
            if place is None:
                why = "no problem of the study has this id or text (it may have been excluded)"
                yield Unmatched(where, level.value, name, why)
                continue
            is_chat = source == "messages"
            text = (
                _turn(row, "assistant", where) if is_chat else as_text(column(row, source, where))
            )
            kept = texts.execute(
                "INSERT OR IGNORE INTO texts VALUES (?, ?, ?)",
                (place, level.value, text.strip().encode("utf-8", "surrogatepass")),
            )
            if not kept.rowcount:
                yield Unmatched(where, level.value, name, "a second text of this level")


def _with_texts(
    problems: Iterable[Problem], found: Iterable[tuple[int, str, bytes]]
) -> Iterator[tuple[Problem, dict[str, str]]]:
    """Yield every problem that has texts, with them by level."""
    numbered = enumerate(problems)
    for place, rows in groupby(found, key=lambda row: row[0]):
        problem = next(p for i, p in numbered if i == place)
        yield problem, {level: text.decode("utf-8", "surrogatepass") for _, level, text in rows}


def _checked(
    batch: Sequence[tuple[Problem, dict[str, str]]],
    made_by: str,
    grade: GradePairs,
    count_tokens: Callable[[str], int],
    gates: GateOptions | None,
) -> Iterator[Lesson]:
    verdicts = _verdicts(batch, made_by, grade)
    for problem, own in batch:
        words = {level: count_words(text) for level, text in own.items()}
        above = ""
        for level in sorted(own):
            found = findings(
                problem,
                own[level],
                verdicts[problem.id, level],
                level=level,
                options=gates,
                words_above=words.get(above),
                words_r1=words.get(Level.R1),
            )
            yield Lesson(
                problem_id=problem.id,
                level=level,
                parent=above,
                text=own[level],
                words=words[level],
                tokens=count_tokens(own[level]),
                made_by=made_by,
                flags=flags_of(found),
            )
            above = level


def inversions(lessons: Iterable[Lesson]) -> tuple[Inversion, ...]:
    """Return a row for each two neighbouring levels that some problem has both of.

    Lessons of one trace stand together, and each trace counts.
    """
    levels: set[str] = set()
    longer: Counter[tuple[str, str]] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for own in _words(lessons):
        levels |= set(own)
        for pair in combinations(sorted(own), 2):
            both[pair] += 1
            longer[pair] += own[pair[1]] > own[pair[0]]
    return tuple(Inversion(*pair, longer[pair], both[pair]) for pair in pairwise(sorted(levels)))


def _words(lessons: Iterable[Lesson]) -> Iterator[Mapping[str, int]]:
    """Yield the words of each trace's lessons by level."""
    for _, own in groupby(lessons, key=lambda lesson: (lesson.problem_id, lesson.sample)):
        yield {str(lesson.level): lesson.words for lesson in own}


def _turn(row: Mapping[str, Any], role: str, where: str) -> str:
    """Return the last turn of that role in a row's messages."""
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
    batch: Sequence[tuple[Problem, dict[str, str]]], made_by: str, grade: GradePairs
) -> Mapping[tuple[str, str], Verdict]:
    names: dict[str, tuple[str, str]] = {}

    def pairs() -> Iterator[tuple[Problem, Response]]:
        for problem, own in batch:
            for level, text in own.items():
                condition_id = f"recorded/{level}"
                response = Response.of_text(made_by, problem.id, text, condition_id=condition_id)
                names[response.response_id] = (problem.id, level)
                yield problem, response

    return {names[verdict.response_id]: verdict for verdict in grade(pairs())}
