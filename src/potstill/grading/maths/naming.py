"""Values that are called by name: ``x=1, y=2``, ``(p, q) = (3, 5)``, ``x=1, y=2 or x=3, y=4``.

Named values are compared by their names, never by place: one record holds each name once, and
several records are solutions side by side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from potstill.grading.maths.comparison import Comparison, different, equal_with, undecided
from potstill.grading.maths.groups import (
    compare_ordered,
    compare_sets,
    has_items,
    read_group,
    split_top,
)
from potstill.grading.maths.numbers import compare_scalars
from potstill.records import AnswerKind, Opinion

__all__ = ["Named", "compare_named", "read_named"]

MAX_RECORDS = 30
_NAME = r"[A-Za-zθαβγδλμφωσρτΔ](?:_\{?\w{1,3}\}?)?'?"
_FUNCTION = r"[A-Za-z]'?\s?\(\s?[a-zA-Z]\s?\)"
_CALLED = r"(?:\\?angle\s*)?[A-Z]{2,3}|[A-Za-z]{2,16}(?:\s[a-z]{2,16}){0,2}"
_ITEM = re.compile(
    rf"^(?:\(?\s*({_NAME})\s*\)?|({_FUNCTION}|{_CALLED}))\s*=\s*(?!=)(\S.*)$", re.DOTALL
)
_VALUE = re.compile(r"^[-+±∓\d.√π\\({⦃⟨a-z]")
_TUPLE = re.compile(
    rf"^[(⟨]?\s*({_NAME}(?:\s*,\s*{_NAME}){{1,7}})\s*[)⟩]?\s*(?:=|∈|\bin\b|\bis\b|:)\s*(\S.*)$",
    re.DOTALL,
)
_LABEL = rf"(?:{_NAME}|{_CALLED})"
_COLONS = re.compile(
    rf"^{_LABEL}\s*[:→]\s*[-+\d\\√][^:→,;=]*(?:[,;]\s*(?:and\s+)?{_LABEL}\s*[:→]\s*[-+\d\\√][^:→,;=]*)+$"
)
# A new line, or a wide space, before the next name.
_BROKEN = re.compile(rf"\s*\\\\\s*(?={_NAME}\s?=)|(?<=[\d}})])\s+(?={_NAME}\s?=)")
_CASES = re.compile(
    r"^⦃?\s*\\begin\s?\{(?:cases|aligned|align\*?|array|gathered|system)\}(?:\s?\{[lcr| ]*\})?(.*)"
    r"\\end\s?\{(?:cases|aligned|align\*?|array|gathered|system)\}$",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Named:
    """Solutions side by side, each a mapping from name to value in the order it was written.

    ``ordered`` where the names stand in a tuple, whose order is then that of the values.
    """

    records: tuple[tuple[tuple[str, str], ...], ...]
    ordered: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the first solution in its order."""
        return tuple(name for name, _ in self.records[0])

    @property
    def single(self) -> bool:
        """Whether one name alone is given values: x = 1 or x = 2."""
        return len(self.names) == 1

    def tuples(self, order: tuple[str, ...]) -> str:
        """Return the solutions as bare tuples in an order of names; as values where there is one
        name.
        """
        found = []
        for record in self.records:
            values = dict(record)
            inside = ", ".join(values[name] for name in order)
            found.append(inside if self.single else f"({inside})")
        return ", ".join(found)


@lru_cache(maxsize=4096)
def read_named(text: str) -> Named | None:
    """Return the named values of a tidied answer, or None where it is not made of them alone."""
    if len(text) > 1_000:
        return None
    text = text.strip().rstrip(".;,").strip()
    if _COLONS.match(text):
        text = re.sub(r"[:→]", "=", text)
    if "=" not in text and "∈" not in text:
        return None
    if (braced := re.match(r"^⦃([^⦃⦄|:∈]*=[^⦃⦄|:∈]*)⦄$", text)) is not None:
        text = braced.group(1).strip()
    if (cases := _CASES.match(text)) is not None:
        rows = [row.replace("&", " ").strip(" ,") for row in re.split(r"\\\\", cases.group(1))]
        text = ", ".join(" ".join(row.split()) for row in rows if row.strip())
    text = _BROKEN.sub(", ", text)
    tuples = _from_tuples(text)
    records = tuples or _from_items(text)
    if not records or len(records) > MAX_RECORDS:
        return None
    names = sorted(name for name, _ in records[0])
    if any(sorted(name for name, _ in record) != names for record in records):
        # x = 5 or y = 3: not one kind of solution, but each still goes by its name.
        return Named(records) if all(len(record) == 1 for record in records) else None
    return Named(records, bool(tuples))


