"""The replay command: recorded answers behind a local HTTP endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cli.options import needs
from potstill.errors import InputError
from potstill.plugins import SOLVERS, load_plugin, nearest
from potstill.protocol.server import create_app, run
from potstill.solvers.replay import ANY_MODEL, Recording, ReplayFile
from potstill.store.rows import SUFFIXES, read_columns
from potstill.text import literal

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["serve_file"]

_NAMED = 5
"""So many tables of a folder are named."""


def serve_file(
    file: Path, port: int, console: Console, *, columns: Mapping[str, str] | None = None
) -> None:
    """Serve recorded replies until interrupted.

    ``file`` is a table (csv, jsonl, parquet), a ledger or the study directory that has it, or a
    study file whose replay agents are served. A table's ``columns`` (model, question, text,
    reasoning, finish, messages) are guessed where they are not given; it answers for any model
    unless ``model`` names one.
    """
    given = {name: value for name, value in (columns or {}).items() if value}
    file = _kept_in(file)
    if file.suffix.lower() in SUFFIXES:
        table = _table_of(file, given)
        told = {k: v for k, v in table.model_dump().items() if v and k not in ("path", "model")}
        console.print(
            f"[dim]{literal(f'{file} read as {told}')}[/dim]", highlight=False, soft_wrap=True
        )
        recording = Recording.read([table])
    else:
        for name in given:
            needs(f"--{name}", given[name], f"a table; {file} says itself what it holds")
        recording = Recording.read(_files_of(file))

    def ready(base_url: str) -> None:
        replies = "reply" if recording.size == 1 else "replies"
        models = ", ".join("any model" if x == ANY_MODEL else x for x in recording.models)
        console.print(
            f"{recording.size:,} {replies} of {literal(models)} at {base_url} (Ctrl-C ends it)",
            highlight=False,
            soft_wrap=True,
        )

    run(create_app(recording.reply, recording.models), port, ready=ready)


def _kept_in(path: Path) -> Path:
    """Return the file that a folder stands for: a study's ledger, or the study file in it."""
    folder = path.parent if path.name == "study.json" else path
    if not folder.is_dir():
        return path
    if (ledger := folder / "ledger.sqlite").is_file():
        return ledger
    if path.name != "study.json" and (study := folder / "study.yaml").is_file():
        return study
    if path.is_file():
        return path
    tables = sorted(x.name for x in folder.iterdir() if x.suffix.lower() in SUFFIXES)
    there = f" of it: {', '.join(tables[:_NAMED])}" if tables else ", a ledger or a study file"
    raise InputError(f"{path} is a folder without a ledger.sqlite; give one table{there}.")


_GUESSES = {
    "question": ("question", "problem", "prompt", "input", "instruction"),
    "text": ("text", "response", "reply", "completion", "output", "content", "agent1_answer",
             "answer"),
    "reasoning": ("reasoning", "reasoning_content", "thinking", "agent1_reasoning"),
    "finish": ("finish", "finish_reason"),
}  # fmt: skip


def _table_of(file: Path, given: Mapping[str, str]) -> ReplayFile:
    """Return a table of replies with its columns, guessed by name where they are not given."""
    there = read_columns(file)
    for name in (name for key, name in given.items() if key != "model"):
        if name not in there:
            raise InputError(f"{file} has no column {name!r}{nearest(name, there)}.")
    lowered = {column.casefold(): column for column in reversed(there)}
    found = dict(given)
    if "messages" in lowered and not {"question", "text", "messages"} & set(given):
        found["messages"] = lowered["messages"]
    for what, names in _GUESSES.items():
        guess = next((lowered[name] for name in names if name in lowered), "")
        if (
            guess
            and what not in found
            and not ("messages" in found and what in ("question", "text"))
        ):
            found[what] = guess
    for what in () if "messages" in found else ("question", "text"):
        if what not in found:
            raise InputError(
                f"{file} has no column that looks like the {what}; name it with --{what}. There "
                f"are: {', '.join(there)}."
            )
    # reasoning without a reply after it was cut at its limit
    cut = "reasoning" in found and "finish" not in found
    return ReplayFile(path=str(file), blank_is_cut=cut, **({"model": ANY_MODEL} | found))


def _files_of(file: Path) -> list[ReplayFile]:
    if file.suffix == ".sqlite":
        return [ReplayFile(path=str(file))]
    from potstill.study.agents import options_of
    from potstill.study.schema import load_study

    files: list[ReplayFile] = []
    for agent in load_study(file).agents().values():
        recorded = getattr(load_plugin(SOLVERS, agent.solver), "recorded_files", None)
        if recorded is not None:
            files += recorded(options_of(agent))
    if not files:
        raise InputError(
            f"{file} has no agent with `solver: replay`; give one, or a ledger.sqlite."
        )
    return files
