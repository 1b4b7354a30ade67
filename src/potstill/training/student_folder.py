"""A student's folder: adapter in PEFT's layout, tokenizer, and ``student.json`` last.

The folder is written beside its place under another name and renamed into it, so it is there whole
or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import InputError, StoreError
from potstill.records import Student
from potstill.store.atomic import whole_folder
from potstill.store.typed import make
from potstill.store.untrusted import is_plain_name, read_json
from potstill.training.recipe import Recipe

if TYPE_CHECKING:
    from potstill.models.model import LanguageModel
    from potstill.training.records import HistoryPoint, TrainedCell

__all__ = [
    "FORMAT_VERSION",
    "STUDENT_FILE",
    "read_history",
    "read_student",
    "read_trained",
    "write_student",
]

FORMAT_VERSION = 1
STUDENT_FILE = "student.json"


def write_student(
    result: TrainedCell,
    recipe: Recipe,
    base: LanguageModel,
    out: Path,
    save_adapter: Callable[[Path], None],
) -> TrainedCell:
    """Return the result with its adapter's hash, after ``out`` has been written (and replaced if
    there).

    ``student.json`` holds format_version, student, recipe, versions, history (one object per step)
    and the counts. Raises StoreError where the disk does not take it.
    """
    from potstill.models.adapters import hash_adapter

    try:
        with whole_folder(out) as partial:
            save_adapter(partial)
            base.tokenizer.save_pretrained(str(partial))
            student = dataclasses.replace(result.student, adapter_hash=hash_adapter(partial))
            result = dataclasses.replace(result, student=student)
            text = json.dumps(_plain(result, recipe), indent=1, ensure_ascii=False, allow_nan=False)
            (partial / STUDENT_FILE).write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise StoreError(
            f"The student could not be written to {out} ({exc.strerror or exc}); free some space "
            "or make the folder writable, and run again."
        ) from exc
    return result


def read_student(folder: Path) -> Student:
    """Return the Student that a folder holds.

    Raises InputError where there is none, or one of a newer format.
    """
    student: Student = _read(folder, lambda content: make(Student, content["student"]))
    if not is_plain_name(student.id):  # folders are named after it
        raise InputError(
            f"{folder / STUDENT_FILE} gives the student a name that is none ({student.id!r}); "
            "train it again."
        )
    return student


def read_history(folder: Path) -> tuple[HistoryPoint, ...]:
    """Return how the losses of a folder's student went, a point per step.

    Raises as read_student does.
    """
    from potstill.training.records import HistoryPoint

    history: tuple[HistoryPoint, ...] = _read(
        folder, lambda content: tuple(make(HistoryPoint, point) for point in content["history"])
    )
    return history


def read_trained(folder: Path) -> TrainedCell:
    """Return all that a folder says of how its student was trained. Raises as read_student does."""
    from potstill.training.records import TrainedCell

    names = {field.name for field in dataclasses.fields(TrainedCell)} - {"history"}
    trained: TrainedCell = _read(
        folder, lambda content: make(TrainedCell, {k: content[k] for k in names} | {"history": ()})
    )
    return dataclasses.replace(trained, history=read_history(folder))


def _read(folder: Path, take: Callable[[Any], Any]) -> Any:
    path = folder / STUDENT_FILE
    try:
        content = read_json(path)
        if content["format_version"] > FORMAT_VERSION:
            raise InputError(f"{path} was written by a newer Potstill; upgrade to read it.")
        return take(content)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise InputError(f"{path} is no student record ({exc}); train the student again.") from exc


def _plain(result: TrainedCell, recipe: Recipe) -> dict[str, Any]:
    counts = dataclasses.asdict(result)
    student, history = counts.pop("student"), counts.pop("history")
    return {
        "format_version": FORMAT_VERSION,
        "student": student,
        "recipe": recipe.model_dump(mode="json"),
        "versions": _versions(),
        **counts,
        "history": history,
    }


def _versions() -> dict[str, str]:
    packages = ("torch", "transformers", "peft", "safetensors", "tokenizers")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
