"""``potstill ask`` answers as the student did, and its text does nothing to the terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from potstill.analysis.students import FoundStudent
from potstill.deploy.loading import open_engine
from potstill.deploy.serve.asking import harmless, how_sure, of_which, print_answer
from potstill.errors import InputError
from potstill.pipeline.directory import open_study
from potstill.records import Outcome
from support.command_line import one_sentence, run_cli


def test_it_answers_and_says_how_sure_it_is(
    found: FoundStudent,
    study_directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, response = found.answers()[0]
    asked = ("ask", study_directory, problem.text, "--level", "R4")
    code, out, err = run_cli(capsys, monkeypatch, *asked)
    assert code == 0, err
    said, _, sure = out.partition("\n\n(")
    assert said == response.text.rstrip("\n")
    told = f"{how_sure(found)} {of_which(found, problem.text)}"
    assert " ".join(f"({sure}".split()) == told


def test_it_says_of_what_kind_of_problems_its_figure_is(
    found: FoundStudent, study_directory: Path
) -> None:
    there = open_study(study_directory)
    family = {p.id: dict(p.groups)["family"] for p in there.problems or ()}
    right: dict[str, list[bool]] = {}
    assert there.responses is not None
    for row in there.responses.to_pylist():
        if row["solver"] == found.student.id and row["split"] == "heldout":
            right.setdefault(family[row["problem_id"]], []).append(row["outcome"] == "CORRECT")
    shares = {name: 100 * sum(marks) / len(marks) for name, marks in right.items()}
    best_first = sorted(shares, key=lambda name: (-shares[name], name))
    assert len(shares) == 11
    told = of_which(found, "Why?")
    assert f"By family: {', '.join(f'{n} {shares[n]:.1f} %' for n in best_first)}." in told


def test_it_names_the_held_out_problem_that_is_worded_most_like_the_question(
    found: FoundStudent,
) -> None:
    answers = found.answers()
    worded = [re.sub("[0-9]+", "7", problem.text) for problem, _ in answers]
    words = [frozenset(re.findall("[a-z]+", text.casefold())) for text in worded]
    alone = [i for i, some in enumerate(words) if words.count(some) == 1]
    assert len(alone) >= 20
    for i in alone[:8]:
        problem, response = answers[i]
        went = "right" if found.outcome(response) is Outcome.CORRECT else "not right"
        told = of_which(found, worded[i])
        assert f"The one most like yours: “{problem.text}” ({went})." in told
    for other in ("What is the capital of France?", "是的", "3, 7, 11, 15"):
        assert "None is worded like yours; one of them: “" in of_which(found, other)


def test_of_a_student_that_was_not_scored_nothing_is_said(found: FoundStudent) -> None:
    assert of_which(replace(found, scores=(), group_scores=()), "What is 6 times 7?") == ""


def test_of_many_groups_the_best_and_the_worst_are_named(found: FoundStudent) -> None:
    rows = tuple(
        {"set": "pocket", "group": f"year={year}", "accuracy": (year - 2000) / 100}
        for year in range(2000, 2020)
    )
    told = of_which(replace(found, group_scores=rows), "Why?")
    assert told.startswith(
        "By year: 2019 19.0 %, 2018 18.0 %, 2017 17.0 %, … of 20 …, 2002 2.0 %, 2001 1.0 %, "
        "2000 0.0 %. None is worded like yours"
    )


def test_an_empty_problem_and_one_too_long_are_refused(found: FoundStudent) -> None:
    console = Console(file=StringIO())
    with open_engine(found, batch_size=1) as engine:
        with pytest.raises(InputError, match="no problem to answer"):
            print_answer(found, engine, " \n", console)
        with pytest.raises(InputError, match=r"takes [\d,]+ tokens .* holds 4096"):
            print_answer(found, engine, "why? " * 5000, console)


def test_an_engine_that_does_not_exist_brings_the_list(found: FoundStudent) -> None:
    with (
        pytest.raises(
            InputError, match="no engine 'onnx'; there are: auto, transformers, mlx, llama"
        ),
        open_engine(found, "onnx"),
    ):
        pass


@pytest.mark.parametrize("command", [("ask", "1 + 1?"), ("serve",), ("tutor",)])
@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("vllm", "once potstill export wrote it with --to peft"),
        ("Ollama", "once potstill export wrote it with --to ollama"),
        ("torch", "there is no engine 'torch'; did you mean 'transformers'?"),
        ("llama.cpp", "there is no engine 'llama.cpp'; did you mean 'llama'?"),
    ],
)
def test_an_engine_is_looked_for_before_anything_is_loaded(
    command: tuple[str, ...],
    engine: str,
    says: str,
    study_directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, *rest = command
    code, out, err = run_cli(capsys, monkeypatch, name, study_directory, *rest, "--engine", engine)
    assert (code, out) == (2, "")
    assert says in one_sentence(err)


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
