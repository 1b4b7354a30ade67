"""A study whose base is a GGUF file, from the study file to the exported card."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from potstill.analysis.students import find_student
from potstill.analysis.verify import verify_study
from potstill.cli.doctor import _needed
from potstill.deploy.export.exporting import Export, export_student
from potstill.deploy.export.gguf_file import write_gguf
from potstill.deploy.export.merging import Delta
from potstill.models.folder import find_model_folder
from potstill.pipeline.directory import open_study
from potstill.pipeline.run import run_study
from potstill.pocket import STUDENT_PATH
from potstill.progress import quiet
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.small_study import keys_in, write_small_study

pytest.importorskip("gguf", reason="the gguf package is not installed")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from huggingface_hub import constants

    place = tmp_path_factory.mktemp("hf") / "assets"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_ASSETS_CACHE", str(place))
        yield place


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Path, Path, Path]:
    """A finished study, its file, and its base, the pocket student in 8 bits."""
    folder = tmp_path_factory.mktemp("study")
    base = folder / "models" / "tiny.Q8_0.gguf"
    base.parent.mkdir()
    write_gguf(STUDENT_PATH, Delta(1.0, {}, {}), base, "tiny", "q8_0")
    path = write_small_study(folder, levels=["R6"], student={"base": "models/tiny.Q8_0.gguf"})
    run_study(load_study(path), folder / "out", progress=quiet)
    return folder / "out", path, base


def test_the_base_starts_at_the_study_file(study: tuple[Path, Path, Path]) -> None:
    _, path, base = study
    assert load_study(path).student.base == str(base.resolve())


def test_lock_report_and_card_tell_of_it(study: tuple[Path, Path, Path], tmp_path: Path) -> None:
    directory, _, base = study
    sha256 = hashlib.sha256(base.read_bytes()).hexdigest()
    lock = json.loads((directory / "study.lock.json").read_text())
    assert lock["decides"]["student"]["base"] == "tiny.Q8_0.gguf"
    assert lock["decides"]["student"]["base_hash"] == sha256
    assert lock["base_file"] == {
        "file": "tiny.Q8_0.gguf",
        "sha256": sha256,
        "stored_as": "Q8_0",
        "quantised": True,
    }
    report = json.loads((directory / "report" / "report.json").read_text())
    told = f"the GGUF file tiny.Q8_0.gguf (sha256 {sha256[:12]}), which holds its matrices as Q8_0"
    assert told in report["notes"][0]
    assert report["base"] == "tiny.Q8_0.gguf"
    page = (directory / "report" / "index.html").read_text()
    assert "tiny.Q8_0.gguf" in page
    assert str(base.parent) not in page
    export_student(find_student(directory), Export("merged", tmp_path / "m", reask=3))
    card = (tmp_path / "m" / "README.md").read_text()
    assert "holds its matrices as Q8" in card
    assert sha256 in card
    assert not (tmp_path / "m" / "converted_from").exists()


def test_it_is_up_to_date_sound_and_converted_once(
    study: tuple[Path, Path, Path], cache: Path
) -> None:
    directory, path, base = study
    weights = find_model_folder(base) / "model.safetensors"
    before = weights.stat().st_ino
    opened = open_study(directory)
    assert opened.unfinished == ""
    assert opened.base_hash == hashlib.sha256(base.read_bytes()).hexdigest()
    run_study(load_study(path), directory, progress=quiet)
    assert verify_study(directory).damaged == []
    assert weights.stat().st_ino == before
    kept = [x.name for x in cache.glob("potstill/gguf/*") if x.is_dir()]
    assert sorted(kept) == sorted({weights.parent.name, f"{weights.parent.name}.described"})


def test_doctor_says_what_it_is(study: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, path, _ = study
    rows = {name: (good, says) for name, good, says in _needed(load_study(path)) if name}
    assert rows["base"][0] is True
    assert rows["base"][1].endswith("read from GGUF when first needed")
    lost = write_small_study(tmp_path, student={"base": "lost.gguf"})
    told = _needed(load_study(lost))
    assert [says for name, good, says in told if good is False and not name] == [
        f"There is no file {tmp_path / 'lost.gguf'}; give the path of a GGUF file that is there."
    ]


def test_verify_goes_on_where_the_file_is_not_here(
    study: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    directory, _, base = study
    away = tmp_path / "away.gguf"
    shutil.move(base, away)
    try:
        found = verify_study(directory)
    finally:
        shutil.move(away, base)
    assert found.damaged == []
    assert any("is not here; it was not looked at" in note for note in found.notes)


@pytest.mark.parametrize("command", [("run",), ("run", "--dry-run"), ("train", "--dry-run")])
def test_a_cut_file_buys_nothing(
    command: tuple[str, ...],
    study: tuple[Path, Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, _, base = study
    (tmp_path / "cut.gguf").write_bytes(base.read_bytes()[:-1000])
    path = write_small_study(tmp_path, student={"base": "cut.gguf"})
    monkeypatch.chdir(tmp_path)
    code, _, err = run_cli(capsys, monkeypatch, command[0], path, *command[1:])
    assert code == 2
    assert "cut.gguf is cut (it has" in one_sentence(err)
    for directory in tmp_path.glob("runs/*"):
        assert keys_in(directory) == set()
