"""The limits of sequences and answers where a study leaves them to its lessons."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from potstill.analysis.students import find_student
from potstill.errors import InputError
from potstill.pipeline.directory import open_study
from potstill.pocket import STUDENT_PATH
from potstill.records import Split
from potstill.training.limits import read_limits, tokens_that_hold
from random_model import write_random_model
from support.small_study import write_small_study


@pytest.mark.parametrize(
    ("lengths", "tokens"),
    [
        ([1], 64),
        ([64], 64),
        ([65], 128),
        ([10] * 99 + [700], 64),  # one in a hundred does not fit
        ([10] * 98 + [700, 700], 704),
        (list(range(1, 1001)), 1024),
    ],
)
def test_limit_holds_99_of_100_lessons(lengths: list[int], tokens: int) -> None:
    assert tokens_that_hold(lengths) == tokens


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A finished study that sets no limit: its file, its directory, and what the run said."""
    folder = tmp_path_factory.mktemp("limits")
    path = write_small_study(
        folder,
        levels=["R1", "R6"],
        problems=[{"source": "pocket", "train": 20, "valid": 6, "heldout": 4}],
        training={
            "preset": "pocket", "iterations": 2, "validate_every": 1, "max_sequence_tokens": "auto"
        },
        evaluation={"prompt": "{problem}"},
    )  # fmt: skip
    code, said = potstill("run", path, "--out", folder / "out")
    assert code == 0, said
    return path, folder / "out", said


def potstill(*arguments: object) -> tuple[int, str]:
    """Run the command in a process: its exit status, and all it said as one line."""
    command = [sys.executable, "-m", "potstill", *map(str, arguments)]
    env = os.environ | {"COLUMNS": "1000"}  # no path is broken over two lines
    out = subprocess.PIPE
    done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, text=True, env=env)
    return done.returncode, " ".join(done.stdout.split())


def counted(directory: Path) -> dict[str, list[tuple[int, int]]]:
    """Count the tokens of every example trained on and of its lesson, by level, as transformers
    renders and encodes them.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(STUDENT_PATH)
    study = open_study(directory)
    texts = {p.id: p.text for p in study.problems or ()}
    train = {i for i, split in (study.splits or {}).items() if split is Split.TRAIN}
    found: dict[str, list[tuple[int, int]]] = {}
    for level, lessons in study.made.chosen.items():
        for lesson in (x for x in lessons if x.problem_id in train):
            chat = [{"role": "user", "content": texts[lesson.problem_id]}]
            prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
            asked = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
            taught = len(tokenizer(lesson.text, add_special_tokens=False)["input_ids"]) + 1
            found.setdefault(level, []).append((asked + taught, taught))
    return found


def held(lengths: list[int]) -> int:
    return -(-int(np.percentile(lengths, 99, method="inverted_cdf")) // 64) * 64


def test_run_takes_both_limits_from_the_lessons_and_says_so(done: tuple[Path, Path, str]) -> None:
    _, directory, output = done
    lengths = counted(directory)
    assert set(lengths) == {"R1", "R6"}
    sequence = max(held([whole for whole, _ in of]) for of in lengths.values())
    answer = max(256, *(held([taught for _, taught in of]) for of in lengths.values()))
    limits = read_limits(directory)
    assert limits is not None
    assert (limits.max_sequence_tokens, limits.max_tokens) == (sequence, answer)
    assert f"training.max_sequence_tokens {sequence}, evaluation.max_tokens {answer}" in output
    report = json.loads((directory / "report" / "report.json").read_text())
    answered = {c["sampling"]["max_tokens"] for c in report["conditions"] if c["template"]}
    assert answer in answered
    lock = json.loads((directory / "study.lock.json").read_text())["decides"]
    assert lock["training"]["max_sequence_tokens"] == sequence
    assert lock["evaluation"]["max_tokens"] == answer


def test_finished_study_is_up_to_date_and_its_student_answers_within_the_limit(
    done: tuple[Path, Path, str],
) -> None:
    path, directory, _ = done
    before = (directory / "limits.json").stat().st_mtime_ns
    code, said = potstill("run", path, "--out", directory)
    assert code == 0
    assert "limits from the lessons" not in said
    assert (directory / "limits.json").stat().st_mtime_ns == before
    limits = read_limits(directory)
    assert limits is not None
    assert find_student(directory, "R1").condition.sampling.max_tokens == limits.max_tokens
    assert potstill("verify", directory)[0] == 0


def test_limits_that_are_lost_come_back_and_damaged_ones_are_named(
    done: tuple[Path, Path, str], tmp_path: Path
) -> None:
    path, directory, _ = done
    copy = tmp_path / "out"
    shutil.copytree(directory, copy)
    file = copy / "limits.json"
    whole = file.read_bytes()
    file.unlink()
    assert "limits.json is missing; the next potstill run writes it" in potstill("inspect", copy)[1]
    assert potstill("run", path, "--out", copy)[0] == 0
    assert file.read_bytes() == whole
    file.write_bytes(whole[:20])
    code, said = potstill("run", path, "--out", copy)
    assert code == 2
    assert "limits.json cannot be read" in said
    with pytest.raises(InputError, match="delete it"):
        read_limits(copy)


def test_limits_end_at_the_context_of_the_base(tmp_path: Path) -> None:
    texts = ["Carla buys 4 pens for 23 dollars each. 4 x 23 = 92, so it is \\boxed{92}."] * 20
    base = write_random_model(tmp_path / "base", texts, context_tokens=448)
    path = write_small_study(
        tmp_path,
        levels=["R1", "R6"],
        problems=[{"source": "pocket", "train": 20, "valid": 6, "heldout": 2}],
        student={"base": str(base)},
        training={"iterations": 2, "validate_every": 1, "batch_size": 2},
        evaluation={"prompt": "{problem}"},
    )
    code, said = potstill("run", path, "--out", tmp_path / "out", "--until", "train")
    assert code == 0, said
    limits = read_limits(tmp_path / "out")
    assert limits is not None
    assert limits.max_sequence_tokens == 448
    assert 256 <= limits.max_tokens <= 448
    assert "as far as the context of the base goes: training.max_sequence_tokens 448" in said
    assert re.search(r"R1 seed 0: excluded: \d+ examples? longer than 448 tokens", said)
