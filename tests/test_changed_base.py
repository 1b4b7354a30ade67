"""A base that is no longer the one a study was made with: it is said, and nothing is mixed up."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.analysis.students import find_student
from potstill.deploy.engines import load_model
from potstill.errors import InputError
from potstill.models.folder import hash_base
from potstill.pipeline.directory import open_study
from potstill.pipeline.run import run_study
from potstill.pocket import STUDENT_PATH
from potstill.progress import quiet
from potstill.study.schema import load_study
from support.small_study import write_small_study


class _Notes:
    """A progress that keeps what it is told in its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int | None, unit: str = "items") -> Any:
        return quiet.stage(name, total, unit)

    def up_to_date(self, name: str, note: str) -> None:
        return None

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A finished study, its file, and the hash of its base before the base was changed."""
    folder = tmp_path_factory.mktemp("changed")
    base = folder / "base"
    shutil.copytree(STUDENT_PATH, base)
    path = write_small_study(folder, levels=["R6"], student={"base": str(base)})
    run_study(load_study(path), folder / "out")
    then = hash_base(base)
    config = base / "config.json"
    config.write_text(config.read_text() + "\n")
    return folder / "out", path, then


def test_reading_the_study_says_that_its_base_has_changed(
    changed: tuple[Path, Path, str],
) -> None:
    directory, _, then = changed
    now = hash_base(directory.parent / "base")
    assert now != then
    there = open_study(directory)
    assert "train" not in there.finished
    assert "is not finished. The base " in there.unfinished
    assert f"(hash {then[:12]} then, {now[:12]} now)" in there.unfinished
    assert "potstill run makes lessons and students anew" in there.unfinished


def test_a_student_of_the_old_base_is_not_asked_on_the_new_one(
    changed: tuple[Path, Path, str],
) -> None:
    directory, _, then = changed
    found = find_student(directory)
    with pytest.raises(InputError, match=rf"is not the base that R6-s0-.*hash {then[:12]}"):
        load_model(found)


def test_running_it_again_says_so_and_trains_anew(changed: tuple[Path, Path, str]) -> None:
    directory, path, then = changed
    progress = _Notes()
    run_study(load_study(path), directory, progress=progress)
    assert [note for note in progress.notes if f"hash {then[:12]} then" in note]
    assert find_student(directory).student.base_hash == hash_base(directory.parent / "base")
    assert open_study(directory).unfinished == ""


def test_the_shipped_base_is_called_by_its_name(changed: tuple[Path, Path, str]) -> None:
    found = find_student(changed[0])
    old = replace(found, student=replace(found.student, base_hash="0" * 64))
    with pytest.raises(InputError) as refused:
        load_model(old, str(STUDENT_PATH))
    assert str(refused.value) == (
        f"The pocket base of this Potstill is not the one that {found.student.id} was trained on "
        "(hash 000000000000): train it anew with potstill run, or give the old base with --base."
    )
