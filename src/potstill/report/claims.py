"""The sentences a report opens with, each made from the numbers it states and from nothing else."""

from __future__ import annotations

import math
from typing import Any

from potstill.evaluation.near_duplicates import ALIKE, APART
from potstill.records import AUTO, Control, Level, level_of_control, teacher_of, variant_parts
from potstill.report.agreement import tested_p, why_apart
from potstill.report.overlaps import repeat_training
from potstill.report.phrases import (
    about,
    count,
    listed,
    p_value,
    percent,
    points,
    several,
    span,
    words,
)
from potstill.report.readings import format_clause, format_sentence
from potstill.report.views import NEARLY_NOTHING

__all__ = ["claims", "difference"]

_MANY_CUT = 0.05
_LEVELS = tuple(level.value for level in Level)
_CONTROLS: dict[str, str] = {
    Control.UNVERIFIED: "every trace of the teacher, right or wrong",
    Control.WRONG: "the teacher’s wrong traces",
}
_ONE_TRACE: dict[str, str] = {
    Control.ONE_TRACE: "the same from one trace a problem, at equal steps",
    Control.ONE_TRACE_EPOCHS: "the same from one trace a problem, at equal epochs",
}

Row = dict[str, Any]


def claims(numbers: Row) -> list[Row]:
    """Return the claims as a list of ``{about, set, text}``, the primary comparison's first.

    Held-out sets come first, each on its own; problems seen in training have a sentence apart.
    """
    made: list[Row] = []
    heldout = [x for x in numbers["levels"] if x["group"] == "all" and x["split"] == "heldout"]
    sets = list(dict.fromkeys(x["set"] for x in heldout))
    sets.sort(key=lambda name: not _primary(numbers, name))
    for name in sets:
        rows = [x for x in heldout if x["set"] == name]
        named = f" of {name}" if len(sets) > 1 else ""
        made += [{"set": name} | claim for claim in _of_set(numbers, name, named, rows)]
    made += _lost(numbers)
    made += _seen(numbers)
    return made


def _of_set(numbers: Row, name: str, named: str, rows: list[Row]) -> list[Row]:
    students = [x for x in rows if x["role"] == "student"]
    base = next((x for x in rows if x["role"] == "base" and not x["level"]), None)
    teacher = next((x for x in rows if x["role"] == "teacher"), None)
    pairs = [
        c
        for c in numbers["comparisons"]
        if c["set"] == name and c["split"] == "heldout" and c["group"] == "all"
    ]
    made: list[Row] = []
    if students:
        top = _top(students, pairs)
        against = next((c for c in pairs if c["a"] == top["level"] and c["b"] == "base"), None)
        named_before = against and _is_primary(against) and students[1:]
        declared = _declaration(numbers) if named_before else ""
        text = declared + _student(top, base, against, named)
        made.append({"about": "student", "text": text})
        made += [
            {"about": "ladder", "text": _declared(numbers, c)} for c in pairs if _is_of_ladder(c)
        ]
        made += [{"about": "best", "text": text} for text in _best(top, students, pairs)]
        made += [
            {"about": "overlap", "text": text} for text in _overlap(numbers, name, top, students)
        ]
        on_ladder = [x for x in students if x["level"] in _LEVELS]
        ladder = [c for c in pairs if c["b"] == top["level"] and c["a"] in _LEVELS]
        made += [{"about": "ladder", "text": text} for text in _ladder(top, on_ladder, ladder)]
        made += [
            {"about": "control", "text": _control(numbers, c)} for c in pairs if _is_control(c)
        ]
        made += [{"about": "teachers", "text": x} for x in _teachers(numbers, students, pairs)]
        made += [
            {"about": "auto", "text": f"{c['a']} beside {c['b']}: {_apart(c)}"}
            for c in pairs
            if c["a"] == AUTO and c["b"] in _LEVELS and not _is_primary(c)
        ]
    elif base:
        made.append(
            {
                "about": "base",
                "text": f"The base {_answers(base, count(base['n']) + ' problems' + named)}.",
            }
        )
    if teacher:
        made.append({"about": "teacher", "text": _teacher(teacher, students or rows, named)})
    cut = [x for x in (*([base] if base else []), *students) if _share_cut(x) >= _MANY_CUT]
    made += [{"about": "cut", "text": _cut(cut)}] if cut else []
    return made


def _is_primary(pair: Row) -> bool:
    return bool(pair["kind"] == "primary")


def _is_of_ladder(pair: Row) -> bool:
    """Return whether the primary comparison is this one, of two levels."""
    return _is_primary(pair) and pair["b"] in _LEVELS


