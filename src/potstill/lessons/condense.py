"""Condensing verified traces down the ladder, level by level, each lesson checked.

All traces go down a level together, so that thousands of asks are in flight and the checks fill
the grader; within one trace each level starts from the last good one above. A problem may have
several traces, each of another draw of the teacher.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from potstill.chat import Ask, Completion, Message, Solver
from potstill.errors import InputError, one_line
from potstill.lessons.ladder import LADDER, LevelSpec, condense_messages, count_words
from potstill.lessons.quality import Finding, Gate, GateOptions, findings, flags_of
from potstill.records import (
    SEVERAL_VALUES,
    Finish,
    Lesson,
    Level,
    NumberGold,
    Problem,
    Response,
    Sampling,
    TextGold,
    Verdict,
)

__all__ = ["GradePairs", "condense", "in_tags", "trace_lesson", "trace_text"]

GradePairs = Callable[[Iterable[tuple[Problem, Response]]], Iterator[Verdict]]
"""Grades responses as they come; verdicts may come back in any order."""

_STOPS_THE_CHAIN = {
    *(Gate.KEY_LEAKED, Gate.CUT, Gate.BLANK, Gate.ONLY_REASONING, Gate.NO_TEXT),
}
_NOT_WORTH_A_RETRY = {Gate.NOT_ASKED, Gate.BAD_KEY, Gate.NO_TEXT}
_FIRST = 20  # lessons of a level that are looked at before the rest is asked for


_Key = tuple[str, int]


@dataclass(slots=True)
class _Chain:
    """One trace on its way down: the last good lesson, and how long R1 (failing that, R0) is."""

    problem: Problem
    good: Lesson
    of_words: int
    words_r1: int | None = None

    @property
    def key(self) -> _Key:
        return _key(self.good)

    @property
    def tag(self) -> str:
        """What its ask is called: the problem, and which of its traces."""
        problem_id, sample = self.key
        return f"{problem_id} (draw {sample + 1})" if sample else problem_id

    def pass_on(self, lesson: Lesson) -> None:
        if not lesson.flags:
            self.good = lesson
            if lesson.level == Level.R1:
                self.of_words = self.words_r1 = lesson.words


@dataclass(frozen=True, slots=True)
class _Step:
    """What one level is done with."""

    spec: LevelSpec
    condenser: Solver
    sampling: Sampling
    stage: str
    grade: GradePairs
    count_tokens: Callable[[str], int]
    options: GateOptions


def condense(
    parents: Iterable[tuple[Problem, Response]],
    *,
    condenser: Solver | None,
    levels: Sequence[str],
    grade: GradePairs,
    count_tokens: Callable[[str], int],
    stage: str,
    sampling: Sampling,
    options: GateOptions | None = None,
    tags: bool = False,
    whole: bool = False,
    proven: set[str] | None = None,
) -> Iterator[Lesson]:
    """Yield one lesson per parent and level: R0 of every parent, then each level of ``levels``.

    R0 is yielded with its reasoning in think tags where ``tags`` is set; it needs no ``condenser``,
    as every further level does. ``parents`` are problems with their verified responses, of one
    problem any number of different draws. A lesson that fails a gate is asked for once more
    (attempt 1) with the complaint, then yielded with its flags; the level below starts from the
    last good one. A trace that leaks the key, is cut or blank starts no chain; where a trace is
    taught only ``whole``, at all ``levels`` or none, its chain ends at the first that it fails.
    ``proven`` holds the levels at which a lesson passed before, and is added to. Raises InputError
    for a level that is not on the ladder, and where none of a level's first lessons passes.
    """
    specs = _chosen(levels)
    gates = options or GateOptions()
    proven = set() if proven is None else proven
    chains: dict[_Key, _Chain] = {}
    for problem, response in parents:
        lesson, stops = _verified_trace(problem, response, count_tokens, gates)
        yield _with_tags(lesson, response, count_tokens) if tags else lesson
        if whole and lesson.flags and Level.R0 in levels:
            continue
        if not stops:
            chains[_key(lesson)] = _Chain(problem, lesson, lesson.words)
    for spec in specs:
        if condenser is None:
            raise InputError(f"level {spec.level.value} needs a condenser, and there is none.")
        step = _Step(spec, condenser, sampling, stage, grade, count_tokens, gates)
        for lesson in _descend_if_useful(chains, step, proven):
            if whole and lesson.flags:
                del chains[_key(lesson)]
            else:
                chains[_key(lesson)].pass_on(lesson)
            yield lesson


def trace_text(response: Response) -> str:
    """Return the text of R0: the reasoning, and the answer after it where the reasoning ends
    without.
    """
    reasoning, text = response.reasoning.strip(), response.text.strip()
    if not reasoning or not text:
        return reasoning or text
    return reasoning if "\\boxed" in reasoning[-300:] else f"{reasoning}\n\n{text}"


def in_tags(response: Response) -> str:
    """Return a response as a model that thinks writes it: its reasoning in think tags, then its
    answer; one that shows no reasoning apart from its answer as it is.
    """
    reasoning, text = response.reasoning.strip(), response.text.strip()
    if not reasoning or not text:
        return reasoning or text
    return f"<think>\n{reasoning}\n</think>\n\n{text}"


def trace_lesson(
    response: Response,
    text: str,
    count_tokens: Callable[[str], int],
    *,
    level: str = Level.R0.value,
    flags: tuple[str, ...] = (),
) -> Lesson:
    """Return a response as a lesson with this text, which nobody rewrote."""
    return Lesson(
        problem_id=response.problem_id,
        level=level,
        parent="",
        text=text,
        words=count_words(text),
        tokens=count_tokens(text),
        made_by=response.solver,
        attempt=response.attempt,
        flags=flags,
        ledger_key=response.ledger_key,
        sample=response.sample,
    )


def _key(lesson: Lesson) -> _Key:
    return lesson.problem_id, lesson.sample


def _with_tags(lesson: Lesson, response: Response, count_tokens: Callable[[str], int]) -> Lesson:
    text = in_tags(response)
    return replace(lesson, text=text, words=count_words(text), tokens=count_tokens(text))


def _chosen(levels: Sequence[str]) -> list[LevelSpec]:
    wanted = {str(level) for level in levels} - {Level.R0.value}
    unknown = wanted - {spec.level.value for spec in LADDER}
    if unknown:
        there = ", ".join(spec.level.value for spec in LADDER)
        raise InputError(f"there is no level {min(unknown)!r} on the ladder; there are {there}.")
    return [spec for spec in LADDER if spec.level.value in wanted]


def _verified_trace(
    problem: Problem,
    response: Response,
    count_tokens: Callable[[str], int],
    options: GateOptions,
) -> tuple[Lesson, bool]:
    text = trace_text(response)
    found = findings(problem, text, level=Level.R0, options=options)
    lesson = trace_lesson(response, text, count_tokens, flags=flags_of(found))
    return lesson, any(f.excludes and f.gate in _STOPS_THE_CHAIN for f in found)


def _descend_if_useful(
    chains: Mapping[_Key, _Chain], step: _Step, proven: set[str]
) -> Iterator[Lesson]:
    """Yield every chain's lesson at one level, the first of them whole before the rest is asked
    for. Raises InputError where none of those passes a gate.
    """
    ahead, rest = dict(islice(chains.items(), _FIRST)), dict(islice(chains.items(), _FIRST, None))
    if step.spec.level in proven:
        yield from _descend(dict(chains), step)
        return
    first = list(_descend(ahead, step))
    yield from first
    if any(not lesson.flags for lesson in first):
        proven.add(step.spec.level)
    elif len(first) == _FIRST:
        _refuse_useless(first, step)
    yield from _descend(rest, step)


def _refuse_useless(first: Sequence[Lesson], step: _Step) -> None:
    """Raise InputError for a condenser whose first lessons of a level all fail; where calls failed
    or a replay lacks them, it is not the condenser's fault.
    """
    flags = Counter(flag for lesson in first for flag in lesson.flags)
    if flags.keys() & {Gate.ERROR, Gate.NOT_ASKED, Gate.BAD_KEY, Gate.NO_TEXT}:
        return
    told = ", ".join(f"{flag} {count}" for flag, count in flags.most_common())
    shown = one_line(first[0].text)[:100]
    remedy = (
        "Name another model as condenser, or, where such lessons are wanted, turn that gate off "
        "(gates: off)"
    )
    if 2 * flags[Gate.CUT] > len(first):
        remedy = (
            f"Raise the condenser's max_tokens ({step.sampling.max_tokens:,} now), or what its "
        )
        remedy += "server allows"
    raise InputError(
        f"condenser ({step.condenser.id}): none of the first {len(first)} lessons at "
        f"{step.spec.level.value} passes its gates ({told}), each asked for again where that could "
        f"help; that of {first[0].problem_id} reads {shown!r}. {remedy}, and run again; nothing "
        "more is bought."
    )


def _descend(chains: Mapping[_Key, _Chain], step: _Step) -> Iterator[Lesson]:
    """Yield every chain's lesson at one level, those that needed a second try last."""
    complaints: dict[_Key, str] = {}
    passable: dict[_Key, Lesson] = {}
    for lesson, found in _ask(list(chains.values()), step, {}, attempt=0):
        again = [f for f in found if f.excludes or f.gate is Gate.TOO_LONG]
        if not again or any(f.gate in _NOT_WORTH_A_RETRY for f in again):
            yield lesson
            continue
        key = _key(lesson)
        again = [f for f in again if f.gate is Gate.ECHO] or again  # the rest follows from it
        complaints[key] = " ".join(_complaint(f, chains[key]) for f in again)
        if not lesson.flags:
            passable[key] = lesson
    again_chains = [chain for key, chain in chains.items() if key in complaints]
    for lesson, _ in _ask(again_chains, step, complaints, attempt=1):
        # a first try that was merely long is better than a second that is wrong
        yield passable.get(_key(lesson), lesson) if lesson.flags else lesson


