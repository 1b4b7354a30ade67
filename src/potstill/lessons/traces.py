"""Which of a problem's right traces become lessons: the first, all, the shortest, the likeliest.

OpenThoughts found several answers a question to be the largest single gain of its ablations (arXiv
2506.04178); what a small student can learn from is told by how likely its base finds a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field

from potstill.lessons.ladder import count_words
from potstill.lessons.teachers import whose
from potstill.records import Lesson, Outcome, Response, Verdict
from potstill.store.settings import Settings
from potstill.text import several

__all__ = [
    "NEAR_COPY",
    "LessonOptions",
    "Likelihood",
    "RankedTrace",
    "RightTrace",
    "copies_sentence",
    "first_right",
    "lessons_sentence",
    "likeliest",
    "rank_traces",
]

NEAR_COPY = 0.7
"""From this ROUGE-L F1 on, words counted, a trace is a near-copy of another: the bound of
Self-Instruct (arXiv 2212.10560, section 2.2). Of 1,466 pairs of right answers of different models
to one GSM8K question 2.0 % reach it, of 486 pairs of reasoning traces none (docs/log.md)."""

Key = tuple[str, int]
"""A problem's id and a draw of the teacher."""


class LessonOptions(Settings):
    """Which right traces of a problem become lessons, where the teacher was asked several times.

    ``first``: the first that nobody disputes. ``all``: every one, in the order they were drawn.
    ``shortest``: those of fewest words. ``distinct``: in order, without those that nearly repeat
    one before. ``most_likely``: those that the base finds likeliest under the training prompt, by
    its mean log-probability a token. Word for word the same is one trace throughout.
    """

    take: Literal["first", "all", "shortest", "distinct", "most_likely"] = Field(
        default="first", description="Which of a problem's right traces."
    )
    most: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Traces a problem at most; none is 1 of shortest, else all."
    )

    def most_of(self, samples: int) -> int:
        """Return how many traces a problem can have at most, of so many draws."""
        if self.take == "first":
            return 1
        return min(samples, self.most or (1 if self.take == "shortest" else samples))

    def fault(self, samples: int) -> str:
        """Return what does not go together here with ``samples`` draws a problem, "" if all
        does.
        """
        if self.take == "first":
            if self.most is not None:
                return "lessons.most decides nothing with take: first; take it out"
            return ""
        if samples < 2:
            return f"lessons.take: {self.take} needs teacher.samples of 2 or more"
        if self.most is not None and self.most > samples:
            return (
                f"lessons.most ({self.most}) is more than teacher.samples ({samples}), so no "
                "problem can have as many traces; lower it, or draw more samples"
            )
        return ""


