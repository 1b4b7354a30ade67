"""Answers that could not be read or decided: whose they are, and a few of them to look at."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from potstill.evaluation.formats import MANY_UNREAD
from potstill.records import Reading, Response, Role, Split, Verdict
from potstill.report.data import Unread, UnreadExample

if TYPE_CHECKING:
    from potstill.pipeline.outputs import AnswerSet

__all__ = ["end_of", "unread_solvers"]

_EXAMPLES = 3
_END = 300
_Who = tuple[str, Split, str, Role]


def unread_solvers(cells: Iterable[AnswerSet]) -> tuple[Unread, ...]:
    """Return the solvers with more than 2 % of unread answers to a set, each with three of them.

    The seeds of a level count together. The three are those with the least response id, which is a
    hash: the same at every run, and of no one part of the set.
    """
    responses: Counter[_Who] = Counter()
    unread: Counter[_Who] = Counter()
    first: defaultdict[_Who, list[tuple[Response, Verdict]]] = defaultdict(list)
    for cell in cells:
        who = (cell.set, cell.split, cell.level or cell.role.value, cell.role)
        responses[who] += len(cell.responses)
        for pair in cell.judged():
            if pair[1].reading is Reading.UNREAD:
                unread[who] += 1
                # held are the few that are kept: a base that talks may leave all of its answers
                first[who] = heapq.nsmallest(
                    _EXAMPLES, [*first[who], pair], key=lambda kept: kept[0].response_id
                )
    return tuple(
        Unread(*who, n, unread[who], tuple(_example(*pair) for pair in first[who]))
        for who, n in responses.items()
        if unread[who] > MANY_UNREAD * n
    )


def end_of(response: Response) -> str:
    """Return the last 300 characters of a response, of its reasoning where it has no text."""
    return (response.text.strip() or response.reasoning.strip())[-_END:]


def _example(response: Response, verdict: Verdict) -> UnreadExample:
    return UnreadExample(response.problem_id, end_of(response), verdict.why)