def _ask(
    chains: Sequence[_Chain], step: _Step, complaints: Mapping[_Key, str], *, attempt: int
) -> Iterator[tuple[Lesson, tuple[Finding, ...]]]:
    """Yield a lesson and its findings per chain, as the condenser and the grader give them back.

    Traces of one problem may have come to the same text; that is asked for once.
    """
    alike: dict[tuple[str, tuple[Message, ...]], list[_Chain]] = {}
    for chain in chains:
        messages = condense_messages(
            chain.problem,
            step.spec,
            chain.good.text,
            of_words=chain.of_words,
            complaint=complaints.get(chain.key, ""),
        )
        alike.setdefault((chain.problem.id, messages), []).append(chain)
    asks = (
        Ask(together[0].tag, messages, step.sampling, attempt=attempt)
        for (_, messages), together in alike.items()
    )
    by_tag = {together[0].tag: together for together in alike.values()}
    waiting: dict[str, tuple[_Chain, Response]] = {}
    unasked: list[tuple[_Chain, Completion]] = []

    def answered() -> Iterator[tuple[Problem, Response]]:
        for result in step.condenser.complete(asks, step.stage):
            together = by_tag[result.tag]
            if not result.asked:
                unasked.extend((chain, result) for chain in together)
                continue
            for chain in together:
                problem_id, sample = chain.key
                said = replace(
                    result, tag=problem_id, sample=sample, reasoning="", text=result.text.strip()
                )
                response = said.response(step.condenser.id, f"{step.stage}/{step.spec.level.value}")
                waiting[response.response_id] = chain, response
                yield chain.problem, response

    if not chains:
        return
    for verdict in step.grade(answered()):
        yield _lesson(*waiting.pop(verdict.response_id), verdict, step)
    for chain, missing in unasked:
        finding = Finding(Gate.NOT_ASKED, missing.error, excludes=True)
        yield _empty(chain, step, attempt, finding), (finding,)
    if waiting:
        _, lost = next(iter(waiting.values()))
        raise RuntimeError(
            f"the grader gave no verdict on {lost.problem_id} at {lost.condition_id}"
        )


