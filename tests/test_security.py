"""What a stranger's study directory, adapter, model or endpoint cannot do."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from potstill.analysis.verify import verify_study
from potstill.errors import InputError, StoreError
from potstill.grading.plugins import runs_code
from potstill.ledger.ledger import Ledger
from potstill.models.adapter_config import read_adapter_config
from potstill.pocket import STUDENT_PATH
from potstill.records import NumberGold, Problem, TestsGold, TextGold
from potstill.store.cells import Cell, Store
from potstill.store.fingerprint import fingerprint
from potstill.store.untrusted import read_bytes
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from support.command_line import one_sentence, run_cli
from support.small_study import write_small_study

SRC = Path(__file__).resolve().parent.parent / "src" / "potstill"
CELL = Cell("problems", "a" * 20)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A study directory as a stranger may send it: a study, a ledger, an empty cell."""
    folder = tmp_path / "theirs"
    store = Store(folder)
    (folder / "study.json").write_text(json.dumps(load_study(DEMO_STUDY).model_dump(mode="json")))
    Ledger.open(folder / "ledger.sqlite").close()
    place = store.folder(CELL)
    place.mkdir(parents=True)
    _manifest(place)
    return folder


def _manifest(place: Path, **changes: Any) -> None:
    plain = {"stage": CELL.stage, "key": CELL.key, "files": {}, "rows": {}, "summary": {}}
    whole = {"format_version": 1, "versions": {}} | plain | changes
    (place / "manifest.json").write_text(json.dumps(whole))


# --- links, names and pipes that lead out of a study directory ---------------------------------

ENTRIES = ("report", "exports", "study.json", "ledger.sqlite", "cells/problems/x", "rulings.jsonl")
COMMANDS = ("status", "inspect", "ask", "export", "corpus", "review", "run", "ledger --import")


def _words(command: str, directory: Path) -> list[object]:
    match command:
        case "ask":
            return ["ask", directory, "What is 2?"]
        case "export":
            return ["export", directory, "--student", "R1", "--to", "peft"]
        case "corpus":
            return ["corpus", directory, "--to", "messages", "--out", directory / "corpus"]
        case "run":
            return ["run", DEMO_STUDY, "--out", directory]
        case "ledger --import":
            return ["ledger", directory, "--import", directory / "ledger.sqlite"]
    return [command, directory]


@pytest.mark.parametrize(
    ("command", "name"),
    [*((command, "cells") for command in COMMANDS), *(("status", name) for name in ENTRIES)],
)
def test_a_link_out_of_the_directory_is_refused_by_every_command(
    command: str,
    name: str,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outside = directory.parent / "outside"
    shutil.copytree(directory, outside)
    (outside / "report").mkdir()
    place = directory / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    inside = outside / name
    place.symlink_to(inside if inside.exists() else outside / "cells")
    before = _all_bytes(outside)
    code, _, err = run_cli(capsys, monkeypatch, *_words(command, directory))
    assert code == 2
    assert "is a link that leads out of" in one_sentence(err)
    assert _all_bytes(outside) == before


def _all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_link_within_the_directory_and_to_it_may_be(directory: Path, tmp_path: Path) -> None:
    (directory / "cells" / "problems" / "same").symlink_to(directory / "cells" / "problems")
    (tmp_path / "linked").symlink_to(directory)
    Store(tmp_path / "linked")


def test_a_link_to_itself_and_a_pipe_are_refused_and_not_waited_for(directory: Path) -> None:
    pipe = directory / "cells" / "problems" / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StoreError, match="neither a file nor a folder"):
        Store(directory)
    pipe.unlink()
    (directory / "report").symlink_to(directory / "report")
    with pytest.raises(StoreError, match="leads out"):
        Store(directory)
    with pytest.raises(InputError, match="no file"):
        read_bytes(Path("/dev/zero"), 10)


