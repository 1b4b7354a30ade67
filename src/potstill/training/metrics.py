"""What a run measures as it goes: a line of JSON a step, and trackers by name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.store.atomic import write_atomically
from potstill.store.untrusted import parse_json

__all__ = ["TRACKERS", "Metrics", "check_trackers"]

TRACKERS = ("trackio", "wandb")
"""Both have ``init(project, name, config)``, ``log(values, step)`` and ``finish()``."""


def check_trackers(names: Sequence[str]) -> None:
    """Raise InputError for a tracker that is not known or not installed."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"There is no tracker {name!r}; there are {', '.join(TRACKERS)}.")
        if find_spec(name) is None:
            raise InputError(
                f"training_log names {name}, which is not installed; pip install {name}, or take "
                "it out."
            )


class Metrics:
    """``metrics.jsonl`` of one run, whole lines only, and the trackers beside it."""

    def __init__(
        self, path: Path, trackers: Sequence[str], name: str, config: Mapping[str, Any]
    ) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._trackers = [import_module(x) for x in trackers]
        for tracker in self._trackers:
            tracker.init(project="potstill", name=name, config=dict(config))

    def back_to(self, step: int) -> None:
        """Take out what stands beyond ``step``, which will be run again.

        So is a line that cannot be read: whatever damaged it, the run goes by its checkpoint.
        """
        if self.path.exists():
            lines = self.path.read_bytes().splitlines(keepends=True)
            write_atomically(self.path, b"".join(x for x in lines if _step_of(x) <= step))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Write one line more and tell every tracker."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        known = {name: value for name, value in values.items() if value is not None}
        for tracker in self._trackers:
            tracker.log(known, step=step)

    def close(self) -> None:
        """Finish the trackers' runs."""
        for tracker in self._trackers:
            tracker.finish()


def _step_of(line: bytes) -> float:
    """Return the step of a whole line; infinity for any other."""
    try:
        step = parse_json(line)["step"] if line.endswith(b"\n") else None
    except (ValueError, LookupError, TypeError):
        step = None
    return step if isinstance(step, int) else math.inf
