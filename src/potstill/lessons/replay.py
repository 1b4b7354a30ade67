"""Ordinary chats that students are trained on beside their lessons, against forgetting.

A raw row: ``{"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}``, or
``{"prompt": ..., "completion": ...}``, or ``{"question": ..., "answer": ...}``.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.chat import Message
from potstill.errors import InputError
from potstill.problems.overlap.find import find_pairs
from potstill.problems.raw import normalise
from potstill.records import Problem, TextGold
from potstill.store.rows import open_table, place_of_row
from potstill.text import several

__all__ = [
    "Chat",
    "ChatRow",
    "Replay",
    "choose_chats",
    "count_replayed",
    "problems_in",
    "read_chats",
]

_REPLAY = "replay/"
_PAIRS = (("prompt", "completion"), ("question", "answer"))
_ROLES = ("system", "user", "assistant")
_FEWEST_WORDS = 6
"""A shorter problem stands in many a text that is not about it: only a turn that is it counts."""


@dataclass(frozen=True, slots=True)
class Chat:
    """One chat of a replay file: the turns before its last, and the last, which is learnt."""

    row: int
    messages: tuple[Message, ...]
    completion: str

    @property
    def id(self) -> str:
        """What its example is called; no problem's id."""
        return f"{_REPLAY}{self.row}"


@dataclass(frozen=True, slots=True)
class ChatRow:
    """What is known of one chat: its tokens, and the problem that it holds, "" for none."""

    row: int
    tokens: int
    holds: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The chats that students may be trained on, their share, and what of the file was left out."""

    chats: Sequence[Chat]
    share: float
    left_out: str

    @property
    def told(self) -> str:
        """What is worth saying of it before training."""
        left_out = f"; left out: {self.left_out}" if self.left_out else ""
        return (
            f"replay: {self.share:.0%} of every student's examples are drawn from "
            f"{several(len(self.chats), 'chat')}{left_out}"
        )

    def draw(self, lessons: int, seed: int) -> list[Chat]:
        """Return the chats that make up the share together with so many lessons.

        ``seed`` draws their order. Where there are too few, each comes again as often as any other,
        but for one.
        """
        wanted = round(self.share / (1 - self.share) * lessons)
        drawn: list[Chat] = []
        while len(drawn) < wanted:
            again = f"{seed}/{len(drawn)}/"

            def place(chat: Chat, again: str = again) -> bytes:
                return hashlib.sha256(f"{again}{chat.row}".encode()).digest()

            drawn += sorted(self.chats, key=place)[: wanted - len(drawn)]
        return drawn


def count_replayed(example_ids: Iterable[str]) -> int:
    """Return how many of some examples are chats and no lessons."""
    return sum(example_id.startswith(_REPLAY) for example_id in example_ids)


def read_chats(path: Path) -> list[Chat]:
    """Return the chats of a file, each numbered as its row is.

    Raises InputError for a file that is missing or empty, and for the first row that is no chat or
    does not end with the assistant's turn.
    """
    chats = []
    for number, row in open_table(path).rows:
        where = f"training.replay: {path} {place_of_row(path, number)}"
        *before, last = _turns(row, where)
        if last.role != "assistant":
            raise InputError(
                f"{where} ends with the turn of the {last.role}; what is learnt is the assistant's "
                "last turn: end the chat with it, or delete the row."
            )
        if not any(turn.role == "user" for turn in before):
            raise InputError(
                f"{where} asks nothing before the assistant answers; add the user's turn, or "
                "delete the row."
            )
        chats.append(Chat(number, tuple(before), last.content))
    if not chats:
        raise InputError(
            f"training.replay: {path} holds no chat; give one a line, or another file."
        )
    return chats


def _turns(row: Mapping[str, Any], where: str) -> list[Message]:
    if "messages" not in row:
        for asked, answered in _PAIRS:
            if asked in row and answered in row:
                pair = (("user", row[asked]), ("assistant", row[answered]))
                return [_turn({"role": role, "content": text}, where) for role, text in pair]
        there = ", ".join(map(str, row)) or "none"
        raise InputError(
            f"{where} is no chat: it has no messages, no prompt with a completion and no question "
            f"with an answer (its names: {there}); name its columns so."
        )
    turns = row["messages"]
    if not isinstance(turns, list) or not turns:
        raise InputError(f"{where}: messages is no list of turns; write [{{role, content}}, ...].")
    return [_turn(turn, where) for turn in turns]


def _turn(turn: Any, where: str) -> Message:
    role, content = (
        (turn.get(x) for x in ("role", "content")) if isinstance(turn, dict) else ("", "")
    )
    if role not in _ROLES:
        raise InputError(
            f"{where}: a turn has the role {str(role)[:40]!r}; there are {', '.join(_ROLES)}."
        )
    if not isinstance(content, str) or not content.strip():
        raise InputError(
            f"{where}: the {role}'s turn holds no text; write it as text, or delete the row."
        )
    return Message(role, content)


def choose_chats(
    path: Path, share: float, chats: Sequence[Chat], rows: Sequence[ChatRow], most_tokens: int
) -> Replay:
    """Return the chats that can be trained on: none too long, and none that holds a problem.

    Raises InputError where none is left.
    """
    usable = [
        chat
        for chat, row in zip(chats, rows, strict=True)
        if row.tokens <= most_tokens and not row.holds
    ]
    holding = [row for row in rows if row.holds]
    reasons = []
    if long := len(rows) - len(holding) - len(usable):
        reasons.append(f"{long:,} longer than {most_tokens:,} tokens")
    if holding:
        hold = "holds" if len(holding) == 1 else "hold"
        where = place_of_row(path, holding[0].row)
        reasons.append(
            f"{len(holding):,} that {hold} a problem which is validated on or scored ({where}: "
            f"{holding[0].holds})"
        )
    left_out = " and ".join(reasons)
    if not usable:
        raise InputError(
            f"training.replay: {path} has no chat that can be trained on (left out: {left_out}); "
            "give another file."
        )
    return Replay(usable, share, left_out)


def problems_in(chats: Sequence[Chat], problems: Sequence[Problem]) -> dict[int, str]:
    """Return the rows of chats that hold one of these problems, each with the problem's id.

    A turn holds a problem that it is, nearly is (the overlap search), or has word for word within
    it. What was trained on must be none of what is scored.
    """
    turns = [
        Problem(f"{chat.row} {place}", text, TextGold(""), "", "", {})
        for chat in chats
        for place, text in enumerate([*(m.content for m in chat.messages), chat.completion])
    ]
    held = {
        int(pair.b_id.split()[0]): pair.a_id for pair in find_pairs(problems, turns) if pair.leaks
    }
    beginnings: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for problem in problems:
        words = _words(problem.text)
        if len(words) >= _FEWEST_WORDS:
            beginnings[tuple(words[:_FEWEST_WORDS])].append((problem.id, _joined(words)))
    for turn in turns:
        row = int(turn.id.split()[0])
        if row not in held and (found := next(_within(turn.text, beginnings), "")):
            held[row] = found
    return held


def _within(
    text: str, beginnings: Mapping[tuple[str, ...], Iterable[tuple[str, str]]]
) -> Iterator[str]:
    """Yield the ids of the problems that stand word for word in a text."""
    words = _words(text)
    whole = _joined(words)
    for place in range(len(words) - _FEWEST_WORDS + 1):
        for problem_id, problem in beginnings.get(tuple(words[place : place + _FEWEST_WORDS]), ()):
            if problem in whole:
                yield problem_id


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", normalise(text))


def _joined(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "
