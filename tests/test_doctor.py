"""``potstill doctor``: true, within 80 columns, and silent about what a key is."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console

import potstill.cli.doctor as doctor
import potstill.cli.machine as machine
from potstill.chat import Completion
from potstill.cli.machine import Device, Machine, look_around
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import create_app, serve
from potstill.records import Finish
from potstill.study.schema import load_study
from potstill.training.memory import STUDENT_SIZES, largest_batch, training_bytes
from support.command_line import api_study
from support.fault_server import http
from support.raw_server import endpoint

MARKED_KEY = "sk-marked-93ab"
SIZES = {shape.name: shape for shape in STUDENT_SIZES}
GB = 10**9

WORKSTATION = Machine(
    cores=16,
    memory_free_bytes=100 * GB,
    memory_bytes=128 * GB,
    disk_free_bytes=900 * GB,
    torch="2.13.0",
    torch_built_for="12.8",
    mlx="not installed",
    nvidia="NVIDIA H100",
    chromium="",
    devices=(Device("cuda", "NVIDIA H100", 79 * GB, 80 * GB),),
    packages={"bitsandbytes": "0.48.0", "ray": "2.50.0"},
)


def run_doctor(*arguments: object, **environment: str) -> str:
    """What the command printed to a pipe of 80 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "potstill", "doctor", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80"} | environment,
    )
    assert done.stderr == ""
    return done.stdout


def examined(machine: Machine) -> dict[str, tuple[bool | None, str]]:
    return {name: (good, says) for name, good, says in doctor.examine(machine)}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, list[str]]:
    """What it says of a study whose endpoint has another model, the endpoint, and what was asked
    there.
    """
    asked: list[str] = []

    def reply(request: ChatRequest) -> Completion:
        asked.append(request.model)
        return Completion("4", "", Finish.STOP, 1, 1)

    with serve(create_app(reply, ["some-other-model"])) as url:
        path = api_study(tmp_path_factory.mktemp("doctor"), url)
        return run_doctor(path, MARKED_KEY=MARKED_KEY, OPENAI_API_KEY=MARKED_KEY), url, asked


