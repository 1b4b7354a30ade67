"""The records that flow through a study, and the enums they are made of.

    Problem -> Response -> Verdict -> Lesson -> Student -> Response -> Verdict -> Score

Records are frozen; nothing flows backwards. Identity is content: ``condition_id`` and
``response_id`` are hashes of what makes two of them the same (see :func:`content_hash`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import islice
from typing import Any

__all__ = [
    "AUTO",
    "SEVERAL_VALUES",
    "AnswerKind",
    "Cause",
    "Condition",
    "Control",
    "DecidedBy",
    "Excluded",
    "ExclusionReason",
    "Finish",
    "Gold",
    "Lesson",
    "Level",
    "MajorityGold",
    "NoGold",
    "NotAsked",
    "NumberGold",
    "Opinion",
    "Outcome",
    "Problem",
    "Reading",
    "Response",
    "Role",
    "RubricGold",
    "Sampling",
    "Score",
    "Split",
    "Student",
    "TestsGold",
    "TextGold",
    "Verdict",
    "canonical_json",
    "content_hash",
    "hash_items",
    "is_keyed",
    "is_taken",
    "level_of_control",
    "reading_of",
    "teacher_of",
    "variant_parts",
]


class Finish(StrEnum):
    """How a generation ended."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    FILTERED = "FILTERED"
    ERROR = "ERROR"


class Outcome(StrEnum):
    """What became of one response; every response lands in exactly one.

    Precedence, first that applies: BAD_KEY, ERRORED, FILTERED, TRUNCATED, BLANK, then what grading
    finds: UNPARSED, UNDECIDED, WRONG, CORRECT. Accuracy is CORRECT over all but BAD_KEY.
    """

    CORRECT = "CORRECT"
    WRONG = "WRONG"
    TRUNCATED = "TRUNCATED"
    BLANK = "BLANK"
    UNPARSED = "UNPARSED"
    UNDECIDED = "UNDECIDED"
    FILTERED = "FILTERED"
    ERRORED = "ERRORED"
    BAD_KEY = "BAD_KEY"


class DecidedBy(StrEnum):
    """Who decided a verdict.

    MAJORITY, whoever compared, where there is no key but a majority of the teacher's answers.
    """

    SYMBOLIC = "symbolic"
    JUDGE = "judge"
    BOTH = "both"
    PERSON = "person"
    MAJORITY = "majority"


class Reading(StrEnum):
    """How an answer was read from a response, so that format is told apart from reasoning.

    BOX from a ``\\boxed{}``, STATED from a sentence, line, tag or a text that is the answer alone
    (also where a judge or a person read it), UNREAD where nothing could be read or told, CUT at the
    token limit before an answer, NONE where there was nothing to read (blank, filtered, errored, a
    bad key).
    """

    BOX = "box"
    STATED = "stated"
    UNREAD = "unread"
    CUT = "cut"
    NONE = "none"


class Opinion(StrEnum):
    """What one agent (the symbolic check, the judge model) says of an answer and its key."""

    EQUAL = "EQUAL"
    DIFFERENT = "DIFFERENT"
    UNDECIDED = "UNDECIDED"
    NOT_ASKED = "NOT_ASKED"


class Level(StrEnum):
    """A level of the ladder: R0 the verified trace as given, R1 whole and clean, R6 a line."""

    R0 = "R0"
    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    R4 = "R4"
    R5 = "R5"
    R6 = "R6"


class Role(StrEnum):
    """What a solver is in a study."""

    BASE = "base"
    TEACHER = "teacher"
    STUDENT = "student"


class Split(StrEnum):
    """Where a problem stands; KEPT are those of no lesson's kind, asked to see what was lost."""

    TRAIN = "train"
    VALID = "valid"
    HELDOUT = "heldout"
    KEPT = "kept"


class ExclusionReason(StrEnum):
    """Why a problem never reaches a model; with NO_MAJORITY the teacher alone was asked it."""

    NO_TEXT = "no text"
    TOO_LONG = "text too long"
    NOT_VISIBLE = "text not visible"
    NO_KEY = "no key"
    BAD_KEY = "key cannot be read"
    DUPLICATE = "duplicate"
    NO_MAJORITY = "no majority"


