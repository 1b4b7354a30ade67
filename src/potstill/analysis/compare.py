"""``potstill compare``: two finished studies side by side. Only looks."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.evaluation.scores import Answered
from potstill.evaluation.side_by_side import Beside, side_by_side
from potstill.ledger.ledger import Ledger
from potstill.pipeline.assemble import answered, call_counts
from potstill.pipeline.context import agent_identity
from potstill.pipeline.directory import StudyDirectory
from potstill.pipeline.outputs import Made
from potstill.planning.plan import settings
from potstill.records import Condition, Problem, content_hash
from potstill.report.data import CallCount
from potstill.report.numbers import values, written
from potstill.report.views import Place
from potstill.store.fingerprint import fingerprint
from potstill.study.schema import Study

__all__ = [
    "FinishedStudy",
    "SetBeside",
    "SettingDifference",
    "TwoStudies",
    "compare_studies",
    "read_finished",
    "total_usd",
]

_NAMES_ONLY = ("name", "about")

_Places = dict[Place, list[Answered]]


@dataclass(frozen=True, slots=True)
class FinishedStudy:
    """A finished study, its problems' content by id, and what it cost."""

    directory: Path
    result: Made
    content: Mapping[str, str]
    conditions: Mapping[str, Condition]
    base_hash: str
    rulings: int
    calls: tuple[CallCount, ...]

    @property
    def study(self) -> Study:
        """The study as its file said it."""
        return self.result.study


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """One setting that differs; "" where a study has none of that name."""

    name: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class SetBeside:
    """Two studies on one problem set: how many problems each has, how many are the same.

    ``other_key`` counts problems with the same text and another key: they are not the same.
    """

    set_a: str
    set_b: str
    split: str
    problems_a: int
    problems_b: int
    shared: int
    other_key: int
    rows: tuple[Beside, ...]


@dataclass(frozen=True, slots=True)
class TwoStudies:
    """Two studies side by side; all of it exploratory. ``alone`` names sets one study alone has."""

    a: FinishedStudy
    b: FinishedStudy
    sets: tuple[SetBeside, ...]
    alone: tuple[str, ...]
    settings: tuple[SettingDifference, ...]

    def plain(self) -> dict[str, Any]:
        """Return everything compared, as JSON holds it."""
        plain: dict[str, Any] = written(
            {
                "format_version": 1,
                "kind": "exploratory",
                "a": _study_row(self.a),
                "b": _study_row(self.b),
                "sets": [
                    values(found) | {"rows": [_row(x) for x in found.rows]} for found in self.sets
                ],
                "alone": self.alone,
                "settings": self.settings,
            }
        )
        return plain


def compare_studies(directory_a: str | Path, directory_b: str | Path) -> TwoStudies:
    """Return two study directories side by side. Buys nothing, makes nothing.

    Raises StoreError for a folder that is no study directory, and InputError for an unfinished one.
    """
    a, b = read_finished(directory_a), read_finished(directory_b)
    places_a, places_b = _places(a), _places(b)
    conditions = {**a.conditions, **b.conditions}
    graded = _graded_otherwise(a.study, b.study)
    pairs = _matched(places_a, places_b)
    sets = []
    for here, there in pairs:
        rows_a, rows_b = places_a[here], places_b[there]
        ids_a, ids_b = ({x.problem_id for x in rows} for rows in (rows_a, rows_b))
        sets.append(
            SetBeside(
                set_a=here.set,
                set_b=there.set,
                split=here.split,
                problems_a=len(ids_a),
                problems_b=len(ids_b),
                shared=len(ids_a & ids_b),
                other_key=_other_key(a, ids_a, b, ids_b),
                rows=tuple(side_by_side(rows_a, rows_b, conditions, graded)),
            )
        )
    alone = [f"A: {x.title}" for x in places_a if x not in [p for p, _ in pairs]]
    alone += [f"B: {x.title}" for x in places_b if x not in [q for _, q in pairs]]
    return TwoStudies(a, b, tuple(sets), tuple(alone), tuple(_differing_settings(a, b)))


