"""Kind ``form``: whether a response has the form that was asked for, whatever it says.

The key is what must hold, all of it, parted by semicolons: ``words <= 3; upper case``. A check is

- ``words N``, ``sentences N``, ``lines N``, ``items N`` (of a list): so many; ``<= N`` and ``>= N``
  bound them;
- ``upper case``, ``lower case``; ``number`` (digits and nothing else);
- ``begins X``, ``ends X``, ``contains X``, ``without X``: letters alike in either case;
- ``json``, ``json with A, B``: one JSON value and nothing about it, an object with these names;
- ``language CODE``: written in de, en, es, fr or it, as its commonest words tell.

What a model thinks in ``<think>`` tags is no part of its response.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from potstill.grading.extraction import Extraction
from potstill.grading.maths.comparison import Comparison, KeyUnreadable, different, equal_with
from potstill.records import Problem

__all__ = ["Options", "compare", "extract"]

_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_COUNT = re.compile(r"(words|sentences|lines|items)\s*(<=|>=|)\s*(\d+)")
_SENTENCE = re.compile(r"[.!?…]+(?=\s|$)")
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*")
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.DOTALL)
# The commonest words of each language that the others do not share: counted, none decides alone.
_WORDS = {
    "de": "der die das und ist nicht ein eine zu mit auf für dem den von ich es sich auch wie",
    "en": "the and is of to that it with for this are was be not you have they on at from",
    "es": "el los las y es que en una por con para del se lo como más pero sus está muy",
    "fr": "le les et est des que une pour pas dans sur avec il elle ce cette du au qui sont",
    "it": "il gli e è che di per una con non del della sono come più anche nel alla questo lo",
}
_LANGUAGES = {code: frozenset(words.split()) for code, words in _WORDS.items()}


class Options(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def extract(problem: Problem, text: str) -> Extraction:
    """Return the response without its thought: all of it is judged."""
    del problem
    return Extraction(_THOUGHT.sub("", text, count=1).strip(), "whole text")


def compare(problem: Problem, text: str, options: Options) -> Comparison:
    """Return whether everything that the key names holds of the response.

    Raises KeyUnreadable for a check that there is not.
    """
    del options
    said = extract(problem, text).text
    checks = [part.strip() for part in problem.gold_text.split(";") if part.strip()]
    failed = [check for check in checks if not _check(check)(said)]
    if not said:
        return different("nothing was said")
    return different(f"not so: {'; '.join(failed)}") if failed else equal_with("as it was asked")


def _check(check: str) -> Callable[[str], bool]:
    """Return what tells whether one check holds of a text."""
    name, _, rest = check.partition(" ")
    wanted = rest.strip().casefold()
    if count := _COUNT.fullmatch(check):
        return _counts(count[1], count[2], int(count[3]))
    if check in ("upper case", "lower case"):
        return str.isupper if check == "upper case" else str.islower
    if check == "number":
        return lambda text: _NUMBER.fullmatch(text.rstrip(".")) is not None
    if check == "json" or check.startswith("json with "):
        names = [x.strip() for x in check.removeprefix("json").removeprefix(" with ").split(",")]
        return lambda text: _is_json(text, [x for x in names if x])
    if name == "language" and wanted in _LANGUAGES:
        return lambda text: _language(text) == wanted
    if wanted and name in ("begins", "ends", "contains", "without"):
        return {
            "begins": lambda text: text.casefold().startswith(wanted),
            "ends": lambda text: text.casefold().endswith(wanted),
            "contains": lambda text: wanted in text.casefold(),
            "without": lambda text: wanted not in text.casefold(),
        }[name]
    raise KeyUnreadable(f"{check!r} is no check of form, such as: words <= 3; upper case")


def _counts(what: str, bound: str, number: int) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        found = {
            "words": lambda: len(text.split()),
            "sentences": lambda: max(len(_SENTENCE.findall(text)), bool(text)),
            "lines": lambda: sum(bool(line.strip()) for line in text.splitlines()),
            "items": lambda: len(_ITEM.findall(text)),
        }[what]()
        if bound:
            return found <= number if bound == "<=" else found >= number
        return found == number

    return holds


def _is_json(text: str, names: list[str]) -> bool:
    fenced = _FENCE.match(text)
    try:
        value = json.loads(fenced[1] if fenced else text)
    except ValueError:
        return False
    if names:
        return isinstance(value, dict) and set(names) <= set(value)
    return isinstance(value, dict | list)


def _language(text: str) -> str:
    """Return the language whose commonest words a text has most of, "" where it has none."""
    words = Counter(re.findall(r"[^\W\d_]+", text.casefold()))
    counts = {code: sum(words[word] for word in common) for code, common in _LANGUAGES.items()}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else ""
