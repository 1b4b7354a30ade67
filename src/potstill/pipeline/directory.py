"""A study's directory as it stands: what each finished stage made, None where it is not finished.

Reading makes nothing, buys nothing and leaves no file behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from potstill.errors import PotstillError, StoreError
from potstill.ledger.ledger import Ledger
from potstill.lessons.listing import GateRow, gate_rows
from potstill.pipeline.context import Unfinished, base_path_of
from potstill.pipeline.lock import changed_base, lost_cells
from potstill.pipeline.outputs import AnswerSet, Made, StudentCell
from potstill.pipeline.run import Run, evaluate, open_run, run_stages, run_study
from potstill.progress import Bar, Progress, quiet
from potstill.records import Excluded, Lesson, Problem, Response, Role, Split, Verdict
from potstill.store.setting_errors import first_error
from potstill.store.untrusted import read_json
from potstill.study.schema import Study, default_directory, load_study
from potstill.study.text import with_new_names

if TYPE_CHECKING:
    import pyarrow as pa

    from potstill.ledger.ledger import SpendGroup
    from potstill.problems.overlap.pairs import Pair

__all__ = ["StudyDirectory", "directory_of", "no_study_directory", "open_study", "run", "study_of"]


def directory_of(path: Path) -> Path:
    """Return the directory of a study, named by itself or by its study file.

    A study file stands for ``runs/NAME``, where ``potstill run`` puts it unless it is told another.
    """
    path = Path(path)
    if path.is_file():
        return path.parent if path.name == "study.json" else default_directory(load_study(path))
    return path


def study_of(directory: Path) -> Study:
    """Return the study that a directory was made by. Raises StoreError where it is none."""
    path = directory / "study.json"
    try:
        return Study.model_validate(with_new_names(read_json(path)), strict=False)
    except FileNotFoundError as exc:
        raise no_study_directory(directory) from exc
    except ValidationError as exc:
        raise StoreError(
            f"{path} was written by another version of Potstill, or changed: "
            f"{first_error(exc, Study).rstrip('.')}; use that version, or run the study again to "
            "write it anew."
        ) from exc
    except ValueError as exc:
        raise StoreError(f"{path} is damaged; run the study again to write it anew.") from exc


def no_study_directory(directory: Path) -> StoreError:
    """Return what to say of a folder without ``study.json``: a lost one, or another folder."""
    whole = next((x for x in directory.parents if (x / "study.json").is_file()), None)
    if whole is not None:
        what = f"is a part of a study directory; give the whole, {whole}"
    elif (directory / "potstill.json").is_file():
        what = "has lost its study.json; run the study again into it (--out) to write it anew"
    elif (directory / "study.yaml").is_file():
        what = (
            "holds a study file and is no study directory (no study.json); give "
            f"{directory / 'study.yaml'}, or the directory that its run made"
        )
    else:
        what = "is no study directory (no study.json); name one that potstill run made"
    return StoreError(f"{directory} {what}.")


class _Noted:
    """A progress that writes down which cells are up to date, and begins no stage."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    @contextmanager
    def stage(self, name: str, total: int | None, unit: str = "items") -> Iterator[Bar]:
        raise Unfinished(f"{name} is not finished.")
        yield  # a context manager that never enters

    def up_to_date(self, name: str, note: str) -> None:
        self.rows.append((name, note))

    def note(self, text: str) -> None:
        return None


