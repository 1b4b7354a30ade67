"""One student of a study directory: where it is, how it is asked, and how well it did."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import InputError, StoreError
from potstill.pipeline.context import base_path_of
from potstill.pipeline.directory import study_of
from potstill.pipeline.outputs import MIX
from potstill.plugins import nearest
from potstill.pocket import STUDENT_PATH
from potstill.records import (
    Condition,
    Level,
    Outcome,
    Problem,
    Response,
    Role,
    Sampling,
    Score,
    Split,
    Student,
    Verdict,
)
from potstill.report.data import Unread, UnreadExample
from potstill.store.cells import Cell, Store
from potstill.store.hub import is_hub_id
from potstill.store.typed import make
from potstill.store.untrusted import read_json
from potstill.study.schema import Study
from potstill.training.limits import answer_tokens
from potstill.training.student_folder import read_student

__all__ = [
    "FoundStudent",
    "another_base",
    "base_path_of",
    "find_ladder",
    "find_student",
]

_WANTED = re.compile(r"(?P<variant>.+?)(?:-s(?P<seed>\d+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundStudent:
    """A trained student of a study, and the study's report on it.

    ``condition`` is how it was asked; ``scores`` are the rows of report.json on it over whole
    held-out sets, empty where the study has no report yet. ``level`` is its variant, or the level
    that the mixed student is to be asked for (``mix-R3``). ``base_scores`` are the base's rows,
    ``unread`` those of the two of whose answers many could not be read; ``group_scores`` are its
    own rows over the groups of the held-out sets (``family=means``). ``against`` are the report's
    comparisons of its level with the base over whole held-out sets.
    """

    directory: Path
    study: Study
    student: Student
    folder: Path
    level: str
    condition: Condition
    scores: tuple[Mapping[str, Any], ...]
    base_scores: tuple[Mapping[str, Any], ...]
    unread: tuple[Mapping[str, Any], ...] = ()
    group_scores: tuple[Mapping[str, Any], ...] = ()
    against: tuple[Mapping[str, Any], ...] = ()
    replayed: int = 0

    @property
    def name(self) -> str:
        """What it is called where it is served: its id, and the level it is asked for."""
        return (
            self.student.id
            if self.level == self.student.variant
            else (f"{self.student.id}:{self.level}")
        )

    @property
    def base_name(self) -> str:
        """What its base is called: its id on the hub, or the name of its folder."""
        base = self.study.student.base
        if self.study.student.is_shipped:
            return "the pocket base"
        return base if is_hub_id(base) else self.student.base

    def answers(self) -> list[tuple[Problem, Response]]:
        """Return the held-out problems with what it said in the study, in the study's order."""
        store = Store(self.directory, create=False)
        heldout = {score["condition_id"] for score in self.scores}
        responses: dict[str, Response] = {}
        for response in store.rows_of("answers", "responses", Response):
            if response.solver == self.student.id and response.condition_id in heldout:
                responses.setdefault(response.problem_id, response)
        asked = store.rows_of("problems", "problems", Problem)
        problems = {p.id: p for p in asked if p.id in responses}
        return [(problems[i], r) for i, r in responses.items() if i in problems]

    def outcome(self, response: Response) -> Outcome | None:
        """Return what one of its answers was worth; None where it is not graded."""
        wanted = response.response_id
        for verdict in Store(self.directory, create=False).rows_of("verdicts", "verdicts", Verdict):
            if verdict.response_id == wanted:
                return verdict.outcome
        return None