def _declaration(numbers: Row) -> str:
    """Return how the primary comparison came to be that, as the beginning of a claim."""
    if numbers["declared"]:
        return "Set beforehand: "
    return (
        "Made the primary comparison when held-out answers were known, so that its p, which is not "
        "corrected, flatters it: "
    )


def _declared(numbers: Row, pair: Row) -> str:
    if pair["blocked"]:
        return _blocked(pair)
    text = difference(pair, pair["b"]) + format_clause(pair)
    return f"{_declaration(numbers)}{pair['a']} beside {pair['b']}: {text}."


def _best(top: Row, students: list[Row], pairs: list[Row]) -> list[str]:
    """Return that the best student was picked once all were known, where it is not the top one."""
    best = max(students, key=lambda x: float(x["accuracy"]))
    if best["level"] == top["level"] or _solves_nothing(best):
        return []
    text = (
        f"The best of {count(len(students))}, {best['level']}, {_answers(best, count(best['n']))}"
    )
    pair = next((c for c in pairs if c["a"] == best["level"] and c["b"] == "base"), None)
    if pair and not pair["blocked"]:
        text += f"; beside the base {difference(pair)}{format_clause(pair)}"
    return [f"{text}. It was picked after the figures were known, which flatters it."]


def _overlap(numbers: Row, name: str, top: Row, students: list[Row]) -> list[str]:
    """Return how many held-out problems resemble one of the training side, and what is left
    without.
    """
    scores = [x for x in numbers["near_duplicates"]["scores"] if x["set"] == name]
    parts = {x["group"]: x for x in scores if _same_solver(x, top)}
    alike, apart = parts.get(ALIKE), parts.get(APART)
    if alike is None:
        return []
    n, all_n = alike["n"], alike["n"] + (apart["n"] if apart else 0)
    text = f"{count(n)} of these {several(all_n, 'problem')} {repeat_training(numbers, n)}"
    if apart is None or not apart["n"]:
        return [f"{text}: what the students do with problems of other kinds is not measured here."]
    best = max(students, key=lambda x: float(x["accuracy"]))
    beside = "".join(
        f", {x['level'] or 'the base'} {_short(x)}"
        for x in scores
        if x["group"] == APART and not _same_solver(x, top)
        if _same_solver(x, best) or (x["role"] == "base" and not x["level"])
    )
    rest = _answers(apart, f"the other {count(apart['n'])}")
    return [f"{text}; {top['level']} {rest}{beside}."]


def _same_solver(x: Row, y: Row) -> bool:
    return bool((x["role"], x["level"], x["set"]) == (y["role"], y["level"], y["set"]))


def _student(top: Row, base: Row | None, pair: Row | None, named: str) -> str:
    first = f"{top['level']} {_answers(top, _heldout(top, named))}"
    if _solves_nothing(top):
        first += "; it does not solve these problems"
    if base is None or pair is None:
        return f"{first}."
    if pair["blocked"]:
        return f"{first}; the base {_short(base)}. {_blocked(pair)}"
    return f"{first}; the base {_short(base)}; {difference(pair)}{format_clause(pair)}."


def difference(pair: Row, other: str = "the base") -> str:
    """Return what is to be said of a paired difference, in a clause."""
    tested = p_value(tested_p(pair))
    corrected = "" if pair["p_holm"] is None else " after Holm's correction"
    ends = f"({span(pair['low'], pair['high'])}, {tested}{corrected})"
    if pair["difference"] == 0:
        return f"over {count(pair['n'])} problems no difference is seen {ends}"
    size = points(abs(pair["difference"]))
    if pair["beyond_chance"]:
        if pair["difference"] > 0:
            return f"the difference of {size} points {ends} is beyond chance"
        return f"it stands {size} points below {other} {ends}, which is beyond chance"
    text = (
        f"the difference of {points(pair['difference'])} points {ends} cannot be told from zero "
        f"with {count(pair['n'])} problems"
    )
    if why := why_apart(pair):
        text += f", for {why}"
    if pair["needed"] is not None and pair["needed"] > pair["n"]:
        text += f"; about {about(pair['needed'])} would be needed"
    return text


