"""What is known to be wrong before anything is asked: each fault one sentence, nothing bought.

A study that passes may still fail, but not for what stands in its file or on this machine.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from potstill.cluster.session import check_reachable
from potstill.errors import PotstillError, StudyError
from potstill.grading.key_reading import KeyReader
from potstill.grading.plugins import kind_settings
from potstill.lessons.recorded import refuse_unmatched
from potstill.lessons.replay import read_chats
from potstill.pipeline.budget import unpriced_models
from potstill.pipeline.context import base_path_of
from potstill.plugins import SOLVERS, load_plugin, nearest
from potstill.problems.raw import normalise
from potstill.problems.split import SAYS_THE_SAME, draws_validation
from potstill.records import AUTO, Excluded, Level, NumberGold, RubricGold, Split, level_of_control
from potstill.store.rows import read_columns
from potstill.study.agents import key_there, options_of
from potstill.study.unused_settings import refuse_unfilled, refuse_unused
from potstill.text import several
from potstill.training.diagnosis import read_diagnosis
from potstill.training.metrics import check_trackers

if TYPE_CHECKING:
    from pathlib import Path

    from potstill.ledger.ledger import Ledger
    from potstill.pipeline.context import Context
    from potstill.records import Problem
    from potstill.study.schema import Agent, Study
    from potstill.training.preflight import BaseFindings, WantedBase

__all__ = [
    "base_findings",
    "base_out_of_reach",
    "check_base_of",
    "check_before_asking",
    "check_diagnosis",
    "check_keys",
    "check_problems",
    "check_splits",
    "check_study",
    "refuse_shared",
]

_HIGHEST_LEARNING_RATE = 0.1
"""Ten times the highest that LoRA is known to train with: 1e-2, for a base of under 2 million
weights; models of 0.5B to 72B want 1e-5 to 1e-3 (Schulman et al. 2025, LoRA Without Regret)."""

_LOWEST_LEARNING_RATE = 1e-9
"""Adam moves a weight by no more than that in a step: below it nothing is learnt in a million."""

_SCALES = (1e-4, 1e3)
"""Of an adapter: the paper's is 20, and beyond these it says nothing or drowns the base."""

_MOST_PASSES = 100
"""Through the lessons; the paper's longest run went through its own eight times."""

_FEWEST_TOKENS = 8
"""Fewer cannot hold "The answer is \\boxed{12}." in any tokenizer."""

_FEW = 5
"""Fewer problems than these on a split are worth a warning."""

_TOO_FEW = {
    Split.TRAIN: "to train on, from which a student learns next to nothing; give it some hundred.",
    Split.VALID: "to choose the checkpoint by, which is then chosen by chance; raise "
    "split.valid_share, or mark more valid.",
    Split.HELDOUT: "held out, by which no difference can be told from zero; hold out 100 or more.",
}

_LOOKED_AT = 10_000
"""So many problems are put into the prompt to see whether it fits the limits."""

_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")


def check_study(study: Study, *, on: str = "") -> None:
    """Raise StudyError for the first fault that can be seen without asking anyone.

    Prompts, limits, recorded levels and packages are looked at. ``on`` is the cluster that the run
    is to be on.
    """
    unpriced_models(study)
    _check_prompts(study)
    _check_primary(study)
    refuse_unused(study)
    _check_limits(study)
    _check_recorded(study)
    if study.training.replay:
        read_chats(study.training.replay.path)
    check_trackers(study.training_log)
    if on:
        check_reachable(on, study.cluster)


def check_diagnosis(study: Study, directory: Path) -> None:
    """Raise InputError where training is to go by a diagnosis that the directory does not have."""
    if study.training.iterations == "auto":
        read_diagnosis(directory)


