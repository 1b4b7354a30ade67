"""``potstill gap``: the price first, nothing bought twice, and figures that are the report's."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from potstill.analysis.gap import Sample, finished_gaps, print_gaps, print_price, sample_gaps
from potstill.chat import Completion
from potstill.errors import BudgetSpent, InputError
from potstill.pipeline.run import run_study
from potstill.pocket import generate
from potstill.pocket.teacher import TEACHER
from potstill.protocol.requests import BadRequest, ChatRequest
from potstill.protocol.server import create_app, serve
from potstill.report.gaps import Tells, gap_sentences, gaps_everywhere
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.shop import PROBLEMS, Shop, write_study
from support.small_study import write_small_study


class Till(Shop):
    """A shop that notes what it was asked, and what had been printed when it first was."""

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(file=io.StringIO(), width=80)
        self.printed_before = ""
        self.asked: list[str] = []
        self.refused = ""

    @property
    def printed(self) -> str:
        """All that reached the terminal so far."""
        return self.console.file.getvalue()  # type: ignore[attr-defined, no-any-return]

    def reply(self, request: ChatRequest) -> Completion:
        if not self.sold:
            self.printed_before = self.printed
        text = request.messages[-1]["content"]
        if text == self.refused:
            raise BadRequest(400, "no", "not that one")
        self.asked.append(text)
        return super().reply(request)


@pytest.fixture
def till() -> Iterator[tuple[Till, str]]:
    found = Till()
    with serve(create_app(found.reply, [TEACHER])) as url:
        yield found, url


def test_the_price_comes_first_and_nothing_is_bought_twice(
    tmp_path: Path, till: tuple[Till, str]
) -> None:
    seller, url = till
    out = tmp_path / "out"
    study = load_study(write_study(tmp_path, url))
    print_price(study, out, Sample(20), seller.console)
    assert "Nothing was sent." in seller.printed
    assert not out.exists()
    assert seller.sold == 0

    found = sample_gaps(study, out, Sample(20), seller.console)
    # 20 replies of 229 tokens to 2.8 x 5,980 / 3.1, at a dollar per million
    assert "Still to pay: about $0.00 to $0.11." in seller.printed_before
    assert seller.sold == 20
    assert found.of == "A sample of 20 of 64 problems to be taught from (seed 0)"
    (gaps,) = found.gaps
    assert gaps.whole.n == 20
    heldout = {p.text for p in generate("heldout", PROBLEMS, 0)}
    assert not heldout & set(seller.asked), "a held-out problem was looked at"

    again = sample_gaps(study, out, Sample(20), seller.console)
    assert seller.sold == 20
    assert again == found
    assert "Nothing is left to ask" in seller.printed

    print_price(study, out, Sample(30), seller.console)
    row = re.findall(r"teach +\S+ +30 +20 .* (\d+\.\d\d)", seller.printed)
    assert row == ["0.10"]  # ten more, 10,000 tokens each as measured, at a dollar a million
    sample_gaps(study, out, Sample(30), seller.console)
    assert seller.sold == 30, "a larger sample holds the smaller one"

    run_study(study, out, until="teach")
    assert seller.sold == PROBLEMS + 4
    assert len(set(seller.asked)) == len(seller.asked)


def test_another_seed_draws_other_problems_and_a_whole_side_is_no_more_than_it_is(
    tmp_path: Path, till: tuple[Till, str]
) -> None:
    seller, url = till
    study = load_study(write_study(tmp_path, url))
    sample_gaps(study, tmp_path / "a", Sample(8, seed=0), seller.console)
    sample_gaps(study, tmp_path / "b", Sample(8, seed=1), seller.console)
    assert set(seller.asked[:8]) != set(seller.asked[8:])
    found = sample_gaps(study, tmp_path / "a", Sample(1000), seller.console)
    assert found.gaps[0].whole.n == PROBLEMS + 4


def test_a_budget_stops_it_and_a_higher_one_goes_on(tmp_path: Path, till: tuple[Till, str]) -> None:
    seller, url = till
    out = tmp_path / "out"
    study = load_study(write_study(tmp_path, url, budget_usd=0.10))
    with pytest.raises(BudgetSpent, match="every reply bought is kept"):
        sample_gaps(study, out, Sample(30), seller.console)
    bought = seller.sold
    assert bought < 20
    study = load_study(write_study(tmp_path, url, budget_usd=5.0))
    sample_gaps(study, out, Sample(30), seller.console)
    assert seller.sold == 30


def test_failed_calls_are_told_and_asked_again(tmp_path: Path, till: tuple[Till, str]) -> None:
    seller, url = till
    study = load_study(write_study(tmp_path, url))
    sample_gaps(study, tmp_path / "first", Sample(12), seller.console)
    seller.refused = seller.asked[5]
    failed = sample_gaps(study, tmp_path / "out", Sample(12), seller.console)
    assert "some responses ended in an error" in gap_sentences(failed.gaps[0])[0]
    assert seller.sold == 12 + 11
    seller.refused = ""
    mended = sample_gaps(study, tmp_path / "out", Sample(12), seller.console)
    assert seller.sold == 12 + 12
    assert mended.gaps[0].whole.n == 12
    assert mended.gaps[0].whole.tells is not Tells.BLOCKED


def test_difficulty_is_a_group_and_its_calls_are_in_the_price(
    tmp_path: Path, till: tuple[Till, str]
) -> None:
    seller, url = till
    training = {"preset": "pocket", "iterations": 2, "validate_every": 1}
    path = write_study(
        tmp_path, url, difficulty={"by": "failures"}, levels=["R6"], training=training
    )
    raw = yaml.safe_load(path.read_text())
    raw["teacher"]["samples"] = 2
    path.write_text(yaml.safe_dump(raw))
    study = load_study(path)
    (gaps,) = sample_gaps(study, tmp_path / "out", Sample(10), seller.console).gaps
    assert re.search(r"teach +\S+ +20 +0 ", seller.printed)
    assert seller.sold == 20
    names = {row.group.partition("=")[0] for row in gaps.groups}
    assert names <= {"difficulty", "family"}
    run_study(study, tmp_path / "out", until="answer")
    asked = seller.sold
    finished = finished_gaps(tmp_path / "out").gaps[0]
    assert finished.whole.n == 4
    assert seller.sold == asked == 2 * (PROBLEMS + 8)


def test_the_bases_draws_that_rate_the_sample_are_counted_and_cost_nothing(
    tmp_path: Path, till: tuple[Till, str]
) -> None:
    seller, url = till
    by_student = {"by": "student", "samples": 3, "max_tokens": 24}
    study = load_study(write_study(tmp_path, url, difficulty=by_student, levels=["R6"]))
    sample_gaps(study, tmp_path / "out", Sample(5), seller.console)
    assert re.search(r"rate +\S+ +15 ", seller.printed)
    assert seller.sold == 5


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gap")
    problems = [{"source": "pocket", "train": 24, "valid": 8, "heldout": 40}]
    run_study(load_study(write_small_study(folder, problems=problems)), folder / "out")
    return folder / "out"


def test_a_finished_study_is_read_and_says_what_its_report_says(done: Path) -> None:
    report = json.loads((done / "report" / "report.json").read_text())
    before = sorted(p for p in done.rglob("*") if "-" not in p.name)
    found = finished_gaps(done)
    assert sorted(p for p in done.rglob("*") if "-" not in p.name) == before
    assert list(found.gaps) == gaps_everywhere(report)
    (gaps,) = found.gaps
    levels = {(x["role"], x["group"]): x for x in report["levels"]}
    for row in (gaps.whole, *gaps.groups):
        assert row.base == pytest.approx(levels["base", row.group]["accuracy"])
        assert row.teacher == pytest.approx(levels["teacher", row.group]["accuracy"])
        assert row.n == levels["base", row.group]["n"]
    assert not any(row.group.startswith("split=") for row in gaps.groups)


def test_the_command_prints_80_columns_and_writes_json(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "gap.json"
    code, out, _ = run_cli(capsys, monkeypatch, "gap", done, "--json", file)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"all problems +40 ", out)
    found = json.loads(file.read_text())
    assert found["kind"] == "exploratory"
    (gaps,) = found["gaps"]
    assert gaps["whole"]["n"] == found["asked"]["pocket"] == 40
    assert gaps["sentences"][0] in " ".join(out.split())


def test_mistakes_are_one_sentence(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run_cli(capsys, monkeypatch, "gap", done, "--sample", 5)
    assert code == 2
    assert "give the study file" in one_sentence(err)
    code, _, err = run_cli(capsys, monkeypatch, "gap", tmp_path)
    assert code == 2
    assert "no study directory" in one_sentence(err)
    study = write_small_study(tmp_path)
    run_study(load_study(study), tmp_path / "out", until="split")
    with pytest.raises(InputError, match="does not hold the held-out answers of base and teacher"):
        finished_gaps(tmp_path / "out")
    nowhere = tmp_path / "file" / "gap.json"
    nowhere.parent.write_text("")
    code, _, err = run_cli(capsys, monkeypatch, "gap", done, "--json", nowhere)
    assert code == 2
    assert "cannot be written" in one_sentence(err)


def test_what_is_printed_names_the_problems_without_both_answers(done: Path) -> None:
    found = finished_gaps(done)
    console = Console(file=io.StringIO(), width=80)
    print_gaps(type(found)(found.study, found.of, {"pocket": 55}, found.gaps), console)
    assert "40 of 55 problems" in console.file.getvalue()  # type: ignore[attr-defined]