def find_student(directory: Path, wanted: str = "") -> FoundStudent:
    """Return the student of a study that ``wanted`` names: an id, or a level and seed (R3, R3-s0).

    ``mix-R3`` is the mixed student asked for R3. Nothing named, the one that did best on held-out
    problems. Raises StoreError for a folder that is no study and a student that is no longer as it
    was trained, InputError with the list of students.
    """
    study = study_of(directory)
    report = _read_report(directory)
    known = dict(_students(directory, report))
    if not known:
        raise InputError(
            f"{directory} holds no trained student; go on with potstill run until it does."
        )
    folder, level = _choose(known, wanted or _best(report, known), directory)
    store, cell = Store(directory, create=False), Cell("student", folder.name)
    store.verify(cell)
    replayed = store.manifest(cell).summary.get("replayed", 0)
    student = known[folder]
    level = _asked_level(report, student) if level == MIX else level
    own = [
        row
        for row in _heldout(report, Role.STUDENT, groups=True)
        if row["solver"] == student.id and level in (row["level"], student.variant)
    ]
    scores = tuple(row for row in own if row["group"] == "all")
    groups = tuple(row for row in own if row["group"] != "all")
    condition = _condition(study, directory, report, scores, level)
    base_scores = tuple(_heldout(report, Role.BASE))
    unread = tuple(_unread(report, {row["level"] for row in scores}))
    against = tuple(
        c
        for c in report.get("comparisons", ())
        if (c["split"], c["group"], c["b"]) == (Split.HELDOUT, "all", "base")
        and c["a"] in {row["level"] for row in scores}
    )
    return FoundStudent(
        *(directory, study, student, folder, level, condition, scores, base_scores, unread, groups),
        against,
        replayed if isinstance(replayed, int) else 0,
    )


def find_ladder(directory: Path, mixed: bool = False) -> list[FoundStudent]:
    """Return a study's student of every level, R1 first, each of the lowest seed.

    ``mixed``, or where no level has a student of its own: the mixed student, once for each level
    that the study asked it for. Raises as :func:`find_student` does, and where there is neither.
    """
    study_of(directory)
    report = _read_report(directory)
    variants = {student.variant for _, student in _students(directory, report)}
    asked = {row["level"] for row in _heldout(report, Role.STUDENT)}
    own = [level.value for level in Level if level.value in variants]
    mix = [name for level in Level if (name := f"{MIX}-{level.value}") in asked]
    named = mix if mixed or not own else own
    if not named:
        if mixed and own:
            raise InputError(
                f"{directory} has no mixed student; leave --mix out for its {', '.join(own)}, or "
                "add mix: to the study and run it again."
            )
        kind = "mixed student that was asked for a level" if mixed else "student of any level"
        raise InputError(f"{directory} has no {kind}; run the study to its end, or name another.")
    return [find_student(directory, name) for name in named]


def another_base(student: Student, place: str | Path) -> InputError:
    """Return the refusal of a base in ``place`` that is not the one a student was trained on."""
    if Path(place).resolve() == STUDENT_PATH.resolve():
        return InputError(
            f"The pocket base of this Potstill is not the one that {student.id} was trained on "
            f"(hash {student.base_hash[:12]}): train it anew with potstill run, or give the old "
            "base with --base."
        )
    return InputError(
        f"{place} is not the base that {student.id} was trained on ({student.base}, hash "
        f"{student.base_hash[:12]}); give that very model with --base."
    )


def _read_report(directory: Path) -> Mapping[str, Any]:
    path = directory / "report" / "report.json"
    try:
        report: Mapping[str, Any] = read_json(path)
        for row in report["scores"]:
            # the figures of a row without an accuracy (no answer counts) stand there as null
            missing = row["accuracy"] is None
            make(Score, {k: 0.0 if missing and v is None else v for k, v in row.items()})
        for row in report.get("unread", ()):  # a report from before they were counted has none
            for example in make(Unread, row).examples:
                make(UnreadExample, example)
        for row in report["conditions"]:
            make(Condition, {k: v for k, v in row.items() if k != "condition_id"})
            if not isinstance(row["condition_id"], str):
                raise ValueError("a condition without a name")
    except FileNotFoundError:
        return {"scores": [], "conditions": []}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StoreError(
            f"{path} is damaged ({exc}); run the study again to write it anew."
        ) from exc
    return report


def _students(directory: Path, report: Mapping[str, Any]) -> Iterator[tuple[Path, Student]]:
    """Yield the students of the report, or all that are trained where there is no report yet."""
    store = Store(directory, create=False)
    reported = {row["solver"] for row in report["scores"] if row["role"] == Role.STUDENT}
    for manifest in store.cells():
        if manifest.stage == "student":
            folder = store.folder(Cell(manifest.stage, manifest.key))
            student = read_student(folder)
            if not reported or student.id in reported:
                yield folder, student


