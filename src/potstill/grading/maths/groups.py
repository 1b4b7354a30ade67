"""Equality of answers made of several values: points, sets, lists, ratios, matrices."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    undecided,
    unreadable,
)
from potstill.grading.maths.numbers import compare_scalars
from potstill.records import Opinion

__all__ = [
    "Group",
    "compare_matrices",
    "compare_ordered",
    "compare_sets",
    "has_items",
    "read_group",
    "split_top",
    "without_order_remark",
]

MAX_ITEMS = 60
_OPENING = {"(": ")", "[": "]", "{": "}", "⦃": "⦄", "⟨": "⟩"}
_CLOSING = frozenset(_OPENING.values())
# Not vmatrix: a determinant is a number.
_ENVIRONMENT = re.compile(
    r"^\\begin\s?\{(?:[pbB]?matrix|smallmatrix|array)\}(?:\s?\{[lcr| ]*\})?(.*)"
    r"\\end\s?\{(?:[pbB]?matrix|smallmatrix|array)\}$",
    re.DOTALL,
)
_IN_BRACKETS = re.compile(r"^[(\[]\s*(\\begin.*\\end\s?\{[a-z]+\})\s*[)\]]$", re.DOTALL)
_SCALED = re.compile(r"^(?!\\begin)([^&=]{1,40}?)\s*\*?\s*([(\[]?\s*\\begin.*)$", re.DOTALL)
_SCALED_TUPLE = re.compile(
    r"^(-?\\frac\s?\{\d{1,9}\}\s?\{\d{1,9}\}|[-+]?\d{1,9}(?:/\d{1,9})?|[-+])\s*\*?\s*([(⟨][^()⟨⟩]*,[^()⟨⟩]*[)⟩])$"
)
_NAMED_GROUP = re.compile(
    r"^[^=∈(\[⦃{⟨]{0,20}(?:\([A-Za-z, θφr]{1,20}\))?\s*(?:=|∈)\s*(?=[(\[⦃{⟨\\])"
)
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_ANY_ORDER = re.compile(
    r"[\s,;(]*\(?\s*(?:answers?\s+)?(?:in\s+)?(?:any|either)\s+order\s*(?:is\s+)?"
    r"(?:accepted|ok|acceptable|allowed|fine)?\s*\)?[\s.]*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Group:
    """Values side by side: how they are enclosed ("" for bare ones) and, of a matrix, in rows.

    ``line`` says of a matrix of one line whether it is a "row" or a "column".
    """

    bracket: str
    items: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()
    line: str = ""


def split_top(text: str, separators: str = ",") -> list[str]:
    """Return the pieces of a text between separators that stand in no bracket."""
    pieces, start, depth = [], 0, 0
    for index, character in enumerate(text):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(0, depth - 1)
        elif depth == 0 and character in separators:
            pieces.append(text[start:index].strip())
            start = index + 1
    pieces.append(text[start:].strip())
    return pieces


def _enclosed(text: str) -> bool:
    """Return whether the first bracket closes at the very end."""
    depth = 0
    for index, character in enumerate(text):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
            if depth == 0:
                return index == len(text) - 1
    return False


def without_order_remark(text: str) -> str:
    """Return a key without "(answers in any order)"."""
    return _ANY_ORDER.sub("", text)


@lru_cache(maxsize=8192)
def read_group(text: str) -> Group:
    """Return the values of a tidied text, taken out of their brackets; bare ones are split at
    commas.
    """
    text = text.strip().rstrip(".;").strip()
    text = _NAMED_GROUP.sub("", text, count=1)
    factor = ""
    if "\\begin" in text:
        if (scaled := _SCALED.match(text)) is not None and scaled.group(1).strip("([ "):
            factor, text = scaled.group(1).strip(), scaled.group(2).strip()
            factor = {"-": "-1", "+": "1"}.get(factor, factor)
        text = _IN_BRACKETS.sub(r"\1", text)
    if match := _ENVIRONMENT.match(text):
        rows = tuple(
            tuple(cell.strip() for cell in row.split("&"))
            for row in re.split(r"\\\\|\\cr", match.group(1))
            if row.strip()
        )
        if factor:
            rows = tuple(tuple(f"({factor})*({cell})" for cell in row) for row in rows)
        return _matrix(rows)
    if text == "∅":
        return Group("⦃", ())
    if (tuple_ := _SCALED_TUPLE.match(text)) is not None and _enclosed(tuple_.group(2)):
        size = {"-": "-1", "+": "1"}.get(tuple_.group(1).strip(), tuple_.group(1).strip())
        return Group("(", tuple(f"({size})*({i})" for i in split_top(tuple_.group(2)[1:-1])))
    if text.startswith("<") and text.endswith(">") and "," in text:
        return Group("(", tuple(split_top(text[1:-1])))
    if text[:1] in _OPENING and _enclosed(text):
        bracket, inside = text[0], text[1:-1].strip()
        if ";" in inside and bracket in "([":
            rows = tuple(tuple(_cells(row)) for row in split_top(inside, ";"))
            return _matrix(rows)
        is_set = bracket in "{⦃" and ";" in inside
        items = [piece for piece in split_top(inside, ";" if is_set else ",") if piece]
        if items and bracket in "[(" and all(i.startswith("[") and _enclosed(i) for i in items):
            return _matrix(tuple(tuple(split_top(item[1:-1])) for item in items))
        bracket = {"{": "⦃", "⟨": "("}.get(bracket, bracket)
        if len(items) != 1 or bracket == "⦃":
            return Group(bracket, _expanded(items))
        if bracket == "(" and ("±" in text or " and " in text):
            return read_group(items[0])
        return Group(bracket, tuple(items))
    return Group("", _expanded(_bare(text)))


def has_items(group: Group, count: int) -> bool:
    """Return whether a group holds so many values and no rows."""
    return len(group.items) == count and not group.rows


def _matrix(rows: tuple[tuple[str, ...], ...]) -> Group:
    if len(rows) == 1 or all(len(row) == 1 for row in rows):
        line = "row" if len(rows) == 1 else "column"
        return Group("(", tuple(cell for row in rows for cell in row), line=line)
    return Group("[", tuple(cell for row in rows for cell in row), rows)


def _cells(row: str) -> list[str]:
    if "," in row:
        return split_top(row)
    return row.split()


def _bare(text: str) -> list[str]:
    if "," in text:
        # The commas of 1,000 part nothing; those of "3, 500" and of "3,500,7" do.
        text = _THOUSANDS.sub(lambda run: run.group().replace(",", ""), text)
    spaced = re.sub(r",?\s+(?:and|or|&)\s+", " , ", text)
    # A list of points in words: "(1,2) and (3,4)"; of values: "1, 2 and 3"; ";" also parts.
    pieces = split_top(spaced, ",;") if ";" not in spaced else split_top(spaced, ";")
    return [piece for piece in pieces if piece]


def _expanded(items: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for item in items[: MAX_ITEMS + 1]:
        if "±" in item or "∓" in item:
            named = re.sub(r"^[A-Za-z]\s?=\s?", "", item)
            found.append(named.replace("±", "+").replace("∓", "-"))
            found.append(named.replace("±", "-").replace("∓", "+"))
        else:
            found.append(item)
    return tuple(found)


def _compare_items(key: str, answer: str, problem_text: str) -> Comparison:
    if key[:1] in _OPENING and _enclosed(key) and "," in key:
        return compare_ordered(key, answer, "tuple", problem_text)
    if re.search(r"[=]", answer) and not re.match(r"^\s?[A-Za-z](?:_\{?\w\}?)?\s?=", answer):
        return unreadable("an equation inside a list")
    return compare_scalars(key, answer, "expression", problem_text)


def compare_ordered(key: str, answer: str, kind: str, problem_text: str = "") -> Comparison:
    """Return whether two points, vectors or ordered lists have the same values in the same
    order.
    """
    one, two = read_group(without_order_remark(key)), read_group(answer)
    if not one.items or len(one.items) > MAX_ITEMS:
        raise KeyUnreadable("the key holds no values")
    if two.bracket == "⦃" and one.bracket != "⦃":
        return different("a set where the order matters")
    point, pair = one.bracket == "(", two.bracket == "[" and not two.rows and len(two.items) == 2
    if kind == "tuple" and point and pair and "interval" in problem_text.lower():
        return different("an interval for a point")
    if two.rows and one.rows != () and len(two.rows) != len(one.rows):
        return different("a matrix of another shape")
    if two.rows and not one.rows:
        return different("a matrix for a list of values")
    if len(one.items) != len(two.items):
        _readable_items(one, problem_text)
        return _other_length(one, two)
    if _out_of_order(two.items):
        return undecided("the answer names its values in another order")
    results = [
        _compare_items(k, a, problem_text) for k, a in zip(one.items, two.items, strict=True)
    ]
    for result in results:
        if result.opinion is Opinion.DIFFERENT:
            return different(f"the values differ: {result.why}")
    for result in results:
        if result.opinion is Opinion.UNDECIDED:
            return result
    return equal_with("equal values in the same order", *(r.form for r in results))


def _other_length(one: Group, two: Group) -> Comparison:
    return different(f"{len(two.items)} values for {len(one.items)}")


def _readable_items(group: Group, problem_text: str) -> None:
    for item in group.items:
        _compare_items(item, item, problem_text)


def _out_of_order(items: tuple[str, ...]) -> bool:
    names = [m.group(1) for i in items if (m := re.match(r"^\s*([A-Za-z])\s*=", i))]
    return len(names) == len(items) > 1 and names != sorted(names)


def compare_sets(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Return whether two sets, or lists in which the order is free, hold the same values."""
    one, two = read_group(without_order_remark(key)), read_group(without_order_remark(answer))
    if (not one.items and one.bracket != "⦃") or len(one.items) > MAX_ITEMS:
        raise KeyUnreadable("the key holds no values")
    _readable_items(one, problem_text)
    if len(two.items) > MAX_ITEMS:
        return unreadable("too many values")
    if two.bracket in ("(", "[") and len(two.items) > 1:
        if one.bracket == "⦃":
            return different("a point or an interval for a set")
        if one.bracket == "":
            if two.bracket == "(":
                return undecided("a point for a list of values")
            two = Group("", two.items)
    unmatched = list(two.items)
    used: set[int] = set()
    why = ""
    notes: list[str] = []
    doubt: Comparison | None = None
    for item in one.items:
        hit = False
        for index, candidate in enumerate(unmatched):
            result = _compare_items(item, candidate, problem_text)
            if result.opinion is Opinion.EQUAL:
                used.add(index)
                notes.append(result.form)
                hit = True
            elif result.opinion is Opinion.UNDECIDED:
                doubt = result
        if not hit:
            why = why or f"{item} is missing"
    if not why and len(used) < len(unmatched):
        extra = next(c for i, c in enumerate(unmatched) if i not in used)
        why = f"{extra} is too much"
    if why:
        return doubt or different(why)
    repeated = len(one.items) == len(two.items) > len(set(one.items)) and one.bracket == ""
    if repeated and _counts(one.items, one.items) != _counts(one.items, two.items):
        return different("a value another number of times")
    return equal_with("the same values", *notes)


