"""What the tutor's page shows of a study: its levels, its problems, the teacher's reasoning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.deploy.serve.asking import right_on
from potstill.errors import InputError
from potstill.grading.maths.comparison import KeyUnreadable
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.plugins import is_for_plugin
from potstill.pipeline.directory import StudyDirectory
from potstill.records import (
    Finish,
    Lesson,
    Opinion,
    Outcome,
    Problem,
    Response,
    Role,
    Split,
    TextGold,
    Verdict,
)

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent
    from potstill.grading import GradingPool
    from potstill.study.schema import Study

__all__ = ["TutorTexts", "compare_own", "grade_text", "read_texts"]

_LISTED_CHARACTERS = 200  # of a problem in the list; the page asks for the rest
_SPLITS = {
    Split.HELDOUT: "held out: no student has trained on it",
    Split.KEPT: "kept to see what was lost: nothing like it was taught",
    Split.TRAIN: "training: students may have learnt it",
    Split.VALID: "validation: checkpoints are chosen by it",
}
_OUTCOMES = {
    Outcome.CORRECT: "Right",
    Outcome.WRONG: "Wrong",
    Outcome.TRUNCATED: "Cut at its token limit",
    Outcome.BLANK: "No answer",
    Outcome.UNPARSED: "No answer could be read",
    Outcome.UNDECIDED: "Undecided",
    Outcome.BAD_KEY: "The key cannot be read",
}
_OPINIONS = {
    Opinion.EQUAL: Outcome.CORRECT,
    Opinion.DIFFERENT: Outcome.WRONG,
    Opinion.UNDECIDED: Outcome.UNDECIDED,
}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TutorTexts:
    """A study as the page reads it: every method gives what goes into a JSON answer."""

    study: Study
    problems: Mapping[str, Problem]
    splits: Mapping[str, Split]
    students: Mapping[str, FoundStudent]
    taught: Mapping[str, tuple[Response, Verdict | None]]
    lessons: Mapping[str, Mapping[str, Lesson]]

    def overview(self) -> Row:
        """Return the study's name, the levels of the dial and the ``best`` of them ("" where none
        was scored), and a line for every problem, held-out ones first.
        """
        return {
            "name": self.study.name,
            "about": self.study.about,
            "levels": [_level(level, student) for level, student in self.students.items()],
            "best": _best(self.students),
            "problems": [
                {"id": p.id, "text": _line(p.text), "split": self.split_words(p)}
                for split in (Split.HELDOUT, Split.KEPT, Split.VALID, Split.TRAIN)
                for p in self.problems.values()
                if self.splits[p.id] is split
            ],
        }

    def split_words(self, problem: Problem) -> str:
        """Return in which split it stands, in words."""
        return _SPLITS[self.splits[problem.id]]

    def problem(self, id: str) -> Row | None:
        """Return a problem with its key, the teacher's reply and its lessons; None for an unknown
        id.
        """
        problem = self.problems.get(id)
        if problem is None:
            return None
        lessons = self.lessons.get(id, {})
        return {
            "id": problem.id,
            "text": problem.text,
            "key": problem.key_shown,
            "split": self.split_words(problem),
            "teacher": self._reply(id),
            "lessons": {level: lessons[level].text for level in self.students if level in lessons},
        }

    def _reply(self, id: str) -> Row | None:
        if id not in self.taught:
            return None
        response, verdict = self.taught[id]
        return {
            "solver": response.solver,
            "reasoning": response.reasoning,
            "text": response.text,
            "tokens": response.tokens_out,
            "verdict": verdict and _row_of(verdict),
        }


def read_texts(directory: Path, students: Sequence[FoundStudent]) -> TutorTexts:
    """Return all that the page shows, of whatever is finished. Raises StoreError for no study."""
    found = StudyDirectory.open(directory)
    by_level = {student.level.removeprefix("mix-"): student for student in students}
    problems = {problem.id: problem for problem in found.made.problems}
    replies = dict(_replies(found))
    lessons = found.lessons_by_problem()
    return TutorTexts(found.study, problems, found.made.splits, by_level, replies, lessons)


def grade_text(pool: GradingPool, problem: Problem, text: str, finish: Finish) -> Row:
    """Return the symbolic verdict on a student's text."""
    response = Response("student", problem.id, "", 0, 0, "", text, finish, 0, 0, "")
    return _row_of(next(iter(pool.grade([(problem, response)]))))


def compare_own(
    pool: GradingPool, text: str, said: str, own: str, problem: Problem | None
) -> Mapping[str, Row | None]:
    """Return a person's answer as the key to what the student ``said``, and beside the problem's
    own key.

    ``text`` is the problem's. Only text keys are compared; nothing that is typed is run. Raises
    InputError for an empty answer.
    """
    own = own.strip()
    if not own:
        raise InputError("There is no answer to compare with; type one.")
    key = Problem("typed", text, TextGold(own), infer_kind(own, text), "typed")
    student = grade_text(pool, key, said, Finish.STOP) if said.strip() else None
    return {"student": student, "key": _beside_key(pool, problem, own) if problem else None}


def _beside_key(pool: GradingPool, problem: Problem, own: str) -> Row | None:
    if is_for_plugin(problem) or not isinstance(problem.gold, TextGold):
        return None
    try:
        result = pool.equal(problem.gold.text, own, problem.kind, problem.text)
    except KeyUnreadable as exc:
        return _verdict(Outcome.BAD_KEY, own, str(exc))
    return _verdict(_OPINIONS[result.opinion], own, result.why)


def _replies(found: StudyDirectory) -> Iterator[tuple[str, tuple[Response, Verdict | None]]]:
    """Return for every problem the reply that the teacher had right, else its first."""
    cells = [cell for cell in found.made.answers if cell.role is Role.TEACHER]
    for cell in (found.made.taught, *cells):
        verdicts = {v.response_id: v for v in cell.verdicts}
        kept: dict[str, tuple[Response, Verdict | None]] = {}
        for response in cell.responses:
            verdict = verdicts.get(response.response_id)
            before = kept.get(response.problem_id)
            if before is None or (_is_right(verdict) and not _is_right(before[1])):
                kept[response.problem_id] = (response, verdict)
        yield from kept.items()


def _is_right(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.outcome is Outcome.CORRECT


def _level(level: str, student: FoundStudent) -> Row:
    rows = [row for row in student.scores if row["accuracy"] is not None]
    return {
        "level": level,
        "student": student.student.id,
        "sure": "; ".join(map(right_on, rows)) or "the study has not scored it",
    }


def _best(students: Mapping[str, FoundStudent]) -> str:
    """Return the level that was right most often on the held-out problems, of equals the first."""
    right = {
        level: sum(row["accuracy"] * row["n"] for row in rows) / sum(row["n"] for row in rows)
        for level, student in students.items()
        if (rows := [row for row in student.scores if row["accuracy"] is not None and row["n"]])
    }
    return max(right, key=lambda level: right[level], default="")


def _row_of(verdict: Verdict) -> Row:
    return _verdict(verdict.outcome, verdict.extracted, verdict.why)


def _verdict(outcome: Outcome, read: str, why: str) -> Row:
    word = _OUTCOMES.get(outcome, outcome.value.lower())
    return {"outcome": outcome.value, "word": word, "read": read, "why": why}


def _line(text: str) -> str:
    line = " ".join(text[: 2 * _LISTED_CHARACTERS].split())
    return line if len(line) <= _LISTED_CHARACTERS else f"{line[:_LISTED_CHARACTERS]}…"
