"""A command line that is wrong is told in one sentence, whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from potstill.analysis.filters import ProblemFilter
from potstill.cli.main import app
from potstill.errors import InputError
from potstill.plugins import choose
from support.command_line import one_sentence, run_cli
from support.small_study import write_small_study

WRONG = {
    "no such command": (["runn", "s"], "there is no command 'runn'; did you mean 'run'?"),
    "no such option": (["run", "s", "--outt", "x"], "run has no option '--outt'; did you mean"),
    "no such option of all": (["--versoin"], "potstill has no option '--versoin'; did you mean"),
    "a letter": (["run", "s", "-o", "x"], "run has no option '-o'; did you mean"),
    "no argument": (["run"], "run needs STUDY (the study file (YAML)); potstill run --help"),
    "no option": (["corpus", ".", "--to", "dataset"], "corpus needs --out (the folder to write"),
    "one too many": (["run", "s", "t u"], "run takes STUDY and not t u beside it"),
    "no value": (["run", "s", "--out"], "--out needs a value; potstill run --help says which."),
    "another option as value": (
        ["run", "s", "--out", "--dry-run"],
        "--out is followed by --dry-run and not by a value",
    ),
    "value of a flag": (["run", "s", "--dry-run=yes"], "--dry-run takes no value"),
    "no whole number": (["serve", ".", "--port", "abc"], "--port should be a whole number (found"),
    "no number": (["overlap", "a", "--threshold", "x"], "--threshold should be a number (found"),
    "no seed": (["gap", "s", "--seed", "-1"], "--seed should be 0 or more (found '-1')."),
    "too small": (["gap", "s", "--sample", "0"], "--sample should be 1 or more (found '0')."),
    "corpus": (
        ["corpus", ".", "--to", "datset", "--out", "o"],
        "there is no format 'datset'; did you mean 'dataset'? There are: dataset, messages.",
    ),
    "log": (["log", ".", "--to", "eval", "--out", "o"], "there is no format 'eval'; there are: in"),
    "export": (
        ["export", ".", "--student", "R3", "--to", "mergd"],
        "there is no form 'mergd'; did you mean 'merged'? There are: peft, mlx",
    ),
    "convert": (
        ["convert", "a", "--to", "pfet", "--base", "b", "--out", "o"],
        "there is no layout 'pfet'; did you mean 'peft'?",
    ),
    "split": (["inspect", ".", "--split", "tarin"], "there is no split 'tarin'; did you mean 'tr"),
    "level": (["inspect", ".", "--level", "R33"], "there is no level 'R33'; did you mean"),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_is_one_sentence(
    case: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, says = WRONG[case]
    code, out, err = run_cli(capsys, monkeypatch, *arguments)
    assert (code, out) == (2, "")
    assert one_sentence(err).startswith(f"potstill: {says}")
    assert list(tmp_path.iterdir()) == []


def test_every_option_that_takes_a_number_says_so_of_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = 0
    for name, command in commands.items():
        needed = [
            word
            for param in command.params
            if param.required
            for word in ([param.opts[0], "x"] if param.param_type_name == "option" else ["x"])
        ]
        for param in command.params:
            if param.type_descriptor.annotation in (int, float, int | None):
                found += 1
                arguments = [name, *needed, param.opts[0], "word"]
                code, _, err = run_cli(capsys, monkeypatch, *arguments)
                assert code == 2
                said = one_sentence(err)
                assert said.startswith(f"potstill: {param.opts[0]} should be a ")
                assert said.endswith("number (found 'word').")
    assert found >= 8


def test_no_argument_at_all_is_answered_with_the_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, err = run_cli(capsys, monkeypatch)
    assert "Usage:" in out + err
    assert "potstill: " not in err


def test_a_name_is_taken_in_any_case() -> None:
    assert choose("level", "r3", ["R1", "R3"]) == "R3"
    assert choose("level", "R3", ["R3", "r3"]) == "R3"
    with pytest.raises(InputError, match=r"there is no level 'R9'; did you mean 'R3'\? There are"):
        choose("level", "R9", ["R1", "R3"])
    wanted = ProblemFilter.of("Train", "Wrong Answer", "r3")
    assert (wanted.split, wanted.flag, wanted.level) == ("train", "wrong answer", "R3")


def test_a_stage_is_taken_in_any_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = write_small_study(tmp_path), tmp_path / "out"
    code, said, _ = run_cli(capsys, monkeypatch, "run", study, "--out", out, "--until", "Split")
    assert code == 0
    assert "Stopped after split." in said
    code, _, err = run_cli(capsys, monkeypatch, "run", study, "--out", out, "--until", "spilt")
    assert code == 2
    assert "there is no stage 'spilt'; did you mean 'split'?" in one_sentence(err)