def check_problems(study: Study, problems: Sequence[Problem]) -> None:
    """Raise StudyError where an agent cannot be opened or says that it cannot answer these
    problems, and for a prompt that would have one of their groups filled in.

    A solver's module may say so in ``check(options)``, which raises, and in ``unsuited(options,
    problems)``, which returns why, "" for none.
    """
    refuse_unfilled(study, problems)
    if study.verifier is None or study.verify == "symbolic":
        judged = [x.id for x in problems if x.kind == "judge" or isinstance(x.gold, RubricGold)]
        if judged:
            lacks = "verify: symbolic asks none" if study.verifier else "the study has no verifier"
            raise StudyError(
                f"{several(len(judged), 'problem')} ({judged[0]}, ...) can only be graded by a "
                f"judge, and {lacks}; give a verifier with verify: undecided or both."
            )
    _check_tolerances(study, problems)
    asked, _ = study.apart(problems)
    if study.recorded and asked:
        refuse_unmatched(study.recorded, asked)
    for role, agent in study.agents().items():
        module, options = load_plugin(SOLVERS, agent.solver), options_of(agent)
        if hasattr(module, "check"):
            try:
                module.check(options)
            except PotstillError as exc:
                raise StudyError(f"{role}: {exc}") from exc
        if hasattr(module, "unsuited") and (why := module.unsuited(options, asked)):
            raise StudyError(f"{role}: {why}")


def _check_tolerances(study: Study, problems: Sequence[Problem]) -> None:
    """Raise StudyError where most of those that have a tolerance take 0 for their key."""
    keys = KeyReader(kind_settings(study.kinds))
    graded = [p for p in problems if isinstance(p.gold, NumberGold) or p.kind == "numeric"]
    looked_at = graded[:_LOOKED_AT]
    wide = [problem.id for problem in looked_at if keys.takes_zero(problem)]
    if len(wide) > len(looked_at) / 2:
        have = "has" if len(wide) == 1 else "have"
        raise StudyError(
            f"{several(len(wide), 'problem')} ({wide[0]}, ...) {have} a tolerance as wide as the "
            "key itself, so that 0 would be right too; lower tolerance, in the source or in kinds: "
            "{numeric: {tolerance: ...}}."
        )


def refuse_shared(study: Study, problems: Sequence[Problem], excluded: Iterable[Excluded]) -> None:
    """Raise StudyError where a problem of ``evaluation.keep`` is one of the study's own again."""
    own, kept = study.apart(problems)
    if not study.evaluation.keep:
        return
    known = {normalise(problem.text): problem.id for problem in own}
    labels = {source.label for source in study.evaluation.keep}
    for item in excluded:
        if item.source in labels and (same := known.get(normalise(item.text))):
            raise StudyError(SAYS_THE_SAME.format(kept=item.id, own=same))
    if not kept:
        raise StudyError(
            "evaluation.keep: none of its problems can be asked; potstill problems says of each "
            "why it is excluded."
        )


