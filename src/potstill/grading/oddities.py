"""What is odd about the verdicts on a set of answers, to be said before more is made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from potstill.records import Opinion, Verdict

__all__ = ["what_is_odd"]

_FEW = 5  # answers, from which on it is odd that none is right


def what_is_odd(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield what a person should look at before more is made of the answers to a set: none of them
    right, or a judge that contradicts the symbolic check more often than not.
    """
    outcomes = Counter(verdict.outcome.value.lower() for verdict in verdicts)
    if len(verdicts) >= _FEW and outcomes.keys() and "correct" not in outcomes:
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
        yield (
            f"None of {len(verdicts):,} answers is right ({counts}): see that the key column holds "
            "the keys of these problems, and what was answered (potstill inspect DIR ID)"
        )
    judged = sum(v.judge in (Opinion.EQUAL, Opinion.DIFFERENT) for v in verdicts)
    against = sum(verdict.disagreed for verdict in verdicts)
    if judged >= _FEW and 2 * against > judged:
        yield (
            f"The verifier contradicts the symbolic check in {against:,} of {judged:,} verdicts, "
            "which stand as the check has them: see that it judges what it is shown (potstill "
            "review), or set verify: symbolic"
        )
