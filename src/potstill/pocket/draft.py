"""What every family writes: a problem's wording and its working."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.pocket.steps import PocketStep, Ref

__all__ = ["NAMES", "ORDINALS", "PocketDraft", "Working"]

NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jonas")
ORDINALS = ("first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True, slots=True)
class PocketDraft:
    """A problem's wording and its working, before it has a key or a split."""

    text: str
    steps: tuple[PocketStep, ...]


class Working:
    """The steps of a solution while a family writes them down."""

    def __init__(self) -> None:
        """Return a working without steps."""
        self.steps: list[PocketStep] = []

    def do(self, op: str, left: int | Ref, right: int | Ref, finds: str) -> Ref:
        """Return a reference to the result of the step that this adds."""
        self.steps.append(PocketStep(op, left, right, finds))
        return Ref(len(self.steps) - 1)

    def draft(self, text: str) -> PocketDraft:
        """Return the finished problem."""
        return PocketDraft(text, tuple(self.steps))
