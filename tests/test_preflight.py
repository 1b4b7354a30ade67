"""What cannot work is refused before anyone is asked: by a run and by a dry run alike."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from potstill.errors import StudyError
from potstill.ledger.ledger import Ledger
from potstill.pipeline.run import run_study
from potstill.pocket import STUDENT_PATH
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from support.command_line import one_sentence, run_cli
from support.outside_agents import Counting, agents, write_study
from support.small_study import write_small_study

TABLE = "question,answer,short,long\nWhat is 2+3?,5,The answer is 5.,2+3=5. The answer is 5.\n"


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[Counting, str]]:
    with agents(4, 0.0) as serving:
        yield serving


def _recorded(folder: Path, **changes: Any) -> dict[str, Any]:
    (folder / "own.csv").write_text(TABLE)
    file = {"path": "own.csv", "levels": {"R1": "long", "R6": "short"}, "question": "question"}
    return {"condenser": None, "levels": ["R1", "R6"], "recorded": {"files": [file | changes]}}


DEMO_TEACHER = yaml.safe_load(DEMO_STUDY.read_text())["teacher"]
WRONG = {
    "no field": ({"evaluation": {"prompt": "Solve this."}}, "evaluation.prompt holds no {problem}"),
    "another field": (
        {"evaluation": {"prompt": "Solve {question}"}},
        "(it has {question})",
    ),
    "no prompt in a level's": (
        {"evaluation": {"level_prompt": "At {level}"}, "mix": ["R1"]},
        "evaluation.level_prompt holds no {prompt}",
    ),
    "levels asked alike": (
        {"evaluation": {"level_prompt": "{prompt} Be brief."}, "mix": ["R1"]},
        "evaluation.level_prompt holds neither {level} nor {words}",
    ),
    "share that given does not read": (
        {"split": {"by": "given", "heldout_share": 0.5}},
        "split.heldout_share decides nothing with by: given; take it out, or set by: share.",
    ),
    "years that share does not read": (
        {"split": {"by": "share", "heldout": ["2020"]}},
        "split.heldout decides nothing with by: share; take it out, or set by: group.",
    ),
    "a limit past a cut that is kept": (
        {"teacher": DEMO_TEACHER | {"cut_max_tokens": 20_000}},
        "teacher.cut_max_tokens decides nothing with when_cut: keep",
    ),
    "published of nobody": (
        {"published": [{"table": "T", "label": "L", "correct": 1, "n": 5, "who": "R9"}]},
        "published[0].who: nobody is called 'R9'",
    ),
    "auto without a diagnosis": (
        {"training": {"iterations": "auto"}},
        "diagnosis.json; make it with potstill train STUDY --diagnose",
    ),
    "a group in the prompt": (
        {"evaluation": {"prompt": "{problem} {family}"}},
        "evaluation.prompt: {family} would be sent as it stands",
    ),
    "rank": ({"training": {"rank": 100_000}}, "training.rank: 100,000 is more than the width"),
    "far beyond the context": (
        {"evaluation": {"max_tokens": 999_999_999}},
        "evaluation.max_tokens: 999,999,999 is far beyond the context",
    ),
    "sequence": ({"training": {"max_sequence_tokens": 3}}, "training.max_sequence_tokens: 3"),
    "answers": ({"evaluation": {"max_tokens": 2}}, "evaluation.max_tokens: 2"),
    "rate": ({"training": {"learning_rate": 10.0}}, "training.learning_rate: 10"),
    "validation": (
        {"training": {"iterations": 20, "validate_every": 50}},
        "training.validate_every: 50 is beyond the 20 iterations",
    ),
    "compared with itself": ({"primary": ["R1", "R1"]}, "primary: R1 is not compared with R1"),
    "another length": (
        {"controls": ["truncate"], "primary": ["R2", "truncate-R3"]},
        "primary: R2 is not compared with truncate-R3",
    ),
    "no price": ({"budget_usd": 5}, "no price is known"),
    "tracker": ({"training_log": ["wandb"]}, "pip install wandb"),
    "projections": ({"training": {"target_modules": ["qkv_proj"]}}, "qkv_proj"),
    "layers": ({"training": {"layers": 9}}, "layers"),
    "device": ({"student": {"base": "pocket", "device": "cuda"}}, "cuda"),
    "quantised": ({"student": {"base": "pocket", "precision": "nf4"}}, "nf4"),
    "prompts too long": ({"training": {"max_sequence_tokens": 16}}, "max_sequence_tokens"),
    "base": ({"student": {"base": "/nowhere/model"}}, "/nowhere/model"),
    "near base": ({"student": {"base": "./nowhere"}}, "nowhere"),
}
# what only the problems or the base tell is found when the directory has been begun
BEGUN = (
    "a group in the prompt",
    "rank",
    "far beyond the context",
    "projections",
    "layers",
    "device",
    "quantised",
    "prompts too long",
    "base",
    "near base",
)


def _refused(
    path: Path,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    begun: bool = False,
) -> None:
    """See a run and a dry run refuse a study in one sentence, with no answer written."""
    out = path.parent / "out"
    for more in ((), ("--dry-run",)):
        code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", out, *more)
        assert code == 2
        assert says in one_sentence(err)
        assert begun or not out.exists()
        assert not list(out.rglob("*/answers/*/*"))


@pytest.mark.parametrize("case", WRONG)
def test_what_the_file_says_wrong_is_refused_before_the_teacher_is_asked(
    case: str,
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if case in ("device", "quantised") and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    changes, says = WRONG[case]
    counting, url = shop
    path = write_study(tmp_path, url, 4, **changes)
    _refused(path, says, capsys, monkeypatch, begun=case in BEGUN)
    assert not counting.sold


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"levels": {"R1": "longer", "R6": "short"}}, "no column 'longer'; did you mean 'long'?"),
        ({"levels": {"R1": "long"}}, "levels: no recorded file holds R6"),
        ({"question": "text"}, "no column 'text'"),
        ({"path": "none.csv"}, "none.csv does not exist"),
    ],
)
def test_a_recorded_level_that_is_not_there_is_refused(
    changes: dict[str, Any],
    says: str,
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting, url = shop
    path = write_study(tmp_path, url, 4, **_recorded(tmp_path, **changes))
    raw = yaml.safe_load(path.read_text())
    del raw["condenser"]
    path.write_text(yaml.safe_dump(raw))
    _refused(path, says, capsys, monkeypatch)
    assert not counting.sold


def _replaying(**changes: Any) -> dict[str, Any]:
    file = {"path": "own.csv", "text": "answer", "model": "m"}
    return {"solver": "replay", "model": "m", "files": [file | changes]}


AGENTS = {
    "no recording": (_replaying(path="none.csv"), "none.csv does not exist"),
    "no column": (_replaying(text="anser"), "has no column 'anser'; did you mean 'answer'?"),
    "another model": (_replaying(model="n"), "its files hold no reply of 'm'; there are: n"),
    "no model": ({"solver": "torch", "model": "/nowhere/model"}, "/nowhere/model"),
    "half a model": ({"solver": "torch", "model": "HALF"}, "is not a whole safetensors file"),
    "device": ({"solver": "torch", "model": str(STUDENT_PATH), "device": "tpu"}, "'tpu'"),
    "key": (
        {"solver": "api", "model": "m", "base_url": "URL", "api_key_file": "KEY"},
        "holds a blank, quotes around it or what else no key has",
    ),
}


@pytest.mark.parametrize("role", ["condenser", "verifier", "rater"])
@pytest.mark.parametrize("case", AGENTS)
def test_an_agent_that_cannot_be_opened_is_refused_before_another_is_asked(
    case: str,
    role: str,
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting, url = shop
    agent, says = AGENTS[case]
    (tmp_path / "own.csv").write_text(TABLE)
    (tmp_path / "key").write_text("sk-one\ntwo")
    half = Path(shutil.copytree(STUDENT_PATH, tmp_path / "half"))
    os.truncate(half / "model.safetensors", 100_000)
    places = {"HALF": str(half), "URL": url, "KEY": str(tmp_path / "key")}
    agent = {key: places.get(str(value), value) for key, value in agent.items()}
    more = {"difficulty": {"by": "model"}} if role == "rater" else {}
    path = write_study(tmp_path, url, 4, **more)
    raw = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(raw | {role: agent}))
    _refused(path, f"{role}: ", capsys, monkeypatch, begun=True)
    _refused(path, says, capsys, monkeypatch, begun=True)
    assert not counting.sold


def test_a_base_whose_weights_are_damaged_is_refused_before_the_teacher_is_asked(
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting, url = shop
    base = Path(shutil.copytree(STUDENT_PATH, tmp_path / "base"))
    path = write_study(tmp_path, url, 4, student={"base": str(base)})
    weights = base / "model.safetensors"
    tensors = load_file(weights)
    tensors.pop(next(name for name in tensors if "down_proj" in name))
    save_file(tensors, weights, metadata={"format": "pt"})
    _refused(path, "which would be random numbers", capsys, monkeypatch, begun=True)
    os.truncate(weights, 100_000)
    _refused(path, "is not a whole safetensors file", capsys, monkeypatch, begun=True)
    assert not counting.sold


def test_the_pocket_teacher_is_not_asked_about_other_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"What is {n} + {n + 1}?,{2 * n + 1}" for n in range(30)]
    (tmp_path / "own.csv").write_text("\n".join(["question,answer", *rows]))
    monkeypatch.chdir(tmp_path)
    run_cli(capsys, monkeypatch, "init", "mine")
    path = tmp_path / "mine" / "study.yaml"
    raw = yaml.safe_load(path.read_text())
    table = {"source": "table", "path": "../own.csv", "text": "question", "key": "answer"}
    path.write_text(yaml.safe_dump(raw | {"problems": [table], "split": {"by": "share"}}))
    for more in ((), ("--dry-run",)):
        code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "o", *more)
        assert code == 2
        assert "knows only the pocket world's problems" in one_sentence(err)
        assert "pocket/" not in err
    assert not list((tmp_path / "o").rglob("*/answers/*/*"))


def test_pocket_problems_of_another_seed_are_told_to_the_pocket_teacher_by_its_settings(
    tmp_path: Path,
) -> None:
    path = write_small_study(tmp_path)
    raw = yaml.safe_load(path.read_text())
    raw["problems"][0]["seed"] = 5
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(StudyError, match=r"problem_seed 0 .* set its problem_seed and problems"):
        run_study(load_study(path), tmp_path / "out", until="teach")
    for role in ("teacher", "verifier", "condenser"):
        if role in raw:
            raw[role]["problem_seed"] = 5
    path.write_text(yaml.safe_dump(raw))
    assert run_study(load_study(path), tmp_path / "other", until="teach") is None


def write_with_condenser(folder: Path, url: str, **changes: str) -> Path:
    """Write the study of the shop, some settings of its condenser changed."""
    path = write_study(folder, url, 4)
    raw = yaml.safe_load(path.read_text())
    raw["condenser"] |= changes
    path.write_text(yaml.safe_dump(raw))
    return path


def test_nobody_is_paid_while_another_key_is_missing(
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting, url = shop
    path = write_with_condenser(tmp_path, url, api_key_env="CONDENSER_KEY")
    monkeypatch.delenv("CONDENSER_KEY", raising=False)
    code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
    assert code == 2
    assert "condenser: CONDENSER_KEY is not set" in one_sentence(err)
    assert not counting.sold
    code, out, _ = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out", "--dry-run")
    assert code == 0
    assert "CONDENSER_KEY is not set" in out


def test_nobody_is_paid_while_another_key_is_refused(
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting, url = shop
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"GET {self.path}")
            self.send_error(401)

        def do_POST(self) -> None:
            asked.append(f"POST {self.path}")
            self.send_error(401)

        def log_message(self, format: str, *args: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        elsewhere = f"http://127.0.0.1:{server.server_port}/v1"
        path = write_with_condenser(tmp_path, url, api_key_env="CONDENSER_KEY", base_url=elsewhere)
        monkeypatch.setenv("CONDENSER_KEY", "sk-an-old-one")
        code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
        server.shutdown()
    assert code == 2
    said = one_sentence(err)
    assert f"condenser: {elsewhere} refuses its API key; give another before the teacher" in said
    assert "sk-an" not in said
    assert not counting.sold
    assert asked == ["GET /v1/models"]


def test_a_model_that_another_endpoint_does_not_list_is_told_before_the_teacher_is_paid(
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = shop[1].replace("127.0.0.1", "localhost")
    changes = {"api_key_env": "CONDENSER_KEY", "model": "pocket-condensor", "base_url": elsewhere}
    path = write_with_condenser(tmp_path, shop[1], **changes)
    monkeypatch.setenv("CONDENSER_KEY", "sk-x")
    _, out, _ = run_cli(
        capsys, monkeypatch, "run", path, "--out", tmp_path / "out", "--until", "teach"
    )
    said = " ".join(out.split())
    told = said.index("condenser: pocket-condensor is not among the ")
    assert "the nearest name is pocket-condenser; see that it is right" in said
    assert told < said.index("teacher · train")


def test_a_model_that_the_teachers_own_endpoint_does_not_list_is_refused_before_it_is_paid(
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting, url = shop
    changes = {"api_key_env": "OWN_KEY", "model": "pocket-condensor", "base_url": url}
    path = write_with_condenser(tmp_path, url, **changes)
    before = sum(counting.sold.values())
    monkeypatch.setenv("OWN_KEY", "sk-x")
    code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
    assert code == 2
    said = one_sentence(err)
    assert "condenser: pocket-condensor is not among the " in said
    assert "the nearest name is pocket-condenser; name one that is there before the teacher" in said
    assert sum(counting.sold.values()) == before


def test_no_validation_problem_is_refused_before_anyone_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 24, "valid": 0, "heldout": 12}]
    monkeypatch.chdir(tmp_path)
    study = tmp_path / "s.yaml"
    study.write_text(yaml.safe_dump(raw))
    code, out, err = run_cli(capsys, monkeypatch, "run", "s.yaml", "--dry-run")
    assert code == 0, err
    assert "no problem is marked valid; 2 problems of those marked train" in " ".join(out.split())
    raw["split"] = raw.get("split", {}) | {"by": "given", "group": "split", "valid_share": 0}
    study.write_text(yaml.safe_dump(raw))
    for words in (("--dry-run",), ("--out", "out")):
        code, _, err = run_cli(capsys, monkeypatch, "run", "s.yaml", *words)
        said = one_sentence(err)
        assert (code, "no problem is left for validation" in said) == (2, True), err
        assert "raise split.valid_share (0)" in said
    with Ledger.open(tmp_path / "out" / "ledger.sqlite", readonly=True) as ledger:
        assert ledger.keys() == set()


def test_settings_that_do_nothing_are_told_by_a_run_and_a_dry_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw |= {"verify": "symbolic", "problems": [{"source": "pocket", "train": 6, "heldout": 2}]}
    raw["condenser"] |= {"samples": 3}
    raw["split"] = {"by": "given", "seed": 5}
    tex = "{problem} $\\frac{a}{b}$ \\boxed{x} \\text{name} e^{k} by {year}"
    raw["evaluation"] |= {"prompt": tex, "level_prompt": "{prompt} {level}", "top_p": 0.5}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    out = tmp_path / "out"
    for more in (("--dry-run",), ("--until", "problems")):
        code, told, err = run_cli(capsys, monkeypatch, "run", path, "--out", out, *more)
        assert code == 0, err
        told += err
        assert told.count("is sent as it stands") == 1
        assert "evaluation.prompt: {year} is sent as it stands" in told
        assert "verifier: nobody asks it with verify: symbolic" in told
        assert "evaluation.level_prompt: nobody is asked by it without mix" in told
        assert "split.seed: with by: given nothing is drawn where the group 'split'" in told
        assert "condenser.samples: it is read of the teacher alone" in told
        assert "evaluation.top_p: with temperature: 0 the likeliest token is always" in told


def test_a_run_up_to_the_lessons_needs_no_diagnosis(
    shop: tuple[Counting, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_study(tmp_path, shop[1], 4, training={"iterations": "auto"})
    code, _, err = run_cli(
        capsys, monkeypatch, "run", path, "--out", tmp_path / "out", "--until", "split"
    )
    assert code == 0, err


def test_a_diagnosis_is_no_dry_run_and_buys_nothing_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_small_study(tmp_path), tmp_path / "out"
    words = ("train", study, "--diagnose", "--dry-run", "--out", out)
    code, _, err = run_cli(capsys, monkeypatch, *words)
    assert code == 2
    one_sentence(err)
    assert not out.exists()


ADDRESSES = {
    "ray://127.0.0.1:1": "No connection to the Ray cluster at 127.0.0.1:1",
    "ray://127.0.0.1:99999": "No connection to the Ray cluster at 127.0.0.1:99999",
    "ray://127.0.0.1:port": "No connection to the Ray cluster at 127.0.0.1:port",
    "ray://127.0.0.1": "--on ray://127.0.0.1 names no port; give ray://HOST:PORT",
}


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
@pytest.mark.parametrize("on", ADDRESSES)
def test_a_cluster_that_is_not_there_is_found_before_anyone_is_asked(
    on: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_small_study(tmp_path)
    for more in (["--dry-run"], []):
        arguments = ["run", study, "--out", tmp_path / "out", "--on", on, *more]
        code, _, err = run_cli(capsys, monkeypatch, *arguments)
        assert code == 2
        assert one_sentence(err).startswith(f"potstill: {ADDRESSES[on]}")
        assert not (tmp_path / "out").exists()


TOO_LARGE: dict[str, tuple[dict[str, float], str]] = {
    "cpus": ({"cpus": 100_000}, "a worker of 100000 CPUs does not fit on this machine ("),
    "gpus": ({"gpus": 1000}, "a worker of 1 CPU, 1000 GPUs does not fit on this machine ("),
    "memory_gb": (
        {"memory_gb": 1e9},
        "a worker of 1 CPU, 1e+09 GB of memory does not fit on this machine (",
    ),
}


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_worker_that_no_machine_of_ours_has_room_for_is_found_before_anyone_is_asked(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, says = TOO_LARGE[name]
    study = write_small_study(tmp_path, cluster=cluster)
    for more in (["--dry-run"], []):
        arguments = ["run", study, "--out", tmp_path / "out", "--on", "ray", *more]
        code, _, err = run_cli(capsys, monkeypatch, *arguments)
        assert code == 2
        assert f"cluster.{name}: {says}" in one_sentence(err)
        assert not (tmp_path / "out").exists()


FEW = {
    (1, 8, 12): ["split: only 1 problem to train on, from which"],
    (24, 1, 12): ["split: only 1 problem to choose the checkpoint by"],
    (24, 8, 1): ["split: only 1 problem held out, by which"],
    (2, 3, 4): ["only 2 problems to train", "only 3 problems to choose", "only 4 problems held"],
    (24, 8, 12): [],
}


@pytest.mark.parametrize("sizes", FEW)
def test_a_split_of_next_to_nothing_is_told(
    sizes: tuple[int, int, int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problems = [{"source": "pocket"} | dict(zip(("train", "valid", "heldout"), sizes, strict=True))]
    study = write_small_study(tmp_path, problems=problems)
    code, out, _ = run_cli(capsys, monkeypatch, "run", study, "--dry-run")
    assert code == 0
    said = " ".join(out.split())
    for sentence in FEW[sizes]:
        assert sentence in said
    assert said.count("split: only") == len(FEW[sizes])


@pytest.mark.parametrize(("mix", "times"), [(["R1"], 1), (["R1", "R6"], 0)])
def test_a_mix_of_one_level_is_told(
    mix: list[str],
    times: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = write_small_study(tmp_path, mix=mix)
    code, out, _ = run_cli(capsys, monkeypatch, "run", study, "--dry-run")
    assert code == 0
    assert out.count("mix: one level alone") == times
