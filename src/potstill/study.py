"""The study file: one strict schema, every value with a default that can be defended.

An unknown key is an error that names the nearest known one. Sources and solvers bring settings of
their own (``Options``, found by entry point); those are checked just as strictly.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from potstill.errors import StudyError
from potstill.lessons.controls import expand_controls
from potstill.lessons.difficulty import DifficultyOptions
from potstill.lessons.quality import GateOptions
from potstill.lessons.recorded import Options as RecordedLevels
from potstill.lessons.split import SplitOptions
from potstill.records import Level, Sampling
from potstill.study_text import expand, read_study
from potstill.training.levers import Levers
from potstill.training.recipe import PRESETS, Recipe

if TYPE_CHECKING:
    from potstill.solvers.cut import WhenCut

__all__ = [
    "Agent",
    "Evaluation",
    "Source",
    "StudentBase",
    "Study",
    "load_options",
    "load_study",
    "plugin",
    "read_study",
]

SOLVE_PROMPT = (
    "{problem}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _WithOptions(_Strict):
    """A section of which some keys are ours and the rest belong to a plugin."""

    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "options" in value:
            return value
        own = {k: v for k, v in value.items() if k in cls.model_fields}
        return own | {"options": {k: v for k, v in value.items() if k not in cls.model_fields}}


class Source(_WithOptions):
    """Where problems come from; ``use: heldout`` keeps all of a source from training."""

    source: str
    name: str = ""
    use: Literal["split", "heldout"] = "split"

    @property
    def label(self) -> str:
        """The name of the set in tables."""
        return self.name or self.source


class Agent(_WithOptions):
    """A model in a role: the teacher, the verifier or the condenser.

    ``samples`` is the teacher's: how often it is asked each problem it is to teach. Where the first
    answer is wrong, undecided or disputed, a later one that is right takes its place. ``when_cut``
    is what becomes of an answer that reaches ``max_tokens``: it is kept and counted as cut, asked
    ``again`` once with ``cut_max_tokens`` (0: twice as many), or made to ``continue`` once by that
    many (0: as many again).
    """

    solver: str
    system: str = ""
    prompt: str = SOLVE_PROMPT
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(gt=0)] = 8192
    seed: int = 0
    samples: Annotated[int, Field(ge=1, le=64)] = 1
    when_cut: Literal["keep", "again", "continue"] = "keep"
    cut_max_tokens: Annotated[int, Field(ge=0)] = 0

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
        from potstill.solvers.cut import WhenCut

        if self.when_cut == "keep":
            return None
        usual = self.max_tokens * (2 if self.when_cut == "again" else 1)
        return WhenCut(self.when_cut, self.cut_max_tokens or usual)

    @property
    def sampling(self) -> Sampling:
        """How this agent's tokens are drawn."""
        return Sampling(self.temperature, self.top_p, self.seed, self.max_tokens)


class StudentBase(_Strict):
    """The compact model that learns: ``base`` is ``pocket``, a folder, or a hub id.

    ``precision: nf4`` holds the base in 4 bits and trains the adapter on it (QLoRA; CUDA only).
    """

    base: str = "pocket"
    backend: Literal["torch", "mlx"] = "torch"
    precision: Literal["float32", "bfloat16", "nf4"] = "float32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class Evaluation(_Strict):
    """The one condition under which base and students answer.

    ``seen: report`` has them answer the problems they trained on too, which are scored apart from
    the held-out ones; otherwise a problem that stood in a training set is never scored.
    ``level_prompt`` asks for one level: of the mixed student, of the base beside it, and of the
    base at the lengths of ``base_at``, so that length and training can be told apart.
    """

    system: str = ""
    prompt: str = SOLVE_PROMPT
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(gt=0)] = 2048
    seed: int = 0
    batch_size: Annotated[int, Field(ge=0)] = 0
    seen: Literal["refuse", "report"] = "refuse"
    base_at: list[Level] = []
    level_prompt: str = "{prompt}\n\nLevel {level}: reason in about {words} words."

    @property
    def sampling(self) -> Sampling:
        """How base and students draw their tokens."""
        return Sampling(self.temperature, self.top_p, self.seed, self.max_tokens)


