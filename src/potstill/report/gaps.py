"""Where the base trails the teacher, group by group, from the numbers of a report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from potstill.evaluation.formats import MANY_UNREAD
from potstill.evaluation.statistics import (
    holm,
    mcnemar_exact,
    minimum_detectable_gap,
    problems_needed,
)
from potstill.report.phrases import (
    count,
    group_name,
    listed,
    p_value,
    percent,
    points,
    several,
    span,
)
from potstill.report.views import Place

__all__ = ["Gap", "Gaps", "Tells", "gap_sentences", "gaps", "gaps_everywhere"]

Row = dict[str, Any]

_ALPHA = 0.05
_NAMED = 6  # groups spelled out in a sentence before it says how many more


class Tells(StrEnum):
    """What the problems of a group say of its gap."""

    GAP = "gap"
    AHEAD = "base ahead"
    NO_GAP = "no gap"
    TOO_FEW = "too few"
    BLOCKED = "errors"


@dataclass(frozen=True, slots=True)
class Gap:
    """How far the base trails the teacher on the ``n`` problems of one group that both answered.

    ``gap`` is teacher less base, ``low`` to ``high`` its 95 % interval, paired, and ``share`` the
    group's part of all problems, all of them shares. ``gain`` is gap times share: what the accuracy
    over all problems gains where a student comes up to the teacher on this group, and ``at_most``
    what it gains where it also keeps all that the base alone has right. ``unread_base`` of the
    base's ``answers_base`` and ``unread_teacher`` count the answers that could not be read or
    decided: they count as not right.
    ``detectable`` is the least gap that ``n`` problems show (80 % power, at 5 % over the number of
    groups), None where they show none, and ``needed`` how many problems of the group the gap seen
    needs, None for no gap. ``p`` is the exact McNemar test's, of a group corrected over all; of
    several draws of the base it takes the mean.
    """

    group: str
    n: int
    share: float
    base: float
    teacher: float
    gap: float
    low: float
    high: float
    gain: float
    at_most: float
    answers_base: int
    unread_base: int
    unread_teacher: int
    detectable: float | None
    needed: int | None
    tells: Tells
    p: float


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gap over all problems of a place, and in its groups, the greatest gain first.

    ``enough`` is how many problems of a group would show a gap as wide as that over all problems
    (None for no gap), ``differs`` what differs in the conditions of base and teacher.
    """

    place: Place
    whole: Gap
    groups: tuple[Gap, ...]
    enough: int | None
    differs: tuple[str, ...]


def gaps(numbers: Row, place: Place) -> Gaps | None:
    """Return the gaps of one set and split of report.json; None where base and teacher are not both
    there.

    A group that holds every problem is left out. A gap is told from zero where the interval and the
    exact McNemar test, corrected over the groups by Holm's method, both say so. Where it is not,
    and ``detectable`` is more than the gap over all problems, the group has too few problems.
    """
    found = [
        c
        for c in numbers["comparisons"]
        if (c["a"], c["b"], c["set"], c["split"]) == ("base", "teacher", place.set, place.split)
    ]
    whole = next((c for c in found if c["group"] == "all" and c["n"]), None)
    if whole is None:
        return None
    within = [c for c in found if c["group"] != "all" and 0 < c["n"] < whole["n"]]
    ps = holm([_p(c) for c in within])
    rows = [_gap(c, whole, p, len(within)) for c, p in zip(within, ps, strict=True)]
    rows.sort(key=lambda row: (-row.gain, -row.n, row.group))
    over_all = _gap(whole, whole, _p(whole), 1)
    enough = _needed(whole, over_all.gap, len(within))
    return Gaps(place, over_all, tuple(rows), enough, tuple(whole["differs"]))


def gaps_everywhere(numbers: Row) -> list[Gaps]:
    """Return the gaps of every set and split of report.json that has them, held-out problems
    first.
    """
    found = dict.fromkeys(Place(c["set"], c["split"]) for c in numbers["comparisons"])
    ordered = sorted(found, key=lambda place: place.apart)
    return [made for place in ordered if (made := gaps(numbers, place))]


