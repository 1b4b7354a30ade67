"""Several teachers of the same problems: whose a draw is, and which lessons are of whom.

What all of them said of the problems to be taught stands together, each teacher's draws under
numbers of their own, so that grading, ranking, condensing and gates need not know of them. A
problem is taught only where every teacher has a lesson of it, so that their students differ in the
teacher alone: ``r1-R1`` beside ``qwq-R1``, and R1, the mixture, beside both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from potstill.errors import InputError
from potstill.records import Lesson, Outcome, Problem, Response, Verdict
from potstill.store.tables import Lazy, part
from potstill.text import several

__all__ = [
    "MOST_SAMPLES",
    "Draw",
    "FellAway",
    "PooledResponses",
    "lessons_of_each",
    "of_all_teachers",
    "own_draw",
    "refuse_none_taught",
    "reply_name",
    "right_of_each",
    "taught_by_all",
    "teacher_place",
    "teachers_sentence",
    "whose",
]

MOST_SAMPLES = 64
"""The draws of one teacher at most, and so by how much the numbers of the next one's are raised."""


class Draw(Protocol):
    """Whatever is of one draw of one problem."""

    @property
    def problem_id(self) -> str: ...

    @property
    def sample(self) -> int: ...


def teacher_place(sample: int) -> int:
    """Return which of the teachers a draw is of, by its number among all."""
    return sample // MOST_SAMPLES


def own_draw(sample: int) -> int:
    """Return the number of a draw among those of its own teacher."""
    return sample % MOST_SAMPLES


def whose(draw: Draw) -> tuple[str, int]:
    """Return the problem and the teacher that a draw is of."""
    return draw.problem_id, teacher_place(draw.sample)


def reply_name(sample: int, teachers: Sequence[str]) -> str:
    """Return what a reader calls a reply: its number, and whose it is where there are several."""
    number = f"reply {own_draw(sample) + 1}"
    return f"{number} of {teachers[teacher_place(sample)]}" if teachers else number


class PooledResponses(Lazy[Response]):
    """The responses of several teachers to the same problems, by problem and then by teacher.

    ``of_each`` are in the order of the problems; a problem may have none of a teacher.
    """

    def __init__(self, of_each: Sequence[Sequence[Response]], problems: Sequence[Problem]) -> None:
        self._of_each, self._problems = of_each, problems
        self._places: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return sum(map(len, self._of_each))

    def __iter__(self) -> Iterator[Response]:
        for teacher, _, response in self._walk():
            yield _numbered(response, teacher)

    def _at(self, place: int) -> Response:
        if not self._places:
            self._places = [(teacher, i) for teacher, i, _ in self._walk()]
        teacher, i = self._places[place]
        return _numbered(self._of_each[teacher][i], teacher)

    def _walk(self) -> Iterator[tuple[int, int, Response]]:
        """Yield every response with its teacher and its place among that one's."""
        following = [enumerate(responses) for responses in self._of_each]
        ahead = [next(x, None) for x in following]
        for problem in self._problems:
            for teacher, rest in enumerate(following):
                while (found := ahead[teacher]) and found[1].problem_id == problem.id:
                    yield teacher, *found
                    ahead[teacher] = next(rest, None)


def _numbered(response: Response, teacher: int) -> Response:
    return replace(response, sample=teacher * MOST_SAMPLES + response.sample)


@dataclass(frozen=True, slots=True)
class FellAway:
    """The problems that some teacher has right and not every one has a lesson of: how many they
    are, and how many of them each teacher, in order, has wrong or no lesson of.
    """

    problems: int
    lacking: tuple[int, ...]


def right_of_each(judged: Iterable[tuple[Response, Verdict]], teachers: int) -> list[set[str]]:
    """Return the problems that each of so many teachers has a right answer to."""
    right = ((response, verdict.outcome is Outcome.CORRECT) for response, verdict in judged)
    return _problems_of_each((response for response, correct in right if correct), teachers)


