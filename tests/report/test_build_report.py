"""The report's files: whole or not at all, the same numbers in each, text never markup."""

from __future__ import annotations

import csv
import dataclasses
import errno
import html
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import StoreError
from potstill.evaluation import evaluate
from potstill.records import Outcome
from potstill.report import build
from potstill.report.build import build_report
from potstill.report.data import CallCount, LossCurve, LossPoint
from potstill.report.numbers import report_numbers
from potstill.report.phrases import percent
from potstill.store.report_files import is_of_report
from support.report_sample import CONDITIONS, HOSTILE, answers, curve, report_data

FILES = {
    "report.json",
    "problems.jsonl",
    "report.md",
    "index.html",
    *(
        f"figures/{name}.{form}"
        for form in ("svg", "png")
        for name in (
            "overall",
            "levels",
            "seeds",
            "by-family",
            "by-steps",
            "ladder",
            "lengths",
            "causes",
            "losses",
        )
    ),
    *(
        f"tables/{name}.csv"
        for name in (
            "scores",
            "levels",
            "comparisons",
            "calls",
            "gates",
            "losses",
            "lessons",
            "corpus",
            "causes",
            "interactions",
            "unread",
            "shared",
        )
    ),
}


def files(place: Path) -> set[str]:
    """Every file below a folder."""
    return {p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()}


