"""The one way in: what every source's problems go through before any model sees them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pydantic import ValidationError

from potstill.errors import InputError
from potstill.plugins import SOURCES, load_plugin
from potstill.problems.raw import RawProblem, SourceLike, normalise, text_key
from potstill.records import (
    Excluded,
    ExclusionReason,
    Gold,
    NumberGold,
    Problem,
    RubricGold,
    TestsGold,
    TextGold,
)

__all__ = [
    "Imported",
    "ProblemRow",
    "SourceConfig",
    "describe",
    "load_problems",
    "read_problems",
]


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Where problems come from: a plugin's name, its options, and the name of the set in tables.

    ``why`` says what was guessed, where a configuration is a guess.
    """

    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    why: str = ""

    @property
    def label(self) -> str:
        """The name of the set in tables."""
        return self.name or self.source


@dataclass(frozen=True, slots=True)
class Imported:
    """Every problem that was brought in: those that may be asked, and those set aside, and why."""

    problems: tuple[Problem, ...]
    excluded: tuple[Excluded, ...]


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One line of ``potstill problems``; ``reason`` is empty where the problem is kept."""

    id: str
    source: str
    kind: str
    key: str
    reason: str
    detail: str
    text: str
    groups: Mapping[str, str] = field(default_factory=dict)


def load_problems(sources: Sequence[SourceLike], *, infer: Callable[[str, str], str]) -> Imported:
    """Return the problems of all sources, and those set aside with the reason for each.

    As :func:`read_problems`, in memory.
    """
    found = list(read_problems(sources, infer=infer))
    return Imported(
        tuple(x for x in found if isinstance(x, Problem)),
        tuple(x for x in found if isinstance(x, Excluded)),
    )


def read_problems(
    sources: Sequence[SourceLike], *, infer: Callable[[str, str], str]
) -> Iterator[Problem | Excluded]:
    """Yield every problem of all sources, and those set aside with the reason for each.

    ``infer`` names the kind of an answer from key and text (``potstill.grading.infer_kind``).
    The first of several equal texts is kept. Raises InputError for a source that cannot be
    read, and where one id names two different texts.
    """
    seen = _Seen()
    for source, raw in _read(sources):
        if not raw.id.strip():
            raise InputError(f"{source}: a problem has no id ({raw.text[:60]!r}...); give it one.")
        normal = normalise(raw.text)
        if not seen.notes(raw.id, normal):
            _refuse_two_texts(sources, source, raw.id, normal)
        reason, detail = _why_set_aside(raw, normal, seen)
        if reason is not None:
            yield Excluded(raw.id, raw.text, raw.key, source, reason, detail, raw.groups)
            continue
        gold = raw.gold or TextGold(raw.key.strip())
        kind = raw.kind or _kind(gold, raw.text, infer)
        problem = Problem(raw.id, raw.text.strip(), gold, kind, source, raw.groups)
        seen.keeps(normal, problem)
        yield problem


class _Seen:
    """The ids and texts that came so far, in a hundred or two bytes each."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}  # of every id
        self._kept: dict[bytes, tuple[str, str]] = {}  # id and key, by text

    def notes(self, problem_id: str, normal: str) -> bool:
        """Return whether the id is new, or came with the same text."""
        digest = text_key(normal)
        return self._texts.setdefault(problem_id, digest) == digest

    def keeps(self, normal: str, problem: Problem) -> None:
        """Take later problems of this text for duplicates of the problem."""
        self._kept[text_key(normal)] = (problem.id, problem.gold_text)

    def twin(self, normal: str) -> tuple[str, str] | None:
        """Return id and key of the problem of this text that was kept, if one was."""
        return self._kept.get(text_key(normal))


def describe(imported: Imported) -> tuple[ProblemRow, ...]:
    """Return one row for every problem, kept or set aside, for people to look over before a run."""
    kept = [
        ProblemRow(p.id, p.source, p.kind, p.gold_text, "", "", p.text, p.groups)
        for p in imported.problems
    ]
    away = [
        ProblemRow(s.id, s.source, "", s.key, s.reason.value, s.detail, s.text, s.groups)
        for s in imported.excluded
    ]
    return (*kept, *away)


def _read(sources: Sequence[SourceLike]) -> Iterator[tuple[str, RawProblem]]:
    for config in sources:
        module = load_plugin(SOURCES, config.source)
        try:
            options = module.Options.model_validate(dict(config.options), strict=False)
        except ValidationError as exc:
            error = exc.errors(include_url=False)[0]
            name = ".".join(map(str, error["loc"]))
            known = ", ".join(module.Options.model_fields)
            raise InputError(
                f"problem source {config.label!r}: {name}: {error['msg']}; its options are {known}."
            ) from exc
        for raw in module.read(options):
            yield config.label, raw


def _refuse_two_texts(
    sources: Sequence[SourceLike], source: str, problem_id: str, normal: str
) -> NoReturn:
    first_source, first = next((x, raw) for x, raw in _read(sources) if raw.id == problem_id)
    raise InputError(
        f"the id {problem_id!r} names two problems: {normalise(first.text)[:60]!r} (source "
        f"{first_source}) and {normal[:60]!r} (source {source}); give each its own id."
    )


_HEADING = re.compile(r"^\W*(?:question|problem|exercise|no\.?|#)?\s*\d*\s*[:.)\-]*\s*", re.I)
_NOT_VISIBLE = re.compile(
    r"""^\W* (?:the\s+)?
    (?:(?:content|text|question|problem|statement|image|figure|pages?)\W+
       (?:text\s+)? (?:(?:is|was|are)\s+)?)?
    (?:not\s+(?:fully\s+)?(?:visible|available|provided|shown|legible|readable|given|included
                            |found|transcribed)
      |unavailable|illegible|unreadable|missing|omitted|cut\s+off)
    \W* (?:(?:in|on|from|due)\b [^.?!]{0,60})? \W*$""",
    re.I | re.X | re.S,
)


def _why_set_aside(raw: RawProblem, normal: str, seen: _Seen) -> tuple[ExclusionReason | None, str]:
    body = _HEADING.sub("", raw.text.strip(), count=1).strip()
    if not normal or (not body and not re.search(r"\d\s*[-+*/=]", raw.text)):
        return ExclusionReason.NO_TEXT, "" if not normal else f"only {raw.text.strip()!r}"
    if _NOT_VISIBLE.match(body):
        return ExclusionReason.NOT_VISIBLE, raw.text.strip()
    if raw.gold is None and not raw.key.strip():
        return ExclusionReason.NO_KEY, ""
    twin = seen.twin(normal)
    if twin is not None:
        twin_id, key = twin
        same = raw.gold is not None or normalise(key) == normalise(raw.key)
        keys = "" if same else f"; the keys differ: {key!r} and {raw.key.strip()!r}"
        return ExclusionReason.DUPLICATE, f"same text as {twin_id}{keys}"
    return None, ""


def _kind(gold: Gold, text: str, infer: Callable[[str, str], str]) -> str:
    match gold:
        case TextGold(key):
            return str(infer(key, text))
        case NumberGold():
            return "decimal"
        case TestsGold():
            return "tests"
        case RubricGold():
            return "rubric"
