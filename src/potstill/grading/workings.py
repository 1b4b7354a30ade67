"""The sums of a trace as steps: what was worked out from what, and whether it is right.

A trace writes "7 x 6 = 42", "6 boxes at $7 each, so 6 × $7 = $42", "30% of 120 is 36" and
"42 divided by 3 equals 14". :func:`read_workings` writes them all in one notation and checks each
with exact arithmetic. It reads more than :mod:`~potstill.grading.maths.equations`, which may raise
no false alarm: here a doubtful sum only fails to name a cause.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from potstill.grading.maths.equations import holds
from potstill.grading.maths.grammar import Apply, Number, Unreadable, read_expression
from potstill.grading.maths.number_words import SMALL_NUMBERS, TENS
from potstill.grading.maths.values import TooBig, Undefined, exact
from potstill.grading.programs import Printed, printed

__all__ = ["Step", "Workings", "numbers_in", "percents_in", "read_workings"]

MAX_TEXT = 20_000
MAX_SIDE = 120
MAX_STEPS = 400
MAX_NAMED = 80
WORDS = (
    SMALL_NUMBERS | {word: n for word, n in TENS.items() if n <= 60} | {"dozen": 12, "hundred": 100}
)
_WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:\s?/\s?\d+(?![\d.]))?|(?<![\w.])\.\d+")
_GROUPED = re.compile(r"(?<=\d)(?:,|\\,|\\!|\{,\}|,\\!)+(?=\d{3}(?!\d))")
_TEXT = re.compile(r"\\(?:text|mathrm|mathbf|textbf|operatorname)\s?\{[^{}]{0,200}\}")
_FRACTION = re.compile(r"\\[dt]?frac\s?\{([^{}]{1,80})\}\s?\{([^{}]{1,80})\}")
_BOX = re.compile(r"\\f?boxed\s?\{([^{}]{0,200})\}")
_MARKUP = re.compile(r"\\[()\[\],;:!]|\\(?:left|right|quad|qquad)\b|\*\*|[$#`_]|\\(?=[$%])")
_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "≈": "=", "≃": "="}
)
_COMMANDS = re.compile(r"\\(times|cdot|div|approx)\b")
_COMMAND_SIGNS = {"times": "*", "cdot": "*", "div": "/", "approx": "="}
_LETTER_TIMES = re.compile(r"(?<=[\d)])\s+x\s+(?=[\d(])")
_PERCENT = re.compile(r"(?<![\d.])(\d++(?:\.\d++)?+)\s?(?:%|percent\b)")
_OF = re.compile(r"(?<=\))\s?of\s+(?:the\s+)?(?=[\d(])|(?<=\d/\d)\s+of\s+(?=[\d(])")
_HALF_OF = re.compile(r"\bhalf\s+(?:of\s+|the\s+)?(?=\d)", re.IGNORECASE)
# A unit behind a number: words, a "per" or a slash between them; "and" and the like are no units.
_OPERATOR_WORDS = (
    "mod|multiplied|times|plus|minus|divided|equals|equal|is|are|was|be|gives|give|makes|and|so|then|"
    "which|that|of|x|results?|resulting|totals?|totaling|leaves|leaving|to|from|or|more|less|if|we|"
    "but|get|for|will"
)
_UNIT = re.compile(
    rf"(?<=[\d)])\s?-?(?:/\s?)?(?!(?:{_OPERATOR_WORDS})\b)[A-Za-z][A-Za-z'’]{{1,20}}"
    rf"(?:(?:\s|\s?/\s?|-)(?!(?:{_OPERATOR_WORDS})\b)[A-Za-z'’]{{1,20}}){{0,3}}\b"
    rf"(?=\s?(?:[-+*/=)]|\([A-Za-z]|$|\n|[.,;]|(?:{_OPERATOR_WORDS})\b))"
)
_AND_UNIT = re.compile(r"(?<=[\d)])\s?\([A-Za-z][A-Za-z ,'’]{0,40}\)")
_BY = (
    (re.compile(r"(?<=[\d)])\s(?:multiplied by|times)\s(?=[\d(])", re.I), " * "),
    (re.compile(r"(?<=[\d)])\splus\s(?=[\d(])", re.I), " + "),
    (re.compile(r"(?<=[\d)])\sminus\s(?=[\d(])", re.I), " - "),
    (re.compile(r"(?<=[\d)])\sdivided by\s(?=[\d(])", re.I), " / "),
    (re.compile(r"\bdivid(?:e|ing)\s([\d.]+)\sby\s(?=[\d(])", re.I), r"\1 / "),
    (re.compile(r"\bmultiply(?:ing)?\s([\d.]+)\sby\s(?=[\d(])", re.I), r"\1 * "),
    (re.compile(r"\bsubtract(?:ing)?\s([\d.]+)\sfrom\s([\d.]+\d)", re.I), r"\2 - \1"),
    (re.compile(r"\badd(?:ing)?\s([\d.]+)\s(?:and|to)\s(?=[\d(])", re.I), r"\1 + "),
)
_BY_WORDS = re.compile(r"multipl|times|plus|minus|divid|subtract|add", re.IGNORECASE)
_IS = re.compile(
    r"(?<=[\d)]),?\s(?:(?:which|that|it|this|and|to get|resulting in|results in|totaling)\s)?"
    r"(?:is equal to|equals|is|are|gives|makes|leaves|resulting in|totaling|to get|results in)\s"
    r"(?:a total of\s|us\s|about\s|approximately\s)?(?=[-(]?\d)",
    re.IGNORECASE,
)
_SIDE = rf"(?:[-+*/^() \d]|\.(?=\d)|mod(?= )){{1,{MAX_SIDE}}}"
_REMAINDER = re.compile(r"(.*[\d)])\s*mod\s+(\d{1,9})\s*")
_PRODUCT = re.compile(r"\([^()]*\)|[\d.]+(?:\s*\*\s*[\d.]+)*")
_CHAIN = re.compile(rf"{_SIDE}(?:={_SIDE})+")
_RESULT = re.compile(
    r"=\s?(-?\d+(?:\.\d+)?)(?:/(\d+))?(?!\d|\.\d|[a-zA-Z]|\s?[-+*/^(](?!\s?[A-Za-z]))"
)
_DECIMAL = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])")
_QUOTIENT = re.compile(r"(?<!\d)(\d++)\s?/\s?([1-9]\d*+)")
_TOUCHED = re.compile(
    r"(?:(?<=[-+*/^=(])|(?<=[-+*/^=(] ))\.?\d[\d.]*+"
    r"|(?<![\d.])\.?\d[\d.]*+(?=\s?(?:[-+*/^=]|mod\b)|[a-z]\b)|(?<=mod )\d+"
)
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
# A chain that goes on on the next line.
_BROKEN = re.compile(r"(?<![ \t])[ \t]*+\n\s{0,20}(?=&?\s?=)")
_OPERATORS = frozenset("+-*/^")


@dataclass(frozen=True, slots=True)
class Step:
    """One sum of a trace: the numbers it takes, what was written as its result, and if it holds."""

    operands: tuple[Fraction, ...]
    result: Fraction
    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class Workings:
    """The steps of a trace in order, its results, the numbers used, and every number in it."""

    steps: tuple[Step, ...]
    results: tuple[Fraction, ...]
    used: frozenset[Fraction]
    named: tuple[Fraction, ...]

    @property
    def slips(self) -> tuple[Step, ...]:
        """The steps whose sum is false."""
        return tuple(step for step in self.steps if not step.holds)

    @property
    def taken(self) -> Counter[Fraction]:
        """How often each number enters the steps; a step that is written twice counts once."""
        return Counter(
            number
            for operands in {step.text.split("=")[0]: step.operands for step in self.steps}.values()
            for number in operands
        )


def read_workings(text: str) -> Workings:
    """Return the sums of a text; of a very long one, its end."""
    joined = _BROKEN.sub(" ", text[-MAX_TEXT:])
    lines = [plain(line) for line in joined.split("\n") if re.search(r"\d", line)]
    steps: list[Step] = []
    results: list[Fraction] = []
    used: set[Fraction] = set()
    named: dict[Fraction, None] = {}
    for line in lines:
        if len(steps) < MAX_STEPS:
            steps += _steps(line)
        for whole, below in _RESULT.findall(line):
            results.append(_fraction(whole) / (Fraction(below) if below.strip("0") else 1))
        used.update(_fraction(number) for number in _TOUCHED.findall(line))
        used.update(Fraction(int(a[:40]), int(b[:40])) for a, b in _QUOTIENT.findall(line))
        if len(named) < MAX_NAMED:
            named.update((_fraction(number), None) for number in _DECIMAL.findall(line))
    for program in printed(text[-MAX_TEXT:]):
        steps.append(_of_program(program))
        used.update(program.numbers)
    return Workings(tuple(steps), tuple(results), frozenset(used), tuple(named))


def _of_program(program: Printed) -> Step:
    """Return a program as one step: its numbers, and what the trace says that it printed."""
    near = abs(program.value - program.said) <= max(abs(program.value), Fraction(1)) / 1_000
    return Step(program.numbers, program.said, near, "a program")


def numbers_in(text: str, *, words: bool = True) -> Counter[Fraction]:
    """Return the numbers of a problem's text, in digits and as ``words``, with their counts."""
    text = _GROUPED.sub("", text)
    if words:
        text = _WORD.sub(lambda word: str(WORDS[word.group().lower()]), text)
    found: Counter[Fraction] = Counter()
    for match in _NUMBER.finditer(text[:MAX_TEXT].replace("$", " ")):
        above, _, below = match.group().partition("/")
        if not below.strip() or not below.strip(" 0"):
            found[_fraction(above.strip())] += 1
        else:
            found[_fraction(above.strip()) / Fraction(below.strip())] += 1
    return found


