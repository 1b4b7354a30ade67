"""Vectors by their unit vectors: ``3i - 2j + k``, whatever hats and bars the letters wear."""

from __future__ import annotations

import re

__all__ = ["as_tuples", "read_components"]

_TERM = re.compile(r"^(.*?)\s*\*?\s*(?:\\(?:hat|vec|bar|overline)\s*\{?\s*)?([ijk])\s*\}?$")
_DRESSED = re.compile(r"\\(?:hat|widehat|vec|bar)\s*\{?\s*(?:\\)?([ij]math|[ijk])\s*\}?")
_VECTOR = re.compile(r"^[(\[⟨<]|^\\begin")
_MAX_TERMS = 3


def as_tuples(key: str, answer: str) -> tuple[str, str] | None:
    """Return both sides as tuples where one at least is a sum of unit vectors and the other a
    vector.

    None where that is not so. Beside a vector of three a missing ``k`` is a component of 0.
    """
    if not any(letter in key + answer for letter in "jk"):
        return None
    sides = [text.rpartition("=")[2].strip() for text in (key, answer)]
    made = [read_components(side) for side in sides]
    if made[0] is None and made[1] is None:
        return None
    for here, there in ((0, 1), (1, 0)):
        if made[here] is None:
            if _VECTOR.match(sides[here]) is None:
                return None
            made[here] = sides[here]
            commas = max(sides[here].count(","), sides[here].count("\\\\"))
            if commas == 2:
                made[there] = read_components(sides[there], "ijk")
    one, two = made
    if one is None or two is None:
        return None
    if one[0] == two[0] == "(" and one.count(",") != two.count(",") and len(made) == 2:
        return read_components(sides[0], "ijk") or one, read_components(sides[1], "ijk") or two
    return one, two


def read_components(text: str, names: str = "") -> str | None:
    """Return the components of a sum of multiples of i, j and k, or None where a term is none of
    them.

    Two letters at least: a lone ``2i`` is a complex number, a lone ``3k`` a multiple.
    """
    terms = _terms(_DRESSED.sub(r"\1", text).strip())
    if not 2 <= len(terms) <= _MAX_TERMS:
        return None
    parts: dict[str, str] = {}
    for sign, term in terms:
        match = _TERM.match(term)
        if match is None or match.group(2) in parts:
            return None
        size = match.group(1).strip()
        if re.search(r"[A-Za-z]", re.sub(r"\\(?:frac|sqrt)", "", size)) or not _whole(size):
            return None
        parts[match.group(2)] = sign + (size or "1")
    if "j" not in parts and "k" not in parts:
        return None
    names = names or ("ijk" if "k" in parts else "ij")
    return "(" + ", ".join(parts.get(name, "0") for name in names) + ")"


def _whole(text: str) -> bool:
    return all(text.count(a) == text.count(b) for a, b in ("()", "{}", "[]"))


def _terms(text: str) -> list[tuple[str, str]]:
    """Return the terms of a sum with their signs, split outside brackets."""
    found: list[tuple[str, str]] = []
    sign, start, depth = "", 0, 0
    for index, character in enumerate(text):
        if character in "({[":
            depth += 1
        elif character in ")}]":
            depth -= 1
        elif depth == 0 and character in "+-":
            piece = text[start:index].strip()
            if piece:
                found.append((sign, piece))
            elif found or sign:
                return []
            sign, start = "-" if character == "-" else "", index + 1
    found.append((sign, text[start:].strip()))
    return found
