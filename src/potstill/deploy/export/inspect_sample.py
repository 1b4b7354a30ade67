"""One response with its verdict, as a sample of an Inspect log, its text as it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from potstill.chat import render_messages
from potstill.records import Condition, Outcome, Problem, Response, Verdict

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

__all__ = ["SCORER", "SampleTurn", "sample_of", "usage_of"]

SCORER = "potstill"
"""The name under which every sample's verdict stands in a log."""

_STOPPED = {"STOP": "stop", "LENGTH": "max_tokens", "FILTERED": "content_filter"}
_REASONS = {
    Outcome.BLANK: "no_response",
    Outcome.FILTERED: "refusal",
    Outcome.UNPARSED: "invalid_response_format",
    Outcome.UNDECIDED: "grader_failed",
    Outcome.TRUNCATED: "truncated",
    Outcome.ERRORED: "errored",
}
"""What Inspect calls the outcomes that are neither right nor wrong (ScoreReason, where it fits)."""

_NO_ANSWER = (Outcome.BLANK, Outcome.FILTERED)


@dataclass(frozen=True, slots=True)
class SampleTurn:
    """One counted response and what a sample says of it; ``earlier`` are the attempts before it.

    ``epoch`` counts from 1: a seed of the solver, or a sample of it.
    """

    problem: Problem
    response: Response
    verdict: Verdict
    epoch: int
    seed: int
    earlier: tuple[Response, ...]


def sample_of(turn: SampleTurn, condition: Condition, model: str) -> EvalSample:
    """Return the sample: the chat as it was put and answered; ``model`` names the solver in the
    log.
    """
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser

    problem, response = turn.problem, turn.response
    output = _output(response, model)
    asked = [
        (ChatMessageSystem if message.role == "system" else ChatMessageUser)(
            content=message.content, id=f"{response.response_id}-{i}"
        )
        for i, message in enumerate(render_messages(problem, condition))
    ]
    failed = response.error and EvalError(
        message=response.error, traceback="", traceback_ansi=response.error
    )
    return EvalSample(
        id=problem.id,
        epoch=turn.epoch,
        uuid=response.response_id,
        input=problem.text,
        target=problem.gold_text,
        messages=[*asked, *(choice.message for choice in output.choices)],
        output=output,
        scores={SCORER: _score(turn.verdict)},
        model_usage={model: usage_of([response])},
        error=failed or None,
        metadata={
            **problem.groups,
            "kind": problem.kind,
            "source": problem.source,
            "solver": response.solver,
            "seed": turn.seed,
            "sample": response.sample,
            "attempt": response.attempt,
            "finish": response.finish.value,
            "ledger_key": response.ledger_key,
            "earlier_attempts": [
                {"finish": r.finish.value, "reasoning": r.reasoning, "text": r.text}
                for r in turn.earlier
            ],
        },
    )


def _output(response: Response, model: str) -> ModelOutput:
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessageAssistant,
        ContentReasoning,
        ContentText,
        ModelOutput,
    )

    content: Any = response.text
    if response.reasoning:
        content = [ContentReasoning(reasoning=response.reasoning), ContentText(text=response.text)]
    message = ChatMessageAssistant(
        content=content, model=model, source="generate", id=f"{response.response_id}-answer"
    )
    stopped: Any = _STOPPED.get(response.finish.value, "unknown")
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=message, stop_reason=stopped)],
        usage=usage_of([response]),
        error=response.error or None,
    )


def usage_of(responses: Sequence[Response]) -> ModelUsage:
    """Return the tokens of the responses, summed."""
    from inspect_ai.model import ModelUsage

    given, made = (sum(getattr(r, of) for r in responses) for of in ("tokens_in", "tokens_out"))
    return ModelUsage(input_tokens=given, output_tokens=made, total_tokens=given + made)


def _score(verdict: Verdict) -> Score:
    """Return c for CORRECT, N where there is no answer, I for the rest; a bad key leaves it
    unscored.
    """
    from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, Score

    said: dict[str, Any] = {
        "answer": verdict.extracted,
        "explanation": _explanation(verdict),
        "metadata": {
            name: str(getattr(verdict, name))
            for name in ("outcome", "decided_by", "rule", "form", "cause", "symbolic", "judge")
        },
    }
    outcome = verdict.outcome
    if outcome is Outcome.BAD_KEY:
        return Score.unscored(reason="bad_key", **said)
    value = CORRECT if outcome is Outcome.CORRECT else INCORRECT
    if outcome in _NO_ANSWER:
        value = NOANSWER
    return Score(value=value, reason=_REASONS.get(outcome), **said)


def _explanation(verdict: Verdict) -> str:
    """Return the verdict in lines: outcome and who decided, why, what each of the two agents
    said.
    """
    lines = [f"{verdict.outcome.value}, decided by {verdict.decided_by.value}."]
    lines += (
        [verdict.why] if verdict.why not in ("", verdict.symbolic_why, verdict.judge_why) else []
    )
    lines += [f"Likely cause: {verdict.cause.value}."] if verdict.cause.value else []
    for agent in ("symbolic", "judge"):
        why = getattr(verdict, f"{agent}_why")
        lines.append(f"{agent}: {getattr(verdict, agent).value}" + (f" ({why})" if why else ""))
    return "\n\n".join(lines)