def percents_in(text: str) -> frozenset[Fraction]:
    """Return the numbers of a text that are percentages: 30 for "30%"."""
    return frozenset(_fraction(number) for number in _PERCENT.findall(text[:MAX_TEXT]))


@lru_cache(maxsize=512)
def plain(line: str) -> str:
    """Return a line with its sums in one notation: ``+ - * / ^ ( ) =``, no units, no markup."""
    line = _GROUPED.sub("", line[:4_000]).translate(_SIGNS)
    if "\\" in line:
        line = _BOX.sub(r"\1", _TEXT.sub(" ", line))
        line = _FRACTION.sub(r"((\1)/(\2))", _FRACTION.sub(r"((\1)/(\2))", line))
        line = _COMMANDS.sub(lambda found: _COMMAND_SIGNS[found.group(1)], line)
    line = _MARKUP.sub("", line)
    line = _WORD.sub(lambda word: str(WORDS[word.group().lower()]), line)
    line = _HALF_OF.sub("(1/2) of ", line)
    line = _PERCENT.sub(r"(\1/100)", line)
    line = _AND_UNIT.sub("", _UNIT.sub("", _AND_UNIT.sub("", line)))
    line = _LETTER_TIMES.sub(" * ", " ".join(line.split()))
    line = _OF.sub(" * ", line)
    if _BY_WORDS.search(line):
        for words, sign in _BY:
            line = words.sub(sign, line)
    return _IS.sub(" = ", line)


