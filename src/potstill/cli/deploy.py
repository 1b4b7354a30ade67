"""The commands that take a corpus or a student out of its study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.options import (
    BasePath,
    BestStudent,
    EngineName,
    StudyDir,
    needs,
    outside_a_study,
    port_there_is,
    say_loading,
    terminal,
)
from potstill.errors import InputError

__all__ = ["DEPLOY"]


def corpus(
    directory: StudyDir,
    to: Annotated[
        str,
        typer.Option(
            help="dataset (Hugging Face), or messages: chats as JSONL (mlx-lm, TRL, Axolotl, ...)."
        ),
    ],
    out: Annotated[
        Path, typer.Option(callback=outside_a_study, help="The folder to write; new, or empty.")
    ],
    level: Annotated[
        list[str] | None, typer.Option(help="Only this level; may be given again.  [default: all]")
    ] = None,
) -> None:
    """Write a study's verified lessons for others to train on, with a card. Buys nothing."""
    from potstill.deploy.export.corpus import export_corpus

    exported = export_corpus(directory, out, to, level or ())
    for name, counts in exported.lessons.items():
        print(f"{name}: " + ", ".join(f"{n:,} {split}" for split, n in counts.items()))
    print(f"Written: {exported.folder}")


def log_(
    directory: StudyDir,
    to: Annotated[str, typer.Option(help="inspect: Inspect's .eval files.")],
    out: Annotated[
        Path, typer.Option(callback=outside_a_study, help="The folder to write; new, or empty.")
    ],
) -> None:
    """Write every response and verdict as logs that inspect view opens. Buys nothing."""
    from potstill.deploy.export.inspect_log import export_logs, print_logs
    from potstill.plugins import choose

    choose("format", to, ["inspect"])
    print_logs(export_logs(directory, out), terminal())


def export(
    directory: StudyDir,
    student: Annotated[str, typer.Option(help="A student's id, or its level and seed (R3-s0).")],
    to: Annotated[str, typer.Option(help="peft, mlx, merged, gguf or ollama.")],
    out: Annotated[
        Path | None,
        typer.Option(callback=outside_a_study, help="[default: STUDY/exports/ID-FORM]"),
    ] = None,
    base: BasePath = "",
    dtype: Annotated[str, typer.Option(help="A merged model's dtype, if not the base's.")] = "",
    quantise: Annotated[
        str, typer.Option(help="A GGUF file's weights: f16 or q8_0.  [default: f16]")
    ] = "",
    reask: Annotated[int, typer.Option(min=0, help="How many problems it is asked again.")] = 50,
) -> None:
    """Write a student for peft, mlx-lm, transformers, llama.cpp or Ollama, and ask it again."""
    from potstill.analysis.students import find_student
    from potstill.deploy.export.exporting import FORMS, Export, export_student
    from potstill.plugins import choose

    to = choose("form", to, FORMS)
    if to not in ("merged", "ollama"):
        needs("--dtype", dtype, "--to merged, whose weights it is of")
    if to not in ("gguf", "ollama"):
        needs("--quantise", quantise, "--to gguf or ollama, which hold a GGUF file")
    found = find_student(directory, student)
    place = out or directory / "exports" / f"{found.student.id}-{to}"
    reasked = export_student(found, Export(to, place, base, dtype, quantise or "f16", reask))
    terminal().print(f"{place}\n{reasked.sentence}", highlight=False, markup=False, soft_wrap=True)


def convert(
    adapter: Annotated[Path, typer.Argument(help="An adapter's folder.", show_default=False)],
    to: Annotated[str, typer.Option(help="peft (from mlx-lm's layout) or mlx (from PEFT's).")],
    base: Annotated[Path, typer.Option(help="The base model's folder, at full precision.")],
    out: Annotated[Path, typer.Option(callback=outside_a_study, help="A new folder.")],
) -> None:
    """Turn any LoRA adapter from mlx-lm's layout into PEFT's or back, to the bit."""
    from potstill.deploy.export.mlx_adapter import convert_adapter

    convert_adapter(adapter, to, base, out)
    print(f"Written: {out}")


def serve(
    directory: StudyDir,
    student: BestStudent = "",
    port: Annotated[
        int, typer.Option(callback=port_there_is, help="The port on 127.0.0.1; 0 takes a free one.")
    ] = 8012,
    engine: EngineName = "auto",
    base: BasePath = "",
) -> None:
    """Serve a student as an OpenAI-compatible endpoint on this machine, with the study's prompt."""
    from potstill.analysis.students import find_student
    from potstill.deploy.serve.serving import serve_student

    serve_student(find_student(directory, student), engine, base, port, terminal())


def ask(
    directory: StudyDir,
    problem: Annotated[str, typer.Argument(help="The problem, in quotes.", show_default=False)],
    student: BestStudent = "",
    level: Annotated[str, typer.Option(help="The level, such as R3.")] = "",
    engine: EngineName = "auto",
    base: BasePath = "",
) -> None:
    """Have a student answer a problem here, and say how sure the study is of it."""
    if not problem.strip():
        raise InputError("There is no problem to answer; give its text in quotes.")
    from potstill.analysis.students import find_student
    from potstill.deploy.loading import open_engine
    from potstill.deploy.serve.asking import print_answer

    found = find_student(directory, student or level)
    if student and level and found.level.casefold() != level.casefold():
        raise InputError(
            f"--student {student} is of level {found.level} and not {level}; give one of the two."
        )
    say_loading(found.name)
    with open_engine(found, engine, base, batch_size=1) as opened:
        print_answer(found, opened, problem, terminal())


def tutor(
    directory: StudyDir,
    port: Annotated[
        int, typer.Option(callback=port_there_is, help="The port; 0 takes a free one.")
    ] = 8013,
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
    from potstill.deploy.serve.tutor import serve_tutor

    serve_tutor(directory, terminal(), port=port, host=host, mixed=mix, engine=engine, base=base)


DEPLOY = (corpus, log_, export, convert, serve, ask, tutor)
