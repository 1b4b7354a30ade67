"""What a source of problems yields, and the text forms in which problems are compared."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from potstill.records import Gold, Problem
from potstill.store.settings import Settings

__all__ = ["KeyReading", "ProblemSource", "RawProblem", "SourceLike", "SourceOptions", "normalise"]


@dataclass(frozen=True, slots=True)
class RawProblem:
    """One problem as its source has it: nothing checked, nothing excluded yet.

    ``key`` is the answer as printed, "" where there is none; ``gold`` replaces it where the key is
    not plain text. ``kind`` is the answer kind where the source knows it. ``solution`` is a worked
    solution, whose final answer is the key where there is no other. ``where`` is its place in the
    source ("line 7"), where its id does not say it. ``mended`` is what the source mended.
    ``decimal`` is what parts the decimals of the keys, "" where the source does not say it; a key
    that is taken from the solution is read so too.
    """

    id: str
    text: str
    key: str
    source: str
    groups: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    gold: Gold | None = None
    solution: str = ""
    where: str = ""
    mended: tuple[str, ...] = ()
    decimal: Literal["", "point", "comma"] = ""


class KeyReading(Protocol):
    """Reads keys as the grader will (``potstill.grading.key_reading.KeyReader``)."""

    def check_kind(self, kind: str, where: str) -> None:
        """Raise InputError for a kind that does not exist."""

    def final_answer(self, key: str, text: str, *, worked: bool = False) -> str:
        """Return the final answer of a key that holds a worked solution, "" where it holds none."""

    def fault(self, problem: Problem, *, given: bool = False) -> str:
        """Return why nothing can be graded against a problem's key, "" where it can be."""

    def decimal_comma(self, text: str) -> bool:
        """Return whether a problem is written in a language with decimal commas."""

    def only_text(self, problem: Problem) -> bool:
        """Return whether a problem's key can be compared as text alone."""


class SourceOptions(Settings):
    """What the options of every source share: strict, frozen, no unknown key."""


class SourceLike(Protocol):
    """A configured source: the plugin's name, its raw options, and the name of the set."""

    @property
    def source(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def options(self) -> Mapping[str, Any]: ...


@runtime_checkable
class ProblemSource(Protocol):
    """What an entry point of the group ``potstill.problems`` names."""

    Options: type[BaseModel]

    def read(self, options: Any) -> Iterator[RawProblem]:
        """Yield every problem of the source, good or bad."""
        ...


_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ]+")
_LATEX_DRESS = re.compile(r"\\(?:left|right|displaystyle|quad|qquad|[()\[\],;:! ])|[$~]")
_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "×": "*", "·": "*"}
)
_LOOSE_SPACE = re.compile(r"\s*([-+*/^=<>(){}\[\],:])\s*")
_POWER_BRACES = re.compile(r"\^[{(]([^{}()]*)[)}]")


def normalise(text: str) -> str:
    """Return the text in one form for comparison: case, spaces, dashes, quotes and LaTeX dress
    removed.

    Signs, digits and letters stay: ``x + 5`` and ``x - 5`` are two problems, ``x²`` is ``x^2``.
    """
    text = _RAISED.sub(lambda m: "^" + m[0].translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", text).casefold().translate(_SIGNS)
    text = text.replace("\\times", "*").replace("\\cdot", "*").replace("\\dfrac", "\\frac")
    text = " ".join(_LATEX_DRESS.sub(" ", text).split())
    text = _LOOSE_SPACE.sub(r"\1", text)
    text = _POWER_BRACES.sub(r"^\1", text)
    return " ".join(text.split()).strip(" .?!:;")


def text_key(normal: str) -> bytes:
    """Return sixteen bytes that stand for a normalised text where many must be told apart."""
    return hashlib.sha256(normal.encode("utf-8", "surrogatepass")).digest()[:16]