def strict(text: str) -> Any:
    """JSON that refuses NaN."""

    def refuse(name: str) -> float:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built report with three seeds."""
    out = tmp_path_factory.mktemp("study")
    return build_report(report_data(seeds=3), out).parent


def test_every_file_is_there_and_nothing_else(place: Path) -> None:
    assert files(place) == FILES
    assert [p.name for p in place.parent.iterdir()] == ["report"]


def test_the_json_is_what_later_work_reads(place: Path) -> None:
    report = strict((place / "report.json").read_text(encoding="utf-8"))
    assert report["format_version"] == 1
    for key in ("scores", "comparisons", "corpus", "calls", "training", "claims", "conditions"):
        assert report[key], key
    assert report["versions"]["torch"] == "2.13.0"
    whole = [s for s in report["scores"] if s["group"] == "all" and s["split"] == "heldout"]
    assert {s["role"] for s in whole} == {"base", "teacher", "student"}
    assert len(whole) == 2 + 6 * 3
    known = {c["condition_id"] for c in report["conditions"]}
    for s in report["scores"]:
        assert set(s["outcomes"]) == {o.value for o in Outcome}
        assert sum(s["outcomes"].values()) == s["n"]
        readable = s["n"] - s["outcomes"]["BAD_KEY"]
        assert math.isclose(s["accuracy"], s["outcomes"]["CORRECT"] / readable)
        assert s["low"] <= s["accuracy"] <= s["high"]
        assert s["condition_id"] in known
        assert {"solver", "level", "seed", "set", "words", "tokens"} <= set(s)


def test_page_markdown_and_tables_say_the_same(place: Path) -> None:
    report = json.loads((place / "report.json").read_text(encoding="utf-8"))
    page = (place / "index.html").read_text(encoding="utf-8")
    markdown = (place / "report.md").read_text(encoding="utf-8")
    for x in report["levels"]:
        if x["group"] == "all":
            assert f">{percent(x['accuracy'])}</td>" in page
            assert f"| {percent(x['accuracy'])} |" in markdown
    for claim in report["claims"]:
        assert claim["text"] in html.unescape(page.replace("\N{NO-BREAK SPACE}", " "))
    with (place / "tables" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["solver"] for r in rows] == [s["solver"] for s in report["scores"]]
    assert all(sum(int(r[o.value]) for o in Outcome) == int(r["n"]) for r in rows)


def test_the_page_needs_nothing_beyond_itself(place: Path) -> None:
    page = (place / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    links = set(re.findall(r'(?:src|href)="([^"#][^"]*)"', page))
    assert links == {"data:,", "report.json", "tables/levels.csv", "figures/"}
    assert "<script" not in page
    assert "#0a0a0" not in page  # no stand-in colour was forgotten
    assert "DejaVu Sans'" not in page


def test_the_same_data_gives_the_same_bytes(place: Path, tmp_path: Path) -> None:
    again = build_report(report_data(seeds=3), tmp_path).parent
    for name in sorted(FILES):
        assert (again / name).read_bytes() == (place / name).read_bytes(), name


def test_hostile_text_is_text_in_every_file(tmp_path: Path) -> None:
    place = build_report(report_data(hostile=HOSTILE), tmp_path).parent
    page = (place / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    assert "\x00" not in page
    markdown = (place / "report.md").read_text(encoding="utf-8")
    # In an indented block it is code; anywhere else it would be markup.
    raw = [line for line in markdown.splitlines() if "<script" in line]
    assert len(raw) == 1
    assert raw[0].startswith("    potstill reproduce")
    assert r"\[a\](b)" in markdown
    tables = [line for line in markdown.splitlines() if line.startswith("| p0007")]
    assert len(tables) == 1
    report = strict((place / "report.json").read_text(encoding="utf-8"))
    assert report["grader"]["disagreements"][0]["key"] == "1/2" + HOSTILE.replace("\ud800", "�")


def test_a_line_of_a_megabyte_is_cut_on_the_page_only(tmp_path: Path) -> None:
    place = build_report(report_data(hostile="x" * 1_000_000), tmp_path).parent
    page = (place / "index.html").read_text(encoding="utf-8")
    assert "(the first 2,000 of 1,000,003 characters)" in page
    report = json.loads((place / "report.json").read_text(encoding="utf-8"))
    assert len(report["grader"]["disagreements"][0]["key"]) == 1_000_003


def test_names_that_look_like_markup_are_names(tmp_path: Path) -> None:
    rows = answers(n=40, ladder={"a$\\frac$<b>": (0.9, 9), "R1": (0.9, 9)}, set="set<i>|x")
    curves = (LossCurve("a$\\frac$<b>", 0, curve("R1", 0).history, 20, "why"),)
    data = report_data(evaluate(rows, CONDITIONS), training=curves)
    place = build_report(data, tmp_path).parent
    page = (place / "index.html").read_text(encoding="utf-8")
    assert "<i>" not in page
    assert "a$\\frac$&lt;b&gt;" in page
    assert "&lt;b&gt;" in (place / "figures" / "ladder.svg").read_text(encoding="utf-8")


def test_a_study_without_students_or_training_still_reports(tmp_path: Path) -> None:
    rows = [x for x in answers(n=20) if x.role.value == "base"]
    corpus = report_data().corpus
    data = report_data(evaluate(rows, CONDITIONS), training=(), calls=(), grader=None, overlap=())
    place = build_report(data, tmp_path).parent
    assert {p.stem for p in (place / "figures").iterdir()} == {"causes"}
    assert "The base answers" in (place / "report.md").read_text(encoding="utf-8")
    assert corpus.problems == 700


def test_a_loss_that_blew_up_is_null_not_nan(tmp_path: Path) -> None:
    points = (LossPoint(0, 1.0, 1.0), LossPoint(10, float("nan"), float("inf")))
    data = report_data(training=(LossCurve("R1", 0, points, 0, "lowest validation loss"),))
    place = build_report(data, tmp_path).parent
    report = strict((place / "report.json").read_text(encoding="utf-8"))
    assert report["training"][0]["history"][1]["validation_loss"] is None


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = build_report(report_data(), tmp_path)
    before = page.read_bytes()
    write = build._write

    def full(path: Path, text: str) -> None:
        if path.name == "index.html":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, text)

    monkeypatch.setattr(build, "_write", full)
    with pytest.raises(StoreError, match=r"No space left on device\); make room"):
        build_report(report_data(seeds=2), tmp_path)
    assert page.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report"]
    monkeypatch.undo()
    (tmp_path / ".report.partial-1").mkdir()
    build_report(report_data(seeds=2), tmp_path)
    assert page.read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_a_persons_own_files_in_its_folder_are_kept(tmp_path: Path) -> None:
    place = build_report(report_data(seeds=2), tmp_path).parent
    assert all(map(is_of_report, files(place)))
    own = {
        "notes.md": "mine",
        "tables/mine.csv": "a,b\n",
        "talk/slides.txt": "",
        "figures/x.txt": "x",
    }
    for name, text in own.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
    (place / "figures" / "old.svg").write_text("<svg/>")  # of an earlier report, for all we know
    build_report(report_data(seeds=3), tmp_path)
    assert files(place) == FILES | set(own)
    assert {name: (place / name).read_text() for name in own} == own
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_spend_is_told_per_reply_per_lesson_and_per_point_gained() -> None:
    paid = CallCount("teach", "m", calls=400, retries=0, tokens_in=1, tokens_out=1, cost_usd=6.0)
    free = CallCount("answer", "local", calls=900, retries=0, tokens_in=1, tokens_out=1, cost_usd=0)
    data = dataclasses.replace(report_data(), calls=(paid, free))
    numbers = report_numbers(data)
    spend = numbers["spend"]
    assert spend["usd_per_reply"] == pytest.approx(6.0 / 400)
    kept = sum(x["kept"] for x in numbers["corpus"]["lessons"] if x["level"] != "R0")
    assert spend["usd_per_lesson"] == pytest.approx(6.0 / kept)
    (primary,) = [c for c in numbers["comparisons"] if c["kind"] == "primary"]
    assert primary["beyond_chance"]
    gained = 100 * (primary["accuracy_a"] - primary["accuracy_b"])
    assert spend["usd_per_point"] == pytest.approx(6.0 / gained)


def test_no_price_of_a_point_where_no_gain_is_beyond_chance() -> None:
    data = report_data()
    none = tuple(dataclasses.replace(c, p=0.4) for c in data.comparisons)
    assert (
        report_numbers(dataclasses.replace(data, comparisons=none))["spend"]["usd_per_point"]
        is None
    )
