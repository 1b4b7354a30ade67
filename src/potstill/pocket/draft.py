"""What every family writes: a problem's wording and its working."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.pocket.steps import Ref, Step

__all__ = ["NAMES", "ORDINALS", "Draft", "Working"]

NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jonas")
ORDINALS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True, slots=True)
class Draft:
    """A problem's wording and its working, before it has a key or a split."""

    text: str
    steps: tuple[Step, ...]


class Working:
    """The steps of a solution while a family writes them down."""

    def __init__(self) -> None:
        """Return a working without steps."""
        self.steps: list[Step] = []

    def do(self, op: str, left: int | Ref, right: int | Ref, finds: str) -> Ref:
        """Return a reference to the result of the step that this adds."""
        self.steps.append(Step(op, left, right, finds))
        return Ref(len(self.steps) - 1)

    def draft(self, text: str) -> Draft:
        """Return the finished problem."""
        return Draft(text, tuple(self.steps))
