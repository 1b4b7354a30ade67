"""Whether an answer of several parts gives each part of its key its value."""

from __future__ import annotations

import re
from collections.abc import Callable

from potstill.grading.maths.choices import choices_in, read_letters
from potstill.grading.maths.comparison import Comparison, different, equal_with, unreadable
from potstill.grading.maths.groups import read_group
from potstill.grading.maths.parts import Parts, labelled, parts_of
from potstill.records import Opinion

__all__ = ["compare_parts"]


def compare_parts(
    key: Parts, answer: str, problem_text: str, equal: Callable[[str, str, str, str], Comparison]
) -> Comparison:
    """Return whether a tidied answer gives each part of a key its value: by label, or bare in
    order.

    Of choices that the problem offers the labels are the answer. ``equal`` compares one value with
    another. Raises KeyUnreadable where a part of the key cannot be read.
    """
    if set(key.labels) <= set(choices_in(problem_text)):
        given = parts_of(answer)
        said = frozenset(given.labels) if given is not None else read_letters(answer)
        if said is None:
            return unreadable("the answer names no letters")
        same = said == set(key.labels)
        return equal_with("the same letters") if same else different("other letters")
    values = _values_in_order(key, answer)
    if values is None:
        return unreadable(f"the answer does not give {len(key.values)} parts")
    if len(values) != len(key.values):
        return different(f"{len(values)} parts for {len(key.values)}")
    results = [
        equal(one, two, "", problem_text) for one, two in zip(key.values, values, strict=True)
    ]
    for opinion in (Opinion.DIFFERENT, Opinion.UNDECIDED):
        for label, result in zip(key.labels, results, strict=True):
            if result.opinion is opinion:
                why = f"part {label}: {result.why}"
                return different(why) if opinion is Opinion.DIFFERENT else unreadable(why)
    return equal_with("the same parts", *(result.form for result in results))


def _values_in_order(key: Parts, answer: str) -> tuple[str, ...] | None:
    """Return the values that an answer gives to the parts of a key, in the key's order."""
    given, labels = labelled(answer), [label.lower() for label in key.labels]
    if len(given) > 1 and not given.keys().isdisjoint(labels):
        same = given.keys() == set(labels)
        return tuple(given[label] for label in labels) if same else None
    if (parts := parts_of(answer)) is not None:
        return parts.values
    items = () if re.search(r"\bor\b", answer) else read_group(answer).items
    return items if len(items) > 1 or re.fullmatch(r"[-\d./%]+", answer) else None
