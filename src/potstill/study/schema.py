"""The study file: one strict schema, every value with a default that can be defended.

An unknown key is an error that names the nearest known one. Sources and solvers bring settings of
their own (``Options``, found by entry point); those are checked just as strictly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationError,
    model_validator,
)

from potstill.cluster.options import ClusterOptions
from potstill.errors import InputError, StudyError
from potstill.lessons.controls import (
    OF_TRACES,
    expand_controls,
    has_equal_epochs,
    is_one_trace,
)
from potstill.lessons.difficulty import DifficultyOptions
from potstill.lessons.mixture import MOST_REPEATS, repeats
from potstill.lessons.quality import GateOptions
from potstill.lessons.recorded import Options as RecordedLevels
from potstill.lessons.traces import LessonOptions
from potstill.plugins import KINDS, SOLVERS, SOURCES, load_plugin, plugin_names
from potstill.problems.split import SplitOptions
from potstill.records import AUTO, AnswerKind, Control, Level, Problem, Split
from potstill.store.setting_errors import first_error, with_lists
from potstill.store.settings import Settings
from potstill.study.sections import (
    Agent,
    Evaluation,
    Keys,
    PublishedFigure,
    Source,
    StudentBase,
    Teacher,
    WithOptions,
)
from potstill.study.teachers import refuse_teachers, with_first_teacher
from potstill.study.text import expand, read_study
from potstill.training.optimizations import Optimizations
from potstill.training.recipe import PRESETS, Recipe

__all__ = [
    "Agent",
    "Evaluation",
    "PublishedFigure",
    "Source",
    "StudentBase",
    "Study",
    "default_directory",
    "load_options",
    "load_study",
    "read_study",
]


_Share = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Mix = Annotated[
    # a tag in brackets is pydantic's own mark and no key of the file (see store.setting_errors)
    Annotated[list[Level], Tag("[levels]")] | Annotated[dict[Level, _Share], Tag("[shares]")],
    Discriminator(lambda value: "[shares]" if isinstance(value, dict) else "[levels]"),
]


class Study(Settings):
    """A whole study, as the file says it."""

    ADDED = ("lessons", "auto_levels", "keys", "teachers")

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=100,
            description="Names the run's directory, runs/NAME.",
        ),
    ]
    about: str = Field(default="", description="A paragraph under the report's title.")
    problems: Annotated[list[Source], Field(min_length=1, description="Where problems come from.")]
    split: SplitOptions = Field(
        default_factory=SplitOptions,
        description="Which problems are trained on, validated on and held out.",
    )
    teachers: list[Teacher] = Field(
        default=[],
        description="Two or more who solve the same problems, in place of teacher: a student for "
        "each and level beside the one of all their lessons.",
    )
    teacher: Agent = Field(description="Who solves the problems; of teachers the first.")
    verifier: Agent | None = Field(
        default=None, description="The second agent: the judge of answers."
    )
    verify: Literal["symbolic", "undecided", "both"] = Field(
        default="undecided",
        description="The judge is asked never, where the symbolic check can neither read nor "
        "decide an answer (of teacher, base and students alike), or always.",
    )
    forms: Literal["note", "strict"] = Field(
        default="note",
        description="A right value in another form than was asked for: noted, or (strict) wrong.",
    )
    condenser: Agent | None = Field(
        default=None, description="Who writes the levels; this or recorded."
    )
    difficulty: DifficultyOptions | None = Field(
        default=None, description="Rates every problem 1 to 10."
    )
    rater: Agent | None = Field(
        default=None, description="Who rates difficulty, where it is by: model."
    )
    recorded: RecordedLevels | None = Field(
        default=None, description="Levels read from files, in place of a condenser."
    )
    keys: Keys | None = Field(
        default=None,
        description="What is taught of problems without a key, which are excluded where it is left "
        "out.",
    )
    lessons: LessonOptions = Field(
        default_factory=LessonOptions,
        description="Which right traces of a problem become lessons, where samples is above 1.",
    )
    gates: GateOptions = Field(
        default_factory=GateOptions, description="Which checks keep a lesson from training."
    )
    levels: list[Level] = Field(
        default=[Level(f"R{i}") for i in range(1, 7)],
        min_length=1,
        description="R1 (whole) to R6 (a line), and R0 (the trace as it is): a student for each.",
    )
    require: Literal["all", "own"] = Field(
        default="all",
        description="Trained on: what passed at every level, or at each level its own.",
    )
    controls: list[str] = Field(
        default=[],
        description="Students beside the ladder: truncate (R1 cut to a level's length), "
        "answer_only, unverified (every trace, right or wrong, beside R0), wrong, one_trace (a "
        "trace a problem, beside the fullest level), one_trace_epochs.",
    )
    auto_levels: bool = Field(
        default=False,
        description="One more student, auto, beside those of levels: each problem at the shortest "
        "level that difficulty by: student allows. A setting of its own, for levels still names "
        "the lengths it chooses from.",
    )
    mix: Mix = Field(
        default=[],
        description="The levels that one mixed student is trained on together; each with its share "
        "of the examples, such as {R0: 1, R4: 4}, or a list, in which all have the same.",
    )
    student: StudentBase = Field(
        default_factory=StudentBase, description="The compact model that learns."
    )
    training: Recipe = Field(
        default_factory=lambda: Recipe.preset("default"),
        description="The recipe; preset: names one to start from.",
    )
    optimizations: Optimizations = Field(
        default_factory=Optimizations, description="Speed-ups of the torch backend."
    )
    kinds: dict[str, dict[str, JsonValue]] = Field(
        default={},
        description="Settings of answer kinds by name, such as {numeric: {tolerance: 0.01}}.",
    )
    training_log: list[Literal["trackio", "wandb"]] = Field(
        default=[], description="Where the training figures are sent too."
    )
    primary: tuple[str, str] | None = Field(
        default=None,
        strict=False,
        description="The comparison that is declared; the first level and base where none is. Not "
        "corrected.",
    )
    published: list[PublishedFigure] = Field(
        default=[], description="Others' figures, set beside this study's."
    )
    budget_usd: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="A hard stop on paid calls, over all runs of the study; none sets no bound.",
    )
    seeds: list[Annotated[int, Field(ge=0, le=2**32 - 1)]] = Field(
        default=[0], min_length=1, description="Every variant is trained once per seed."
    )
    evaluation: Evaluation = Field(
        default_factory=Evaluation,
        description="The condition under which base and students answer.",
    )
    cluster: ClusterOptions = Field(
        default_factory=ClusterOptions,
        description="What one worker is given with --on ray; decides no result.",
    )

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

    @model_validator(mode="before")
    @classmethod
    def _first_teacher(cls, value: Any) -> Any:
        return with_first_teacher(value)

    def left_out(self) -> Iterable[str]:
        """Return the names of the settings that are not said now."""
        return [*super().left_out(), *(["teacher"] if self.teachers else [])]

    @model_validator(mode="after")
    def _agree(self) -> Study:
        if self.verify == "both" and self.verifier is None:
            raise ValueError("verify: both needs a verifier; add one, or set verify: symbolic")
        if self.condenser and self.recorded:
            raise ValueError("give either a condenser or recorded levels, one of the two")
        if not (self.condenser or self.recorded) and set(self.levels) != {Level.R0}:
            raise ValueError(
                "give a condenser or recorded levels; levels: [R0] alone, the trace as it is, "
                "needs neither"
            )
        rated_by = self.difficulty.by if self.difficulty else ""
        if self.auto_levels and rated_by != "student":
            raise ValueError(
                "auto_levels needs to know what the base can do; add difficulty: {by: student}, or "
                "take auto_levels out"
            )
        if rated_by == "failures" and self.teacher.samples < 2:
            raise ValueError("difficulty by failures needs teacher.samples of 2 or more")
        if rated_by == "failures" and self.difficulty:
            self.difficulty.refuse_unreached(self.teacher.samples)
        if (self.rater is not None) != (rated_by == "model"):
            wants = "add rater:" if self.rater is None else "take rater: out"
            raise ValueError(
                f"difficulty: {{by: model}} needs a rater and nothing else does; {wants}"
            )
        if self.auto_levels and len(self.levels) < 2:
            raise ValueError(
                f"auto_levels has {self.levels[0].value} alone to choose from; name two levels or "
                "more, or take it out"
            )
        self._refuse_twice()
        for name, items in (("mix", self.mix), ("evaluation.base_at", self.evaluation.base_at)):
            if not set(items) <= set(self.levels):
                raise ValueError(
                    f"{name} may hold only levels that the study has; add them to levels"
                )
        if isinstance(self.mix, dict) and self.mix and repeats(self.mix_shares) > MOST_REPEATS:
            raise ValueError(
                f"mix: one share is more than {MOST_REPEATS} times another, and each lesson would "
                "be repeated as often; give shares that are nearer to each other"
            )
        expand_controls(self.controls, self.levels)
        refuse_teachers(self.teachers, self.controls, recorded=self.recorded is not None)
        self._refuse_traces()
        self._refuse_majority()
        known = {*self.variants, "base"}
        if self.primary and (unknown := [x for x in self.primary if x not in known]):
            raise ValueError(f"primary names {unknown[0]!r}; there are {', '.join(sorted(known))}")
        labels = [source.label for source in self.sources]
        if twice := _twice(labels):
            raise ValueError(
                f"problems: two sources are called {twice!r}; give one of them another name, such "
                f"as name: {twice}-2"
            )
        return self

    def _refuse_traces(self) -> None:
        """Raise for lessons of several traces where there cannot be several, and controls of it."""
        samples = max(agent.samples for agent in self.teaching().values())
        take = self.lessons.take
        if fault := self.lessons.fault(samples):
            raise ValueError(fault)
        if take != "first" and self.recorded:
            raise ValueError(
                f"lessons.take: {take} chooses among the teacher's draws, and recorded levels are "
                "of none; take it out, or give a condenser"
            )
        for name in self.controls:
            if is_one_trace(name) and take == "first":
                raise ValueError(
                    f"controls: {name} is what take: first trains anyway; set lessons.take, or "
                    "take it out"
                )
            if name in OF_TRACES and take != "first":
                raise ValueError(
                    f"controls: {name} is one trace a problem, and with lessons.take: {take} R0 is "
                    "not; take it out"
                )
            one = self.lessons.most_of(samples) == 1
            if has_equal_epochs(name) and one:
                raise ValueError(
                    f"controls: {name} is the same as one_trace where a problem has one lesson a "
                    "level; name one_trace"
                )

    def _refuse_majority(self) -> None:
        """Raise for keys by majority where the draws can have none, or what needs real keys."""
        if self.keys is None:
            return
        teacher, difficulty = self.teacher, self.difficulty
        if self.teachers:
            raise ValueError(
                "keys: a majority is of one teacher's draws, and there are several teachers; take "
                "keys out, or name one teacher"
            )
        if teacher.samples < 3:
            raise ValueError(
                f"keys: of teacher.samples: {teacher.samples} there is no majority; set samples to "
                "3 or more, such as 5"
            )
        if teacher.temperature == 0 and not teacher.is_recorded:
            raise ValueError(
                f"keys: {teacher.samples} draws of the teacher at temperature 0 are one vote, for "
                "nothing is drawn; set teacher.temperature, such as 0.6"
            )
        if difficulty and difficulty.by != "model" and difficulty.train != (1, 10):
            raise ValueError(
                f"keys: difficulty by: {difficulty.by} goes by right answers, which a problem "
                "without a key does not have, so train: would leave all of them out; take "
                "difficulty.train out, or keys"
            )
        if Control.WRONG in self.controls:
            raise ValueError(
                f"controls: {Control.WRONG} is of answers that a key says are wrong, and with "
                "keys: majority some have none; take one of them out"
            )

    def _refuse_twice(self) -> None:
        """Raise for what a list names twice, where it is there once or not at all."""
        lists: dict[str, Iterable[object]] = {
            "levels": self.levels,
            "seeds": self.seeds,
            "mix": self.mix,
            "controls": self.controls,
            "training.target_modules": self.training.target_modules,
            "training_log": self.training_log,
            "split.heldout": self.split.heldout,
            "gates.off": self.gates.off,
            "gates.advisory": self.gates.advisory,
            "evaluation.base_at": self.evaluation.base_at,
        }
        for name, named in lists.items():
            if twice := _twice([str(x) for x in named]):
                raise ValueError(f"{name} names {twice} twice; take one of them out")

    @property
    def variants(self) -> tuple[str, ...]:
        """The levels, auto, those of one teacher and the controls: a student is trained on each."""
        levels = tuple(level.value for level in self.levels)
        own = tuple(f"{name}-{level}" for name in self.teacher_names for level in levels)
        auto = (AUTO,) if self.auto_levels else ()
        return (*levels, *auto, *own, *expand_controls(self.controls, self.levels))

    @property
    def teacher_names(self) -> tuple[str, ...]:
        """The names of the teachers where there are several, none of a single one."""
        return tuple(teacher.name for teacher in self.teachers)

    def teaching(self) -> Mapping[str, Agent]:
        """Return who teaches by role: the teacher, or each of several as "teacher NAME"."""
        several = {f"teacher {teacher.name}": teacher for teacher in self.teachers}
        return several or {"teacher": self.teacher}

    @property
    def mix_shares(self) -> Mapping[str, float]:
        """The share of each level in the mixed student's examples; equal ones of a list."""
        given = self.mix if isinstance(self.mix, dict) else dict.fromkeys(self.mix, 1.0)
        return {level.value: share for level, share in given.items()}

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where problems come from, those of ``evaluation.keep`` last."""
        return (*self.problems, *self.evaluation.keep)

    @property
    def uses(self) -> Mapping[str, str]:
        """What each source is for, by its label: split, heldout or kept."""
        kept = {source.label: Split.KEPT.value for source in self.evaluation.keep}
        return {source.label: source.use for source in self.problems} | kept

    def apart(self, problems: Sequence[Problem]) -> tuple[Sequence[Problem], Sequence[Problem]]:
        """Return the problems of the study's own sources, and those that ``evaluation.keep``
        names.
        """
        if not self.evaluation.keep:
            return problems, ()
        kept = {source.label for source in self.evaluation.keep}
        own = [problem for problem in problems if problem.source not in kept]
        return own, [problem for problem in problems if problem.source in kept]

    def agents(self) -> Mapping[str, Agent]:
        """Return the agents of the study by what they do."""
        named = {
            **self.teaching(),
            "verifier": self.verifier,
            "condenser": self.condenser,
            "rater": self.rater,
        }
        return {role: agent for role, agent in named.items() if agent}


def _twice(names: Sequence[str]) -> str:
    """Return the first name that stands twice, "" where none does."""
    return next((name for name in names if names.count(name) > 1), "")


def load_study(path: str | Path) -> Study:
    """Return the study that a YAML file describes, with ``${NAME}`` taken from the environment.

    Relative paths start at the file. Raises StudyError naming the file, the key and the nearest
    known one.
    """
    path = Path(path)
    raw = with_lists(expand(read_study(path), path), Study)
    try:
        study = Study.model_validate(raw, strict=False)
    except ValidationError as exc:
        raise StudyError(f"{path}: {first_error(exc, Study)}") from exc
    _refuse_coercion(raw, study.model_dump(mode="json"), path, "")
    _check_plugins(study, path)
    return study


def default_directory(study: Study) -> Path:
    """Return where a study's directory is unless ``--out`` says otherwise: ``runs/NAME``."""
    return Path("runs") / study.name


