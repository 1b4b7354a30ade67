"""Equality is reflexive and symmetric; renderings of one value are equal, changed ones differ."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from potstill.grading import KeyUnreadable, equal
from potstill.records import Opinion

settings.register_profile("grading", deadline=None, max_examples=60)
settings.load_profile("grading")

integers = st.integers(-999, 999)
rationals = st.fractions(min_value=-99, max_value=99, max_denominator=99)
squarefree = st.sampled_from([2, 3, 5, 6, 7, 10, 11, 13, 14, 15, 17, 19, 21])


def agree(one: str, two: str, kind: str, problem: str = "") -> bool:
    try:
        return equal(one, two, kind, problem).opinion is Opinion.EQUAL
    except KeyUnreadable:
        return False


def rational_renderings(value: Fraction) -> list[str]:
    n, d = value.numerator, value.denominator
    sign, size = ("-", abs(n)) if n < 0 else ("", n)
    found = [
        f"{n}/{d}",
        f"\\frac{{{n}}}{{{d}}}",
        f"{sign}\\dfrac{{{size}}}{{{d}}}",
        f"$\\frac{{{n}}}{{{d}}}$",
        f"\\left({n}/{d}\\right)",
        f"{2 * n}/{2 * d}",
        f"{sign}({size})/({d})".replace("-", "−"),
        f"x = {n}/{d}",
    ]
    if d == 1:
        found += [str(n), f"{n}.0", f"{n:,}", f"\\boxed{{{n}}}"]
    elif size > d:
        whole, rest = divmod(size, d)
        found += [f"{sign}{whole} {rest}/{d}", f"{sign}{whole}\\frac{{{rest}}}{{{d}}}"]
    if all(p in (2, 5) for p in prime_factors(d)):
        found.append(f"{float(value):.12f}".rstrip("0"))
    return found


def prime_factors(n: int) -> set[int]:
    return {p for p in range(2, n + 1) if n % p == 0 and all(p % q for q in range(2, p))}


def root_renderings(a: int, b: int, c: int) -> list[str]:
    """a + b√c in several notations."""
    sign, size = ("-", -b) if b < 0 else ("+", b)
    return [
        f"{a} {sign} {size}√{c}",
        f"{a}{sign}{size}\\sqrt{{{c}}}",
        f"{b}√{c} + {a}" if a >= 0 else f"{b}√{c} - {-a}",
        f"{a} {sign} {size}*sqrt({c})",
        f"{a} {sign} √({size * size * c})",
        f"{a} {sign} {size}·{c}^{{1/2}}",
        f"$ {a} {sign} {size} \\sqrt {{{c}}} $",
    ]


def tuple_renderings(values: list[int]) -> list[str]:
    body = [str(v) for v in values]
    return [
        "(" + ",".join(body) + ")",
        "( " + ", ".join(body) + " )",
        "\\left( " + ", ".join(body) + " \\right)",
        "$(" + ",\\, ".join(body) + ")$",
        "\\langle " + ", ".join(body) + " \\rangle",
        "(" + ", ".join(f"{2 * v}/2" for v in values) + ")",
    ]


def interval_renderings(low: int, high: int, left: bool, right: bool) -> list[str]:
    opening, closing = "[" if left else "(", "]" if right else ")"
    first, second = "≤" if left else "<", "≤" if right else "<"
    tex = {"≤": "\\le", "<": "<"}
    return [
        f"{opening}{low},{high}{closing}",
        f"\\left{opening} {low}, {high} \\right{closing}",
        f"x ∈ {opening}{low}, {high}{closing}",
        f"{low} {first} x {second} {high}",
        f"{low} {tex[first]} x {tex[second]} {high}",
    ]


@given(rationals)
def test_renderings_of_a_rational_are_equal(value: Fraction) -> None:
    renderings = rational_renderings(value)
    for one, two in permutations(renderings, 2):
        assert agree(one, two, "fraction"), (one, two)


@given(rationals, rationals)
def test_other_rationals_differ(one: Fraction, two: Fraction) -> None:
    assume(one != two)
    for a, b in zip(rational_renderings(one), rational_renderings(two), strict=False):
        assert not agree(a, b, "fraction"), (a, b)
        assert not agree(b, a, "fraction"), (b, a)


@given(integers, st.integers(1, 60), squarefree, st.booleans())
def test_renderings_of_a_root_are_equal(a: int, b: int, c: int, negative: bool) -> None:
    renderings = root_renderings(a, -b if negative else b, c)
    for one, two in permutations(renderings, 2):
        assert agree(one, two, "root"), (one, two)


@given(integers, st.integers(1, 60), squarefree, squarefree, st.integers(1, 3))
def test_changed_roots_differ(a: int, b: int, c: int, other: int, by: int) -> None:
    right = root_renderings(a, b, c)
    changed = [
        root_renderings(a, -b, c),
        root_renderings(a + by, b, c),
        root_renderings(a, b + by, c),
    ]
    if other != c:
        changed.append(root_renderings(a, b, other))
    for wrong in changed:
        for one, two in zip(right, wrong, strict=True):
            assert not agree(one, two, "root"), (one, two)
            assert not agree(two, one, "root"), (two, one)


@given(st.lists(integers, min_size=2, max_size=4))
def test_renderings_of_a_tuple_are_equal_and_reordered_ones_differ(values: list[int]) -> None:
    renderings = tuple_renderings(values)
    for one, two in permutations(renderings, 2):
        assert agree(one, two, "tuple"), (one, two)
    if values != values[::-1]:
        for one, two in zip(renderings, tuple_renderings(values[::-1]), strict=True):
            assert not agree(one, two, "tuple"), (one, two)
    changed = [values[0] + 1, *values[1:]]
    assert not agree(renderings[0], tuple_renderings(changed)[0], "tuple")
    assert not agree(renderings[0], tuple_renderings([*values, 0])[0], "tuple")


@given(st.lists(integers, min_size=1, max_size=5, unique=True), st.randoms())
def test_sets_have_no_order(values: list[int], draw: object) -> None:
    shuffled = list(values)
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    one = "{" + ", ".join(map(str, values)) + "}"
    two = "\\{" + ",".join(map(str, shuffled)) + "\\}"
    assert agree(one, two, "set")
    assert agree(two, one, "set")
    assert not agree(one, "{" + ", ".join(map(str, [*values, 5_000])) + "}", "set")
    if len(values) > 1:
        assert not agree(one, "(" + one[1:-1] + ")", "set")


@given(integers, st.integers(1, 50), st.booleans(), st.booleans())
def test_renderings_of_an_interval(low: int, width: int, left: bool, right: bool) -> None:
    renderings = interval_renderings(low, low + width, left, right)
    for one, two in permutations(renderings, 2):
        assert agree(one, two, "interval"), (one, two)
    for changed in (
        interval_renderings(low, low + width, not left, right),
        interval_renderings(low, low + width, left, not right),
        interval_renderings(low - 1, low + width, left, right),
        interval_renderings(low, low + width + 1, left, right),
    ):
        for one, two in zip(renderings, changed, strict=True):
            assert not agree(one, two, "interval"), (one, two)


@given(st.text(alphabet="0123456789+-*/^()[]{}, .xyπ√\\fracsqt$%°:=<>", max_size=30), st.data())
def test_whatever_is_readable_equals_itself_and_equality_is_symmetric(
    text: str, data: st.DataObject
) -> None:
    kind = data.draw(
        st.sampled_from(["integer", "expression", "tuple", "set", "interval", "ratio", "equation"])
    )
    other = data.draw(st.sampled_from([text, text + " ", text.replace("x", "y"), "(" + text + ")"]))
    try:
        assert equal(text, text, kind).opinion is Opinion.EQUAL
    except KeyUnreadable:
        return
    try:
        back = equal(other, text, kind).opinion is Opinion.EQUAL
    except KeyUnreadable:
        return
    assert agree(text, other, kind) == back
