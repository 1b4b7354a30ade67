"""``potstill ask``: a student answers in the terminal, and it is said how far to trust it."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from potstill.chat import Message
from potstill.deploy.serve.answering import Answering, Piece
from potstill.deploy.serve.serving import study_messages
from potstill.errors import InputError
from potstill.records import Outcome
from potstill.report.phrases import clip, percent, shown

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.analysis.students import FoundStudent
    from potstill.deploy.engines import Engine
    from potstill.records import Response

__all__ = ["harmless", "how_sure", "of_which", "print_answer", "right_on"]

_MOST_GROUPS = 12  # of one kind that are named one by one
_LIKE = 0.3  # share of common words from which a problem is called like another


def print_answer(found: FoundStudent, engine: Engine, problem: str, console: Console) -> None:
    """Print the answer as it comes, then how sure the study is of this student, and on what.

    Raises InputError for a problem that is empty or leaves no room in the context.
    """
    if not problem.strip():
        raise InputError('There is no problem to answer; potstill ask STUDY "What is 6 times 7?"')
    prompt = engine.encode(study_messages([Message("user", problem)], found.condition))
    if len(prompt) >= engine.context_tokens:
        raise InputError(
            f"The problem takes {len(prompt):,} tokens and {found.base_name} holds "
            f"{engine.context_tokens}; ask a shorter one."
        )
    with Answering(engine) as answering:
        asyncio.run(_print(answering, prompt, found, console))
    console.print()
    console.print(how_sure(found), markup=False, highlight=False)
    if which := of_which(found, problem):
        console.print(which, markup=False, highlight=False)


def how_sure(found: FoundStudent) -> str:
    """Return in words how often this student was right on held-out problems, and on which."""
    named = f"{found.student.id}, {found.level}"
    rows = [row for row in found.scores if row["accuracy"] is not None]
    if not rows:
        return f"({named}: the study has not scored it, so nothing is known of how sure it is.)"
    return f"({named}: {'; '.join(map(right_on, rows))}.)"


def of_which(found: FoundStudent, problem: str) -> str:
    """Return in words of what kind of problems the figure of :func:`how_sure` is.

    The student's figure for each group of them, and the one that is worded most like ``problem``.
    Empty where the study has not scored it.
    """
    if not any(row["accuracy"] is not None for row in found.scores):
        return ""
    told = [*_groups(found.group_scores), *_nearest(found, problem)]
    told.append("How it does on problems of another kind was not measured.")
    return " ".join(told)


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


def _groups(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield for each set and kind of group how often each was answered right, the best first."""
    sets = {row["set"] for row in rows}
    groups: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        kind, _, name = row["group"].partition("=")
        if row["accuracy"] is not None:
            groups.setdefault((row["set"], kind), {})[name] = row["accuracy"]
    for (of_set, kind), shares in groups.items():
        best_first = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))
        shown_ones = [f"{harmless(name)} {percent(share)} %" for name, share in best_first]
        if len(shown_ones) > _MOST_GROUPS:
            shown_ones = [*shown_ones[:3], f"… of {len(shares)} …", *shown_ones[-3:]]
        of = f" ({of_set})" if len(sets) > 1 else ""
        yield f"By {harmless(kind)}{of}: {', '.join(shown_ones)}."


def _nearest(found: FoundStudent, problem: str) -> Iterator[str]:
    """Yield the held-out problem that is worded most like ``problem``, and how it went."""
    answers = found.answers()
    if not answers:
        return
    asked, held = _words(problem), [_words(held_out.text) for held_out, _ in answers]
    known = Counter(word for words in held for word in words)
    rarity = {w: math.log((1 + len(held)) / (0.5 + known[w])) for w in asked.union(*held)}
    shares = [_common(asked, words, rarity) for words in held]
    share = max(shares)
    nearest, response = answers[shares.index(share)]
    lead = "The one most like yours" if share >= _LIKE else "None is worded like yours; one of them"
    text = " ".join(clip(nearest.text).split())
    yield f"{lead}: “{text}” ({_went(found, response)})."


def _went(found: FoundStudent, response: Response) -> str:
    outcome = found.outcome(response)
    return (
        "not graded" if outcome is None else "right" if outcome is Outcome.CORRECT else "not right"
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W\d_]+", text.casefold()))


def _common(left: frozenset[str], right: frozenset[str], rarity: Mapping[str, float]) -> float:
    """Return the share of common words, a rare one counting more: "what is the" says little."""
    both, either = (sum(rarity[w] for w in words) for words in (left & right, left | right))
    return both / either if either else 0.0


async def _print(
    answering: Answering, prompt: list[int], found: FoundStudent, console: Console
) -> None:
    async for event in answering.answer(prompt, found.condition.sampling):
        if isinstance(event, Piece):
            console.out(harmless(event.text), end="", highlight=False)
    console.out("")