def check_splits(
    study: Study, problems: Sequence[Problem], counts: Mapping[Split, int]
) -> tuple[str, ...]:
    """Return what is worth saying of how many problems stand on each split.

    Raises StudyError where there is none for validation, by which training chooses the checkpoint
    that it keeps.
    """
    n = counts.get(Split.VALID, 0)
    if not n:
        raise StudyError(
            "split: no problem is left for validation, by which training chooses the checkpoint it "
            f"keeps; raise split.valid_share ({study.split.valid_share:g}), or mark some valid."
        )
    said = []
    if draws_validation(problems, study.split):
        said.append(
            f"split: no problem is marked valid; {several(n, 'problem')} of those marked train "
            f"{'is' if n == 1 else 'are'} kept for validation (split.valid_share)"
        )
    step = study.training.batch_size * study.training.accumulation
    n, shares = counts.get(Split.TRAIN, 0), study.mix_shares
    if step > n * max(1, sum(shares.values()) / min(shares.values(), default=1)):
        said.append(
            f"training: batch_size x accumulation is {step:,} and {several(n, 'problem')} "
            f"{'is' if n == 1 else 'are'} trained on, so every step goes through all of them; "
            "lower it"
        )
    steps = study.training.iterations
    if n and steps != "auto" and (passes := steps * min(step, n) // n) > _MOST_PASSES:
        said.append(
            f"training: {steps:,} iterations go through the {several(n, 'problem')} {passes:,} "
            "times, where a student overfits after some ten; lower training.iterations"
        )
    for split, what in _TOO_FEW.items():
        if (n := counts.get(split, 0)) < _FEW:
            said.append(f"split: only {several(n, 'problem')} {what}")
    return tuple(said)


def check_before_asking(
    context: Context, problems: Sequence[Problem], splits: Mapping[str, Split]
) -> None:
    """Raise StudyError for what would make all that is about to be bought useless."""
    check_problems(context.study, problems)
    for told in check_splits(context.study, problems, Counter(splits.values())):
        context.progress.note(told)
    for warning in check_base_of(context.study, problems, base_at=context.base_at, on=context.on):
        context.progress.note(warning)


def base_out_of_reach(study: Study) -> bool:
    """Return whether a study's base is to be fetched from a hub that does not answer."""
    from potstill.models.gguf_base import names_gguf
    from potstill.store.hub import hub_answers, is_hub_id

    path = base_path_of(study)
    named = "/" in path and is_hub_id(path) and not names_gguf(path)
    return named and not hub_answers()


def check_base_of(
    study: Study, problems: Sequence[Problem], *, base_at: str = "", on: str = ""
) -> tuple[str, ...]:
    """Return what had better be known of a study's base. Raises StudyError for what stands in its
    way.

    Of its weights what is here is looked at. ``base_at`` is where it is now, if not where the study
    has it; ``on`` the cluster whose workers will open it, with devices and packages of their own.
    """
    from potstill.training.preflight import check_base

    return check_base(_wanted(study, problems, base_at, on))


def base_findings(study: Study) -> BaseFindings:
    """Return all that stands in the way of a study's base, and all that is worth a warning."""
    from potstill.training.preflight import look_at_base

    return look_at_base(_wanted(study, (), "", ""))


def _wanted(study: Study, problems: Sequence[Problem], base_at: str, on: str) -> WantedBase:
    from potstill.training.preflight import WantedBase

    student, evaluation = study.student, study.evaluation
    return WantedBase(
        path=base_at or base_path_of(study),
        recipe=study.training,
        backend=student.backend,
        precision=student.precision,
        device=student.device,
        template=student.template,
        thinking=student.thinking,
        raw=Level.R0 in study.levels,
        condensed=set(study.levels) != {Level.R0},
        system=evaluation.system,
        prompt=evaluation.prompt,
        answer_tokens=1 if evaluation.max_tokens == "auto" else evaluation.max_tokens,
        problems=[problem.text for problem in problems[:_LOOKED_AT]],
        trackers=study.training_log,
        elsewhere=bool(on),
    )


def check_keys(study: Study, role: str, ledger: Ledger) -> None:
    """Raise StudyError where an agent's key is missing while another agent is about to be paid.

    ``role`` is who is about to be asked. An agent that lacks its own key says so itself when it is
    asked; one whose replies the ledger holds may need none.
    """
    agents = study.agents()
    own = key_there(agents[role])
    if own is not None and not own[1]:
        return
    for other, agent in agents.items():
        found = key_there(agent)
        if found is None or found[1] or _was_asked(agent, ledger):
            continue
        raise StudyError(
            f"{other}: {found[0]}; give it before the {role} is asked, so that nothing is bought "
            "in vain."
        )


def _was_asked(agent: Agent, ledger: Ledger) -> bool:
    model = str(agent.options.get("model", ""))
    return any(row.group == (model,) for row in ledger.spend(("model",)))


def _check_prompts(study: Study) -> None:
    prompts = {"teacher.prompt": study.teacher.prompt, "evaluation.prompt": study.evaluation.prompt}
    if study.evaluation.keep:
        prompts["evaluation.keep_prompt"] = study.evaluation.keep_prompt
    for name, prompt in prompts.items():
        _require_field(name, prompt, "problem", "the question")
    if study.mix or study.evaluation.base_at:
        _require_field("evaluation.level_prompt", study.evaluation.level_prompt, "prompt",
                       "the prompt")  # fmt: skip


def _check_primary(study: Study) -> None:
    """Raise for a declared comparison that the report does not make."""
    if study.primary is None:
        return
    a, b = study.primary
    levels = [level.value for level in study.levels]
    on_ladder = a != b and a in (*levels, AUTO) and b in levels
    if a == "base" or not (b == "base" or on_ladder or level_of_control(b) == a):
        raise StudyError(
            f"primary: {a} is not compared with {b}; name a level or a control and base, two "
            f"levels, or a level and its control, such as [{levels[0]}, base]."
        )


def _require_field(name: str, prompt: str, field: str, what: str) -> None:
    if f"{{{{{field}}}}}" in prompt:
        raise StudyError(
            f"{name} holds {{{{{field}}}}}, which puts {what} between braces; write {{{field}}}."
        )
    if f"{{{field}}}" in prompt:
        return
    others = _FIELD.findall(prompt)
    has = f" (it has {{{others[0]}}})" if others else ""
    raise StudyError(
        f"{name} holds no {{{field}}}{has}: nobody would see {what}; write {{{field}}} where "
        f"{what} goes."
    )


def _check_limits(study: Study) -> None:
    recipe = study.training
    if recipe.learning_rate > _HIGHEST_LEARNING_RATE:
        raise StudyError(
            f"training.learning_rate: {recipe.learning_rate:g} trains no adapter; give 1e-5 to "
            "1e-3 (5e-4 is the default)."
        )
    if recipe.learning_rate < _LOWEST_LEARNING_RATE:
        raise StudyError(
            f"training.learning_rate: {recipe.learning_rate:g} moves no weight; give 1e-5 to 1e-3 "
            "(5e-4 is the default)."
        )
    if not _SCALES[0] <= recipe.scale <= _SCALES[1]:
        does = "drowns the base" if recipe.scale > 1 else "leaves the base as it is"
        raise StudyError(
            f"training.alpha: {recipe.alpha:g} at rank {recipe.rank:,} makes the adapter's scale "
            f"(alpha / rank) {recipe.scale:.2g}, which {does}; give {2 * recipe.rank:,} or so."
        )
    every, steps = recipe.validate_every, recipe.iterations
    given = "validate_every" in recipe.model_fields_set  # its default may be beyond a short run
    if given and steps != "auto" and every > steps:
        raise StudyError(
            f"training.validate_every: {every} is beyond the {steps} iterations; give {steps} or "
            "fewer."
        )
    limits: dict[str, int | str] = {
        f"{role}.max_tokens": agent.max_tokens for role, agent in study.agents().items()
    }
    if study.difficulty is not None and study.difficulty.by == "student":
        limits["difficulty.max_tokens"] = study.difficulty.max_tokens
    limits["evaluation.max_tokens"] = study.evaluation.max_tokens
    limits["training.max_sequence_tokens"] = recipe.max_sequence_tokens
    for name, tokens in limits.items():
        if isinstance(tokens, int) and tokens < _FEWEST_TOKENS:
            raise StudyError(
                f"{name}: {tokens} tokens hold no answer; give {_FEWEST_TOKENS} or more."
            )


def _check_recorded(study: Study) -> None:
    """Raise for a level that no file holds, a file that is not there, a column it lacks."""
    if study.recorded is None:
        return
    for file in study.recorded.files:
        columns = read_columns(file.path)
        for name in (*file.levels.values(), *file.id, *filter(None, [file.question])):
            if name not in columns:
                raise StudyError(
                    f"recorded: {file.path} has no column {name!r}{nearest(name, columns)}."
                )
    held = {Level.R0, *(level for file in study.recorded.files for level in file.levels)}
    for level in study.levels:
        if level not in held:
            raise StudyError(
                f"levels: no recorded file holds {level}; name its column under recorded.files, or "
                f"take it out (there are {', '.join(sorted(held))})."
            )
