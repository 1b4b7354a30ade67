"""How many cores are this process's to use."""

from __future__ import annotations

import os

__all__ = ["core_count", "most_threads"]


def core_count() -> int:
    """Return the cores this process may use, which in a container are fewer than the machine's.

    PYTHON_CPU_COUNT, which Python itself reads from 3.13 on, says another number, as for a process
    that shares its machine with others.
    """
    given = os.environ.get("PYTHON_CPU_COUNT", "")
    if given.isdecimal() and int(given):
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def most_threads() -> int:
    """Return the most threads to compute with: the cores, or OMP_NUM_THREADS where that is fewer,
    as it is for a worker that shares its machine.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(core_count(), int(given)) if given.isdigit() else core_count()
