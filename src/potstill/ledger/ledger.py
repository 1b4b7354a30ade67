"""Every model call of a study, raw, in one SQLite file with one writer.

A reply is committed before anything reads it, so that parsing, grading and condensing can be run
again for nothing and a kill at any moment loses at most what was in flight. The key of a reply is
what was asked (provider, model, messages, sampling, sample, attempt) and never the address.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Self

from potstill.errors import InputError, StoreError
from potstill.ledger.entries import (
    NO_RECORD,
    Entry,
    Event,
    Failures,
    Merge,
    SpendGroup,
    entry_line,
    key_of_request,
    now_utc,
    read_lines,
    request_json,
)
from potstill.ledger.file import (
    DAMAGE,
    FORMAT_VERSION,
    RESTORE,
    Writer,
    connect,
    connect_readonly,
    lock_writer,
)
from potstill.store.atomic import whole_file
from potstill.store.typed import make
from potstill.store.untrusted import DOCUMENT_BYTES

__all__ = [
    "FORMAT_VERSION",
    "NO_RECORD",
    "Entry",
    "Event",
    "Failures",
    "Ledger",
    "Merge",
    "SpendGroup",
    "key_of_request",
    "now_utc",
    "request_json",
]

_ENTRY_COLUMNS = (
    "key, stage, provider, model, request, raw, sha256, tokens_in, tokens_out, tokens_cached,"
    " reasoning_tokens, cost_usd, priced, seconds, retries, created_at"
)
_INSERT = f"INSERT OR IGNORE INTO replies ({_ENTRY_COLUMNS}) VALUES ({','.join('?' * 16)})"
_INSERT_EVENT = (
    "INSERT INTO events (at, stage, provider, model, kind, detail, key, n) VALUES (?,?,?,?,?,?,?,?)"
)
_GROUPS = {
    "stage": "stage",
    "provider": "provider",
    "model": "model",
    "day": "substr(created_at, 1, 10)",
}
_EVENT_GROUPS = _GROUPS | {"day": "substr(at, 1, 10)", "kind": "kind"}


class Ledger:
    """The ledger of one study; a context manager. Open it with :meth:`open`."""

    def __init__(
        self, path: Path, reader: sqlite3.Connection, writer: Writer | None, lock_fd: int
    ) -> None:
        self.path = path
        self._reader = reader
        self._reading = Lock()
        self._writer = writer
        self._lock_fd = lock_fd
        self._paid = 0
        self._spent_usd = float(
            self._rows("SELECT coalesce(sum(cost_usd), 0) FROM replies WHERE priced")[0][0]
        )

    @classmethod
    def open(cls, path: Path, readonly: bool = False) -> Ledger:
        """Return the ledger at ``path``, created if need be; the only writer, or a reader beside
        one.

        Raises StoreError where another process writes it, where it was made by a newer potstill,
        or where the file is damaged.
        """
        path = Path(path)
        if readonly:
            return cls(path, connect_readonly(path), None, -1)
        lock_fd = lock_writer(path)
        try:
            writer = Writer(path)
            try:
                return cls(path, connect(path), writer, lock_fd)
            except BaseException:
                writer.close()
                raise
        except BaseException:
            os.close(lock_fd)
            raise

    def close(self) -> None:
        """Write every commit that was asked for to disk and free the lock."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._reader.close()
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
                self._lock_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def paid(self) -> int:
        """How many priced replies came since it was opened, those being committed included."""
        return self._paid

    @property
    def spent_usd(self) -> float:
        """Dollars of every priced reply so far, those being committed included."""
        return self._spent_usd

    def get(self, key: str) -> bytes | None:
        """Return the committed reply to a key, raw, or None.

        Raises StoreError where its bytes are damaged.
        """
        rows = self._rows("SELECT raw, sha256 FROM replies WHERE key = ?", (key,))
        return _unpack(rows[0][0], rows[0][1], key, self.path) if rows else None

    def has_replies(self, provider: str, model: str) -> bool:
        """Return whether this model of this provider ever answered in this study."""
        query = "SELECT 1 FROM replies WHERE model = ? AND provider = ? LIMIT 1"
        return bool(self._rows(query, (model, provider)))

    def put(self, entry: Entry) -> None:
        """Write the entry to disk. A key that is there already stays."""
        self._writing.submit(_INSERT, partial(_row, entry)).result()
        self._count(entry)

    def put_many(self, entries: Sequence[Entry]) -> None:
        """Write all of them to disk."""
        for entry in entries:
            self._writing.forget(_INSERT, partial(_row, entry))
        self._writing.flush()
        for entry in entries:
            self._count(entry)

    async def commit(self, entry: Entry) -> None:
        """Write the entry to disk, in one transaction with its neighbours."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writing.submit_async(_INSERT, partial(_row, entry), future)
        self._count(entry)  # at once: a budget must know of it before the next reply is bought
        await future

    def note(self, event: Event) -> None:
        """Write the event soon, with the next commit or by :meth:`close`."""
        self._writing.forget(_INSERT_EVENT, partial(_event_row, event, now_utc()))

    def spend(self, by: Sequence[str] = ("stage", "model")) -> list[SpendGroup]:
        """Return one row per group of replies, in order; ``by`` of stage, provider, model, day."""
        groups = _columns(by, _GROUPS)
        sums = (
            "count(*), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_cached), 0),"
            " coalesce(sum(tokens_out), 0), coalesce(sum(reasoning_tokens), 0),"
            " coalesce(sum(cost_usd * priced), 0.0), count(*) - coalesce(sum(priced), 0),"
            " coalesce(sum(seconds), 0.0), coalesce(sum(retries), 0)"
        )
        rows = self._rows(_grouped(groups, sums, "replies"))
        return [
            SpendGroup(tuple(r[: len(groups)]), *r[len(groups) :]) for r in rows if r[len(groups)]
        ]

    def count_like(self, stage: str, request: str, holding: str = "") -> int:
        """Return how many first tries of a stage were asked as a ``request`` is, whatever stands
        in their messages after the first (but a text that they are ``holding``): of the same model,
        sampling and extra body.
        """
        of_all, first = "'$.messages', '$.sample', '$.attempt'", "'$.messages[0]'"
        query = (
            "SELECT count(*) FROM replies WHERE stage = ? AND model = json_extract(?, '$.model')"
            f" AND json_remove(request, {of_all}) = json_remove(?, {of_all})"
            f" AND json_extract(request, {first}) = json_extract(?, {first})"
            " AND json_extract(request, '$.attempt') = 0"
            " AND (? = '' OR instr(json_extract(request, '$.messages[1].content'), ?) > 0)"
        )
        values = (stage, request, request, request, holding, holding)
        return int(self._rows(query, values)[0][0])

    def pace(self, provider: str, stage: str) -> tuple[int, float]:
        """Return how many replies came after the first commit, and within how many seconds.

        Ten minutes without a reply are a pause and no part of it.
        """
        query = (
            "SELECT coalesce(sum(at > first), 0), coalesce(sum(gap * (gap < 600)), 0.0) FROM ("
            " SELECT at, min(at) OVER () AS first, at - lag(at) OVER (ORDER BY at) AS gap FROM ("
            "  SELECT julianday(created_at) * 86400 AS at FROM replies"
            "  WHERE provider = ? AND stage = ?))"
        )
        replies, seconds = self._rows(query, (provider, stage))[0]
        return int(replies), float(seconds)

    def failures(self, by: Sequence[str] = ("stage", "kind")) -> list[Failures]:
        """Count the events by group; ``by`` of stage, provider, model, day, kind."""
        groups = _columns(by, _EVENT_GROUPS)
        rows = self._rows(_grouped(groups, "coalesce(sum(n), 0)", "events"))
        return [Failures(tuple(r[:-1]), r[-1]) for r in rows if r[-1]]

    def entries(self, model: str | None = None) -> Iterator[Entry]:
        """Yield every entry in the order committed, of one model where named, each one checked."""
        for rowid in self._rowids(model):
            entry, sha256 = self._entry(rowid)
            if entry.sha256 != sha256:
                raise _damaged(entry.key, self.path)
            yield entry

    def verify(self) -> list[str]:
        """Return the keys whose request no longer hashes to them or whose reply's bytes changed."""
        damaged = []
        for rowid in self._rowids(None):
            try:
                entry, sha256 = self._entry(rowid)
            except StoreError:
                damaged.append(
                    str(self._rows("SELECT key FROM replies WHERE rowid=?", (rowid,))[0][0])
                )
                continue
            if entry.sha256 != sha256 or key_of_request(entry.request) != entry.key:
                damaged.append(entry.key)
        return damaged

    def digest(self, first: int = -1) -> tuple[int, str]:
        """Return how many replies, and a sha256 over their keys and hashes in the order committed.

        Of the ``first`` so many, where given: replies added later do not change it.
        """
        query = "SELECT key, sha256 FROM replies ORDER BY rowid LIMIT ?"
        rows = self._rows(query, (first,))
        text = "".join(f"{key} {sha256}\n" for key, sha256 in rows)
        return len(rows), hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def keys(self) -> set[str]:
        """Return the keys of all replies."""
        return {row[0] for row in self._rows("SELECT key FROM replies")}

    def model_of(self, key: str) -> str:
        """Return the model that gave a reply, "" for a key without one."""
        rows = self._rows("SELECT model FROM replies WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    def lost(self) -> dict[str, tuple[str, str]]:
        """Return the last event of every key that has no reply: its kind, and what was said."""
        query = (
            "SELECT key, kind, detail FROM events WHERE key != ''"
            " AND key NOT IN (SELECT key FROM replies) ORDER BY rowid"
        )
        return {key: (kind, detail) for key, kind, detail in self._rows(query)}

    def export_jsonl(self, path: Path) -> int:
        """Return how many entries were written to ``path``, one a line; all of them or no file."""
        path = Path(path)
        count = 0
        try:
            with whole_file(path) as part, part.open("w", encoding="utf-8") as lines:
                for entry in self.entries():
                    lines.write(entry_line(entry))
                    count += 1
        except OSError as exc:
            raise StoreError(f"{path} cannot be written ({exc.strerror}); choose another.") from exc
        return count

    def import_jsonl(self, path: Path) -> Merge:
        """Return what merging an exported ledger did; of two replies to one key the one here
        stays.
        """
        added = already = different = 0
        for entry in read_lines(Path(path)):
            here = self.get(entry.key)
            if here is None:
                self._writing.forget(_INSERT, partial(_row, entry))
                added += 1
                if added % 500 == 0:
                    self._writing.flush()
            elif here == entry.raw:
                already += 1
            else:
                different += 1
        self._writing.flush()
        query = "SELECT coalesce(sum(cost_usd), 0) FROM replies WHERE priced"
        self._spent_usd = float(self._rows(query)[0][0])
        return Merge(added, already, different)

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"{self.path} was opened to be read only; nothing can be added to it.")
        return self._writer

    def _count(self, entry: Entry) -> None:
        if entry.priced:
            with self._reading:
                self._spent_usd += entry.cost_usd
                self._paid += 1

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._reading:
                return self._reader.execute(query, values).fetchall()
        except DAMAGE as exc:
            why = str(exc).split(" with text ")[0]  # which holds the damaged bytes
            raise StoreError(f"{self.path} cannot be read ({why}); {RESTORE}") from exc

    def _rowids(self, model: str | None) -> list[int]:
        where, values = ("", ()) if model is None else (" WHERE model = ?", (model,))
        return [
            r[0] for r in self._rows(f"SELECT rowid FROM replies{where} ORDER BY rowid", values)
        ]

    def _entry(self, rowid: int) -> tuple[Entry, str]:
        row = self._rows(f"SELECT {_ENTRY_COLUMNS} FROM replies WHERE rowid = ?", (rowid,))[0]
        columns = [name.strip() for name in _ENTRY_COLUMNS.split(",")]
        fields = dict(zip(columns, row, strict=True))
        sha256 = str(fields.pop("sha256"))
        fields["raw"] = _inflate(fields["raw"], fields["key"], self.path)
        if fields["priced"] in (0, 1):
            fields["priced"] = bool(fields["priced"])
        try:
            return make(Entry, fields), sha256
        except ValueError as exc:
            raise _damaged(fields["key"], self.path) from exc


