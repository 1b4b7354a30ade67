"""The sections of a study file, each a strict model (see :mod:`potstill.study.schema`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from potstill.lessons.teachers import MOST_SAMPLES
from potstill.plugins import SOLVERS, load_plugin
from potstill.records import Level, Sampling
from potstill.solvers.truncation import WhenCut
from potstill.store.settings import Settings

__all__ = [
    "SHIPPED_BASE",
    "SOLVE_PROMPT",
    "Agent",
    "Evaluation",
    "Keys",
    "PublishedFigure",
    "Source",
    "StudentBase",
    "Teacher",
    "WithOptions",
]

MOST_TOKENS = 10_000_000
"""No model's context holds more; a longer answer is a slip of the pen."""
SOLVE_PROMPT = (
    "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
)


class WithOptions(Settings):
    """A section of which some keys are ours and the rest belong to a plugin."""

    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "options" in value:
            return value
        own = {k: v for k, v in value.items() if k in cls.model_fields}
        return own | {"options": {k: v for k, v in value.items() if k not in cls.model_fields}}


class Source(WithOptions):
    """Where problems come from; ``use: heldout`` keeps all of a source from training."""

    source: str = Field(
        description="The plugin: competition, math500, table, hub, pocket, or an installed one."
    )
    name: str = Field(
        default="", description="The name of the set in tables; the source's where empty."
    )
    use: Literal["split", "heldout"] = "split"

    @property
    def label(self) -> str:
        """The name of the set in tables."""
        return self.name or self.source


class Agent(WithOptions):
    """A model in a role: the teacher, the verifier or the condenser.

    ``samples`` is the teacher's: how often it is asked each problem it is to teach. Where the first
    answer is wrong, undecided or disputed, a later one that is right takes its place;
    ``lessons.take`` has further right ones taught too. ``when_cut`` is what becomes of an answer
    that reaches ``max_tokens``: it is kept and counted as cut, asked ``again`` once with
    ``cut_max_tokens`` (0: twice as many), or made to ``continue`` once by that many (0: as many
    again).
    """

    solver: str = Field(description="The plugin: api, torch, replay, pocket, or an installed one.")
    system: str = Field(default="", description="The system prompt; none where empty.")
    prompt: str = Field(default=SOLVE_PROMPT, description="The user's turn, with {problem} in it.")
    temperature: Annotated[float, Field(ge=0, le=2, description="0 is greedy.")] = 0.0
    top_p: Annotated[
        float, Field(gt=0, le=1, description="The share of probability that tokens are drawn from.")
    ] = 1.0
    max_tokens: Annotated[int, Field(gt=0, le=MOST_TOKENS)] = 8192
    seed: int = Field(default=0, description="Sent with every call.")
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = 1
    when_cut: Literal["keep", "again", "continue"] = "keep"
    cut_max_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)] = 0

    @property
    def is_recorded(self) -> bool:
        """Whether its answers were recorded elsewhere, as its solver says."""
        return hasattr(load_plugin(SOLVERS, self.solver), "recorded_files")

    @model_validator(mode="after")
    def _larger(self) -> Agent:
        if self.when_cut == "again" and 0 < self.cut_max_tokens <= self.max_tokens:
            raise ValueError(
                f"cut_max_tokens ({self.cut_max_tokens}) must be more than max_tokens "
                f"({self.max_tokens}) for an answer to be asked again"
            )
        return self

    @property
    def past_cut(self) -> WhenCut | None:
        """How this agent is asked past a cut; None where cut answers are kept as they are."""
        if self.when_cut == "keep":
            return None
        usual = self.max_tokens * (2 if self.when_cut == "again" else 1)
        return WhenCut(self.when_cut, self.cut_max_tokens or usual)

    @property
    def sampling(self) -> Sampling:
        """How this agent's tokens are drawn."""
        return Sampling(self.temperature, self.top_p, self.seed, self.max_tokens)


class Keys(Settings):
    """What stands in the place of a key that a problem does not have.

    ``majority`` is the least share of the teacher's draws that must give one answer (0.6 of 5: 3).
    A draw without an answer counts among them. Such a problem is trained on and never held out; one
    whose answers have no majority is excluded. ``teacher.samples`` is 3 or more then.
    """

    majority: Annotated[float, Field(le=1, description="More than 0.5.")]

    @model_validator(mode="after")
    def _more_than_half(self) -> Keys:
        if not self.majority > 0.5:
            raise ValueError(
                f"majority: {self.majority:g} of the draws is no majority, for two answers could "
                "both have it; give more than 0.5, such as 0.6"
            )
        return self


class Teacher(Agent):
    """One of several teachers: an agent with a name, by which its own students go (``r1-R1``).

    Of each the first right one of ``samples`` draws is taught, unless ``lessons.take`` says more.
    ``max_tokens``, ``when_cut`` and ``cut_max_tokens`` are those of a single teacher.
    """

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=40,
            description="Names its students, its calls and its lessons in the report.",
        ),
    ]


SHIPPED_BASE = "pocket"
"""The base that ships with Potstill."""


