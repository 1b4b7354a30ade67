"""The calls that a study would make, and how many of them its ledger answers already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from potstill.chat import Ask, Message, render_asks
from potstill.errors import InputError
from potstill.grading.judge import JUDGE_SAMPLING, JUDGE_SYSTEM
from potstill.lessons.difficulty import RATING_SAMPLING, rating_messages
from potstill.lessons.ladder import LADDER, SYSTEM, level_line
from potstill.pipeline.asking import teacher_condition
from potstill.plugins import SOLVERS, load_plugin
from potstill.solvers.ledger_solver import KeptReplies
from potstill.study.agents import options_of

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger
    from potstill.records import Level, Problem
    from potstill.study.schema import Study

__all__ = ["PlannedCalls", "reused", "with_bought"]


@dataclass(frozen=True, slots=True)
class PlannedCalls:
    """How many calls a study would make of one model for one purpose, at most.

    ``have`` is how many of these very calls the ledger answers, None where that is not known: then
    all replies of the stage and model are taken for them.
    """

    stage: str
    role: str
    model: str
    calls: int
    why: str
    have: int | None = None


def with_bought(
    study: Study, calls: Iterable[PlannedCalls], problems: Sequence[Problem], ledger: Ledger
) -> list[PlannedCalls]:
    """Return the calls, each with how many of them the ledger answers, where it does not say so
    itself; nothing is asked.

    Teacher and rater are asked what is known now, so their replies are found by their keys. What
    verifier and condenser are asked hangs on what the teacher said: of the replies to calls like
    theirs (model, sampling, system prompt) the share counts that the teacher's own found are of all
    it gave. A solver that does not say under which provider its replies stand is left as it is.
    """
    planned = list(calls)
    share = 1.0
    if teaching := [x for x in planned if x.stage == "teach" and x.have is None]:
        found = [_answered(study, call, problems, ledger) for call in teaching]
        share = _share(teaching, found, ledger)
    return [replace(x, have=_have(study, x, problems, ledger, share)) for x in planned]


def _share(teaching: Sequence[PlannedCalls], found: Sequence[int | None], ledger: Ledger) -> float:
    """Return the share of the teachers' replies that are to what would be asked now."""
    if any(n is None or n >= call.calls for call, n in zip(teaching, found, strict=True)):
        return 1.0
    models = {call.model for call in teaching}
    kept = sum(
        row.calls
        for row in ledger.spend(("stage", "model"))
        if row.group[0] == "teach" and row.group[1] in models
    )
    return min(1.0, sum(n or 0 for n in found) / kept) if kept else 1.0


def _have(
    study: Study, call: PlannedCalls, problems: Sequence[Problem], ledger: Ledger, share: float
) -> int | None:
    if call.have is not None:
        return call.have
    if call.stage in ("teach", "rate"):
        return _answered(study, call, problems, ledger)
    if (
        call.stage not in ("verify", "condense")
        or (kept := _kept(study, call.role, ledger)) is None
    ):
        return call.have
    system = JUDGE_SYSTEM if call.stage == "verify" else SYSTEM
    sampling = JUDGE_SAMPLING
    if call.stage == "condense":
        sampling = study.agents()[call.role].sampling
    like = kept.request_of(Ask("", (Message("system", system),), sampling))
    if call.stage == "condense":
        found = reused(study.levels, partial(_like, ledger, like))
    else:
        found = ledger.count_like(call.stage, like)
    return min(call.calls, round(share * found))


def _like(ledger: Ledger, like: str, level: Level) -> int:
    return ledger.count_like("condense", like, level_line(level))


def reused(levels: Sequence[Level], count: Callable[[Level], int]) -> int:
    """Return how many of a condenser's replies these levels may use again, of ``count`` a level.

    A level is made from the one above: where a level above was not there, or another one was, it
    and all below are asked anew.
    """
    counts = {spec.level: count(spec.level) for spec in LADDER}
    asked = sorted(set(levels) & counts.keys())
    found = 0
    for level in asked:
        if {x for x in counts if x < level and counts[x]} != {x for x in asked if x < level}:
            break
        found += counts[level]
    return found


def _answered(
    study: Study, call: PlannedCalls, problems: Sequence[Problem], ledger: Ledger
) -> int | None:
    """Return how many of a teacher's or the rater's calls are answered, None where unknown."""
    if not call.role or (kept := _kept(study, call.role, ledger)) is None:
        return call.have
    agent = study.agents()[call.role]
    if call.stage == "teach":
        asks: Iterable[Ask] = render_asks(problems, teacher_condition(agent, ()), agent.samples)
    else:
        asks = (Ask(p.id, rating_messages(p), RATING_SAMPLING) for p in problems)
    keys = ledger.keys()
    return min(call.calls, len({kept.key_of(ask) for ask in asks} & keys))


def _kept(study: Study, role: str, ledger: Ledger) -> KeptReplies | None:
    agent = study.agents()[role]
    try:
        return KeptReplies.of(load_plugin(SOLVERS, agent.solver), options_of(agent), ledger)
    except InputError:
        return None
