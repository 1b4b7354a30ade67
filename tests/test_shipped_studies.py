"""The studies that ship: each can be read, and the tables that it wants are made by a tool."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tools import make_levels

from potstill.errors import StudyError
from potstill.grading.maths.kinds import infer_kind
from potstill.pipeline.directory import open_study
from potstill.pipeline.run import run_study
from potstill.problems import load_problems
from potstill.records import Split
from potstill.study.schema import load_study
from support.small_bases import write_small_base

STUDIES = Path(__file__).resolve().parents[1] / "studies"
MADE = ("gsm8k", "gsm8k-r1", "code", "clinical", "law")
FUNCTION = (
    "def f(text):\n    out = []\n    for c in text:\n        out.append(c)\n    return out[::-1]"
)
WORDS = ("a cat", "two dogs", "a red boat", "her mother", "no time", "much to do", "a green hat")
THOUGHT = "First, 48 / 2 = 24 clips. That is May."
TRACE = f"{THOUGHT}\n</think>\n\nIn all 48 + 24 = 72 clips.\n\\boxed{{72}}"
ROWS: dict[str, list[dict[str, Any]]] = {
    "gsm8k": [
        {
            "id": f"{k}",
            "question": f"Natalia sold {k} clips in April, half as many in May. How many in all?",
            "answer": f"{k * 3 // 2}",
            "solution": f"In May it was {k}/2 = <<{k}/2={k // 2}>>{k // 2} clips. "
            "So she did well.\n"
            f"In all {k}+{k // 2} = <<{k}+{k // 2}={k * 3 // 2}>>{k * 3 // 2} clips.",
        }
        for k in range(20, 140, 4)
    ],
    "traces": [{"id": k, "question": f"Q{k}?", "answer": "72", "trace": TRACE} for k in range(30)],
    "code": [
        {"id": f"s{k}", "question": hashlib.sha256(c.encode()).hexdigest(),
         "answer": f"['b', '{c}']",
         "code": FUNCTION, "input": f"'{c}b'"}
        for k, c in enumerate("acdefghijklmnopq")
    ],
    "clinical": [
        {"id": f"{k}", "question": f"Does drug {k} help?", "context": f"Of {k + 9} patients ...",
         "answer": ("yes", "no", "maybe")[k % 3], "year": "2011", "long_answer": "It seems so."}
        for k in range(16)
    ],
    "law": [
        {"id": f"{k}", "text": f"Game {k}. Who is first? A) K B) L C) M D) N E) O",
         "answer": "ABCDE"[k % 5]}
        for k in range(24)
    ],
    "asdiv": [
        {"id": f"asdiv-{k}", "question": f"Ann has {k}\n apples and {WORDS[k % 7]}. How many? ",
         "answer": f"{k} (apples)"}
        for k in range(820)
    ],
}  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write(folder / "gsm8k" / "train.jsonl", ROWS["gsm8k"][:22])
    write(folder / "gsm8k" / "test.jsonl", ROWS["gsm8k"][22:])
    write(folder / "traces" / "r1_distill_qwen_32b_gsm8k.jsonl", ROWS["traces"])
    write(folder / "code" / "cruxeval.jsonl", ROWS["code"])
    write(folder / "clinical" / "pubmedqa.jsonl", ROWS["clinical"])
    write(folder / "law" / "ar_lsat_train.jsonl", ROWS["law"][:16])
    write(folder / "law" / "ar_lsat_test.jsonl", ROWS["law"][16:])
    write(folder / "word_problems" / "asdiv.jsonl", ROWS["asdiv"])
    write(folder / "word_problems" / "svamp.jsonl", ROWS["gsm8k"][:9])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["make_levels", str(folder), str(folder / "levels")])
        make_levels.main()
    return folder / "levels"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "base"
    return write_small_base(folder, "llama", num_hidden_layers=8, max_position_embeddings=2_048)


@pytest.mark.parametrize("name", MADE)
def test_it_runs_from_its_table_to_its_report(
    name: str, levels: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTSTILL_LEVELS", str(levels))
    monkeypatch.setenv("POTSTILL_BASE", str(base))
    shipped = load_study(STUDIES / f"{name}.yaml")
    few = {"iterations": 2, "validate_every": 1, "batch_size": 2}
    study = shipped.model_copy(
        update={
            "training": shipped.training.model_copy(update=few),
            "evaluation": shipped.evaluation.model_copy(update={"max_tokens": 8}),
            "seeds": [0],
        }
    )
    run_study(study, tmp_path / "out")
    assert study.primary == (study.levels[0], "base")
    there = open_study(tmp_path / "out")
    assert there.unfinished == ""
    assert there.lessons is not None
    assert len(there.lessons) >= 10
    assert there.splits is not None
    assert there.report is not None
    heldout = [split for split in there.splits.values() if split is Split.HELDOUT]
    asked = {
        row["level"] or row["role"]: row["n"]
        for row in there.report["scores"]
        if row["group"] == "all"
    }
    assert {asked[name] for name in ("base", *study.levels)} == {len(heldout)}


def test_a_variable_has_the_default_that_the_study_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POTSTILL_BASE", raising=False)
    monkeypatch.setenv("POTSTILL_LEVELS", "/nowhere")
    assert load_study(STUDIES / "gsm8k.yaml").student.base == "HuggingFaceTB/SmolLM2-135M-Instruct"
    monkeypatch.setenv("POTSTILL_BASE", "other/base")
    assert load_study(STUDIES / "gsm8k.yaml").student.base == "other/base"
    monkeypatch.delenv("POTSTILL_LEVELS")
    with pytest.raises(StudyError, match="needs the environment variable POTSTILL_LEVELS"):
        load_study(STUDIES / "gsm8k.yaml")


def test_word_problems_are_divided_by_their_ids_alone(
    levels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(x) for x in (levels / "asdiv.jsonl").read_text().splitlines()]
    assert Counter(x["side"] for x in rows) == {"heldout": 500, "train": 120, "valid": 24}
    assert all("\n" not in x["question"] and not x["question"].endswith(" ") for x in rows)
    assert list(make_levels.rows_of_asdiv(ROWS["asdiv"][::-1])) == rows
    monkeypatch.setenv("POTSTILL_LEVELS", str(levels))
    study = load_study(STUDIES / "word-problems.yaml")
    imported = load_problems(study.problems, infer=infer_kind)
    assert Counter(x.source for x in imported.problems) == {"ASDiv": 644, "SVAMP": 9, "GSM8K": 8}


def test_a_question_has_one_side_whoever_answers_it_and_wrong_answers_stay() -> None:
    rows = [
        {
            "problem": f"Question {k}?",
            "key": f"{k}",
            "model": model,
            "response": f"{model}: {k % 7}",
        }
        for k in range(500)
        for model in ("base", "hybrid", "thinking")
    ]
    base, hybrid = (list(make_levels.rows_of_answers(rows, x)) for x in ("base", "hybrid"))
    assert Counter(x["side"] for x in base) == {"train": 360, "valid": 40, "heldout": 100}
    assert [(x["question"], x["side"]) for x in base] == [
        (x["question"], x["side"]) for x in hybrid
    ]
    assert {x["text"].split(":")[0] for x in hybrid} == {"hybrid"}
    assert len({x["id"] for x in base}) == len(base) == 500
    assert list(make_levels.rows_of_answers(rows[::-1], "base")) == base


def test_a_solution_stands_at_three_lengths() -> None:
    (row,) = make_levels.rows_of_solutions(ROWS["gsm8k"][:1], "heldout")
    assert row["R1"].splitlines() == [
        "In May it was 20/2 = 10 clips. So she did well.",
        "In all 20+10 = 30 clips.",
        "The answer is \\boxed{30}.",
    ]
    assert row["R3"].splitlines() == [
        "In May it was 20/2 = 10 clips.",
        "In all 20+10 = 30 clips.",
        "The answer is \\boxed{30}.",
    ]
    assert row["R6"] == "The answer is \\boxed{30}."


def test_a_trace_is_told_apart_from_its_answer_and_a_cut_one_has_none() -> None:
    whole, cut = make_levels.rows_of_traces(
        [ROWS["traces"][0], {"id": 1, "question": "Q", "answer": "72", "trace": "First, 48 / 2 ="}]
    )
    assert whole["reasoning"] == THOUGHT
    assert whole["text"] == "In all 48 + 24 = 72 clips.\n\\boxed{72}"
    assert (cut["text"], cut["R1"], cut["R6"]) == ("", "", "")


def test_a_function_tells_what_its_lines_change() -> None:
    assert make_levels.execution(FUNCTION, "'ab'") == [
        "text = 'ab'",
        "out = []",
        "c = 'a'",
        "out = ['a']",
        "c = 'b'",
        "out = ['a', 'b']",
        "f returns ['b', 'a']",
    ]
    assert make_levels.execution("def f():\n    return 1 / 0", "") == []
    long = "def f():\n    n = 0\n    for k in range(99):\n        n += k\n    return n"
    assert make_levels.execution(long, "") == []