@dataclass(slots=True)
class StudyDirectory:
    """What a study has made so far; open one with :meth:`open`.

    ``finished`` names the stages that are, ``up_to_date`` the artifacts with what they hold, and
    ``unfinished`` says what the first unfinished stage lacks, "" where all are finished. ``made``
    holds the same as the properties, empty where they are None.
    """

    path: Path
    study: Study
    made: Made
    finished: tuple[str, ...] = ()
    up_to_date: tuple[tuple[str, str], ...] = ()
    unfinished: str = ""

    def __repr__(self) -> str:
        state = self.unfinished.rstrip(".") or "finished"
        return f"StudyDirectory({str(self.path)!r}, {self.study.name!r}: {state})"

    @classmethod
    def open(cls, path: str | Path) -> StudyDirectory:
        """Return what stands in a study's directory; ``path`` is that, or its study file.

        Raises StoreError for a folder that is no study directory, and for damage.
        """
        directory = directory_of(Path(path))
        study = study_of(directory)
        if lost := lost_cells(directory):
            raise StoreError(f"{lost}.")
        made, noted = Made(study), _Noted()
        finished: list[str] = []
        unfinished = ""
        with ExitStack() as stack:
            run = open_run(study, directory, noted, stack, read_only=True)
            try:
                for stage in run_stages(run, made):
                    finished.append(stage)
            except Unfinished as exc:
                unfinished = " ".join(filter(None, (str(exc), changed_base(run.context))))
                if "rate" in finished and not made.answers:
                    # Base and teacher answer held-out problems before any student is trained.
                    made.answers = _answered(run, made)
        return cls(directory, study, made, tuple(finished), tuple(noted.rows), unfinished)

    @property
    def problems(self) -> Sequence[Problem] | None:
        """The problems that may be asked, with their difficulty where the study rates it."""
        return self.made.problems if "problems" in self.finished else None

    @property
    def excluded(self) -> Sequence[Excluded] | None:
        """The problems that were excluded, each with its reason."""
        return self.made.excluded if "problems" in self.finished else None

    @property
    def splits(self) -> Mapping[str, Split] | None:
        """The split of each problem, by its id."""
        return self.made.splits if "split" in self.finished else None

    @property
    def pairs(self) -> Sequence[Pair] | None:
        """The pairs of problems that overlap across splits."""
        return self.made.pairs if "split" in self.finished else None

    @property
    def taught(self) -> AnswerSet | None:
        """The teacher's replies to the problems to be taught, with verdicts once they are."""
        return self.made.taught if "teach" in self.finished else None

    @property
    def lessons(self) -> Sequence[Lesson] | None:
        """Every lesson made, kept or not."""
        return self.made.lessons if "condense" in self.finished else None

    @property
    def chosen(self) -> Mapping[str, Sequence[Lesson]] | None:
        """The lessons that each variant trains on, by its name."""
        return self.made.chosen if "condense" in self.finished else None

    @property
    def students(self) -> Sequence[StudentCell] | None:
        """The trained students, with their folders and losses."""
        return self.made.students if "train" in self.finished else None

    @property
    def answers(self) -> Sequence[AnswerSet] | None:
        """What teacher, base and students answered, with verdicts, one entry per solver and set."""
        return self.made.answers if "answer" in self.finished else None

    @property
    def report(self) -> Mapping[str, Any] | None:
        """The report's numbers (``report/report.json``)."""
        path = self.path / "report" / "report.json"
        if "answer" not in self.finished or not path.is_file():
            return None
        found: Mapping[str, Any] = read_json(path)
        return found

    @property
    def responses(self) -> pa.Table | None:
        """Every response to the held-out problems with its verdict, as a pyarrow table."""
        return _table(self._rows()) if "answer" in self.finished else None

    @property
    def lesson_table(self) -> pa.Table | None:
        """Every lesson as a pyarrow table."""
        return None if self.lessons is None else _table(map(_plain, self.lessons))

    @property
    def problem_table(self) -> pa.Table | None:
        """Every problem with its split as a pyarrow table."""
        if self.problems is None:
            return None
        splits = self.made.splits
        rows = (_plain(p) | {"split": str(splits.get(p.id, ""))} for p in self.problems)
        return _table(rows)

    @property
    def base_hash(self) -> str:
        """The hash of the study's base model, which is not loaded for it."""
        from potstill.models.folder import hash_base

        return hash_base(base_path_of(self.study), self.study.student.template)

    def spend(self, by: tuple[str, ...] = ("stage", "model")) -> list[SpendGroup]:
        """Return calls, tokens and dollars by group, from the ledger."""
        with Ledger.open(self.path / "ledger.sqlite", readonly=True) as ledger:
            return list(ledger.spend(by))

    def unanswered(self) -> list[str]:
        """Return what each call without a reply ended in, the latest one last."""
        with Ledger.open(self.path / "ledger.sqlite", readonly=True) as ledger:
            return [f"{kind}: {said}" if said else kind for kind, said in ledger.lost().values()]

    def local_names(self) -> dict[str, str]:
        """Return who the ledger's local models are (base, R1 s0), by their names of hashes there.

        One that has not answered a whole set yet is not among them.
        """
        own = [x for x in self.made.answers if x.role in (Role.BASE, Role.STUDENT)]
        names: dict[str, str] = {}
        with Ledger.open(self.path / "ledger.sqlite", readonly=True) as ledger:
            for cell in own:
                key = next((x.ledger_key for x in cell.responses if x.ledger_key), "")
                if key and (model := ledger.model_of(key)):
                    names.setdefault(model, cell.who)
        return names

    def gates(self, problem_id: str = "") -> list[GateRow]:
        """Return every gate that fired, on the teacher's replies and on the lessons; of one problem
        alone where it is named.
        """
        made = self.made
        problems, lessons = made.problems, made.lessons
        responses, verdicts = made.taught.responses, made.taught.verdicts
        if problem_id:
            problems = [p for p in problems if p.id == problem_id]
            lessons = [x for x in lessons if x.problem_id == problem_id]
            responses = [x for x in responses if x.problem_id == problem_id]
            verdicts = [x for x in verdicts if x.problem_id == problem_id]
        return list(gate_rows(problems, responses, verdicts, lessons, self.study.gates))

    def lessons_by_problem(self) -> dict[str, dict[str, Lesson]]:
        """Return the lessons of each problem, by level: of its first trace, if it has several."""
        found: dict[str, dict[str, Lesson]] = {}
        for lesson in self.made.lessons:
            found.setdefault(lesson.problem_id, {}).setdefault(lesson.level, lesson)
        return found

    def _rows(self) -> Iterator[dict[str, Any]]:
        for cell in self.made.answers:
            asked = {
                "name": cell.name,
                "role": str(cell.role),
                "level": cell.level,
                "seed": cell.seed,
                "set": cell.set,
                "split": str(cell.split),
            }
            for response, verdict in cell.judged():
                yield asked | _row(response, verdict)


