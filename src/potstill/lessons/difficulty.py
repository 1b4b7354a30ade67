"""How hard each problem is, 1 to 10: as a model rates it, or as often as the teacher or the base
fails it.

Rated by a model as in arXiv 2606.31048 (its difficulty by year); the prompt never holds the key.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from potstill.chat import Ask, Completion, Message, Solver
from potstill.errors import InputError
from potstill.records import Outcome, Problem, Sampling, Split, Verdict
from potstill.store.settings import Settings
from potstill.text import several

__all__ = [
    "DifficultyOptions",
    "PassRate",
    "Rating",
    "outside_difficulty",
    "pass_rate_sentence",
    "pass_rates",
    "rate_by_failures",
    "rate_by_model",
    "rate_by_passes",
    "rating_messages",
    "refuse_none_worth",
    "worth_teaching",
]

RATING_SYSTEM = (
    "You rate how hard mathematics problems are for a strong secondary-school student, from 1 "
    "(one routine step) to 10 (a competition's last problem). Do not solve the problem at length. "
    "Reply with one line that is exactly\nDifficulty: N\nwhere N is a whole number from 1 to 10."
)
RATING_SAMPLING = Sampling(temperature=0.0, max_tokens=1024)
_FIRST = 10  # problems that are looked at before the rest is asked
_UNREADABLE = "the rater's replies cannot be read"
_REMINDER = (
    "Your reply could not be read. Reply with the one line `Difficulty: N` and nothing else."
)
_NO_ANSWER = "no answer that can be judged"
_LINE = re.compile(r"(?im)^[\s*_`#>]*(?:difficulty\s*[*_]*\s*:\s*)?[*_`]*(10|[1-9])\b[*_`.\s]*$")


class DifficultyOptions(Settings):
    """How problems are rated, and which ratings are trained on (``train: [low, high]``).

    ``by: model`` asks the study's ``rater``; ``by: failures`` takes the share of the teacher's own
    ``samples`` that were not right. ``by: student`` has the base answer the problems to be taught,
    ``samples`` times each, under the prompt of the evaluation: on this machine, so that a
    verifier alone may cost something, which reads of them what it reads of all answers. There 1 is
    right in every draw and 10 in none, and nothing else is either; held-out problems are not rated.
    """

    ADDED = ("samples", "temperature", "top_p", "max_tokens", "seed")

    by: Literal["model", "failures", "student"]
    train: tuple[int, int] = Field(default=(1, 10), strict=False)
    samples: Annotated[
        int, Field(ge=1, le=64, description="by: student: the base's draws of each problem.")
    ] = 4
    temperature: Annotated[
        float, Field(ge=0, le=2, description="by: student: 0 is greedy, one draw.")
    ] = 0.6
    top_p: Annotated[float, Field(gt=0, le=1, description="by: student: as in the evaluation.")] = (
        1.0
    )
    max_tokens: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description="by: student: where a draw is cut; auto is the evaluation's, or 1,024 where "
        "that is auto too, for there are no lessons yet.",
    )
    seed: int = Field(default=0, description="by: student: draws the tokens.")

    @model_validator(mode="after")
    def _agree(self) -> DifficultyOptions:
        low, high = self.train
        if not 1 <= low <= high <= 10:
            raise ValueError(f"train: [{low}, {high}] is no range within 1 to 10")
        own = self.model_fields_set - {"by", "train"}
        if self.by != "student" and own:
            raise ValueError(
                f"{min(own)} decides nothing with by: {self.by}; take it out, or set by: student"
            )
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples: {self.samples} draws at temperature 0 are all the same; set a "
                "temperature, such as 0.6, or samples: 1"
            )
        if self.by == "student":
            self.refuse_unreached(self.samples)
        return self

    def refuse_unreached(self, draws: int) -> None:
        """Raise ValueError where none of the ratings that so many draws can give is trained on."""
        (low, high), given = self.train, range(draws + 1)
        if self.by == "student":
            found = sorted({PassRate(right, draws).difficulty for right in given})
        else:
            found = sorted({_of_failures(wrong, draws) for wrong in given})
        if not any(low <= rating <= high for rating in found):
            raise ValueError(
                f"train: [{low}, {high}] holds no rating that {several(draws, 'draw')} can give "
                f"({', '.join(map(str, found))}); widen it, or set more samples"
            )

    def left_out(self) -> Iterable[str]:
        """Return the settings of draws where none are made; where they are, each is said."""
        return () if self.by == "student" else super().left_out()

    def sampling(self, auto_tokens: int) -> Sampling:
        """Return how the base's draws are made; ``auto_tokens`` where ``max_tokens`` is auto."""
        most = auto_tokens if self.max_tokens == "auto" else self.max_tokens
        return Sampling(self.temperature, self.top_p, self.seed, most)


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
    """Yield one rating per problem, as they come; what cannot be read is asked for once more.

    Raises InputError where none of the first ten can be read.
    """
    first = list(_rate(rater, problems[:_FIRST], stage))
    if len(first) == _FIRST and all(rating.why == _UNREADABLE for rating in first):
        raise InputError(
            f"rater ({rater.id}): none of its first {_FIRST} replies, each asked for twice, could "
            f"be read as a rating from 1 to 10; name another model as rater, or set difficulty: "
            "{by: failures}, and run again; nothing more is bought."
        )
    yield from first
    yield from _rate(rater, problems[_FIRST:], stage)


