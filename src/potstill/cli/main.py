"""The command line: parse, one library call, print. Nothing is decided here."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from potstill.cli.checks import CHECKS
from potstill.cli.data import DATA
from potstill.cli.deploy import DEPLOY
from potstill.cli.options import (
    DecimalSign,
    Delimiter,
    EncodingName,
    JsonFile,
    KeyColumn,
    OtherStudyDir,
    SheetName,
    SolutionColumn,
    StudyDir,
    StudyFile,
    TextColumn,
    needs,
    outside_a_study,
    terminal,
)
from potstill.cli.usage import Command, Commands
from potstill.errors import InputError, PotstillError
from potstill.progress import TerminalProgress
from potstill.text import literal

if TYPE_CHECKING:
    from potstill.study.schema import Study

__all__ = ["app", "main"]

app = typer.Typer(
    name="potstill",
    cls=Commands,
    help="Distil a large model's reasoning into a compact student, and know whether it worked.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_STOPPED = 130  # 128 + SIGINT, as a shell tells it
_PIPE_CLOSED = 141  # 128 + SIGPIPE
_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE)


def _again(dropped: sys.UnraisableHookArgs) -> None:
    """Send again a Ctrl-C that fell where Python drops exceptions (a finalizer, a callback) comes
    again.
    """
    if not isinstance(dropped.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    import signal
    import threading

    # later, from outside: here it would be dropped again
    main_thread = threading.main_thread().ident
    threading.Timer(0.05, signal.pthread_kill, [main_thread, signal.SIGINT]).start()


def main() -> None:
    """Run the command line. Potstill's own errors end it with one sentence and code 2."""
    import logging

    # what is started from here imports nothing from the current folder, which is untrusted
    os.environ["PYTHONSAFEPATH"] = "1"

    # asyncio warns of every reply it cannot send to a client that has gone; errors are told below
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    sys.unraisablehook = _again
    # at its exit Python looks through all of torch for what could be let go, for seconds under load
    atexit.register(gc.freeze)
    try:
        with _output():
            app()
    except PotstillError as exc:
        print(f"potstill: {exc}", file=sys.stderr)
        raise SystemExit(2) from exc
    except Exception as exc:
        from potstill.plugins import failed_plugin

        told = failed_plugin(exc)
        if not told:
            raise
        print(f"potstill: {' '.join(told.split())}", file=sys.stderr)
        raise SystemExit(2) from exc
    except (KeyboardInterrupt, SystemExit) as exc:
        # typer makes of Ctrl-C an exit with this code, without a word
        if isinstance(exc, SystemExit) and exc.code != _STOPPED:
            raise
        print("potstill: stopped; what was finished is kept, run again to go on.", file=sys.stderr)
        raise SystemExit(_STOPPED) from None


@contextmanager
def _output() -> Iterator[None]:
    """Show what the terminal's encoding lacks as a question mark; end without a traceback where
    standard output cannot be written.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as exc:
        if exc.errno not in _UNWRITTEN or (exc.filename and exc.errno == errno.EPIPE):
            raise
        from potstill.errors import StoreError

        if exc.filename or not _is_of_output(exc):
            raise StoreError(
                f"{exc.filename or 'A file'} cannot be written ({exc.strerror}); free some space "
                "or name another place, then run again: what was finished is kept."
            ) from exc
        # what is left unwritten would be tried, and told of, once more at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if exc.errno == errno.EPIPE:
            raise SystemExit(_PIPE_CLOSED) from None
        raise StoreError(
            f"standard output cannot be written ({exc.strerror}); make room, or send it elsewhere."
        ) from exc


def _is_of_output(exc: OSError) -> bool:
    """Return whether standard output may be what refused: no pipe or terminal is ever full, and a
    file is not while its disk has room.
    """
    if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
        return True
    try:
        out = sys.stdout.fileno()
        mode = os.fstat(out).st_mode
        if stat.S_ISREG(mode):
            return os.fstatvfs(out).f_bavail == 0
        return not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(out))
    except (OSError, ValueError):  # it is no file at all, as where a program calls this one
        return False


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"potstill {version('potstill')}")
        raise typer.Exit


@app.callback()
def potstill(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Distil a large model's reasoning into a compact student, and know whether it worked."""