def open_study(path: str | Path) -> StudyDirectory:
    """Return what a study has made so far; ``path`` is its directory or its study file.

    Raises StoreError for a folder that is no study directory, and for damage.
    """
    return StudyDirectory.open(path)


def run(
    study: str | Path | Study,
    directory: str | Path | None = None,
    *,
    until: str = "",
    on: str = "",
    progress: Progress = quiet,
) -> StudyDirectory:
    """Run a study, or go on with it, and return what it made: what is finished is not made again.

    ``study`` is a study file or what :func:`~potstill.study.schema.load_study` gives; ``directory``
    is ``runs/NAME`` unless given. ``until`` ends after a stage, ``on`` names a Ray cluster. Raises
    PotstillError in one sentence where something is wrong; what was bought is kept. A script calls
    it beneath ``if __name__ == "__main__":``, for the processes that it starts import the script.
    """
    from multiprocessing.process import current_process

    if getattr(current_process(), "_inheriting", False):  # as multiprocessing itself asks
        raise PotstillError(
            "potstill.run was called by a process that it started, which imports your script: put "
            'the call beneath if __name__ == "__main__": there.'
        )
    loaded = study if isinstance(study, Study) else load_study(Path(study))
    where = default_directory(loaded) if directory is None else Path(directory)
    run_study(loaded, where, progress=progress, until=until, on=on)
    return StudyDirectory.open(where)


def _answered(run: Run, made: Made) -> list[AnswerSet]:
    """Return the held-out answers of base and teacher that are there, before students are
    trained.
    """
    try:
        return evaluate(run, (), (), made.in_split(Split.HELDOUT))
    except Unfinished as exc:
        return list(exc.answers)


def _row(response: Response, verdict: Verdict) -> dict[str, Any]:
    told = {key: value for key, value in _plain(verdict).items() if key != "response_id"}
    return _plain(response) | told


def _plain(record: Any) -> dict[str, Any]:
    """Return a record as what a table holds: enumerations and groups as text."""
    from potstill.report.numbers import values

    return {name: _cell(value) for name, value in values(record).items()}


def _cell(value: Any) -> Any:
    from potstill.report.numbers import written

    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    return json.dumps(written(value), ensure_ascii=False, default=str)


def _table(rows: Iterator[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows))
