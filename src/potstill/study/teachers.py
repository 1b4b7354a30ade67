"""Several teachers of one study: what of them cannot work, each one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from potstill.lessons.controls import OF_TRACES, is_one_trace
from potstill.records import is_taken
from potstill.text import several

if TYPE_CHECKING:
    from potstill.ledger.ledger import Ledger
    from potstill.study.sections import Teacher

__all__ = ["refuse_teachers", "teachers_notes", "with_first_teacher"]


def with_first_teacher(raw: Any) -> Any:
    """Return the values of a study with the first of ``teachers`` as its teacher, who is meant
    where one alone is. Raises ValueError where both are given, or too few.
    """
    if not isinstance(raw, dict) or not raw.get("teachers"):
        return raw
    if "teacher" in raw:
        raise ValueError("give either teacher or teachers, one of the two")
    named = raw["teachers"]
    if not isinstance(named, list):
        return raw
    if len(named) < 2:
        raise ValueError("teachers: name two or more; one alone is given as teacher")
    first = named[0]
    if not isinstance(first, Mapping):
        return raw
    return raw | {"teacher": {name: value for name, value in first.items() if name != "name"}}


def refuse_teachers(
    teachers: Sequence[Teacher], controls: Iterable[str], *, recorded: bool
) -> None:
    """Raise ValueError for teachers that cannot be told apart, and for what is of one alone."""
    if not teachers:
        return
    seen: dict[str, str] = {}
    for teacher in teachers:
        name = teacher.name
        if name in seen.values():
            raise ValueError(f"teachers: two are called {name!r}; give one of them another name")
        if is_taken(name):
            raise ValueError(
                f"teachers: none may be called {name!r}, by which levels, controls or other "
                "solvers go; give it another name"
            )
        asked = repr(teacher.model_dump(mode="json", exclude={"name"}))
        if asked in seen:
            raise ValueError(
                f"teachers: {seen[asked]} and {name} are the same model, asked the same way; give "
                "one of them another model, prompt or seed, or take it out"
            )
        seen[asked] = name
    if recorded:
        raise ValueError(
            "teachers and recorded levels do not go together, for what is recorded is of no "
            "teacher's draw; give a condenser, or levels: [R0]"
        )
    for control in controls:
        if control in OF_TRACES or is_one_trace(control):
            raise ValueError(
                f"controls: {control} is of one teacher's traces, and with teachers every problem "
                "has one of each; take it out"
            )


def teachers_notes(teachers: Sequence[Teacher], ledger: Ledger) -> Iterator[str]:
    """Yield who answers held-out problems where there are several teachers, and what the replies of
    each cost; nothing of that where none has a price, or where two are one model to the ledger.
    """
    if not teachers:
        return
    models = {x.name: str(x.options.get("model", "")) for x in teachers}
    yield (
        f"Of the teachers ({', '.join(models)}) the first alone is asked held-out problems, and is "
        "called the teacher there."
    )
    spent = {x.group[1]: x for x in ledger.spend(("stage", "model")) if x.group[0] == "teach"}
    known = {name: spent[model] for name, model in models.items() if model in spent}
    if len(set(models.values())) < len(models) or not any(x.cost_usd for x in known.values()):
        return
    told = [
        f"{name} {'at no known price' if x.unpriced else f'${x.cost_usd:,.2f}'} for "
        f"{several(x.calls, 'call')} and {several(x.tokens_out, 'token')} out"
        for name, x in known.items()
    ]
    yield f"What the teachers’ replies cost: {'; '.join(told)}."
