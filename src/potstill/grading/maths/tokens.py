"""The tokens that an answer is made of, and the names that are functions or symbols."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from potstill.grading.maths.trees import Unreadable

__all__ = ["FUNCTIONS", "SPELLED", "Cursor", "Token", "decimal_value", "plain_name", "tokens_of"]

MAX_TOKENS = 600
MAX_DIGITS = 2_000

_FUNCTION_NAMES = """
sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan acot asec acsc
sinh cosh tanh coth sech csch arsinh arcosh artanh arcsinh arccosh arctanh asinh acosh atanh
log ln lg exp sqrt cbrt abs floor ceil cis
"""
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_GREEK = "θαβγδλμφωσρτεηψξκνχΔΓΦΨΣΘΛΩ"
SPELLED = {
    "pi": "π",
    "infinity": "∞",
    "inf": "∞",
    "oo": "∞",
    "theta": "θ",
    "alpha": "α",
    "beta": "β",
    "lambda": "λ",
    "phi": "φ",
    "omega": "ω",
}
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>\d+\.\d+|\.\d+|\d+\.(?!\.)|\d+)"
    r"|(?P<command>\\[A-Za-z]+)"
    r"|(?P<word>[A-Za-z]+)"
    rf"|(?P<greek>[{_GREEK}π∞])"
    r"|(?P<dots>\.\.\.)"
    r"|(?P<op>[-+*/^_(){}\[\]|!,√°%±<>=]|⌊|⌋|⌈|⌉)"
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind, its text, and whether a space stands before it."""

    kind: str
    text: str
    spaced: bool


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a tidied expression. Raises Unreadable."""
    tokens: list[Token] = []
    position, spaced = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Unreadable(f"{text[position]!r} is not part of an expression")
        position = match.end()
        kind = match.lastgroup or ""
        if kind == "space":
            spaced = True
            continue
        if kind == "number" and len(match.group()) > MAX_DIGITS:
            raise Unreadable("a number of too many digits")
        tokens.append(Token(kind, match.group(), spaced))
        spaced = False
        if len(tokens) > MAX_TOKENS:
            raise Unreadable("too long for an answer")
    if not tokens:
        raise Unreadable("nothing to read")
    return tokens


class Cursor:
    """A place among tokens, which a parser goes through."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self, ahead: int = 0) -> Token:
        """Return a token and stay: the next, or one further ahead; past the last, an end."""
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else Token("end", "", False)

    def take(self) -> Token:
        """Return the next token and go past it."""
        token = self.peek()
        self.at += 1
        return token

    def accept(self, text: str) -> bool:
        """Go past the next token if it is this text; return whether it was."""
        token = self.peek()
        if token.text == text and token.kind != "end":
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Go past the next token. Raises Unreadable where it is another text."""
        if not self.accept(text):
            raise Unreadable(f"expected {text!r} before {self.peek().text!r}")

    def expect_end(self) -> None:
        """Raise Unreadable where a token is left."""
        if self.peek().kind != "end":
            raise Unreadable(f"{self.peek().text!r} is left over")


def plain_name(function: str) -> str:
    """Return one name for arcsin and asin, for arsinh, arcsinh and asinh."""
    if function.startswith("arc"):
        return "a" + function[3:]
    return "a" + function[2:] if function.startswith("ar") else function


def decimal_value(digits: str, repeating: str = "") -> Fraction:
    """Return the value of digits with a point, and of the digits after them that repeat."""
    value = Fraction(digits if digits[-1] != "." else digits[:-1])
    if repeating:
        places = len(digits.partition(".")[2])
        value += Fraction(int(repeating), (10 ** len(repeating) - 1) * 10**places)
    return value
