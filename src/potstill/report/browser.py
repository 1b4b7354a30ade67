"""The problem browser's data: packed into the page, and whole in ``problems.jsonl`` beside it.

The page holds an index of all problems and, in chunks that are unpacked when one of their problems
is opened, the texts: one seed's and one sample's of every solver. Chunks are gzip in base64, which
a web browser unpacks by itself (DecompressionStream). What is too long for the page is cut there,
said to be, and whole in the file.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from potstill.records import Outcome
from potstill.report.cases import Case, Said, solver_order
from potstill.report.phrases import plain

__all__ = ["BROWSER_FILE", "Browser", "pack", "write_cases"]

BROWSER_FILE = "problems.jsonl"
# What the packed problems may take of the page, in bytes.
_LIMIT = 23_500_000
_CHUNK_PROBLEMS = 50
# How many characters of one text the page shows, the first of them at which the page is in bounds.
_CUTS = (50_000, 20_000, 10_000, 6_000, 4_000, 3_000, 2_400, 2_000, 1_600, 1_200, 800)
# Of so many chunks one is packed to see which cut may do.
_SAMPLED = 10
_OUTCOMES = [outcome.value for outcome in Outcome]


@dataclass(frozen=True, slots=True)
class Browser:
    """What the page embeds: packed text by packed text. ``shown`` of ``total`` problems are there,
    each text up to ``cut`` characters; ``filed`` are in the file beside it."""

    index: str
    chunks: tuple[str, ...]
    shown: int
    filed: int
    total: int
    cut: int


def pack(cases: Sequence[Case], limit: int = _LIMIT, of: int = 0) -> Browser | None:
    """Return the browser of some problems within ``limit`` bytes; None where there are no problems.

    ``of`` is how many problems there are in all, where not all are among ``cases``.

    Texts are cut shorter until all problems fit; where that does not do, the last are left out.
    """
    if not cases:
        return None
    chunks: list[str] = []
    cut = 0
    for cut in _CUTS:
        if cut != _CUTS[-1] and _estimate(cases, cut) > limit:
            continue
        chunks = _chunks(cases, cut, limit)
        if len(chunks) * _CHUNK_PROBLEMS >= len(cases):
            break
    shown = cases[: len(chunks) * _CHUNK_PROBLEMS]
    return Browser(
        _packed(_index(shown)), tuple(chunks), len(shown), len(cases), max(of, len(cases)), cut
    )


def write_cases(cases: Sequence[Case], path: Path) -> None:
    """Write every case with all its texts, one line of JSON each."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for case in cases:
            file.write(plain(json.dumps(asdict(case), ensure_ascii=False)) + "\n")


def _estimate(cases: Sequence[Case], cut: int) -> float:
    """Return about how many bytes all chunks take, from every tenth of them, less a margin."""
    starts = range(0, len(cases), _CHUNK_PROBLEMS)
    sampled = starts[:: max(1, min(_SAMPLED, len(starts) // _SAMPLED))]
    size = sum(len(_chunk(cases, start, cut)) for start in sampled)
    return 0.95 * size * len(starts) / len(sampled)


def _chunk(cases: Sequence[Case], start: int, cut: int) -> str:
    return _packed([_texts(case, cut) for case in cases[start : start + _CHUNK_PROBLEMS]])


def _chunks(cases: Sequence[Case], cut: int, limit: int) -> list[str]:
    """Return the packed chunks, as many as fit."""
    found: list[str] = []
    for start in range(0, len(cases), _CHUNK_PROBLEMS):
        chunk = _chunk(cases, start, cut)
        limit -= len(chunk)
        if limit < 0:
            break
        found.append(chunk)
    return found


def _index(cases: Sequence[Case]) -> dict[str, Any]:
    """Return what is searched and filtered: a row a problem, an outcome's number for every
    solver.
    """
    return {
        "solvers": sorted({said.who for case in cases for said in case.said}, key=solver_order),
        "outcomes": _OUTCOMES,
        "chunk": _CHUNK_PROBLEMS,
        "rows": [
            {
                "id": case.id,
                "set": case.set,
                "split": case.split,
                "text": case.text[:600],
                "key": case.key[:80],
                "groups": [f"{name}: {value}" for name, value in case.groups.items()],
                "said": {
                    said.who: _OUTCOMES.index(said.outcome) for said in _first(case) if said.outcome
                },
            }
            for case in cases
        ],
    }


def _texts(case: Case, cut: int) -> dict[str, Any]:
    """Return what is shown of an opened problem."""
    seeds: dict[str, list[str]] = {}
    for said in case.said:
        seeds.setdefault(said.who, []).append(said.outcome)
    return {
        "text": _cut(case.text, cut),
        "key": _cut(case.key, cut),
        "kind": case.kind,
        "said": [
            {
                "who": said.who,
                "seed": said.seed,
                "outcome": said.outcome,
                "all": seeds[said.who],
                "read": _cut(said.read, cut),
                "why": said.why,
                "finish": said.finish,
                "tokens": said.tokens,
                "reasoning": _cut(said.reasoning, cut),
                "text": _cut(said.text, cut),
            }
            for said in _first(case)
        ],
        "lessons": [
            {
                "level": lesson.level,
                "words": lesson.words,
                "flags": list(lesson.flags),
                "text": _cut(lesson.text, cut),
            }
            for lesson in case.lessons
        ],
    }


def _first(case: Case) -> Iterator[Said]:
    """Yield one answer of every solver: the first seed's first sample."""
    seen: set[str] = set()
    for said in case.said:
        if said.who not in seen:
            seen.add(said.who)
            yield said


def _cut(text: str, cut: int) -> str:
    if len(text) <= cut:
        return text
    return f"{text[:cut]}\n[… {len(text) - cut:,} more characters: see {BROWSER_FILE}]"


def _packed(value: Any) -> str:
    raw = plain(json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()
    return base64.b64encode(gzip.compress(raw, 6, mtime=0)).decode()