class StudentBase(Settings):
    """The compact model that learns: ``base`` is ``pocket``, a folder, a hub id, a GGUF file, or
    ``package:NAME`` of an installed package that holds one.

    ``precision: nf4`` holds the base in 4 bits and trains the adapter on it (QLoRA; CUDA only).
    ``template`` are arguments of the chat template, the same in training, answering, serving and
    exports. ``thinking`` is the form of R0: the teacher's reasoning in ``<think>`` tags before its
    answer, or plain; ``auto`` takes the tags where the base's chat template knows them.
    """

    ADDED = ("template", "thinking")

    base: Annotated[str, Field(min_length=1)] = SHIPPED_BASE
    backend: Literal["torch", "mlx"] = Field(
        default="torch", description="What trains and answers; mlx is for Apple Silicon."
    )
    precision: Literal["float32", "bfloat16", "nf4"] = "float32"
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="Of the torch backend; auto takes CUDA, then MPS, then the CPU."
    )
    template: dict[str, JsonValue] = Field(
        default={},
        description="Arguments of the chat template, such as {enable_thinking: false} of Qwen3.",
    )
    thinking: Literal["auto", "tags", "plain"] = Field(
        default="auto", description="How R0 is taught: in <think> tags, or plain."
    )

    @property
    def is_shipped(self) -> bool:
        """Whether it is the base that ships with Potstill."""
        return self.base == SHIPPED_BASE


class Evaluation(Settings):
    """The one condition under which base and students answer.

    ``samples`` is how often each of them answers every problem, above temperature 0: accuracy is
    then the mean over the draws, and a problem still counts once in every interval.
    ``seen: report`` has them answer the problems they trained on too, which are scored apart from
    the held-out ones; otherwise a problem that stood in a training set is never scored.
    ``cut: stated`` counts an answer that a response states before it reaches ``max_tokens`` ("So
    the answer is 84. Let me verify"); by default it is TRUNCATED, unless it stands in a box.
    ``level_prompt`` asks for one level: of the mixed student, of the base beside it, and of the
    base at the lengths of ``base_at``, so that length and training can be told apart.
    ``keep`` are sources of problems that have nothing to do with the lessons (``instructions``, or
    any other): base and students answer them under ``keep_prompt``, to see what training cost.
    """

    system: str = Field(default="", description="The system prompt; none where empty.")
    prompt: str = Field(default=SOLVE_PROMPT, description="The user's turn, with {problem} in it.")
    temperature: Annotated[float, Field(ge=0, le=2, description="0 is greedy.")] = 0.0
    top_p: Annotated[
        float, Field(gt=0, le=1, description="The share of probability that tokens are drawn from.")
    ] = 1.0
    max_tokens: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description="Where an answer is cut and counted as TRUNCATED; auto is as long as 99 of 100 "
        "lessons, and 256 or more.",
    )
    seed: int = Field(default=0, description="Draws the tokens where temperature is above 0.")
    samples: Annotated[int, Field(ge=1, le=64, description="Draws of every problem.")] = 1
    batch_size: Annotated[
        int,
        Field(ge=0, le=4096, description="Answers in flight; 0 takes as many as memory holds."),
    ] = 0
    cut: Literal["truncated", "stated"] = "truncated"
    seen: Literal["refuse", "report"] = "refuse"
    teacher_problems: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default="all",
        description="How many held-out problems of each set the teacher is asked too.",
    )
    base_at: list[Level] = Field(default=[])
    level_prompt: str = "{prompt}\n\nLevel {level}: reason in about {words} words."
    keep: list[Source] = Field(default=[])
    keep_prompt: str = "{problem}"

    @model_validator(mode="after")
    def _agree(self) -> Evaluation:
        for index, source in enumerate(self.keep):
            if source.use != "split":
                raise ValueError(
                    f"keep[{index}].use decides nothing: all of it is kept; take it out"
                )
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"samples: {self.samples} draws at temperature 0 are all the same; set a "
                "temperature, such as 0.6, or take samples out"
            )
        return self

    def asked_of_teacher(self, heldout: int) -> int:
        """Return how many of a set of so many held-out problems the teacher is asked."""
        most = self.teacher_problems
        return heldout if most == "all" else min(heldout, most)

    def sampling(self, auto_tokens: int) -> Sampling:
        """Return how base and students draw their tokens, ``auto_tokens`` where it is ``auto``."""
        most = auto_tokens if self.max_tokens == "auto" else self.max_tokens
        return Sampling(self.temperature, self.top_p, self.seed, most)


class PublishedFigure(Settings):
    """A count that others published, set beside this study's own of ``who`` (a level, base ...)."""

    table: str = Field(description="Where it was printed.")
    label: str = Field(description="What it is called there.")
    correct: Annotated[int, Field(ge=0, description="How many were right.")]
    n: Annotated[int, Field(gt=0, description="Of how many problems.")]
    seen: Annotated[int, Field(ge=0, description="How many of them had been trained on.")] = 0
    chosen: str = Field(default="", description="By what the problems were picked after the fact.")
    spread: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="The sd over seeds printed with it, as a share."
    )
    who: str = ""

    @model_validator(mode="after")
    def _of_n(self) -> PublishedFigure:
        for name, count in (("correct", self.correct), ("seen", self.seen)):
            if count > self.n:
                raise ValueError(
                    f"{name} ({count:,}) is more than the n ({self.n:,}) problems that it is a "
                    f"count of; mend one of them in {self.label!r}"
                )
        return self
