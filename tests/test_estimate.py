"""Tokens and dollars before they are spent: assumed at first, then as measured in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.grading.maths.kinds import infer_kind
from potstill.ledger.ledger import Ledger
from potstill.lessons.ladder import level_line
from potstill.pipeline.run import run_study
from potstill.planning.bought import reused
from potstill.planning.estimate import PlannedCalls, count_tokens, estimate, thinks
from potstill.planning.plan import planned_calls
from potstill.pocket.teacher import TEACHER
from potstill.problems import load_problems
from potstill.protocol.server import create_app, serve
from potstill.records import Level
from potstill.study.schema import Agent, load_study
from support.shop import PROBLEMS, Shop, write_study


@pytest.fixture
def url() -> Iterator[str]:
    with serve(create_app(Shop().reply, [TEACHER])) as found:
        yield found


def test_an_estimate_is_of_what_the_ledger_lacks_and_measured_from_what_it_has(
    tmp_path: Path, url: str
) -> None:
    study = load_study(write_study(tmp_path, url))
    imported = load_problems(study.problems, infer=infer_kind)
    (teach,) = [c for c in planned_calls(study, imported)[1] if c.stage == "teach"]
    (before,) = estimate(study, [teach], imported.problems, None)
    assert (before.have, before.left, before.measured) == (0, PROBLEMS + 8, 0)
    assert before.usd is not None
    # the study's price is a dollar per million tokens out, and none for tokens in
    assert before.usd == pytest.approx([tokens / 1e6 for tokens in before.tokens_out])
    assert before.usd[0] < before.usd[1], "how long it thinks is not known before it is asked"
    assert before.tokens_in > 5 * before.left
    run_study(study, tmp_path / "out", until="teach")
    with Ledger.open(tmp_path / "out/ledger.sqlite", readonly=True) as ledger:
        (after,) = estimate(study, [teach], imported.problems, ledger)
        assert (after.have, after.left, after.measured) == (PROBLEMS + 4, 4, PROBLEMS + 4)
        assert after.tokens_out == (4 * 10_000, 4 * 10_000)
        assert after.usd == pytest.approx((0.04, 0.04))
        more = PlannedCalls("teach", "teacher", TEACHER, 10_000, "")
        (large,) = estimate(study, [more], imported.problems, ledger)
        assert large.usd == pytest.approx([(10_000 - PROBLEMS - 4) * 0.01] * 2)


def test_replies_to_an_earlier_prompt_are_not_those_that_would_be_asked_now(
    tmp_path: Path, url: str
) -> None:
    path = write_study(tmp_path, url)
    raw = yaml.safe_load(path.read_text())
    study = load_study(path)
    imported = load_problems(study.problems, infer=infer_kind)
    run_study(study, tmp_path / "out", until="condense")

    def bought(**changes: Any) -> dict[str, int]:
        path.write_text(yaml.safe_dump({**raw, **changes}))
        changed = load_study(path)
        calls = planned_calls(changed, imported)[1]
        with Ledger.open(tmp_path / "out/ledger.sqlite", readonly=True) as ledger:
            rows = estimate(changed, calls, imported.problems, ledger)
        return {x.call.stage: x.have for x in rows if x.call.role}

    with Ledger.open(tmp_path / "out/ledger.sqlite", readonly=True) as ledger:
        spent = {row.group[0]: row.calls for row in ledger.spend(("stage",))}
    same = bought()
    assert (same["teach"], same["condense"] > 0) == (PROBLEMS + 4, True)
    assert same["condense"] <= spent["condense"]
    prompt = {**raw["teacher"], "prompt": "{problem}\n\nBe brief."}
    assert not any(bought(teacher=prompt).values())
    assert not any(bought(teacher={**raw["teacher"], "temperature": 0.1}).values())
    other = bought(condenser={**raw["condenser"], "temperature": 0.9})
    assert other == {**same, "condense": 0}


def test_below_an_inserted_level_all_are_asked_anew(tmp_path: Path, url: str) -> None:
    had = {Level.R1: 10, Level.R3: 9, Level.R6: 8}

    def found(*levels: str) -> int:
        return reused([Level(x) for x in levels], lambda level: had.get(level, 0))

    assert found("R1", "R3", "R6") == found("R0", "R6", "R3", "R1") == 27
    assert found("R1", "R2", "R3", "R6") == 10
    assert found("R1", "R6") == 10  # R6 was made from R3
    assert found("R3", "R6") == 0
    # and the ledger tells the levels of its replies apart
    study = load_study(write_study(tmp_path, url))
    run_study(study, tmp_path / "out", until="condense")
    with Ledger.open(tmp_path / "out/ledger.sqlite", readonly=True) as ledger:
        (row,) = [r for r in ledger.spend(("stage",)) if r.group[0] == "condense"]
        first = next(e for e in ledger.entries() if e.stage == "condense")
        each = [ledger.count_like("condense", first.request, level_line(x)) for x in Level]
        assert sum(each) == ledger.count_like("condense", first.request) <= row.calls
        assert sum(map(bool, each)) == len(set(study.levels) - {Level.R0})


def test_r0_is_condensed_by_nobody(tmp_path: Path, url: str) -> None:
    path = write_study(tmp_path, url)
    raw = yaml.safe_load(path.read_text())
    counts = {}
    for levels in (["R1"], ["R0", "R1"], ["R0"]):
        path.write_text(yaml.safe_dump(raw | {"levels": levels}))
        study = load_study(path)
        assert study.condenser
        imported = load_problems(study.problems, infer=infer_kind)
        calls = planned_calls(study, imported)[1]
        estimate(study, calls, imported.problems, None)
        counts[len(levels), levels[0]] = [x.calls for x in calls if x.stage == "condense"]
    assert counts[1, "R1"] == counts[2, "R0"] != []
    assert counts[1, "R0"] == []


def test_a_model_without_a_price_is_not_free(tmp_path: Path, url: str) -> None:
    path = write_study(tmp_path, url)
    raw = yaml.safe_load(path.read_text())
    del raw["teacher"]["price"]
    path.write_text(yaml.safe_dump(raw))
    study = load_study(path)
    imported = load_problems(study.problems, infer=infer_kind)
    found = {
        x.call.stage: x
        for x in estimate(study, planned_calls(study, imported)[1], imported.problems, None)
    }
    assert found["teach"].usd is None
    assert found["verify"].usd == (0.0, 0.0), "the pocket verifier is scripted"
    assert found["condense"].tokens_out[0] > 0


def test_a_second_readers_calls_are_counted_for_base_and_students_alike(
    tmp_path: Path, url: str
) -> None:
    path = write_study(tmp_path, url)
    raw = yaml.safe_load(path.read_text())
    heldout = {"levels": ["R1", "R6"], "controls": [], "seeds": [0, 1, 2]}
    raw["teacher"]["samples"] = 3
    raw.pop("verify", None)
    path.write_text(yaml.safe_dump(raw | heldout))
    study = load_study(path)
    assert study.verify == "undecided"
    imported = load_problems(study.problems, infer=infer_kind)
    sides, calls = planned_calls(study, imported)
    (verify,) = [c for c in calls if c.stage == "verify"]
    taught = sides["train"] + sides["valid"]
    # each reply of the teacher, and held out the teacher, the base and two levels of three seeds
    assert verify.calls == taught * 3 + sides["heldout"] * (1 + 1 + 2 * 3)
    assert "the base and every student" in verify.why
    both = study.model_copy(update={"verify": "both"})
    (reads,) = estimate(study, [verify], imported.problems, None)
    (judges,) = estimate(both, [verify], imported.problems, None)
    # a whole response is shown where no answer was read: up to 6,000 characters, 3.1 a token
    trace = min(5_980, 6_000) / 3.1
    assert reads.tokens_in - judges.tokens_in == pytest.approx(verify.calls * trace, abs=2)


@pytest.mark.parametrize(
    ("options", "thinking"),
    [
        ({"model": "deepseek-ai/DeepSeek-R1"}, True),
        ({"model": "Qwen/QwQ-32B"}, True),
        ({"model": "o4-mini"}, True),
        ({"model": "gpt-4o"}, None),
        ({"model": "gpt-4o", "reasoning_effort": "high"}, True),
        ({"model": "o4-mini", "reasoning_effort": "none"}, False),
        ({"model": "any", "extra_body": {"thinking": {"type": "enabled"}}}, True),
        ({"model": "any", "extra_body": {"thinking": {"type": "disabled"}}}, False),
        (
            {"model": "q", "extra_body": {"chat_template_kwargs": {"enable_thinking": False}}},
            False,
        ),
    ],
)
def test_whether_an_agent_thinks_is_told_by_its_settings_or_its_name(
    options: dict[str, Any], thinking: bool | None
) -> None:
    address = {"base_url": "http://127.0.0.1:1/v1", "provider": "x"}
    assert thinks(Agent(solver="api", options=options | address)) is thinking


def test_thinking_is_billed_at_verifying_and_condensing_too(tmp_path: Path, url: str) -> None:
    study = load_study(write_study(tmp_path, url))
    problems = load_problems(study.problems, infer=infer_kind).problems
    found = {}
    for effort in ("high", "none"):
        options = study.teacher.options | {"extra_body": {"reasoning_effort": effort}}
        agent = study.teacher.model_copy(update={"options": options})
        asked = study.model_copy(update={"verifier": agent, "verify": "both", "condenser": agent})
        calls = [PlannedCalls(x, r, TEACHER, 1_000, "")
                 for x, r in (("verify", "verifier"), ("condense", "condenser"))]  # fmt: skip
        found[effort] = estimate(asked, calls, problems, None)
    for with_it, without in zip(found["high"], found["none"], strict=True):
        assert without.tokens_out[0] == without.tokens_out[1]
        # at least what a small distilled model thinks about a school problem: 566 tokens
        assert with_it.tokens_out[0] == without.tokens_out[0] + 566_000
        assert with_it.tokens_out[1] > 2 * with_it.tokens_out[0]


def test_fewer_than_twenty_replies_measure_nothing(tmp_path: Path, url: str) -> None:
    path = write_study(tmp_path, url)
    raw = yaml.safe_load(path.read_text())
    raw["problems"] = [{"source": "pocket", "train": 8, "valid": 4, "heldout": 4}]
    path.write_text(yaml.safe_dump(raw))
    study = load_study(path)
    run_study(study, tmp_path / "out", until="teach")
    problems = load_problems(study.problems, infer=infer_kind).problems
    with Ledger.open(tmp_path / "out/ledger.sqlite", readonly=True) as ledger:
        more = PlannedCalls("teach", "teacher", TEACHER, 100, "")
        (found,) = estimate(study, [more], problems, ledger)
    assert (found.have, found.measured) == (12, 0)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # by SmolLM2's tokenizer of 49,152
        ("Natalia sold clips to 48 of her friends in April, and then she sold half as many.", 23),
        (r"$\frac{3}{4} + \sqrt{2x^2 - 5}$", 19),
        (r"\[\sum_{n=1}^{\infty} \frac{1}{n^2} = \frac{\pi^2}{6}.\]", 33),
    ],
)
def test_tokens_of_prose_and_of_tex_are_counted_without_a_tokenizer(text: str, tokens: int) -> None:
    assert count_tokens([text]) == pytest.approx(tokens, rel=0.2)


def test_a_teacher_asked_some_of_the_held_out_problems_is_counted_on_those(
    tmp_path: Path, url: str
) -> None:
    path = write_study(tmp_path, url)
    raw = yaml.safe_load(path.read_text())
    raw["evaluation"] = {**raw.get("evaluation", {}), "teacher_problems": 3}
    path.write_text(yaml.safe_dump(raw))
    study = load_study(path)
    imported = load_problems(study.problems, infer=infer_kind)
    (teach,) = [c for c in planned_calls(study, imported)[1] if c.stage == "teach"]
    assert teach.calls == PROBLEMS + 4 + 3
