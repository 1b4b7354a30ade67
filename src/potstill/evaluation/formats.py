"""How much of a paired difference may be format and not reasoning.

An answer that nobody could read (UNPARSED) or tell right from wrong (UNDECIDED) counts as not
right, though it may be right. Where one side boxes its answers and the other talks, that alone
makes a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from potstill.evaluation.pairing import Paired, share_of
from potstill.evaluation.seeds import paired_difference_seeds
from potstill.evaluation.statistics import PairedDifference, holm

__all__ = ["MANY_UNREAD", "FormatBounds", "correct_format", "format_bounds"]

MANY_UNREAD = 0.02
"""Above this share of unread answers a solver is warned of, and every difference says so."""


@dataclass(frozen=True, slots=True)
class FormatBounds:
    """A paired difference of ``a`` over ``b`` under other readings of the same answers.

    ``boxed_a`` and ``boxed_b`` are the accuracies if only answers count that are CORRECT and were
    read from a box, ``boxed`` is their difference. ``unread_a`` and ``unread_b`` count the answers
    to the paired problems, over all seeds of a side, that are UNPARSED or UNDECIDED. ``least`` is
    the difference if all of ``unread_b`` were right and all of ``unread_a`` wrong, ``most`` the
    reverse. As unread answers count as not right, with n problems and s seeds a side:

        least = difference - unread_b / (n s_b),    most = difference + unread_a / (n s_a)

    They bound the difference seen, not its sampling. For that, ``low`` to ``high`` is the 95 %
    interval and ``p`` the test of the bound that counts against the difference: ``least`` where it
    is above zero, ``most`` where it is below. ``p_holm`` is ``p`` corrected with the same bounds
    of the comparisons that the difference is corrected with. None where nothing is tested.
    """

    boxed_a: float
    boxed_b: float
    boxed: float
    unread_a: int
    unread_b: int
    least: float
    most: float
    low: float
    high: float
    p: float | None
    p_holm: float | None = None

    def survives(self, difference: float) -> bool:
        """Return whether ``difference`` is beyond chance at the bound that counts against it
        too.
        """
        p = self.p if self.p_holm is None else self.p_holm
        if p is None or p >= 0.05:
            return False
        return self.low > 0 if difference > 0 else self.high < 0

    def turned(self) -> FormatBounds:
        """Return the same with the names of the sides exchanged; the difference stays as it is."""
        return replace(
            self,
            boxed_a=self.boxed_b,
            boxed_b=self.boxed_a,
            unread_a=self.unread_b,
            unread_b=self.unread_a,
        )


def format_bounds(paired: Paired, found: PairedDifference, *, tested: bool) -> FormatBounds:
    """Return what other readings make of the difference ``found`` between the two sides of
    ``paired``.
    """
    boxed_a, boxed_b = map(
        share_of, paired.tables(lambda x: x.right_in_a_box, lambda x: x.right_in_a_box)
    )
    unread = paired.tables(lambda x: x.unread, lambda x: x.unread)
    against = _against(paired, found)
    return FormatBounds(
        boxed_a=boxed_a,
        boxed_b=boxed_b,
        boxed=boxed_a - boxed_b,
        unread_a=sum(map(sum, unread[0])),
        unread_b=sum(map(sum, unread[1])),
        least=found.difference - share_of(unread[1]),
        most=found.difference + share_of(unread[0]),
        low=against.low,
        high=against.high,
        p=against.p if tested else None,
    )


def correct_format(formats: Sequence[FormatBounds]) -> list[FormatBounds]:
    """Return the bounds of tested comparisons, their p corrected by Holm's method over all of
    them.
    """
    adjusted = holm([x.p for x in formats if x.p is not None])
    return [replace(x, p_holm=p) for x, p in zip(formats, adjusted, strict=True)]


def _against(paired: Paired, found: PairedDifference) -> PairedDifference:
    """Return the difference if the unread answers of the side that stands lower were right."""
    lower = paired.b if found.difference > 0 else paired.a
    if found.difference == 0 or not any(answer.unread for row in lower for answer in row):
        return found
    if lower is paired.b:
        tables = paired.tables(counts_b=lambda x: x.right or x.unread)
    else:
        tables = paired.tables(counts_a=lambda x: x.right or x.unread)
    return paired_difference_seeds(*tables)