def _lesson(
    chain: _Chain, response: Response, verdict: Verdict, step: _Step
) -> tuple[Lesson, tuple[Finding, ...]]:
    found = findings(
        chain.problem,
        response,
        verdict,
        level=step.spec.level,
        options=step.options,
        words_above=chain.good.words,
        words_r1=chain.words_r1,
    )
    if response.finish is Finish.LENGTH and not any(f.gate is Gate.CUT for f in found):
        cut = Finding(Gate.CUT, "reached the token limit", Gate.CUT not in step.options.advisory)
        found = (*found, cut) if Gate.CUT not in step.options.off else found
    lesson = Lesson(
        problem_id=chain.problem.id,
        level=step.spec.level.value,
        parent=chain.good.level,
        text=response.text,
        words=count_words(response.text),
        tokens=step.count_tokens(response.text),
        made_by=step.condenser.id,
        attempt=response.attempt,
        flags=flags_of(found),
        ledger_key=response.ledger_key,
        sample=response.sample,
    )
    return lesson, found


def _empty(chain: _Chain, step: _Step, attempt: int, finding: Finding) -> Lesson:
    return Lesson(
        problem_id=chain.problem.id,
        level=step.spec.level.value,
        parent=chain.good.level,
        text="",
        words=0,
        tokens=0,
        made_by=step.condenser.id,
        attempt=attempt,
        flags=(finding.gate.value,),
        sample=chain.good.sample,
    )