class AnswerKind(StrEnum):
    """The built-in kinds of answer; a plugin's kind is any other name."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FRACTION = "fraction"
    ROOT = "root"
    EXPRESSION = "expression"
    COMPLEX = "complex"
    TUPLE = "tuple"
    SET = "set"
    LIST = "list"
    INTERVAL = "interval"
    RATIO = "ratio"
    TIME = "time"
    DATE = "date"
    LETTER = "letter"
    WORD = "word"
    WORD_NUMBER = "word_number"
    BASE = "base"
    EQUATION = "equation"
    MATRIX = "matrix"
    MONEY = "money"
    PERCENT = "percent"
    DEGREE = "degree"
    QUANTITY = "quantity"


SEVERAL_VALUES = frozenset({AnswerKind.SET, AnswerKind.LIST, AnswerKind.TUPLE})
"""The kinds whose answer is more than one value."""


class Cause(StrEnum):
    """Why a wrong answer is wrong, where it can be told."""

    NONE = ""
    OPERATION = "wrong operation"
    ARITHMETIC = "arithmetic slip"
    LEFT_OUT = "part of the question left out"
    INTERMEDIATE = "intermediate result"
    ASKED = "another quantity than asked"
    COPIED = "copied from the question"
    NEAR_MISS = "near miss"
    SIGN = "sign"
    RECIPROCAL = "reciprocal"
    FACTOR = "off by a factor"
    FORM = "form or type mismatch"
    EXTRACTION = "extraction failure"
    TRUNCATED = "truncated"
    GAVE_UP = "gave up"
    REPEATED = "repeated itself"
    NO_WORKING = "no working shown"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class TextGold:
    """A key written out, as competitions print them."""

    text: str


@dataclass(frozen=True, slots=True)
class NumberGold:
    """A number and the absolute tolerance within which another is right."""

    value: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class TestsGold:
    """Python source of unit tests that a code answer must pass."""

    __test__ = False  # not a test class, whatever pytest thinks of its name
    source: str


@dataclass(frozen=True, slots=True)
class RubricGold:
    """What a judge model is to look for."""

    rubric: str


@dataclass(frozen=True, slots=True)
class NoGold:
    """There is no key yet: the majority of the teacher's answers may take its place."""


@dataclass(frozen=True, slots=True)
class MajorityGold(TextGold):
    """What most of the teacher's ``draws`` answer where there is no key, and how many of them do.

    Compared with as a key is, and told apart from one everywhere: it may be wrong, and nobody is
    scored by it.
    """

    votes: int
    draws: int


