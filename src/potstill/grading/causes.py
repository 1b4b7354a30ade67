"""Why a wrong answer is wrong, where it can be told from the answer, the trace and the question."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction

from potstill.grading.maths.equations import false_equations
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.slips import other_operation, relation, turned_over, value_of
from potstill.grading.workings import MAX_TEXT, Workings, numbers_in, percents_in, read_workings
from potstill.records import Cause, Outcome, Problem, Verdict

__all__ = ["cause_of", "with_cause"]

SMALL = 12  # values that turn up by chance
CHANCE = 10  # below it, two numbers of a trace differ by it too often to mean a sum
MOST_TOLD = 24
LATE = 3  # the last steps, whose result is the trace's own
LOOP = 6_000  # characters at the end of a text in which it is looked for repetition
PERIODS = 60  # places at which a repeated passage may begin again
BARE_WORDS = 12  # an answer and little else
_GAVE_UP = re.compile(
    r"\b(?:i (?:don't|do not|can(?:'|no)t) (?:know|solve|determine|answer|find)|"
    r"(?:please )?provide the (?:problem|question|text)|unable to (?:solve|determine|answer)|"
    r"cannot be (?:determined|solved|answered)|not enough information|i give up|no answer|"
    r"(?:problem|question) is (?:missing|incomplete|not (?:provided|visible)))\b",
    re.IGNORECASE,
)
_EQUATION = re.compile(r"\d\s?[a-z]\b[^=\n]{0,40}=|=[^=\n]{0,40}\d\s?[a-z]\b")
_SKIPPED = (Outcome.CORRECT, Outcome.BAD_KEY, Outcome.ERRORED, Outcome.FILTERED)


@dataclass(frozen=True, slots=True)
class _Case:
    """One wrong value and what it is told from."""

    text: str
    wanted: Fraction
    given: Fraction
    asked: Counter[Fraction]
    digits: AbstractSet[Fraction]
    percents: AbstractSet[Fraction]
    trace: Workings
    solution: Workings


def cause_of(problem: Problem, response_text: str, verdict: Verdict, solution: str = "") -> Cause:
    """Return the cause of a wrong answer, the most telling first; NONE for one that is not wrong.

    ``response_text`` is the whole trace (reasoning and text) where there is one: its sums are
    checked, and compared with the numbers of the question. ``solution`` is a right solution of the
    problem, such as a teacher's verified trace: its steps say which numbers are needed and which
    values lie on the way. Without it these two are told less often.
    """
    if verdict.outcome in _SKIPPED:
        return Cause.NONE
    if verdict.outcome is Outcome.TRUNCATED:
        return Cause.REPEATED if _repeats(response_text) else Cause.TRUNCATED
    if _repeats(response_text):
        return Cause.REPEATED
    if _GAVE_UP.search(response_text[-600:]) or verdict.outcome is Outcome.BLANK:
        return Cause.GAVE_UP
    if verdict.outcome is Outcome.UNPARSED and not verdict.extracted:
        return Cause.EXTRACTION
    wanted, given = value_of(problem.gold_text), value_of(verdict.extracted)
    trace = read_workings(response_text)
    if wanted is None or given is None or wanted == given:
        return _of_form(problem, response_text, verdict, trace)
    case = _Case(
        text=response_text,
        wanted=wanted,
        given=given,
        asked=numbers_in(problem.text),
        digits=numbers_in(problem.text, words=False).keys(),
        percents=percents_in(problem.text),
        trace=trace,
        solution=read_workings(solution),
    )
    found = _of_value(case)
    if found is not Cause.NONE:
        return found
    return Cause.NO_WORKING if _bare(response_text) else Cause.OTHER


def with_cause(
    problem: Problem, response_text: str, verdict: Verdict, solution: str = ""
) -> Verdict:
    """Return the verdict with its cause filled in."""
    import dataclasses

    cause = cause_of(problem, response_text, verdict, solution)
    return dataclasses.replace(verdict, cause=cause) if cause is not verdict.cause else verdict


def _of_form(problem: Problem, text: str, verdict: Verdict, trace: Workings) -> Cause:
    """Return the cause where key and answer are not two numbers to compare."""
    if trace.slips or _false(text):
        return Cause.ARITHMETIC
    if verdict.outcome is Outcome.UNPARSED or _other_type(problem.gold_text, verdict.extracted):
        return Cause.FORM
    if trace.steps:
        return Cause.OPERATION
    return Cause.NO_WORKING if _bare(text) else Cause.OTHER


def _of_value(case: _Case) -> Cause:
    turned = turned_over(case.wanted, case.given)
    if turned is not Cause.NONE:
        return turned
    if case.trace.steps or len(case.trace.results) > 1 or _algebra(case.text):
        return _of_working(case)
    if case.given in case.asked and case.given != 1:
        return Cause.COPIED
    if case.given in _on_the_way(case):
        return Cause.INTERMEDIATE
    numbers = {*case.asked, *_on_the_way(case)}
    if _bare(case.text) and other_operation(numbers, case.wanted, case.given):
        return Cause.OPERATION
    return Cause.OPERATION if _told_in_words(case) else relation(case.wanted, case.given)


def _told_in_words(case: _Case) -> bool:
    """Return whether a trace without a sum names values that each come of two earlier ones.

    "He works 50 hours, so he earns 500 dollars, with the bonus 800": the sums hold, unwritten.
    """
    known = list(case.asked)
    fresh = [number for number in case.trace.named if number not in case.asked]
    if len(fresh) < 2 or case.given not in fresh or len(case.trace.named) > MOST_TOLD:
        return False
    for number in fresh:
        if not any(
            number in (a + b, a - b, a * b, a * b / 100, a / b if b else None)
            for a in known
            for b in known
        ):
            return False
        known.append(number)
    return True


def _of_working(case: _Case) -> Cause:
    """Return the cause as the sums of the trace show it."""
    if _slipped(case):
        return Cause.ARITHMETIC
    if _reached(case):
        return Cause.ASKED
    if _false(case.text):
        return Cause.ARITHMETIC
    results = {*case.trace.results, *(step.result for step in case.trace.steps)}
    if case.given in case.asked and case.given not in results:
        return Cause.COPIED
    if _left_out(case):
        return Cause.LEFT_OUT
    if _nearly_right(case):
        return Cause.NEAR_MISS
    return Cause.INTERMEDIATE if _stopped_early(case) else Cause.OPERATION


def _nearly_right(case: _Case) -> bool:
    """Return whether right sums end a rounding off, or one off after a division: one more is
    needed.
    """
    if relation(case.wanted, case.given) is not Cause.NEAR_MISS:
        return False
    if case.wanted.denominator > 1 or case.given.denominator > 1:
        return True
    steps = case.trace.steps
    return abs(case.wanted - case.given) == 1 and bool(steps) and "/" in steps[-1].text


def _algebra(text: str) -> bool:
    """Return whether a trace works with a variable: two equations with a letter beside a number."""
    return len(_EQUATION.findall(text[-MAX_TEXT:])) > 1


def _reached(case: _Case) -> bool:
    """Return whether the trace has worked out the right value, and then answered another."""
    if case.wanted in case.asked:
        return False
    steps = case.trace.steps
    if case.wanted.denominator == 1 and abs(case.wanted) <= SMALL:
        return any(step.holds and step.result == case.wanted for step in steps[-LATE:])
    right = {step.result for step in steps if step.holds}
    return case.wanted in right or case.wanted in case.trace.results


def _false(text: str) -> bool:
    """Return whether an equation with a root is false: only the strict reader of equations knows
    roots.
    """
    end = text[-MAX_TEXT:]
    if "√" not in end and "sqrt" not in end:
        return False
    return bool(false_equations("\n".join(dict.fromkeys(end.split("\n")))))


def _slipped(case: _Case) -> bool:
    """Return whether a false sum went into the answer: it is the answer, or a later step takes
    it.
    """
    steps = case.trace.steps
    for index, step in enumerate(steps):
        if step.holds:
            continue
        later = {number for after in steps[index + 1 :] for number in after.operands}
        if step.result == case.given or step.result in later:
            return True
    return False


def _on_the_way(case: _Case) -> AbstractSet[Fraction]:
    """Return the values that a right solution works out before the answer."""
    values = {step.result for step in case.solution.steps if step.holds}
    return values - {case.wanted} - set(case.asked)


def _stopped_early(case: _Case) -> bool:
    """Return whether the step that yields the answer is one of the solution's, before its last."""
    own = {(tuple(sorted(step.operands)), step.result) for step in case.trace.steps}
    return case.given in _on_the_way(case) and any(
        step.result == case.given and (tuple(sorted(step.operands)), step.result) in own
        for step in case.solution.steps
    )


