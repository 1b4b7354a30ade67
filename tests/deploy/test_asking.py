"""``potstill ask`` answers as the student did, and its text does nothing to the terminal."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from potstill.analysis.students import FoundStudent
from potstill.deploy.opening import open_engine
from potstill.deploy.serve.asking import harmless, how_sure, print_answer
from potstill.errors import InputError
from support.command_line import one_sentence, run_cli


def test_it_answers_and_says_how_sure_it_is(found: FoundStudent, study_directory: Path) -> None:
    answer = found.answers()[0]
    command = [sys.executable, "-m", "potstill", "ask", str(study_directory), answer.problem.text]
    done = subprocess.run([*command, "--level", "R4"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, _, sure = done.stdout.partition("\n\n(")
    assert said == answer.response.text.rstrip("\n")
    assert " ".join(f"({sure}".split()) == how_sure(found)


def test_an_empty_problem_and_one_too_long_are_refused(found: FoundStudent) -> None:
    console = Console(file=StringIO())
    with open_engine(found, batch_size=1) as engine:
        with pytest.raises(InputError, match="no problem to answer"):
            print_answer(found, engine, " \n", console)
        with pytest.raises(InputError, match=r"takes \d+ tokens .* holds 4096"):
            print_answer(found, engine, "why? " * 5000, console)


def test_an_engine_that_does_not_exist_brings_the_list(found: FoundStudent) -> None:
    with (
        pytest.raises(InputError, match="the engines are auto, transformers, mlx, llama"),
        open_engine(found, "onnx"),
    ):
        pass


def test_what_a_model_writes_is_never_markup_nor_an_escape() -> None:
    shown = harmless("[red]x[/red] \x1b[2J \x9b31m \r\x07 \x7f ok\nnext")
    assert not [c for c in shown if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
    assert shown.startswith("[red]x[/red] ")
    console = Console(file=StringIO(), force_terminal=True, width=80)
    console.out(shown, end="", highlight=False)
    file = console.file
    assert isinstance(file, StringIO)
    assert file.getvalue() == shown


def test_a_student_of_another_level_than_is_asked_for_is_refused(
    study_directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("--student", "R1-s0", "--level", "R4")
    code, _, err = run_cli(capsys, monkeypatch, "ask", study_directory, "-2 + 5 = ?", *both)
    assert code == 2
    assert "--student R1-s0 is of level R1 and not R4; give one of the two" in one_sentence(err)