def gap_sentences(found: Gaps) -> list[str]:
    """Return what the gaps of a place say, in words, each sentence true by construction."""
    whole = found.whole
    if whole.tells is Tells.BLOCKED:
        return ["No gap is claimed, for some responses ended in an error. Ask them again."]
    first = (
        f"The teacher answers {percent(whole.teacher)} % of {several(whole.n, 'problem')}, the "
        f"base {percent(whole.base)} %: a gap of {points(whole.gap)} points (95 % "
        f"{span(whole.low, whole.high)}, {p_value(whole.p)}){_of_format(whole)}."
    )
    if whole.tells is Tells.AHEAD:
        return [f"{first} The base stands above the teacher: there is nothing to distil."]
    if whole.tells is not Tells.GAP:
        return [f"{first} It cannot be told from zero; {_would_need(whole)}."]
    made = [
        f"{first} A student that comes up to the teacher gains that much; one that also keeps all "
        f"that the base alone has right, at most {points(whole.at_most)}."
    ]
    clear = [row for row in found.groups if row.tells is Tells.GAP]
    if clear:
        top = clear[0]
        made.append(
            f"Of the groups with a clear gap, most is to be gained in {group_name(top.group)}: "
            f"{points(top.gain)} of those points, at most {points(top.at_most)} (base "
            f"{percent(top.base)} %, teacher {percent(top.teacher)} % of "
            f"{several(top.n, 'problem')})."
        )
    for tells, says in (
        (Tells.AHEAD, "The base stands above the teacher in"),
        (
            Tells.NO_GAP,
            "No gap can be told from zero, though one as wide as over all problems would show four "
            "times in five, in",
        ),
        (Tells.TOO_FEW, "Too few problems to tell:"),
    ):
        rows = [row for row in found.groups if row.tells is tells]
        if rows:
            made.append(f"{says} {_named(rows)}.")
    if found.enough and any(row.tells is Tells.TOO_FEW for row in found.groups):
        made[-1] += (
            f" A group needs about {found.enough} problems to show a gap as wide as over all."
        )
    return made


def _of_format(row: Gap) -> str:
    """Return how much of a gap may be format, as a clause; "" where the lower side's answers were
    read.
    """
    unread, answers, whose = row.unread_base, row.answers_base, "base"
    if row.gap < 0:
        unread, answers, whose = row.unread_teacher, row.n, "teacher"
    share, size = unread / answers, abs(row.gap)
    if not unread or not size or (share <= MANY_UNREAD and share < size):
        return ""
    part = "all" if share >= size else f"up to {points(share)} points"
    return (
        f", of which {part} may be format: {count(unread)} of the {whose}'s {count(answers)} "
        "answers could not be read or decided"
    )


def _p(c: Row) -> float:
    return mcnemar_exact(*(round(x) for x in _alone(c)))


def _alone(c: Row) -> tuple[float, float]:
    """Return how many problems base and teacher alone have right: of several draws, in the mean."""
    draws = c["draws_a"] * c["draws_b"]
    return c["only_a"] / draws, c["only_b"] / draws


def _gap(c: Row, whole: Row, p: float, groups: int) -> Gap:
    """Return one comparison of base with teacher, turned round: a gap is what the teacher has
    more.
    """
    n, gap = c["n"], -c["difference"]
    share = n / whole["n"]
    detectable = minimum_detectable_gap(n, _against(whole), _ALPHA / groups)
    return Gap(
        group=c["group"],
        n=n,
        share=share,
        base=c["accuracy_a"],
        teacher=c["accuracy_b"],
        gap=gap,
        low=-c["high"],
        high=-c["low"],
        gain=gap * share,
        at_most=_alone(c)[1] / whole["n"],
        answers_base=n * c["draws_a"],
        unread_base=c["format"]["unread_a"],
        unread_teacher=c["format"]["unread_b"],
        detectable=detectable,
        needed=_needed(whole, gap, groups),
        tells=_tells(c, p, detectable, -whole["difference"]),
        p=p,
    )


def _needed(whole: Row, gap: float, groups: int) -> int | None:
    discordance = min(1.0, abs(gap) + 2 * _against(whole))
    return problems_needed(gap, discordance, _ALPHA / max(groups, 1))


def _against(whole: Row) -> float:
    """Return how often the weaker alone is right: a small group shows it badly, all problems
    better.
    """
    return min(_alone(whole)) / float(whole["n"])


def _tells(c: Row, p: float, detectable: float | None, whole_gap: float) -> Tells:
    if c["blocked"]:
        return Tells.BLOCKED
    if p < 0.05 and c["high"] < 0:
        return Tells.GAP
    if p < 0.05 and c["low"] > 0:
        return Tells.AHEAD
    enough = detectable is not None and detectable <= whole_gap
    return Tells.NO_GAP if enough else Tells.TOO_FEW


def _would_need(row: Gap) -> str:
    if row.needed is None:
        return "no difference is seen"
    if row.needed <= row.n:  # the interval and the power are two calculations
        return "it is at the edge of what so many problems show"
    return f"{several(row.needed, 'problem')} would be needed"


def _named(rows: list[Gap]) -> str:
    names = [group_name(row.group, count(row.n)) for row in rows]
    more = len(names) - _NAMED
    return listed(names) if more <= 0 else f"{', '.join(names[:_NAMED])} and {count(more)} more"
