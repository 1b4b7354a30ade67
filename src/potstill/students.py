"""The grid: one student for every level and seed, each a cell of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cells import NotFresh, Run
from potstill.records import Lesson, Level, Problem, Split, Student, content_hash
from potstill.solvers import render_messages
from potstill.stages import VERSION, student_condition
from potstill.store import Cell
from potstill.training.examples import Example

if TYPE_CHECKING:
    from potstill.training.grid import Job
    from potstill.training.loop import HistoryPoint

__all__ = ["StudentCell", "train_students"]

Sides = Mapping[Split, Sequence[Problem]]


@dataclass(frozen=True, slots=True)
class StudentCell:
    """A trained student, where it is, and how its losses went."""

    student: Student
    folder: Path
    history: tuple[HistoryPoint, ...]


def train_students(
    run: Run, chosen: Mapping[str, Sequence[Lesson]], by_split: Sides
) -> list[StudentCell]:
    """One student for every level and seed, those trained now that were not there."""
    from potstill.training.student_folder import read_history, read_student

    study = run.study
    grid = [
        _plan(run, level, seed, chosen[level], by_split)
        for level in study.levels
        for seed in study.seeds
    ]
    missing = [(cell, job) for cell, job in grid if not run.store.exists(cell)]
    if missing and run.peek:
        raise NotFresh(f"{len(missing)} of {len(grid)} students are not trained yet.")
    if len(missing) < len(grid):
        run.progress.fresh("train", f"{len(grid) - len(missing)} of {len(grid)} students")
    if missing:
        _train(run, missing)
    folders = [run.store.folder(cell) for cell, _ in grid]
    return [StudentCell(read_student(f), f, read_history(f)) for f in folders]


def _plan(
    run: Run, level: Level, seed: int, lessons: Sequence[Lesson], by_split: Sides
) -> tuple[Cell, Job]:
    from potstill.training.grid import Job
    from potstill.training.loop import Cell as GridCell

    recipe = run.study.training
    train_set, valid_set = (
        tuple(_examples(run, lessons, by_split[split])) for split in (Split.TRAIN, Split.VALID)
    )
    data_hash = content_hash([train_set, valid_set])
    cell = Cell.of(
        "student",
        data=data_hash,
        recipe=recipe.recipe_hash,
        base=run.base_hash,
        variant=level.value,
        seed=seed,
        version=VERSION["student"],
    )
    where = run.store.folder(cell)
    return cell, Job(GridCell(level.value, seed), train_set, valid_set, recipe, where, data_hash)


def _examples(
    run: Run, lessons: Sequence[Lesson], problems: Iterable[Problem]
) -> Iterable[Example]:
    prompt = student_condition(run.study, "")
    text_of = {lesson.problem_id: lesson.text for lesson in lessons}
    for problem in problems:
        if problem.id in text_of:
            yield Example(problem.id, render_messages(problem, prompt), text_of[problem.id])


def _train(run: Run, missing: Sequence[tuple[Cell, Job]]) -> None:
    """Train the missing cells, each kept as soon as it is done."""
    from potstill.training.grid import train_cells

    cell_of = {job.out: cell for cell, job in missing}
    steps = sum(job.recipe.iterations for _, job in missing)
    name = f"train · {len(missing)} students"
    with run.progress.stage(name, steps, "steps") as bar:
        jobs = [job for _, job in missing]
        for job, trained in train_cells(
            run.base(), jobs, on_step=lambda report: bar.advance() if report.point.step else None
        ):
            summary = {
                "chosen step": trained.student.chosen_step,
                "too long": len(trained.too_long),
            }
            run.store.adopt(cell_of[job.out], summary=summary)
            if trained.too_long:
                run.progress.note(
                    f"{job.cell}: {len(trained.too_long)} examples longer than "
                    f"{job.recipe.max_sequence_tokens} tokens were set aside"
                )
