"""Validation problems that a student in training answers, to choose its checkpoint by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from potstill.chat import Message
from potstill.errors import InputError
from potstill.models.decoding import Finished, Request, draw_seed
from potstill.records import Outcome, Problem, Response, Sampling

if TYPE_CHECKING:
    from potstill.grading import GradingPool
    from potstill.models.model import LanguageModel
    from potstill.training.records import Trainee

__all__ = ["EXAM_SLOTS", "Exam", "Examiner", "Question", "open_examiner"]

# Answers decoded at once: a fixed number, so that the bits do not depend on free memory.
EXAM_SLOTS = 32


@dataclass(frozen=True, slots=True)
class Question:
    """A problem, and the chat by which it is asked."""

    problem: Problem
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Exam:
    """The questions of one cell and how they are answered. No problem of it is ever scored on."""

    questions: tuple[Question, ...]
    sampling: Sampling


class Examiner:
    """An exam with its prompts as token ids, and the grader that marks it."""

    def __init__(self, exam: Exam, base: LanguageModel, pool: GradingPool) -> None:
        from potstill.models.model import prompt_tokens

        self._exam = exam
        self._tokenizer = base.tokenizer
        self._pool = pool
        prompts = [tuple(prompt_tokens(base.tokenizer, q.messages)) for q in exam.questions]
        # A prompt that leaves no room is not asked, and so is not right.
        self._requests = [
            Request(number, prompt, exam.sampling, draw_seed(exam.sampling, 0, 0, prompt))
            for number, prompt in enumerate(prompts)
            if len(prompt) < base.context_tokens
        ]

    @property
    def questions(self) -> int:
        """How many questions the exam has."""
        return len(self._exam.questions)

    def count_right(self, trainee: Trainee) -> int:
        """Return how many questions the student as it is now answers rightly, by the symbolic
        check.
        """
        answers = sorted(trainee.answer(self._requests), key=lambda done: done.key)
        verdicts = self._pool.grade(
            (self._exam.questions[done.key].problem, self._response(done)) for done in answers
        )
        return sum(verdict.outcome is Outcome.CORRECT for verdict in verdicts)

    def _response(self, done: Finished) -> Response:
        problem_id = self._exam.questions[done.key].problem.id
        text = self._tokenizer.decode(done.tokens, skip_special_tokens=True)
        return Response("", problem_id, "", 0, 0, "", text, done.finish, 0, done.tokens_out, "")


@contextmanager
def open_examiner(exam: Exam | None, base: LanguageModel) -> Iterator[Examiner | None]:
    """Yield an examiner with a grading process of its own; None where there is no exam.

    Raises InputError for an exam without a question.
    """
    from potstill.grading import GradingPool

    if exam is None:
        yield None
        return
    if not exam.questions:
        raise InputError(
            "select_by: accuracy needs validation problems, and there are none; raise "
            "split.valid, or choose by loss."
        )
    with GradingPool(workers=1) as pool:
        yield Examiner(exam, base, pool)
