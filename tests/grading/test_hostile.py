"""A thousand hostile answers: none hangs, none kills the run, memory stays bounded."""

from __future__ import annotations

import threading
import time

import psutil

from potstill.grading import GradingPool
from potstill.records import Finish, Outcome, Problem, Response, TextGold
from support.hostile_answers import hostile_answers

KEYS = [
    ("5", "integer"),
    ("{1,2}", "set"),
    ("(1,2)", "tuple"),
    ("x+1", "expression"),
    ("(0,1]", "interval"),
    ("\\frac{1}{2}", "fraction"),
    ("y = 2x", "equation"),
    ("6:7", "ratio"),
    ("Thursday", "word"),
    ("C", "letter"),
    ("52_8", "base"),
    ("\\begin{pmatrix} 1 & 0 \\\\ 0 & 1 \\end{pmatrix}", "matrix"),
]
LIMIT_S = 2.0
MEMORY_MB = 300


class MemoryPeak:
    """The most resident memory of this process (above its start) and its children together."""

    def __enter__(self) -> MemoryPeak:
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        start = me.memory_info().rss
        while not self._stop.wait(0.05):
            used = me.memory_info().rss - start
            for child in me.children(recursive=True):
                try:
                    used += child.memory_info().rss
                except psutil.Error:
                    continue
            self.bytes = max(self.bytes, used)


def test_a_thousand_hostile_answers() -> None:
    texts = hostile_answers(1_000)
    pairs = []
    for number, text in enumerate(texts):
        key, kind = KEYS[number % len(KEYS)]
        problem = Problem(str(number), "", TextGold(key), kind, "test")
        pairs.append(
            (problem, Response("t", problem.id, "c", 0, 0, "", text, Finish.STOP, 0, 0, ""))
        )
    with MemoryPeak() as peak, GradingPool(2, limit_s=LIMIT_S, memory_mb=MEMORY_MB) as pool:
        verdicts = []
        before = time.monotonic()
        for verdict in pool.grade(pairs):
            now = time.monotonic()
            assert now - before < 3 * LIMIT_S + 5, "an answer hung past its limit"
            before = now
            verdicts.append(verdict)
    assert [v.problem_id for v in verdicts] == [p.id for p, _ in pairs]
    assert peak.bytes < 1_000_000_000
    right = [
        texts[i].strip("\x00 ") for i, v in enumerate(verdicts) if v.outcome is Outcome.CORRECT
    ]
    assert all("5" in text for text in right)
    assert not any(v.outcome is Outcome.BAD_KEY for v in verdicts)


def test_hostile_keys_are_bad_keys_and_never_correct() -> None:
    texts = [text for text in hostile_answers(400) if len(text) > 100]
    pairs = []
    for number, text in enumerate(texts):
        problem = Problem(str(number), "", TextGold(text), "expression", "test")
        pairs.append(
            (problem, Response("t", str(number), "c", 0, 0, "", "5", Finish.STOP, 0, 0, ""))
        )
    with GradingPool(2, limit_s=LIMIT_S, memory_mb=MEMORY_MB) as pool:
        outcomes = {verdict.outcome for verdict in pool.grade(pairs)}
    assert Outcome.CORRECT not in outcomes
