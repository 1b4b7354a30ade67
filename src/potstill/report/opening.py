"""What a first reader is told: one plain sentence, who is who, and what the study cannot tell."""

from __future__ import annotations

from typing import Any

from potstill.records import AUTO, Control, Level, teacher_of, variant_parts
from potstill.report.phrases import count, listed, percent, words
from potstill.report.views import NEARLY_NOTHING, best_student, is_table, primary_place, solver_rows

__all__ = ["opening"]

Row = dict[str, Any]

_LEVELS = tuple(level.value for level in Level)
_TABLE = "the worked solutions of a table, no model"
_TABLE_LIMIT = (
    "The teacher is a table of worked solutions and no model. A solution counts as right where it "
    "ends in its key, and potstill init wrote the key beneath each that had no box: its accuracy "
    "says how many solutions could be used, and nothing of how hard the problems are."
)


def opening(numbers: Row) -> Row:
    """Return the opening of a report: ``sentence``, ``who`` is who, and its ``limits``."""
    place = primary_place(numbers)
    rows = solver_rows(numbers, place) if place else []
    solvers = [row for row in rows if not row["indent"] and row["n"]]
    return {
        "sentence": _sentence(
            [x for x in solvers if not (x["role"] == "teacher" and is_table(numbers))]
        ),
        "who": _who(numbers, solvers),
        "limits": _limits(numbers),
    }


def _sentence(solvers: list[Row]) -> str:
    """Return in one sentence how the best student, its base and its teacher did; "" for nobody."""
    base = _of(solvers, "base")
    teacher = _of(solvers, "teacher")
    best = best_student(solvers)
    if best is None:
        parts = [f"the base model solves {_solves(base)}"] if base else []
        row = base or teacher
        if row and teacher:
            said = f"{_solves(teacher)}{_of_fewer(teacher, row)}"
            parts.append(f"the teacher {'' if base else 'solves '}{said}")
        return f"{_kept_out(row)}, {listed(parts)}; no student was scored." if row else ""
    students = sum(row["role"] == "student" for row in solvers)
    named = "the student" if students == 1 else "the best student"
    parts = [f"{_kept_out(best)}, {named}, {best['label']}, solves {_solves(best)}"]
    if base:
        told = _solves(base) if _once(best) else _share(base)  # in the student's measure
        parts.append(f"the same model before training {told}")
    if teacher:
        parts.append(f"the teacher {_solves(teacher)}{_of_fewer(teacher, best)}")
    return f"{'; '.join(parts)}{_doubt(best['against'])}."


def _doubt(against: Row | None) -> str:
    """Return what keeps the student's figure beside the base's from being a gain; "" for
    nothing.
    """
    if against is None:
        return ""
    if against["blocked"]:
        return "; some calls failed, so nothing is claimed yet"
    if not against["beyond_chance"]:
        return "; what lies between student and base may be chance"
    return "; that is less than before training, beyond chance" if against["difference"] < 0 else ""


def _of_fewer(row: Row, others: Row) -> str:
    return f" of {count(row['n'])} of them" if row["n"] < others["n"] else ""


def _kept_out(row: Row) -> str:
    return f"Of {count(row['n'])} problems kept out of training"


def _solves(row: Row) -> str:
    if row["accuracy"] < NEARLY_NOTHING and _once(row):
        return count(row["outcomes"]["CORRECT"])
    return _share(row)


def _once(row: Row) -> bool:
    """Return whether each problem was answered once in all."""
    return bool(row["seeds"] * row["draws"] == 1)


def _share(row: Row) -> str:
    return f"{percent(row['accuracy'])} %"


def _of(solvers: list[Row], role: str) -> Row | None:
    return next((x for x in solvers if x["role"] == role and not x["level"]), None)


