"""The families told as stories: shopping, changes, rates, probability, outfits."""

from __future__ import annotations

import random

from potstill.pocket.draft import NAMES, ORDINALS, PocketDraft, Working
from potstill.pocket.steps import Ref

__all__ = ["changes", "outfits", "probability", "rates", "shopping"]

_GOODS = ("pens", "books", "apples", "cups", "caps", "balls", "cakes", "maps", "rulers", "stamps")


def shopping(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of what a purchase costs, or leaves; None for numbers that do not fit."""
    w, who = Working(), rng.choice(NAMES)
    a, b = rng.sample(_GOODS, 2)
    n, m = rng.randint(2, 9), rng.randint(2, 9)
    p, q = rng.randint(6, 89), rng.randint(6, 89)
    if one_step:
        p = rng.randint(12, 189)
        w.do("x", n, p, f"the cost of the {a}")
        one = f"{who} buys {n} {a} for {p} dollars each. How many dollars does {who} pay?"
        two = f"One of the {a} costs {p} dollars. What do {n} {a} cost {who}?"
        return w.draft(rng.choice((one, two)))
    first = w.do("x", n, p, f"the cost of the {a}")
    kind = rng.randrange(3)
    if kind == 2:
        fee, off = rng.randint(3, 79), rng.randint(2, 59)
        if off >= n * p + fee:
            return None
        sent = w.do("+", first, fee, "the cost with delivery")
        w.do("-", sent, off, "the price after the coupon")
        one = f"{who} orders {n} {a} for {p} dollars each. Delivery costs {fee} dollars and a"
        one += f" coupon takes off {off} dollars. How many dollars does {who} pay?"
        return w.draft(one)
    second = w.do("x", m, q, f"the cost of the {b}")
    total = w.do("+", first, second, "the total cost")
    buys = rng.choice(
        (
            f"{who} buys {n} {a} for {p} dollars each and {m} {b} for {q} dollars each.",
            f"At a shop {who} takes {n} {a} at {p} dollars each and {m} {b} at {q} dollars each.",
        )
    )
    if kind == 0:
        return w.draft(f"{buys} How many dollars does {who} pay in total?")
    purse = n * p + m * q + rng.randint(2, 79)
    w.do("-", purse, total, "the money that is left")
    return w.draft(f"{buys} {who} had {purse} dollars. How many dollars are left?")


_CHANGES = (
    (
        "A bus starts with {} people.",
        "{} people get on",
        "{} people get off",
        "people",
        "on the bus",
    ),
    ("{who} has {} marbles.", "{who} wins {}", "{who} loses {}", "marbles", "there"),
    ("A tank holds {} litres.", "{} litres flow in", "{} litres flow out", "litres", "in the tank"),
    (
        "A shelf holds {} books.",
        "{} books are added",
        "{} books are taken",
        "books",
        "on the shelf",
    ),
    ("A farm has {} hens.", "the farm buys {}", "the farm sells {}", "hens", "on the farm"),
)


def changes(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of a number that goes up and down; None for numbers that do not fit."""
    w, who = Working(), rng.choice(NAMES)
    opening, gain, loss, unit, place = rng.choice(_CHANGES)
    running = rng.randint(45, 399)
    text = opening.format(running, who=who)
    state: int | Ref = running
    for i in range(1 if one_step else rng.choice((3, 3, 4))):
        change = rng.randint(12, 189)
        up = running <= change or rng.random() < 0.5
        clause = (gain if up else loss).format(change, who=who)
        lead = ("First", "Then", "After that", "Next")[i]
        text += f" {lead} {clause}."
        finds = f"the number after the {ORDINALS[i]} change"
        state = w.do("+" if up else "-", state, change, finds)
        running += change if up else -change
    return w.draft(f"{text} How many {unit} are {place} now?")


def rates(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of speed, work or flow; None for numbers that do not fit."""
    w, who = Working(), rng.choice(NAMES)
    t, u = rng.randint(2, 9), rng.randint(2, 9)
    p, q = rng.randint(12, 99), rng.randint(12, 99)
    verb = rng.choice(("rides", "drives", "travels"))
    if one_step:
        if rng.random() < 0.5:
            w.do("x", t, p, "the distance")
            text = f"{who} {verb} {p} km per hour for {t} hours. How many km is that?"
        else:
            w.do("/", t * p, t, "the speed")
            text = f"{who} {verb} {t * p} km in {t} hours. How many km per hour is that?"
        return w.draft(text)
    kind = rng.randrange(4)
    if kind in (0, 1):
        first = w.do("x", t, p, "the distance of the first part")
        second = w.do("x", u, q, "the distance of the second part")
        total = w.do("+", first, second, "the whole distance")
        text = f"{who} {verb} {p} km per hour for {t} hours, then {q} km per hour for {u} hours."
        if kind == 0:
            return w.draft(f"{text} How many km is that in total?")
        goal = t * p + u * q + rng.randint(3, 79)
        w.do("-", goal, total, "the distance that is left")
        return w.draft(f"{text} The whole way is {goal} km. How many km are left?")
    if kind == 2:
        broken = rng.randint(2, 79)
        if broken >= p * u or t == u:
            return None
        pace = w.do("/", p * t, t, "the number in one minute")
        made = w.do("x", u, pace, "the number that is made")
        w.do("-", made, broken, "the number that is good")
        text = f"A machine makes {p * t} cups in {t} minutes. It runs for {u} minutes and"
        return w.draft(f"{text} {broken} of its cups break. How many cups are good?")
    extra = rng.randint(12, 189)
    flow = w.do("+", p, q, "the flow of both pipes")
    filled = w.do("x", t, flow, "the water that flows in")
    w.do("+", filled, extra, "the water in the tank")
    text = f"A tank holds {extra} litres. One pipe brings {p} litres per minute and another {q}"
    return w.draft(f"{text} litres per minute. How many litres are in the tank after {t} minutes?")


def probability(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of drawing from a bag; None for numbers that do not fit."""
    w, what = Working(), rng.choice(("balls", "marbles", "cards"))
    hues = rng.sample(("red", "blue", "green", "white"), 3)
    a, b, c = (rng.randint(2, 15) for _ in range(3))
    thing = what[:-1]
    ask = "What is the probability that it is"
    if one_step:
        total = a + b + c
        w.do("over", a, total, "the probability")
        text = f"A bag has {total} {what} and {a} of them are {hues[0]}. One {thing} is drawn."
        return w.draft(f"{text} {ask} {hues[0]}?")
    if rng.random() < 0.3:
        total2 = w.do("+", a, b, f"the number of {what}")
        w.do("over", a, total2, "the probability")
        text = f"A bag has {a} {hues[0]} and {b} {hues[1]} {what}. One {thing} is drawn."
        return w.draft(f"{text} {ask} {hues[0]}?")
    text = f"A bag has {a} {hues[0]}, {b} {hues[1]} and {c} {hues[2]} {what}. One {thing} is drawn."
    if rng.random() < 0.5:
        some = w.do("+", a, b, f"the number of {hues[0]} and {hues[1]} {what}")
        total2 = w.do("+", some, c, f"the number of {what}")
        w.do("over", a, total2, "the probability")
        return w.draft(f"{text} {ask} {hues[0]}?")
    good = w.do("+", b, c, f"the number of {hues[1]} and {hues[2]} {what}")
    some = w.do("+", a, b, f"the number of {hues[0]} and {hues[1]} {what}")
    total2 = w.do("+", some, c, f"the number of {what}")
    w.do("over", good, total2, "the probability")
    return w.draft(f"{text} {ask} not {hues[0]}?")


def outfits(rng: random.Random, one_step: bool) -> PocketDraft | None:
    """Return a problem of counting choices; None for numbers that do not fit."""
    w, who = Working(), rng.choice(NAMES)
    a, b, c, d = (rng.randint(2, top) for top in (9, 29, 9, 29))
    ask = rng.choice(("How many outfits are possible?", f"How many outfits can {who} choose from?"))
    if one_step:
        b = rng.randint(12, 79)
        w.do("x", a, b, "the number of outfits")
        one = f"{who} has {a} shirts and {b} skirts. An outfit is one of each. {ask}"
        return w.draft(one)
    kind = rng.randrange(4)
    if kind == 3:
        left = w.do("x", a, b, "the number of outfits with a shirt")
        right = w.do("x", c, d, "the number of outfits with a dress")
        w.do("+", left, right, "the number of outfits")
        text = f"{who} wears one of {a} shirts with one of {b} skirts, or one of {c} dresses with"
        return w.draft(f"{text} one of {d} hats. {ask}")
    pairs = w.do("x", a, b, "the number of pairs")
    text = f"{who} has {a} shirts, {b} skirts and {c} hats. An outfit is one of each."
    if kind == 0:
        w.do("x", c, pairs, "the number of outfits")
        return w.draft(f"{text} {ask}")
    full = w.do("x", c, pairs, "the number of outfits with a hat")
    extra = rng.randint(2, 99)
    if kind == 1:
        if extra >= a * b * c:
            return None
        w.do("-", full, extra, "the number of good outfits")
        return w.draft(f"{text} But {extra} outfits do not match. How many outfits are good?")
    w.do("+", full, extra, "the number of all outfits")
    return w.draft(f"{text} There are also {extra} dresses that go alone. {ask}")
