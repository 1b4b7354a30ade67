"""A study's lock, its verification, and its reproduction from the ledger alone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.analysis.differences import differences
from potstill.analysis.reproduce import reproduce_study
from potstill.analysis.verify import verify_study
from potstill.chat import Ask, Completion, Message
from potstill.errors import InputError, PotstillError, StoreError
from potstill.ledger.ledger import Event, Ledger, key_of_request, request_json
from potstill.pipeline.lock import LOCK_FILE, deciding, read_lock
from potstill.pipeline.run import run_study
from potstill.progress import quiet
from potstill.records import Finish, Sampling, content_hash
from potstill.solvers.ledger_solver import KeptReplies
from potstill.solvers.replay import Recording, ReplaySolver
from potstill.store.atomic import file_sha256
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.small_study import keys_in, write_small_study

MARKED_KEY = "sk-marked-5f8ce1e17c59"


@contextmanager
def teaching() -> Iterator[tuple[str, list[str]]]:
    """A pocket teacher's address on loopback, and the questions that it was sent."""
    from potstill.pocket import generate
    from potstill.pocket.solver import MODELS
    from potstill.pocket.teacher import PocketTeacher
    from potstill.protocol.server import create_app, serve

    known = [p for side in ("train", "valid", "heldout") for p in generate(side, 24, 0)]
    teacher, asked = PocketTeacher(known, seed=0), list[str]()

    def reply(request: Any) -> Any:
        asked.append(request.model)
        return teacher.reply(request)

    with serve(create_app(reply, MODELS)) as address:
        yield address, asked


@pytest.fixture(scope="module")
def bought(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study file and directory; its agents were asked as any endpoint is, and have gone since."""
    folder = tmp_path_factory.mktemp("reproducibility")
    table = folder / "problems.jsonl"
    from potstill.pocket import generate

    with table.open("w") as lines:
        for side, count in (("train", 12), ("valid", 4), ("heldout", 8)):
            for p in generate(side, count, 0):
                row = {"question": p.text, "answer": p.answer, "side": side}
                lines.write(json.dumps(row) + "\n")
    (folder / "key.txt").write_text(MARKED_KEY)
    with teaching() as (address, asked):
        agent = {"solver": "api", "base_url": address, "api_key_file": str(folder / "key.txt")}
        price = {"input": 1.0, "output": 2.0}
        path = write_small_study(
            folder,
            problems=[{"source": "table", "path": str(table), "text": "question",
                       "groups": {"side": "side"}}],
            split={"by": "given", "group": "side"},
            levels=["R1"],  # one student: it is trained in this process
            **{role: agent | {"model": f"pocket-{role}", "prompt": "{problem}", "price": price}
               for role in ("teacher", "verifier", "condenser")},
        )  # fmt: skip
        assert run_study(load_study(path), folder / "out") is not None
        assert len(asked) > 24
    os.unlink(folder / "key.txt")
    return path, folder / "out"


@pytest.fixture
def study(bought: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the finished study's directory."""
    return shutil.copytree(bought[1], tmp_path / "out")


def only_complaint(directory: Path) -> str:
    (sentence,) = verify_study(directory).damaged
    return sentence


def first(directory: Path, pattern: str) -> Path:
    return sorted(directory.glob(pattern))[0]


# the lock


def test_the_lock_holds_what_decides_and_no_secret_address_or_path(
    bought: tuple[Path, Path],
) -> None:
    path, directory = bought
    lock = read_lock(directory)
    assert lock is not None
    decides = lock["decides"]
    assert decides["seeds"] == [0]
    assert decides["training"]["iterations"] == 2
    assert decides["agents"]["teacher"]["who"] == {
        "provider": "openai-compatible",
        "model": "pocket-teacher",
    }
    assert decides["problems"][0]["options"]["path"].startswith("sha256:")
    assert "Judge only whether" in decides["prompts"]["judge"]
    assert {row["model"]: row["output"] for row in lock["prices"]}["pocket-condenser"] == 2.0
    assert {"python", "potstill", "torch"} <= set(lock["versions"])
    text = (directory / LOCK_FILE).read_text()
    for kept_out in (MARKED_KEY, "key.txt", "127.0.0.1", str(path.parent), str(Path.home())):
        assert kept_out not in text


def test_every_artifact_of_the_report_is_in_the_lock(study: Path) -> None:
    lock = read_lock(study)
    assert lock is not None
    here = {p.relative_to(study).as_posix() for p in study.glob("cells/*/*/manifest.json")}
    here |= {p.relative_to(study).as_posix() for p in study.glob("report/**/*") if p.is_file()}
    assert set(lock["artifacts"]) == here


def test_a_second_run_ends_with_the_same_lock(bought: tuple[Path, Path], study: Path) -> None:
    path, directory = bought
    (path.parent / "key.txt").write_text("k")
    run_study(load_study(path), study)
    (path.parent / "key.txt").unlink()
    assert (study / LOCK_FILE).read_bytes() == (directory / LOCK_FILE).read_bytes()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"seeds": [1]}, "seeds"),
        ({"verify": "symbolic"}, "verify"),
        ({"gates": {"repeat_times": 5}}, "gates"),
        ({"evaluation": {"prompt": "{problem} "}}, "evaluation"),
    ],
)
def test_what_decides_changes_with_the_study(
    tmp_path: Path, changes: dict[str, Any], name: str
) -> None:
    (tmp_path / "a").mkdir()
    one = deciding(load_study(write_small_study(tmp_path / "a")), tmp_path, "h")
    two = deciding(load_study(write_small_study(tmp_path, **changes)), tmp_path, "h")
    assert [key for key in one if one[key] != two[key]] == [name]