def of_all_teachers(right: Sequence[Response], teachers: int) -> Sequence[Response]:
    """Return the right answers to problems that each of so many teachers has one to; all of them
    where there are not several. No other is condensed: it could not be taught.
    """
    if not teachers:
        return right
    every = set.intersection(*_problems_of_each(right, teachers))
    return part(right, [i for i, x in enumerate(right) if x.problem_id in every])


def taught_by_all(
    chosen: Mapping[str, Sequence[Lesson]], right: Sequence[set[str]]
) -> tuple[Mapping[str, Sequence[Lesson]], Mapping[str, FellAway]]:
    """Return the lessons ``chosen`` by level, of the problems alone that each teacher has one of
    there, and what fell away at each level of those that the teachers had ``right``.
    """
    kept: dict[str, Sequence[Lesson]] = {}
    fell: dict[str, FellAway] = {}
    some, all_right = set[str]().union(*right), set.intersection(*right)
    for level, lessons in chosen.items():
        has = _problems_of_each(lessons, len(right))
        every = set.intersection(*has)
        kept[level] = part(lessons, [i for i, x in enumerate(lessons) if x.problem_id in every])
        lacking = (
            (some - knows) | (all_right - own) for knows, own in zip(right, has, strict=True)
        )
        fell[level] = FellAway(len(some - every), tuple(map(len, lacking)))
    return kept, fell


def _problems_of_each(draws: Iterable[Draw], teachers: int) -> list[set[str]]:
    has: list[set[str]] = [set() for _ in range(teachers)]
    for draw in draws:
        has[teacher_place(draw.sample)].add(draw.problem_id)
    return has


def refuse_none_taught(teachers: Sequence[str], chosen: Mapping[str, Sequence[Lesson]]) -> None:
    """Raise InputError where several teachers have no problem that all have lessons of."""
    if teachers and not any(chosen.values()):
        raise InputError(
            f"No problem has a lesson of every teacher ({', '.join(teachers)}) that passed, so "
            "nothing is taught; potstill inspect DIR --gates shows what kept lessons out, and "
            "without the teacher whose lessons fail the others can be taught."
        )


def lessons_of_each(
    chosen: Mapping[str, Sequence[Lesson]], teachers: Sequence[str], levels: Sequence[str]
) -> Mapping[str, Sequence[Lesson]]:
    """Return the lessons ``chosen`` at each of the levels that are of one teacher alone, by the
    name of its student: ``r1-R1``.
    """
    return {
        f"{name}-{level}": part(
            chosen[level],
            [i for i, x in enumerate(chosen[level]) if teacher_place(x.sample) == place],
        )
        for place, name in enumerate(teachers)
        for level in map(str, levels)
    }


def teachers_sentence(
    teachers: Sequence[str],
    level: str,
    chosen: Mapping[str, Sequence[Lesson]],
    fell_away: Mapping[str, FellAway],
) -> str:
    """Return how many lessons each teacher has at a level and how long they are, and how many
    problems fell away because one of them had none; "" where there is one teacher.
    """
    if not teachers:
        return ""
    told = []
    for name in teachers:
        lessons = chosen[f"{name}-{level}"]
        tokens = sum(lesson.tokens for lesson in lessons)
        told.append(f"{name} {several(len(lessons), 'lesson')} of {several(tokens, 'token')}")
    problems = len({lesson.problem_id for lesson in chosen[level]})
    text = f"At {level} every teacher teaches the same {several(problems, 'problem')}: "
    text += ", ".join(told)
    fell = fell_away[level]
    if fell.problems:
        lacks = [f"{name} {n:,}" for name, n in zip(teachers, fell.lacking, strict=True) if n]
        text += (
            f"; {several(fell.problems, 'problem')} fell away, for a teacher has no lesson there "
            f"that passed ({', '.join(lacks)})"
        )
    return f"{text}."
