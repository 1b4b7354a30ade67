"""Every script in benchmarks/ from its command line: smallest sizes, with and without its peers."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
# by script: its smallest sizes, and what it prints then (regular expressions)
SMALLEST: dict[str, tuple[str, tuple[str, ...]]] = {
    "answering": (
        "--shape tiny --answers 4 --batch 2 --median 4",
        (
            r"figure answering_vs_generate_pocket \d+\.\d\d\n",
            r"figure answering_vs_one_by_one_tiny \d+\.\d\d\n",
            r"figure answering_vs_generate \d+\.\d\d\n",
            r'"same_answers_as_generate": 4,',
            r"sampled: answers: 4 of pocket, 4 of tiny[,;]",
        ),
    ),
    "checkpointing": (
        "--shape tiny --tokens 2048 --layers 4",
        (r"checkpointing off: .*\ncheckpointing on: .*\n", r'"on / off": \{"GB": 0\.\d+, "s": '),
    ),
    "coverage": (
        "--studies 1 --workers 2",
        (
            # three sizes by four numbers of seeds by three of luck, and so on
            r"\A(\n### .*\n\n(\|.*\n){38}){2}(\n### .*\n\n(\|.*\n){14}){2}",
            r"### Several draws .*\n\n(\|.*\n){20}\n### .*\n\n(\|.*\n){11}",
            r"sampled: 1 studies a cell",
        ),
    ),
    "draws": (
        "--problems 3 --draws 2 --max-tokens 4 --rounds 1",
        (
            r"1 of each: \d+\.\d s, 12 tokens, \d+ tokens/s\n2 of each: \d+\.\d s, 24 tokens",
            r"figure draws_vs_one \d+\.\d\d\n",
            r"sampled: 1 rounds of 3 pocket problems, answers of up to 4 tokens",
        ),
    ),
    "engines": (
        "--problems 3 --max-tokens 12",
        (
            r"torch: 3 of 3 the same\ntransformers: 3 of 3 the same\nmlx: 3 of 3 the same\n",
            r'"same as torch": \{"torch": 3, "transformers": 3, "mlx": 3',
            r"sampled: 3 answers of up to 12 tokens, pocket problems",
        ),
    ),
    "grading": (
        "--responses 30 --rounds 1 --seconds 1 --length 10000 --workers 1",
        (
            r"made_up: 30 responses\n",
            r"outcomes {'CORRECT': 24, 'WRONG': 6}\n",
            r"figure grading_vs_math_verify \d+\.\d\d\n",
            r"figure grade_ms_worst_10k \d+\.\d\d\n",
            r"sampled: 30 made_up responses",
        ),
    ),
    "learning_rate": (
        "--rates 0.0005 0.002 --seeds 1 --layers 2 --lessons 10 --steps 4",
        (
            r"rate 0\.0005: validation loss (\d\.\d{4}) \(by seed: \1\)\n",
            r"padding: \d+\.\d% of the tokens computed\n",
            r'"best": 0\.002\}\n',
            r"sampled: 10 lessons, 4 steps of 8, top 2 layers, 1 seeds",
        ),
    ),
    "matrix_share": (
        "--shape tiny --layers 2 --examples 2 --tokens 32 --answers 2 --new-tokens 2",
        (
            *(
                rf"(?:\A|\n){work}: \d+ tokens/s; the products alone take \d+% of it, "
                r".*\n +\d+\.\d%  \S"
                for work in ("training", "training, activation cache", "answering")
            ),
            r"sampled: 5 rounds of 2 examples of 32 tokens, 2 answers of 2 tokens",
        ),
    ),
    "memory": (
        "--problems 40",
        (r" 40 problems: \d+ s, peak [\d,]+ MB", r'"scoring and report": \[\d', "sampled: 40 prob"),
    ),
    "overlap": (
        "--sizes 400 --kinds mixed",
        (r'"planted": (\d+), "found": \1}', "sampled: 400 problems"),
    ),
    "page": (
        "--problems 3 --rounds 1",
        (r"3 problems in 0\.\d MB", r'"page_mb": 0\.\d+', "sampled: one page of 3 problems"),
    ),
    "scaling": (
        "--workers 1 --problems 4 --cells 1 --iterations 1 --graded 20 --audited 100",
        (
            *(rf'"{work}": {{"1": {{"wall_s": \d' for work in ("training", "answering")),
            *(rf'"{work}": {{"1": {{"wall_s": \d' for work in ("grading", "overlap")),
            r"sampled: 1 rounds of 1 cells of 1 steps, 4 answers, 20 graded, 100 audited",
        ),
    ),
    "teaching": (
        "--rounds 1 --replies 20",
        (
            r"figure teaching_per_s \d+\.\d\n",
            r"figure teaching_vs_loop \d+\.\d\d\n",
            r"figure teaching_instant_per_core_s \d+\.\d\n",
            r"sampled: 1 rounds, replies in each: plain 5, potstill 20, streamed 10;",
        ),
    ),
    "training": (
        "--shape tiny --steps 1 --optimization-steps 1",
        (
            r"step 1 of 1: potstill \d+\.\d\d s",
            r'"potstill": \d+\.\d+\n',
            r'"none of these": \d+\.\d+\n',
            r"sampled: 1 of 6,000 steps, .*; synthetic lengths",
        ),
    ),
    "training_mlx": (
        "--steps 1 --rounds 1 --median 5",
        (r'"mlx_vs_mlx_lm": \d+\.\d+', "sampled: 1 turns of 1 steps each; lognormal lengths"),
    ),
}
HIDDEN = "import runpy, sys; sys.modules[sys.argv[1]] = None; sys.argv = sys.argv[2:]; "
HIDDEN += "sys.path.insert(0, sys.argv.pop(0)); runpy.run_path(sys.argv[0], run_name='__main__')"


def run(
    name: str, sizes: str, *, data: Path | None = None, without: str = ""
) -> subprocess.CompletedProcess[str]:
    """A script that has ended, in which the module ``without`` is as if not installed."""
    environment = {key: value for key, value in os.environ.items() if key != "POTSTILL_DATA"}
    if data:
        environment["POTSTILL_DATA"] = str(data)
    script = str(BENCHMARKS / f"{name}.py")
    hidden = ["-c", HIDDEN, without, str(BENCHMARKS)] if without else []
    return subprocess.run(
        [sys.executable, *hidden, script, *sizes.split()],
        env=environment,
        capture_output=True,
        text=True,
    )


def refused(
    name: str, sizes: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    """What a script complains of that ends before it measures, run in this process."""
    script = str(BENCHMARKS / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [script, *sizes.split()])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(script, run_name="__main__")
    assert ended.value.code == 2
    return capsys.readouterr().err


def figures_of(done: subprocess.CompletedProcess[str]) -> str:
    """What a script printed that did not fail and said last what it sampled."""
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.splitlines()[-1].startswith("sampled: ")
    return done.stdout


def assert_printed(expected: tuple[str, ...], said: str) -> None:
    for pattern in expected:
        assert re.search(pattern, said), f"{pattern} is not in\n{said}"


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the form of the real data: twelve lessons, recorded answers and open answers."""
    folder = tmp_path_factory.mktemp("data")
    recorded, answers = folder / "recorded", folder / "answers"
    recorded.mkdir()
    answers.mkdir()
    with (recorded / "distilled_train.jsonl").open("w", encoding="utf-8") as lessons:
        for n in range(12):
            chat = ("system", "Think."), ("user", f"What is {n} + 1?"), ("assistant", f"It is {n}.")
            messages = [{"role": role, "content": said} for role, said in chat]
            lessons.write(json.dumps({"messages": messages}) + "\n")
    levels = {f"reasoning_{level}": f"Level {level}: count one on." for level in range(1, 6)}
    write_table(recorded / "condensed_competition.csv", {"question": "What is 1 + 1?"} | levels, 12)
    said = {"true_answer": "2", "agent1_answer": "2", "agent1_reasoning": "Count on."}
    write_table(recorded / "teacher_competition.csv", {"question": "1 + 1?"} | said, 2)
    write_table(recorded / "teacher_math500.csv", {"problem": "1 + 1?"} | said, 2)
    answer = {"problem": "1 + 1?", "key": "2", "note": ""}
    ruled = [("So $\\boxed{2}$.", "CORRECT"), ("So $\\boxed{3}$.", "INCORRECT")]
    rows = [json.dumps(answer | {"response": text, "ruling": how}) + "\n" for text, how in ruled]
    (answers / "open.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def write_table(path: Path, row: dict[str, str], count: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(row))
        table.writeheader()
        table.writerows([row] * count)


def test_every_script_is_run_here() -> None:
    scripts = {path.stem for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text()}
    assert scripts == set(SMALLEST)


@pytest.mark.parametrize("name", SMALLEST)
def test_it_ends_with_its_figures_on_made_up_problems(name: str) -> None:
    needed = {"scaling": "ray", "training_mlx": "mlx_lm", "teaching": "openai"}.get(name)
    if needed and find_spec(needed) is None:  # Ray reads its settings as it is imported: not here
        pytest.skip(f"{needed} is not installed")
    sizes, expected = SMALLEST[name]
    assert_printed(expected, figures_of(run(name, sizes)))


@pytest.mark.parametrize(
    ("name", "sizes", "expected"),
    [
        (
            "answering",
            "--models random --shape tiny --answers 4 --batch 2 --median 4",
            (r"the paper's system text and problems", r"figure answering_vs_generate_tiny \d"),
        ),
        (
            "grading",
            SMALLEST["grading"][0],
            (
                r"recorded: 8 responses\n(.*\n)+?  outcomes {'CORRECT': 8}\n",
                r"open: 2 responses\n",
                r"figure open_refused_potstill 0\nfigure open_accepted_potstill 0\n",
                r"figure open_accepted_math_verify 0\n",
            ),
        ),
        ("training", SMALLEST["training"][0], (r"recorded lessons, 12 a level",)),
        ("training_mlx", SMALLEST["training_mlx"][0], (r'"mlx_vs_mlx_lm": \d', "recorded lessons")),
    ],
)
def test_it_ends_with_its_figures_on_real_data(
    name: str, sizes: str, expected: tuple[str, ...], small_data: Path
) -> None:
    if name == "training_mlx":
        pytest.importorskip("mlx_lm")
    assert_printed(expected, figures_of(run(name, sizes, data=small_data)))


def test_checkpointing_is_measured_on_mlx_too() -> None:
    pytest.importorskip("mlx_lm")
    said = figures_of(run("checkpointing", "--backend mlx --shape tiny --tokens 512 --layers 4"))
    told = next(json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert told["backend"] == "mlx"
    assert 0 < told["on"]["GB"] < told["off"]["GB"]


@pytest.mark.parametrize("name", ["answering", "grading", "training", "training_mlx"])
def test_a_folder_without_the_data_is_told_in_a_sentence(
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name == "training_mlx":
        pytest.importorskip("mlx_lm")
    sizes = "--models random --shape tiny" if name == "answering" else ""
    monkeypatch.setenv("POTSTILL_DATA", str(tmp_path))
    said = refused(name, sizes, capsys, monkeypatch)
    assert f"POTSTILL_DATA is {tmp_path}, which has no recorded" in said


@pytest.mark.parametrize(
    ("name", "sizes", "without", "said"),
    [
        ("overlap", "--peer rensa", "rensa", "(pip install rensa brings it): nothing was measured"),
        ("scaling", "", "ray", "(pip install 'potstill[ray]' brings it): nothing was measured"),
        ("training_mlx", "", "mlx_lm", "(pip install 'potstill[mlx]' brings it): nothing was meas"),
    ],
)
def test_without_what_it_measures_it_says_so(
    name: str, sizes: str, without: str, said: str
) -> None:
    done = run(name, sizes, without=without)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{without} is not installed {said}")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "without", "said", "figure"),
    [
        ("page", "playwright", "the page's size and packing alone", r'"page_packed_s": \d'),
        ("teaching", "openai", "Potstill is measured without", r"teaching_share_of_limit \d"),
    ],
)
def test_without_its_peer_it_goes_on_alone(name: str, without: str, said: str, figure: str) -> None:
    done = figures_of(run(name, SMALLEST[name][0], without=without))
    assert done.startswith(f"{without} is not installed")
    assert_printed((said, figure), done)


@pytest.mark.parametrize("name", ["coverage", "memory", "overlap"])
def test_none_of_something_is_refused_in_a_sentence(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    option = {"coverage": "--studies", "memory": "--problems", "overlap": "--sizes"}[name]
    said = refused(name, f"{option} 0", capsys, monkeypatch)
    assert said.splitlines()[-1].endswith(f"argument {option}: 0 is no number from 1 on")
