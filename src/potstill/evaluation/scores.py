"""From verdicts to scores and comparisons: who answered what, how often right, and against whom.

join -> refuse_leaks -> evaluate (score, summarise, compare)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeAlias

from potstill.errors import StudyError
from potstill.evaluation.samples import AtK, agreement, at_k
from potstill.evaluation.seeds import Table, across_seeds, right_shares
from potstill.records import (
    Level,
    Outcome,
    Problem,
    Reading,
    Response,
    Role,
    Score,
    Split,
    Verdict,
    reading_of,
)
from potstill.text import several

__all__ = [
    "Answered",
    "Draws",
    "LevelScore",
    "by_group",
    "by_seed",
    "check_counts",
    "check_readings",
    "join",
    "level_order",
    "refuse_leaks",
    "response_words",
    "right_by_seed",
    "score",
    "summarise",
]

_NAMED = 5  # ids spelled out in an error before it says how many more


@dataclass(frozen=True, slots=True)
class Answered:
    """One response with its verdict and its problem's groups: one row of everything scored.

    ``level`` is the student's variant (R1..R6, mix, ...) and empty for base and teacher; ``seed``
    is the training seed and 0 for them. ``set`` names the problem set, ``read`` is the answer that
    was read from the response and ``rule`` the rule that read it; ``sample`` tells several draws of
    one problem apart.
    """

    solver: str
    role: Role
    level: str
    seed: int
    set: str
    split: Split
    problem_id: str
    groups: Mapping[str, str]
    condition_id: str
    outcome: Outcome
    words: int
    tokens: int
    read: str = ""
    rule: str = ""
    sample: int = 0

    @property
    def reading(self) -> Reading:
        """How the answer was read."""
        return reading_of(self.outcome, self.rule)

    @property
    def right(self) -> bool:
        """Whether it is CORRECT."""
        return self.outcome is Outcome.CORRECT

    @property
    def right_in_a_box(self) -> bool:
        """Whether it is CORRECT and was read from a box: what a strict reading counts."""
        return self.right and self.reading is Reading.BOX

    @property
    def unread(self) -> bool:
        """Whether nobody could tell right from wrong: UNPARSED or UNDECIDED."""
        return self.reading is Reading.UNREAD


Draws: TypeAlias = tuple[Answered, ...]
"""All answers of one solver to one problem under one condition."""


@dataclass(frozen=True, slots=True)
class LevelScore:
    """How base, teacher or all seeds of one level did together on one group of one set.

    ``n`` counts problems with a readable key, ``responses`` everything answered: ``outcomes`` and
    ``readings`` each sum to it, ``readings_right`` is how many of each reading were CORRECT.
    ``accuracy`` is the mean over ``seeds``, ``sd`` their spread (None for one seed); ``low`` and
    ``high`` count problems, seeds and draws at 95 %. Where each problem was drawn several times
    (``draws``), ``at_k`` holds pass@k and majority@k and ``agreement`` how often two draws of a
    problem agree; of all problems alone, not of groups.
    """

    role: Role
    level: str
    solvers: tuple[str, ...]
    seeds: tuple[int, ...]
    condition_id: str
    set: str
    split: Split
    group: str
    n: int
    responses: int
    outcomes: Mapping[str, int]
    accuracy: float
    sd: float | None
    low: float
    high: float
    words: float
    tokens: float
    accuracy_by_seed: tuple[float, ...] = field(default=())
    readings: Mapping[str, int] = field(default_factory=dict)
    readings_right: Mapping[str, int] = field(default_factory=dict)
    draws: int = 1
    at_k: tuple[AtK, ...] = ()
    agreement: float | None = None


def response_words(response: Response) -> int:
    """Return the words a solver wrote, reasoning and answer together, split at white space."""
    return len(response.reasoning.split()) + len(response.text.split())


def join(
    responses: Iterable[Response],
    verdicts: Iterable[Verdict],
    problems: Iterable[Problem],
    *,
    role: Role,
    set: str,
    split: Split,
    level: str = "",
    seed: int = 0,
) -> list[Answered]:
    """Return one :class:`Answered` per problem and sample, in the order of the responses.

    Responses are in the order of the problems, verdicts in that of the responses. Where a problem
    was attempted again, the last attempt counts. Raises StudyError for a response without a
    verdict or without its problem.
    """
    rows: dict[tuple[str, str, str, int], tuple[int, Answered]] = {}
    following, problem = iter(problems), None
    for response, verdict in zip_longest(responses, verdicts):
        if response is None or verdict is None or verdict.response_id != response.response_id:
            raise StudyError(
                f"response {response.response_id} of {response.solver} to {response.problem_id} "
                "has no verdict; grade it before scoring."
                if response
                else f"the verdict on {verdict.problem_id} is on no response; grade {set} again."
            )
        while problem is None or problem.id != response.problem_id:
            problem = next(following, None)
            if problem is None:
                raise StudyError(
                    f"{response.solver} answered {response.problem_id}, which is not a problem of "
                    f"{set}; score it with the problems it was asked."
                )
        key = (response.solver, response.problem_id, response.condition_id, response.sample)
        if key in rows and rows[key][0] > response.attempt:
            continue
        row = Answered(
            solver=response.solver,
            role=role,
            level=level,
            seed=seed,
            set=set,
            split=split,
            problem_id=problem.id,
            groups=problem.groups,
            condition_id=response.condition_id,
            outcome=verdict.outcome,
            words=response_words(response),
            tokens=response.tokens_out,
            read=verdict.extracted,
            rule=verdict.rule,
            sample=response.sample,
        )
        rows[key] = (response.attempt, row)
    return [row for _, row in rows.values()]


def refuse_leaks(
    heldout: Iterable[str],
    training: Iterable[str],
    near_duplicates: Iterable[tuple[str, str]] = (),
) -> None:
    """Refuse a student that would be scored on a problem of its training set.

    ``near_duplicates`` are pairs (held-out id, training id). Raises StudyError with the ids.
    """
    asked, trained = set(heldout), set(training)
    same = sorted(asked & trained)
    near = sorted({h for h, t in near_duplicates if h in asked and t in trained} - set(same))
    if same:
        raise StudyError(
            f"{several(len(same), 'held-out problem')} stood in the training set ({_ids(same)}); "
            "a student is not scored on what it was trained on. Split the problems again."
        )
    if near:
        raise StudyError(
            f"{several(len(near), 'held-out problem')} nearly repeat a training problem "
            f"({_ids(near)}); put each and what it repeats into one split."
        )


def check_counts(n: int, outcomes: Mapping[str, int], whose: str) -> None:
    """Raise StudyError where the counts do not name every outcome or do not sum to ``n``."""
    if set(outcomes) != {o.value for o in Outcome}:
        wrong = sorted(set(outcomes) ^ {o.value for o in Outcome})
        raise StudyError(f"the outcome counts of {whose} miss or invent {', '.join(wrong)}.")
    if sum(outcomes.values()) != n:
        raise StudyError(
            f"the outcome counts of {whose} sum to {sum(outcomes.values())}, not to its {n} "
            "responses; grade the study again."
        )


def check_readings(
    outcomes: Mapping[str, int], readings: Mapping[str, int], right: Mapping[str, int], whose: str
) -> None:
    """Raise StudyError where the readings do not agree with the outcomes.

    They name every reading, sum to as many answers, and are right as often. Counts that are both
    empty are from before readings were counted.
    """
    if not readings and not right:
        return
    names = {r.value for r in Reading}
    totals = sum(outcomes.values()), outcomes[Outcome.CORRECT]
    for counts, total in zip((readings, right), totals, strict=True):
        if set(counts) != names or sum(counts.values()) != total:
            raise StudyError(
                f"how the answers of {whose} were read is told of {sum(counts.values())} and not "
                f"of {total}; grade the study again."
            )


def level_order(levels: Iterable[str]) -> list[str]:
    """Return the levels, R0..R6 first and in order, then any other variant as it came."""
    ladder = [level.value for level in Level]
    seen = list(dict.fromkeys(levels))
    return [x for x in ladder if x in seen] + [x for x in seen if x not in ladder]


def score(answers: Iterable[Answered]) -> list[Score]:
    """Return one Score per solver, condition, set and split for all its problems and for each
    group.

    Raises StudyError where a solver gave one draw of a problem twice under one condition.
    """
    cells: dict[tuple[str, ...], list[Answered]] = {}
    for answer in answers:
        key = (answer.solver, answer.condition_id, answer.set, answer.split.value)
        cells.setdefault(key, []).append(answer)
    scores = []
    for cell in cells.values():
        scores += [_score(rows, group) for group, rows in by_group(cell).items()]
    return scores


def summarise(answers: Iterable[Answered]) -> list[LevelScore]:
    """Return one LevelScore per role, level, condition, set, split and group: its seeds taken
    together.

    Raises StudyError where two seeds of a level did not answer the same problems.
    """
    cells: dict[tuple[str, ...], list[Answered]] = {}
    for answer in answers:
        key = (answer.role.value, answer.level, answer.condition_id, answer.set, answer.split.value)
        cells.setdefault(key, []).append(answer)
    levels = []
    for cell in cells.values():
        levels += [_level_score(rows, group) for group, rows in by_group(cell).items()]
    return levels


def right_by_seed(answers: Sequence[Answered]) -> tuple[list[str], list[list[list[bool]]]]:
    """Return the problem ids with a readable key, and right or wrong by seed (rows), problem and
    draw.

    Raises StudyError as :func:`by_seed` does.
    """
    ids, table = by_seed(answers)
    return ids, [[[answer.right for answer in draws] for draws in row] for row in table]


def by_seed(answers: Iterable[Answered]) -> tuple[list[str], list[list[Draws]]]:
    """Return the problem ids with a readable key, and the draws by seed (rows) and problem.

    Raises StudyError where two seeds did not answer the same problems, and where a solver gave one
    draw twice or other numbers of draws for two problems.
    """
    by_solver: dict[str, dict[str, dict[int, Answered]]] = {}
    for answer in answers:
        draws = by_solver.setdefault(answer.solver, {}).setdefault(answer.problem_id, {})
        if answer.sample in draws:
            raise StudyError(
                f"{answer.solver} answered {answer.problem_id} of {answer.set} twice under one "
                "condition; score each draw of a problem once."
            )
        draws[answer.sample] = answer
    if not by_solver:
        return [], []
    for solver, cell in by_solver.items():
        _refuse_uneven(solver, cell)
    first, *others = by_solver
    for other in others:
        lacking = set(by_solver[first]) ^ set(by_solver[other])
        if lacking:
            raise StudyError(
                f"{first} and {other} did not answer the same problems ({_ids(sorted(lacking))}); "
                "run the study again: what is missing is asked."
            )
    bad = {
        i
        for cell in by_solver.values()
        for i, draws in cell.items()
        if any(answer.outcome is Outcome.BAD_KEY for answer in draws.values())
    }
    ids = [i for i in by_solver[first] if i not in bad]
    return ids, [[tuple(cell[i].values()) for i in ids] for cell in by_solver.values()]


def by_group(rows: Sequence[Answered]) -> dict[str, list[Answered]]:
    """Return the rows of all problems under "all", then those of every group under "name=value"."""
    grouped = {"all": list(rows)}
    for name in dict.fromkeys(name for row in rows for name in row.groups):
        for value in sorted({row.groups[name] for row in rows if name in row.groups}):
            grouped[f"{name}={value}"] = [r for r in rows if r.groups.get(name) == value]
    return grouped


def _score(rows: list[Answered], group: str) -> Score:
    head, n = rows[0], len(rows)
    outcomes, (readings, right) = _outcomes(rows), _readings(rows)
    whose = f"{head.solver} on {head.set} ({group})"
    check_counts(n, outcomes, whose)
    check_readings(outcomes, readings, right, whose)
    _, table = right_by_seed(rows)
    estimate = across_seeds(table)
    return Score(
        solver=head.solver,
        role=head.role,
        level=head.level,
        seed=head.seed,
        condition_id=head.condition_id,
        set=head.set,
        split=head.split,
        group=group,
        n=n,
        outcomes=outcomes,
        accuracy=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        words=_mean([r.words for r in rows]),
        tokens=_mean([r.tokens for r in rows]),
        readings=readings,
        readings_right=right,
    )


def _level_score(rows: list[Answered], group: str) -> LevelScore:
    head = rows[0]
    outcomes, (readings, right) = _outcomes(rows), _readings(rows)
    whose = f"{head.level or head.role.value} on {head.set} ({group})"
    check_counts(len(rows), outcomes, whose)
    check_readings(outcomes, readings, right, whose)
    ids, cells = by_seed(rows)
    table = [[[answer.right for answer in draws] for draws in row] for row in cells]
    estimate = across_seeds(table)
    draws = len(table[0][0]) if ids else 1
    said = []
    if draws > 1 and group == "all":
        said = [[[answer.read for answer in draws] for draws in row] for row in cells]
    solvers = {row.solver: row.seed for row in rows}
    return LevelScore(
        role=head.role,
        level=head.level,
        solvers=tuple(solvers),
        seeds=tuple(solvers.values()),
        condition_id=head.condition_id,
        set=head.set,
        split=head.split,
        group=group,
        n=len(ids),
        responses=len(rows),
        outcomes=outcomes,
        accuracy=estimate.mean,
        sd=estimate.sd,
        low=estimate.low,
        high=estimate.high,
        words=_mean([r.words for r in rows]),
        tokens=_mean([r.tokens for r in rows]),
        accuracy_by_seed=_by_seed(table) if ids else (0.0,) * len(table),
        readings=readings,
        readings_right=right,
        draws=draws,
        at_k=at_k(said, table) if said else (),
        agreement=agreement(said, table) if said else None,
    )


def _by_seed(table: Table) -> tuple[float, ...]:
    return tuple(right_shares(table)[0].mean(axis=1).tolist())


def _outcomes(rows: Iterable[Answered]) -> dict[str, int]:
    counts = {outcome.value: 0 for outcome in Outcome}
    for row in rows:
        counts[row.outcome.value] += 1
    return counts


def _readings(rows: Iterable[Answered]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many answers were read how, and how many of those were right."""
    counts = {reading.value: 0 for reading in Reading}
    right = dict(counts)
    for row in rows:
        counts[row.reading.value] += 1
        right[row.reading.value] += row.right
    return counts, right


def _refuse_uneven(solver: str, cell: Mapping[str, Mapping[int, Answered]]) -> None:
    """Raise StudyError where two problems have other numbers of draws."""
    first, *others = cell.items()
    for problem_id, draws in others:
        if len(draws) != len(first[1]):
            raise StudyError(
                f"{solver} answered {first[0]} {_times(len(first[1]))} and {problem_id} "
                f"{_times(len(draws))}; run the study again: what is missing is asked."
            )


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _ids(ids: Sequence[str]) -> str:
    more = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")