def test_it_says_what_is_here_in_80_columns(told: tuple[str, str, list[str]]) -> None:
    said, _, _ = told
    assert max(map(len, said.splitlines())) <= 80
    assert "OPENAI_API_KEY" in said
    assert MARKED_KEY not in said
    assert re.search(rf"torch +(yes|no) +{re.escape(version('torch'))}", said)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import time; time.sleep(60)", "did not answer within 3.5 s"),
        ("raise OSError('no such library')", "cannot be imported"),
        ("import os; os.abort()", "cannot be imported"),
    ],
)
def test_a_library_that_hangs_or_crashes_costs_its_own_line(
    tmp_path: Path, code: str, says: str
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(code)
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    said = run_doctor(PYTHONPATH=paths)
    assert says in " ".join(said.split())
    assert "pip install torch" not in said
    hangs = "sleep" in code
    assert ("what torch can use is not known" in " ".join(said.split())) is hangs
    assert re.search(rf"torch +{'2' if hangs else 'no'}", said)
    assert ("on Apple Silicon only" in said) is not hangs


def test_a_library_that_takes_long_but_works_is_waited_for() -> None:
    busy = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    naps = "[time.sleep(STILL_S / 2) or exec(busy) for _ in range(2)]"
    code = (
        f"from potstill.cli.machine import STILL_S\nbusy = {busy!r}\nexec(busy)\n{naps}\nprint(7)"
    )
    assert machine._ask([sys.executable, "-c", code]) == "7\n"


def test_what_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MOST_S", 0.5)
    with pytest.raises(TimeoutError, match=r"^0 s$"):
        machine._ask([sys.executable, "-c", "while True: pass"])
    assert machine._ask([sys.executable, "-c", "raise SystemExit(3)"]) == ""
    assert machine._ask(["no-such-program-here"]) == ""


def test_of_a_library_that_is_silent_nothing_is_claimed() -> None:
    silent = replace(WORKSTATION, devices=(), torch="2.13.0, but it ...", silent={"torch", "mlx"})
    rows = examined(silent)
    assert (
        rows["torch"][0] is rows["  mps"][0] is rows["  nf4 (QLoRA)"][0] is rows["mlx"][0] is None
    )
    assert rows["  cuda"] == (None, "NVIDIA H100 is here; what torch can use is not known")


def test_a_studys_own_keys_are_looked_for(
    told: tuple[str, str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MARKED_KEY", raising=False)
    study = load_study(api_study(tmp_path, "http://127.0.0.1:9/v1"))
    assert ("teacher", False, "MARKED_KEY is not set") in doctor._needed(study)
    said, _, _ = told
    assert "teacher           yes  MARKED_KEY is set" in said
    assert MARKED_KEY not in said
    assert "base              yes  pocket" in said


def test_every_absence_says_what_to_install() -> None:
    rows = examined(WORKSTATION)
    assert rows["  cuda"] == (True, "NVIDIA H100, 80.0 GB (79.0 free)")
    assert rows["  nf4 (QLoRA)"] == (True, "bitsandbytes 0.48.0")
    assert rows["ray"] == (True, "2.50.0")
    assert rows["mlx"] == (False, "not installed: pip install 'potstill[mlx]'")
    assert "pip install 'potstill[llama]'" in rows["llama-cpp-python"][1]
    bare = replace(WORKSTATION, devices=(), torch="not installed", torch_built_for="", packages={})
    rows = examined(bare)
    assert rows["torch"] == (False, "not installed; pip install torch")
    assert "this torch is built without CUDA" in rows["  cuda"][1]


def test_the_table_of_students_tells_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "look_around", lambda folder: WORKSTATION)
    page = io.StringIO()
    doctor.print_examination(None, Console(file=page, width=80))
    rows = [line.split() for line in page.getvalue().splitlines()]
    head = next(row for row in rows if row[:1] == ["student"])
    assert head[1:] == ["cuda", "float32", "cuda", "bfloat16", "cuda", "nf4"]
    assert ["32B", "-", "-", "2"] in rows
    assert ["7B", "2", "8", "8"] in rows


# measured here: the process's own peak (torch), on models of Qwen2.5-0.5B's shape
@pytest.mark.parametrize(
    ("batch", "tokens", "precision", "peak_gb"),
    [(1, 512, "float32", 4.04), (2, 1024, "float32", 8.78), (2, 1024, "bfloat16", 4.94)],
)
def test_the_estimate_is_no_less_than_what_was_measured(
    batch: int, tokens: int, precision: str, peak_gb: float
) -> None:
    estimated = training_bytes(SIZES["0.5B"], precision, batch, tokens) / 1e9
    assert peak_gb < estimated < 1.2 * peak_gb


def test_the_largest_batch_fits_and_the_next_does_not() -> None:
    for shape in STUDENT_SIZES:
        for memory in (8 * GB, 24 * GB, 80 * GB):
            size = largest_batch(shape, "bfloat16", memory, 1024)
            assert size == 0 or training_bytes(shape, "bfloat16", size, 1024) <= memory
            if size < 8:
                assert training_bytes(shape, "bfloat16", 2 * size or 1, 1024) > memory


def test_the_machine_is_looked_at_for_real(tmp_path: Path) -> None:
    machine = look_around(tmp_path)
    assert machine.cores >= 1
    assert 0 < machine.memory_free_bytes <= machine.memory_bytes
    assert machine.devices


def json_answer(status: int, body: object) -> bytes:
    return http(status, "application/json", json.dumps(body).encode())


# what an endpoint answers to GET /models, and what the doctor says of deepseek-old there
LISTS = [
    ({"data": [{"id": "deepseek-flash"}, {"id": "gpt-oss"}]},
     "no", "is not among the 2 models of URL; the nearest name is deepseek-flash"),
    ({"object": "list", "data": [{"id": "deepseek-old", "owned_by": "d"}]},
     "yes", "deepseek-old is at URL"),
    ([{"id": "deepseek-ai/DeepSeek-Old"}],  # a list alone, as Together sends it
     "no", "not among the one model of URL; the nearest name is deepseek-ai/DeepSeek-Old"),
    ({"models": [{"name": "models/deepseek-old"}]}, "yes", "deepseek-old is at URL"),
    ({"data": [{"id": "deepseek-old:latest"}]}, "yes", "deepseek-old is at URL"),
    ({"data": [{"id": "a"}], "has_more": True}, "", "is not on the first page of"),
    ({"data": []}, "", "URL has no list of models (the one it sends is empty)"),
]  # fmt: skip


@pytest.mark.parametrize(("listed", "mark", "says"), LISTS)
def test_a_model_that_is_not_at_its_endpoint_is_told_with_the_nearest_name(
    tmp_path: Path, listed: object, mark: str, says: str
) -> None:
    with endpoint(json_answer(200, listed)) as url:
        found = model_row(api_study(tmp_path, url, model="deepseek-old"))
        assert found[0] == {"yes": True, "no": False, "": None}[mark]
        assert says.replace("URL", url) in found[1]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (json_answer(404, {"error": {"message": "Not Found"}}), "has no list of models (404)"),
        (json_answer(405, {}), "has no list of models (405)"),
        (json_answer(401, {}), "shows its list of models to a valid key only (401)"),
        (http(200, "text/html", b"<html>hello</html>"), "has no list of models (what it sends"),
    ],
)
def test_an_endpoint_without_a_list_is_said_so_and_no_error(
    tmp_path: Path, answer: bytes, says: str
) -> None:
    with endpoint(answer) as url:
        good, told = model_row(api_study(tmp_path, url))
        assert good is None
        assert told.startswith(f"{url} {says}")


def test_an_endpoint_that_is_not_there_is_told(tmp_path: Path) -> None:
    good, told = model_row(api_study(tmp_path, "http://127.0.0.1:9/v1"))
    assert good is False
    assert told == "http://127.0.0.1:9/v1 cannot be reached (Connection refused)"


def test_the_command_asks_for_the_list_alone(told: tuple[str, str, list[str]]) -> None:
    said, url, asked = told
    listed = f"model no some-model is not among the one model of {url}"
    assert f"{listed}; the nearest name is some-other-model" in " ".join(said.split())
    assert asked == []
    assert MARKED_KEY not in said


def test_what_a_model_costs_is_told_with_who_says_so(tmp_path: Path) -> None:
    def price_row(**agent: object) -> tuple[bool | None, str]:
        study = load_study(api_study(tmp_path, "http://127.0.0.1:9/v1", **agent))
        rows = {name: (good, says) for name, good, says in doctor._needed(study)}
        return rows["  price"]

    good, says = price_row(model="deepseek-flash", provider="deepseek")
    assert good is True
    table = f"genai-prices {version('genai-prices')}"
    assert (
        says == f"$0.3 in, $1.2 out a million tokens at the peak, $0.15 and $0.6 off it ({table})"
    )
    assert price_row(price={"input": 1.0, "output": 2.5}) == (
        True,
        "$1 in, $2.5 out a million tokens (the study)",
    )
    good, says = price_row()
    assert good is None
    assert says.startswith("not known; add its dollars")


def model_row(study: Path) -> tuple[bool | None, str]:
    """What the doctor says of the teacher's model."""
    rows = {name: (good, says) for name, good, says in doctor._needed(load_study(study))}
    return rows["  model"]
