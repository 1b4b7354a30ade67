"""How many cores are used is what the machine has, or what the environment says."""

from __future__ import annotations

import os

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
