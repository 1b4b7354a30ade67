"""The command line: parse, one library call, print. Nothing is decided here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from potstill.cli_checks import CHECKS

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.study import Study

__all__ = ["app", "main"]

app = typer.Typer(
    name="potstill",
    help="Distil a large model's reasoning into a compact student, and know whether it worked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for check in CHECKS:
    app.command()(check)

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML).", show_default=False)]
StudyDir = Annotated[
    Path, typer.Argument(help="The study directory that potstill run made.", show_default=False)
]

JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write all of it to this file too, as JSON.")
]
BestStudent = Annotated[
    str, typer.Option(help="A student's id, or its level and seed.  [default: the best]")
]
EngineName = Annotated[str, typer.Option(help="auto, transformers, mlx or llama.")]
BasePath = Annotated[str, typer.Option(help="Where the base model is, if it has moved.")]


_STOPPED = 130  # 128 + SIGINT, as a shell tells it


def main() -> None:
    """Nothing; runs the command line. Potstill's own errors end it with one sentence and code 2."""
    import logging

    from potstill.errors import PotstillError

    # asyncio warns of every reply it cannot send to a client that has gone; errors are told below
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    try:
        app()
    except PotstillError as exc:
        print(f"potstill: {exc}", file=sys.stderr)
        raise SystemExit(2) from exc
    except (KeyboardInterrupt, SystemExit) as exc:
        # typer makes of Ctrl-C an exit with this code, without a word
        if isinstance(exc, SystemExit) and exc.code != _STOPPED:
            raise
        print("potstill: stopped; what was finished is kept, run again to go on.", file=sys.stderr)
        raise SystemExit(_STOPPED) from None


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The study's name; NAME/study.yaml is written.")],
) -> None:
    """Write a commented study file that runs as it is, offline, and is ready to be changed."""
    from potstill.templates import write_study

    path = write_study(name, Path.cwd())
    _console().print(f"Wrote {path}. Read it, change it, then: potstill run {path}")


@app.command()
def run(
    study: StudyFile,
    out: Annotated[
        Path | None, typer.Option(help="The study directory.  [default: runs/NAME]")
    ] = None,
    until: Annotated[str, typer.Option(help="Stop after this stage.", show_default=False)] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Validate, print every setting and the calls; stop.")
    ] = False,
) -> None:
    """Run every part of a study that is not fresh; run it again to go on after a stop."""
    from potstill.study import load_study

    if dry_run:
        from potstill.plan import print_plan

        print_plan(study, out or Path("runs") / load_study(study).name, _console())
        return
    loaded = load_study(study)
    _run(loaded, out or Path("runs") / loaded.name, until)


@app.command()
def train(
    study: StudyFile,
    out: Annotated[
        Path | None, typer.Option(help="The study directory.  [default: runs/NAME]")
    ] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Run one long cell and find where it overfits.")
    ] = False,
    iterations: Annotated[int, typer.Option(help="How long the diagnosed cell is.", min=5)] = 1000,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Time a few steps; print hours and memory; stop.")
    ] = False,
) -> None:
    """Train a study's students, or first see how long that takes and where they overfit."""
    from potstill import rehearsal
    from potstill.progress import TerminalProgress
    from potstill.study import load_study

    loaded = load_study(study)
    directory, console = out or Path("runs") / loaded.name, _console()
    if diagnose:
        found, path = rehearsal.diagnose_study(
            loaded, directory, iterations, TerminalProgress(console)
        )
        rehearsal.print_diagnosis(found, path, console)
    elif dry_run:
        times = rehearsal.time_grid(loaded, directory, TerminalProgress(console))
        rehearsal.print_times(times, console)
    else:
        _run(loaded, directory, "train")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The study directory.")] = Path("runs/demo"),
) -> None:
    """Run a whole study in the pocket world: offline, over real HTTP, in minutes."""
    from potstill.study import load_study
    from potstill.templates import DEMO_STUDY

    _run(load_study(DEMO_STUDY), out, "")


@app.command()
def status(directory: StudyDir) -> None:
    """Show a study's stages: which are fresh, what they hold, what was spent."""
    from potstill.status import print_status

    print_status(directory, _console())


