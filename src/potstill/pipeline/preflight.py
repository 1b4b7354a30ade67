"""What is known to be wrong before anything is asked: each fault one sentence, nothing bought.

A study that passes may still fail, but not for what stands in its file or on this machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from potstill.cluster.session import check_reachable
from potstill.errors import PotstillError, StudyError
from potstill.lessons.recorded import refuse_unmatched
from potstill.lessons.replay import read_chats
from potstill.pipeline.context import base_path_of
from potstill.records import Level, RubricGold, Split
from potstill.study.agents import check_agent
from potstill.study.budget import unpriced_models
from potstill.study.checks import (
    LOOKED_AT,
    check_limits,
    check_primary,
    check_prompts,
    check_recorded,
    check_splits,
    check_tolerances,
)
from potstill.study.unused_settings import refuse_unfilled, refuse_unused
from potstill.text import several
from potstill.training.diagnosis import read_diagnosis
from potstill.training.metrics import check_trackers

if TYPE_CHECKING:
    from pathlib import Path

    from potstill.pipeline.context import Context
    from potstill.records import Problem
    from potstill.study.schema import Study
    from potstill.training.preflight import BaseFindings, WantedBase

__all__ = [
    "base_findings",
    "base_out_of_reach",
    "check_base_of",
    "check_before_asking",
    "check_diagnosis",
    "check_problems",
    "check_study",
]


def check_study(study: Study, *, on: str = "") -> None:
    """Raise StudyError for the first fault that can be seen without asking anyone.

    Prompts, limits, recorded levels and packages are looked at. ``on`` is the cluster that the run
    is to be on.
    """
    unpriced_models(study)
    check_prompts(study)
    check_primary(study)
    refuse_unused(study)
    check_limits(study)
    check_recorded(study)
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
    check_tolerances(study, problems)
    asked, _ = study.apart(problems)
    if study.recorded and asked:
        refuse_unmatched(study.recorded, asked)
    for role, agent in study.agents().items():
        try:
            why = check_agent(agent, asked)
        except PotstillError as exc:
            raise StudyError(f"{role}: {exc}") from exc
        if why:
            raise StudyError(f"{role}: {why}")


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
        problems=[problem.text for problem in problems[:LOOKED_AT]],
        trackers=study.training_log,
        elsewhere=bool(on),
    )