def _ladder(top: Row, students: list[Row], pairs: list[Row]) -> list[str]:
    if not pairs:
        return []
    if all(_solves_nothing(x) for x in students):
        best = max(students, key=lambda x: x["accuracy"])
        return [
            f"No level solves them: the best, {best['level']}, {_answers(best, count(best['n']))}."
        ]
    last = next(x for x in reversed(students) if x["level"] != top["level"])
    text = (
        f"{last['level']} {_answers(last, count(last['n']))} in {words(last['words'])} words where "
        f"{top['level']} uses {words(top['words'])}"
    )
    pair = next(c for c in pairs if c["a"] == last["level"])
    texts = [f"{text}. {_blocked(pair)}" if pair["blocked"] else f"{text}."]
    judged = [c for c in pairs if not c["blocked"]]
    below = [c["a"] for c in judged if c["beyond_chance"] and c["difference"] < 0]
    above = [c["a"] for c in judged if c["beyond_chance"] and c["difference"] > 0]
    level = [c["a"] for c in judged if not c["beyond_chance"]]
    parts = []
    if below:
        parts.append(f"{listed(below)} {_stand(below)} below {top['level']} beyond chance")
    if above:
        parts.append(f"{listed(above)} {_stand(above)} above {top['level']} beyond chance")
    if level:
        parts.append(f"{listed(level)} cannot be told from {top['level']}")
    if parts:
        may_be = format_sentence(judged)
        text = f"{'; '.join(parts)}{_corrected(len(judged))}."
        texts.append(f"{text} {may_be}" if may_be else text)
    return texts


def _apart(pair: Row) -> str:
    return _blocked(pair) if pair["blocked"] else f"{difference(pair, pair['b'])}."


def _is_control(pair: Row) -> bool:
    return bool(level_of_control(pair["b"]) == pair["a"])


def _control(numbers: Row, pair: Row) -> str:
    """Return whether a level teaches more than its control, or one teacher alone, does."""
    if pair["blocked"]:
        return _blocked(pair)
    teacher = teacher_of(pair["b"])
    text = difference(pair, pair["b"] if teacher else "that control") + format_clause(pair)
    declared = _declaration(numbers) if _is_primary(pair) else ""
    if teacher:
        mixture = f"{pair['a']}, of every teacher’s lessons, beside {pair['b']}, of {teacher}’s"
        return f"{declared}{mixture} alone of the same problems: {text}."
    one = _ONE_TRACE.get(variant_parts(pair["b"])[0], "R1 cut to its length")
    beside = _CONTROLS.get(pair["b"], one)
    return f"{declared}{pair['a']} beside {beside}: {text}.{_verifying(numbers, pair)}"


def _teachers(numbers: Row, students: list[Row], pairs: list[Row]) -> list[str]:
    """Return how each teacher's own student did, beside the base and the other teachers' ones."""
    made = []
    for x in students:
        if not (teacher := teacher_of(x["level"])):
            continue
        text = f"{x['level']}, of {teacher}’s lessons alone, {_answers(x, count(x['n']))}"
        pair = next((c for c in pairs if (c["a"], c["b"]) == (x["level"], "base")), None)
        if pair and not pair["blocked"]:
            text += f"; beside the base {difference(pair)}{format_clause(pair)}"
        made.append(f"{text}.")
    for c in pairs:
        if teacher_of(c["a"]) and teacher_of(c["b"]):
            declared = _declaration(numbers) if _is_primary(c) else ""
            text = f"{declared}{c['a']} beside {c['b']}, both of the same problems"
            made.append(_blocked(c) if c["blocked"] else f"{text}: {_apart(c)}")
    return made


def _verifying(numbers: Row, pair: Row) -> str:
    """Return what the verifier cost, beside a control without it; "" where it cost nothing."""
    costs = [x["cost_usd"] or 0.0 for x in numbers["calls"] if x["stage"] == "verify"]
    usd, gained = math.fsum(costs), 100 * pair["difference"]
    if pair["b"] not in _CONTROLS or not usd:
        return ""
    each = f": {gained / usd:,.2g} points a dollar" if pair["beyond_chance"] and gained > 0 else ""
    return f" The verifier’s calls, those on students’ answers too, cost ${usd:,.2f}{each}."


def _teacher(teacher: Row, others: list[Row], named: str) -> str:
    own = all(teacher["condition_id"] != x["condition_id"] for x in others)
    under = "under its own condition, so this describes and does not test" if own else ""
    text = (
        f"The teacher, {listed(teacher['solvers'])}, "
        f"{_answers(teacher, count(teacher['n']) + ' problems' + named)} in "
        f"{words(teacher['words'])} words"
    )
    return f"{text}, {under}." if under else f"{text}."


def _seen(numbers: Row) -> list[Row]:
    made = []
    for x in numbers["levels"]:
        if x["split"] == "train" and x["group"] == "all" and x["role"] == "student":
            text = (
                f"Of the {count(x['n'])} problems of {x['set']} it was trained on, {x['level']} "
                f"answers {percent(x['accuracy'])} %: this shows what it remembers, not what it "
                "can do, and is part of no other figure."
            )
            made.append({"set": x["set"], "about": "seen", "text": text})
    return made


