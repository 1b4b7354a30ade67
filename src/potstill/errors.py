"""The errors Potstill raises on purpose.

Every message is one sentence or two that say what is wrong, with which file or id, and what to do
next. The command line prints it and ends with exit code 2; anything else is a bug.
"""

from __future__ import annotations

import re

__all__ = [
    "BudgetSpent",
    "Diverged",
    "EndpointError",
    "InputError",
    "PotstillError",
    "StoreError",
    "StudyError",
    "one_line",
]


_LONGEST = 1_200
# control characters of both sets, and those that turn the direction of text around
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class PotstillError(Exception):
    """The root of every error a user can cause or must be told of.

    Its message is one line of plain characters, whatever an untrusted file put into it.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(message))


def one_line(message: object, longest: int = _LONGEST) -> str:
    """Return a message on one line, fit for a terminal, with its middle left out where it is too
    long.
    """
    text = str(message)
    if len(text) > 4 * longest:
        text = f"{text[: 2 * longest]} {text[-2 * longest :]}"
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} [...] {text[-half:]}"


class InputError(PotstillError):
    """A file, a table, a model folder or an argument is not what it should be."""


class Diverged(PotstillError):
    """A training run's losses were not finite before a checkpoint could be kept."""


class StudyError(InputError):
    """The study file is not valid."""


class EndpointError(PotstillError):
    """A model's endpoint cannot be used: refused, unauthorised, or not speaking the protocol."""


class BudgetSpent(PotstillError):
    """A study has spent what it may; what it bought is kept and a higher budget goes on."""


class StoreError(PotstillError):
    """The study directory cannot be read or written: full, damaged, newer, or in use."""
