"""What this machine has: each part is asked in a process of its own, all of them at once.

A library that hangs, crashes or is broken on this machine costs its own line and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.store.atomic import versions_of

__all__ = ["Device", "Machine", "look_around"]

PROBE_S = 3.5
_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "version": torch.__version__,
    "built_for": torch.version.cuda or "",
    "cuda": [torch.cuda.get_device_name(0), *torch.cuda.mem_get_info(0)] if cuda else [],
    "mps": torch.backends.mps.recommended_max_memory() if torch.backends.mps.is_available() else 0,
}))
"""
_MLX = """
import json, mlx.core as mx
device = mx.default_device()
print(json.dumps({
    "version": mx.__version__,
    "device": "gpu" if device.type == mx.gpu else "cpu",
    "memory": mx.device_info().get("max_recommended_working_set_size", 0),
}))
"""
_PINS = hasattr(os, "sched_getaffinity")
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True, slots=True)
class Device:
    """Something that students are trained on: ``kind`` is cpu, cuda, mps or mlx."""

    kind: str
    name: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found. ``torch`` and ``mlx`` are versions, and what is wrong with them if anything.

    ``devices`` are empty of what did not answer in time.
    """

    cores: int
    memory_free_bytes: int
    memory_bytes: int
    disk_free_bytes: int
    torch: str
    torch_built_for: str
    mlx: str
    nvidia: str
    chromium: str
    devices: tuple[Device, ...]
    packages: Mapping[str, str]


def look_around(folder: Path) -> Machine:
    """Return what this machine has, ``folder`` being where the disk is looked at.

    Takes up to PROBE_S.
    """
    import psutil

    with ThreadPoolExecutor(3) as pool:
        torch_, mlx_, smi = (
            pool.submit(_ask_python, "torch", _TORCH),
            pool.submit(_ask_python, "mlx", _MLX),
            pool.submit(_ask, ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]),
        )
    memory = psutil.virtual_memory()
    torch_said, mlx_said = torch_.result(), mlx_.result()
    return Machine(
        cores=len(os.sched_getaffinity(0)) if _PINS else os.cpu_count() or 1,
        memory_free_bytes=memory.available,
        memory_bytes=memory.total,
        disk_free_bytes=shutil.disk_usage(folder).free,
        torch=_version(torch_said),
        torch_built_for=str(torch_said.get("built_for", "")),
        mlx=_version(mlx_said),
        nvidia=next((line for line in smi.result().splitlines() if line != "failed"), ""),
        chromium=_chromium(),
        devices=tuple(_devices(torch_said, mlx_said, memory.available, memory.total)),
        packages=versions_of(("mlx-lm", "bitsandbytes", "gguf", "llama-cpp-python", "ray")),
    )


def _devices(
    torch: Mapping[str, Any], mlx: Mapping[str, Any], free: int, total: int
) -> list[Device]:
    found = []
    if torch.get("cuda"):
        found.append(Device("cuda", *torch["cuda"]))
    if torch.get("mps"):
        found.append(Device("mps", "Apple GPU", min(free, torch["mps"]), torch["mps"]))
    if "version" in torch and not found:
        found.append(Device("cpu", "CPU", free, total))
    if "version" in mlx:
        most = int(mlx["memory"]) or total
        found.append(Device("mlx", mlx["device"], min(free, most), most))
    return found


def _ask_python(package: str, code: str) -> dict[str, Any]:
    """Return what a line of code says of a package, or {"wrong": why it says nothing}."""
    here = versions_of([package]).get(package)
    if here is None and find_spec(package) is None:
        return {"wrong": "not installed"}
    said = _ask([sys.executable, "-c", code])
    try:
        told: dict[str, Any] = json.loads(said)
        return told
    except ValueError:
        slow = f"did not answer within {PROBE_S} s; try again when the machine is less busy"
        return {"wrong": f"{here or 'installed'}, but it {'cannot be imported' if said else slow}"}


def _version(said: Mapping[str, Any]) -> str:
    return str(said.get("version", said.get("wrong")))


def _ask(command: list[str]) -> str:
    """Return what a command prints, or a word of its failure; "" where it is not there or too
    slow.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "failed" if done.returncode else done.stdout


def _chromium() -> str:
    named = os.environ.get("POTSTILL_CHROMIUM", "")
    return named or next((path for name in _CHROMIUMS if (path := shutil.which(name))), "")
