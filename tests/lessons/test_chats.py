"""Chats to be replayed: read, refused, looked through for what is scored, and drawn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from potstill.chat import Message
from potstill.errors import InputError
from potstill.lessons.replay import (
    Chat,
    ChatRow,
    Replay,
    choose_chats,
    count_replayed,
    problems_in,
    read_chats,
)
from support.scripted_lessons import problem

ASKED = "A farmer has 17 sheep and buys 25 more at the market. How many sheep has he now?"
HELLO = {
    "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(row: int, text: str, answer: str = "Gladly.") -> Chat:
    return Chat(row, (Message("user", text),), answer)


def turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": f"{role} says"} for role in roles]}


def test_all_but_the_last_turn_is_the_prompt_and_pairs_are_chats_too(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        turns("system", "user", "assistant", "user", "assistant"),
        {"prompt": "Name a bird.", "completion": "A wren."},
        {"question": "And a fish?", "answer": "A trout.", "source": "mine"},
    )
    first, second, third = read_chats(path)
    assert [m.role for m in first.messages] == ["system", "user", "assistant", "user"]
    assert (first.completion, first.id) == ("assistant says", "replay/1")
    assert second == Chat(2, (Message("user", "Name a bird."),), "A wren.")
    assert third == Chat(3, (Message("user", "And a fish?"),), "A trout.")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (turns("user", "assistant", "user"), "line 2 ends with the turn of the user"),
        (turns("system", "assistant"), "line 2 asks nothing before the assistant answers"),
        (turns("assistant"), "line 2 asks nothing"),
        ({"text": "Hi"}, "line 2 is no chat: it has no messages"),
        ({"messages": []}, "line 2: messages is no list of turns"),
        ({"messages": "Hi"}, "line 2: messages is no list of turns"),
        ({"messages": ["Hi"]}, "line 2: a turn has the role ''"),
        (turns("user", "tool", "assistant"), "line 2: a turn has the role 'tool'"),
        ({"prompt": "Hi", "completion": " "}, "line 2: the assistant's turn holds no text"),
        ({"prompt": None, "completion": "Hello"}, "line 2: the user's turn holds no text"),
    ],
)
def test_a_row_that_is_no_chat_is_refused_by_its_number(
    tmp_path: Path, row: dict[str, Any], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        read_chats(write(tmp_path, HELLO, row))


def test_a_file_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl does not exist"):
        read_chats(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="holds no chat"):
        read_chats(write(tmp_path))


def test_a_chat_that_holds_a_scored_problem_is_found_wherever_it_stands() -> None:
    chats = [
        chat(1, "Write a poem about a farmer and his sheep."),
        chat(2, ASKED),
        chat(3, f"Solve this step by step.\n\n{ASKED.upper()} Put it in a box."),
        chat(4, ASKED.replace("the market", "a market")),
        chat(5, ASKED.replace("17", "18")),
        chat(6, "Make up a problem.", f"Here is one: {ASKED}"),
        chat(7, "What is 1 + 1? I ask because of the sheep."),
        chat(8, "what is 1 + 1"),
    ]
    scored = [problem("farm", ASKED), problem("sum", "What is 1 + 1?")]
    assert problems_in(chats, scored) == {2: "farm", 3: "farm", 4: "farm", 6: "farm", 8: "sum"}


def test_the_share_is_of_all_examples_and_drawn_by_the_seed() -> None:
    replay = Replay([chat(row, f"Say {row}.") for row in range(1, 41)], 0.25, "")
    drawn = replay.draw(30, 0)
    assert len(drawn) == 10  # of 40 examples
    assert len({x.row for x in drawn}) == 10
    assert replay.draw(30, 0) == drawn
    assert replay.draw(60, 0)[:10] == drawn
    assert {x.row for x in replay.draw(30, 1)} != {x.row for x in drawn}
    assert count_replayed(["p1", *(x.id for x in drawn)]) == 10


def test_where_chats_are_few_each_comes_again_as_often_as_any_other() -> None:
    few = Replay([chat(row, f"Say {row}.") for row in (1, 2, 4)], 0.5, "")
    counts = Counter(x.row for x in few.draw(11, 0))
    assert sorted(counts.values()) == [3, 4, 4]


def test_what_is_left_out_is_counted_and_a_file_of_nothing_else_refused(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    chats = [chat(row, "Hi") for row in range(1, 6)]
    tokens = [9, 101, 100, 500, 8]
    rows = [
        ChatRow(x.row, n, "p7" if x.row in (4, 5) else "")
        for x, n in zip(chats, tokens, strict=True)
    ]
    replay = choose_chats(path, 0.2, chats, rows, 100)
    assert [x.row for x in replay.chats] == [1, 3]
    assert replay.told == (
        "replay: 20% of every student's examples are drawn from 2 chats; left out: 1 longer than "
        "100 tokens and 2 that hold a problem which is validated on or scored (line 4: p7)"
    )
    with pytest.raises(InputError, match="no chat that can be trained on"):
        choose_chats(path, 0.2, chats[3:], rows[3:], 100)
