"""What a study's calls will take and cost: measured from its ledger, or else assumed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from potstill.chat import render_messages
from potstill.grading.judge import MAX_ANSWER
from potstill.lessons.ladder import LADDER, condense_messages
from potstill.pipeline.context import FEWEST_MEASURED
from potstill.planning.bought import PlannedCalls, with_bought
from potstill.records import Condition, Problem
from potstill.study.agents import agent_price, is_free
from potstill.text import lasting

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger, SpendGroup
    from potstill.study.schema import Agent, Study

__all__ = [
    "R1_CHARS",
    "Estimate",
    "PlannedCalls",
    "count_tokens",
    "estimate",
    "thinks",
    "with_time",
]

_TOKENS_PER_LETTER, _TOKENS_PER_MARK = 0.216, 0.952
"""Of letters and blanks, and of all else: least squares over five sets of texts (GSM8K and MATH
questions, MATH-500 solutions, traces of two models), tokens by SmolLM2's tokenizer of 49,152;
within 4 % on each, where "4 characters a token" finds 97 % of those of prose and 58 % of those of
TeX (docs/log.md)."""

_CHARS_PER_TOKEN = 3.1
"""Of a trace: 3.0 over 500 of DeepSeek-R1-Distill-Qwen-32B, 3.2 over 486 of QwQ-32B (ibid.)."""

_TRACE_CHARS = 5_980
"""The mean reasoning of DeepSeek-R1 in arXiv 2606.31048's files: 5,950 characters over 364
competition problems, 6,005 over MATH-500."""

_SHORT_TRACE_TOKENS = 566
"""The mean of DeepSeek-R1-Distill-Qwen-32B over 500 GSM8K questions (docs/log.md)."""

_LONGER = 2.8
"""QwQ-32B thinks so many times as long as that model about questions of the same set (ibid.)."""

_SOLUTION_TOKENS = 229
"""The mean of MATH-500's own solutions: what a model writes that does not think first."""

R1_CHARS = 1_409
"""The mean of the longest of five condensed levels over 671 problems in the same files."""

_VERDICT_TOKENS = 60
_JUDGE_PROMPT_TOKENS = 250

_THINKS = re.compile(
    r"reason|think|(?:^|[/_-])(?:r1|qwq|o[1345]|gpt-[5-9]|magistral)\b", re.IGNORECASE
)
_DRAWN = ("rate", "local")
"""The stage and the provider under which the ledger keeps the base's draws that rate problems."""

_OFF = ("disabled", "none", "off", False)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left of a planned kind of call: tokens and dollars of what the ledger lacks.

    ``have`` replies are in the ledger already. Tokens out and dollars are at least and at most:
    thinking is billed, and how long a model thinks is not known before it is asked; the two are the
    same where ``measured`` replies tell. ``usd`` is None where no price is known, and 0 for what is
    answered on this machine.
    """

    call: PlannedCalls
    have: int
    left: int
    tokens_in: int
    tokens_out: tuple[int, int]
    usd: tuple[float, float] | None
    measured: int


def estimate(
    study: Study, calls: Iterable[PlannedCalls], problems: Sequence[Problem], ledger: Ledger | None
) -> list[Estimate]:
    """Return one estimate per planned call, in order; nothing is asked and nothing is written."""
    spent = {row.group: row for row in ledger.spend(("stage", "model"))} if ledger else {}
    if ledger and spent:
        calls = with_bought(study, calls, problems, ledger)
    return [
        _estimate(study, with_time(call, ledger), problems, spent.get((call.stage, call.model)))
        for call in calls
    ]


def with_time(call: PlannedCalls, ledger: Ledger | None) -> PlannedCalls:
    """Return the draws that rate problems with how long those left will take on this machine, as
    measured from the ledger's; any other call as it is.
    """
    if call.role or call.stage != "rate":
        return call
    spent = ledger.spend(("stage", "provider")) if ledger else []
    have = sum(x.calls for x in spent if x.group == _DRAWN)
    left = max(0, call.calls - have)
    replies, seconds = ledger.pace(*reversed(_DRAWN)) if ledger else (0, 0.0)
    told = f"how long it takes is told once {FEWEST_MEASURED} are drawn"
    if replies >= FEWEST_MEASURED and seconds:
        told = f"{left:,} left: {lasting(left * seconds / replies)}, as the {replies:,} before them"
    return replace(call, why=f"{call.why}; {told if left else 'all are drawn'}")


def _estimate(
    study: Study, call: PlannedCalls, problems: Sequence[Problem], spent: SpendGroup | None
) -> Estimate:
    replies = spent.calls if spent else 0
    have = replies if call.have is None else call.have
    left = max(0, call.calls - have)
    if not call.role:
        return Estimate(call, 0, call.calls, 0, (0, 0), (0.0, 0.0), 0)
    agent = study.agents()[call.role]
    cached, measured = 0.0, 0
    if spent and spent.tokens_out and replies >= FEWEST_MEASURED:
        each_in, each_out = spent.tokens_in / replies, spent.tokens_out / replies
        outs = [each_out, each_out]
        cached = spent.tokens_cached / max(1, spent.tokens_in)
        measured = replies
    else:
        each_in, *outs = _assumed(study, call, agent, problems)
    price = agent_price(agent)
    usd = None
    if price:
        per_call = each_in * ((1 - cached) * price.input + cached * price.cached)
        low, high = (left * (per_call + each * price.output) / 1e6 for each in outs)
        usd = low, high
    low_out, high_out = (round(left * each) for each in outs)
    return Estimate(call, have, left, round(left * each_in), (low_out, high_out), usd, measured)


def thinks(agent: Agent) -> bool | None:
    """Return whether an agent thinks before it replies, which is billed; None where not known.

    Its own settings say so (``thinking``, ``reasoning_effort``, ``enable_thinking``), or its name.
    """
    options = agent.options
    body = options.get("extra_body") or {}
    template = body.get("chat_template_kwargs") or {}
    for found in (options, body, template):
        for name in ("thinking", "reasoning_effort", "enable_thinking", "reasoning"):
            value = found.get(name)
            if value is None:
                continue
            said = value.get("type", value.get("effort", "")) if isinstance(value, dict) else value
            return said not in _OFF
    if is_free(agent):
        return None
    return True if _THINKS.search(str(options.get("model", ""))) else None


def _assumed(
    study: Study, call: PlannedCalls, agent: Agent, problems: Sequence[Problem]
) -> tuple[float, float, float]:
    """Return the tokens in of one call, and those out at least and at most; nothing is measured."""
    some = problems[:: max(1, len(problems) // 100)]
    if not some:
        return 0.0, 0.0, 0.0
    trace = _TRACE_CHARS / _CHARS_PER_TOKEN
    thinking = thinks(agent)
    if call.stage == "teach":
        condition = Condition("", agent.system, agent.prompt, agent.sampling, "api")
        prompts = (m.content for p in some for m in render_messages(p, condition))
        low = float(_SHORT_TRACE_TOKENS if thinking else _SOLUTION_TOKENS)
        high = trace if thinking is False else trace * _LONGER
        limit = float(agent.max_tokens)
        return count_tokens(prompts) / len(some), min(low, limit), min(high, limit)
    if call.stage == "condense":
        read, written = _condensing(study.levels, some)
    else:
        read = _JUDGE_PROMPT_TOKENS + count_tokens(p.text for p in some) / len(some)
        # an answer that could not be read is shown as the whole response, or as much of its end
        if call.stage == "verify" and study.verify != "both":
            read += min(_TRACE_CHARS, MAX_ANSWER) / _CHARS_PER_TOKEN
        written = _VERDICT_TOKENS
    least = _SHORT_TRACE_TOKENS if thinking else 0
    most = 0.0 if thinking is False else trace
    return read, written + least, written + most


def _condensing(levels: Sequence[str], some: Sequence[Problem]) -> tuple[float, float]:
    """Return the mean over the levels, each condensed from the one above."""
    above, total_in, total_out = float(_TRACE_CHARS), 0.0, 0.0
    specs = [spec for spec in LADDER if spec.level.value in {str(level) for level in levels}]
    for spec in specs:
        messages = (m for p in some for m in condense_messages(p, spec, "", of_words=1))
        frame = count_tokens(m.content for m in messages)
        total_in += frame / len(some) + above / _CHARS_PER_TOKEN
        above = R1_CHARS * spec.share
        total_out += above / _CHARS_PER_TOKEN
    return total_in / len(specs), total_out / len(specs)


def count_tokens(texts: Iterable[str]) -> float:
    """Return about how many tokens texts are, mathematics in TeX too, without a tokenizer."""
    tokens = 0.0
    for text in texts:
        plain = sum(c.isalpha() or c.isspace() for c in text)
        tokens += plain * _TOKENS_PER_LETTER + (len(text) - plain) * _TOKENS_PER_MARK
    return tokens
