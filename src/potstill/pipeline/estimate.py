"""What a study's calls will take and cost: measured from its ledger, or else assumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from potstill.chat import render_messages
from potstill.grading.judge import MAX_ANSWER
from potstill.lessons.ladder import LADDER, condense_messages
from potstill.pipeline.agents import agent_price
from potstill.records import Condition, Problem

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger, SpendGroup
    from potstill.study.schema import Study

__all__ = ["R1_CHARS", "Estimate", "PlannedCalls", "estimate"]

_CHARS_PER_TOKEN = 4.0
"""English text: https://help.openai.com/en/articles/4936856 ("1 token ~= 4 chars")."""

_TRACE_CHARS = 5_980
"""The mean reasoning of DeepSeek-R1 in arXiv 2606.31048's files: 5,950 characters over 364
competition problems, 6,005 over MATH-500."""

R1_CHARS = 1_409
"""The mean of the longest of five condensed levels over 671 problems in the same files."""

_VERDICT_TOKENS = 60
_JUDGE_PROMPT_TOKENS = 250


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


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left of a planned kind of call: tokens and dollars of what the ledger lacks.

    ``have`` replies are in the ledger already. ``usd`` is None where no price is known, and 0 for
    what is answered on this machine. ``measured`` is how many replies the tokens were taken from, 0
    where they are assumed.
    """

    call: PlannedCalls
    have: int
    left: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    measured: int


def estimate(
    study: Study, calls: Iterable[PlannedCalls], problems: Sequence[Problem], ledger: Ledger | None
) -> list[Estimate]:
    """Return one estimate per planned call, in order; nothing is asked and nothing is written."""
    spent = {row.group: row for row in ledger.spend(("stage", "model"))} if ledger else {}
    return [_estimate(study, call, problems, spent.get((call.stage, call.model))) for call in calls]


def _estimate(
    study: Study, call: PlannedCalls, problems: Sequence[Problem], spent: SpendGroup | None
) -> Estimate:
    replies = spent.calls if spent else 0
    have = replies if call.have is None else call.have
    left = max(0, call.calls - have)
    if not call.role:
        return Estimate(call, 0, call.calls, 0, 0, 0.0, 0)
    cached = 0.0
    if spent and spent.tokens_out:
        each_in, each_out = spent.tokens_in / replies, spent.tokens_out / replies
        cached = spent.tokens_cached / max(1, spent.tokens_in)
        measured = replies
    else:
        each_in, each_out = _assumed(study, call, problems)
        measured = 0
    agent = study.agents()[call.role]
    price = agent_price(agent)
    usd = None
    if price:
        per_call = each_in * ((1 - cached) * price.input + cached * price.cached)
        usd = left * (per_call + each_out * price.output) / 1e6
    return Estimate(call, have, left, round(left * each_in), round(left * each_out), usd, measured)


def _assumed(study: Study, call: PlannedCalls, problems: Sequence[Problem]) -> tuple[float, float]:
    """Return the tokens in and out of one call where nothing has been measured yet."""
    trace = _TRACE_CHARS / _CHARS_PER_TOKEN
    some = problems[:: max(1, len(problems) // 100)]
    if not some:
        return 0.0, 0.0
    if call.stage == "verify":
        asked = _JUDGE_PROMPT_TOKENS + _tokens(p.text for p in some) / len(some)
        # an answer that could not be read is shown as the whole response, or as much of its end
        read = 0.0 if study.verify == "both" else min(trace, MAX_ANSWER / _CHARS_PER_TOKEN)
        return asked + read, _VERDICT_TOKENS
    if call.stage == "condense":
        return _condensing(study.levels, some)
    agent = study.agents()[call.role]
    condition = Condition("", agent.system, agent.prompt, agent.sampling, "api")
    prompts = (m.content for p in some for m in render_messages(p, condition))
    return _tokens(prompts) / len(some), min(trace, agent.max_tokens)


def _condensing(levels: Sequence[str], some: Sequence[Problem]) -> tuple[float, float]:
    """Return the mean over the levels, each condensed from the one above."""
    above, total_in, total_out = float(_TRACE_CHARS), 0.0, 0.0
    specs = [spec for spec in LADDER if spec.level.value in {str(level) for level in levels}]
    for spec in specs:
        frame = _tokens(m.content for p in some for m in condense_messages(p, spec, "", of_words=1))
        total_in += frame / len(some) + above / _CHARS_PER_TOKEN
        above = R1_CHARS * spec.share
        total_out += above / _CHARS_PER_TOKEN
    return total_in / len(specs), total_out / len(specs)


def _tokens(texts: Iterable[str]) -> float:
    return sum(len(text) for text in texts) / _CHARS_PER_TOKEN