@app.command()
def ledger(
    directory: Annotated[
        Path, typer.Argument(help="A study directory or a ledger.sqlite.", show_default=False)
    ],
    verify: Annotated[
        bool, typer.Option("--verify", help="Derive every key and check every byte again.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write every reply to this file, one JSON object a line.")
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option("--import", help="Add the replies of an exported file or another ledger."),
    ] = None,
) -> None:
    """Show what was bought by stage, model and day; check it, move it, merge it."""
    from potstill import ledger_view

    console = _console()
    if export is not None:
        count = ledger_view.export_ledger(directory, export)
        console.print(f"{count:,} replies written to {export}.", highlight=False)
    elif import_ is not None:
        merged = ledger_view.import_into(directory, import_)
        console.print(
            f"{merged.added:,} replies added, {merged.already:,} already there, "
            f"{merged.different:,} with another reply here (ours kept).",
            highlight=False,
        )
    elif not verify:
        ledger_view.print_spend(directory, console)
    elif not ledger_view.print_verified(directory, console):
        raise typer.Exit(1)


@app.command()
def inspect(
    directory: StudyDir,
    problem: Annotated[
        str, typer.Argument(help="A problem's id.  [default: list all]", show_default=False)
    ] = "",
    level: Annotated[str, typer.Option(help="Only this level (R0 to R6).")] = "",
    flag: Annotated[str, typer.Option(help="Only where this gate fired (wrong answer).")] = "",
    side: Annotated[str, typer.Option(help="Only this side: train, valid or heldout.")] = "",
    gates: Annotated[bool, typer.Option("--gates", help="Count what each gate saw.")] = False,
) -> None:
    """Show any problem with its reasoning at every level, its flags and verdicts."""
    from potstill import inspecting

    wanted = inspecting.Wanted(side, flag, level)
    found = inspecting.look(directory)
    if problem:
        inspecting.print_problem(found, problem, level, _console())
    elif gates:
        inspecting.print_gates(found, wanted, _console())
    else:
        inspecting.print_problems(found, wanted, _console())


@app.command()
def problems(
    file: Annotated[
        Path, typer.Argument(help="A study file, a data file or a folder of problems.")
    ],
    aside: Annotated[bool, typer.Option("--aside", help="Only those set aside.")] = False,
) -> None:
    """Show every problem, its inferred answer kind, and why any is set aside. Asks no model."""
    from potstill.plan import print_problems

    print_problems(file, _console(), only_aside=aside)


@app.command()
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
    from potstill.overlap_view import print_overlap

    print_overlap(a, b, threshold, out, _console())


@app.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            help="A csv, jsonl or parquet of replies, a ledger.sqlite, or a study file."
        ),
    ],
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1; 0 takes a free one.")] = 8011,
    model: Annotated[str, typer.Option(help="The model it answers for.  [default: any]")] = "",
    question: Annotated[str, typer.Option(help="A table's column of questions.")] = "",
    text: Annotated[str, typer.Option(help="A table's column of replies.")] = "",
    reasoning: Annotated[str, typer.Option(help="A table's column of reasoning.")] = "",
    finish: Annotated[str, typer.Option(help="A table's column of finish reasons.")] = "",
) -> None:
    """Serve recorded replies as an OpenAI-compatible endpoint on this machine."""
    from potstill.solvers.replay import serve_file

    columns = {
        "model": model,
        "question": question,
        "text": text,
        "reasoning": reasoning,
        "finish": finish,
    }
    serve_file(file, port, _console(), columns=columns)