def _counts(items: tuple[str, ...], others: tuple[str, ...]) -> list[int]:
    """Return how many of ``others`` each item equals."""
    return [
        sum(_compare_items(item, other, "").opinion is Opinion.EQUAL for other in others)
        for item in items
    ]


def compare_ratios(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Return whether two ratios are proportional: 6:7, 6 to 7, 6/7 (of two terms), 12:14."""
    one = _terms(key)
    if len(one) < 2:
        raise KeyUnreadable("the key is not a ratio")
    if len(forms := _ratio_forms(answer)) > 1:
        results = [compare_ratios(key, form, problem_text) for form in forms]
        if any(result.opinion is not Opinion.EQUAL for result in results):
            return undecided("the answer gives several ratios that differ")
        return results[-1]
    two = _terms(answer)
    if len(two) == 1:
        if len(one) != 2 or ("/" not in answer and "\\frac" not in answer):
            return different("a single number for a ratio")
        fraction = compare_scalars(f"({one[0]})/({one[1]})", answer, "fraction", problem_text)
        if fraction.opinion is not Opinion.EQUAL:
            return fraction
        return equal_with("equal ratios", "another exact form: a fraction for a ratio")
    if len(one) != len(two):
        return different(f"{len(two)} terms for {len(one)}")
    for k, a in zip(one[1:], two[1:], strict=True):
        result = compare_scalars(f"({one[0]})*({a})", f"({two[0]})*({k})", "expression")
        if result.opinion is not Opinion.EQUAL:
            return result
    plain = [t.replace(" ", "") for t in one] == [t.replace(" ", "") for t in two]
    return equal_with("equal ratios", "" if plain else "a ratio not in the key's terms")


_RATIO_AGAIN = re.compile(
    r"\s*(?:,?\s+or\s+|=|≈|→|⇒|,?\s+(?:which\s+)?(?:is|simplifies\s+to|reduces\s+to|simplified\s+to|equals|i\.e\.|that\s+is)[,:]?\s+"
    r"(?:equal\s+to\s+)?)\s*(?=[\d(])",
    re.IGNORECASE,
)
_SIMPLEST = re.compile(
    r",?\s+(?:when\s+|once\s+)?(?:in\s+(?:its\s+)?(?:simplest|lowest|reduced|simplified)\s+(?:form|terms)|simplified|reduced)$",
    re.IGNORECASE,
)
_BRACKETED_RATIO = re.compile(
    r"^(\d[\d.:\s]*:\s*[\d.]+)\s*\((?:or\s+|=\s*|from\s+)?(\d[\d.:\s]*:\s*[\d.]+)\)$"
)


def _ratio_forms(text: str) -> list[str]:
    """Return the forms one ratio is given in: "15:25, or 3:5 in simplest form"."""
    text = text.strip().rstrip(".")
    if (twice := _BRACKETED_RATIO.match(text)) is not None:
        return [twice[1].strip(), twice[2].strip()]
    forms = [_SIMPLEST.sub("", form).strip(" ,") for form in _RATIO_AGAIN.split(text)]
    return forms if all(":" in form or " to " in form for form in forms) else [text]


def _terms(text: str) -> list[str]:
    text = re.sub(r"^[^=]{1,20}=\s*", "", text.strip().rstrip("."))
    if text[:1] == "(" and _enclosed(text):
        text = text[1:-1]
    text = re.sub(r"(?<=[\d) ])\s+to\s+(?=[\d(\-])", ":", text)
    return [term for term in split_top(text, ":") if term]


def compare_matrices(key: str, answer: str, problem_text: str = "") -> Comparison:
    """Return whether two matrices or vectors have the same entries at the same places."""
    one, two = read_group(key), read_group(answer)
    if one.rows and not two.rows:
        return different("not a matrix of the same shape")
    if one.line and two.line and one.line != two.line and len(one.items) > 1:
        return different(f"a {two.line} for a {one.line}")
    if one.rows and tuple(map(len, one.rows)) != tuple(map(len, two.rows)):
        return different("a matrix of another shape")
    return compare_ordered(key, answer, "matrix", problem_text)
