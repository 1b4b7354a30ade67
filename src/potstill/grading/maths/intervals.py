"""Reading sets of real numbers out of text, and whether two of them are the same."""

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
from potstill.grading.maths.grammar import Name, Node, Unreadable, names_in
from potstill.grading.maths.groups import split_top
from potstill.grading.maths.reals import (
    LINE,
    Both,
    Either,
    RealPiece,
    RealSet,
    Without,
    checked_end,
    infinity_of,
    is_empty,
    pieces_of,
    same_set,
    solve,
)
from potstill.grading.maths.relations import compare_relations, read_relations
from potstill.grading.maths.set_words import (
    ALL_REALS,
    RAISED_LINE,
    SIGNED,
    SIGNED_REALS,
    WORDED_SIGNS,
    counted_set,
    says_nothing,
)
from potstill.grading.maths.values import TooBig, Undefined, sign_of_difference

__all__ = ["compare_intervals", "in_brackets", "is_relation", "reads_as_set"]

MAX_DEPTH = 8
_SIGN = re.compile(r"<=|>=|<|>|≤|≥|≠|=")
_NAMED = re.compile(
    r"^(?:\(?\s*([A-Za-zθαβλμ](?:_\{?\w{1,3}\}?)?'?)\s*\)?|[A-Za-z]\([a-z]\)|[A-Za-z][a-z]+(?:\s[a-z]+){0,3})"
    r"\s*(?:∈|=|:|\bin\b|\bis\b|\bcan be\b|\bmay be\b|\bbelongs? to\b)\s*"
    r"(?=[(\[\]⦃{ℝ∅]|all\b|any\b|every\b|the\b)"
)
# "x = 1 and x = 3", each of which is left out.
_ONE_BY_ONE = re.compile(r"[A-Za-z]\s*=[^=<>≤≥≠]*\band\s+[A-Za-z]\s*=[^<>≤≥≠]*$")
_BRACKETED = re.compile(r"^([(\[\]])(.*)([)\[\]])$", re.DOTALL)
_BUILDER = re.compile(
    r"^[{⦃]\s*(\(?[A-Za-zθ]\)?)\s*(?:∈\s*([ℝRℤℕℚ])\s*)?(?:\||:|,?\s*such that)\s*(.*)[}⦄]$",
    re.DOTALL,
)


# "the open interval from -1 to 5"; between two numbers alone says nothing of the ends.
_IN_WORDS = re.compile(
    r"^(?:the\s+|an?\s+)?(?:(?P<kind>open|closed)\s+interval\s+(?:from\s+|between\s+)?"
    r"|(?:(?:the\s+(?:set\s+of\s+)?)?"
    r"all\s+(?:the\s+)?(?:real\s+)?numbers?\s+|all\s+reals?\s+|[a-z]\s+(?:is\s+)?)?"
    r"(?P<strict>strictly\s+)?(?:from|between)\s+)?"
    r"(?P<low>\S+)\s+(?:to|and)\s+(?P<high>[^\s,]+)(?:,?\s*\(?(?P<ends>inclusive|exclusive)\)?)?$",
    re.IGNORECASE,
)


_CALLED = re.compile(
    r"^(?:the\s+|an?\s+)?(?P<kind>open|closed)\s+interval\s+(?P<set>[(\[][^()\[\]]+[)\]])$",
    re.IGNORECASE,
)


def in_brackets(text: str) -> str:
    """Return an interval that a tidied text names in words, in brackets; any other text as it
    is.
    """
    if (named := _CALLED.match(text.strip().rstrip("."))) is not None:
        ends = "()" if named["kind"].lower() == "open" else "[]"
        return named["set"] if named["set"][0] + named["set"][-1] == ends else text
    found = _IN_WORDS.match(text.strip().rstrip("."))
    if found is None:
        return text
    kind, ends = (found["kind"] or "").lower(), (found["ends"] or "").lower()
    is_open = kind == "open" or bool(found["strict"]) or ends == "exclusive"
    is_closed = kind == "closed" or ends == "inclusive"
    if is_open is is_closed:
        return text
    inside = f"{found['low']}, {found['high']}"
    return f"({inside})" if is_open else f"[{inside}]"