@app.command()
def grade(
    file: Annotated[Path, typer.Argument(help="A csv, jsonl or parquet file of answers.")],
    gold: Annotated[str, typer.Option(help="The column of keys.")],
    response: Annotated[str, typer.Option(help="The column of responses.")],
    out: Annotated[str, typer.Option(help="Where the rows go: csv, jsonl, parquet, or -.")],
    problem: Annotated[str | None, typer.Option(help="The column of problem texts.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="The column of ids.")] = None,
    kind: Annotated[str | None, typer.Option(help="One answer kind for every row.")] = None,
    judge: Annotated[str | None, typer.Option(help="A model asked where it is undecided.")] = None,
    base_url: Annotated[
        str, typer.Option(help="The judge's OpenAI-compatible endpoint.")
    ] = "https://api.openai.com/v1",
    api_key_env: Annotated[
        str, typer.Option(help="The environment variable that holds the judge's key.")
    ] = "OPENAI_API_KEY",
) -> None:
    """Grade a file of answers against its keys; print how many had which outcome."""
    from contextlib import ExitStack

    from potstill.grading import grade_table

    with ExitStack() as stack:
        asked = None
        if judge is not None:
            from potstill.ledger import Ledger
            from potstill.solvers import api

            ledger = stack.enter_context(Ledger.open(file.with_suffix(".judge.sqlite")))
            options = api.Options(model=judge, base_url=base_url, api_key_env=api_key_env)
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
        )
    listed = ", ".join(f"{n:,} {name}" for name, n in counts.most_common())
    # standard output holds the rows where --out is -
    print(
        f"{sum(counts.values()):,} graded: {listed}", file=sys.stderr if out == "-" else sys.stdout
    )


@app.command()
def equal(
    a: Annotated[str, typer.Argument(help="The key.")],
    b: Annotated[str, typer.Argument(help="The answer.")],
    kind: Annotated[str, typer.Option(help="The answer kind; inferred from the key.")] = "",
) -> None:
    """Say whether two answers are equal, and why; exit 0 if they are, 1 if not."""
    from potstill.grading import GradingPool, KeyUnreadable, infer_kind
    from potstill.records import Opinion

    with GradingPool(workers=1) as pool:
        try:
            found = pool.equal(a, b, kind or infer_kind(a))
        except KeyUnreadable as exc:
            print(f"different ({exc})")
            raise typer.Exit(1) from exc
    same = found.opinion is Opinion.EQUAL
    print(("equal" if same else "different") + (f" ({found.why})" if found.why else ""))
    raise typer.Exit(0 if same else 1)


@app.command()
def corpus(
    directory: StudyDir,
    to: Annotated[
        Literal["dataset", "messages"],
        typer.Option(help="A Hugging Face dataset, or chats as JSONL (mlx-lm, TRL, Axolotl, ...)."),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write; new, or empty.")],
    level: Annotated[
        list[str] | None, typer.Option(help="Only this level; may be given again.  [default: all]")
    ] = None,
) -> None:
    """Write a study's verified lessons for others to train on, with a card. Buys nothing."""
    from potstill.deploy.corpus import export_corpus

    exported = export_corpus(directory, out, to, level or ())
    for name, counts in exported.lessons.items():
        print(f"{name}: " + ", ".join(f"{n:,} {split}" for split, n in counts.items()))
    print(f"Written: {exported.folder}")


@app.command("log")
def log_(
    directory: StudyDir,
    to: Annotated[Literal["inspect"], typer.Option(help="The format: Inspect's .eval files.")],
    out: Annotated[Path, typer.Option(help="The folder to write; new, or empty.")],
) -> None:
    """Write every response and verdict as logs that inspect view opens. Buys nothing."""
    from potstill.deploy.inspect_log import export_logs, print_logs

    print_logs(export_logs(directory, out), _console())


@app.command()
def review(directory: StudyDir) -> None:
    """Rule on the answers the two graders disagree on; the next run obeys the rulings."""
    from potstill.reviewing import review_study

    review_study(directory, _console())


@app.command()
def export(
    directory: StudyDir,
    student: Annotated[str, typer.Option(help="A student's id, or its level and seed (R3-s0).")],
    to: Annotated[str, typer.Option(help="peft, mlx, merged, gguf or ollama.")],
    out: Annotated[Path | None, typer.Option(help="[default: STUDY/exports/ID-FORM]")] = None,
    base: BasePath = "",
    dtype: Annotated[str, typer.Option(help="A merged model's dtype, if not the base's.")] = "",
    quantise: Annotated[str, typer.Option(help="A GGUF file's weights: f16 or q8_0.")] = "f16",
    reask: Annotated[int, typer.Option(min=0, help="How many problems it is asked again.")] = 50,
) -> None:
    """Write a student for peft, mlx-lm, transformers, llama.cpp or Ollama, and ask it again."""
    from potstill.deploy.exporting import Export, export_student
    from potstill.deploy.finding import find_student

    found = find_student(directory, student)
    place = out or directory / "exports" / f"{found.student.id}-{to}"
    reasked = export_student(found, Export(to, place, base, dtype, quantise, reask))
    _console().print(f"{place}\n{reasked.sentence}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def convert(
    adapter: Annotated[Path, typer.Argument(help="An adapter's folder.", show_default=False)],
    to: Annotated[str, typer.Option(help="peft (from mlx-lm's layout) or mlx (from PEFT's).")],
    base: Annotated[Path, typer.Option(help="The base model's folder, at full precision.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
) -> None:
    """Turn any LoRA adapter from mlx-lm's layout into PEFT's or back, to the bit."""
    from potstill.deploy.mlx_adapter import convert_adapter

    convert_adapter(adapter, to, base, out)
    print(f"Written: {out}")


@app.command()
def serve(
    directory: StudyDir,
    student: BestStudent = "",
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1; 0 takes a free one.")] = 8012,
    engine: EngineName = "auto",
    base: BasePath = "",
) -> None:
    """Serve a student as an OpenAI-compatible endpoint on this machine, with the study's prompt."""
    from potstill.deploy.finding import find_student
    from potstill.deploy.serving import serve_student

    serve_student(find_student(directory, student), engine, base, port, _console())


@app.command()
def ask(
    directory: StudyDir,
    problem: Annotated[str, typer.Argument(help="The problem, in quotes.", show_default=False)],
    student: BestStudent = "",
    level: Annotated[str, typer.Option(help="The level, such as R3.")] = "",
    engine: EngineName = "auto",
    base: BasePath = "",
) -> None:
    """Have a student answer a problem here, and say how sure the study is of it."""
    from potstill.deploy.asking import print_answer
    from potstill.deploy.engines import open_engine
    from potstill.deploy.finding import find_student

    found = find_student(directory, student or level)
    with open_engine(found, engine, base, batch_size=1) as opened:
        print_answer(found, opened, problem, _console())


@app.command()
def tutor(
    directory: StudyDir,
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8013,
    host: Annotated[
        str, typer.Option(help="Where it listens; anywhere but here asks for a token.")
    ] = "127.0.0.1",
    mix: Annotated[
        bool, typer.Option("--mix", help="Ask the mixed student, at each of its levels.")
    ] = False,
    engine: Annotated[str, typer.Option(help="auto, transformers or mlx.")] = "auto",
    base: BasePath = "",
) -> None:
    """Serve a page on which the students solve problems at any level, beside their teacher."""
    from potstill.deploy.tutor import serve_tutor

    serve_tutor(directory, _console(), port=port, host=host, mixed=mix, engine=engine, base=base)


@app.command()
def compare(
    study_a: StudyDir,
    study_b: Annotated[Path, typer.Argument(help="Another one.", show_default=False)],
    json_: JsonFile = None,
) -> None:
    """Set two finished studies side by side, paired where problems and conditions are the same."""
    from potstill.comparing_view import show_comparison

    show_comparison(study_a, study_b, json_, _console())


@app.command()
def gap(
    study: Annotated[
        Path,
        typer.Argument(
            help="A study directory, or a study file to ask a sample of.", show_default=False
        ),
    ],
    sample: Annotated[
        int | None, typer.Option(min=1, help="How many problems are asked.  [default: 100]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the sample.  [default: 0]")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The study file's directory.  [default: runs/NAME]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the price; stop.")] = False,
    json_: JsonFile = None,
) -> None:
    """Show where the base trails the teacher, group by group: what there is to distil.

    A study directory is read. Of a study file, base and teacher are asked a sample of the problems
    to be taught from, the price printed first; its run does not buy those replies again.
    """
    from potstill.gap import show_gap

    show_gap(study, out, (sample, seed), _console(), dry_run=dry_run, json_file=json_)


def _run(study: Study, directory: Path, until: str) -> None:
    from potstill.pipeline import run_study
    from potstill.progress import TerminalProgress
    from potstill.report.terminal import print_table

    console = _console()
    report = run_study(study, directory, progress=TerminalProgress(console), until=until)
    if report is None:
        console.print(f"Stopped after {until}. Go on with the same command without --until.")
        return
    print_table(report, console)
    page = (directory / "report" / "index.html").resolve()
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    return Console()