def _steps(line: str) -> list[Step]:
    found: list[Step] = []
    if "=" not in line:
        return found
    for match in _CHAIN.finditer(line):
        sides = match.group().split("=")
        open_left = _continues(line[: match.start()][-1:], sides[0])
        open_right = _goes_on(line[match.end() : match.end() + 1], sides[-1])
        for index, (one, two) in enumerate(itertools.pairwise(sides)):
            if (index == 0 and open_left) or (index == len(sides) - 2 and open_right):
                continue
            found += _step(one, two)
    return found


def _continues(before: str, side: str) -> bool:
    """Return whether the first side of a chain goes on to the left of what is seen."""
    joined = before.isalnum() and not side.startswith(" ")
    return joined or side.strip()[:1] in ("+", "*", "/", "^", ")")


def _goes_on(after: str, side: str) -> bool:
    """Return whether the last side goes on to the right: a variable, a sign left open."""
    joined = after.isalpha() and not side.endswith(" ")
    return joined or side.strip()[-1:] in ("+", "*", "/", "^")


@lru_cache(maxsize=1_024)
def _step(one: str, two: str) -> tuple[Step, ...]:
    """Return the step that two neighbouring sides make, where the first has an operation to do."""
    one, two = _balanced(one), _balanced(two)
    remainder = _REMAINDER.fullmatch(one)
    if remainder is None and not _OPERATORS & set(one.lstrip("-")):
        return ()
    if remainder is not None and not _PRODUCT.fullmatch(remainder[1].strip()):
        return ()
    left, right = _read(remainder[1].strip() if remainder else one), _read(two)
    if left is None or right is None:
        return ()
    try:
        value, result = exact(left), exact(right)
    except (Undefined, TooBig):
        return ()
    if value is None or result is None:
        return ()
    operands = tuple(_fraction(number) for number in re.findall(r"\d+(?:\.\d+)?|\.\d+", one))
    if remainder is not None:
        divisor = int(remainder[2])
        true = divisor > 0 and value % divisor == result
    else:
        true = holds((left, one), (right, two), False) or _rounds(value, result)
    return (Step(operands, result, true, f"{one} = {two}"),)


def _rounds(value: Fraction, result: Fraction) -> bool:
    """Return whether a whole result is the value rounded up or down."""
    return result.denominator == 1 and abs(value - result) < 1 and value.denominator > 1


def _balanced(side: str) -> str:
    """Return a side without the brackets that open or close outside it, and without a full stop."""
    side = side.strip().rstrip(".").strip()
    while side.count(")") > side.count("(") and side.endswith(")"):
        side = side[:-1].strip()
    while side.count("(") > side.count(")") and side.startswith("("):
        side = side[1:].strip()
    return side


def _read(side: str) -> Number | Apply | None:
    if _PLAIN.fullmatch(side):
        return Number(_fraction(side), "." in side)
    if not side or re.search(r"\d\s+\d|\.\s|\.\.", side):
        return None
    try:
        node = read_expression(side)
    except Unreadable:
        return None
    return node if isinstance(node, Number | Apply) else None


@lru_cache(maxsize=4_096)
def _fraction(text: str) -> Fraction:
    """Return the value of a decimal; Fraction reads no trailing point."""
    whole, _, decimals = text.partition(".")
    digits = re.sub(r"\D", "", decimals)
    return Fraction(f"{whole or '0'}.{digits}" if digits else whole or "0")
