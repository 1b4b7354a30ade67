"""Keys read before anyone is asked: what kind each is, and why one cannot be graded against."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from potstill.errors import InputError
from potstill.grading.boxes import boxed_values
from potstill.grading.maths.comparison import KeyUnreadable
from potstill.grading.maths.key_faults import MAX_ANSWER, key_problem, only_text
from potstill.grading.maths.keys import alternatives, says_no_key
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.maths.languages import decimal_point, uses_decimal_comma
from potstill.grading.maths.literals import is_program_value
from potstill.grading.plugins import compare_with, is_for_plugin, kind_of
from potstill.plugins import KINDS, load_plugin, nearest, plugin_names
from potstill.records import AnswerKind, NumberGold, Problem, TextGold

__all__ = ["KeyReader", "kind_of_key"]

_MARK = "####"
_LONGEST_MARKED = 300
_OBJECT = re.compile(r"\s*\{\s*(['\"])\w+\1\s*:")
_WORD = re.compile(r"(?<![\\A-Za-zÀ-ÿ])[A-Za-zÀ-ÿ]{2,}")
_ARGUES = re.compile(
    r"\b(?:because|since|therefore|thus|hence|we|prove|explain|substitut\w+|weil|daher|wir|donc"
    r"|parce|puisque|porque|entonces)\b",
    re.I,
)
_PARSED = 100_000
"""Characters of tests that are looked at."""
_ANSWERS_TOO = ("Na", "NA", "Nan")  # sodium, Namibia, a grandmother
_SENTENCE_WORDS = 8
_ARGUMENT_WORDS = 4
_WORDS_COMPARED = (AnswerKind.WORD, AnswerKind.EXPRESSION, AnswerKind.LIST)
_TAKES_ANY_TEXT = ("judge", "code", "exact")


@dataclass(frozen=True, slots=True)
class KeyReader:
    """Reads keys as the grader will; ``kinds`` are a study's settings of answer kinds."""

    kinds: Mapping[str, Any] = field(default_factory=dict)

    def kind(self, key: str, text: str) -> str:
        """Return the kind of a key, an expression where it is too deep or too long to be read."""
        return kind_of_key(key, text)

    def check_kind(self, kind: str, where: str) -> None:
        """Raise InputError where a kind that a source names does not exist."""
        known = (*(kind.value for kind in AnswerKind), *plugin_names(KINDS), "tests", "rubric")
        if kind not in known:
            raise InputError(
                f"{where}: there is no answer kind {kind[:60]!r}{nearest(kind[:60], known)}."
            )

    def final_answer(self, key: str, text: str, *, worked: bool = False) -> str:
        r"""Return the final answer of a key that holds a worked solution, "" where it holds none.

        A solution is known by ``#### 72`` at its end or a ``\boxed{}`` in it; where the column is
        said to be ``worked``, by the sentence that states its answer too.
        """
        _, mark, behind = key.rpartition(_MARK)
        marked = behind.strip()
        if mark and 0 < len(marked) <= _LONGEST_MARKED and not re.search(r"[\n#]", marked):
            return marked
        if (boxes := boxed_values(key)) and boxes[-1][0] != key:
            return ", ".join(dict.fromkeys(value for value, _, _ in boxes))
        if not worked:
            return ""
        from potstill.grading.extraction import extract  # some 400 patterns, seldom needed here

        found = extract(key, "", text)
        return "" if found.several else found.text

    def fault(self, problem: Problem, *, given: bool = False) -> str:
        """Return why nothing can be graded against a problem's key, "" where it can be.

        ``given`` says that the source named the kind: words that it calls words are taken as they
        are.
        """
        if is_for_plugin(problem):
            return self._plugin_fault(problem)
        if not isinstance(problem.gold, TextGold):
            return ""
        forms = alternatives(problem.gold.text)
        whole = len(forms) == 1
        kind = problem.kind if whole else ""
        faults = [_fault(form, kind, problem.text, given=given and whole) for form in forms]
        return next(iter(faults)) if all(faults) else ""

    def decimal_comma(self, text: str) -> bool:
        """Return whether a problem is written in a language with decimal commas."""
        return uses_decimal_comma(text)

    def only_text(self, problem: Problem) -> bool:
        """Return whether a problem's key can be compared as text alone: no rule can read it."""
        if is_for_plugin(problem) or not isinstance(problem.gold, TextGold):
            return False
        forms = alternatives(problem.gold.text)
        kind = problem.kind if len(forms) == 1 else ""
        return all(_only_text(form, kind, problem.text) for form in forms)

    def takes_zero(self, problem: Problem) -> bool:
        """Return whether a problem's tolerance is so wide that 0 is right too, and its key is
        not 0; a kind says so in ``takes_zero(problem, options)``.
        """
        if not is_for_plugin(problem):
            return False
        kind = kind_of(problem)
        plugin = load_plugin(KINDS, kind)
        if not hasattr(plugin, "takes_zero"):
            return False
        return bool(plugin.takes_zero(problem, self.kinds.get(kind) or plugin.Options()))

    def _plugin_fault(self, problem: Problem) -> str:
        kind = kind_of(problem)
        if kind == "code":
            return _tests_nothing(problem.gold_text)
        if kind in _TAKES_ANY_TEXT or not isinstance(problem.gold, TextGold | NumberGold):
            return ""
        try:
            compare_with(kind, problem, problem.gold_text, self.kinds.get(kind))
        except KeyUnreadable as exc:
            return str(exc)
        except InputError:
            raise
        except Exception as exc:  # whatever a stranger's kind raises
            raise InputError(
                f"the answer kind {kind!r} cannot read the key {problem.gold_text[:60]!r} of "
                f"{problem.id} ({exc}); mend the key, or the plugin."
            ) from exc
        return ""