class PublishedFigure(_Strict):
    """A count that others published, set beside this study's own of ``who`` (a level, base ...)."""

    table: str
    label: str
    correct: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(gt=0)]
    seen: Annotated[int, Field(ge=0)] = 0
    chosen: str = ""
    spread: float | None = None
    who: str = ""

    @model_validator(mode="after")
    def _of_n(self) -> PublishedFigure:
        if max(self.correct, self.seen) > self.n:
            raise ValueError(f"{self.label}: correct and seen are counts of the n problems")
        return self


class Study(_Strict):
    """A whole study, as the file says it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    about: str = ""
    problems: Annotated[list[Source], Field(min_length=1)]
    split: SplitOptions = Field(default_factory=SplitOptions)
    teacher: Agent
    verifier: Agent | None = None
    verify: Literal["symbolic", "undecided", "both"] = "undecided"
    forms: Literal["note", "strict"] = "note"
    condenser: Agent | None = None
    difficulty: DifficultyOptions | None = None
    rater: Agent | None = None
    recorded: RecordedLevels | None = None
    gates: GateOptions = Field(default_factory=GateOptions)
    levels: Annotated[list[Level], Field(min_length=1)] = [Level(f"R{i}") for i in range(1, 7)]
    require: Literal["all", "own"] = "all"
    controls: list[str] = []
    mix: list[Level] = []
    student: StudentBase = Field(default_factory=StudentBase)
    training: Recipe = Field(default_factory=lambda: Recipe.preset("default"))
    levers: Levers = Field(default_factory=Levers)
    training_log: list[Literal["trackio", "wandb"]] = []
    primary: tuple[str, str] | None = Field(default=None, strict=False)
    published: list[PublishedFigure] = []
    budget_usd: Annotated[float, Field(ge=0)] | None = None
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    evaluation: Evaluation = Field(default_factory=Evaluation)

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, value: Any) -> Any:
        training = value.get("training") if isinstance(value, dict) else None
        if not isinstance(training, dict) or "preset" not in training:
            return value
        name = training["preset"]
        if not isinstance(name, str) or name not in PRESETS:
            raise ValueError(
                f"training.preset: there is no {name!r}; the presets are {', '.join(PRESETS)}"
            )
        changes = {k: v for k, v in training.items() if k != "preset"}
        return value | {"training": PRESETS[name] | changes}

    @model_validator(mode="after")
    def _agree(self) -> Study:
        if self.verify == "both" and self.verifier is None:
            raise ValueError("verify: both needs a verifier; add one, or set verify: symbolic")
        if (self.condenser is None) == (self.recorded is None):
            raise ValueError("give either a condenser or recorded levels, one of the two")
        rated_by = self.difficulty.by if self.difficulty else ""
        if rated_by == "failures" and self.teacher.samples < 2:
            raise ValueError("difficulty by failures needs teacher.samples of 2 or more")
        if (self.rater is not None) != (rated_by == "model"):
            raise ValueError("difficulty: {by: model} needs a rater and nothing else does")
        if Level.R0 in self.levels:
            raise ValueError("levels may hold R1 to R6; R0 is the trace as the teacher gave it")
        for name, named in (
            ("levels", [x.value for x in self.levels]),
            ("seeds", [str(x) for x in self.seeds]),
            ("evaluation.base_at", [x.value for x in self.evaluation.base_at]),
        ):
            if len(set(named)) < len(named):
                raise ValueError(f"{name} names something twice")
        for name, items in (("mix", self.mix), ("evaluation.base_at", self.evaluation.base_at)):
            if not set(items) <= set(self.levels):
                raise ValueError(
                    f"{name} may hold only levels that the study has; add them to levels"
                )
        expand_controls(self.controls, self.levels)
        known = {*self.variants, "base"}
        if self.primary and (unknown := [x for x in self.primary if x not in known]):
            raise ValueError(f"primary names {unknown[0]!r}; there are {', '.join(sorted(known))}")
        labels = [source.label for source in self.problems]
        if len(set(labels)) < len(labels):
            raise ValueError("two sources bear one name; give each its own name:")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """The levels and the controls beside them: a student is trained on each."""
        levels = tuple(level.value for level in self.levels)
        return levels + expand_controls(self.controls, self.levels)

    def agents(self) -> Mapping[str, Agent]:
        """The agents of the study by what they do."""
        named = {
            "teacher": self.teacher,
            "verifier": self.verifier,
            "condenser": self.condenser,
            "rater": self.rater,
        }
        return {role: agent for role, agent in named.items() if agent}


def load_study(path: Path) -> Study:
    """The study that a YAML file describes, with ``${NAME}`` taken from the environment.

    Relative paths start at the file. Raises StudyError naming the file, the key and the nearest
    known one.
    """
    raw = expand(read_study(path), path)
    try:
        study = Study.model_validate(raw, strict=False)
    except ValidationError as exc:
        raise StudyError(f"{path}: {_first_complaint(exc)}") from exc
    _refuse_coercion(raw, study.model_dump(mode="json"), path, "")
    _check_plugins(study, path)
    return study


def plugin(group: str, name: str) -> Any:
    """The module or class that an entry point of ``group`` (potstill.problems, ...) names."""
    found = {entry.name: entry for entry in entry_points(group=group)}
    if name not in found:
        kind = group.rpartition(".")[2].rstrip("s")
        raise StudyError(f"there is no {kind} named {name!r}{_nearest(name, found)}")
    try:
        return found[name].load()
    except ImportError as exc:
        raise StudyError(
            f"{group} {name!r} cannot be loaded: {exc}; install what it needs."
        ) from exc


def load_options(group: str, name: str, options: Mapping[str, Any], known: Iterable[str]) -> Any:
    """A plugin's own strict ``Options`` from a section's remaining keys."""
    model = plugin(group, name).Options
    try:
        return model.model_validate(dict(options), strict=False)
    except ValidationError as exc:
        raise StudyError(_first_complaint(exc, [*model.model_fields, *known])) from exc


def _check_plugins(study: Study, path: Path) -> None:
    for index, source in enumerate(study.problems):
        _check(path, f"problems[{index}]", "potstill.problems", source.source, source)
    for role, agent in study.agents().items():
        _check(path, role, "potstill.solvers", agent.solver, agent)


def _check(path: Path, where: str, group: str, name: str, section: _WithOptions) -> None:
    try:
        load_options(group, name, section.options, type(section).model_fields)
    except StudyError as exc:
        raise StudyError(f"{path}: {where}: {exc}") from exc


def _refuse_coercion(raw: Any, resolved: Any, path: Path, where: str) -> None:
    """Nothing, unless a quoted number or a yes/no was taken for a number on the way in."""
    if isinstance(raw, Mapping) and isinstance(resolved, Mapping):
        for name, value in raw.items():
            if name in resolved:
                _refuse_coercion(value, resolved[name], path, f"{where}.{name}".lstrip("."))
    elif isinstance(raw, list) and isinstance(resolved, list) and len(raw) == len(resolved):
        for index, value in enumerate(raw):
            _refuse_coercion(value, resolved[index], path, f"{where}[{index}]")
    elif (
        isinstance(resolved, int | float)
        and isinstance(raw, str | bool)
        and type(raw) is not type(resolved)
    ):
        raise StudyError(f"{path}: {where!r}: should be a number (found {raw!r}).")


def _first_complaint(exc: ValidationError, known: Iterable[str] = ()) -> str:
    """One sentence for the first of pydantic's errors."""
    error = exc.errors(include_url=False, include_input=True)[0]
    where = _where(error["loc"])
    name = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        names = list(known) or _known_keys(error["loc"])
        return f"unknown key {where!r}{_nearest(name, names)}"
    if error["type"] == "missing":
        return f"the key {where!r} is missing; add it (potstill init shows a commented example)."
    message = error["msg"].removeprefix("Value error, ")
    shown = f" (found {error['input']!r})" if isinstance(error["input"], str | int | float) else ""
    subject = f"{where!r}: " if where else ""
    return f"{subject}{message[:1].lower()}{message[1:]}{shown}."


def _where(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the section that ``loc`` leads into."""
    model: Any = Study
    for part in loc[:-1]:
        if isinstance(part, str):
            model = _section(model.model_fields[part].annotation) if model else None
    return list(model.model_fields) if model else []


def _section(annotation: Any) -> Any:
    import typing

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        found = _section(inner)
        if found:
            return found
    return None


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(set(known) - {"options"})
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(names)}." if names else "."
