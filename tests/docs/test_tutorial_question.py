"""The question that the tutorial asks is one that the demo's student gets right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from potstill.deploy.student import load_student
from potstill.pipeline.run import run_study
from potstill.pocket import generate
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from support.doc_blocks import DOCS, blocks_of, words_of

TUTORIAL = DOCS / "tutorial.md"


def asked_in_the_tutorial() -> str:
    """The question of its first ``potstill ask``."""
    commands = [
        words_of(c) for b in blocks_of(TUTORIAL) if b.language == "sh" for c in b.commands()
    ]
    return " ".join(
        next(words for words in commands if words[:2] == ["potstill", "ask"])[3].split()
    )


@pytest.mark.slow
def test_the_demos_student_answers_the_tutorials_question(tmp_path: Path) -> None:
    question = asked_in_the_tutorial()
    first, second = re.findall(r"(\d+) \w+ for (\d+) dollars each", question)
    total = int(first[0]) * int(first[1]) + int(second[0]) * int(second[1])
    assert f"here with {total}, which is right" in TUTORIAL.read_text(encoding="utf-8")
    for split in ("train", "valid", "heldout"):
        assert question not in {p.text for p in generate(split, 330)}

    raw = yaml.safe_load(DEMO_STUDY.read_text(encoding="utf-8"))
    raw["problems"] = [{"source": "pocket", "train": 240, "valid": 12, "heldout": 6}]
    raw["levels"] = ["R1"]
    raw["training"] |= {"iterations": 80, "validate_every": 40}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    run_study(load_study(tmp_path / "study.yaml"), tmp_path / "out", until="train")
    with load_student(tmp_path / "out", "R1") as student:
        assert f"\\boxed{{{total}}}" in student.ask(question)