def _from_tuples(text: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    match = _TUPLE.match(text)
    if match is None:
        return ()
    names = tuple(re.split(r"\s*,\s*", match.group(1)))
    if len(set(names)) != len(names):
        return ()
    rest = re.sub(
        rf"\s*[(⟨]\s*{re.escape(match.group(1))}\s*[)⟩]\s*=\s*", " ", match.group(2)
    ).strip()
    whole = read_group(rest)
    tuples = [rest] if has_items(whole, len(names)) and whole.bracket == "(" else list(whole.items)
    records = []
    for item in tuples:
        group = read_group(item)
        if group.bracket != "(" or not has_items(group, len(names)):
            return ()
        records.append(tuple(zip(names, group.items, strict=True)))
    return tuple(records)


def _from_items(text: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    records: list[tuple[tuple[str, str], ...]] = []
    for side in re.split(r"\s*(?:\bor\b|∨)\s*,?\s*", text):
        current: dict[str, str] = {}
        last = ""
        if not side.strip():
            continue
        for item in _pieces(side):
            match = _ITEM.match(item)
            if match is not None and _VALUE.match(match.group(3)):
                last, value = match.group(1) or _called(match.group(2)), match.group(3).strip()
            elif last and "=" not in item and _VALUE.match(item):
                value = item
            elif records and not current and len(records[-1]) == 1 and "=" not in item:
                # "x = 2 or 3": the name of the side before.
                last, value = records[-1][0][0], item
            else:
                return ()
            if re.search(rf"(?<![A-Za-z\\]){re.escape(last)}(?![A-Za-z])", value):
                return ()
            if last in current:
                records.append(tuple(current.items()))
                current = {}
            for one in _both_signs(value):
                if last in current:
                    records.append(tuple(current.items()))
                    current = {}
                current[last] = one
        if current:
            records.append(tuple(current.items()))
    return tuple(records)


def _called(name: str) -> str:
    """Return a name of several letters, whatever its case; capitals alone are points and stay."""
    return name if name.isupper() else name.casefold()


def _pieces(side: str) -> list[str]:
    spaced = re.sub(r",?\s+(?:and|&)\s+", " , ", side)
    return [piece for piece in split_top(spaced, ",;") if piece]


def _both_signs(value: str) -> list[str]:
    if "±" not in value and "∓" not in value:
        return [value]
    return [
        value.replace("±", "+").replace("∓", "-"),
        value.replace("±", "-").replace("∓", "+"),
    ]


def compare_named(key: str, answer: str, kind: str, problem_text: str = "") -> Comparison | None:
    """Return a comparison by name where either side has names, or None where neither has."""
    one, two = read_named(key), read_named(answer)
    if one is None and two is None:
        return None
    if one is not None and two is not None:
        return _compare_both(one, two, problem_text)
    if one is not None:
        return _compare_bare(one, answer, problem_text)
    assert two is not None
    return _compare_to_bare(key, two, kind, problem_text)


def _compare_both(one: Named, two: Named, problem_text: str) -> Comparison | None:
    if len(one.records) == len(two.records) == 1 and one.single and two.single:
        if one.names == two.names:
            return None
        return undecided(f"the key is about {one.names[0]}, the answer about {two.names[0]}")
    left = list(two.records)
    for record in one.records:
        hit = next((o for o in left if _same_record(record, o, problem_text)), None)
        if hit is None:
            return different("another value for a name")
        left.remove(hit)
    if left:
        return different("more solutions than the key has")
    return equal_with("the same values by name")


def _same_record(
    one: tuple[tuple[str, str], ...], two: tuple[tuple[str, str], ...], problem_text: str
) -> bool:
    mine, theirs = dict(one), dict(two)
    if mine.keys() != theirs.keys():
        return False
    return all(_same_value(value, theirs[name], problem_text) for name, value in mine.items())


def _same_value(one: str, two: str, problem_text: str) -> bool:
    if len(read_group(one).items) > 1:
        result = compare_ordered(one, two, AnswerKind.TUPLE, problem_text)
    else:
        result = compare_scalars(one, two, AnswerKind.EXPRESSION, problem_text)
    return result.opinion is Opinion.EQUAL


def _compare_bare(one: Named, answer: str, problem_text: str) -> Comparison | None:
    """Return names in the key alone: the answer gives the values in the key's or the usual
    order.
    """
    if one.single:
        if len(one.records) == 1:
            return None
        if len({record[0][0] for record in one.records}) > 1:
            return undecided("the answer does not say which value is which")
        return compare_sets(one.tuples(one.names), answer, problem_text)
    if any(len(name) > 2 and name.isalpha() and name.islower() for name in one.names):
        return undecided("the answer does not say which value is which")
    bare = one.tuples(one.names if one.ordered else _order(one.names, problem_text))
    if len(one.records) > 1:
        return compare_sets(bare, answer, problem_text)
    return compare_ordered(bare, answer, AnswerKind.TUPLE, problem_text)


def _compare_to_bare(key: str, two: Named, kind: str, problem_text: str) -> Comparison | None:
    """Return names in the answer alone: put in the problem's order, or that of the alphabet."""
    if two.single or kind not in (AnswerKind.TUPLE, AnswerKind.LIST, AnswerKind.SET):
        return None
    order = _order(two.names, problem_text)
    group = read_group(key)
    if kind == AnswerKind.SET and not all(item.startswith("(") for item in group.items):
        if len({name[0] for name in two.names}) > 1:
            return undecided("names where the key has none")
        values = ", ".join(value for _, value in two.records[0])
        return compare_sets(key, values, problem_text) if len(two.records) == 1 else None
    bare = two.tuples(order)
    if len(two.records) > 1:
        return compare_sets(key, bare, problem_text)
    return compare_ordered(key, bare, AnswerKind.TUPLE, problem_text)


def _order(names: tuple[str, ...], problem_text: str) -> tuple[str, ...]:
    """Return the order in which a problem lists these names, else that of the alphabet."""
    for found in re.finditer(r"\(([^()=]{3,40})\)", problem_text):
        listed = tuple(re.split(r"\s*,\s*", found.group(1).replace("$", "").strip()))
        if sorted(listed) == sorted(names):
            return listed
    return tuple(sorted(names))
