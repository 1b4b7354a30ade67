"""What a ledger keeps and tells, the key of an ask, and the lines of an exported ledger."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from potstill.errors import InputError
from potstill.records import Sampling, canonical_json
from potstill.store.typed import make
from potstill.store.untrusted import lines_of, parse_json

__all__ = [
    "NO_RECORD",
    "Entry",
    "Event",
    "Failures",
    "Merge",
    "SpendGroup",
    "entry_line",
    "key_of_request",
    "now_utc",
    "read_line",
    "read_lines",
    "request_json",
]


NO_RECORD = "no record"  # the event of a question that a recording has no answer to


class Turn(Protocol):
    """One message of a chat, as far as the ledger looks at it."""

    @property
    def role(self) -> str: ...

    @property
    def content(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One bought (or locally generated) reply with everything that is known of the call.

    ``request`` is the canonical JSON that the key is the hash of; ``raw`` is in the OpenAI
    chat.completion shape, local models' replies too. ``cost_usd`` counts only where ``priced``.
    """

    key: str
    stage: str
    provider: str
    model: str
    request: str
    raw: bytes
    tokens_in: int
    tokens_out: int
    tokens_cached: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    priced: bool = False
    seconds: float = 0.0
    retries: int = 0
    created_at: str = ""

    @property
    def sha256(self) -> str:
        """The hex digest of the raw bytes."""
        return hashlib.sha256(self.raw).hexdigest()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that cost time or money and is no reply: a retry, a failure, ledger hits.

    Also what is odd about a reply that was kept (its kind begins with "kept with").
    """

    stage: str
    provider: str
    model: str
    kind: str
    detail: str = ""
    key: str = ""
    n: int = 1


@dataclass(frozen=True, slots=True)
class SpendGroup:
    """What one group of replies came to. ``group`` holds the values of ``by``, in that order."""

    group: tuple[str, ...]
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    reasoning_tokens: int
    cost_usd: float
    unpriced: int
    seconds: float
    retries: int


@dataclass(frozen=True, slots=True)
class Failures:
    """How many events of one group were noted (``n`` summed)."""

    group: tuple[str, ...]
    n: int


@dataclass(frozen=True, slots=True)
class Merge:
    """What an import did: rows added, rows already here, rows here with another reply (kept)."""

    added: int
    already: int
    different: int


def now_utc() -> str:
    """Return the present moment, ISO 8601 in UTC to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def request_json(
    provider: str,
    model: str,
    messages: Sequence[Turn],
    sampling: Sampling,
    sample: int,
    attempt: int,
    extra: Mapping[str, Any] | None = None,
) -> str:
    """Return the canonical JSON of what was asked; ``extra`` is the part of the body that is not
    standard.

    ``extra`` stands in it only where there is any, so that a plain request keeps its key.
    """
    asked: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in messages],
        "sampling": {
            "temperature": float(sampling.temperature),
            "top_p": float(sampling.top_p),
            "seed": sampling.seed,
            "max_tokens": sampling.max_tokens,
        },
        "sample": sample,
        "attempt": attempt,
    }
    if extra:
        asked["extra"] = dict(extra)
    # A lone surrogate can be neither stored nor sent; both sides replace it in the same way.
    return canonical_json(asked).encode("utf-8", "replace").decode("utf-8")


def key_of_request(request: str) -> str:
    """Return the key of a request, the sha256 hex digest of its canonical JSON: the same on every
    machine and for every address.
    """
    return hashlib.sha256(request.encode("utf-8", "replace")).hexdigest()


def entry_line(entry: Entry) -> str:
    """Return the entry as one line of JSON; bytes that are no UTF-8 go as base64."""
    line: dict[str, object] = {name: getattr(entry, name) for name in Entry.__slots__}
    line["sha256"] = entry.sha256
    try:
        line["raw"] = entry.raw.decode("utf-8")
    except UnicodeDecodeError:
        del line["raw"]
        line["raw_base64"] = base64.b64encode(entry.raw).decode("ascii")
    return json.dumps(line, ensure_ascii=False) + "\n"


def read_lines(path: Path) -> Iterator[Entry]:
    """Yield every entry of an exported ledger.

    Raises InputError naming the line that is not one.
    """
    try:
        for number, line in lines_of(path):
            yield read_line(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise InputError(f"{path} cannot be read ({reason}); name an exported ledger.") from exc


def read_line(line: str, where: str) -> Entry:
    """Return the entry in a line of :func:`entry_line`.

    Raises InputError naming ``where`` for another.
    """
    try:
        fields = parse_json(line)
        sha256 = fields.pop("sha256")
        packed = fields.pop("raw_base64", None)
        raw = fields.pop("raw").encode() if packed is None else base64.b64decode(packed)
        entry = make(Entry, fields | {"raw": raw})
        whole = entry.sha256 == sha256 and key_of_request(entry.request) == entry.key
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InputError(
            f"{where}: not an entry of an exported ledger ({exc}); export it again."
        ) from exc
    if not whole:
        raise InputError(
            f"{where}: the entry {entry.key[:16]} was changed since it was exported; export it "
            "again."
        )
    return entry