_ASKED_FOR = {
    Gate.WRONG: "Its final answer is not that of the reasoning.",
    Gate.NO_ANSWER: "It gives no final answer; end with \\boxed{answer}.",
    Gate.UNDECIDED: "Its final answer could not be read; write it plainly in \\boxed{}.",
    Gate.BLANK: "It was empty.",
    Gate.ONLY_REASONING: "No answer followed the reasoning.",
    Gate.ECHO: "It repeats this request; write the solution alone.",
    Gate.MARKS: "It holds marks of a chat template; write plain text.",
    Gate.CUT: "It stopped before its end.",
    Gate.FILTERED: "It was withheld by a filter.",
    Gate.ERROR: "It did not arrive whole.",
    Gate.KEY_LEAKED: "It cites an answer that was given; derive it from the problem alone.",
    Gate.LANGUAGE: "It changes language; use that of the problem.",
    Gate.NOT_DERIVED: "Its answer appears only in the last line; show where it comes from.",
    Gate.OTHER_PROBLEM: "It is not about this problem; use its numbers, and ask for nothing.",
}


def _complaint(finding: Finding, chain: _Chain) -> str:
    """Return a sentence for the condenser. Never the grader's own words: they may hold the key."""
    from potstill.grading.extraction import extract

    problem = chain.problem
    if finding.gate is Gate.NO_ANSWER and isinstance(problem.gold, TextGold | NumberGold):
        stated = extract(chain.good.text, problem.kind, problem.text)
        # of several values a sentence may give one alone
        whole = problem.kind not in SEVERAL_VALUES or stated.rule == "boxed"
        if stated.text and whole and not stated.several:
            return f"It gives no final answer; end with the reasoning's, \\boxed{{{stated.text}}}."
    asked = _ASKED_FOR.get(finding.gate)
    return asked or f"It shows this fault: {finding.gate.value} ({finding.detail})."
