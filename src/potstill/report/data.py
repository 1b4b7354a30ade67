"""What a report is made of: plain records, filled by whoever ran the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from potstill.evaluation.comparisons import Evaluated, PairedComparison
from potstill.evaluation.ladder import Ladder, SharedErrors
from potstill.evaluation.near_duplicates import NearDuplicates
from potstill.evaluation.published import Published
from potstill.evaluation.samples import AtK
from potstill.evaluation.scores import LevelScore
from potstill.lessons.listing import GateRow, GateTotal
from potstill.records import Condition, Role, Score, Split
from potstill.report.cases import Case

__all__ = [
    "CallCount",
    "CauseCount",
    "Corpus",
    "Disagreement",
    "Grader",
    "LessonCount",
    "LossCurve",
    "LossPoint",
    "OverlapPair",
    "ReportData",
    "Reproduction",
    "Unread",
    "UnreadExample",
]

NO_NEAR_DUPLICATES = NearDuplicates()


@dataclass(frozen=True, slots=True)
class LossPoint:
    """The losses at one step; None where that one was not measured."""

    step: int
    train_loss: float | None
    validation_loss: float | None


@dataclass(frozen=True, slots=True)
class LossCurve:
    """How one student trained, and which checkpoint was kept."""

    variant: str
    seed: int
    history: tuple[LossPoint, ...]
    chosen_step: int
    chosen_why: str


@dataclass(frozen=True, slots=True)
class LessonCount:
    """The lessons of one level: kept, left out by flag, and how often longer than the one above."""

    level: str
    kept: int
    flagged: Mapping[str, int]
    mean_words: float
    mean_tokens: float
    inversions: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """What became of the problems on their way into the training file.

    ``problems`` counts everything brought in, ``set_aside`` those kept from every model by reason,
    ``splits`` the rest. ``not_asked`` counts, by solver, the questions no record answered.
    ``trained`` is the number of problems that some student was trained on, ``validated`` of those
    that chose its checkpoint; ``require`` says whether a problem had to pass at every compared
    level (all) or at each its own. ``samples`` is what several replies of the teacher to each
    problem come to.
    """

    problems: int
    set_aside: Mapping[str, int]
    splits: Mapping[str, int]
    teacher_outcomes: Mapping[str, int]
    not_asked: Mapping[str, int] = field(default_factory=dict)
    lessons: tuple[LessonCount, ...] = ()
    trained: int | None = None
    validated: int = 0
    require: str = "all"
    samples: tuple[AtK, ...] = ()


@dataclass(frozen=True, slots=True)
class CallCount:
    """The calls of one stage to one model; ``cost_usd`` is None where no price is known.

    ``model`` is its name in the ledger, ``who`` what a reader calls it where that is a hash.
    """

    stage: str
    model: str
    calls: int
    retries: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    who: str = ""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One answer on which the symbolic check and the judge said opposite things."""

    problem_id: str
    key: str
    answer: str
    symbolic: str
    symbolic_why: str
    judge: str
    judge_why: str
    solver: str = ""
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class CauseCount:
    """Why the answers of one solver to one group of a set are not right; ``n`` responses in all.

    ``who`` is a level, "base" or "teacher"; a level's seeds are counted together.
    """

    set: str
    split: Split
    who: str
    group: str
    n: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class UnreadExample:
    """One answer that could not be read or decided: how it ends, and why it was left."""

    problem_id: str
    end: str
    why: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A solver of whose answers to a set more than 2 % could not be read or decided.

    ``who`` is a level, "base" or "teacher"; a level's seeds are counted together.
    """

    set: str
    split: Split
    who: str
    role: Role
    responses: int
    unread: int
    examples: tuple[UnreadExample, ...]


@dataclass(frozen=True, slots=True)
class Grader:
    """Who decided the verdicts, and where the two agents disagreed or said nothing usable.

    ``judge_asked`` counts the answers that the judge was asked about.
    """

    decided_by: Mapping[str, int]
    disagreements: tuple[Disagreement, ...] = ()
    judge_unparseable: int = 0
    undecided: int = 0
    judge_asked: int = 0


@dataclass(frozen=True, slots=True)
class OverlapPair:
    """A held-out problem that repeats one of the training side, or does but for its numbers.

    ``kind`` says how they are alike, ``action`` what was done.
    """

    heldout_id: str
    training_id: str
    kind: str
    similarity: float
    action: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How to run the study again. ``created`` is a date for the page, or empty."""

    command: str
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    seeds: tuple[int, ...]
    created: str = ""


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything a report says, as numbers and plain sentences; nothing is computed from files.

    ``published`` are others' figures, each with whose own figure stands beside it, or empty.
    ``cases`` are the problems that a person can look at, of ``cases_of`` in all. ``base`` is the
    base model's name, empty where nobody gave it. ``declared`` says whether the primary comparison
    was set before the held-out problems were answered.
    """

    study: str
    scores: tuple[Score, ...]
    levels: tuple[LevelScore, ...]
    comparisons: tuple[PairedComparison, ...]
    conditions: tuple[Condition, ...]
    corpus: Corpus
    reproduction: Reproduction
    training: tuple[LossCurve, ...] = ()
    calls: tuple[CallCount, ...] = ()
    causes: tuple[CauseCount, ...] = ()
    unread: tuple[Unread, ...] = ()
    grader: Grader | None = None
    overlap: tuple[OverlapPair, ...] = ()
    gates: tuple[GateTotal, ...] = ()
    gate_rows: tuple[GateRow, ...] = ()
    notes: tuple[str, ...] = ()
    description: str = ""
    cases: tuple[Case, ...] = ()
    cases_of: int = 0
    ladders: tuple[Ladder, ...] = ()
    shared: tuple[SharedErrors, ...] = ()
    published: tuple[tuple[str, Published], ...] = ()
    near_duplicates: NearDuplicates = NO_NEAR_DUPLICATES
    base: str = ""
    declared: bool = True

    @classmethod
    def of(
        cls,
        study: str,
        evaluation: Evaluated,
        *,
        conditions: tuple[Condition, ...],
        corpus: Corpus,
        reproduction: Reproduction,
        training: tuple[LossCurve, ...] = (),
        calls: tuple[CallCount, ...] = (),
        causes: tuple[CauseCount, ...] = (),
        unread: tuple[Unread, ...] = (),
        grader: Grader | None = None,
        overlap: tuple[OverlapPair, ...] = (),
        gates: tuple[GateTotal, ...] = (),
        gate_rows: tuple[GateRow, ...] = (),
        notes: tuple[str, ...] = (),
        description: str = "",
        cases: tuple[Case, ...] = (),
        cases_of: int = 0,
        published: tuple[tuple[str, Published], ...] = (),
        near_duplicates: NearDuplicates = NO_NEAR_DUPLICATES,
        base: str = "",
        declared: bool = True,
    ) -> ReportData:
        """Return the report data of an evaluation, its scores, levels and comparisons filled in."""
        return cls(
            study=study,
            scores=evaluation.scores,
            levels=evaluation.levels,
            comparisons=evaluation.comparisons,
            conditions=conditions,
            corpus=corpus,
            reproduction=reproduction,
            training=training,
            calls=calls,
            causes=causes,
            unread=unread,
            grader=grader,
            overlap=overlap,
            gates=gates,
            gate_rows=gate_rows,
            notes=notes,
            description=description,
            cases=cases,
            cases_of=cases_of,
            published=published,
            near_duplicates=near_duplicates,
            base=base,
            declared=declared,
            ladders=evaluation.ladders,
            shared=evaluation.shared,
        )