@dataclass(frozen=True, slots=True)
class _Read:
    """A set and the letter it is said of, where one is."""

    found: RealSet
    name: str = ""


def is_relation(text: str) -> bool:
    """Return whether a tidied text is an inequality or says what a set is made of."""
    return bool(re.search(r"[<>≤≥≠∪∩∖∈ℝ]", text)) and not text.startswith("<")


def reads_as_set(text: str) -> bool:
    """Return whether a tidied text reads as a set of real numbers."""
    try:
        _read(text)
    except (Unreadable, Undefined, TooBig):
        return False
    return True


def compare_intervals(key: str, answer: str) -> Comparison:
    """Return whether two sets of real numbers are the same, whatever each is written as."""
    if (counted := counted_set(key)) is not None:
        return (
            equal_with("the same set")
            if counted_set(answer) == counted
            else different("another set")
        )
    if (several := _by_relations(key, answer)) is not None:
        return several
    try:
        one = _read(key)
        if same_set(one.found, one.found) is not True:
            raise KeyUnreadable("the key's ends cannot be compared")
    except (Unreadable, Undefined, TooBig) as error:
        raise KeyUnreadable(f"the key cannot be read as an interval: {error}") from error
    if counted_set(answer) is not None:
        return different("another set")
    try:
        two = _read(answer)
        if one.name and two.name and one.name != two.name:
            return undecided(f"the key is about {one.name}, the answer about {two.name}")
        equal = same_set(one.found, two.found)
    except (Unreadable, Undefined, TooBig) as error:
        return unreadable(f"the answer cannot be read as an interval: {error}")
    if equal is None:
        return undecided("it cannot be told whether the sets are the same")
    return equal_with("the same set of numbers") if equal else different("another set of numbers")


def _by_relations(key: str, answer: str) -> Comparison | None:
    """Return a comparison of inequalities in several variables, or None where the key is in one."""
    try:
        variables = {name for one in read_relations(key) for name in names_in(one.difference)}
        if len(variables) < 2 or reads_as_set(key):
            return None
    except (Unreadable, Undefined, TooBig):
        return None
    try:
        return compare_relations(key, answer)
    except (Unreadable, Undefined, TooBig) as error:
        return unreadable(f"the answer cannot be read as inequalities: {error}")


@lru_cache(maxsize=4096)
def _read(text: str) -> _Read:
    text = in_brackets(text.strip().rstrip(".,;").strip())
    text = re.sub(r"(?<=[)\]⦄}])\s*(?:U|u|or|and|union)\s*(?=[(\[⦃{])", "∪", text)
    for words, sign in WORDED_SIGNS:
        if "than" in text or "at " in text or "equal" in text:
            text = re.sub(words, f" {sign} ", text, flags=re.IGNORECASE)
    text = re.sub(r"^(?:all|any|every)\s+(?=[A-Za-z]\s*[<>≤≥≠])", "", text)
    name = ""
    if (named := _NAMED.match(text)) is not None:
        # "A = (0, 1)" calls the set a name; "x ∈ (0, 1)" is said of x.
        name = (named.group(1) or "") if "∈" in named.group() or " in " in named.group() else ""
        text = text[named.end() :].strip()
    names: set[str] = {name} if name else set()
    found = _set(text, names, 0)
    for piece in pieces_of(found):
        _ordered(piece)
    if len(names) > 1:
        raise Unreadable("a set in more than one variable")
    return _Read(found, names.pop() if names else "")


def _ordered(piece: RealPiece) -> None:
    """Refuse a piece whose ends stand the wrong way round, unless letters hide it."""
    if infinity_of(piece.low) == 1 or infinity_of(piece.high) == -1:
        raise Unreadable("an interval that ends before it begins")
    if piece.low_closed and infinity_of(piece.low):
        raise Unreadable("a closed end at infinity")
    if piece.high_closed and infinity_of(piece.high):
        raise Unreadable("a closed end at infinity")