def _heldout(
    report: Mapping[str, Any], role: Role, *, groups: bool = False
) -> list[Mapping[str, Any]]:
    """Return the rows over whole held-out sets, with ``groups`` those over their groups too."""
    return [
        row
        for row in report["scores"]
        if row["role"] == role
        and row["split"] == Split.HELDOUT
        and (groups or row["group"] == "all")
    ]


def _unread(report: Mapping[str, Any], levels: Container[str]) -> Iterator[Mapping[str, Any]]:
    """Yield which of the base and the student's levels have many unread answers to held-out
    problems.
    """
    for row in report.get("unread", ()):
        if row["split"] == Split.HELDOUT and (row["role"] == Role.BASE or row["who"] in levels):
            yield row


def _best(report: Mapping[str, Any], known: Mapping[Path, Student]) -> str:
    rows = [row for row in _heldout(report, Role.STUDENT) if row["accuracy"] is not None]
    if not rows:
        return min(student.id for student in known.values())
    best = max(rows, key=lambda row: (row["accuracy"], row["n"]))
    asked = best["level"] if best["level"].startswith(f"{MIX}-") else ""
    return f"{asked}-s{best['seed']}" if asked else str(best["solver"])


def _asked_level(report: Mapping[str, Any], student: Student) -> str:
    """Return the level at which the mixed student did best: it was trained to be asked for one."""
    rows = [row for row in _heldout(report, Role.STUDENT) if row["solver"] == student.id]
    best = max(rows, key=lambda row: row["accuracy"] or 0.0, default={"level": MIX})
    return str(best["level"])


def _choose(known: Mapping[Path, Student], wanted: str, directory: Path) -> tuple[Path, str]:
    """Return the folder of the student that is meant, and the level it is to be asked for."""
    for folder, student in known.items():
        if student.id.casefold() == wanted.casefold():
            return folder, student.variant
    named = _WANTED.fullmatch(wanted)
    variant, seed = (named["variant"], named["seed"]) if named else (wanted, None)
    told = [*(s.variant for s in known.values()), *(f"{MIX}-{level}" for level in Level)]
    variant = next((x for x in told if x.casefold() == variant.casefold()), variant)
    trained = MIX if variant.startswith(f"{MIX}-") else variant
    found = [
        folder
        for folder, student in known.items()
        if student.variant == trained and seed in (None, str(student.seed))
    ]
    if not found:
        ids = sorted(student.id for student in known.values())
        raise InputError(f"{directory} has no student {wanted!r}{nearest(wanted, ids)}.")
    first = min(found, key=lambda folder: (known[folder].seed, known[folder].id))
    same = [known[f].id for f in found if known[f].seed == known[first].seed]
    if len(same) > 1:
        raise InputError(f"{wanted!r} may be any of {', '.join(sorted(same))}; name one by its id.")
    return first, variant if trained == MIX else known[first].variant


def _condition(
    study: Study,
    directory: Path,
    report: Mapping[str, Any],
    scores: Sequence[Mapping[str, Any]],
    level: str,
) -> Condition:
    """Return how the study asked this student; the report holds the words of the mixed one's
    levels.
    """
    wanted = {score["condition_id"] for score in scores if score["level"] == level}
    for row in report["conditions"]:
        if row["condition_id"] in wanted:
            sampling = Sampling(**row["sampling"])
            return Condition("", row["system"], row["template"], sampling, row["precision"])
    evaluation = study.evaluation
    if level.startswith(f"{MIX}-"):
        raise InputError(
            f"The study has not asked its mixed student for {level.removeprefix('mix-')}; name one "
            "of the levels under mix: in the study, and run it to its end."
        )
    sampling = evaluation.sampling(answer_tokens(directory))
    return Condition("", evaluation.system, evaluation.prompt, sampling, study.student.precision)
