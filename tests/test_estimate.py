"""Tokens and dollars before they are spent: assumed at first, then as measured in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from potstill.grading.maths.kinds import infer_kind
from potstill.ledger.ledger import Ledger
from potstill.pipeline.estimate import PlannedCalls, estimate
from potstill.pipeline.plan import planned_calls
from potstill.pipeline.run import run_study
from potstill.pocket.teacher import TEACHER
from potstill.problems import load_problems
from potstill.solvers.server import create_app, serve
from potstill.study.schema import load_study
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
    assert before.usd == pytest.approx(before.tokens_out / 1e6)
    assert before.tokens_in > 5 * before.left
    run_study(study, tmp_path / "out", until="teach")
    with Ledger.open(tmp_path / "out/ledger.sqlite", readonly=True) as ledger:
        (after,) = estimate(study, [teach], imported.problems, ledger)
        assert (after.have, after.left, after.measured) == (PROBLEMS + 4, 4, PROBLEMS + 4)
        assert after.tokens_out == 4 * 10_000
        assert after.usd == pytest.approx(0.04)
        more = PlannedCalls("teach", "teacher", TEACHER, 10_000, "")
        (large,) = estimate(study, [more], imported.problems, ledger)
        assert large.usd == pytest.approx((10_000 - PROBLEMS - 4) * 0.01)


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
    assert found["verify"].usd == 0.0, "the pocket verifier is scripted"
    assert found["condense"].tokens_out > 0


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
    # a whole response is shown where no answer was read: up to 6,000 characters, 4 a token
    trace = min(5_980, 6_000) / 4
    assert reads.tokens_in - judges.tokens_in == pytest.approx(verify.calls * trace, abs=2)