def _row(entry: Entry) -> tuple[object, ...]:
    return (
        *(entry.key, entry.stage, entry.provider, entry.model, entry.request),
        *(zlib.compress(entry.raw, 3), entry.sha256, entry.tokens_in, entry.tokens_out),
        *(entry.tokens_cached, entry.reasoning_tokens, entry.cost_usd, int(entry.priced)),
        *(round(entry.seconds, 4), entry.retries, entry.created_at or now_utc()),
    )


def _event_row(event: Event, at: str) -> tuple[object, ...]:
    return (
        *(at, event.stage, event.provider, event.model, event.kind),
        *(event.detail[:500], event.key, event.n),
    )


def _damaged(key: object, path: Path) -> StoreError:
    return StoreError(
        f"{path}: the reply {str(key)[:16]} is damaged (its bytes no longer match its sha256);"
        f" `potstill ledger {path.parent} --verify` lists every damaged one."
    )


def _inflate(packed: bytes, key: object, path: Path) -> bytes:
    try:
        unpacking = zlib.decompressobj()
        raw = unpacking.decompress(packed, DOCUMENT_BYTES)
    except (zlib.error, TypeError) as exc:
        raise _damaged(key, path) from exc
    if not unpacking.eof:  # cut off, or more than any reply has
        raise _damaged(key, path)
    return raw


def _unpack(packed: bytes, sha256: str, key: str, path: Path) -> bytes:
    raw = _inflate(packed, key, path)
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise _damaged(key, path)
    return raw


def _columns(by: Sequence[str], known: Mapping[str, str]) -> list[str]:
    for name in by:
        if name not in known:
            raise InputError(f"A ledger cannot be grouped by {name!r}; use {', '.join(known)}.")
    return [known[name] for name in by]


def _grouped(groups: Sequence[str], sums: str, table: str) -> str:
    if not groups:
        return f"SELECT {sums} FROM {table}"
    names = ", ".join(groups)
    return f"SELECT {names}, {sums} FROM {table} GROUP BY {names} ORDER BY {names}"
