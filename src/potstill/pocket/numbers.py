"""The families of bare numbers: equations, remainders, means, percentages, angles, sequences."""

from __future__ import annotations

import random

from potstill.pocket.draft import NAMES, ORDINALS, PocketDraft, Working
from potstill.pocket.steps import Ref

__all__ = ["angles", "equations", "means", "percentages", "remainders", "sequences"]


def equations(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of a linear equation; None for numbers that do not fit."""
    w, v = Working(), rng.choice("kmnty")
    ask = rng.choice((f"Solve for {v}: {{}}.", f"If {{}}, what is {v}?", f"Find {v} when {{}}."))
    root, a, b = rng.randint(2, 79), rng.randint(2, 9), rng.randint(12, 189)
    if one_step:
        kind = rng.randrange(3)
        if kind == 0:
            w.do("/", a * root, a, f"the value of {v} by dividing")
            return w.draft(ask.format(f"{a}{v} = {a * root}"))
        root = rng.randint(12, 399)
        if kind == 1:
            w.do("-", root + b, b, f"the value of {v} by subtracting")
            return w.draft(ask.format(f"{v} + {b} = {root + b}"))
        w.do("+", root, b, f"the value of {v} by adding")
        return w.draft(ask.format(f"{v} - {b} = {root}"))
    kind = rng.randrange(4)
    if kind == 0:
        rest = w.do("-", a * root + b, b, f"{a}{v} by subtracting")
        w.do("/", rest, a, f"the value of {v} by dividing")
        return w.draft(ask.format(f"{a}{v} + {b} = {a * root + b}"))
    if kind == 1:
        e = rng.randint(2, 39)
        rest = w.do("-", a * (root + e) + b, b, "the product by subtracting")
        factor = w.do("/", rest, a, "the bracket by dividing")
        w.do("-", factor, e, f"the value of {v} by subtracting")
        return w.draft(ask.format(f"{a}({v} + {e}) + {b} = {a * (root + e) + b}"))
    if kind == 2:
        c = rng.randint(1, 7)
        low = rng.randint(12, 149)
        high = a * root + low
        if a + c > 12:
            return None
        slope = w.do("-", a + c, c, f"the number of {v} by subtracting")
        rest = w.do("-", high, low, "the other side by subtracting")
        w.do("/", rest, slope, f"the value of {v} by dividing")
        return w.draft(ask.format(f"{a + c}{v} + {low} = {c}{v} + {high}"))
    right = a * root - b
    if right < 1:
        return None
    e = rng.randint(12, 149)
    total = w.do("+", right, b, f"{a}{v} by adding")
    whole = w.do("/", total, a, f"the value of {v} by dividing")
    w.do("+", whole, e, "the value that is asked for")
    return w.draft(f"If {a}{v} - {b} = {right}, what is {v} + {e}?")


def remainders(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of a remainder or a units digit; None for numbers that do not fit."""
    w = Working()
    a, b, c = rng.randint(2, 9), rng.randint(11, 69), rng.randint(12, 149)
    divisor = rng.randint(3, 9)
    ask = rng.choice(
        (
            "What is the remainder when {} is divided by {}?",
            "Find the remainder of {} after division by {}.",
        )
    )
    if one_step:
        number = rng.randint(31, 299)
        w.do("mod", number, divisor, "the remainder")
        return w.draft(ask.format(number, divisor))
    kind = rng.randrange(4)
    if kind == 0:
        product = w.do("x", a, b, "the product")
        w.do("mod", product, divisor, "the remainder")
        return w.draft(ask.format(f"{a} x {b}", divisor))
    if kind == 1:
        product = w.do("x", a, b, "the product")
        total = w.do("+", product, c, "the sum")
        w.do("mod", total, divisor, "the remainder")
        return w.draft(ask.format(f"{a} x {b} + {c}", divisor))
    if kind == 2:
        d = rng.randint(11, 149)
        total = w.do("+", w.do("+", b, c, "the first sum"), d, "the whole sum")
        w.do("mod", total, divisor, "the remainder")
        return w.draft(ask.format(f"{b} + {c} + {d}", divisor))
    m, n = rng.randint(12, 99), rng.randint(12, 99)
    left = w.do("mod", m, 10, "the units digit of the first number")
    right = w.do("mod", n, 10, "the units digit of the second number")
    product = w.do("x", left, right, "the product of the units digits")
    w.do("mod", product, 10, "the units digit")
    one = f"What is the units digit of {m} x {n}?"
    return w.draft(rng.choice((one, f"Find the units digit of the product {m} x {n}.")))


def means(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of a mean or a missing number; None for numbers that do not fit."""
    w, who = Working(), rng.choice(NAMES)
    if one_step:
        n, mean = rng.randint(2, 9), rng.randint(12, 99)
        w.do("/", n * mean, n, "the mean")
        one = f"The sum of {n} numbers is {n * mean}. What is their mean?"
        two = f"{who} scores {n * mean} points in {n} games. What is the mean score?"
        return w.draft(rng.choice((one, two)))
    if rng.random() < 0.6:
        n = rng.choice((3, 3, 4))
        numbers = [rng.randint(12, 149) for _ in range(n - 1)]
        last = rng.randint(12, 149)
        last += -(sum(numbers) + last) % n
        numbers.append(last)
        total: int | Ref = numbers[0]
        for i, number in enumerate(numbers[1:]):
            total = w.do("+", total, number, f"the sum with the {ORDINALS[i + 1]} number")
        w.do("/", total, n, "the mean")
        listed = ", ".join(map(str, numbers[:-1])) + f" and {last}"
        one = f"What is the mean of the {n} numbers {listed}?"
        return w.draft(rng.choice((one, f"{who} has {n} scores: {listed}. Find the mean score.")))
    mean, a, b = rng.randint(18, 99), rng.randint(12, 89), rng.randint(12, 89)
    if 3 * mean - a - b < 1:
        return None
    whole = w.do("x", 3, mean, "the sum of all numbers")
    rest = w.do("-", whole, a, "the sum without the first number")
    w.do("-", rest, b, "the missing number")
    one = f"The mean of 3 numbers is {mean}. Two of them are {a} and {b}. Find the other one."
    return w.draft(one)


def percentages(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of a part in percent; None for numbers that do not fit."""
    w, who = Working(), rng.choice(NAMES)
    if one_step:
        percent, divisor = rng.choice(((10, 10), (20, 5), (25, 4), (50, 2)))
        part = rng.randint(12, 129)
        w.do("/", part * divisor, divisor, f"{percent}% of the number")
        one = f"What is {percent}% of {part * divisor}?"
        return w.draft(rng.choice((one, f"Find {percent}% of {part * divisor}.")))
    tenth, tens = rng.randint(3, 89), rng.randint(2, 9)
    whole, percent = tenth * 10, tens * 10
    share = w.do("/", whole, 10, "10% of the number")
    share = w.do("x", tens, share, f"{percent}% of the number")
    kind = rng.randrange(4)
    if kind == 0:
        one = f"What is {percent}% of {whole}?"
        return w.draft(rng.choice((one, f"Find {percent}% of {whole}.")))
    goods = rng.choice(("coat", "lamp", "bike", "chair"))
    if kind == 1:
        w.do("-", whole, share, "the lower price")
        text = f"A {goods} costs {whole} dollars. Its price falls by {percent}%."
        return w.draft(f"{text} What is the new price in dollars?")
    if kind == 2:
        w.do("+", whole, share, "the higher price")
        text = f"A {goods} costs {whole} dollars. Its price rises by {percent}%."
        return w.draft(f"{text} What is the new price in dollars?")
    fee = rng.randint(3, 79)
    low = w.do("-", whole, share, "the lower price")
    w.do("+", low, fee, "the price with delivery")
    text = f"{who} orders a {goods} of {whole} dollars with {percent}% off. Delivery costs {fee}"
    return w.draft(f"{text} dollars. How many dollars does {who} pay?")


def angles(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of the angles of a polygon; None for numbers that do not fit."""
    w = Working()
    if one_step:
        whole, what = rng.choice(
            ((180, "on a straight line"), (90, "in a right angle"), (360, "around a point"))
        )
        part = rng.randint(11, whole - 11)
        w.do("-", whole, part, "the other angle")
        text = f"Two angles {what} add up to {whole} degrees. One is {part} degrees."
        return w.draft(f"{text} How many degrees is the other one?")
    kind = rng.randrange(4)
    if kind == 0:
        a, b = rng.randint(21, 89), rng.randint(21, 79)
        total = w.do("+", a, b, "the sum of the known angles")
        w.do("-", 180, total, "the missing angle")
        text = f"Two angles of a triangle are {a} and {b} degrees."
        return w.draft(f"{text} The angles add up to 180 degrees. Find the third angle.")
    if kind == 1:
        a, b, c = (rng.randint(51, 109) for _ in range(3))
        total = w.do("+", a, b, "the sum of two known angles")
        total = w.do("+", total, c, "the sum of the known angles")
        w.do("-", 360, total, "the missing angle")
        text = f"Three angles of a quadrilateral are {a}, {b} and {c} degrees."
        return w.draft(f"{text} The angles add up to 360 degrees. Find the last angle.")
    sides = rng.randint(5, 11)
    triangles = w.do("-", sides, 2, "the number of triangles")
    total = w.do("x", triangles, 180, "the sum of the angles")
    if kind == 2 and 180 * (sides - 2) % sides == 0:
        w.do("/", total, sides, "one angle")
        text = f"A regular polygon has {sides} sides. How many degrees is each interior angle?"
        return w.draft(text)
    known = 180 * (sides - 2) - rng.randint(31, 149)
    w.do("-", total, known, "the missing angle")
    text = f"A polygon has {sides} sides. All its angles but one add up to {known} degrees."
    return w.draft(f"{text} How many degrees is the last angle?")


def sequences(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of an arithmetic sequence; None for numbers that do not fit."""
    w = Working()
    a, d, n = rng.randint(2, 149), rng.randint(2, 29), rng.randint(5, 24)
    last = a + (n - 1) * d
    name = rng.choice(("An arithmetic sequence", "A sequence with equal steps"))
    if one_step:
        a, d = rng.randint(45, 399), rng.randint(12, 189)
        if rng.random() < 0.5:
            w.do("+", a, d, "the next term")
            return w.draft(f"{name} has the term {a} and the difference {d}. Find the next term.")
        w.do("-", a + d, a, "the difference")
        return w.draft(f"{name} has the term {a} followed by {a + d}. Find the difference.")
    kind = rng.randrange(4)
    if kind <= 1:
        jumps = w.do("-", n, 1, "the number of jumps")
        rise = w.do("x", jumps, d, "the whole rise")
        w.do("+", rise, a, "the term")
        one = f"{name} starts at {a} and has the difference {d}. What is term number {n}?"
        return w.draft(rng.choice((one, f"{name} goes up by {d} from {a}. Find term number {n}.")))
    rise = w.do("-", last, a, "the whole rise")
    if kind == 2:
        jumps = w.do("/", rise, d, "the number of jumps")
        w.do("+", jumps, 1, "the number of terms")
        text = f"{name} starts at {a}, ends at {last} and has the difference {d}."
        return w.draft(f"{text} How many terms does it have?")
    jumps = w.do("-", n, 1, "the number of jumps")
    w.do("/", rise, jumps, "the difference")
    return w.draft(f"{name} starts at {a} and its term number {n} is {last}. Find the difference.")