@app.command(cls=Command)
def init(
    name: Annotated[str, typer.Argument(help="The study's name; NAME/study.yaml is written.")],
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="A table of your own problems: a study of it is written."),
    ] = None,
    text: TextColumn = "",
    key: KeyColumn = "",
    solution: SolutionColumn = "",
    delimiter: Delimiter = "",
    encoding: EncodingName = "",
    sheet: SheetName = "",
    decimal: DecimalSign = "",
) -> None:
    """Write a commented study file that runs as it is, offline, and is ready to be changed.

    With --from, the study is of that table (csv, xlsx, jsonl, json or parquet): its columns are
    guessed, and worked solutions become the lessons, so that no API key is needed.
    """
    from potstill.problems import Columns

    columns = Columns(text, key, solution, delimiter, encoding, sheet, decimal)
    if from_ is None:
        from potstill.study.templates import write_study

        if columns != Columns():
            raise InputError("columns are those of a table; name it with --from FILE.")
        path = write_study(name, Path.cwd())
        terminal().print(f"Wrote {path}. Read it, change it, then: potstill run {path}")
        return
    from potstill.planning.own_table import start_study

    started = start_study(name, Path.cwd(), from_, columns)
    console = terminal()
    for line in started.said:
        console.print(literal(line), highlight=False)
    where = started.path.relative_to(Path.cwd())
    console.print(
        f"Wrote {where} and problems.csv beside it. Look at it, then: potstill run {where}",
        highlight=False,
    )


@app.command(cls=Command)
def run(
    study: StudyFile,
    out: Annotated[
        Path | None,
        typer.Option(callback=outside_a_study, help="The study directory.  [default: runs/NAME]"),
    ] = None,
    until: Annotated[str, typer.Option(help="Stop after this stage.", show_default=False)] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, print problems, calls and settings; stop.")
    ] = False,
    every_setting: Annotated[
        bool, typer.Option("--all", help="With --dry-run: the settings at their default too.")
    ] = False,
    on: Annotated[str, typer.Option(help="ray, or ray://HOST:PORT.  [default: this process]")] = "",
) -> None:
    """Run every part of a study that is not up to date; run it again to go on after a stop."""
    from potstill.study.schema import load_study

    if every_setting and not dry_run:
        raise InputError("--all shows the settings of a dry run; give --dry-run with it.")
    if dry_run:
        needs("--until", until, "a run; a dry run looks at all of the study. Give one of the two")
        from potstill.planning.plan import print_plan

        directory = _place(study, load_study(study), out)
        print_plan(study, directory, terminal(), every_setting=every_setting, on=on)
        return
    loaded = load_study(study)
    _run(loaded, _place(study, loaded, out), until.casefold(), on)


@app.command(cls=Command)
def train(
    study: StudyFile,
    out: Annotated[
        Path | None,
        typer.Option(callback=outside_a_study, help="The study directory.  [default: runs/NAME]"),
    ] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Run one long cell and find where it overfits.")
    ] = False,
    iterations: Annotated[
        int | None,
        typer.Option(
            help="How long the diagnosed cell is.  [default: 1000]", min=5, max=10_000_000
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Time a few steps; print hours and memory; stop.")
    ] = False,
) -> None:
    """Train a study's students, or first see how long that takes and where they overfit."""
    if diagnose and dry_run:
        raise InputError(
            "--diagnose trains, and asks the teacher where no lessons are yet; --dry-run does "
            "neither. Give one of the two."
        )
    if not diagnose:
        needs("--iterations", iterations, "--diagnose, whose cell it is the length of")
    from potstill.analysis import calibrate
    from potstill.study.schema import load_study

    loaded = load_study(study)
    directory, console = _place(study, loaded, out), terminal()
    if diagnose:
        found, path = calibrate.diagnose_study(
            loaded, directory, iterations or 1000, TerminalProgress(console)
        )
        calibrate.print_diagnosis(found, path, console)
    elif dry_run:
        times = calibrate.time_grid(loaded, directory, TerminalProgress(console))
        calibrate.print_times(times, console)
    else:
        _run(loaded, directory, "train")


