"""``potstill ledger``: what was bought, whether it is sound, and moving it about."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import yaml

from potstill.chat import Message
from potstill.ledger.ledger import Entry, Ledger, key_of_request, request_json
from potstill.records import Sampling
from potstill.study.templates import DEMO_STUDY
from support.command_line import one_sentence, run_cli


def entry(question: str, **changes: object) -> Entry:
    request = request_json("shop", "m", (Message("user", question),), Sampling(), 0, 0, {})
    known = {
        "key": key_of_request(request),
        "stage": "teach",
        "provider": "shop",
        "model": "m",
        "request": request,
        "raw": f'{{"answer": "{question}"}}'.encode(),
        "tokens_in": 1_000,
        "tokens_cached": 250,
        "tokens_out": 20_000,
        "cost_usd": 0.5,
        "priced": True,
        "retries": 2,
        "created_at": "2026-11-20T10:00:00.000+00:00",
    }
    return Entry(**(known | changes))  # type: ignore[arg-type]


def keep(folder: Path, *entries: Entry) -> Path:
    folder.mkdir(exist_ok=True)
    lines = folder / "lines.jsonl"
    from potstill.ledger.entries import entry_line

    lines.write_text("".join(entry_line(x) for x in entries))
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        ledger.import_jsonl(lines)
    return folder


def test_spend_is_told_by_stage_model_and_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    day = {"created_at": "2026-11-21T01:00:00.000+00:00"}
    study = keep(
        tmp_path / "s", entry("a"), entry("b"), entry("c", **day), entry("d", priced=False)
    )
    code, out, _ = run_cli(capsys, monkeypatch, "ledger", study)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["teach", "m", "2026-11-20", "3", "6", "3,000", "25", "%", "60k", "1.0000"] in rows
    assert ["teach", "m", "2026-11-21", "1", "2", "1,000", "25", "%", "20k", "0.5000"] in rows
    assert ["all", "4", "8", "4,000", "25", "%", "80k", "1.5000"] in rows
    assert "1 reply is in no sum of dollars: the model has no known price" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_flipped_byte_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = keep(tmp_path / "s", entry("a"), entry("b"))
    assert run_cli(capsys, monkeypatch, "ledger", study, "--verify")[0] == 0
    with sqlite3.connect(study / "ledger.sqlite") as db:
        turned = "update replies set sha256 = substr(sha256, 2) || substr(sha256, 1, 1)"
        db.execute(f"{turned} where key = ?", (entry("b").key,))
    code, out, _ = run_cli(capsys, monkeypatch, "ledger", study, "--verify")
    assert code == 1
    assert entry("b").key in out
    assert entry("a").key not in out


def test_two_ledgers_merge_and_ours_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = keep(tmp_path / "one", entry("a"), entry("b"))
    two = keep(tmp_path / "two", entry("b", raw=b"another"), entry("c"))
    lines = tmp_path / "two.jsonl"
    assert "2 replies" in run_cli(capsys, monkeypatch, "ledger", two, "--export", lines)[1]
    for source in (lines, two):
        out = run_cli(capsys, monkeypatch, "ledger", one, "--import", source)[1]
        assert "1 with another reply here" in out
    with Ledger.open(one / "ledger.sqlite", readonly=True) as ledger:
        assert {e.raw for e in ledger.entries()} == {entry(q).raw for q in "abc"}
        assert ledger.verify() == []
        assert ledger.spent_usd == pytest.approx(1.5)


def test_a_held_ledger_can_be_looked_at_and_not_added_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = keep(tmp_path / "s", entry("a"))
    other = keep(tmp_path / "o", entry("b"))
    with Ledger.open(study / "ledger.sqlite"):
        assert run_cli(capsys, monkeypatch, "ledger", study)[0] == 0
        assert run_cli(capsys, monkeypatch, "ledger", study, "--verify")[0] == 0
        code, _, err = run_cli(capsys, monkeypatch, "ledger", study, "--import", other)
        assert code == 2
        assert "is in use by process" in one_sentence(err)


def test_a_second_run_of_one_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 4, "valid": 2, "heldout": 2}]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw))
    (tmp_path / "out").mkdir()
    with Ledger.open(tmp_path / "out/ledger.sqlite"):
        run = ("run", tmp_path / "study.yaml", "--out", tmp_path / "out")
        code, _, err = run_cli(capsys, monkeypatch, *run)
    assert code == 2
    assert "is in use by process" in one_sentence(err)


def test_what_is_no_ledger_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run_cli(capsys, monkeypatch, "ledger", tmp_path)
    assert code == 2
    assert "There is no ledger" in one_sentence(err)
    (tmp_path / "x.jsonl").write_text("{}\n")
    code, _, err = run_cli(
        capsys, monkeypatch, "ledger", tmp_path, "--import", tmp_path / "x.jsonl"
    )
    assert code == 2
    one_sentence(err)