def _who(numbers: Row, solvers: list[Row]) -> list[Row]:
    """Return each name of the tables and who that is, the levels of the ladder as one."""
    made = []
    base, teacher = _of(solvers, "base"), _of(solvers, "teacher")
    if base:
        named = f", {numbers['base']}," if numbers["base"] else ""
        made.append(("base", f"the small model{named} before any training"))
    students = [x["level"] for x in solvers if x["role"] == "student"]
    on_ladder = [x for x in students if x in _LEVELS]
    if on_ladder:
        made.append((_from_to(on_ladder), _ladder(numbers, on_ladder)))
    mixed = [name for kind, name in map(variant_parts, students) if kind == "mix" and name]
    made += [(x, _beside_the_ladder(x, mixed)) for x in students if x not in _LEVELS]
    if teacher and is_table(numbers):
        made.append(("teacher", f"{_TABLE}, which were taught"))
    elif teacher:
        made.append(("teacher", f"{listed(_teachers(numbers))}, whose solutions were taught"))
    return [{"name": name, "told": told} for name, told in made]


def _teachers(numbers: Row) -> list[str]:
    return next((x["solvers"] for x in numbers["levels"] if x["role"] == "teacher"), [])


def _from_to(levels: list[str]) -> str:
    """Return levels in the ladder's order as a reader is told them: R1 to R6, or R1, R3 and R6."""
    first = _LEVELS.index(levels[0])
    unbroken = tuple(levels) == _LEVELS[first : first + len(levels)]
    return f"{levels[0]} to {levels[-1]}" if unbroken and len(levels) > 2 else listed(levels)


def _ladder(numbers: Row, levels: list[str]) -> str:
    lessons = {x["level"]: x["mean_words"] for x in numbers["corpus"]["lessons"] if x["kept"]}
    lengths = [words(lessons[level]) for level in levels if level in lessons]
    if len(levels) == 1:
        text = "the student, the same model, trained on the teacher’s solutions"
        return f"{text} ({lengths[0]} words on average)" if lengths else text
    text = "students, the same model, each trained on the teacher’s solutions at another length"
    known = len(lengths) == len(levels)
    return f"{text} ({listed(lengths)} words on average)" if known else text


def _beside_the_ladder(level: str, mixed: list[str]) -> str:
    kind, name = variant_parts(level)
    if teacher_of(level):
        return f"{name} again, of the same problems: trained on {kind}’s solutions alone"
    if kind == "mix":
        asked = f", asked for {name}" if name else ""
        lengths = listed(mixed) or "several lengths"
        return f"a student trained on the solutions of {lengths} together{asked}"
    if kind == Control.TRUNCATE:
        return f"a control: trained on R1’s solutions cut off at the length of {name}’s"
    if kind in (Control.ONE_TRACE, Control.ONE_TRACE_EPOCHS):
        seen = "as many steps" if kind == Control.ONE_TRACE else "as many epochs"
        return f"a control: {name} again, of one trace of a problem’s several, for {seen}"
    if level == AUTO:
        return "a student trained on each problem at a length of its own, by what the base can do"
    if level == Control.ANSWER_ONLY:
        return "a control: trained on the final answers alone"
    if level == Control.UNVERIFIED:
        return "a control: trained on every solution of the teacher, right or wrong"
    if level == Control.WRONG:
        return "a control: trained on the teacher’s wrong solutions alone"
    return "a student trained on lessons of that name"


def _limits(numbers: Row) -> list[str]:
    """Return what a reader must not take from the figures: the study's notes, then what always
    holds.
    """
    seeds = numbers["reproduction"]["seeds"]
    made = [
        *numbers["notes"],
        *([_TABLE_LIMIT] if is_table(numbers) else []),
        "The base may have met these problems, or ones like them, in its pretraining. How much of "
        "what a student shows was already in its base, this report cannot say.",
    ]
    if len(seeds) == 1:
        made.append(
            "One seed was trained. What is said of a level is said of this one student; another "
            "run of the same training may stand elsewhere."
        )
    drawn = ["problems", *(["seeds"] if len(seeds) > 1 else [])]
    drawn += ["answers"] if any(x["draws"] > 1 for x in numbers["levels"]) else []
    made.append(
        f"An interval counts the {listed(drawn)} that were drawn. It does not count another choice "
        "of recipe, prompt or grader."
    )
    return made
