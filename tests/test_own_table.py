"""``potstill init NAME --from FILE``: questions, answers, worked solutions, and no API key."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.errors import InputError
from potstill.planning.own_table import start_study
from potstill.planning.plan import splits_of
from potstill.problems import Columns
from potstill.records import Split
from potstill.report.opening import opening
from potstill.report.views import WORKED_SOLUTIONS
from potstill.store.rows import read_rows
from potstill.study.intake import problems_of_study
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli

GUESSED = Columns()


def exam(count: int) -> list[tuple[str, str, str, int]]:
    """Draw question, answer, worked solution and year of simple problems, no two the same."""
    draw = random.Random(5)
    rows = []
    for i in range(count):
        a, b = draw.randint(3, 90), i + 2
        if i % 2:
            rows.append(
                (f"Solve {b}x = {a * b} for x.", f"${a}$", f"{b}x = {a * b}, so x = {a}.", 2018)
            )
        else:
            total = a + b
            said = f"{a} and {b} are {a} + {b} = {total} pears."
            rows.append((f"Ann has {a} pears and gets {b}. How many?", f"{total}", said, 2019))
    return rows


def write_exam(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    with path.open("w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(("Nr", "Frage", "Antwort", "Musterlösung", "Jahr"))
        writer.writerows((i + 1, *row) for i, row in enumerate(rows))
    return path


def rows_of(study: Path) -> dict[str, dict[str, Any]]:
    return {str(row["id"]): dict(row) for _, row in read_rows(study.parent / "problems.csv")}


def test_columns_are_guessed_and_solutions_end_in_their_key(tmp_path: Path) -> None:
    rows = exam(12)
    rows[0] = ("Solve 5x = 445 for x.", "$89$", "5x = 445, so x = 89.", 2018)
    rows[1] = ("How many clips in all?", "72", "24 + 48 = <<24+48=72>>72 clips\n#### 72", 2018)
    rows[2] = ("What is 2 + 2?", "4", "Two and two, $2 + 2 = \\boxed{4}$, it is.", 2018)
    rows[3] = ("What is 3 + 4?", "7", "3 + 4 = 8, so the answer is 8.", 2018)
    rows[4] = ("What is 3 + 5?", "#REF!", "3 + 5 = 8.", 2018)
    rows[5] = ("What is 3 + 6?", "9", "We add 3 and", 2018)
    rows[6] = ("What is 3 + 7?", "10", "", 2018)
    started = start_study("mine", tmp_path, write_exam(tmp_path / "e.csv", rows), GUESSED)
    said = "\n".join(started.said)
    assert "text from column 'Frage', key from 'Antwort', worked solutions from" in said
    assert "id from 'Nr', groups year" in said
    assert "read as cp1252" in said
    assert "cells are parted by semicolons" in said
    assert "11 of 12 problems kept; excluded: 1 key cannot be read" in said
    assert "7 of 10 worked solutions had no \\boxed{}: their key was added as the last line" in said
    assert "2 worked solutions break off or end in another answer than their key (4, 6)" in said
    assert "1 problem has no worked solution; it can be held out, not taught" in said
    made = rows_of(started.path)
    assert made["1"]["answer"] == "$89$"
    assert made["1"]["solution"] == "5x = 445, so x = 89.\n\\boxed{89}"
    assert made["2"]["solution"] == "24 + 48 = 72 clips\n\\boxed{72}"
    assert made["3"]["solution"] == rows[2][2]
    assert made["4"]["solution"] == rows[3][2]
    assert made["6"]["solution"] == rows[5][2]
    assert made["7"]["solution"] == ""
    assert made["12"]["year"] == "2018"
    imported = problems_of_study(load_study(started.path))
    assert [(x.id, x.key, x.reason.value) for x in imported.excluded] == [
        ("5", "#REF!", "key cannot be read")
    ]
    assert made["5"]["solution"] == "3 + 5 = 8."


def test_excluded_rows_are_kept_and_shown_with_their_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = exam(14)
    rows[2] = (rows[1][0], "77", "One and six make 77.", 2018)
    rows[3] = ("", "5", "Five.", 2018)
    rows[4] = ("How many are left of it?", "", "", 2018)
    rows[5] = ("How many are to the right?", "TBD", "To be said.", 2018)
    write_exam(tmp_path / "e.csv", rows)
    code, out, err = run_cli(capsys, monkeypatch, "init", "mine", "--from", "e.csv")
    assert code == 0, err
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run_cli(capsys, monkeypatch, "problems", "mine/study.yaml", "--aside")
    assert code == 0, err
    imported = problems_of_study(load_study(tmp_path / "mine" / "study.yaml"))
    assert {x.id: x.reason.value for x in imported.excluded} == {
        "3": "duplicate",
        "4": "no text",
        "5": "no key",
        "6": "key cannot be read",
    }
    told = " ".join(out.split())
    assert "4 excluded: 1 duplicate, 1 key cannot be read, 1 no key, 1 no text" in told
    # the first of equal questions is the one whose solution is recorded
    asked = [
        r for r in rows_of(tmp_path / "mine/study.yaml").values() if r["problem"] == rows[1][0]
    ]
    assert [row["id"] for row in asked] == ["2", "3"]
    assert str(asked[0]["solution"]).startswith(rows[1][2])
    assert len(imported.problems) + len(imported.excluded) == 14


def test_the_study_runs_without_a_key_and_sends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = exam(24)
    for i in (0, 2, 4, 6):
        rows[i] = (*rows[i][:2], "Ann has very many pears, and then one million of them.", 2018)
    write_exam(tmp_path / "exams.csv", rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    code, out, err = run_cli(capsys, monkeypatch, "init", "mine", "--from", "exams.csv")
    assert code == 0, err
    assert "potstill run mine/study.yaml" in " ".join(out.split())
    study = tmp_path / "mine" / "study.yaml"
    raw = yaml.safe_load(study.read_text(encoding="utf-8"))
    raw["training"] |= {"iterations": 2, "validate_every": 1}
    raw["evaluation"]["max_tokens"] = 24
    study.write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert not [agent for agent in load_study(study).agents().values() if agent.solver == "api"]
    code, out, err = run_cli(capsys, monkeypatch, "run", "mine/study.yaml")
    assert code == 0, err
    report = json.loads((tmp_path / "runs/mine/report/report.json").read_text(encoding="utf-8"))
    assert {call["stage"] for call in report["calls"]} == {"teach", "answer"}
    assert sum(call["cost_usd"] for call in report["calls"]) == 0
    heldout = next(s["n"] for s in report["scores"] if (s["role"], s["group"]) == ("base", "all"))
    problems = problems_of_study(load_study(study)).problems
    splits = splits_of(load_study(study), problems)
    bad = [splits[str(i + 1)] for i in (0, 2, 4, 6)]
    lost, taught = sum(split is not Split.HELDOUT for split in bad), 24 - heldout
    told = " ".join(out.split())
    assert lost
    assert f"recorded levels: {taught - lost} of {taught} kept ({lost} with a wrong answer" in told
    opened = opening(report)
    assert "the teacher" not in opened["sentence"]
    (who,) = [x["told"] for x in opened["who"] if x["name"] == "teacher"]
    assert who == "the worked solutions of a table, no model, which were taught"
    assert [x for x in opened["limits"] if x.startswith("The teacher is a table of worked")]
    teacher = next(s for s in report["scores"] if (s["role"], s["group"]) == ("teacher", "all"))
    assert teacher["outcomes"]["CORRECT"] == heldout - 4 + lost


def test_questions_alone_name_a_teacher_to_ask(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    lines = [f"Ann has {n} pears and eats 2. How many?,{n - 2}" for n in range(3, 18)]
    path.write_text("\n".join(["question,answer", *lines]), encoding="utf-8")
    started = start_study("mine", tmp_path, path, GUESSED)
    assert "No worked solutions were found" in started.said[-1]
    study = load_study(started.path)
    assert study.teacher.solver == "api"
    assert study.recorded is None
    assert study.teacher.options["model"] != WORKED_SOLUTIONS
    assert len(rows_of(started.path)) == 15


@pytest.mark.parametrize(
    ("words", "by", "says"),
    [
        (("Training", "dev", "Held out"), "given", ""),
        (("train", "val", "Testing"), "given", ""),
        (("train", "heldout_later"), "share", "names no split ('heldout_later')"),
        (("train", "test", ""), "share", "names no split (10 empty)"),
        (("train", "train"), "share", "no problem to train on, or none to hold out"),
        (("easy", "hard"), "share", ""),
    ],
)
def test_a_column_of_splits_is_understood_or_told(
    tmp_path: Path, words: tuple[str, ...], by: str, says: str
) -> None:
    rows = [f"What is {n} + 2?,{n + 2},{words[n % len(words)]}" for n in range(10 * len(words))]
    (tmp_path / "own.csv").write_text("\n".join(["question,answer,split", *rows]))
    started = start_study("mine", tmp_path, tmp_path / "own.csv", GUESSED)
    told = " ".join(started.said)
    assert load_study(started.path).split.by == by
    assert says in told if says else "The column split" not in told


def test_a_column_of_splits_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [
        {"question": f"What is {n} + 2?", "answer": n + 2, "split": "test" if n % 3 else "train"}
        for n in range(12)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    study = load_study(start_study("mine", tmp_path, path, GUESSED).path)
    assert (study.split.by, study.split.group) == ("given", "split")


def test_what_cannot_be_started_is_named_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = tmp_path / "few.csv"
    few.write_text("question,answer\nWhat is 2 + 2?,4\n", encoding="utf-8")
    few.with_name("keyless.csv").write_text("question,answer\nWhat is 2 + 2?,\n", "utf-8")
    for words, said in (
        (("mine", "--from", "few.csv"), "has 1 problem that can be used"),
        (("mine", "--from", "few.csv"), "hold out others; add more rows"),
        (("mine", "--from", "keyless.csv"), "see potstill problems keyless.csv --excluded"),
        (("mine", "--from", "gone.csv"), "gone.csv does not exist"),
        (("a/b", "--from", "few.csv"), "cannot name a study"),
        (("mine", "--key", "answer"), "name it with --from FILE"),
        (("mine", "--from", "few.csv", "--key", "anser"), "did you mean 'answer'"),
    ):
        code, _, err = run_cli(capsys, monkeypatch, "init", *words)
        assert (code, said in one_sentence(err)) == (2, True), err
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_text("name: mine\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"study\.yaml exists"):
        start_study("mine", tmp_path, few, GUESSED)
    assert (tmp_path / "mine" / "study.yaml").read_text(encoding="utf-8") == "name: mine\n"


def test_problems_takes_columns_of_a_table_and_none_of_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("Stem|Right\nWas kostet es?|126,00\n", encoding="utf-8")
    words = ("problems", "t.csv", "--text", "Stem", "--key", "Right", "--delimiter", "|")
    code, out, _ = run_cli(capsys, monkeypatch, *words)
    assert code == 0
    assert "1 key may have a decimal comma" in " ".join(out.split())
    code, out, _ = run_cli(capsys, monkeypatch, *words, "--decimal", "comma")
    assert "126.00" in out
    assert "decimal comma" not in out
    (tmp_path / "s.yaml").write_text("name: s\n", encoding="utf-8")
    code, _, err = run_cli(capsys, monkeypatch, "problems", "s.yaml", "--key", "Right")
    assert (code, "is a study, which names its columns itself" in one_sentence(err)) == (2, True)