def test_the_writers_lock_empties_no_other_file(directory: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("kept")
    (directory / "ledger.lock").unlink(missing_ok=True)
    (directory / "ledger.lock").symlink_to(precious)
    with pytest.raises(StoreError, match=r"ledger\.lock"):
        Ledger.open(directory / "ledger.sqlite")
    assert precious.read_text() == "kept"


@pytest.mark.parametrize(
    "name", ["../../../../precious.txt", "/etc/passwd", "a/../../b", "", "a\x00b"]
)
def test_a_manifest_names_no_file_outside_its_cell(directory: Path, name: str) -> None:
    store = Store(directory)
    _manifest(store.folder(CELL), files={name: "0" * 64})
    folder = store.folder(CELL)
    with pytest.raises(StoreError, match=f"not a manifest.* delete the folder {folder}/ and run"):
        store.verify(CELL)
    damaged = verify_study(directory).damaged
    assert any("manifest.json names a file outside its folder" in text for text in damaged)


@pytest.mark.parametrize("change", [{"key": "../../../../tmp"}, {"stage": "../student"}])
def test_a_manifest_makes_no_other_cell_of_itself(directory: Path, change: dict[str, str]) -> None:
    store = Store(directory)
    _manifest(store.folder(CELL), **change)
    with pytest.raises(StoreError, match="another cell"):
        store.cells()


def test_a_student_is_not_named_like_a_path(tmp_path: Path) -> None:
    from potstill.records import Student
    from potstill.training.student_folder import read_student

    named = Student("../../x", "b", "h", "R1", 0, "r", "d", "a", "h", 1, "", 0.5, 1, 1)
    (tmp_path / "student.json").write_text(
        json.dumps({"format_version": 1, "student": asdict(named), "history": []})
    )
    with pytest.raises(InputError, match="a name that is none"):
        read_student(tmp_path)


def test_a_study_does_not_have_a_whole_disk_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potstill.store.fingerprint._MOST_FILES", 20)
    for number in range(21):
        (tmp_path / str(number)).touch()
    with pytest.raises(InputError, match="more than 20 files"):
        fingerprint({"path": str(tmp_path)})
    (tmp_path / "0").unlink()
    assert fingerprint({"path": str(tmp_path)})["path"].startswith("sha256:")


# --- nothing that is data is run ----------------------------------------------------------------


class Payload:
    """A pickle that leaves a mark where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """A file that is there only if something was run."""
    path = tmp_path / "run"
    yield path
    assert not path.exists(), "a stranger's code was run"


def _adapter(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(plain | changes))
    return folder


def test_pickled_weights_are_not_loaded(tmp_path: Path, mark: Path) -> None:
    from potstill.deploy.export.merging import read_delta
    from potstill.models.adapters import mounted
    from potstill.models.torch_base import load_base

    adapter = _adapter(tmp_path / "adapter")
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Payload(mark)))
    base = load_base(STUDENT_PATH, device="cpu")
    with pytest.raises(InputError, match="safetensors"), mounted(base, adapter):
        pass
    with pytest.raises(InputError, match="no readable adapter"):
        read_delta(adapter)
    (adapter / "adapter_model.safetensors").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(InputError, match="does not fit"), mounted(base, adapter):
        pass
    model = shutil.copytree(STUDENT_PATH, tmp_path / "model")
    for weights in model.glob("*.safetensors"):
        weights.unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(InputError, match="pickled ones are not loaded"):
        load_base(model, device="cpu")
    index = {"weight_map": {"model.embed_tokens.weight": "pytorch_model.bin"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    (model / "other.safetensors").touch()
    with pytest.raises(InputError, match="only from safetensors"):
        load_base(model, device="cpu")


EVIL = {
    "a module to import": {"megatron_config": {"a": 1}, "megatron_core": "evil_module.core"},
    "another method": {
        "peft_type": "PROMPT_TUNING",
        "tokenizer_kwargs": {"trust_remote_code": True},
    },
    "a regular expression": {"target_modules": "(a+)+$"},
    "one in a list": {"target_modules": ["(a+)+$"]},
    "whole modules": {"modules_to_save": ["lm_head"]},
    "another start": {"init_lora_weights": "pissa"},
    "layers put twice": {"layer_replication": [[0, 4], [2, 5]]},
    "ranks by name": {"rank_pattern": {"^model.*": 64}},
    "a key of tomorrow": {"run_this": "evil_module"},
    "a huge rank": {"r": 2**40},
    "no scale": {"lora_alpha": float("nan")},
}


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_an_adapter_may_be_plain_lora_alone(
    evil: dict[str, Any], tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "evil_module"
    module.mkdir()
    (module / "__init__.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="plain LoRA"):
        read_adapter_config(_adapter(tmp_path / "adapter", **evil))


def test_an_adapter_with_weights_missing_or_foreign_is_not_mounted(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    from potstill.models.adapters import mounted
    from potstill.models.torch_base import load_base

    base = load_base(STUDENT_PATH, device="cpu")
    adapter = _adapter(tmp_path / "adapter", target_modules=["q_proj", "v_proj"])
    save_file({"elsewhere": np.zeros(2, np.float32)}, str(adapter / "adapter_model.safetensors"))
    with pytest.raises(InputError, match="missing or foreign"), mounted(base, adapter):
        pass


@pytest.mark.parametrize("backend", ["torch", "mlx"])
def test_code_in_a_models_folder_is_not_run(
    backend: str, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from potstill.models.mlx_base import load_mlx_base
    from potstill.models.torch_base import load_base, load_tokenizer

    def asked(*_: object) -> str:
        raise AssertionError("a person was asked whether to run a stranger's code")

    monkeypatch.setattr("builtins.input", asked)
    model = shutil.copytree(STUDENT_PATH, tmp_path / "model")
    (model / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    config = json.loads((model / "config.json").read_text())
    own = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    changes = {"auto_map": own, "model_type": "evil", "model_file": "evil.py"}
    (model / "config.json").write_text(json.dumps(config | changes))
    load = load_base if backend == "torch" else load_mlx_base
    if backend == "mlx":
        pytest.importorskip("mlx_lm")
    with pytest.raises(InputError):
        load(model)
    (model / "config.json").write_text(json.dumps(config | {"model_file": "evil.py"}))
    if backend == "mlx":
        with pytest.raises(InputError, match="cannot load"):
            load(model)
    path = model / "tokenizer_config.json"
    told = json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}
    path.write_text(json.dumps(told | {"tokenizer_class": "EvilTokenizer"}))
    with contextlib.suppress(InputError):  # where there is a plain tokenizer, that is taken
        load_tokenizer(model)


def test_only_grading_code_runs_code_and_looking_at_a_study_does_not_grade_it() -> None:
    plain = Problem("p", "", TextGold("2"), "integer", "s")
    assert runs_code(replace(plain, gold=TestsGold("import os")))
    assert runs_code(replace(plain, kind="code"))
    assert not runs_code(plain)
    assert not runs_code(replace(plain, gold=NumberGold(2.0, 0.0)))


FORBIDDEN_CALLS = {"eval", "exec", "__import__", "system", "popen"}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}


def test_the_source_calls_nothing_that_runs_data() -> None:
    found = []
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            found += [f"{path.name}:{getattr(node, 'lineno', 0)} {what}" for what in _unsafe(node)]
    assert found == []


def _unsafe(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names]
        yield from (name for name in names if name.partition(".")[0] in FORBIDDEN_MODULES)
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func)
    if name in FORBIDDEN_CALLS or name in {"os.system", "os.popen", "torch.load", "np.load"}:
        yield name
    told = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if told.get("trust_remote_code") == "True" or told.get("shell") == "True":
        yield f"{name}(...True)"
    if name in ("yaml.load", "yaml.load_all") and told.get("Loader") != "_OnceLoader":
        yield f"{name} of unsafe YAML"
    loads = name.startswith("Auto") and name.endswith("from_pretrained")
    if loads and told.get("trust_remote_code") != "False":
        yield f"{name} without trust_remote_code=False"


# --- modules that lie in the current folder ----------------------------------------------------


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path) -> None:
    """Neither here nor in what is started from here: graders, training processes, probes."""
    study = write_small_study(tmp_path)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name in ("json", "multiprocessing", "numpy", "potstill", "ray", "sympy", "torch"):
        (theirs / f"{name}.py").write_text(f"open({str(tmp_path / name)!r}, 'w').close()")
    potstill = Path(sys.executable).with_name("potstill")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    env["PYTHON_CPU_COUNT"] = "2"  # two students train in two processes
    for words in (["doctor"], ["run", study, "--out", tmp_path / "out"]):
        done = subprocess.run([potstill, *words], cwd=theirs, env=env, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report" / "index.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "study.yaml", "theirs"]
