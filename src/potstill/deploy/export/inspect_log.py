"""The responses and verdicts of a study as logs that Inspect's viewer and log API open.

One log for every solver and set; an epoch is a seed of a level, or a sample of the teacher. Model
text is in it as it came. Read from a study directory as it stands: nothing is asked or bought.

Source of the format: inspect_ai.log (EvalLog, version 2), https://inspect.aisi.org.uk/eval-logs.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.deploy.export.inspect_sample import SCORER, SampleTurn, sample_of, usage_of
from potstill.errors import InputError, StoreError
from potstill.evaluation import summarise
from potstill.evaluation.scores import LevelScore
from potstill.pipeline.assemble import answered
from potstill.records import Outcome, Problem, Response, Role, Split, content_hash
from potstill.report.phrases import percent, several

if TYPE_CHECKING:
    from inspect_ai.log import EvalConfig, EvalLog, EvalResults, EvalSpec
    from rich.console import Console

    from potstill.pipeline.outputs import AnswerSet

__all__ = ["WrittenLog", "evaluation_logs", "export_logs", "print_logs"]


@dataclass(frozen=True, slots=True)
class WrittenLog:
    """One log file: who answered which set, samples and epochs in it, and the accuracy it states.

    ``accuracy`` is in [0, 1], None where no key could be read.
    """

    path: Path
    who: str
    set: str
    samples: int
    epochs: int
    accuracy: float | None


def export_logs(directory: Path, out: Path) -> list[WrittenLog]:
    """Return the logs of a study's answers, written as ``.eval`` files to the new folder ``out``.

    The folder appears whole or not at all. Raises InputError where inspect-ai is not installed or
    the folder holds something; StoreError for a directory that is no study's or has no verdicts.
    """
    _require_inspect()
    from inspect_ai.log import write_eval_log

    from potstill.deploy.export.corpus import refuse_occupied
    from potstill.deploy.export.placing import new_folder
    from potstill.pipeline.directory import StudyDirectory

    refuse_occupied(out)
    found = StudyDirectory.open(directory)
    taught = replace(found.made.keyed(), set="taught", split=Split.TRAIN)
    cells = [*([taught] if taught.verdicts else []), *found.made.answers]
    if not cells:
        raise StoreError(
            f"{directory} holds no verdicts yet ({found.unfinished.rstrip('.')}); go on with "
            "potstill run until it does."
        )
    logs = evaluation_logs(found.study.name, cells, found.made.problems)
    written = []
    with new_folder(out) as folder:
        for number, log in enumerate(logs, 1):
            name = f"{number:02}_{_slug(log.eval.dataset.name)}_{_slug(log.eval.model)}.eval"
            write_eval_log(log, str(folder / name), format="eval")
            written.append(_written(log, out / name))
    return written


def evaluation_logs(
    study: str, cells: Sequence[AnswerSet], problems: Sequence[Problem]
) -> list[EvalLog]:
    """Return one Inspect log per solver and set of the answers given, those of all seeds together.

    ``study`` is the study's name. Raises StudyError for a response without problem or verdict.
    """
    by_id = {p.id: p for p in problems}
    grouped: dict[tuple[str, ...], list[AnswerSet]] = {}
    for cell in cells:
        key = (cell.role.value, cell.level, cell.set, cell.split.value)
        grouped.setdefault(key, []).append(cell)
    return [_log(study, group, by_id) for group in grouped.values()]


def _require_inspect() -> None:
    if find_spec("inspect_ai") is None:
        raise InputError(
            "An Inspect log needs the inspect-ai package, which is not installed; pip install "
            "'potstill[inspect]'."
        )


def _log(study: str, cells: Sequence[AnswerSet], problems: Mapping[str, Problem]) -> EvalLog:
    from inspect_ai.log import EvalLog, EvalStats

    turns = list(_turns(cells, problems))
    epochs = max((turn.epoch for turn in turns), default=0)
    spec = _spec(study, cells, turns, epochs)
    samples = [sample_of(turn, cells[0].condition, spec.model) for turn in turns]
    return EvalLog(
        status="success",
        eval=spec,
        plan=_plan(cells[0]),
        results=_results(turns, _level_score(cells, problems)),
        stats=EvalStats(
            started_at=spec.created,
            completed_at=spec.created,
            model_usage={spec.model: usage_of([turn.response for turn in turns])},
        ),
        samples=samples,
    )


def _turns(cells: Sequence[AnswerSet], problems: Mapping[str, Problem]) -> Iterator[SampleTurn]:
    """Yield every counted response, its last attempt; epochs count seeds, and samples within
    them.
    """
    epochs: dict[tuple[int, int], int] = {}
    for cell in cells:
        verdicts = {v.response_id: v for v in cell.verdicts}
        attempts: dict[tuple[str, int], list[Response]] = {}
        for response in cell.responses:
            attempts.setdefault((response.problem_id, response.sample), []).append(response)
        for (problem_id, sample), tries in attempts.items():
            *earlier, last = sorted(tries, key=lambda r: r.attempt)
            epoch = epochs.setdefault((cell.seed, sample), len(epochs) + 1)
            verdict = verdicts[last.response_id]
            yield SampleTurn(problems[problem_id], last, verdict, epoch, cell.seed, tuple(earlier))


def _level_score(cells: Sequence[AnswerSet], problems: Mapping[str, Problem]) -> LevelScore | None:
    """Return the report's own numbers on these answers; None where the teacher was asked several
    times.
    """
    teacher = cells[0].role is Role.TEACHER
    if teacher and any(response.sample for cell in cells for response in cell.responses):
        return None
    rows = answered(cells, list(problems.values()))
    return next((x for x in summarise(rows) if x.group == "all"), None)


def _spec(
    study: str, cells: Sequence[AnswerSet], turns: Sequence[SampleTurn], epochs: int
) -> EvalSpec:
    from inspect_ai.log import EvalDataset, EvalSpec

    head = cells[0]
    where = head.set if head.split is Split.HELDOUT else f"{head.set} ({head.split.value})"
    ids = list(dict.fromkeys(turn.problem.id for turn in turns))
    name = content_hash([study, where, _who(head), head.condition])
    not_asked = [x.problem_id for cell in cells for x in cell.not_asked]
    return EvalSpec(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        eval_id=name[:22],
        run_id=content_hash(study)[:22],
        task_id=name[:22],  # the viewer takes logs of one task id for retries of each other
        task=f"{study}/{where}",
        tags=["potstill", head.role.value],
        dataset=EvalDataset(name=where, samples=len(ids), sample_ids=ids, shuffled=False),
        model=_who(head),
        model_generate_config=_generation(head),
        config=_config(epochs),
        packages={"potstill": version("potstill")},
        metadata={
            "role": head.role.value,
            "level": head.level,
            "seeds": [cell.seed for cell in cells],
            "solvers": list(dict.fromkeys(r.solver for cell in cells for r in cell.responses)),
            "split": head.split.value,
            "condition_id": head.condition.condition_id,
            "problem_set": head.condition.problem_set,
            "precision": head.condition.precision,
            "when_cut": head.condition.when_cut,
            "not_asked": not_asked,
        },
    )


def _config(epochs: int) -> EvalConfig:
    from inspect_ai.log import EvalConfig

    return EvalConfig(epochs=epochs, epochs_reducer=["mean"])


def _generation(cell: AnswerSet) -> Any:
    from inspect_ai.model import GenerateConfig

    sampling = cell.condition.sampling
    return GenerateConfig(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        seed=sampling.seed,
        max_tokens=sampling.max_tokens,
        system_message=cell.condition.system or None,
    )


def _plan(cell: AnswerSet) -> Any:
    from inspect_ai.log import EvalPlan, EvalPlanStep

    asked = {"system": cell.condition.system, "template": cell.condition.template}
    return EvalPlan(steps=[EvalPlanStep(solver=SCORER, params=asked)], config=_generation(cell))


def _results(turns: Sequence[SampleTurn], level: LevelScore | None) -> EvalResults:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    counts = Counter(turn.verdict.outcome for turn in turns)
    readable = len(turns) - counts[Outcome.BAD_KEY]
    values = {"accuracy": counts[Outcome.CORRECT] / readable} if readable else {}
    if readable and level is not None:
        values |= {"accuracy": level.accuracy, "low_95": level.low, "high_95": level.high}
    score = EvalScore(
        name=SCORER,
        scorer=SCORER,
        reducer="mean",
        scored_samples=readable,
        unscored_samples=counts[Outcome.BAD_KEY],
        metrics={name: EvalMetric(name=name, value=value) for name, value in values.items()},
        metadata={"outcomes": {outcome.value: counts[outcome] for outcome in Outcome}},
    )
    done = len(turns) - counts[Outcome.ERRORED]
    return EvalResults(total_samples=len(turns), completed_samples=done, scores=[score])


def _who(cell: AnswerSet) -> str:
    """Return what the log names as its model: the level, else the solver's own id."""
    if cell.level or cell.role is not Role.TEACHER:
        return cell.level or cell.role.value
    return next((r.solver for r in cell.responses), cell.name)


def _written(log: EvalLog, path: Path) -> WrittenLog:
    metrics = log.results.scores[0].metrics if log.results else {}
    return WrittenLog(
        path=path,
        who=log.eval.model,
        set=str(log.eval.dataset.name),
        samples=log.eval.dataset.samples or 0,
        epochs=log.eval.config.epochs or 0,
        accuracy=metrics["accuracy"].value if metrics else None,
    )


def _slug(name: str | None) -> str:
    return re.sub(r"[^\w.-]+", "-", name or "").strip("-.")[:60] or "unnamed"


def print_logs(logs: Sequence[WrittenLog], console: Console) -> None:
    """Print a line for every log, and how to open them."""
    for log in logs:
        right = "no key to score by" if log.accuracy is None else f"{percent(log.accuracy)} % right"
        line = f"{log.path.name}  {log.who} on {log.set}: {several(log.samples, 'problem')}, "
        console.print(
            f"{line}{several(log.epochs, 'epoch')}, {right}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if logs:
        console.print(f"Open them: inspect view --log-dir {logs[0].path.parent}", soft_wrap=True)