def _set(text: str, names: set[str], depth: int) -> RealSet:
    text = text.strip().rstrip(".,;").strip()
    if depth > MAX_DEPTH or not text:
        raise Unreadable("no set of numbers")
    if says_nothing(text):
        return Either(())
    if (whole := _worded(text, names, depth)) is not None:
        return whole
    if (match := _BUILDER.match(text)) is not None:
        if match.group(2) and match.group(2) not in "ℝR":
            raise Unreadable("a set of other than real numbers")
        names.add(match.group(1).strip("()"))
        return _set(match.group(3), names, depth + 1)
    for signs, made in (("∪", Either), ("∩", Both)):
        parts = split_top(text, signs)
        if len(parts) > 1:
            return made(tuple(_set(part, names, depth + 1) for part in parts))
    if (removed := _difference(text, names, depth)) is not None:
        return removed
    if _SIGN.search(text):
        return _relations(text, names, depth)
    return _bracketed(text, names, depth)


def _worded(text: str, names: set[str], depth: int) -> RealSet | None:
    plain = text.replace(" ", "")
    if plain in ("ℝ", "(-∞,∞)", "(-∞,+∞)", "R"):
        return LINE
    zero = checked_end("0")
    if (sign := RAISED_LINE.get(plain)) is not None:
        return solve(Name("x"), sign, zero, "x")
    if (match := SIGNED_REALS.match(text)) is not None:
        kind = (match.group("kind") or match.group("late")).lower()
        return solve(Name("x"), SIGNED[kind], zero, "x")
    if (match := ALL_REALS.match(text)) is None:
        return None
    rest, but = match.group("rest"), (match.group("but") or "").lower()
    if rest is None:
        return LINE
    if but in ("where", "with", "such that", "that are", "that is"):
        return _set(rest, names, depth + 1)
    if but in ("greater than", "less than", ">", "<", "≥", "≤"):
        sign = {"greater than": ">", "less than": "<"}.get(but, but)
        return _relations(f"x {sign} {rest}", set(), depth + 1)
    if re.search(r"[(\[]", rest) or _SIGN.search(rest):
        if "≠" in rest:
            return _set(rest, names, depth + 1)
        if _ONE_BY_ONE.match(rest) is not None:
            rest = re.sub(r",?\s+and\s+", " or ", rest)
        return Without(LINE, _set(rest, names, depth + 1))
    return Without(LINE, _points(rest))


def _points(text: str) -> RealSet:
    """Return the numbers of "1 and 2", "-1, 1" or "±1" as points."""
    text = re.sub(r"^(?:\{|⦃)|(?:\}|⦄)$", "", text.strip()).strip()
    items = [i for i in split_top(re.sub(r",?\s+(?:and|or)\s+", ",", text)) if i]
    if not items or len(items) > 30:
        raise Unreadable("no numbers")
    ends = []
    for item in items:
        item = re.sub(r"^[A-Za-z]\s*=\s*", "", item)
        if "±" in item:
            ends += [checked_end(item.replace("±", "+")), checked_end(item.replace("±", "-"))]
        else:
            ends.append(checked_end(item))
    return Either(tuple(RealPiece(end, end, True, True) for end in ends))


def _difference(text: str, names: set[str], depth: int) -> RealSet | None:
    parts = split_top(text, "∖")
    if len(parts) == 1 and (match := re.match(r"^(.*[ℝR)\]⦄}])\s*-\s*([⦃{(\[].*)$", text)):
        parts = [match.group(1), match.group(2)]
    if len(parts) != 2:
        return None
    return Without(_set(parts[0], names, depth + 1), _set(parts[1], names, depth + 1))


def _relations(text: str, names: set[str], depth: int) -> RealSet:
    """Return inequalities joined by words and commas, or one chain of them."""
    if depth > MAX_DEPTH:
        raise Unreadable("nested too deeply")
    if (member := re.match(r"^\s*([A-Za-zθ])\s*∈\s*([^,]+)$", text)) is not None:
        names.add(member.group(1))
        return _set(member.group(2), names, depth + 1)
    for words, made in ((r"\s+or\s+|;", Either), (r"\s+and\s+|\s*&\s*", Both)):
        parts = [p for p in re.split(words, text) if p.strip(" ,")]
        if len(parts) > 1:
            return made(tuple(_set(p.strip(" ,"), names, depth + 1) for p in _with_subject(parts)))
    parts = split_top(text)
    if len(parts) > 1 and all(parts):
        read = tuple(
            (_relations if _SIGN.search(part) else _set)(part, names, depth + 1)
            for part in _with_subject(parts)
        )
        joined = Both(read)
        # "x < 2, x > 5" can only be meant as the one or the other.
        return Either(read) if is_empty(joined) else joined
    return _chain(text, names)


