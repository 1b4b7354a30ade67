"""What stands in a study file and cannot work, or not with its problems: each one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from potstill.errors import StudyError
from potstill.grading.key_reading import KeyReader
from potstill.grading.plugins import kind_settings
from potstill.plugins import nearest
from potstill.problems.raw import normalise
from potstill.problems.split import SAYS_THE_SAME, draws_validation
from potstill.records import (
    AUTO,
    Excluded,
    Level,
    NoGold,
    NumberGold,
    Split,
    is_keyed,
    level_of_control,
    teacher_of,
    variant_parts,
)
from potstill.store.rows import read_columns
from potstill.text import several

if TYPE_CHECKING:
    from potstill.records import Problem
    from potstill.study.schema import Study

__all__ = [
    "LOOKED_AT",
    "check_limits",
    "check_primary",
    "check_prompts",
    "check_recorded",
    "check_splits",
    "check_tolerances",
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

LOOKED_AT = 10_000
"""So many problems are looked at where each is."""

_FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")


def check_prompts(study: Study) -> None:
    """Raise StudyError for a prompt without the field that it is to be filled in at."""
    prompts = {f"{role}.prompt": agent.prompt for role, agent in study.teaching().items()}
    prompts["evaluation.prompt"] = study.evaluation.prompt
    if study.evaluation.keep:
        prompts["evaluation.keep_prompt"] = study.evaluation.keep_prompt
    for name, prompt in prompts.items():
        _require_field(name, prompt, "problem", "the question")
    if study.mix or study.evaluation.base_at:
        _require_field("evaluation.level_prompt", study.evaluation.level_prompt, "prompt",
                       "the prompt")  # fmt: skip


def check_primary(study: Study) -> None:
    """Raise for a declared comparison that the report does not make."""
    if study.primary is None:
        return
    a, b = study.primary
    levels = [level.value for level in study.levels]
    on_ladder = a != b and a in (*levels, AUTO) and b in levels
    of_teachers = a != b and teacher_of(a) and variant_parts(a)[1] == variant_parts(b)[1]
    paired = of_teachers and teacher_of(b)
    if a == "base" or not (b == "base" or on_ladder or paired or level_of_control(b) == a):
        raise StudyError(
            f"primary: {a} is not compared with {b}; name a level or a control and base, two "
            "levels, two teachers at one level, or a level and its control, such as "
            f"[{levels[0]}, base]."
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


def check_limits(study: Study) -> None:
    """Raise StudyError for a rate, scale or limit under which nothing is learnt or answered."""
    recipe = study.training
    rate, give = recipe.highest_rate, "give 1e-5 to 2e-3, or leave it out for the base's own."
    if rate > _HIGHEST_LEARNING_RATE:
        raise StudyError(f"training.learning_rate: {rate:g} trains no adapter; {give}")
    if rate < _LOWEST_LEARNING_RATE:
        raise StudyError(f"training.learning_rate: {rate:g} moves no weight; {give}")
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


def check_recorded(study: Study) -> None:
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


def check_tolerances(study: Study, problems: Sequence[Problem]) -> None:
    """Raise StudyError where most of those that have a tolerance take 0 for their key."""
    keys = KeyReader(kind_settings(study.kinds))
    numeric = [p for p in problems if isinstance(p.gold, NumberGold) or p.kind == "numeric"]
    graded = [p for p in numeric if is_keyed(p)]
    looked_at = graded[:LOOKED_AT]
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
        given = study.split.by == "given"
        share = f"raise split.valid_share ({study.split.valid_share:g}), or "
        keyed = " that have keys: one without is trained on and no more" if study.keys else ""
        raise StudyError(
            "split: no problem is left for validation, by which training chooses the checkpoint it "
            f"keeps; {'' if given and study.keys else share}mark some valid{keyed}."
        )
    said = [_keyless(study, problems, sum(counts.values()))] if study.keys else []
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


def _keyless(study: Study, problems: Sequence[Problem], placed: int) -> str:
    """Return how many problems to be taught have no key, and what is done about it; those that are
    not ``placed`` on a split have none where they need one.
    """
    assert study.keys is not None
    without = sum(isinstance(problem.gold, NoGold) for problem in problems)
    without -= len(problems) - placed
    if not without:
        return "keys: every problem has a key, so no majority is taken; take the section out"
    have = "has" if without == 1 else "have"
    return (
        f"keys: {several(without, 'problem')} to be taught {have} no key; the teacher answers each "
        f"{study.teacher.samples} times, and an answer that {100 * study.keys.majority:g} % "
        "of its draws give, or more, stands in the key's place"
    )
