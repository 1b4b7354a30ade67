"""``study.lock.json``: everything that decided a study's report, and the hash of all it stands on.

Written whole once the report is. It holds no secret, no address and no path of any machine, and the
same study ends with the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import StoreError
from potstill.grading import Rulings
from potstill.grading.judge import JUDGE_SYSTEM, READING_NOTE, REMINDER, RUBRIC_NOTE
from potstill.lessons.ladder import LADDER, SYSTEM
from potstill.records import content_hash
from potstill.solvers.truncation import CONTINUE_PROMPT
from potstill.store.atomic import file_sha256, versions_of, write_json
from potstill.store.fingerprint import fingerprint
from potstill.store.report_files import is_of_report
from potstill.store.untrusted import read_json, stays_inside
from potstill.study.sections import Source
from potstill.study.text import with_new_names
from potstill.training.limits import answer_tokens, resolved_recipe

if TYPE_CHECKING:
    from potstill.pipeline.context import Context
    from potstill.study.schema import Agent, Study

__all__ = [
    "LOCK_FILE",
    "changed_base",
    "deciding",
    "is_up_to_date",
    "kept_report",
    "lost_cells",
    "read_lock",
    "study_hash",
    "write_lock",
]

LOCK_FILE = "study.lock.json"
FORMAT_VERSION = 1

_PACKAGES = (
    *("potstill", "torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors"),
    *("mlx", "mlx-lm", "bitsandbytes", "numpy", "scipy", "sympy", "math-verify", "rapidfuzz"),
    "pyarrow",
)
# parts of a study that decide nothing of its result, or that the lock writes in another form
_WRITTEN_OTHERWISE = {
    *("problems", "teacher", "verifier", "condenser", "rater", "recorded", "student", "training"),
    *("teachers", "budget_usd", "training_log", "cluster"),
}


def write_lock(context: Context) -> Path:
    """Return the path of the lock of a run that has just written its report."""
    lock = lock_of(context, _machine(context.study))
    path = context.directory / LOCK_FILE
    write_json(path, lock | {"sha256": content_hash(lock)})
    return path


def lost_cells(directory: Path) -> str:
    """Return how it is told that a reported study has lost its folder of cells; "" for one that
    has not.
    """
    reported = (directory / LOCK_FILE).exists() or (directory / "report" / "report.json").exists()
    if not reported or (directory / "cells").is_dir():
        return ""
    return (
        f"{directory / 'cells'} is missing, and the report was made from it: put the folder back, "
        "or run the study again; it is made anew from the ledger, and nothing is bought"
    )


def is_up_to_date(context: Context) -> bool:
    """Return whether a run's lock is there and says what would be written now.

    So every cell, the ledger, every setting and version, and each file of the report are as they
    were when the report was written. The machine may be another: nothing was made on it.
    """
    try:
        kept = read_lock(context.directory)
        if kept is None:
            return False
        return bool(kept == json.loads(json.dumps(lock_of(context, kept["machine"]))))
    except StoreError:
        return False


def kept_report(context: Context) -> dict[str, Any] | None:
    """Return the report that stands in the directory, None where it is of other settings.

    What decides no result, but stands in the report (``about``, ``published``), counts here.
    """
    path = context.directory / "report" / "report.json"
    try:
        report: dict[str, Any] = read_json(path)
        same = report["reproduction"]["hashes"]["study"] == study_hash(context.study)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if same else None


def study_hash(study: Study) -> str:
    """Return the hash of every setting of a study, as its report tells it."""
    return content_hash(study.model_dump(mode="json"))


def lock_of(context: Context, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the lock of a finished run on a machine says now, but its own hash.

    ``decides`` is :func:`deciding`; ``artifacts`` the sha256 of every manifest that the report
    stands on and of every file of the report, by their paths in the study's directory; ``ledger``
    the number and digest of its replies; ``base_file`` the GGUF file that the base was, if it was
    one.
    """
    from potstill.models.gguf_base import origin_of
    from potstill.pipeline.context import VERSION

    replies, digest = context.ledger.digest()
    origin = origin_of(context.base_path)
    return {
        "format_version": FORMAT_VERSION,
        "study": context.study.name,
        "decides": deciding(context.study, context.directory, context.base_hash),
        "prices": _prices(context.study),
        "versions": {"python": platform.python_version()} | versions_of(_PACKAGES),
        "stages": VERSION,
        "machine": machine,
        **({"base_file": dataclasses.asdict(origin)} if origin else {}),
        "artifacts": _artifacts(context),
        "ledger": {"replies": replies, "sha256": digest},
    }


def read_lock(directory: Path) -> dict[str, Any] | None:
    """Return the lock of a study's directory, None where it has none.

    Raises StoreError where it was written by a newer Potstill, or is not as it was written.
    """
    path = directory / LOCK_FILE
    try:
        lock = json.loads(path.read_text("utf-8"))
        if lock["format_version"] > FORMAT_VERSION:
            raise StoreError(f"{LOCK_FILE} was written by a newer Potstill; upgrade to read it.")
        rest = {name: value for name, value in lock.items() if name != "sha256"}
        if content_hash(rest) != lock["sha256"]:
            raise ValueError("its own hash does not fit")
        rest["decides"] = with_new_names(rest["decides"])
        _check_shape(rest)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise StoreError(
            f"{LOCK_FILE} is not as it was written ({exc}); run the study again to write it anew."
        ) from exc
    return rest