@app.command(cls=Command)
def demo(
    out: Annotated[Path, typer.Option(help="The study directory.")] = Path("runs/demo"),
) -> None:
    """Run a whole study in the pocket world: offline, over real HTTP, in minutes."""
    from potstill.study.schema import load_study
    from potstill.study.templates import DEMO_STUDY

    if not (out / "study.json").exists():
        if out.is_dir() and any(out.iterdir()) and not (out / "potstill.json").exists():
            raise InputError(
                f"{out} holds files that are no study's; give a new or an empty directory with "
                "--out."
            )
        from potstill.cores import core_count

        cores = core_count()
        # measured without a GPU: 60 s that one core works, and six students of 28 s side by side
        minutes = (60 + 28 * -(-6 // min(cores, 6))) / 60
        terminal().print(f"A whole study, offline: about {minutes:.0f} minutes on {cores} cores.")
    _run(load_study(DEMO_STUDY), out, "")


@app.command(cls=Command)
def status(directory: StudyDir) -> None:
    """Show a study's stages: which are up to date, what they hold, what was spent."""
    from potstill.cli.status import print_status

    print_status(directory, terminal())


@app.command(cls=Command)
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
    from potstill.cli import ledger as ledger_view

    console = terminal()
    if (export is not None) + (import_ is not None) + verify > 1:
        raise InputError("--verify, --export and --import are one each; give one of them.")
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


@app.command(cls=Command)
def inspect(
    directory: StudyDir,
    problem: Annotated[
        str, typer.Argument(help="A problem's id.  [default: list all]", show_default=False)
    ] = "",
    level: Annotated[str, typer.Option(help="Only this level (R0 to R6).")] = "",
    flag: Annotated[str, typer.Option(help="Only where this gate fired (wrong answer).")] = "",
    split: Annotated[str, typer.Option(help="Only this split: train, valid, heldout, kept.")] = "",
    side: Annotated[str, typer.Option(hidden=True)] = "",
    gates: Annotated[bool, typer.Option("--gates", help="Count what each gate saw.")] = False,
) -> None:
    """Show any problem with its reasoning at every level, its flags and verdicts."""
    from potstill.analysis.filters import ProblemFilter
    from potstill.cli import inspect as inspecting
    from potstill.pipeline.directory import StudyDirectory

    if side:
        raise InputError("--side is called --split now; give that.")
    wanted = ProblemFilter.of(split, flag, level)
    if problem:
        for option, value in (("--split", split), ("--flag", flag), ("--gates", gates)):
            needs(option, value, f"the list of all problems; leave out {problem}")
    if gates:
        needs("--split", split, "the list of problems; what gates saw is not told by split")
    found = StudyDirectory.open(directory)
    inspecting.check_level(found, wanted.level)
    if problem:
        inspecting.print_problem(found, problem, wanted.level, terminal())
    elif gates:
        inspecting.print_gates(found, wanted, terminal())
    else:
        inspecting.print_problems(found, wanted, terminal())


@app.command(cls=Command)
def review(directory: StudyDir) -> None:
    """Rule on answers that could not be read, then on disagreements; the next run obeys."""
    from potstill.cli.review import review_study

    review_study(directory, terminal())


@app.command(cls=Command)
def compare(
    study_a: StudyDir,
    study_b: OtherStudyDir,
    json_: JsonFile = None,
) -> None:
    """Set two finished studies side by side, paired where problems and conditions are the same."""
    from potstill.cli.compare import show_comparison

    show_comparison(study_a, study_b, json_, terminal())


@app.command(cls=Command)
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
    seed: Annotated[int | None, typer.Option(help="Draws the sample.  [default: 0]", min=0)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=outside_a_study, help="The study file's directory.  [default: runs/NAME]"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the price; stop.")] = False,
    json_: JsonFile = None,
) -> None:
    """Show where the base trails the teacher, group by group: what there is to distil.

    A study directory is read. Of a study file, base and teacher are asked a sample of the problems
    to be taught from, the price printed first; its run does not buy those replies again.
    """
    from potstill.analysis.gap import show_gap

    if json_ is not None:
        from potstill.cli.outputs import EXPLORATORY, check_output

        check_output("--json", json_, study, holds=EXPLORATORY)
    show_gap(study, out, (sample, seed), terminal(), dry_run=dry_run, json_file=json_)


def _place(path: Path, study: Study, out: Path | None) -> Path:
    """Return the directory of a study file's run.

    Raises InputError for a run's own copy of its study, which would begin anew and buy all again.
    """
    from potstill.study.schema import default_directory

    if out is None and path.name == "study.json":
        raise InputError(
            f"{path} is what a run keeps of its study, and it would begin anew in "
            f"{default_directory(study)}; go on where it was with --out {path.parent}."
        )
    return out or default_directory(study)


def _run(study: Study, directory: Path, until: str, on: str = "") -> None:
    from potstill.analysis.terminal import print_table
    from potstill.pipeline.run import run_study

    console = terminal()
    progress = TerminalProgress(console)
    report = run_study(study, directory, progress=progress, until=until, on=on)
    if report is None:
        console.print(f"Stopped after {until}. The same command without --until goes on.")
        return
    print_table(report, console)
    page = (directory / "report" / "index.html").resolve()
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)
    where = shlex.quote(str(directory))
    console.print(
        f'Next: potstill ask {where} "a problem", potstill tutor {where}, '
        f"potstill inspect {where}.",
        highlight=False,
        soft_wrap=True,
    )


# an answer and a problem may begin with a minus sign
_TEXTS = {"equal", "ask"}
for command in (*DATA, *DEPLOY, *CHECKS):
    name = command.__name__.rstrip("_")
    settings = {"ignore_unknown_options": name in _TEXTS}
    app.command(name, cls=Command, context_settings=settings)(command)