@dataclass(frozen=True, slots=True)
class RightTrace:
    """One right answer: where it stands among all answers, its draw, and its text as of R0."""

    place: int
    problem_id: str
    sample: int
    disputed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely the base finds a trace: nats a token on average, over so many tokens.

    ``tokens`` is 0 where it does not fit the base's context.
    """

    problem_id: str
    sample: int
    tokens: int
    mean_logprob: float


@dataclass(frozen=True, slots=True)
class RankedTrace:
    """A right trace, its rank among its problem's (1 is taken first), and what became of it.

    ``rank`` is 0 and ``copy_of`` another draw where it repeats that, as far as ``similarity`` tells
    (1 is word for word); ``copy_of`` is -1 else. ``first`` is what take: first would take.
    ``tokens`` and ``mean_logprob`` are its :class:`Likelihood`, where that was asked for.
    """

    place: int
    problem_id: str
    sample: int
    words: int
    rank: int
    taken: bool
    first: bool
    copy_of: int = -1
    similarity: float = 0.0
    tokens: int = 0
    mean_logprob: float = 0.0

    @property
    def key(self) -> Key:
        """The problem and the draw."""
        return self.problem_id, self.sample


def first_right(judged: Iterable[tuple[Response, Verdict]]) -> list[int]:
    """Return where one right answer per problem and teacher stands: the first undisputed, else the
    first.

    Answers of one problem stand together.
    """
    places = []
    rows = enumerate(judged)
    for _, samples in groupby(rows, key=lambda row: whose(row[1][0])):
        right = [
            (verdict.disagreed, place)
            for place, (_, verdict) in samples
            if verdict.outcome is Outcome.CORRECT
        ]
        places += [min(right)[1]] if right else []
    return places


def rank_traces(
    traces: Sequence[RightTrace],
    options: LessonOptions,
    likelihoods: Mapping[Key, Likelihood] | None = None,
) -> list[RankedTrace]:
    """Return the right traces of one problem, in their own order, each with its rank.

    Of equals the first drawn comes first; a trace that the base could not read comes last.
    """
    known = likelihoods or {}
    first = min(traces, key=lambda trace: (trace.disputed, trace.place))
    ranked = []
    for trace in traces:
        likely = known.get((trace.problem_id, trace.sample))
        ranked.append(
            RankedTrace(
                place=trace.place,
                problem_id=trace.problem_id,
                sample=trace.sample,
                words=count_words(trace.text),
                rank=0,
                taken=False,
                first=trace is first,
                tokens=likely.tokens if likely else 0,
                mean_logprob=likely.mean_logprob if likely else 0.0,
            )
        )
    copies = _copies(traces, NEAR_COPY if options.take == "distinct" else 1.0)
    own = sorted((i for i in range(len(traces)) if i not in copies), key=_order(options, ranked))
    ranks = {i: rank for rank, i in enumerate(own, 1)}
    most = options.most_of(len(traces))
    return [
        replace(trace, rank=ranks[i], taken=ranks[i] <= most)
        if i in ranks
        else replace(trace, copy_of=copies[i][0], similarity=copies[i][1])
        for i, trace in enumerate(ranked)
    ]


def _order(
    options: LessonOptions, ranked: Sequence[RankedTrace]
) -> Callable[[int], tuple[float, ...]]:
    def key(i: int) -> tuple[float, ...]:
        trace = ranked[i]
        if options.take == "shortest":
            return trace.words, i
        if options.take == "most_likely":
            return not trace.tokens, -trace.mean_logprob, i
        return (i,)

    return key


def _copies(traces: Sequence[RightTrace], bound: float) -> dict[int, tuple[int, float]]:
    """Return which traces repeat an earlier one that is kept: its draw, and how alike they are.

    Twice the longest common subsequence of words over the words of both is ROUGE-L's F1 (Lin 2004).
    """
    from rapidfuzz.distance import Indel

    words = [trace.text.split() for trace in traces]
    kept: list[int] = []
    copies: dict[int, tuple[int, float]] = {}
    for i, own in enumerate(words):
        for j in kept:
            alike = float(own == words[j])
            if bound < 1 and not alike:
                alike = Indel.normalized_similarity(own, words[j], score_cutoff=bound)
            if alike >= bound:
                copies[i] = traces[j].sample, alike
                break
        else:
            kept.append(i)
    return copies


def likeliest(traces: Iterable[RankedTrace], count: int) -> tuple[list[RankedTrace], ...]:
    """Return the traces that the base finds likeliest and least likely, ``count`` of each at most
    and none in both.
    """
    scored = sorted((x for x in traces if x.tokens), key=lambda x: -x.mean_logprob)
    count = min(count, (len(scored) + 1) // 2)
    return scored[:count], scored[max(count, len(scored) - count) :]


def copies_sentence(traces: Sequence[RankedTrace]) -> str:
    """Return how many right traces were left out as copies of another; "" for none."""
    same = sum(trace.similarity == 1 for trace in traces)
    near = sum(0 < trace.similarity < 1 for trace in traces)
    if not same + near:
        return ""
    parts = [f"{same:,} word for word"] if same else []
    parts += [f"{near:,} nearly (ROUGE-L F1 of {NEAR_COPY} or more)"] if near else []
    of = several(len(traces), "right trace")
    return f"{' and '.join(parts)} of {of} repeat another of the same problem and are left out"


def lessons_sentence(
    options: LessonOptions,
    traces: Sequence[RankedTrace],
    chosen: Mapping[str, Sequence[Lesson]],
    levels: Iterable[str],
) -> str:
    """Return how many lessons a problem has at each level and how long they are; "" where a
    problem has one as a matter of course.
    """
    if options.take == "first":
        return ""
    told = []
    for level in levels:
        lessons = chosen[level]
        if not lessons:
            continue
        problems = len({lesson.problem_id for lesson in lessons})
        tokens = sum(lesson.tokens for lesson in lessons)
        told.append(
            f"{len(lessons) / problems:.1f} a problem at {level} ({len(lessons):,} lessons of "
            f"{several(problems, 'problem')}, {tokens:,} tokens)"
        )
    copies = copies_sentence(traces)
    ends = f"; {copies}" if copies else ""
    return f"Lessons of several traces (take: {options.take}): {', '.join(told)}{ends}."
