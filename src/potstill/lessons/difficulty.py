"""How hard each problem is, 1 to 10: as a model rates it, or as often as the teacher fails it.

Rated by a model as in arXiv 2606.31048 (its difficulty by year); the prompt never holds the key.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from potstill.chat import Ask, Completion, Message, Solver
from potstill.records import Outcome, Problem, Sampling, Verdict

__all__ = ["DifficultyOptions", "Rating", "rate_by_failures", "rate_by_model", "rating_messages"]

RATING_SYSTEM = (
    "You rate how hard mathematics problems are for a strong secondary-school student, from 1 "
    "(one routine step) to 10 (a competition's last problem). Do not solve the problem at length. "
    "Reply with one line that is exactly\nDifficulty: N\nwhere N is a whole number from 1 to 10."
)
RATING_SAMPLING = Sampling(temperature=0.0, max_tokens=1024)
_REMINDER = (
    "Your reply could not be read. Reply with the one line `Difficulty: N` and nothing else."
)
_LINE = re.compile(r"(?im)^[\s*_`#>]*(?:difficulty\s*[*_]*\s*:\s*)?[*_`]*(10|[1-9])\b[*_`.\s]*$")


class DifficultyOptions(BaseModel):
    """How problems are rated, and which ratings are trained on (``train: [low, high]``).

    ``by: model`` asks the study's ``rater``; ``by: failures`` takes the share of the teacher's own
    ``samples`` that were not right.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    by: Literal["model", "failures"]
    train: tuple[int, int] = Field(default=(1, 10), strict=False)

    @model_validator(mode="after")
    def _in_order(self) -> DifficultyOptions:
        low, high = self.train
        if not 1 <= low <= high <= 10:
            raise ValueError(f"train: [{low}, {high}] is no range within 1 to 10")
        return self


@dataclass(frozen=True, slots=True)
class Rating:
    """A problem's difficulty, 1 to 10; 0 where it could not be had, and ``why`` says it.

    ``failed`` is a call that did not come through: it is made again by the next run.
    """

    problem_id: str
    difficulty: int
    why: str
    ledger_key: str = ""
    failed: bool = False

    @property
    def group(self) -> str:
        """The value in tables: two digits, so that they sort."""
        return f"{self.difficulty:02}" if self.difficulty else "unrated"


def rating_messages(problem: Problem, attempt: int = 0) -> tuple[Message, ...]:
    """Return the chat that has a problem rated. The key is no part of it."""
    user = f"<problem>\n{problem.text.strip()}\n</problem>"
    if attempt:
        user += f"\n\n{_REMINDER}"
    return Message("system", RATING_SYSTEM), Message("user", user)


def rate_by_model(rater: Solver, problems: Sequence[Problem], stage: str) -> Iterator[Rating]:
    """Yield one rating per problem, as they come; what cannot be read is asked for once more."""
    by_id = {p.id: p for p in problems}
    again: list[Problem] = []
    asks = (Ask(p.id, rating_messages(p), RATING_SAMPLING) for p in problems)
    for result in rater.complete(asks, stage):
        rating = _read(result)
        if rating is None:
            again.append(by_id[result.tag])
        else:
            yield rating
    repeats = [Ask(p.id, rating_messages(p, 1), RATING_SAMPLING, attempt=1) for p in again]
    for result in rater.complete(repeats, stage) if repeats else ():
        yield _read(result) or Rating(result.tag, 0, "the rater's replies cannot be read")


def rate_by_failures(problems: Iterable[Problem], verdicts: Iterable[Verdict]) -> list[Rating]:
    """Return one rating per problem: 1 where every answer was right, 10 where none was.

    Between them 1 + round(9 x share of answers not right). Answers whose key cannot be read, and
    calls that failed, count for nothing.
    """
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for verdict in verdicts:
        if verdict.outcome not in (Outcome.BAD_KEY, Outcome.ERRORED):
            asked[verdict.problem_id] += 1
            right[verdict.problem_id] += verdict.outcome is Outcome.CORRECT
    found = []
    for problem in problems:
        n, wrong = asked[problem.id], asked[problem.id] - right[problem.id]
        why = f"{wrong} of {n} answers not right" if n else "no answer that can be judged"
        found.append(Rating(problem.id, 1 + round(9 * wrong / n) if n else 0, why))
    return found


def _read(result: Completion) -> Rating | None:
    """Return the rating a reply gives; None where it cannot be read."""
    if result.error or not result.asked:
        return Rating(result.tag, 0, result.error, failed=result.asked)
    lines = _LINE.findall(result.text)
    if len(set(lines)) != 1:
        return None
    return Rating(result.tag, int(lines[0]), "rated by a model", result.ledger_key)
