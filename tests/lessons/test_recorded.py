"""Levels read from a record: matched, checked, counted, nothing added."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from potstill.errors import InputError
from potstill.lessons.quality import Gate, GateOptions
from potstill.lessons.recorded import (
    Options,
    RecordedTally,
    Unmatched,
    inversions,
    read_recorded,
)
from potstill.problems import guess_source, load_problems
from potstill.records import Lesson, Problem
from support.scripted_lessons import grade, problem

NO_EQUATIONS = GateOptions(off=(Gate.FALSE_EQUATION,))


@dataclass
class Recorded:
    """What was read: lessons, and texts without a place."""

    lessons: list[Lesson]
    unmatched: list[Unmatched]


def read(problems: list[Problem], *files: dict[str, Any]) -> Recorded:
    options = Options.model_validate({"files": list(files)}, strict=False)
    found = list(
        read_recorded(options, problems, grade=grade, count_tokens=len, gates=NO_EQUATIONS)
    )
    return Recorded(
        [x for x in found if isinstance(x, Lesson)], [x for x in found if isinstance(x, Unmatched)]
    )


@pytest.fixture
def columns(tmp_path: Path) -> Path:
    path = tmp_path / "levels.csv"
    path.write_text(
        "year,q,question,long,short\n"
        "2017,1,What is 12 + 30?,12 + 30 is 42 since 10 + 30 is 40. \\boxed{42},"
        "12 + 30 = \\boxed{42}\n"
        "2017,2,What is 2 + 2?,2 + 2 = \\boxed{4},We add two and two and get \\boxed{5}\n"
        "2019,9,What is gone?,x,y\n",
        encoding="utf-8",
    )
    return path


PROBLEMS = [problem("2017/1"), problem("2017/2", "What is 2 + 2?", "4")]


@pytest.mark.parametrize("how", [{"id": ["year", "q"]}, {"question": "question"}])
def test_columns_become_levels_with_flags_and_parents(
    columns: Path, how: dict[str, object]
) -> None:
    levels = {"R2": "long", "R4": "short"}
    recorded = read(PROBLEMS, {"path": columns, "levels": levels, **how})
    rows = {(x.problem_id, x.level): (x.parent, x.flags) for x in recorded.lessons}
    assert rows == {
        ("2017/1", "R2"): ("", ()),
        ("2017/1", "R4"): ("R2", ()),
        ("2017/2", "R2"): ("", ()),
        ("2017/2", "R4"): ("R2", ("wrong answer", "longer than the level above")),
    }
    assert [(u.level, u.where.endswith("line 4")) for u in recorded.unmatched] == [
        ("R2", True),
        ("R4", True),
    ]


def test_chat_file_is_matched_by_its_normalised_question(tmp_path: Path, columns: Path) -> None:
    path = tmp_path / "chat.jsonl"
    lines = [
        {"messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": " what is 12+30 "},
            {"role": "assistant", "content": "12 + 30 \\boxed{42}"},
        ]},
        {"messages": [
            {"role": "user", "content": "What is 12 + 30?"},
            {"role": "assistant", "content": "again \\boxed{42}"},
        ]},
        {"messages": [
            {"role": "user", "content": "Unknown?"}, {"role": "assistant", "content": "x"},
        ]},
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    recorded = read(PROBLEMS, {"path": path, "levels": {"R1": "messages"}})
    assert [x.text for x in recorded.lessons] == ["12 + 30 \\boxed{42}"]
    assert [u.why.split(" (")[0] for u in recorded.unmatched] == [
        "a second text of this level",
        "no problem of the study has this id or text",
    ]
    both = read(
        PROBLEMS,
        {"path": path, "levels": {"R1": "messages"}},
        {"path": columns, "levels": {"R2": "long"}, "id": ["year", "q"]},
    )
    (row,) = inversions(both.lessons)
    assert (row.above, row.level, row.longer, row.of) == ("R1", "R2", 1, 1)


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, columns: Path) -> None:
    with pytest.raises(InputError, match="no column 'lang'; did you mean 'long'"):
        read(PROBLEMS, {"path": columns, "levels": {"R2": "lang"}, "id": ["year", "q"]})
    path = tmp_path / "chat.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "What is 2 + 2?"}]}\n')
    with pytest.raises(InputError, match="line 1: messages holds no assistant turn"):
        read(PROBLEMS, {"path": path, "levels": {"R1": "messages"}})
    with pytest.raises(ValidationError, match="to match rows to problems"):
        read(PROBLEMS, {"path": columns, "levels": {"R2": "long"}})
    with pytest.raises(ValidationError, match="names no level"):
        read(PROBLEMS, {"path": columns, "levels": {}, "question": "question"})


def test_what_is_kept_and_what_is_left_out_is_counted_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "levels.jsonl"
    texts = {
        "a": "2 + 2 is 4, which we see by counting. \\boxed{4}",
        "b": "2 + 2 is 5, which we see by counting. \\boxed{5}",
        "c": "",
        "d": "2 + 2 is what we get by counting, and so the",
        "e": "2 + 2 is 4, which we see by counting. \\boxed{4}",
    }
    rows = [json.dumps({"id": i, "text": text}) for i, text in texts.items()]
    path.write_text("\n".join(rows), encoding="utf-8")
    taught = [problem(i, f"What is 2 + 2, said {i} times?", "4") for i in "abcd"]
    recorded = read(taught, {"path": path, "levels": {"R1": "text"}, "id": ["id"]})
    tally = RecordedTally()
    for found in (*recorded.unmatched, *recorded.lessons):
        tally.add(found)
    assert tally.line() == (
        "recorded levels: 1 of 4 kept (1 with a wrong answer, 1 blank, 1 cut off); 1 more belong "
        "to no problem that is taught (held out, excluded, unknown, or a second text)"
    )


def test_real_record_shows_its_inversions_cuts_and_leaks(data: Path) -> None:
    folder = data / "recorded"
    problems = list(
        load_problems([guess_source(data / "competition")], infer=lambda k, t: "").problems
    )
    recorded = read(
        problems,
        {
            "path": folder / "condensed_competition.csv",
            "levels": {f"R{i + 1}": f"reasoning_{i}" for i in range(1, 6)},
            "id": ["year", "section", "question_id"],
        },
        *(
            {"path": folder / f"distilled_{name}.jsonl", "levels": {"R1": "messages"}}
            for name in ("train", "valid", "test")
        ),
    )
    rows = {(r.above, r.level): (r.longer, r.of) for r in inversions(recorded.lessons)}
    assert rows == {
        ("R1", "R2"): (585, 587),
        ("R2", "R3"): (0, 637),
        ("R3", "R4"): (8, 637),
        ("R4", "R5"): (35, 637),
        ("R5", "R6"): (261, 637),
    }
    assert len(recorded.unmatched) == 34 * 5 + 13
    flags = Counter((x.level, flag) for x in recorded.lessons for flag in x.flags)
    assert flags["R2", "key leaked"] == 110
    assert flags["R2", "cut"] >= 122
    assert flags["R1", "cut"] == 2
