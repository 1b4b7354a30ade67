"""The panel: the symbolic check first, a judge model for what it leaves open, a person above both.

Where the two disagree the symbolic opinion stands, for it follows a rule that can be read; the
verdict keeps both opinions and both reasons, and ``Verdict.disagreed`` finds it for the report and
for :func:`~potstill.grading.rulings.review`.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal

from potstill.chat import Solver
from potstill.errors import InputError
from potstill.grading.judge import Judge, Judged, JudgeQuestion
from potstill.grading.pool import GradingPool
from potstill.grading.rulings import Ruling, Rulings
from potstill.grading.verdicts import CutRule
from potstill.records import (
    DecidedBy,
    MajorityGold,
    Opinion,
    Outcome,
    Problem,
    Response,
    Verdict,
)
from potstill.store.tables import in_batches

__all__ = ["Forms", "Mode", "judge_statistics", "verify"]

Mode = Literal["symbolic", "undecided", "both"]
Forms = Literal["note", "strict"]
CHUNK = 512
_OPEN = (Outcome.UNDECIDED, Outcome.UNPARSED)
_GRADED = (Outcome.CORRECT, Outcome.WRONG, *_OPEN)


def verify(
    pairs: Iterable[tuple[Problem, Response]],
    *,
    pool: GradingPool,
    judge: Solver | None = None,
    mode: Mode = "undecided",
    stage: str,
    rulings: Rulings | None = None,
    forms: Forms = "note",
    cut: CutRule = "truncated",
) -> Iterator[Verdict]:
    """Yield one verdict per pair, in the order of the input.

    ``mode`` "symbolic" asks no judge; "undecided" asks it for what the symbolic check cannot read
    or decide, showing it the whole response where no answer was read; "both" asks it for every
    answer that was graded. Blank, truncated, errored and filtered responses and bad keys never
    reach a judge; a person's ruling is obeyed without asking. With ``forms`` "strict" a right value
    in another form than was asked for is WRONG. ``cut`` says how an answer counts that is stated
    before the token limit, but not in a box. Pairs are drawn as the pool draws them, and judged
    in chunks of some hundreds. Raises InputError for an unknown mode, and for a judge none of
    whose first replies can be read.
    """
    if mode not in ("symbolic", "undecided", "both") or forms not in ("note", "strict"):
        raise InputError(
            f"verify is {mode!r} and forms is {forms!r}; verify is one of symbolic, undecided, "
            "both, and forms one of note, strict."
        )
    waiting: deque[tuple[Problem, Response]] = deque()
    graded = pool.grade(_noted(pairs, waiting), cut=cut)
    asked = Judge(judge, stage) if judge is not None and mode != "symbolic" else None
    for verdicts in in_batches(graded, CHUNK):
        chunk = [waiting.popleft() for _ in verdicts]
        yield from _verify_chunk(chunk, verdicts, asked, mode, rulings, forms)


def _noted(
    pairs: Iterable[tuple[Problem, Response]], waiting: deque[tuple[Problem, Response]]
) -> Iterator[tuple[Problem, Response]]:
    """Yield the pairs, each put among those whose verdict is waited for."""
    for pair in pairs:
        waiting.append(pair)
        yield pair


def _verify_chunk(
    chunk: list[tuple[Problem, Response]],
    verdicts: list[Verdict],
    judge: Judge | None,
    mode: Mode,
    rulings: Rulings | None,
    forms: Forms,
) -> Iterator[Verdict]:
    ruled = [
        rulings.find(problem, response.text) if rulings is not None else None
        for problem, response in chunk
    ]
    opinions: dict[int, Judged] = {}
    if judge is not None:
        wanted = _GRADED if mode == "both" else _OPEN
        # The place in the chunk is the tag: two samples of one problem must not be mixed up.
        questions = [
            _question(str(place), problem, response, verdict)
            for place, ((problem, response), verdict) in enumerate(
                zip(chunk, verdicts, strict=True)
            )
            if verdict.outcome in wanted and ruled[place] is None
        ]
        opinions = {int(judged.tag): judged for judged in judge.ask(questions)}
    for place, verdict in enumerate(verdicts):
        if place in opinions:
            verdict = _with_judge(verdict, opinions[place])
        if forms == "strict":
            verdict = _strictly(verdict)
        if (ruling := ruled[place]) is not None and verdict.outcome is not Outcome.BAD_KEY:
            verdict = _ruled(verdict, ruling)
        elif isinstance(chunk[place][0].gold, MajorityGold):
            verdict = dataclasses.replace(verdict, decided_by=DecidedBy.MAJORITY)
        yield verdict


def _question(tag: str, problem: Problem, response: Response, verdict: Verdict) -> JudgeQuestion:
    """Return what a judge is shown: the answer that was read, the whole response where none could
    be.

    What stands in a box is the answer, readable or not.
    """
    read = verdict.outcome is not Outcome.UNPARSED or verdict.rule.startswith("boxed")
    if verdict.extracted and (read or verdict.extracted == response.text.strip()):
        return JudgeQuestion(tag, problem, verdict.extracted)
    return JudgeQuestion(tag, problem, response.text.strip() or response.reasoning, whole=True)


def _with_judge(verdict: Verdict, judged: Judged) -> Verdict:
    """Return the verdict with the judge's opinion: it decides only what the symbolic check left
    open.
    """
    if judged.opinion is Opinion.NOT_ASKED:
        return dataclasses.replace(verdict, judge_why=judged.why)
    verdict = dataclasses.replace(
        verdict, judge=judged.opinion, judge_why=_counted(judged), symbolic_why=verdict.why
    )
    if verdict.outcome in _OPEN:
        if judged.opinion is Opinion.UNDECIDED:
            return dataclasses.replace(verdict, outcome=Outcome.UNDECIDED, why=judged.why)
        right = judged.opinion is Opinion.EQUAL
        return dataclasses.replace(
            verdict,
            outcome=Outcome.CORRECT if right else Outcome.WRONG,
            decided_by=DecidedBy.JUDGE,
            why=judged.why,
        )
    if verdict.symbolic is judged.opinion:
        return dataclasses.replace(verdict, decided_by=DecidedBy.BOTH)
    if verdict.disagreed:
        why = f"{verdict.why}; the judge disagrees: {judged.why}"
        return dataclasses.replace(verdict, why=why)
    return verdict


def _counted(judged: Judged) -> str:
    return f"{judged.why} (asked twice)" if judged.calls > 1 else judged.why


def _strictly(verdict: Verdict) -> Verdict:
    if verdict.outcome is not Outcome.CORRECT or "asked for" not in verdict.form:
        return verdict
    return dataclasses.replace(
        verdict, outcome=Outcome.WRONG, why=f"right in value, but {verdict.form}"
    )


def _ruled(verdict: Verdict, ruling: Ruling) -> Verdict:
    return dataclasses.replace(
        verdict,
        outcome=Outcome.CORRECT if ruling.correct else Outcome.WRONG,
        decided_by=DecidedBy.PERSON,
        why=ruling.note or "a person's ruling",
    )


def judge_statistics(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return how often a judge was asked, decided, could not be read, was asked twice, or
    disagreed.
    """
    counts = dict.fromkeys(("asked", "decided", "unreadable", "asked_twice", "disagreed"), 0)
    for verdict in verdicts:
        if verdict.judge is Opinion.NOT_ASKED:
            continue
        counts["asked"] += 1
        counts["decided"] += verdict.decided_by is DecidedBy.JUDGE
        counts["unreadable"] += verdict.judge is Opinion.UNDECIDED
        counts["asked_twice"] += verdict.judge_why.endswith("(asked twice)")
        counts["disagreed"] += verdict.disagreed
    return counts
