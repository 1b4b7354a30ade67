"""A trained student for a script: loaded once, asked as often as one likes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.analysis.students import find_student
from potstill.chat import Message
from potstill.deploy.engines import ask_all
from potstill.deploy.loading import open_engine
from potstill.deploy.serve.serving import study_messages
from potstill.errors import InputError, PotstillError
from potstill.pipeline.directory import directory_of
from potstill.records import Finish

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent
    from potstill.deploy.engines import Engine

__all__ = ["LoadedStudent", "load_student"]


class LoadedStudent:
    """A study's student, ready to answer; a context manager, or closed with :meth:`close`."""

    def __init__(self, directory: Path, found: FoundStudent, engine: str, base: str) -> None:
        self._directory = directory
        self._choice = engine, base
        self._stack = ExitStack()
        self._closed = False
        self._open(found)

    def __enter__(self) -> LoadedStudent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The student that is loaded: its level and seed."""
        return self._found.name

    def close(self) -> None:
        """Free the model and put the base back as it was; nothing can be asked after it."""
        self._closed = True
        self._stack.close()

    def ask(self, text: str, level: str = "") -> str:
        """Return the student's answer to a problem, under its study's own prompt and sampling.

        ``level`` (R1 to R6, ``mix-R3``) asks the study's student of that level instead, which is
        loaded for it and stays. Raises InputError for an empty problem, one that leaves no room in
        the context, and a level that the study has no student of; PotstillError once it is closed.
        """
        if self._closed:
            raise PotstillError(f"{self.name} is closed; load the student again to ask it more.")
        if not text.strip():
            raise InputError("There is no problem to answer; give its text.")
        if level and level != self._level:
            found = find_student(self._directory, level)
            self._stack.close()
            self._open(found, level)
        messages = study_messages([Message("user", text)], self._found.condition)
        ((answer, finish),) = ask_all(self._engine, [messages], self._found.condition.sampling)
        if finish is Finish.ERROR:
            raise InputError(
                f"The problem leaves no room in the context of {self._engine.context_tokens:,} "
                "tokens; ask a shorter one."
            )
        return answer

    def _open(self, found: FoundStudent, level: str = "") -> None:
        engine, base = self._choice
        opening = open_engine(found, engine, base, batch_size=1)
        self._engine: Engine = self._stack.enter_context(opening)
        self._found, self._level = found, level or found.level


def load_student(
    directory: str | Path, student: str = "", *, engine: str = "auto", base: str = ""
) -> LoadedStudent:
    """Return a study's student, loaded: the best on held-out problems unless ``student`` names one.

    ``student`` is an id, or a level and seed (``R3``, ``R3-s0``); ``engine`` is auto, transformers,
    mlx or llama; ``base`` is where the base model is, if it has moved. Raises StoreError for a
    folder that is no study, InputError for a student or an engine that is not there.
    """
    path = directory_of(Path(directory))
    return LoadedStudent(path, find_student(path, student), engine, base)
