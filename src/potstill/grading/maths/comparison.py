"""What a comparison of an answer with its key says."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.records import Opinion

__all__ = ["Comparison", "KeyUnreadable", "different", "equal_with", "undecided", "unreadable"]


class KeyUnreadable(Exception):
    """The key itself cannot be read as an answer of its kind.

    ``hollow`` where it was read and has no value or contradicts itself.
    """

    def __init__(self, why: str, *, hollow: bool = False) -> None:
        super().__init__(why)
        self.hollow = hollow


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two answers are equal and why; ``form`` notes what is right but asked for otherwise.

    ``readable`` is false where the answer could not be read as one of its kind at all, ``hollow``
    true where it was read and has no value.
    """

    opinion: Opinion
    why: str
    form: str = ""
    readable: bool = True
    hollow: bool = False


def equal_with(why: str, *notes: str) -> Comparison:
    """Return EQUAL, with the form notes that are not empty joined by "; "."""
    return Comparison(Opinion.EQUAL, why, "; ".join(dict.fromkeys(n for n in notes if n)))


def different(why: str) -> Comparison:
    """Return DIFFERENT, for a reason."""
    return Comparison(Opinion.DIFFERENT, why)


def undecided(why: str) -> Comparison:
    """Return UNDECIDED: both sides were read and it cannot be told."""
    return Comparison(Opinion.UNDECIDED, why)


def unreadable(why: str, *, hollow: bool = False) -> Comparison:
    """Return UNDECIDED because the answer cannot be read as one of the key's kind, or has no
    value.
    """
    return Comparison(Opinion.UNDECIDED, why, readable=False, hollow=hollow)
