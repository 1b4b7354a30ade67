"""Validation problems that a student in training answers, to choose its checkpoint by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from potstill.chat import Message
from potstill.errors import InputError
from potstill.models.decoding import Finished, Request
from potstill.models.model import prompt_tokens
from potstill.records import Outcome, Problem, Response, Sampling

if TYPE_CHECKING:
    from potstill.grading.pool import GradingPool
    from potstill.models.model import LanguageModel
    from potstill.training.records import Trainer

__all__ = ["VALIDATION_SLOTS", "Validation", "ValidationQuestion", "Validator", "open_validator"]

# Answers decoded at once: a fixed number, so that the bits do not depend on free memory.
VALIDATION_SLOTS = 32


@dataclass(frozen=True, slots=True)
class ValidationQuestion:
    """A problem, and the chat by which it is asked."""

    HASHED_AS: ClassVar[str] = "Question"

    problem: Problem
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """The questions of one cell and how they are answered. No problem of it is ever scored on."""

    HASHED_AS: ClassVar[str] = "Exam"

    questions: tuple[ValidationQuestion, ...]
    sampling: Sampling


class Validator:
    """A set of validation questions with its prompts as token ids, and the grader that marks it."""

    def __init__(self, validation: Validation, base: LanguageModel, pool: GradingPool) -> None:
        self._validation = validation
        self._tokenizer = base.tokenizer
        self._pool = pool
        prompts = [tuple(prompt_tokens(base.tokenizer, q.messages)) for q in validation.questions]
        # A prompt that leaves no room is not asked, and so is not right.
        self._requests = [
            Request(number, prompt, validation.sampling)
            for number, prompt in enumerate(prompts)
            if len(prompt) < base.context_tokens
        ]

    @property
    def questions(self) -> int:
        """How many questions the validation has."""
        return len(self._validation.questions)

    def count_right(self, trainer: Trainer) -> int:
        """Return how many questions the student as it is now answers rightly, by the symbolic
        check.
        """
        answers = sorted(trainer.answer(self._requests), key=lambda done: done.key)
        verdicts = self._pool.grade(
            (self._validation.questions[done.key].problem, self._response(done)) for done in answers
        )
        return sum(verdict.outcome is Outcome.CORRECT for verdict in verdicts)

    def _response(self, done: Finished) -> Response:
        problem_id = self._validation.questions[done.key].problem.id
        text = self._tokenizer.decode(done.tokens, skip_special_tokens=True)
        return Response("", problem_id, "", 0, 0, "", text, done.finish, 0, done.tokens_out, "")


@contextmanager
def open_validator(
    validation: Validation | None, base: LanguageModel, kinds: Mapping[str, Mapping[str, Any]]
) -> Iterator[Validator | None]:
    """Yield a validator with a grading process of its own; None where there is no validation.

    ``kinds`` are the study's settings of answer kinds. Raises InputError for a validation without
    a question.
    """
    if validation is None:
        yield None
        return
    if not validation.questions:
        raise InputError(
            "select_by: accuracy needs validation problems, and there are none; raise "
            "split.valid, or choose by loss."
        )
    from potstill.grading.plugins import kind_settings
    from potstill.grading.pool import GradingPool

    with GradingPool(workers=1, kinds=kind_settings(kinds)) as pool:
        yield Validator(validation, base, pool)