def load_options(group: str, name: str, options: Mapping[str, Any], known: Iterable[str]) -> Any:
    """Return a plugin's own strict ``Options`` from a section's remaining keys."""
    model = load_plugin(group, name).Options
    given = with_lists(options, model)
    try:
        found = model.model_validate(given, strict=False)
    except ValidationError as exc:
        names = [*model.model_fields, *known]
        raise StudyError(first_error(exc, model, names)) from exc
    for option, value in given.items():
        taken = getattr(found, option, value)
        if isinstance(value, bool) and isinstance(taken, int | float) and taken is not value:
            raise StudyError(f"{option!r}: should be a number (found {value!r}).")
    return found


def _check_plugins(study: Study, path: Path) -> None:
    for where, sources in (
        ("problems", study.problems),
        ("evaluation.keep", study.evaluation.keep),
    ):
        for index, source in enumerate(sources):
            _check(path, f"{where}[{index}]", SOURCES, source.source, source)
    for name, given in study.kinds.items():
        if name in {kind.value for kind in AnswerKind}:
            others = ", ".join(_settable())
            raise StudyError(
                f"{path}: kinds.{name}: this kind has no settings; these kinds have: {others}."
            )
        try:
            load_options(KINDS, name, given, ())
        except InputError as exc:
            raise StudyError(f"{path}: kinds.{name}: {exc}") from exc
    for role, agent in study.agents().items():
        _check(path, role, SOLVERS, agent.solver, agent)


def _settable() -> list[str]:
    """Return the kinds of answers that have settings."""
    return [name for name in plugin_names(KINDS) if load_plugin(KINDS, name).Options.model_fields]


def _check(path: Path, where: str, group: str, name: str, section: WithOptions) -> None:
    try:
        load_options(group, name, section.options, type(section).model_fields)
    except InputError as exc:
        raise StudyError(f"{path}: {where}: {exc}") from exc


def _refuse_coercion(raw: Any, resolved: Any, path: Path, where: str) -> None:
    """Refuse a quoted number or a yes/no that was taken for a number on the way in."""
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
        is_switch = isinstance(resolved, bool)
        should = "true or false" if is_switch else "a number"
        quoted = isinstance(raw, str) and not is_switch
        octal = quoted and re.match(r"[-+]?0\d", str(raw)) is not None
        bare = "without a nought before it" if octal else "without quotes"
        bare = "without an underscore" if "_" in str(raw) else bare
        how = f"; write {resolved} {bare}" if quoted else ""
        raise StudyError(f"{path}: {where!r}: should be {should} (found {raw!r}){how}.")
