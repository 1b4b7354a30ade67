"""A small grammar of answers: tidied text in, a tree of numbers, names and operations out.

Nothing is evaluated here and nothing is dropped: what the grammar does not know is refused
(:class:`Unreadable`), so that two answers are never found equal because a part of one was skipped.
"""

from __future__ import annotations

from fractions import Fraction

from potstill.grading.maths.tokens import (
    FUNCTIONS,
    SPELLED,
    Cursor,
    Token,
    decimal_value,
    plain_name,
    tokens_of,
)
from potstill.grading.maths.trees import Apply, Name, Node, Number, Unreadable, names_in

__all__ = [
    "FUNCTIONS",
    "Apply",
    "Name",
    "Node",
    "Number",
    "Unreadable",
    "names_in",
    "read_expression",
]

MAX_DEPTH = 40
_INVERTIBLE = frozenset(["sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh"])
_LETTER_CONSTANTS = frozenset({"e", "i"})


def read_expression(
    text: str, *, tight: bool = False, letters: frozenset[str] | None = None
) -> Node:
    """Return the tree of one tidied expression.

    ``tight`` reads ``1/2x`` as 1/(2x); otherwise it is (1/2)x. ``letters`` are the variables that a
    longer run of letters may be a product of; without it runs of up to three letters are.
    Raises :class:`Unreadable`.
    """
    parser = _Parser(tokens_of(text), tight, letters)
    node = parser.sum()
    parser.expect_end()
    return node