def changed_base(context: Context) -> str:
    """Return in words that a study's report was made with another base; "" if not, or unknown.

    The base of a hub id or a folder can change, and so can the one that ships with Potstill.
    """
    try:
        lock = read_lock(context.directory)
    except StoreError:  # potstill verify tells of it
        return ""
    then = str(lock["decides"]["student"]["base_hash"]) if lock else ""
    if then in ("", context.base_hash):
        return ""
    return (
        f"The base {context.study.student.base} is not the one that the report was made with (hash "
        f"{then[:12]} then, {context.base_hash[:12]} now): potstill run makes lessons and students "
        "anew. The old report stays whole if you give the study another --out."
    )


def deciding(study: Study, directory: Path, base_hash: str) -> dict[str, Any]:
    """Return every setting, prompt and input that decides a study's result, in plain values.

    Files stand in it as the sha256 of their content, the base model as ``base_hash``. Raises
    InputError for ``iterations: auto`` without a diagnosis.
    """
    from potstill.pipeline.context import base_title
    from potstill.training.diagnosis import resolve_iterations

    told = study.model_dump(mode="json", exclude=_WRITTEN_OTHERWISE)
    told["problems"] = [_source(s) for s in study.problems]
    told["evaluation"]["keep"] = [_source(s) for s in study.evaluation.keep]
    told["agents"] = {role: _asked(agent) for role, agent in study.agents().items()}
    if study.recorded:
        told["recorded"] = _portable(study.recorded.model_dump(mode="json"))
    told["student"] = study.student.model_dump(mode="json", exclude={"device"}) | {
        "base": base_title(study),
        "base_hash": base_hash,
    }
    if study.evaluation.max_tokens == "auto":
        told["evaluation"]["max_tokens"] = answer_tokens(directory)
    recipe = resolved_recipe(resolve_iterations(study.training, directory), directory)
    told["training"] = recipe.model_dump(mode="json", exclude={"threads", "checkpointing"})
    if recipe.replay:
        told["training"]["replay"] = _portable(told["training"]["replay"])
    told["rulings"] = Rulings.load(directory / "rulings.jsonl").digest
    told["prompts"] = _prompts()
    plain: dict[str, Any] = json.loads(json.dumps(told, default=fingerprint))
    return plain


def _source(source: Source) -> dict[str, Any]:
    told = {"source": source.source, "name": source.label, "use": source.use}
    return told | {"options": _portable(source.options)}


def _check_shape(lock: Mapping[str, Any]) -> None:
    """Check that a lock of unknown origin can be read like one of ours. Raises ValueError."""
    decides, ledger, artifacts = lock["decides"], lock["ledger"], lock["artifacts"]
    texts = [*artifacts, *artifacts.values(), ledger["sha256"], decides["student"]["base_hash"]]
    shaped = (
        all(isinstance(text, str) for text in texts)
        and isinstance(ledger["replies"], int)
        and isinstance(decides["problems"], list)
        and all(isinstance(lock[name], dict) for name in ("versions", "stages", "machine"))
    )
    if not shaped:
        raise ValueError("it holds something else than a lock does")
    for name in artifacts:
        if name.split("/")[0] not in ("cells", "report") or not stays_inside(name):
            raise ValueError(f"{name!r} is no artifact of a study")


def _artifacts(context: Context) -> dict[str, str]:
    found = {
        f"cells/{cell.stage}/{cell.key}/manifest.json": context.store.digest(cell)
        for cell in dict.fromkeys(context.used)
    }
    report = context.directory / "report"
    for path in report.rglob("*"):
        if path.is_file() and is_of_report(path.relative_to(report).as_posix()):
            found[path.relative_to(context.directory).as_posix()] = file_sha256(path)
    return dict(sorted(found.items()))


def _asked(agent: Agent) -> dict[str, Any]:
    """Return who an agent is and how it is asked; never where it lives or with what key."""
    from potstill.pipeline.context import agent_identity

    told = dict(agent_identity(agent))
    return told | {
        "who": _portable(told["who"]),
        "sampling": dataclasses.asdict(agent.sampling),
        "samples": agent.samples,
        "when_cut": str(agent.past_cut or ""),
    }


def _prompts() -> dict[str, Any]:
    """Return the prompts that no study file holds."""
    from potstill.lessons.difficulty import RATING_SYSTEM

    return {
        "judge": JUDGE_SYSTEM,
        "judge again": REMINDER,
        "judge by rubric": RUBRIC_NOTE,
        "judge of a whole response": READING_NOTE,
        "condense": SYSTEM,
        "ladder": {spec.level.value: dataclasses.asdict(spec) for spec in LADDER},
        "rate": RATING_SYSTEM,
        "continue": CONTINUE_PROMPT,
    }


def _prices(study: Study) -> list[dict[str, Any]]:
    """Return what each bought model costs today, in dollars per million tokens, and who says so."""
    from potstill.study.agents import agent_price, is_free

    rows: dict[str, dict[str, Any]] = {}
    for agent in study.agents().values():
        if is_free(agent):
            continue
        model = str(agent.options.get("model", ""))
        own, listed = agent.options.get("price"), agent_price(agent)
        if isinstance(own, Mapping):
            rows[model] = {"model": model, **own, "source": "the study"}
        else:
            rows[model] = dataclasses.asdict(listed) if listed else {"model": model}
    return [rows[model] for model in sorted(rows)]


def _machine(study: Study) -> dict[str, Any]:
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "device": _device(study),
    }


def _device(study: Study) -> str:
    if study.student.backend == "mlx":
        return "mlx"
    from potstill.models.torch_base import choose_device

    return choose_device(study.student.device)


def _portable(value: Any) -> Any:
    """Return the value with files as the hash of their content; of one that is not here, its
    name.
    """
    from potstill.pipeline.context import is_path

    if isinstance(value, Mapping):
        return {str(name): _portable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(inner) for inner in value]
    told = fingerprint(value)
    return Path(told).name if isinstance(told, str) and is_path(told) else told
