"""The YAML head of a student's model card: what the hub reads, the study's scores among it.

Source: "Model Card Metadata" and "Eval results" of the Hugging Face hub's documentation; built with
huggingface_hub's own ModelCardData and EvalResult, which write the ``model-index`` block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.problems.math500 import DATASET as MATH500
from potstill.records import Outcome
from potstill.report.phrases import percent
from potstill.store.hub import is_hub_id
from potstill.text import several

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from potstill.analysis.students import FoundStudent
    from potstill.study.schema import StudentBase, Study

__all__ = ["card_head"]

_TASK = "text-generation"


def card_head(found: FoundStudent, library: str) -> str:
    """Return the head as YAML, without its dashes; every figure is the study's report's own.

    ``library`` is what loads the student. The base is named where it is a model of the hub.
    """
    import yaml
    from huggingface_hub import ModelCardData

    results = list(_results(found))
    card: Any = ModelCardData(
        base_model=_hub_model(found.study.student),
        library_name=library,
        tags=["potstill", "distillation", "reasoning", "lora"],
        pipeline_tag=_TASK,
        model_name=found.student.id if results else None,
        eval_results=results or None,
    )
    return str(yaml.safe_dump(card.to_dict(), sort_keys=False, allow_unicode=True))


def _results(found: FoundStudent) -> Iterator[EvalResult]:
    """Yield one accuracy for each set, and for each level that a mixed student was asked for."""
    from huggingface_hub import EvalResult

    for row in found.scores:
        readable = row["n"] - row["outcomes"][Outcome.BAD_KEY]
        if not readable:
            continue
        interval = f"95 % {percent(row['low'])} to {percent(row['high'])}"
        asked = "" if row["level"] == found.student.variant else f"asked for {row['level']}, "
        yield EvalResult(
            task_type=_TASK,
            task_name="held-out problems",
            dataset_name=row["set"],
            **_dataset(found.study, row["set"]),
            metric_type="accuracy",
            metric_name=f"accuracy ({asked}{several(readable, 'problem')}, {interval})",
            metric_value=round(row["accuracy"], 4),
            metric_args={"condition": row["condition_id"]},
        )


def _dataset(study: Study, name: str) -> Mapping[str, Any]:
    """Return how the hub knows a set: by its id there, else by a name that could be one."""
    source = next((s for s in study.sources if s.label == name), None)
    if source and source.source == "math500":
        return {"dataset_type": MATH500, "dataset_split": "test"}
    if source and source.source == "hub" and not Path(str(source.options["dataset"])).exists():
        known = ("config", "split", "revision")
        given = {f"dataset_{key}": source.options.get(key) for key in known}
        return {"dataset_type": source.options["dataset"], **given}
    return {"dataset_type": re.sub(r"[^\w.-]+", "-", name).strip("-.") or "problems"}


def _hub_model(student: StudentBase) -> str | None:
    """Return the base as an id of the hub; None for the shipped student and for a folder."""
    return student.base if not student.is_shipped and is_hub_id(student.base) else None
