"""The ledger: what was asked decides the key, what was committed stays, damage is found."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.chat import Message
from potstill.errors import InputError, StoreError
from potstill.ledger.file import copy_ledger, refuse_lost
from potstill.ledger.ledger import (
    FORMAT_VERSION,
    Event,
    Ledger,
    Merge,
    key_of_request,
    request_json,
)
from potstill.records import Sampling
from support.ledger_entries import entry
from support.processes import start


def key_of(*asked: Any) -> str:
    return key_of_request(request_json(*asked))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study" / "ledger.sqlite"


def test_a_reply_is_there_after_it_was_put(path: Path) -> None:
    first = entry(1, raw="{“½”}".encode())
    with Ledger.open(path) as ledger:
        assert ledger.get(first.key) is None
        ledger.put(first)
        reply = ledger.get(first.key)
        assert reply == first.raw
        ledger.put(replace(first, raw=b"another"))
        assert ledger.get(first.key) == reply, "a committed reply was replaced"
    with Ledger.open(path, readonly=True) as ledger:
        (kept,) = ledger.entries("m")
        assert replace(kept, created_at="") == first
        assert list(ledger.entries("another")) == []
        assert ledger.has_replies("p", "m")
        assert not ledger.has_replies("other", "m")
        with pytest.raises(StoreError, match="read only"):
            ledger.put(first)


def test_commits_of_many_tasks_are_durable_when_awaited(path: Path) -> None:
    entries = [entry(n) for n in range(500)]

    async def commit_all(ledger: Ledger) -> None:
        await asyncio.gather(*(ledger.commit(e) for e in entries))
        with Ledger.open(path, readonly=True) as beside:
            assert len(list(beside.entries())) == 500

    with Ledger.open(path) as ledger:
        asyncio.run(commit_all(ledger))
        ledger.put_many([entry(n) for n in range(490, 600)])
        assert ledger.spend(by=())[0].calls == 600
        assert ledger.verify() == []


@given(
    st.text(), st.text(), st.integers(0, 9), st.integers(0, 9), st.floats(0, 2), st.integers(1, 99)
)
def test_the_key_is_of_what_was_asked(
    system: str, user: str, sample: int, attempt: int, temperature: float, limit: int
) -> None:
    messages = [Message("system", system), Message("user", user)]
    sampling = Sampling(temperature, 1.0, 0, limit)
    key = key_of("p", "m", messages, sampling, sample, attempt)
    assert key == key_of("p", "m", messages, sampling, sample, attempt, {})
    others = {
        key_of("q", "m", messages, sampling, sample, attempt),
        key_of("p", "n", messages, sampling, sample, attempt),
        key_of("p", "m", messages[::-1], sampling, sample, attempt),
        key_of("p", "m", messages, replace(sampling, max_tokens=limit + 1), sample, attempt),
        key_of("p", "m", messages, sampling, sample + 1, attempt),
        key_of("p", "m", messages, sampling, sample, attempt + 1),
        key_of("p", "m", messages, sampling, sample, attempt, {"x": 1}),
    }
    assert key not in others
    assert len(others) == 7


def test_whole_numbers_and_floats_ask_the_same() -> None:
    one, two = Sampling(temperature=1), Sampling(temperature=1.0)
    assert key_of("p", "m", [], one, 0, 0) == key_of("p", "m", [], two, 0, 0)


def test_the_key_of_a_plain_ask_never_changes() -> None:
    key = key_of("p", "m", [Message("user", "é½")], Sampling(0.6, 0.95, 1, 512), 1, 2)
    assert key == "effae20213b39902a9f68a6c2b34ed50f0ad934d620559ed06a679b2e08fe37e"


def test_a_second_writer_is_told_who_writes(path: Path) -> None:
    import os

    with (
        Ledger.open(path),
        pytest.raises(StoreError, match=rf"in use by process {os.getpid()}; wait"),
    ):
        Ledger.open(path)
    Ledger.open(path).close()


def test_a_killed_writer_leaves_no_lock(path: Path) -> None:
    code = f"""
        import os, signal
        from pathlib import Path
        from potstill.ledger.ledger import Ledger
        ledger = Ledger.open(Path({str(path)!r}))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)]).returncode == -9
    Ledger.open(path).close()


