"""R0, the trace as the teacher gave it, as a level to train on, in the form its base thinks in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.chat import Message
from potstill.errors import StudyError
from potstill.ledger.ledger import Ledger
from potstill.lessons.condense import in_tags
from potstill.models.chat_template import opens_thought, thinks
from potstill.models.torch_base import load_tokenizer
from potstill.pipeline.directory import open_study
from potstill.pipeline.run import run_study
from potstill.protocol.parse import parse_completion
from potstill.protocol.thinking import split_thought
from potstill.records import Lesson, Response
from potstill.study.schema import load_study
from potstill.training.examples import Example, encode_examples
from potstill.training.preflight import WantedBase, look_at_base
from support.scripted_lessons import ScriptedCondenser, lessons_of, problem
from support.small_bases import CHATML, THINKING, write_small_base
from support.small_study import write_small_study

OPENED = CHATML.replace("assistant\\n' }}{% endif %}", "assistant\\n<think>\\n' }}{% endif %}")
ASKED = (Message("user", "What is 12 + 30?"),)


def thought() -> Response:
    answer = Response.of_text("teacher", "p1", "So \\boxed{42}.")
    return replace(answer, reasoning="12 and 30.")


def lessons(condenser: Any, levels: list[str], *, tags: bool) -> list[Lesson]:
    return lessons_of([(problem("p1"), thought())], condenser, levels, tags=tags)


def test_tags_stand_around_the_reasoning_and_are_read_back_as_it() -> None:
    text = in_tags(thought())
    assert text == "<think>\n12 and 30.\n</think>\n\nSo \\boxed{42}."
    assert split_thought(text) == ("12 and 30.", "So \\boxed{42}.")
    assert in_tags(Response.of_text("t", "p", "It is 42.")) == "It is 42."


def test_the_level_below_is_condensed_from_the_trace_without_tags() -> None:
    condenser = ScriptedCondenser(lambda *of: "12 and 30 are added and that makes 42: \\boxed{42}")
    r0, r1 = lessons(condenser, ["R0", "R1"], tags=True)
    assert r0.text == in_tags(thought())
    assert (r0.words, r0.tokens) == (7, len(r0.text))
    assert "<think>" not in condenser.asks[0].messages[-1].content
    assert (r1.level, r1.parent) == ("R1", "R0")


def test_r0_alone_needs_no_condenser() -> None:
    (r0,) = lessons(None, ["R0"], tags=False)
    assert (r0.level, r0.text) == ("R0", "12 and 30.\n\nSo \\boxed{42}.")


@pytest.mark.parametrize(
    ("template", "raw", "condensed"),
    [
        (CHATML, "<think>\nA\n</think>\n\nB", "C"),
        (OPENED, "A\n</think>\n\nB", "\n</think>\n\nC"),
    ],
    ids=["closed", "opened"],
)
def test_a_lesson_goes_on_where_the_prompt_ends(
    template: str, raw: str, condensed: str, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(write_small_base(tmp_path / "base", "qwen3", template=template))
    taught = [Example("a", ASKED, "<think>\nA\n</think>\n\nB"), Example("b", ASKED, "C")]
    for example, text in zip(
        encode_examples(tokenizer, taught, 500).examples, (raw, condensed), strict=True
    ):
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": ASKED[0].content}],
            add_generation_prompt=True,
            tokenize=False,
        )
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(example.tokens[: example.prompt_length]) == prompt
        assert list(example.tokens[example.prompt_length :]) == [*ids, tokenizer.eos_token_id]


@pytest.mark.parametrize(
    ("template", "arguments", "expected"),
    [
        (CHATML, {}, (False, False)),
        (THINKING, {}, (True, False)),
        (THINKING, {"enable_thinking": False}, (False, False)),
        (OPENED, {}, (False, True)),
    ],
    ids=["plain", "thinks", "told not to", "opened"],
)
def test_a_template_says_whether_its_base_thinks(
    template: str, arguments: dict[str, Any], expected: tuple[bool, bool], tmp_path: Path
) -> None:
    folder = write_small_base(tmp_path / "base", "qwen3", template=template)
    tokenizer = load_tokenizer(folder, arguments)
    assert (thinks(tokenizer), opens_thought(tokenizer)) == expected


@pytest.mark.parametrize(
    ("template", "wanted", "says", "stands_in_the_way"),
    [
        (CHATML, {"raw": True, "thinking": "tags"}, "knows no <think> tags", False),
        (THINKING, {"raw": True, "thinking": "plain"}, "R0 is taught without them", False),
        (THINKING, {"raw": True}, "no lesson but R0 begins with such a thought", False),
        (THINKING, {}, "no lesson begins with such a thought; student.template", False),
        (
            THINKING,
            {"raw": True, "thinking": "tags", "template": {"enable_thinking": False}},
            "ends the thought before the answer",
            True,
        ),
    ],
)
def test_lessons_of_another_sort_than_the_base_are_told_before_anything_is_bought(
    template: str, wanted: dict[str, Any], says: str, stands_in_the_way: bool, tmp_path: Path
) -> None:
    folder = write_small_base(tmp_path / "base", "qwen3", template=template)
    found = look_at_base(WantedBase(str(folder), **wanted))
    assert any(says in x for x in found.errors) == stands_in_the_way
    assert any(says in x for x in found.warnings) == (not stands_in_the_way)


def test_what_agrees_is_not_warned_of(tmp_path: Path) -> None:
    folder = write_small_base(tmp_path / "base", "qwen3", template=THINKING)
    found = look_at_base(WantedBase(str(folder), raw=True, condensed=False))
    assert (found.errors, found.warnings) == ((), ())


def test_a_study_of_r0_and_r1_trains_on_what_the_teacher_wrote(tmp_path: Path) -> None:
    study = load_study(
        write_small_study(tmp_path, levels=["R0", "R1"], training={
            "preset": "pocket", "iterations": 1, "validate_every": 1, "max_sequence_tokens": 1024,
        })
    )  # fmt: skip
    report = run_study(study, tmp_path / "out")
    assert report is not None
    assert {x["level"] for x in report["scores"] if x["role"] == "student"} == {"R0", "R1"}
    found = open_study(tmp_path / "out")
    assert found.lessons is not None
    traces = {x.problem_id: x for x in found.lessons if x.level == "R0"}
    clean = {x.problem_id: x for x in found.lessons if x.level == "R1" and not x.flags}
    assert len(clean) > 20
    assert {x.made_by for x in traces.values()} == {"pocket-teacher"}
    with Ledger.open(tmp_path / "out" / "ledger.sqlite", readonly=True) as ledger:
        for problem_id, lesson in clean.items():
            trace = traces[problem_id]
            said = ledger.get(trace.ledger_key)
            assert said is not None
            assert trace.text.startswith(parse_completion(said).reasoning.strip())
            assert trace.words > lesson.words


def test_a_study_of_r0_alone_is_asked_no_condenser(tmp_path: Path) -> None:
    path = write_small_study(tmp_path, levels=["R0"])
    raw = yaml.safe_load(path.read_text())
    del raw["condenser"]
    path.write_text(yaml.safe_dump(raw))
    run_study(load_study(path), tmp_path / "out", until="condense")
    (manifest,) = (tmp_path / "out").glob("cells/lessons/*/manifest.json")
    assert json.loads(manifest.read_text())["rows"]["lessons"] > 20
    path.write_text(yaml.safe_dump(raw | {"levels": ["R0", "R1"]}))
    with pytest.raises(StudyError, match=r"give a condenser or recorded levels; levels: \[R0\] al"):
        load_study(path)
