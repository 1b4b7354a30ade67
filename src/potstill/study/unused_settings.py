"""Settings that nothing reads: refused where they mislead, named where they are harmless."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from potstill.errors import StudyError
from potstill.lessons.quality import Gate
from potstill.plugins import nearest
from potstill.problems.split import SplitOptions
from potstill.records import Level
from potstill.study.agents import costs_nothing
from potstill.study.sections import Agent, Evaluation

if TYPE_CHECKING:
    from potstill.records import Problem
    from potstill.study.schema import Study

__all__ = ["refuse_unfilled", "refuse_unused", "unused_settings"]

_READ_BY = {
    "share": {"heldout_share", "valid_share", "seed"},
    "group": {"group", "heldout", "valid_share", "seed"},
    "given": {"group", "valid_share", "seed"},
}
_OF_TEACHER = ("prompt", "system", "samples", "when_cut", "cut_max_tokens")
_ALWAYS_WRONG = (
    *(Gate.KEY_LEAKED, Gate.CUT, Gate.BLANK, Gate.WRONG, Gate.NO_ANSWER, Gate.UNDECIDED),
    *(Gate.FILTERED, Gate.ERROR, Gate.LOOP, Gate.MARKS, Gate.ECHO, Gate.OTHER_PROBLEM),
)
_LEVEL_FIELDS = ("problem", "prompt", "level", "words")
# A name in braces; behind a command, a brace or a raised sign it is TeX.
_FIELD = re.compile(r"(?<![\\\w}\]^_{])\{([A-Za-z_]\w*)\}(?!\})")


def refuse_unused(study: Study) -> None:
    """Raise StudyError for a setting that reads as if it decided something, and does not."""
    _refuse_unused_split(study.split)
    for role, teacher in study.teaching().items():
        if teacher.cut_max_tokens and teacher.when_cut == "keep":
            raise StudyError(
                f"{role}.cut_max_tokens decides nothing with when_cut: keep, where a cut answer "
                "stays as it is; set when_cut: again or continue, or take it out."
            )
    evaluation = study.evaluation
    told_apart = any(x in evaluation.level_prompt for x in ("{level}", "{words}"))
    if (study.mix or evaluation.base_at) and not told_apart:
        raise StudyError(
            "evaluation.level_prompt holds neither {level} nor {words}: every level would be asked "
            "for alike; write {level} where its name goes."
        )
    known = _who_answers(study)
    for index, figure in enumerate(study.published):
        if figure.who and figure.who not in known:
            raise StudyError(
                f"published[{index}].who: nobody is called {figure.who!r}"
                f"{nearest(figure.who, known)}."
            )


def unused_settings(study: Study) -> tuple[str, ...]:
    """Return a sentence for every setting that does nothing and harms nothing, and one for gates
    that let through what nobody means to teach.
    """
    return (*_unused(study), *_let_through(study))


def _let_through(study: Study) -> Iterator[str]:
    for where, gates in (("off", study.gates.off), ("advisory", study.gates.advisory)):
        if let := [gate.value for gate in gates if gate in _ALWAYS_WRONG]:
            yield f"gates.{where}: lessons with these faults are taught: {', '.join(let)}."


def refuse_unfilled(study: Study, problems: Sequence[Problem]) -> None:
    """Raise StudyError for a field of a prompt that is a group of the problems: no group is
    filled in.
    """
    groups = {group for problem in problems for group in problem.groups}
    for name, field in _unfilled(study):
        if field in groups:
            raise StudyError(
                f"{name}: {{{field}}} would be sent as it stands, for only {{problem}} is filled "
                f"in; write the {field} into the problems' text, or take it out."
            )


def _refuse_unused_split(options: SplitOptions) -> None:
    for name, field in SplitOptions.model_fields.items():
        value = getattr(options, name)
        if name == "by" or name in _READ_BY[options.by] or value in (field.default, ()):
            continue
        by = [way for way, read in _READ_BY.items() if name in read]
        raise StudyError(
            f"split.{name} decides nothing with by: {options.by}; take it out, or set by: "
            f"{' or '.join(by)}."
        )


def _who_answers(study: Study) -> list[str]:
    asked_at = dict.fromkeys((*study.mix, *study.evaluation.base_at))
    return [
        "teacher",
        "base",
        *study.variants,
        *(f"mix-{level.value}" for level in study.mix),
        *(f"base-{level.value}" for level in asked_at),
    ]


def _unused(study: Study) -> Iterator[str]:
    if study.verifier and study.verify == "symbolic":
        yield (
            "verifier: nobody asks it with verify: symbolic; verify: undecided asks it what the "
            "symbolic check cannot decide."
        )
    if len(set(study.mix)) == 1:
        yield (
            f"mix: one level alone makes the student of {next(iter(study.mix))} once more, under "
            "another prompt; name two or more, or take it out."
        )
    default = Evaluation.model_fields["level_prompt"].default
    asked_for = study.mix or study.evaluation.base_at
    if study.evaluation.level_prompt != default and not asked_for:
        yield (
            "evaluation.level_prompt: nobody is asked by it without mix or evaluation.base_at; set "
            "one of them, or take it out."
        )
    if study.evaluation.keep_prompt != "{problem}" and not study.evaluation.keep:
        yield (
            "evaluation.keep_prompt: nobody is asked by it without evaluation.keep; add a source "
            "there, or take it out."
        )
    if study.split.by == "given":
        fields = SplitOptions.model_fields
        drawn = [x for x in ("valid_share", "seed") if getattr(study.split, x) != fields[x].default]
        if drawn:
            yield (
                f"split.{' and split.'.join(drawn)}: with by: given nothing is drawn where the "
                f"group {study.split.group!r} marks any problem valid."
            )
    teaching = study.teaching()
    for role, agent in study.agents().items():
        unused = [] if role in teaching else [x for x in _OF_TEACHER if _is_own(study, agent, x)]
        if unused:
            it = "it is" if len(unused) == 1 else "they are"
            names = f", {role}.".join(unused)
            yield f"{role}.{names}: {it} read of the teacher alone; take it out."
    if study.budget_usd is not None and all(map(costs_nothing, study.agents().values())):
        yield "budget_usd: no agent of the study costs anything, so it stops nothing."
    elif study.budget_usd == 0:
        yield "budget_usd: 0 stops the run before its first paid call; raise it to buy anything."
    if study.student.thinking != "auto" and Level.R0 not in study.levels:
        yield "student.thinking: it is the form of R0, which is not among levels; take it out."
    gates = study.gates
    if both := [
        x for x in gates.off if x in gates.advisory and "advisory" in gates.model_fields_set
    ]:
        yield f"gates.advisory: {both[0].value!r} is off, so it is not looked at; name it in one."
    if study.evaluation.seed and study.evaluation.temperature == 0:
        yield (
            "evaluation.seed: with temperature: 0 nothing is drawn; raise the temperature, or take "
            "it out."
        )
    yield from study.training.unreached()
    for role, teacher in teaching.items():
        if teacher.samples > 1 and teacher.temperature == 0:
            yield (
                f"{role}.samples: {teacher.samples} draws at temperature 0 are as a rule the same; "
                "set a temperature, such as 0.6, or take samples out."
            )
    sampled: dict[str, Agent | Evaluation] = {**study.agents(), "evaluation": study.evaluation}
    for role, asked in sampled.items():
        if asked.temperature == 0 and asked.top_p != 1:
            yield (
                f"{role}.top_p: with temperature: 0 the likeliest token is always taken; raise the "
                "temperature, or take it out."
            )
    for name, field in _unfilled(study):
        yield f"{name}: {{{field}}} is sent as it stands; only {{problem}} is filled in."


def _is_own(study: Study, agent: Agent, name: str) -> bool:
    """Return whether an agent's setting is its own: no default, and not the teacher's (as where
    the file says verifier: *teacher).
    """
    value = getattr(agent, name)
    return value not in (Agent.model_fields[name].default, getattr(study.teacher, name))


def _unfilled(study: Study) -> Iterator[tuple[str, str]]:
    """Yield the fields of prompts that nothing is put in place of, but those that are TeX."""
    teaching = study.teaching().items()
    prompts: list[tuple[str, str, tuple[str, ...]]] = [
        *((f"{role}.prompt", agent.prompt, ("problem",)) for role, agent in teaching),
        ("evaluation.prompt", study.evaluation.prompt, ("problem",)),
    ]
    if study.evaluation.keep:
        prompts.append(("evaluation.keep_prompt", study.evaluation.keep_prompt, ("problem",)))
    if study.mix or study.evaluation.base_at:
        prompts.append(("evaluation.level_prompt", study.evaluation.level_prompt, _LEVEL_FIELDS))
    for name, prompt, filled in prompts:
        plain = re.sub(r"\$[^$]*\$|```.*?```", " ", prompt, flags=re.DOTALL)
        for field in dict.fromkeys(_FIELD.findall(plain)):
            if field not in filled:
                yield name, field