def test_a_newer_format_names_both_versions(path: Path) -> None:
    Ledger.open(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={FORMAT_VERSION + 6}")
    for readonly in (False, True):
        with pytest.raises(StoreError, match=r"format 7.*up to format 1: upgrade potstill"):
            Ledger.open(path, readonly=readonly)


def test_a_text_that_is_none_is_told_without_its_bytes(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.put(entry(1))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE replies SET sha256 = CAST(x'ff285b' AS TEXT)")
    with (
        Ledger.open(path) as ledger,
        pytest.raises(StoreError, match=r"read \(Could not decode to UTF-8 column 'sha256'\); re"),
    ):
        ledger.get(entry(1).key)


def test_other_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.sqlite"
    text.write_text("not a database, certainly not one" * 9)
    with pytest.raises(StoreError, match="cannot be used as a ledger"):
        Ledger.open(text)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(StoreError, match="another program"):
        Ledger.open(other)
    with pytest.raises(StoreError, match="no ledger at"):
        Ledger.open(tmp_path / "none.sqlite", readonly=True)


def test_a_flipped_byte_is_found(path: Path) -> None:
    entries = [entry(n, raw=json.dumps({"n": n}).encode()) for n in range(5)]
    with Ledger.open(path) as ledger:
        ledger.put_many(entries)
    with sqlite3.connect(path) as db:
        import zlib

        change = "UPDATE replies SET {} = ? WHERE key = ?"
        db.execute(change.format("raw"), (zlib.compress(b'{"n": 7}'), entries[1].key))
        db.execute(change.format("raw"), (b"no zlib", entries[2].key))
        db.execute(change.format("request"), ('{"model":"x"}', entries[3].key))
    with Ledger.open(path) as ledger:
        assert ledger.verify() == [e.key for e in entries[1:4]]
        assert ledger.get(entries[0].key) is not None
        for number in (1, 2):
            with pytest.raises(StoreError, match=r"damaged.*potstill ledger .* --verify"):
                ledger.get(entries[number].key)
        with pytest.raises(StoreError, match="damaged"):
            list(ledger.entries())


def test_spend_and_failures_add_up(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.put(entry(1, cost_usd=0.5, priced=True, retries=2, tokens_cached=4))
        ledger.put(entry(2, cost_usd=0.25, priced=True, created_at="2020-01-02T00:00:00+00:00"))
        ledger.put(entry(3, stage="verify"))
        ledger.note(Event("teach", "p", "m", "http 429", "slow down " * 999))
        ledger.note(Event("teach", "p", "m", "http 429"))
        ledger.note(Event("teach", "p", "m", "ledger hit", n=7))
        assert ledger.spent_usd == 0.75
        rows = {r.group: r for r in ledger.spend()}
        assert rows["teach", "m"].calls == 2
        assert rows["teach", "m"].cost_usd == 0.75
        assert rows["teach", "m"].retries == 2
        assert rows["teach", "m"].tokens_cached == 4
        assert (rows["verify", "m"].cost_usd, rows["verify", "m"].unpriced) == (0.0, 1)
        assert ledger.spend(by=("day",))[0].group == ("2020-01-02",)
        with pytest.raises(InputError, match="use stage, provider"):
            ledger.spend(by=("colour",))
    with Ledger.open(path) as ledger:
        counts = {f.group: f.n for f in ledger.failures()}
        assert counts == {("teach", "http 429"): 2, ("teach", "ledger hit"): 7}
        assert ledger.spent_usd == 0.75


def test_two_ledgers_merge(tmp_path: Path) -> None:
    one, two, lines = (tmp_path / name for name in ("1.sqlite", "2.sqlite", "out.jsonl"))
    with Ledger.open(one) as ledger:
        ledger.put_many([entry(n, raw=b"\xff\x00bytes" if n == 3 else b"{}") for n in range(1200)])
        assert ledger.export_jsonl(lines) == 1200
    with Ledger.open(two) as ledger:
        ledger.put_many([entry(5000, cost_usd=1.0, priced=True), entry(1), entry(2, raw=b"{}")])
        assert ledger.import_jsonl(lines) == Merge(added=1198, already=1, different=1)
        assert ledger.import_jsonl(lines) == Merge(added=0, already=1199, different=1)
        assert ledger.verify() == []
        assert ledger.spent_usd == 1.0
        with Ledger.open(one, readonly=True) as first:
            assert ledger.get(entry(3).key) == first.get(entry(3).key)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 2: not an entry"),
        ("[]", "line 2: not an entry"),
        ('{"key": "x"}', "line 2: not an entry"),
        ("changed", "line 2: the entry .* was changed"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    lines = tmp_path / "out.jsonl"
    with Ledger.open(tmp_path / "1.sqlite") as ledger:
        ledger.put_many([entry(1), entry(2)])
        ledger.export_jsonl(lines)
    first, second = lines.read_text().splitlines()
    second = second.replace("choices", "chances") if line == "changed" else line
    lines.write_text(f"{first}\n{second}\n")
    with (
        Ledger.open(tmp_path / "2.sqlite") as ledger,
        pytest.raises(InputError, match=rf"out\.jsonl, {sentence}"),
    ):
        ledger.import_jsonl(lines)


def test_a_full_disk_is_one_sentence_and_loses_nothing(path: Path) -> None:
    with start("ledger_entries", path, stderr=subprocess.PIPE) as process:
        said, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    first, second = said.splitlines()
    count, _, sentence = first.partition(" ")
    assert "free some disk space and run again" in sentence
    assert second == "still full"
    with Ledger.open(path) as ledger:
        assert ledger.spend(by=())[0].calls == int(count) > 10
        assert ledger.verify() == []
        ledger.put(entry(30_000))


def test_a_copy_holds_the_first_replies_alone_where_asked(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.sqlite") as ledger:
        for number in range(5):
            asyncio.run(ledger.commit(entry(number)))
        whole, first = ledger.digest(), ledger.digest(3)
        assert (whole[0], first[0]) == (5, 3)
    copy_ledger(tmp_path / "a.sqlite", tmp_path / "b.sqlite", first=3)
    copy_ledger(tmp_path / "a.sqlite", tmp_path / "c.sqlite")
    with Ledger.open(tmp_path / "b.sqlite", readonly=True) as copy:
        assert copy.digest() == first
    with Ledger.open(tmp_path / "c.sqlite", readonly=True) as copy:
        assert copy.digest() == whole


def test_a_damaged_ledger_is_not_to_be_moved_away_where_answers_stand_on_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"no database at all" * 100)
    (tmp_path / "study.lock.json").write_text('{"ledger": {"replies": 3}}')
    with pytest.raises(StoreError, match=r"cannot be used as a ledger.*with another --out") as told:
        Ledger.open(path)
    assert "move it away" not in str(told.value)
    path.unlink()
    with pytest.raises(StoreError, match=r"is missing, though answers.*with another --out"):
        refuse_lost(path)
