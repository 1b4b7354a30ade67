"""Numbers as a reader sees them: percentages, points, p values, counts, and lists in a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from potstill.text import plain, several, shown, token_count

__all__ = [
    "about",
    "clip",
    "count",
    "group_name",
    "listed",
    "loss",
    "markdown",
    "money",
    "p_short",
    "p_value",
    "percent",
    "plain",
    "points",
    "several",
    "shown",
    "span",
    "token_count",
    "words",
]

MINUS = "\N{MINUS SIGN}"
LONGEST = 2_000  # characters of one model text on the page; report.json holds all of it

_ALPHA = 0.05
_MOST_DIGITS = 12
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~&!])")


def clip(text: str) -> str:
    """Return the text for a page: control characters visible, cut after 2,000 characters and saying
    so.
    """
    if len(text) <= LONGEST:
        return shown(text)
    return (
        f"{shown(text[:LONGEST])} … (the first {count(LONGEST)} of {count(len(text))} characters)"
    )


def markdown(text: object) -> str:
    """Return text that Markdown shows as it stands, on one line, in a table cell or out of one."""
    line = " ".join(clip(str(text)).split())
    return _MARKUP.sub(r"\\\1", line).replace(r"\<", "&lt;").replace(r"\&", "&amp;")


def percent(share: float) -> str:
    """Return a share in [0, 1] as a percentage with one decimal, without its sign: 81.5."""
    return f"{100 * share:.1f}"


def points(share: float, *, sign: bool = False) -> str:
    """Return a difference of shares in percentage points: 23.6, and +23.6 or −4.0 with ``sign``."""
    value = round(100 * share, 1)
    if value == 0:
        return "0.0"
    return ("+" if sign and value > 0 else MINUS if value < 0 else "") + f"{abs(value):.1f}"


def span(low: float, high: float) -> str:
    """Return the ends of an interval of shares, in percent or points: 77.0 to 85.4."""
    return f"{points(low)} to {points(high)}"


def p_value(p: float | None) -> str:
    """Return a p value with its sign of relation: p < 0.0001, p = 0.0312, p = 0.31; empty for
    None.
    """
    if p is None:
        return ""
    if p < 0.0001:
        return "p < 0.0001"
    if p >= 0.995:
        return "p = 1"
    digits = 2 if p >= 0.1 else 4 if p < 0.01 else 3
    while (p < _ALPHA) != (float(f"{p:.{digits}f}") < _ALPHA) and digits < _MOST_DIGITS:
        digits += 1  # never rounded across the threshold that the text leans on
    return f"p = {p:.{digits}f}"


def p_short(p: float | None) -> str:
    """Return a p value for a column headed p: <0.0001, 0.0312, 0.31; empty for None."""
    return p_value(p).removeprefix("p ").removeprefix("= ").replace("< ", "<")


def group_name(group: str, more: str = "") -> str:
    """Return a group as a reader names it: family=means is means (family), "all" all problems.

    ``more`` stands in the same brackets.
    """
    name, is_one, value = group.partition("=")
    if not is_one:
        value, name = "all problems" if group == "all" else group, ""
    within = ", ".join(filter(None, (name, more)))
    return f"{value} ({within})" if within else value


def count(n: float) -> str:
    """Return a count with commas: 1,150."""
    return f"{round(n):,}"


def about(n: int) -> str:
    """Return a count rounded up to three digits that matter: 1,146 is about 1,150."""
    step = 10 ** max(0, len(str(n)) - 3)
    return count(math.ceil(n / step) * step)


def words(mean: float | None) -> str:
    """Return a mean length: one decimal below ten, none above; a dash where it is not known."""
    if mean is None:
        return "–"
    return f"{mean:.1f}" if mean < 9.95 else count(mean)


def loss(value: float | None) -> str:
    """Return a loss with three decimals; a dash where it was not measured."""
    return "–" if value is None else f"{value:.3f}"


def money(usd: float | None) -> str:
    """Return a cost in dollars; a dash where no price is known, four decimals below ten cents."""
    if usd is None:
        return "–"
    return f"${usd:.4f}" if 0 < usd < 0.1 else f"${usd:,.2f}"


def listed(items: Sequence[str]) -> str:
    """Return a list in a sentence: R1, R2 and R3."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
