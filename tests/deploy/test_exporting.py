"""Every export is loaded by the engine it is for and says what the student said in its study."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from potstill.analysis.students import FoundStudent
from potstill.deploy.export import merging
from potstill.deploy.export.exporting import Export, export_student
from potstill.errors import InputError, StoreError
from potstill.models.torch_base import hash_model_folder
from potstill.pocket import STUDENT_PATH
from support.command_line import one_sentence, run_cli
from support.greedy import generated, prompts


def said_in_study(found: FoundStudent, count: int = 20) -> list[str]:
    return [response.text for _, response in found.answers()[:count]]


def card(out: Path) -> tuple[dict[str, Any], str]:
    _, head, body = (out / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), body


def edited_base(folder: Path, **config: Any) -> Path:
    """A copy of the pocket base with other values in its configuration."""
    shutil.copytree(STUDENT_PATH, folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


def test_merged_loads_in_transformers_and_says_the_same(
    found: FoundStudent, tmp_path: Path
) -> None:
    out = tmp_path / "merged"
    reasked = export_student(found, Export("merged", out, reask=20))
    assert (reasked.engine, reasked.asked, reasked.same) == ("transformers", 20, 20)
    assert reasked.right_now == reasked.right_before
    model = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    chats = prompts(found, found.answers()[:20])
    assert generated(model, tokenizer, chats, 64) == said_in_study(found)
    assert not [p for p in tmp_path.iterdir() if p != out]


def test_peft_loads_in_peft_and_says_the_same(found: FoundStudent, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    reasked = export_student(found, Export("peft", out, reask=20))
    assert (reasked.engine, reasked.same) == ("peft", 20)
    base = AutoModelForCausalLM.from_pretrained(STUDENT_PATH)
    model = PeftModel.from_pretrained(base, str(out))
    chats = prompts(found, found.answers()[:20])
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert generated(model, tokenizer, chats, 64) == said_in_study(found)


def test_the_merged_weights_are_those_of_peft(found: FoundStudent, tmp_path: Path) -> None:
    export_student(found, Export("merged", tmp_path / "m", reask=0))
    base = AutoModelForCausalLM.from_pretrained(STUDENT_PATH)
    expected = PeftModel.from_pretrained(base, str(found.folder)).merge_and_unload().state_dict()
    merged = load_file(tmp_path / "m" / "model.safetensors")
    original = load_file(STUDENT_PATH / "model.safetensors")
    changed = [name for name in merged if not torch.equal(merged[name], original[name])]
    assert len(changed) == 4 * 7
    for name, tensor in merged.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-6)


def test_a_merged_model_takes_the_dtype_that_is_asked(found: FoundStudent, tmp_path: Path) -> None:
    export_student(found, Export("merged", tmp_path / "m", dtype="bfloat16", reask=0))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype="auto")
    assert model.dtype == torch.bfloat16
    full = tmp_path / "full"
    export_student(found, Export("merged", full, reask=0))
    exact = load_file(full / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    rounded = model.model.layers[0].mlp.up_proj.weight
    assert torch.equal(rounded, exact.bfloat16())


def test_the_card_holds_the_reports_figures_and_the_check(
    found: FoundStudent, tmp_path: Path
) -> None:
    reasked = export_student(found, Export("peft", tmp_path / "a", reask=10))
    head, body = card(tmp_path / "a")
    assert head["library_name"] == "peft"
    assert "license" not in head
    row = found.scores[0]
    assert f"| R4 | pocket | 60 | {100 * row['accuracy']:.1f} % |" in body
    assert reasked.sentence in body
    assert "    Think first." in body
    assert "    You solve problems." in body
    assert found.student.base_hash in body


def test_a_folder_with_something_in_it_is_refused(found: FoundStudent, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(StoreError, match="not empty"):
        export_student(found, Export("peft", tmp_path))
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_another_base_is_refused_by_its_hash(found: FoundStudent, tmp_path: Path) -> None:
    other = edited_base(tmp_path / "other", rope_theta=500000.0)
    for form in ("peft", "merged"):
        with pytest.raises(InputError, match="is not the base that R4-s0-"):
            export_student(found, Export(form, tmp_path / "out", base=str(other)))
    assert not (tmp_path / "out").exists()


def test_a_base_of_other_shapes_is_refused_before_loading(
    found: FoundStudent, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(STUDENT_PATH, other)
    weights = load_file(other / "model.safetensors")
    name = "model.layers.3.mlp.up_proj.weight"
    weights[name] = weights[name][:256].contiguous()
    save_file(weights, other / "model.safetensors")
    delta = merging.read_delta(found.folder)
    with pytest.raises(InputError, match=rf"{name} of shape \(512, 192\) .* has \(256, 192\)"):
        merging.check_fits(found.student, delta, other, quantised_study=True)


def test_a_quantised_base_is_never_merged_into(found: FoundStudent, tmp_path: Path) -> None:
    other = edited_base(tmp_path / "q4", quantization={"bits": 4, "group_size": 64})
    with pytest.raises(InputError, match=r"quantised weights.*--base"):
        export_student(found, Export("merged", tmp_path / "out", base=str(other)))


def test_a_student_of_a_quantised_base_is_merged_into_its_full_precision_original(
    found: FoundStudent, tmp_path: Path
) -> None:
    """Its study's base is quantised, so no hash says that the original is the right one."""
    own = edited_base(tmp_path / "q4", quantization={"bits": 4, "group_size": 64})
    settings = found.study.student.model_copy(update={"base": str(own)})
    study = found.study.model_copy(update={"student": settings})
    student = replace(found.student, base_hash=hash_model_folder(own))
    quantised = replace(found, study=study, student=student)
    with pytest.raises(InputError, match=r"quantised weights.*--base"):
        export_student(quantised, Export("merged", tmp_path / "out", reask=0))
    original = Export("merged", tmp_path / "out", base=str(STUDENT_PATH), reask=10)
    assert export_student(quantised, original).asked == 10
    assert "quantization" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_a_disk_too_small_is_noticed_before_writing(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(StoreError, match="free some"):
        merging.check_room(tmp_path / "not" / "there", free * 2)
    merging.check_room(tmp_path / "not" / "there", 1)
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_left_as_it_was(found: FoundStudent, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(size, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted as root on Linux")
    try:
        with pytest.raises(StoreError, match=r"needs 0\.01 GB and the disk of .* has 0\.00 GB"):
            export_student(found, Export("merged", disk / "out", reask=0))
        assert not any(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_command_writes_says_and_refuses(
    study_directory: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("export", study_directory, "--to", "peft", "--out", tmp_path / "a")
    command += ("--reask", "5", "--student", "R4-s0")
    code, out, err = run_cli(capsys, monkeypatch, *command)
    assert code == 0, err
    assert out.startswith(f"{tmp_path / 'a'}\nAsked again after the export through peft: ")
    code, _, err = run_cli(capsys, monkeypatch, *command)
    assert code == 2
    assert "not empty" in one_sentence(err)


def test_the_computed_size_is_the_size_written(found: FoundStudent, tmp_path: Path) -> None:
    for dtype in ("", "bfloat16"):
        out = tmp_path / (dtype or "own")
        export_student(found, Export("merged", out, dtype=dtype, reask=0))
        written = (out / "model.safetensors").stat().st_size
        computed = merging.merged_files(STUDENT_PATH, dtype)[1]
        assert computed <= written <= computed + 20_000  # a header beside the weights


@pytest.mark.parametrize(
    ("export", "says"),
    [
        (Export("onnx", Path("x")), "no form 'onnx'; there are: peft"),
        (Export("merged", Path("x"), dtype="int3"), "no dtype 'int3'"),
        (Export("gguf", Path("x"), quantise="q2"), "no quantisation 'q2'; there are: f16, q8_0"),
        (Export("merged", Path("x"), base="/no/such/model"), "/no/such/model"),
    ],
)
def test_what_cannot_be_is_said(found: FoundStudent, export: Export, says: str) -> None:
    with pytest.raises(InputError, match=says):
        export_student(found, export)


def test_a_missing_package_names_the_install_command(
    found: FoundStudent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"pip install 'potstill\[gguf\]'"):
        export_student(found, Export("gguf", tmp_path / "g"))
    assert not any(tmp_path.iterdir())


def test_an_engine_that_is_missing_is_said_in_the_card(
    found: FoundStudent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf", reason="the gguf package is not installed")
    monkeypatch.setitem(sys.modules, "llama_cpp", None)  # as if it were not installed
    reasked = export_student(found, Export("gguf", tmp_path / "g", reask=10))
    assert reasked.asked == 0
    assert "pip install 'potstill[llama]'" in reasked.why_not
    assert reasked.why_not in card(tmp_path / "g")[1]
