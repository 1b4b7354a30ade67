"""The errors Potstill raises on purpose.

Every message is one sentence or two that say what is wrong, with which file or id, and what to do
next. The command line prints it and ends with exit code 2; anything else is a bug.
"""

from __future__ import annotations

__all__ = [
    "BudgetSpent",
    "EndpointError",
    "InputError",
    "PotstillError",
    "StoreError",
    "StudyError",
]


class PotstillError(Exception):
    """The root of every error a user can cause or must be told of."""


class InputError(PotstillError):
    """A file, a table, a model folder or an argument is not what it should be."""


class StudyError(InputError):
    """The study file is not valid."""


class EndpointError(PotstillError):
    """A model's endpoint cannot be used: refused, unauthorised, or not speaking the protocol."""


class BudgetSpent(PotstillError):
    """A study has spent what it may; what it bought is kept and a higher budget goes on."""


class StoreError(PotstillError):
    """The study directory cannot be read or written: full, damaged, newer, or in use."""
