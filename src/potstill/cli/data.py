"""The commands on problems, answers and recorded replies, with or without a study."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.options import (
    DecimalSign,
    Delimiter,
    EncodingName,
    KeyColumn,
    SheetName,
    SolutionColumn,
    TextColumn,
    needs,
    port_there_is,
    terminal,
)
from potstill.errors import InputError

__all__ = ["DATA"]


def problems(
    file: Annotated[
        Path, typer.Argument(help="A study file, a data file or a folder of problems.")
    ],
    aside: Annotated[
        bool, typer.Option("--excluded", "--aside", help="Only those excluded.")
    ] = False,
    text: TextColumn = "",
    key: KeyColumn = "",
    solution: SolutionColumn = "",
    delimiter: Delimiter = "",
    encoding: EncodingName = "",
    sheet: SheetName = "",
    decimal: DecimalSign = "",
) -> None:
    """Show every problem, its inferred answer kind, and why any is excluded. Asks no model."""
    from potstill.planning.listing import print_problems
    from potstill.problems import Columns

    columns = Columns(text, key, solution, delimiter, encoding, sheet, decimal)
    print_problems(file, terminal(), only_aside=aside, columns=columns)


def overlap(
    a: Annotated[Path, typer.Argument(help="A file or folder of problems, or a study file.")],
    b: Annotated[Path | None, typer.Argument(help="Another one.  [default: A with itself]")] = None,
    threshold: Annotated[
        float, typer.Option(help="The share of characters that two near problems have in common.")
    ] = 0.9,
    out: Annotated[
        Path | None, typer.Option(help="Write all pairs here too (csv or jsonl).")
    ] = None,
) -> None:
    """Show which problems of two files are the same, or nearly the same, problem."""
    from potstill.cli.overlap import print_overlap

    print_overlap(a, b, threshold, out, terminal())


def grade(
    file: Annotated[Path, typer.Argument(help="A csv, xlsx, jsonl or parquet file of answers.")],
    gold: Annotated[str, typer.Option(help="The column of keys.")],
    response: Annotated[str, typer.Option(help="The column of responses.")],
    out: Annotated[str, typer.Option(help="Where the rows go: csv, jsonl, parquet, or -.")],
    problem: Annotated[str | None, typer.Option(help="The column of problem texts.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="The column of ids.")] = None,
    kind: Annotated[str | None, typer.Option(help="One answer kind for every row.")] = None,
    judge: Annotated[str | None, typer.Option(help="A model asked where it is undecided.")] = None,
    base_url: Annotated[
        str,
        typer.Option(
            help="The judge's OpenAI-compatible endpoint.  [default: https://api.openai.com/v1]"
        ),
    ] = "",
    api_key_env: Annotated[
        str,
        typer.Option(
            help="The environment variable that holds the judge's key.  [default: OPENAI_API_KEY]"
        ),
    ] = "",
    delimiter: Delimiter = "",
    encoding: EncodingName = "",
    sheet: SheetName = "",
) -> None:
    """Grade a file of answers against its keys; print how many had which outcome."""
    from contextlib import ExitStack

    from potstill.cli.outputs import check_output
    from potstill.grading import grade_table
    from potstill.grading.table import ADDED
    from potstill.problems import Columns
    from potstill.store.rows import table_notes

    if judge is None:
        needs("--base-url", base_url, "--judge, the model that is asked there")
        needs("--api-key-env", api_key_env, "--judge, the model whose key it is")
    form = Columns(delimiter=delimiter, encoding=encoding, sheet=sheet).form
    columns = [name for name in (gold, response, problem) if name is not None]
    if twice := next((name for name in columns if columns.count(name) > 1), ""):
        raise InputError(
            f"the column {twice!r} is given twice; --gold, --response and --problem are a column "
            "each."
        )
    if out == "-":
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # as JSON Lines are, whatever the terminal is
    else:
        check_output("--out", Path(out), file, holds=ADDED)
    with ExitStack() as stack:
        asked = None
        if judge is not None:
            from potstill.ledger.ledger import Ledger
            from potstill.plugins import SOLVERS
            from potstill.solvers import api
            from potstill.study.schema import load_options

            ledger = stack.enter_context(Ledger.open(file.with_suffix(".judge.sqlite")))
            given = {"model": judge, "base_url": base_url or "https://api.openai.com/v1"}
            if api_key_env:
                given["api_key_env"] = api_key_env
            options = load_options(SOLVERS, "api", given, ())
            there = api.key_there(options)
            if api_key_env and there is not None and not there[1]:
                raise InputError(f"--judge: {there[0]}; set it, or leave --api-key-env out.")
            asked = stack.enter_context(api.open_solver(options, ledger))
        counts = grade_table(
            file,
            gold=gold,
            response=response,
            problem=problem,
            id=id_,
            kind=kind,
            judge=asked,
            out=out,
            form=form,
        )
    for note in table_notes(file, form):
        print(note, file=sys.stderr)
    listed = ", ".join(f"{n:,} {name}" for name, n in counts.most_common())
    # standard output holds the rows where --out is -
    print(
        f"{sum(counts.values()):,} graded: {listed}", file=sys.stderr if out == "-" else sys.stdout
    )


def equal(
    a: Annotated[str, typer.Argument(help="The key.")],
    b: Annotated[str, typer.Argument(help="The answer.")],
    kind: Annotated[str, typer.Option(help="The answer kind; inferred from the key.")] = "",
) -> None:
    """Say whether two answers are equal, and why; exit 0 if they are, 1 if not, 3 if undecided."""
    from potstill.grading.comparing import compare_answers

    opinion, why = compare_answers(a, b, kind)
    print(opinion.value.lower() + (f" ({why})" if why else ""))
    raise typer.Exit({"EQUAL": 0, "DIFFERENT": 1}.get(opinion.value, 3))


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            help="A csv, jsonl or parquet of replies, a ledger.sqlite, or a study file."
        ),
    ],
    port: Annotated[
        int, typer.Option(callback=port_there_is, help="The port on 127.0.0.1; 0 takes a free one.")
    ] = 8011,
    model: Annotated[str, typer.Option(help="The model it answers for.  [default: any]")] = "",
    question: Annotated[str, typer.Option(help="A table's column of questions.")] = "",
    text: Annotated[str, typer.Option(help="A table's column of replies.")] = "",
    reasoning: Annotated[str, typer.Option(help="A table's column of reasoning.")] = "",
    finish: Annotated[str, typer.Option(help="A table's column of finish reasons.")] = "",
) -> None:
    """Serve recorded replies as an OpenAI-compatible endpoint on this machine."""
    from potstill.cli.replay import serve_file

    columns = {
        "model": model,
        "question": question,
        "text": text,
        "reasoning": reasoning,
        "finish": finish,
    }
    serve_file(file, port, terminal(), columns=columns)


DATA = (problems, overlap, grade, equal, replay)