Gold = TextGold | NumberGold | TestsGold | RubricGold | NoGold | MajorityGold


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem with its key. ``groups`` names what tables break down by (year, section, ...)."""

    id: str
    text: str
    gold: Gold
    kind: str
    source: str
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def gold_text(self) -> str:
        """The key as text, for a prompt or a table."""
        match self.gold:
            case TextGold(text):
                return text
            case NumberGold(value, tolerance):
                return f"{value:g}" if tolerance == 0 else f"{value:g} ± {tolerance:g}"
            case TestsGold(source):
                return source
            case RubricGold(rubric):
                return rubric
            case NoGold():
                return ""

    @property
    def key_shown(self) -> str:
        """The key as a reader is shown it, who is told where it is none but a majority."""
        match self.gold:
            case MajorityGold(text, votes, draws):
                return f"{text} (no key: a majority of the teacher's answers, {votes} of {draws})"
            case NoGold():
                return "none"
        return self.gold_text


@dataclass(frozen=True, slots=True)
class Excluded:
    """A problem that was brought in and kept away from every student, and why."""

    id: str
    text: str
    key: str
    source: str
    reason: ExclusionReason
    detail: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def without_key(cls, problem: Problem, reason: ExclusionReason, detail: str) -> Excluded:
        """Return a problem that has no key as excluded."""
        return cls(problem.id, problem.text, "", problem.source, reason, detail, problem.groups)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy; ``seed`` goes where the endpoint takes one."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Condition:
    """What makes responses comparable: only those of one ``condition_id`` are set side by side.

    ``when_cut`` says what is done about a reply that reaches the limit, "" where it stands as cut.
    """

    problem_set: str
    system: str
    template: str
    sampling: Sampling
    precision: str
    when_cut: str = ""

    @property
    def condition_id(self) -> str:
        """The 16 hex digits that name this condition."""
        return content_hash(self)[:16]


@dataclass(frozen=True, slots=True)
class Response:
    """One answer of one solver to one problem. Seconds and cost live in the ledger."""

    solver: str
    problem_id: str
    condition_id: str
    sample: int
    attempt: int
    reasoning: str
    text: str
    finish: Finish
    tokens_in: int
    tokens_out: int
    ledger_key: str
    error: str = ""

    @classmethod
    def of_text(
        cls, solver: str, problem_id: str, text: str, *, condition_id: str = "", sample: int = 0
    ) -> Response:
        """Return a text that came from elsewhere as a whole response: nobody was asked for it."""
        return cls(
            solver=solver,
            problem_id=problem_id,
            condition_id=condition_id,
            sample=sample,
            attempt=0,
            reasoning="",
            text=text,
            finish=Finish.STOP,
            tokens_in=0,
            tokens_out=0,
            ledger_key="",
        )

    @property
    def response_id(self) -> str:
        """The 16 hex digits that name this response: who, what, which condition, which try."""
        return content_hash(
            [self.solver, self.problem_id, self.condition_id, self.sample, self.attempt]
        )[:16]


@dataclass(frozen=True, slots=True)
class NotAsked:
    """A question that no one answered and no one was paid for (a replay without a record of it)."""

    solver: str
    problem_id: str
    condition_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one response is worth, who decided, and why."""

    response_id: str
    problem_id: str
    outcome: Outcome
    extracted: str
    rule: str
    decided_by: DecidedBy
    form: str = ""
    cause: Cause = Cause.NONE
    why: str = ""
    symbolic: Opinion = Opinion.NOT_ASKED
    judge: Opinion = Opinion.NOT_ASKED
    symbolic_why: str = ""
    judge_why: str = ""

    @property
    def reading(self) -> Reading:
        """How the answer was read."""
        return reading_of(self.outcome, self.rule)

    @property
    def disagreed(self) -> bool:
        """Whether the symbolic check and the judge said opposite things."""
        return {self.symbolic, self.judge} == {Opinion.EQUAL, Opinion.DIFFERENT}


@dataclass(frozen=True, slots=True)
class Lesson:
    """Verified reasoning for one problem at one level. ``flags`` empty: it may be trained on.

    ``sample`` is the draw of the teacher that it is of; 0 for what no draw of it is behind.
    """

    problem_id: str
    level: str
    parent: str
    text: str
    words: int
    tokens: int
    made_by: str
    attempt: int = 0
    flags: tuple[str, ...] = ()
    ledger_key: str = ""
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Student:
    """A trained adapter: on what base, from which lessons, and why this checkpoint."""

    id: str
    base: str
    base_hash: str
    variant: str
    seed: int
    recipe_hash: str
    data_hash: str
    adapter: str
    adapter_hash: str
    chosen_step: int
    chosen_why: str
    validation_loss: float
    trained_examples: int
    trained_parameters: int


@dataclass(frozen=True, slots=True)
class Score:
    """How one solver did on one group of one set under one condition.

    ``outcomes`` counts every outcome and sums to ``n``; ``accuracy`` is CORRECT over ``n`` less
    BAD_KEY, in [0, 1]; ``low`` and ``high`` bound it at 95 % (Wilson); ``words`` and ``tokens`` are
    means over the responses. ``readings`` counts how each answer was read (:class:`Reading`) and
    sums to ``n`` too; ``readings_right`` is how many of each were CORRECT. Both are empty in a
    report from before they were counted.
    """

    solver: str
    role: Role
    level: str
    seed: int
    condition_id: str
    set: str
    split: Split
    group: str
    n: int
    outcomes: Mapping[str, int]
    accuracy: float
    low: float
    high: float
    words: float
    tokens: float
    readings: Mapping[str, int] = field(default_factory=dict)
    readings_right: Mapping[str, int] = field(default_factory=dict)


