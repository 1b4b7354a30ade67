"""``potstill ask``: a student answers in the terminal, and it is said how far to trust it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from potstill.chat import Message
from potstill.deploy.serve.answering import Answering, Piece
from potstill.deploy.serve.serving import study_messages
from potstill.errors import InputError
from potstill.report.phrases import percent, shown

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.analysis.students import FoundStudent
    from potstill.deploy.engines import Engine

__all__ = ["harmless", "how_sure", "print_answer", "right_on"]


def print_answer(found: FoundStudent, engine: Engine, problem: str, console: Console) -> None:
    """Print the answer as it comes, then how sure the study is of this student.

    Raises InputError for a problem that is empty or leaves no room in the context.
    """
    if not problem.strip():
        raise InputError('There is no problem to answer; potstill ask STUDY "What is 6 times 7?"')
    prompt = engine.encode(study_messages([Message("user", problem)], found.condition))
    if len(prompt) >= engine.context_tokens:
        raise InputError(
            f"The problem takes {len(prompt)} tokens and {found.student.base} holds "
            f"{engine.context_tokens}; ask a shorter one."
        )
    with Answering(engine) as answering:
        asyncio.run(_print(answering, prompt, found, console))
    console.print()
    console.print(how_sure(found), markup=False, highlight=False)


def how_sure(found: FoundStudent) -> str:
    """Return in words how often this student was right on held-out problems, and on which."""
    named = f"{found.student.id}, {found.level}"
    rows = [row for row in found.scores if row["accuracy"] is not None]
    if not rows:
        return f"({named}: the study has not scored it, so nothing is known of how sure it is.)"
    return f"({named}: {'; '.join(map(right_on, rows))}.)"


def right_on(row: Mapping[str, Any]) -> str:
    """Return in words how many problems of one held-out set were answered right; a row of
    report.json.
    """
    return (
        f"right on {percent(row['accuracy'])} % of {row['n']:,} held-out problems of {row['set']} "
        f"(95 % {percent(row['low'])} to {percent(row['high'])})"
    )


def harmless(text: str) -> str:
    """Return a model's text for a terminal: no control character of either set does anything
    there.
    """
    return shown(text)


async def _print(
    answering: Answering, prompt: list[int], found: FoundStudent, console: Console
) -> None:
    async for event in answering.answer(prompt, found.condition.sampling):
        if isinstance(event, Piece):
            console.out(harmless(event.text), end="", highlight=False)
    console.out("")