def _rate(rater: Solver, problems: Sequence[Problem], stage: str) -> Iterator[Rating]:
    by_id = {p.id: p for p in problems}
    again: list[Problem] = []
    asks = (Ask(p.id, rating_messages(p), RATING_SAMPLING) for p in problems)
    for result in rater.complete(asks, stage) if problems else ():
        rating = _read(result)
        if rating is None:
            again.append(by_id[result.tag])
        else:
            yield rating
    repeats = [Ask(p.id, rating_messages(p, 1), RATING_SAMPLING, attempt=1) for p in again]
    for result in rater.complete(repeats, stage) if repeats else ():
        yield _read(result) or Rating(result.tag, 0, _UNREADABLE)


@dataclass(frozen=True, slots=True)
class PassRate:
    """How many of a problem's draws were right; ``draws`` are those that can be judged."""

    right: int
    draws: int

    @property
    def difficulty(self) -> int:
        """1 where all draws are right, 10 where none is, else 2 to 9; 0 without any draw."""
        if not self.draws:
            return 0
        if self.right in (0, self.draws):
            return 1 if self.right else 10
        return min(9, max(2, 1 + round(9 * (self.draws - self.right) / self.draws)))


def pass_rates(problems: Iterable[Problem], verdicts: Iterable[Verdict]) -> dict[str, PassRate]:
    """Return how many answers of each problem were right.

    Answers whose key cannot be read, and calls that failed, count for nothing.
    """
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for verdict in verdicts:
        if verdict.outcome not in (Outcome.BAD_KEY, Outcome.ERRORED):
            asked[verdict.problem_id] += 1
            right[verdict.problem_id] += verdict.outcome is Outcome.CORRECT
    return {p.id: PassRate(right[p.id], asked[p.id]) for p in problems}


def rate_by_passes(rates: Mapping[str, PassRate]) -> list[Rating]:
    """Return one rating per problem of how often its draws were right (:class:`PassRate`)."""
    return [
        Rating(
            problem_id,
            rate.difficulty,
            f"{rate.right} of {several(rate.draws, 'draw')} right" if rate.draws else _NO_ANSWER,
        )
        for problem_id, rate in rates.items()
    ]


def pass_rate_sentence(rates: Mapping[str, PassRate], samples: int) -> str:
    """Return how many problems the base always, sometimes and never answers rightly."""
    bins = Counter(rate.difficulty for rate in rates.values())
    between = sum(n for difficulty, n in bins.items() if 1 < difficulty < 10)
    unrated = f", without a draw that can be judged {bins[0]:,}" if bins[0] else ""
    return (
        f"The base before training on the {several(len(rates), 'problem')} to be taught, "
        f"{several(samples, 'draw')} of each: right in every draw (difficulty 1) {bins[1]:,}, in "
        f"some (2 to 9) {between:,}, in none (10) {bins[10]:,}{unrated}."
    )


def rate_by_failures(problems: Iterable[Problem], verdicts: Iterable[Verdict]) -> list[Rating]:
    """Return one rating per problem: 1 where every answer was right, 10 where none was.

    Between them 1 + round(9 x share of answers not right). Answers whose key cannot be read, and
    calls that failed, count for nothing.
    """
    found = []
    for problem_id, rate in pass_rates(problems, verdicts).items():
        n, wrong = rate.draws, rate.draws - rate.right
        why = f"{wrong} of {n} answers not right" if n else _NO_ANSWER
        found.append(Rating(problem_id, _of_failures(wrong, n) if n else 0, why))
    return found


def _of_failures(wrong: int, draws: int) -> int:
    return 1 + round(9 * wrong / draws)


def worth_teaching(
    options: DifficultyOptions | None, problems: Sequence[Problem]
) -> Sequence[Problem]:
    """Return those of the problems whose difficulty is trained on; an unrated one only where all
    are.
    """
    if options is None or options.train == (1, 10):
        return problems
    low, high = options.train
    rated = [(p, p.groups["difficulty"]) for p in problems]
    return [p for p, rating in rated if rating.isdigit() and low <= int(rating) <= high]


def refuse_none_worth(
    options: DifficultyOptions | None, problems: Mapping[str, Sequence[Problem]]
) -> None:
    """Raise InputError where all ``problems`` of a split, by its name, are too easy or too hard."""
    for split, own in problems.items():
        if options is None or not own or worth_teaching(options, own):
            continue
        counts = sorted(Counter(p.groups["difficulty"].lstrip("0") for p in own).items())
        rated = ", ".join(f"{rating} ({n:,})" for rating, n in counts)
        raise InputError(
            f"difficulty.train: {list(options.train)} leaves none of the "
            f"{several(len(own), 'problem')} of the split {split}, which are rated {rated}; widen "
            "it, and run again: what was asked is kept."
        )


def outside_difficulty(
    options: DifficultyOptions | None, problems: Sequence[Problem], splits: Mapping[str, Split]
) -> int:
    """Return how many problems to teach are too easy or too hard to be trained on."""
    taught = [p for p in problems if splits[p.id] in (Split.TRAIN, Split.VALID)]
    return len(taught) - len(worth_teaching(options, taught))


def _read(result: Completion) -> Rating | None:
    """Return the rating a reply gives; None where it cannot be read."""
    if result.error or not result.asked:
        return Rating(result.tag, 0, result.error, failed=result.asked)
    lines = _LINE.findall(result.text)
    if len(set(lines)) != 1:
        return None
    return Rating(result.tag, int(lines[0]), "rated by a model", result.ledger_key)