def test_what_decides_changes_with_a_file_of_problems(tmp_path: Path) -> None:
    table = tmp_path / "mine.jsonl"
    source = {"source": "table", "path": str(table), "text": "q", "key": "a"}
    path = write_small_study(tmp_path, problems=[source])
    told = []
    for answer in ("2", "3"):
        table.write_text(json.dumps({"q": "What is 1+1?", "a": answer}) + "\n")
        told.append(deciding(load_study(path), tmp_path, "h")["problems"][0]["options"]["path"])
    assert told[0] != told[1]
    assert all(x.startswith("sha256:") for x in told)


# verify


def test_a_sound_study_is_verified(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    before = {p: p.read_bytes() for p in study.rglob("*") if p.is_file()}
    code, out, _ = run_cli(capsys, monkeypatch, "verify", study)
    assert code == 0
    assert "nothing is damaged" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert all(path.read_bytes() == content for path, content in before.items())


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def in_ledger(directory: Path, statement: str) -> None:
    with sqlite3.connect(directory / "ledger.sqlite") as db:
        assert db.execute(statement).rowcount == 1


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def begin_ledger_anew(directory: Path) -> None:
    (directory / "ledger.sqlite").unlink()
    Ledger.open(directory / "ledger.sqlite").close()


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a flipped byte of a table": (
        lambda d: flip(first(d, "cells/answers/*/responses.parquet")),
        "responses.parquet is not as it was written",
    ),
    "a torn adapter": (
        lambda d: os.truncate(first(d, "cells/student/*/adapter_model.safetensors"), 100),
        "adapter_model.safetensors is not as it was written",
    ),
    "a lost table": (
        lambda d: first(d, "cells/verdicts/*/verdicts.parquet").unlink(),
        "verdicts.parquet is missing",
    ),
    "a lost artifact": (
        lambda d: shutil.rmtree(first(d, "cells/student/*")),
        "manifest.json is missing and the report stands on it",
    ),
    "a torn manifest": (
        lambda d: os.truncate(first(d, "cells/split/*/manifest.json"), 40),
        "manifest.json is no manifest",
    ),
    "a manifest of another artifact": (
        lambda d: edit_json(first(d, "cells/split/*/manifest.json"), lambda m: m.update(key="x")),
        "it is of another artifact",
    ),
    "a table and its manifest changed together": (
        lambda d: edit_json(
            first(d, "cells/split/*/manifest.json"), lambda m: m["files"].pop("pairs.parquet")
        ),
        "manifest.json is not the one that the report stands on",
    ),
    "a changed report": (
        lambda d: (d / "report/report.md").write_text("R1 answers everything."),
        "report/report.md is not as it was written",
    ),
    "a lost figure": (
        lambda d: first(d, "report/figures/*.svg").unlink(),
        ".svg is missing",
    ),
    "a changed reply": (
        lambda d: in_ledger(d, "update replies set raw = x'00' where rowid = 3"),
        "is not as it was received",
    ),
    "a ledger that is no database": (
        lambda d: (d / "ledger.sqlite").write_bytes(b"x" * 8192),
        "ledger.sqlite",
    ),
    "a lost ledger": (lambda d: (d / "ledger.sqlite").unlink(), "is missing, though answers"),
    "an emptied ledger": (
        lambda d: os.truncate(d / "ledger.sqlite", 0),
        "is empty, though answers",
    ),
    "a ledger begun anew": (begin_ledger_anew, "is empty, though answers"),
    "lost cells": (lambda d: shutil.rmtree(d / "cells"), "cells is missing, and the report"),
    "a changed lock": (
        lambda d: edit_json(d / LOCK_FILE, lambda x: x["artifacts"].popitem()),
        f"{LOCK_FILE} is not as it was written",
    ),
    "a torn lock": (lambda d: os.truncate(d / LOCK_FILE, 99), f"{LOCK_FILE} is not as it was"),
    "a lost lock": (lambda d: (d / LOCK_FILE).unlink(), f"{LOCK_FILE} is missing"),
    "another study": (
        lambda d: edit_json(d / "study.json", lambda s: s.update(seeds=[7])),
        "seeds is no longer what the report was made with ([0] then, [7] now)",
    ),
    "a damaged study.json": (lambda d: os.truncate(d / "study.json", 50), "study.json is missing"),
    "a lost marker": (lambda d: (d / "potstill.json").unlink(), "potstill.json is missing"),
    "a ruling since": (
        lambda d: (d / "rulings.jsonl").write_text('{"key": "a", "correct": true}\n'),
        "rulings is no longer what",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_one_sentence(study: Path, damage: str) -> None:
    damaging, says = DAMAGES[damage]
    damaging(study)
    sentence = only_complaint(study)
    assert says in sentence
    assert ": " in sentence or "; " in sentence  # what to do follows


def test_a_link_that_leads_out_is_not_followed(study: Path) -> None:
    link = first(study, "cells/student/*/tokenizer.json")
    link.unlink()
    link.symlink_to("/etc/hostname")
    with pytest.raises(StoreError, match="is a link that leads out of"):
        verify_study(study)


def test_damage_ends_the_command_with_code_2(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(first(study, "cells/lessons/*/lessons.parquet"))
    flip(first(study, "cells/problems/*/problems.parquet"))
    code, out, _ = run_cli(capsys, monkeypatch, "verify", study)
    assert code == 2
    assert out.count("damaged: ") == 2
    assert "2 things damaged" in " ".join(out.split())


def test_a_reply_that_an_artifact_was_made_of_is_missed(study: Path) -> None:
    (study / LOCK_FILE).unlink()
    (study / "report" / "report.json").unlink()
    # of a student's answer no lesson is made
    one = "select min(rowid) from replies where stage = 'answer'"
    in_ledger(study, f"delete from replies where rowid = ({one})")
    assert "1 replies that cells/answers/" in only_complaint(study)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
PARTS = ("decides", "ledger", "artifacts", "versions", "stages", "machine", "format_version")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(part=st.sampled_from(PARTS), value=JSON, whole=st.booleans())
def test_a_strangers_lock_is_data(part: str, value: Any, whole: bool) -> None:
    """Whatever stands in it, with its own hash in order: read, or one sentence."""
    with TemporaryDirectory() as folder:
        lock: Any = value
        if not whole:
            lock = {
                "format_version": 1,
                "decides": {"student": {"base_hash": "x"}, "problems": []},
                "ledger": {"replies": 1, "sha256": "x"},
                "artifacts": {"cells/answers/x/manifest.json": "x", "report/report.json": "x"},
                **{name: {} for name in ("versions", "stages", "machine")},
                part: value,
            }
            lock["sha256"] = content_hash(lock)
        (Path(folder) / LOCK_FILE).write_text(json.dumps(lock))
        (Path(folder) / "cells").mkdir()
        found = verify_study(Path(folder))
        assert found.damaged
        with suppress(PotstillError):
            reproduce_study(Path(folder), Path(folder) / "new")


@pytest.mark.parametrize(
    "manifest",
    [
        '{"stage": "split", "key": "x", "files": {"../../../secret": "0"}}',
        '{"stage": "split", "key": "x", "files": {"/etc/hostname": "0"}}',
        '{"stage": "split", "key": "x", "files": {"a": ["b"]}}',
        '{"stage": "split", "key": "x", "files": []}',
        "[" * 100_000,
        "[1]",
    ],
)
def test_a_strangers_manifest_is_data(tmp_path: Path, manifest: str) -> None:
    folder = tmp_path / "cells" / "split" / "x"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest)
    damaged = [x for x in verify_study(tmp_path).damaged if x.startswith("cells/")]
    assert len(damaged) == 1
    assert "/etc" not in damaged[0]


def test_a_strangers_table_that_is_none_breaks_nothing(study: Path) -> None:
    folder = first(study, "cells/answers/*")
    (folder / "responses.parquet").write_bytes(b"no table")
    edit_json(
        folder / "manifest.json",
        lambda m: m["files"].update(
            {"responses.parquet": file_sha256(folder / "responses.parquet")}
        ),
    )
    assert "manifest.json is not the one that the report stands on" in only_complaint(study)


def test_what_verify_says_to_do_heals_and_buys_nothing(
    bought: tuple[Path, Path], study: Path
) -> None:
    before = keys_in(study)
    for pattern in ("answers", "student", "lessons", "verdicts"):
        folder = first(study, f"cells/{pattern}/*")
        flip(first(folder, "*.parquet" if pattern != "student" else "*.safetensors"))
    damaged = verify_study(study).damaged
    assert len(damaged) == 4
    for sentence in damaged:
        shutil.rmtree(study / sentence.split("delete ")[1].split(" ")[0])
    (bought[0].parent / "key.txt").write_text("k")
    run_study(load_study(bought[0]), study)  # the endpoint has gone: it could not be asked
    (bought[0].parent / "key.txt").unlink()
    assert verify_study(study).damaged == []
    assert keys_in(study) == before


def test_a_damaged_adapter_is_never_used(bought: tuple[Path, Path], study: Path) -> None:
    flip(first(study, "cells/student/*/adapter_model.safetensors"))
    shutil.rmtree(first(study, "cells/answers/*"))
    with pytest.raises(StoreError, match=r"adapter_model\.safetensors does not match its manifest"):
        run_study(load_study(bought[0]), study)


def test_a_lock_from_before_a_prompt_was_there_is_no_damage(study: Path) -> None:
    lock = read_lock(study)
    assert lock is not None
    older = {name: value for name, value in lock.items() if name != "sha256"}
    del older["decides"]["prompts"]["judge of a whole response"]
    (study / LOCK_FILE).write_text(json.dumps(older | {"sha256": content_hash(older)}))
    found = verify_study(study)
    assert found.damaged == []
    assert "prompts.judge of a whole response was not there when the report was made" in (
        " ".join(found.notes)
    )


def test_a_study_from_before_a_setting_was_renamed_is_sound(study: Path) -> None:
    def as_before(settings: dict[str, Any]) -> dict[str, Any]:
        inner = settings.pop("optimizations")
        inner["cached_trunk"] = inner.pop("activation_cache")
        return settings | {"levers": inner}

    snapshot = json.loads((study / "study.json").read_text("utf-8"))
    (study / "study.json").write_text(json.dumps(as_before(snapshot)), encoding="utf-8")
    lock = json.loads((study / LOCK_FILE).read_text("utf-8"))
    older = {name: value for name, value in lock.items() if name != "sha256"}
    older["decides"] = as_before(older["decides"])
    (study / LOCK_FILE).write_text(json.dumps(older | {"sha256": content_hash(older)}))
    found = verify_study(study)
    assert (found.damaged, found.notes) == ([], [])


def test_an_unfinished_study_is_sound_as_far_as_it_is(tmp_path: Path) -> None:
    run_study(load_study(write_small_study(tmp_path)), tmp_path / "out", until="verify")
    found = verify_study(tmp_path / "out")
    assert found.damaged == []
    assert "no report and no lock yet" in found.notes[0]


def test_what_is_no_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("verify", "reproduce"):
        code, _, err = run_cli(capsys, monkeypatch, command, tmp_path)
        assert code == 2
        assert "is no study directory" in one_sentence(err)


# reproduce


def test_a_study_is_reproduced_without_endpoint_key_or_the_problems_file(
    bought: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = bought[0].parent / "problems.jsonl"
    moved = table.rename(table.with_suffix(".moved"))
    try:
        code, out, _ = run_cli(
            capsys, monkeypatch, "reproduce", bought[1], "--out", tmp_path / "new", "--again"
        )
        elsewhere = verify_study(bought[1])
    finally:
        moved.rename(table)
    assert code == 0
    assert "problems.jsonl is not on this machine; the problems are the study's own" in out
    assert elsewhere.damaged == []
    assert "is not here; it was not looked at" in elsewhere.notes[0]
    assert "numbers of the report are the same" in out
    assert keys_in(tmp_path / "new") == keys_in(bought[1])
    assert verify_study(tmp_path / "new").damaged == []
    made = json.loads((tmp_path / "new" / "reproduction.json").read_text())
    assert made["differences"] == []
    assert made["numbers"] > 200


def test_a_reply_that_is_not_there_is_an_error_and_no_purchase(study: Path, tmp_path: Path) -> None:
    in_ledger(study, "delete from replies where rowid = 2")
    with pytest.raises(
        StoreError, match=r"holds no reply of pocket-teacher to .*nothing is bought"
    ):
        reproduce_study(study, tmp_path / "new")


def test_a_damaged_reply_is_never_used(study: Path, tmp_path: Path) -> None:
    in_ledger(study, "update replies set raw = x'00' where rowid = 2")
    with pytest.raises(StoreError, match="is damaged"):
        reproduce_study(study, tmp_path / "new")


def test_a_file_of_problems_that_changed_is_refused(
    bought: tuple[Path, Path], study: Path, tmp_path: Path
) -> None:
    table = bought[0].parent / "problems.jsonl"
    content = table.read_text()
    table.write_text(content.replace("1", "2"))
    try:
        with pytest.raises(StoreError, match="no longer what the study was made with"):
            reproduce_study(study, tmp_path / "new")
        assert "problems[0].options.path is no longer" in only_complaint(study)
    finally:
        table.write_text(content)


class _Stopping:
    """A progress that ends the run when a stage begins."""

    def stage(self, name: str, total: int, unit: str = "items") -> Any:
        if name.startswith("R1"):
            raise KeyboardInterrupt
        return quiet.stage(name, total, unit)

    def up_to_date(self, name: str, note: str) -> None:
        return None

    def note(self, text: str) -> None:
        return None


def test_a_reproduction_that_was_stopped_goes_on(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    with pytest.raises(KeyboardInterrupt):
        reproduce_study(study, out, progress=_Stopping())
    with pytest.raises(InputError, match="is not empty"):
        reproduce_study(study, out, again=True)
    begun: list[str] = []

    class Watching(_Stopping):
        def stage(self, name: str, total: int, unit: str = "items") -> Any:
            begun.append(name)
            return quiet.stage(name, total, unit)

    assert reproduce_study(study, out, progress=Watching()).differences == ()
    assert begun[0] == "R1 s0 · table"
    with pytest.raises(InputError, match="a finished reproduction"):
        reproduce_study(study, out)


@pytest.mark.parametrize("place", ["", "used"])
def test_a_folder_that_is_in_use_is_left_alone(study: Path, tmp_path: Path, place: str) -> None:
    out = tmp_path / place if place else study
    out.mkdir(exist_ok=True)
    (out / "mine.txt").write_text("x")
    before = sorted(p.name for p in out.iterdir())
    with pytest.raises(InputError, match="name another"):
        reproduce_study(study, out)
    assert sorted(p.name for p in out.iterdir()) == before


def test_a_number_that_differs_is_named(
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = study / "report" / "report.json"
    edit_json(path, lambda r: r["scores"][0].update(words=1.5))
    lock = json.loads((study / LOCK_FILE).read_text())
    with pytest.raises(StoreError, match="is not the report that"):
        reproduce_study(study, tmp_path / "new")
    lock["artifacts"]["report/report.json"] = file_sha256(path)
    lock["versions"]["torch"] = "1.0"
    lock.pop("sha256")
    (study / LOCK_FILE).write_text(json.dumps(lock | {"sha256": content_hash(lock)}))
    code, out, _ = run_cli(capsys, monkeypatch, "reproduce", study, "--out", tmp_path / "new")
    assert code == 1
    said = " ".join(out.split())
    assert "torch was 1.0 and is" in said
    assert "· words: 1.5 then," in said
    assert "1 values differ" in said
    assert max(map(len, out.splitlines())) <= 80


def test_what_no_record_answered_is_not_asked_again_either(tmp_path: Path) -> None:
    """A recording without some of the questions: they are not asked, then and now."""
    from potstill.pocket import generate
    from potstill.pocket.render import render

    with (tmp_path / "replies.jsonl").open("w") as lines:
        for side, count in (("train", 24), ("valid", 8), ("heldout", 12)):
            for p in generate(side, count, 0)[: count // 2 + 1]:
                row = {"q": p.text, "a": f"\\boxed{{{p.answer}}}", "r": render(p, "R0")}
                lines.write(json.dumps(row) + "\n")
    replies = {"path": str(tmp_path / "replies.jsonl"), "question": "q", "text": "a"}
    replies["reasoning"] = "r"
    path = write_small_study(
        tmp_path,
        teacher={"solver": "replay", "model": "m", "files": [replies], "prompt": "{problem}"},
        verify="symbolic",
        levels=["R1"],
    )
    report = run_study(load_study(path), tmp_path / "out")
    assert report is not None
    assert sum(report["corpus"]["not_asked"].values()) > 0
    (tmp_path / "replies.jsonl").unlink()
    assert reproduce_study(tmp_path / "out", tmp_path / "new").differences == ()


def asks() -> list[Ask]:
    return [Ask(q, (Message("user", q),), Sampling()) for q in ("one", "two", "three")]


def test_a_ledger_tells_what_failed_and_what_had_no_record(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        recording = Recording()
        recording._add("m", "one", Completion("1", "", Finish.STOP, 1, 1))
        first = list(ReplaySolver(recording, "m", ledger).complete(asks()[:2], "teach"))
        key = key_of_request(request_json("replay", "m", asks()[2].messages, Sampling(), 0, 0))
        ledger.note(Event("teach", "replay", "m", "refused", "content filter", key))
    with Ledger.open(tmp_path / "ledger.sqlite", readonly=True) as ledger:
        kept = KeptReplies("replay", "m", {}, ledger)
        again = list(kept.complete(asks(), "teach"))
        stranger = Ask("four", (Message("user", "four"),), Sampling())
        with pytest.raises(StoreError, match="holds no reply of m to four"):
            list(kept.complete([stranger], "teach"))
    assert again[:2] == first
    assert [x.asked for x in again] == [True, False, True]
    assert (again[2].finish, again[2].error) == (Finish.ERROR, "content filter")


def test_a_solver_that_does_not_tell_its_provider_is_refused(tmp_path: Path) -> None:
    module = SimpleNamespace(__name__="strangers.solver")
    with (
        Ledger.open(tmp_path / "ledger.sqlite") as ledger,
        pytest.raises(InputError, match=r"strangers\.solver does not say .* give its module"),
    ):
        KeptReplies.of(module, SimpleNamespace(model="m"), ledger)


# differences


def test_rows_are_told_apart_by_what_they_are_of() -> None:
    then = {"scores": [{"role": "base", "n": 3, "p": 0.5}, {"role": "teacher", "n": 4, "p": None}]}
    now = {"scores": [{"role": "teacher", "n": 5, "p": None}]}
    found = differences(then, now)
    assert [(d.section, d.row, d.name, d.size) for d in found] == [
        ("scores", "", "base", None),
        ("scores", "teacher", "n", 1),
    ]


def test_where_and_when_a_report_was_made_is_no_difference() -> None:
    def report(**changes: object) -> dict[str, object]:
        return {"reproduction": {"command": "x", "seeds": [0]} | changes, "versions": {"torch": 1}}

    assert differences(report(), report(command="y") | {"versions": {}}) == []
    assert [d.row for d in differences(report(), report(seeds=[1]))] == ["seeds"]
