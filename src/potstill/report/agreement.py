"""Where an interval and a p value say different things of zero, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from potstill.report.phrases import p_value, span

__all__ = ["disagreements", "tested_p", "why_apart"]

Row = dict[str, Any]

_ALPHA = 0.05


def tested_p(pair: Row) -> float | None:
    """Return the p that a difference is judged by: the corrected one where there is one."""
    p: float | None = pair["p"] if pair.get("p_holm") is None else pair["p_holm"]
    return p


def why_apart(pair: Row) -> str:
    """Return why the interval and the p of one difference disagree, as a clause; "" where they
    agree.

    ``pair`` has ``low``, ``high``, ``p`` and maybe ``p_holm``. The intervals are never corrected.
    """
    p = tested_p(pair)
    outside = not pair["low"] <= 0 <= pair["high"]
    if p is None or outside == (p < _ALPHA):
        return ""
    if not outside:
        return "its interval holds zero though p is below 0.05: the two are calculated apart"
    if pair["p"] < _ALPHA:
        return (
            "only its interval leaves zero out: p is corrected for the number of comparisons, the "
            "interval is not"
        )
    return "only its interval leaves zero out: it and p are calculated apart"


def disagreements(pairs: Sequence[tuple[str, Row]]) -> list[str]:
    """Return a sentence for each named difference whose interval and p disagree on zero."""
    return [
        f"Of {name} nothing is claimed, for {why} (95 % {span(pair['low'], pair['high'])}, "
        f"{p_value(tested_p(pair))})."
        for name, pair in pairs
        if not pair.get("blocked") and (why := why_apart(pair))
    ]
