"""How many cores are used is what the machine has, or what the environment says."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from potstill.cores import core_count


@pytest.mark.parametrize("said", ["", "default", "0", "-2", "two"])
def test_without_a_number_all_cores_are_used(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", said)
    if hasattr(os, "sched_getaffinity"):
        assert core_count() == len(os.sched_getaffinity(0))
    else:
        assert core_count() == os.cpu_count()


def test_the_environment_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "7")
    assert core_count() == 7


@pytest.mark.parametrize(
    ("own", "user", "nice", "threads"),
    [(0, 0.0, 0.0, 4), (0, 50.0, 0.0, 2), (0, 0.0, 50.0, 4), (5, 0.0, 50.0, 2), (0, 100.0, 0.0, 1)],
)
def test_what_runs_at_a_lower_priority_leaves_its_core_free(
    monkeypatch: pytest.MonkeyPatch, own: int, user: float, nice: float, threads: int
) -> None:
    import psutil

    from potstill.models import torch_base

    fields = dict.fromkeys(psutil.cpu_times()._fields, 7.0)
    spent = {"user": user / 100, "nice": nice / 100, "idle": 1 - (user + nice) / 100}
    later = {name: seconds + spent.get(name, 0.0) for name, seconds in fields.items()}
    looks = iter([SimpleNamespace(**fields, _fields=tuple(fields)), SimpleNamespace(**later)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(looks))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    monkeypatch.setenv("PYTHON_CPU_COUNT", "4")
    monkeypatch.setattr(os, "nice", lambda step: own)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert torch_base.idle_threads() == threads
