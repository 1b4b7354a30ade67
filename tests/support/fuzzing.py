"""A fuzz target: spoiled inputs, and the code that must take each or refuse it in one sentence."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from potstill.errors import PotstillError

__all__ = ["Target", "fuzzed"]

SHORT, SOAK = 50, 10_000


@dataclass(frozen=True)
class Target:
    """A parser of outside input. ``take`` is given a case and an empty folder of its own.

    ``refusals`` are what it may raise beside the error tree: a parser's own word for "this is
    none", which its one caller turns into a counted failure.
    """

    name: str
    cases: st.SearchStrategy[Any]
    take: Callable[[Any, Path], object]
    refusals: tuple[type[Exception], ...] = ()

    def hold(self, cases: int) -> Counter[str]:
        """Count how many cases were taken and refused. Raises whatever leaves the error tree."""
        counts: Counter[str] = Counter()
        slowest = 0.0
        with tempfile.TemporaryDirectory(dir=_in_memory()) as room:

            @settings(
                max_examples=cases,
                deadline=None,
                database=None,
                derandomize=cases <= SHORT,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=self.cases)
            def each(case: Any) -> None:
                nonlocal slowest
                began = time.monotonic()
                with tempfile.TemporaryDirectory(dir=room) as folder:
                    counts[self.verdict(case, Path(folder))] += 1
                slowest = max(slowest, time.monotonic() - began)

            each()
        print(
            f"{self.name}: {sum(counts.values()):,} cases, {dict(counts)}, slowest {slowest:.2f} s"
        )
        assert sum(counts.values()) >= cases
        return counts

    def verdict(self, case: Any, folder: Path) -> str:
        """Try one case: "taken" or "refused"."""
        try:
            self.take(case, folder)
        except PotstillError as exc:
            said = str(exc)
            assert said.strip(), "an error without a word"
            assert len(said) < 1_500, f"an error of {len(said)} characters: {said[:200]}"
            assert "\n" not in said, f"an error of several lines: {said}"
            return "refused"
        except self.refusals:
            return "refused"
        return "taken"


def _in_memory() -> str | None:
    """A file system without a disk, where there is one: every case writes a few files."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def fuzzed(targets: Sequence[Target]) -> Callable[[Any], Any]:
    """Run a test on each target: some fifty cases always, ten thousand where marked soak."""

    def mark(test: Any) -> Any:
        names = [target.name for target in targets]
        test = pytest.mark.parametrize("target", targets, ids=names)(test)
        counts = [SHORT, pytest.param(SOAK, marks=pytest.mark.soak)]
        return pytest.mark.parametrize("cases", counts)(test)

    return mark
