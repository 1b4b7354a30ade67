"""A file of answers in, the same rows with verdicts out."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from potstill.errors import InputError
from potstill.grading import grade_table
from potstill.grading.table import ADDED
from potstill.store.rows import TableFormat

ROWS = [
    {"n": "a", "question": "Add.", "key": "1/2", "said": "0.5", "note": "x, y"},
    {"n": "b", "question": "Add.", "key": "12", "said": "So \\boxed{13}", "note": ""},
    {"n": "c", "question": "Add.", "key": "12", "said": "", "note": "ü"},
    {"n": "d", "question": "Add.", "key": "???", "said": "12", "note": '"q"\nline'},
    {"n": "e", "question": "Add.", "key": "5", "said": "-5", "note": ""},
]
OUTCOMES = ["CORRECT", "WRONG", "BLANK", "BAD_KEY", "WRONG"]


def write(path: Path) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(ROWS[0]))
            writer.writeheader()
            writer.writerows(ROWS)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def read(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows: list[dict[str, str]] = pq.read_table(path).to_pylist()
    return rows


@pytest.mark.parametrize("out", ["out.csv", "out.jsonl", "out.parquet"])
@pytest.mark.parametrize("source", ["in.csv", "in.jsonl", "in.parquet"])
def test_every_format_to_every_format(tmp_path: Path, source: str, out: str) -> None:
    path, target = write(tmp_path / source), tmp_path / out
    counts = grade_table(
        path, gold="key", response="said", problem="question", id="n", out=target, workers=1
    )
    assert counts == {"CORRECT": 1, "WRONG": 2, "BLANK": 1, "BAD_KEY": 1}
    rows = read(target)
    assert [row["outcome"] for row in rows] == OUTCOMES
    assert [{name: row[name] for name in ROWS[0]} for row in rows] == ROWS
    assert list(rows[0]) == [*ROWS[0], *ADDED]
    assert rows[1]["extracted"] == "13"
    assert rows[4]["cause"] == "sign"
    assert all(row["why"] for row in rows)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({source, out})


def test_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grade_table(write(tmp_path / "in.csv"), gold="key", response="said", out="-", workers=1)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == OUTCOMES


def test_a_stated_kind_holds_for_every_row(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"key": "1, 2", "said": "2, 1"}\n')
    out = tmp_path / "out.jsonl"
    for kind, outcome in (("set", "CORRECT"), ("list", "WRONG")):
        assert grade_table(path, gold="key", response="said", kind=kind, out=out, workers=1) == {
            outcome: 1
        }


def refuse(text: str, call: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=text):
        call()


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv")
    out = tmp_path / "out.csv"
    refuse(
        "no column 'keys'. Did you mean 'key'.*n, question, key, said, note",
        lambda: grade_table(path, gold="keys", response="said", out=out),
    )
    refuse("no file", lambda: grade_table(tmp_path / "no.csv", gold="a", response="b", out=out))
    refuse(
        "use a name that ends in",
        lambda: grade_table(path, gold="key", response="said", out=tmp_path / "out.xlsx"),
    )
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"key": "1", "said": "1"}\n{"key": \n')
    refuse("line 2, is not JSON", lambda: grade_table(broken, gold="key", response="said", out=out))
    listed = tmp_path / "listed.jsonl"
    listed.write_text("[1]\n")
    refuse("line 1, is not a JSON object", lambda: grade_table(listed, gold="k", response="s"))
    garbage = tmp_path / "garbage.parquet"
    garbage.write_bytes(b"no parquet")
    refuse("not a Parquet file", lambda: grade_table(garbage, gold="k", response="s"))
    damaged = tmp_path / "damaged.csv"
    damaged.write_bytes(b"key,said\n\x81,1\n")
    refuse("damaged.csv", lambda: grade_table(damaged, gold="key", response="said", out=out))
    assert not out.exists()


def test_sheet_that_is_named_is_graded(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["said"])
    book.active.append(["nothing of use"])
    for row in (["key", "said"], ["12", "It is 12."]):
        (book["answers"] if "answers" in book.sheetnames else book.create_sheet("answers")).append(
            row
        )
    file = tmp_path / "book.xlsx"
    book.save(file)
    named = TableFormat(sheet="answers")
    counts = grade_table(file, gold="key", response="said", out=tmp_path / "out.csv", form=named)
    assert counts == {"CORRECT": 1}
    lines = write(tmp_path / "rows.jsonl")
    with pytest.raises(InputError, match="no csv or workbook; leave out"):
        grade_table(lines, gold="key", response="said", out=tmp_path / "out.csv", form=named)


def test_a_table_as_a_spreadsheet_writes_it_is_graded(tmp_path: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    path.write_bytes(
        "sep=;\r\nkey;said;;\r\n4;größer: \\boxed{4};;\r\n;;;\r\n5;6;;".encode("cp1252")
    )
    counts = grade_table(path, gold="key", response="said", out=out, workers=1)
    assert counts == {"CORRECT": 1, "WRONG": 1}


def test_numbers_and_missing_cells(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"key": 12, "said": 12.0}\n{"key": 0.5, "said": null}\n{"key": 3}\n')
    counts = grade_table(path, gold="key", response="said", out=tmp_path / "o.jsonl", workers=1)
    assert counts == {"CORRECT": 1, "BLANK": 2}


def test_an_interrupted_run_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from potstill.grading import table

    out = tmp_path / "out.csv"
    out.write_text("old")

    def fail(*_: object) -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(table, "_added", fail)
    with pytest.raises(KeyboardInterrupt):
        grade_table(write(tmp_path / "in.csv"), gold="key", response="said", out=out, workers=1)
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_list_of_alternatives_is_read_as_in_a_study(tmp_path: Path) -> None:
    rows = [
        ([1, 2], "\\boxed{1}", "CORRECT"),
        ([1, 2], "\\boxed{2}", "CORRECT"),
        ([1, 2], "\\boxed{1.5}", "WRONG"),
        (["Paris", "Lutetia"], "Lutetia", "CORRECT"),
        ([3], "3", "CORRECT"),
        ([], "3", "BAD_KEY"),
        ("#REF!", "3", "BAD_KEY"),
        ("1'000", "\\boxed{1000}", "CORRECT"),
    ]
    path, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps({"key": key, "said": said}) + "\n" for key, said, _ in rows))
    grade_table(path, gold="key", response="said", out=target, workers=1)
    assert [row["outcome"] for row in read(target)] == [outcome for _, _, outcome in rows]


def test_object_for_a_key_is_refused_by_its_row(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"key": 3, "said": "3"}\n{"key": {"a": 3}, "said": "3"}\n')
    with pytest.raises(InputError, match="row 2: the key in column 'key' holds an object"):
        grade_table(
            tmp_path / "in.jsonl", gold="key", response="said", out=tmp_path / "o.jsonl", workers=1
        )
    assert not (tmp_path / "o.jsonl").exists()