class _Parser(Cursor):
    def __init__(self, tokens: list[Token], tight: bool, letters: frozenset[str] | None) -> None:
        super().__init__(tokens)
        self.depth = 0
        self.tight = tight
        self.letters = letters
        self.bars = 0

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        node = self.product()
        while self.peek().text in ("+", "-", "±"):
            op = self.take().text
            if op == "±":
                raise Unreadable("± stands for two values")
            right = self.product()
            node = Apply("+", (node, right if op == "+" else Apply("neg", (right,))))
        self.depth -= 1
        return node

    def product(self) -> Node:
        node = self.signed()
        while True:
            token = self.peek()
            if token.text == "*":
                self.take()
                node = Apply("*", (node, self.signed()))
            elif token.text == "/":
                self.take()
                node = Apply("/", (node, self.divisor()))
            elif self.starts_factor(token):
                node = Apply("*", (node, self.power()))
            else:
                return node

    def divisor(self) -> Node:
        """Return what stands after "/": one factor, or (reading tightly) all that is glued to
        it.
        """
        node = self.signed()
        while self.tight and self.starts_factor(self.peek()) and not self.peek().spaced:
            if self.peek().text == "i":
                break
            node = Apply("*", (node, self.power()))
        return node

    def signed(self) -> Node:
        # A loop, so that a thousand signs do not nest.
        negative = False
        while self.peek().text in ("+", "-"):
            negative ^= self.take().text == "-"
        node = self.power()
        return Apply("neg", (node,)) if negative else node

    def starts_factor(self, token: Token) -> bool:
        if token.kind in ("word", "greek", "command"):
            return True
        if token.kind == "number":
            if self.is_power_beside(token):
                return True
            raise Unreadable("two numbers side by side")
        if token.text == "|":
            return self.bars == 0
        return token.text in ("(", "[", "{", "√", "⌊", "⌈")

    def is_power_beside(self, token: Token) -> bool:
        """Return whether a number is the base of a factor of its own: the 6 of ``(-1)^n 6^n``."""
        before = self.tokens[self.at - 1]
        apart = token.spaced or before.text in (")", "}")
        return apart and before.kind != "number" and self.peek(1).text == "^"

    def power(self) -> Node:
        node = self.postfix(self.atom())
        if self.accept("^"):
            node = self.postfix(Apply("^", (node, self.exponent())))
        return node

    def exponent(self) -> Node:
        if self.peek().text == "{":
            return self.group("{", "}")
        negative = False
        while self.peek().text in ("+", "-"):
            negative ^= self.take().text == "-"
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        node = self.power()
        self.depth -= 1
        return Apply("neg", (node,)) if negative else node

    def postfix(self, node: Node) -> Node:
        while True:
            if self.accept("!"):
                # "5!!" is the double factorial; "(5!)!" is written with its brackets.
                double = self.peek().text == "!" and not self.peek().spaced and self.accept("!")
                node = Apply("!!" if double else "!", (node,))
            elif self.accept("°"):
                node = Apply("*", (node, Apply("/", (Name("π"), Number(Fraction(180))))))
            elif self.accept("%"):
                node = Apply("/", (node, Number(Fraction(100))))
            else:
                return node

    def group(self, opening: str, closing: str) -> Node:
        self.expect(opening)
        bars, self.bars = self.bars, 0
        node = self.sum()
        self.bars = bars
        self.expect(closing)
        return node

    def atom(self) -> Node:
        token = self.peek()
        match token.kind:
            case "number":
                return self.number()
            case "word":
                return self.word()
            case "greek":
                self.take()
                return self.subscripted(token.text)
            case "command":
                return self.command()
        match token.text:
            case "(":
                return self.group("(", ")")
            case "[":
                return self.group("[", "]")
            case "{":
                return self.group("{", "}")
            case "√":
                self.take()
                return Apply("sqrt", (self.root_argument(),))
            case "|":
                self.take()
                self.bars += 1
                node = self.sum()
                self.bars -= 1
                self.expect("|")
                return Apply("abs", (node,))
            case "⌊":
                return Apply("floor", (self.group("⌊", "⌋"),))
            case "⌈":
                return Apply("ceil", (self.group("⌈", "⌉"),))
        raise Unreadable(f"{token.text or 'the end'!r} where a value should be")

    def root_argument(self) -> Node:
        """Return what a bare root sign covers: a group, a number, one letter or another root."""
        token = self.peek()
        if token.text in ("{", "(", "["):
            return self.group(token.text, {"{": "}", "(": ")", "[": "]"}[token.text])
        if token.kind == "number":
            self.take()
            return Number(decimal_value(token.text), "." in token.text)
        if token.kind == "word" and len(token.text) > 1 and token.text not in SPELLED:
            self.take()
            self.at -= 1
            head, rest = token.text[0], token.text[1:]
            self.tokens[self.at] = Token("word", rest, False)
            return Name(head)
        return self.atom()

    def number(self) -> Node:
        token = self.take()
        value = decimal_value(token.text)
        decimal = "." in token.text
        after = self.peek()
        if after.text == "\\overline" and decimal:
            self.take()
            repeated = self.braced_digits()
            return Number(decimal_value(token.text, repeated))
        if after.kind == "dots":
            return self.repeating(token.text)
        if not decimal and (mixed := self.mixed(value)) is not None:
            return mixed
        if after.text == "_":
            raise Unreadable("a number with a subscript is a number in a base")
        return Number(value, decimal)

    def repeating(self, digits: str) -> Node:
        """Return 0.333... and 0.1666...: the last digits must show their pattern three times."""
        self.take()
        whole, _, places = digits.partition(".")
        for length in range(1, len(places) // 3 + 1):
            block = places[-length:]
            if places.endswith(block * 3):
                head = places[: len(places) - length]
                return Number(decimal_value(f"{whole}.{head}" if head else f"{whole}.", block))
        raise Unreadable("dots that show no pattern")

    def mixed(self, whole: Fraction) -> Node | None:
        """Return 137 1/2 and 137\\frac{1}{2} are sums; nothing else puts two numbers side by
        side.
        """
        if self.peek().text == "\\frac":
            start = self.at
            self.take()
            top, bottom = self.argument(), self.argument()
            match top, bottom:
                case Number(n, False), Number(d, False) if 0 < n < d:
                    return Number(whole + n / d)
            self.at = start
            return None
        over, slash, under = self.peek(), self.peek(1), self.peek(2)
        if over.kind == "number" and slash.text == "/" and under.kind == "number":
            plain = over.text.isdigit() and under.text.isdigit()
            if plain and 0 < int(over.text) < int(under.text):
                self.at += 3
                return Number(whole + Fraction(int(over.text), int(under.text)))
            raise Unreadable("two numbers side by side")
        return None

    def braced_digits(self) -> str:
        self.expect("{")
        token = self.take()
        self.expect("}")
        if not token.text.isdigit():
            raise Unreadable("a bar over something else than digits")
        return token.text

    def word(self) -> Node:
        token = self.take()
        text = token.text
        if text in SPELLED:
            return self.subscripted(SPELLED[text])
        if text.lower() in FUNCTIONS and (text.islower() or text.istitle()):
            return self.function(text.lower())
        if text.lower() == "root":
            raise Unreadable("a root in words")
        if len(text) == 1:
            return self.subscripted(text)
        for function in ("sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "pi"):
            place = text.find(function)
            if place >= 0 and self.are_letters(text[:place], text[place + len(function) :]):
                return self.split(text, place, place + len(function))
        if (self.letters is None and len(text) <= 3) or (
            self.letters and set(text) <= self.letters | _LETTER_CONSTANTS
        ):
            return self.split(text, 1, len(text))
        raise Unreadable(f"{text!r} is a word")

    def are_letters(self, *pieces: str) -> bool:
        """Return whether what is glued to a function are variables: "2pir" is, "pupils" is not."""
        known = self.letters or frozenset()
        return all(len(piece) <= 1 or set(piece) <= known for piece in pieces)

    def split(self, text: str, start: int, end: int) -> Node:
        """Put a run of letters back as the pieces it is a product of, and read the first."""
        pieces = [p for p in (text[:start], text[start:end], text[end:]) if p]
        if len(pieces) == 1 or any(len(p) > 40 for p in pieces):
            raise Unreadable(f"{text!r} is a word")
        self.at -= 1
        first = self.tokens[self.at].spaced
        self.tokens[self.at : self.at + 1] = [
            Token("word", piece, first and index == 0) for index, piece in enumerate(pieces)
        ]
        return self.atom()

    def subscripted(self, name: str) -> Node:
        if self.peek().text != "_":
            return Name(name)
        self.take()
        if self.accept("{"):
            inside = ""
            while self.peek().text != "}" and self.peek().kind != "end":
                inside += self.take().text
            self.expect("}")
        else:
            inside = self.take().text
        return Name(f"{name}_{inside}")

    def function(self, name: str) -> Node:
        if name in ("sqrt", "cbrt"):
            argument = self.root_argument()
            return Apply("sqrt", (argument,)) if name == "sqrt" else Apply("root3", (argument,))
        base: Node | None = None
        if name in ("log", "lg") and self.accept("_"):
            base = self.argument()
        exponent: Node | None = None
        if self.accept("^"):
            exponent = self.exponent()
        argument = self.function_argument()
        if exponent == Apply("neg", (Number(Fraction(1)),)) and name in _INVERTIBLE:
            return Apply("a" + name, (argument,))
        node: Node = Apply(plain_name(name), (argument,))
        if name in ("log", "lg"):
            node = Apply("log", (argument, base or Number(Fraction(10))))
        return Apply("^", (node, exponent)) if exponent is not None else node

    def function_argument(self) -> Node:
        """Return a group, or what is glued to the name: sin 2x is sin(2x), sin x cos x a
        product.
        """
        token = self.peek()
        if token.text in ("(", "{", "["):
            return self.postfix(self.group(token.text, {"(": ")", "{": "}", "[": "]"}[token.text]))
        negative = self.accept("-")
        node = self.power()
        while True:
            token = self.peek()
            functional = token.text.lower() in FUNCTIONS
            if (token.kind in ("word", "greek") and not functional) or token.text in (
                "√",
                "\\frac",
            ):
                node = Apply("*", (node, self.power()))
            else:
                return Apply("neg", (node,)) if negative else node

    def argument(self) -> Node:
        """Return one LaTeX argument: a brace group, or the single digit or letter that follows."""
        token = self.peek()
        if token.text == "{":
            return self.group("{", "}")
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.at] = Token("number", token.text[1:], False)
            return Number(Fraction(int(token.text[0])))
        if token.kind == "number":
            self.take()
            return Number(decimal_value(token.text), "." in token.text)
        if token.kind == "word" and len(token.text) > 1:
            self.tokens[self.at] = Token("word", token.text[1:], False)
            return Name(token.text[0])
        return self.atom()

    def command(self) -> Node:
        token = self.take()
        match token.text:
            case "\\frac":
                top = self.argument()
                return Apply("/", (top, self.argument()))
            case "\\sqrt":
                if self.peek().text == "[":
                    index = self.group("[", "]")
                    argument = self.argument() if self.peek().text == "{" else self.root_argument()
                    return Apply("root", (argument, index))
                return Apply("sqrt", (self.argument(),))
            case "\\binom":
                top = self.argument()
                return Apply("binom", (top, self.argument()))
        raise Unreadable(f"{token.text} is not part of the grammar")