def _lost(numbers: Row) -> list[Row]:
    """Return for each set of ``evaluation.keep`` what students lost there that the base has."""
    made = []
    kept = [x for x in numbers["levels"] if x["split"] == "kept" and x["group"] == "all"]
    for name in dict.fromkeys(x["set"] for x in kept):
        base = next((x for x in kept if x["set"] == name and x["role"] == "base"), None)
        pairs = [
            c
            for c in numbers["comparisons"]
            if (c["set"], c["split"], c["group"], c["b"]) == (name, "kept", "all", "base")
        ]
        if base and pairs and base["n"]:
            made.append({"set": name, "about": "lost", "text": _lost_of(name, base, pairs)})
    return made


def _lost_of(name: str, base: Row, pairs: list[Row]) -> str:
    outside = (
        f"Of {several(base['n'], 'problem')} of {name}, which have nothing to do with the lessons, "
        f"the base answers {percent(base['accuracy'])} %"
    )
    blocked = next((c for c in pairs if c["blocked"]), None)
    if blocked:
        return f"{outside}. {_blocked(blocked)}"
    losses = [c for c in pairs if c["beyond_chance"] and c["difference"] < 0]
    if losses:
        told = [
            f"{c['a']} {percent(c['accuracy_a'])} % ({points(c['difference'], sign=True)} points, "
            f"95 % {span(c['low'], c['high'])}, {p_value(tested_p(c))})"
            for c in losses
        ]
        return f"{outside}, {listed(told)}: that much was lost in training, beyond chance."
    told = [f"{c['a']} {percent(c['accuracy_a'])} %" for c in pairs]
    shows = [c["detectable"] for c in pairs if c["detectable"] is not None]
    hidden = f"; less than {points(min(shows))} points would not show" if shows else ""
    return f"{outside}, {listed(told)}: no loss beyond chance is seen{hidden}."


def _answers(row: Row, problems: str) -> str:
    """Return the words "answers 81.5 % of PROBLEMS (95 % 77.0 to 85.4)"; counts where they are
    few.
    """
    ends = f"({_mean_of(row)}95 % {span(row['low'], row['high'])})"
    if _solves_nothing(row):
        return f"answers {_right(row)} of {problems} {ends}"
    return f"answers {percent(row['accuracy'])} % of {problems} {ends}"


def _mean_of(row: Row) -> str:
    """Return what an accuracy is a mean of, "" where each problem was answered once."""
    seeds, draws = len(row["seeds"]), row["draws"]
    parts = [f"{seeds} seeds"] if seeds > 1 else []
    parts += [f"{draws} draws of each problem"] if draws > 1 else []
    if not parts:
        return ""
    of_seeds = "of the seeds " if draws > 1 else ""
    spread = f", sd {of_seeds}{points(row['sd'])} points" if seeds > 1 else ""
    return f"mean of {' and '.join(parts)}{spread}; "


def _right(row: Row) -> str:
    return f"{row['outcomes']['CORRECT'] / max(len(row['seeds']) * row['draws'], 1):.3g}"


def _heldout(row: Row, named: str) -> str:
    return f"{count(row['n'])} held-out problems{named}"


def _short(row: Row) -> str:
    if _solves_nothing(row):
        return f"{_right(row)} of them"
    return f"{percent(row['accuracy'])} %"


def _blocked(pair: Row) -> str:
    n = pair["blocked"]
    ended = "1 response" if n == 1 else f"{count(n)} responses"
    return (
        f"No difference between {pair['a']} and {_the(pair['b'])} is claimed, for {ended} ended in "
        f"an error. {pair['next_step']}"
    )


def _cut(rows: list[Row]) -> str:
    parts = [
        f"{count(x['outcomes']['TRUNCATED'])} of {count(x['responses'])} responses of "
        f"{x['level'] or 'the base'}"
        for x in rows
    ]
    return f"Cut at the token limit, and so not right: {listed(parts)}."


def _top(students: list[Row], pairs: list[Row]) -> Row:
    levels = {c["b"] for c in pairs if c["kind"] != "descriptive" and c["b"] in _LEVELS}
    primary = {c["a"] for c in pairs if c["kind"] == "primary"}
    return next((x for x in students if x["level"] in (primary or levels)), students[0])


def _primary(numbers: Row, name: str) -> bool:
    return any(c["kind"] == "primary" and c["set"] == name for c in numbers["comparisons"])


def _solves_nothing(row: Row) -> bool:
    return bool(row["accuracy"] < NEARLY_NOTHING)


def _share_cut(row: Row) -> float:
    return float(row["outcomes"]["TRUNCATED"] / row["responses"]) if row["responses"] else 0.0


def _stand(names: list[str]) -> str:
    return "stands" if len(names) == 1 else "stand"


def _corrected(n: int) -> str:
    return "" if n < 2 else f" (corrected for {n} comparisons)"


def _the(name: str) -> str:
    return f"the {name}" if name in ("base", "teacher") else name
