"""The answer that most of the teacher's draws give to a problem without a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, product
from typing import Any

from potstill.errors import StudyError
from potstill.grading.extraction import Extraction
from potstill.grading.key_reading import KeyReader, kind_of_key
from potstill.grading.maths.keys import alternatives
from potstill.grading.pool import GradingPool
from potstill.grading.verdicts import Settled, settle
from potstill.plugins import KINDS, load_plugin, plugin_names
from potstill.records import Finish, Outcome, Problem, Response, TextGold
from potstill.store.tables import in_batches

__all__ = ["Majority", "MajorityRule", "majorities", "refuse_one_vote"]

_TOGETHER = 256
"""Problems whose draws are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Majority:
    """What the draws of a problem without a key come to.

    ``votes`` of all ``draws`` are in the largest group of answers that are the same. ``text`` is
    its answer and ``kind`` the kind of that, both empty where the group is too small; then ``why``
    says how large it is.
    """

    problem_id: str
    text: str
    kind: str
    votes: int
    draws: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class MajorityRule:
    """An answer has a majority where its votes are at least ``share`` of the ``draws``; ``kinds``
    are the study's settings of answer kinds.
    """

    draws: int
    share: float
    kinds: Mapping[str, Any] = field(default_factory=dict)


def majorities(
    problems: Iterable[Problem],
    responses: Iterable[Response],
    rule: MajorityRule,
    pool: GradingPool,
) -> Iterator[Majority]:
    """Yield what each problem's answers come to, in the order of the problems, as ``responses`` is.

    Two answers are the same where the grader takes each for right if the other is the key. A draw
    that states no answer, or none that could be a key (blank, cut, failed, several values left
    open), is no vote, and one of the rule's draws all the same: so is one that was never made.
    """
    keys = KeyReader(rule.kinds)
    for chunk in in_batches(_by_problem(problems, responses), _TOGETHER):
        answers = [_Answers(problem, own, keys) for problem, own in chunk]
        for kinds_known in (False, True):
            wanted = [x for x in answers if x.reads_again] if kinds_known else answers
            stated = _stated([pair for x in wanted for pair in x.asked()], pool)
            for x in wanted:
                x.take([next(stated) for _ in x.responses])
        for x in answers:
            x.nominate()
        verdicts = pool.grade([pair for x in answers for pair in x.compared()])
        for x in answers:
            same = [next(verdicts).outcome is Outcome.CORRECT for _ in x.compared()]
            yield x.counted(same, rule)


class _Answers:
    """The draws of one problem: what each states, and the answers that stand for election."""

    def __init__(self, problem: Problem, responses: Sequence[Response], keys: KeyReader) -> None:
        self.problem, self.responses, self._keys = problem, responses, keys
        self._kind = problem.kind
        self._stated: list[str] = []
        self._candidates: list[tuple[Problem, Response, int]] = []

    @property
    def reads_again(self) -> bool:
        """Whether most answers are of a kind that was not known when they were read."""
        return self._kind != self.problem.kind

    def asked(self) -> Iterator[tuple[Problem, Response]]:
        """Yield the draws, each with the problem as its answer is read."""
        problem = replace(self.problem, gold=TextGold(""), kind=self._kind)
        return ((problem, response) for response in self.responses)

    def take(self, stated: Sequence[str]) -> None:
        """Take what the draws state, "" for nothing."""
        self._stated = list(stated)
        if not self._kind:
            found = Counter(kind_of_key(x, self.problem.text) for x in stated if x)
            self._kind = found.most_common(1)[0][0] if found else ""

    def nominate(self) -> None:
        """Have each answer that could be a key stand for election, with its votes."""
        votes = Counter(self._stated)
        first = dict(zip(self._stated[::-1], self.responses[::-1], strict=True))
        for text in dict.fromkeys(filter(None, self._stated)):
            kind = self.problem.kind or kind_of_key(text, self.problem.text)
            keyed = replace(self.problem, gold=TextGold(text), kind=kind)
            one = len(alternatives(text)) == 1
            if one and not self._keys.fault(keyed, given=bool(self.problem.kind)):
                self._candidates.append((keyed, first[text], votes[text]))

    def compared(self) -> Iterator[tuple[Problem, Response]]:
        """Yield every candidate as the key to every candidate's response, its own too."""
        for (keyed, _, _), (_, response, _) in product(self._candidates, repeat=2):
            yield keyed, response

    def counted(self, same: Sequence[bool], rule: MajorityRule) -> Majority:
        """Return what comes of the votes; ``same`` is in the order of :meth:`compared`."""
        n, draws = len(self._candidates), rule.draws
        votes = [
            sum(
                self._candidates[j][2]
                for j in range(n)
                if same[i * n + i] and same[j * n + j] and same[i * n + j] and same[j * n + i]
            )
            for i in range(n)
        ]
        most = max(votes, default=0)
        if most / draws < rule.share:
            why = f"largest group {most} of {draws}" if most else f"no answer in {draws} draws"
            return Majority(self.problem.id, "", "", most, draws, why)
        keyed = self._candidates[votes.index(most)][0]
        return Majority(self.problem.id, keyed.gold_text, keyed.kind, most, draws)


def _by_problem(
    problems: Iterable[Problem], responses: Iterable[Response]
) -> Iterator[tuple[Problem, list[Response]]]:
    """Yield every problem with its responses, which are in the same order; none of one without."""
    groups = groupby(responses, key=lambda response: response.problem_id)
    held = next(groups, None)
    for problem in problems:
        if held is None or held[0] != problem.id:
            yield problem, []
            continue
        yield problem, list(held[1])
        held = next(groups, None)


def _stated(pairs: Sequence[tuple[Problem, Response]], pool: GradingPool) -> Iterator[str]:
    """Yield the answer that each response states, "" where there is none to be counted."""
    registered = set(plugin_names(KINDS))
    read = pool.read(pair for pair in pairs if pair[0].kind not in registered)
    for problem, response in pairs:
        own = problem.kind in registered
        found = _by_plugin(problem, response) if own else next(read)
        whole = isinstance(found, Extraction) and not found.several
        if isinstance(found, Extraction) and found.cut and response.finish is Finish.LENGTH:
            whole = False  # a trace that is cut is never taught from, whatever it stated
        yield found.text.strip() if isinstance(found, Extraction) and whole else ""


def _by_plugin(problem: Problem, response: Response) -> Extraction | Settled:
    settled = settle(response.text, response.finish, response.error)
    if settled is not None:
        return settled
    found: Extraction = load_plugin(KINDS, problem.kind).extract(problem, response.text)
    return found


def refuse_one_vote(responses: Iterable[Response]) -> None:
    """Raise StudyError where the draws of every problem are word for word the same: those of a
    teacher that draws nothing are one vote, however many they are.
    """
    copied = 0
    for _, own in groupby(responses, key=lambda response: response.problem_id):
        whole = [(r.reasoning, r.text) for r in own if r.finish is Finish.STOP]
        if len(set(whole)) > 1:
            return
        copied += len(whole) > 1
    if copied:
        raise StudyError(
            f"keys: the teacher's draws are word for word the same for each of {copied:,} problems "
            "that it answered more than once, so they are one vote and no majority; have it draw "
            "(teacher.temperature, such as 0.6, and an endpoint that obeys it), or take keys out."
        )