def read_finished(directory: str | Path) -> FinishedStudy:
    """Return all that a finished study holds. Raises InputError where a stage is not finished."""
    found = StudyDirectory.open(directory)
    if found.answers is None:
        raise InputError(
            f"{directory} is not finished ({found.unfinished.rstrip('.')}); go on with potstill "
            "run, then compare."
        )
    rulings = found.path / "rulings.jsonl"
    with Ledger.open(found.path / "ledger.sqlite", readonly=True) as ledger:
        calls = call_counts(ledger)
    return FinishedStudy(
        directory=found.path,
        result=found.made,
        content=_content(found.made.problems),
        conditions={x.condition.condition_id: x.condition for x in found.made.answers},
        base_hash=found.base_hash,
        rulings=rulings.read_text("utf-8").count("\n") if rulings.exists() else 0,
        calls=calls,
    )


def _content(problems: Iterable[Problem]) -> dict[str, str]:
    """Return each problem's id by content: its text and key, and which of several alike in its
    set.
    """
    alike: Counter[tuple[str, str]] = Counter()
    found = {}
    for problem in problems:
        content = content_hash([problem.text, problem.gold])
        alike[problem.source, content] += 1
        found[problem.id] = f"{content}#{alike[problem.source, content]}"
    return found


def _places(finished: FinishedStudy) -> _Places:
    """Return every answer by set and split, its problem named by content."""
    places: _Places = {}
    for row in answered(finished.result.answers, finished.result.problems):
        named = dataclasses.replace(row, problem_id=finished.content[row.problem_id])
        places.setdefault(Place(row.set, row.split.value), []).append(named)
    return places


def _matched(a: _Places, b: _Places) -> list[tuple[Place, Place]]:
    """Return the sets of two studies in pairs: by name and split, else by most problems in
    common.
    """
    pairs = [(place, place) for place in a if place in b]
    left = [place for place in b if place not in a]
    for here in (place for place in a if place not in b):
        ids = {x.problem_id for x in a[here]}
        common = {
            there: len(ids & {x.problem_id for x in b[there]})
            for there in left
            if there.split == here.split
        }
        best = max(common, key=lambda there: common[there], default=None)
        if best is not None and common[best]:
            pairs.append((here, best))
            left.remove(best)
    return pairs


def _other_key(a: FinishedStudy, ids_a: set[str], b: FinishedStudy, ids_b: set[str]) -> int:
    """Return how many problems stand in both sets with the same text and another key."""
    texts_a, texts_b = (
        {p.text for p in x.result.problems if x.content[p.id] in ids - other}
        for x, ids, other in ((a, ids_a, ids_b), (b, ids_b, ids_a))
    )
    return len(texts_a & texts_b)


def _graded_otherwise(a: Study, b: Study) -> list[str]:
    """Return the grading settings that differ: verdicts under two graders are not paired."""
    names = [name for name in ("verify", "forms") if getattr(a, name) != getattr(b, name)]
    one, two = (
        fingerprint(agent_identity(x.verifier)) if x.verifier and x.verify != "symbolic" else None
        for x in (a, b)
    )
    if a.evaluation.cut != b.evaluation.cut:
        names.append("evaluation.cut")
    return names + (["verifier"] if one != two else [])


def _differing_settings(a: FinishedStudy, b: FinishedStudy) -> Iterable[SettingDifference]:
    """Yield every setting that differs; a path whose file holds the same is the same."""
    one, two = (_settings(x) for x in (a, b))
    for name in dict.fromkeys([*one, *two]):
        left, right = one.get(name, ""), two.get(name, "")
        if left != right and fingerprint(left) != fingerprint(right):
            yield SettingDifference(name, left, right)


def _settings(finished: FinishedStudy) -> dict[str, str]:
    found = {x.name: x.value for x in settings(finished.study, {}) if x.name not in _NAMES_ONLY}
    problems = content_hash(sorted(finished.content.values()))
    return found | {
        "the problems (hash)": problems[:12],
        "the base's weights (hash)": finished.base_hash[:12],
        "rulings by a person": str(finished.rulings),
    }


def _row(row: Beside) -> dict[str, Any]:
    said = {"beyond_chance": row.beyond_chance, "survives_format": row.survives_format}
    return values(row) | said


def _study_row(finished: FinishedStudy) -> dict[str, Any]:
    return {
        "study": finished.study.name,
        "directory": str(finished.directory),
        "problems": len(finished.content),
        "base_hash": finished.base_hash,
        "calls": finished.calls,
        "cost_usd": total_usd(finished.calls),
    }


def total_usd(calls: Iterable[CallCount]) -> float | None:
    """Return the dollars of some calls; None where some of them have no price."""
    prices = [call.cost_usd for call in calls]
    known = [usd for usd in prices if usd is not None]
    return sum(known) if len(known) == len(prices) else None