AUTO = "auto"
"""The student that is taught each problem at a level of its own."""


class Control(StrEnum):
    """The controls beside the ladder: what the name of such a variant begins with."""

    TRUNCATE = "truncate"
    ANSWER_ONLY = "answer_only"
    UNVERIFIED = "unverified"
    WRONG = "wrong"
    ONE_TRACE = "one_trace"
    ONE_TRACE_EPOCHS = "one_trace_epochs"


_LEVELS = frozenset(level.value for level in Level)
_TAKEN = _LEVELS.union(Control, Role, (AUTO, "mix"))


def variant_parts(variant: str) -> tuple[str, str]:
    """Return what a student's variant is and the level that it names: ("truncate", "R4") of
    truncate-R4, ("deepseek-r1", "R4") of deepseek-r1-R4; "" where it names none.
    """
    kind, _, level = variant.rpartition("-")
    return (kind, level) if kind else (variant, "")


def is_taken(name: str) -> bool:
    """Return whether no teacher may be called so: solvers and students are, or begin, by it."""
    return bool({name, name.partition("-")[0]} & _TAKEN)


def teacher_of(variant: str) -> str:
    """Return the teacher of whose lessons alone a student's variant is: r1 for r1-R4; "" for what
    is no such student.
    """
    kind, level = variant_parts(variant)
    return kind if level in _LEVELS and not is_taken(kind) else ""


def is_keyed(problem: Problem) -> bool:
    """Return whether a problem has a key of its own, by which answers may be scored."""
    return not isinstance(problem.gold, NoGold | MajorityGold)


def level_of_control(variant: str) -> str:
    """Return the level that a control's student, or one teacher's, is set beside: R4 for
    truncate-R4, R1 for one_trace-R1 and r1-R1, R0 for unverified and wrong; "" for what is neither.
    """
    if variant in (Control.UNVERIFIED, Control.WRONG):
        return Level.R0.value
    kind, level = variant_parts(variant)
    levelled = (Control.TRUNCATE, Control.ONE_TRACE, Control.ONE_TRACE_EPOCHS)
    return level if kind in levelled or teacher_of(variant) else ""


def reading_of(outcome: Outcome, rule: str) -> Reading:
    """Return how an answer with this outcome was read by the rule of this name."""
    if outcome is Outcome.TRUNCATED:
        return Reading.CUT
    if outcome in (Outcome.UNPARSED, Outcome.UNDECIDED):
        return Reading.UNREAD
    if outcome in (Outcome.CORRECT, Outcome.WRONG):
        return Reading.BOX if rule.startswith("boxed") else Reading.STATED
    return Reading.NONE


def canonical_json(value: Any) -> str:
    """Return JSON of a record or plain value, the same on every machine (sorted keys, no
    spaces).
    """
    return _CANONICAL.encode(value)


def content_hash(value: Any) -> str:
    """Return the sha256 hex digest of a record's canonical JSON."""
    own = getattr(value, "content_hash", None)
    if own is not None:  # a sequence too large to be hashed again
        return str(own())
    if isinstance(value, list | tuple):
        return hash_items(value)
    return hashlib.sha256(_bytes(value)).hexdigest()


def hash_items(items: Iterable[Any]) -> str:
    """Return :func:`content_hash` of a list of these items, which need not be in memory
    together.
    """
    digest, comma = hashlib.sha256(b"["), b""
    following = iter(items)
    while together := list(islice(following, _ENCODED_TOGETHER)):
        digest.update(comma + _bytes(together)[1:-1])
        comma = b","
    digest.update(b"]")
    return digest.hexdigest()


def _bytes(value: Any) -> bytes:
    return canonical_json(value).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name, fields = _hashed(type(value))
        return {"": name} | {field: getattr(value, field) for field in fields}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


@cache
def _hashed(record: Any) -> tuple[str, tuple[str, ...]]:
    """Return the name and the fields under which records of a type are hashed."""
    # A record that was renamed keeps the name that hashes on disk were made with.
    name = getattr(record, "HASHED_AS", record.__name__)
    return name, tuple(field.name for field in dataclasses.fields(record))


_ENCODED_TOGETHER = 64
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
)