def _left_out(case: _Case) -> bool:
    """Return whether a number of the question that is needed enters none of the trace's sums."""
    if not case.solution.steps:
        # "One" and "two" as words are seldom a quantity, and the number 1 changes no product.
        needed = {x for x in case.asked if x > 2 or (x != 1 and x in case.digits)}
        return any(not _takes(case.trace, number, case) for number in needed)
    takes, taken = case.solution.taken, case.trace.taken
    for number in case.asked:
        if _takes(case.solution, number, case) and not _takes(case.trace, number, case):
            return True
        # A number that stands twice and is needed twice: "3 sprints, 3 times a week".
        if 0 < taken[number] < min(takes[number], case.asked[number]):
            return True
    return False


def _takes(trace: Workings, number: Fraction, case: _Case) -> bool:
    """Return whether a number of the question stands in a sum of a trace, also in a sum told in
    words.
    """
    forms = {number}
    if number in case.percents:
        forms |= {number / 100, 1 - number / 100, 1 + number / 100, 100 - number, 100 + number}
    if forms & trace.used:
        return True
    if number < CHANCE:
        return False
    found = set(trace.named) - set(case.asked)  # "earns 30 dollars and a bonus of 15, together 45"
    return any({a + number, a - number, number - a, a * number} & found for a in trace.named)


def _repeats(text: str) -> bool:
    """Return whether the end of a text is one passage over and over, or one line makes most of
    it.
    """
    tail = text[-LOOP:].strip()
    if len(tail) < 200:
        return False
    end, before = tail[-24:], len(tail) - 24
    for _ in range(PERIODS):
        before = tail.rfind(end, 0, before + len(end) - 1)
        if before < 0:
            break
        width = len(tail) - len(end) - before
        times = 3 if width > 300 else max(4, 160 // width + 1)
        if tail.endswith(tail[-width:] * times) and tail[-width:].strip(" .-=_\n"):
            return True
    lines = [line.strip() for line in tail[-3_000:].split("\n") if len(line.strip()) > 15]
    if len(lines) < 6:
        return False
    return Counter(lines).most_common(1)[0][1] >= max(4, len(lines) // 2)


def _bare(text: str) -> bool:
    """Return whether a text is an answer and hardly more."""
    return len(re.findall(r"[^\W\d_]{2,}", text[:2_000])) <= BARE_WORDS


def _other_type(key: str, answer: str) -> bool:
    groups = {"tuple", "set", "list", "interval", "matrix", "equation", "word", "letter", "ratio"}
    one, two = infer_kind(key), infer_kind(answer)
    return one != two and bool({one, two} & groups)