def _tests_nothing(source: str) -> str:
    """Return why every program passes a key of unit tests, or none does; "" where they tell."""
    if len(source) > _PARSED:
        return ""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        return f"its tests are no Python ({str(exc)[:60]})"
    if any(isinstance(node, ast.Assert | ast.Raise | ast.Call) for node in ast.walk(tree)):
        return ""
    return "its tests test nothing: they assert nothing and call nothing"


def kind_of_key(key: str, text: str = "") -> str:
    """Return the kind of a key, of the first where it lists several any of which is right.

    An expression where it is too deep or too long to be read.
    """
    if len(key) > MAX_ANSWER:
        return AnswerKind.EXPRESSION.value
    try:
        return infer_kind(alternatives(key)[0], text)
    except RecursionError:
        return AnswerKind.EXPRESSION.value


def _fault(key: str, kind: str, text: str, *, given: bool) -> str:
    if is_program_value(key, text):
        return ""
    if says_no_key(key, text):
        meant = "; where it is the answer itself, name kind: exact"
        return f"it says that there is none{meant if key.strip() in _ANSWERS_TOO else ''}"
    if _OBJECT.match(key):
        return "an object; give its value, or a list of values any of which is right"
    if len(key) > MAX_ANSWER:
        return "a text of more than 2,000 characters"
    if (sentence := _sentence(key, kind)) and not (given and kind == AnswerKind.WORD):
        return f"{sentence}; give the value alone, or kind: judge"
    try:
        kind = kind or infer_kind(key, text)
        return key_problem(key, kind, text) or ""
    except RecursionError:
        return "it is nested too deep"


def _only_text(key: str, kind: str, text: str) -> bool:
    if len(key) > MAX_ANSWER:
        return False
    try:
        return only_text(decimal_point(key, text), kind or infer_kind(key, text), text)
    except RecursionError:
        return False


def _sentence(key: str, kind: str) -> str:
    """Return what a key is that argues or says more than a value, "" for a value."""
    words = _WORD.findall(re.sub(r"\\[A-Za-z]+|\$[^$]*\$", " ", key))
    arguing = len(_ARGUES.findall(key))
    if arguing > 1 or (arguing and len(words) >= _ARGUMENT_WORDS):
        lines = len(key.strip().splitlines()) > 1 or len(words) > 25
        return "a worked solution without \\boxed{} or ####" if lines else "a sentence"
    if len(words) >= _SENTENCE_WORDS and (not kind or kind in _WORDS_COMPARED):
        return "a sentence"
    return ""