def _with_subject(parts: list[str]) -> list[str]:
    """Return ``x ≠ 1, 2`` with its subject written out: ``x ≠ 1``, ``x ≠ 2``."""
    found: list[str] = []
    for part in parts:
        if found and not re.search(r"[<>≤≥≠=∪∈ℝ(\[]", part):
            subject = re.match(r"^\s*([A-Za-zθ])\s*(≠|=)", found[-1])
            if subject is None:
                raise Unreadable("a number beside an inequality")
            part = f"{subject.group(1)} {subject.group(2)} {part}"
        found.append(part)
    return found


def _chain(text: str, names: set[str]) -> RealSet:
    text = text.replace("<=", "≤").replace(">=", "≥")
    signs = re.findall(r"[<>≤≥≠=]", text)
    sides = [side.strip() for side in re.split(r"[<>≤≥≠=]", text)]
    if not signs or len(signs) > 2 or not all(sides):
        raise Unreadable("not an inequality")
    if "∈" in text or re.search(r"[A-Za-z]\s?\(\s?-?\d", text):
        raise Unreadable("more than an inequality in one variable")
    if "±" in text and len(signs) == 1 and signs[0] in "=≠":
        kept = _points(sides[1])
        return kept if signs[0] == "=" else Without(LINE, kept)
    nodes = [checked_end(side) for side in sides]
    variable = _variable(nodes)
    names.add(variable)
    parts = []
    for index, sign in enumerate(signs):
        left, right = nodes[index], nodes[index + 1]
        if infinity_of(left) or infinity_of(right):
            parts.append(_beside_infinity(left, sign, right))
        else:
            parts.append(solve(left, sign, right, variable))
    if len(parts) == 1:
        return parts[0]
    return _one_interval(parts) or Both(tuple(parts))


def _beside_infinity(left: Node, sign: str, right: Node) -> RealSet:
    """Return ``x < ∞`` and ``-∞ < x`` hold for every number."""
    del left, right
    if sign not in "<>":
        raise Unreadable("an infinite end that is reached")
    return LINE


def _one_interval(parts: list[RealSet]) -> RealPiece | None:
    """Return ``a < x ≤ b`` as one piece, so that ends with letters can be compared."""
    pieces = [part for part in parts if isinstance(part, RealPiece)]
    low = next((p for p in pieces if not infinity_of(p.low)), None)
    high = next((p for p in pieces if not infinity_of(p.high)), None)
    if len(pieces) != 2 or low is None or high is None or low is high:
        return None
    if not infinity_of(low.high) or not infinity_of(high.low):
        return None
    return RealPiece(low.low, high.high, low.low_closed, high.high_closed)


def _variable(nodes: list[Node]) -> str:
    """Return the letter that inequalities are about: the only one, or the one that stands alone."""
    letters = [names_in(node) for node in nodes]
    every = frozenset().union(*letters)
    if len(every) == 1:
        return next(iter(every))
    middle = nodes[1] if len(nodes) == 3 else None
    for node in (middle, *nodes):
        if isinstance(node, Name) and sum(node.name in found for found in letters) == 1:
            return node.name
    raise Unreadable("not an inequality in one variable")


def _bracketed(text: str, names: set[str], depth: int) -> RealSet:
    if re.match(r"^[⦃{].*[⦄}]$", text):
        return _points(text[1:-1])
    match = _BRACKETED.match(text)
    if match is None:
        raise Unreadable("no brackets")
    opening, inside, closing = match.groups()
    if opening == "(" and closing == ")" and len(split_top(inside, ",;")) == 1:
        return _set(inside, names, depth + 1)
    ends = split_top(inside, ";" if ";" in inside else ",")
    if len(ends) != 2 or not all(ends):
        raise Unreadable("not two ends")
    low, high = (checked_end(end) for end in ends)
    piece = RealPiece(low, high, opening == "[", closing == "]")
    constant = not infinity_of(low) and not infinity_of(high) and not names_in(low) | names_in(high)
    if constant and sign_of_difference(low, high) > 0:
        raise Unreadable("an interval that ends before it begins")
    return piece
