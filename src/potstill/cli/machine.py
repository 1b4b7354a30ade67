"""What this machine has: each part is asked in a process of its own, all of them at once.

A library that hangs, crashes or is broken on this machine costs its own line and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.store.atomic import versions_of

__all__ = ["Device", "Machine", "look_around"]

STILL_S = 3.5
"""What has done nothing for so long hangs; what still works or reads is let go on: torch on a cold
disk, or on a machine that is busy, takes far longer to be imported."""

MOST_S = 90.0
_SAID_AFTER_S = 3.0
_LOOK_EVERY_S = 0.1
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

    ``devices`` are empty of what did not answer; ``silent`` names the libraries that did not, and
    of which nothing is known.
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
    silent: frozenset[str] = frozenset()


def look_around(folder: Path) -> Machine:
    """Return what this machine has, ``folder`` being where the disk is looked at.

    Takes as long as torch needs to be imported, which is said on a terminal.
    """
    import psutil

    with ThreadPoolExecutor(3) as pool:
        torch_, mlx_, smi = (
            pool.submit(_ask_python, "torch", _TORCH),
            pool.submit(_ask_python, "mlx", _MLX),
            pool.submit(_ask_nvidia),
        )
        asked: tuple[Future[Any], ...] = (torch_, mlx_, smi)
        if wait(asked, _SAID_AFTER_S).not_done and sys.stderr.isatty():
            print("Waiting for torch to be imported ...", file=sys.stderr, flush=True)
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
        nvidia=smi.result(),
        chromium=_chromium(),
        devices=tuple(_devices(torch_said, mlx_said, memory.available, memory.total)),
        packages=versions_of(("mlx-lm", "bitsandbytes", "gguf", "llama-cpp-python", "ray")),
        silent=frozenset(
            name for name, said in (("torch", torch_said), ("mlx", mlx_said)) if "silent" in said
        ),
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
    try:
        said = _ask([sys.executable, "-c", code])
    except TimeoutError as exc:
        again = "try again when the machine is less busy"
        wrong = f"{here or 'installed'}, but it did not answer within {exc}; {again}"
        return {"wrong": wrong, "silent": True}
    try:
        told: dict[str, Any] = json.loads(said)
        return told
    except ValueError:
        return {"wrong": f"{here or 'installed'}, but it cannot be imported"}


def _version(said: Mapping[str, Any]) -> str:
    return str(said.get("version", said.get("wrong")))


def _ask_nvidia() -> str:
    """Return the first NVIDIA GPU's name, "" where its driver names none."""
    try:
        said = _ask(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    except TimeoutError:
        return ""
    return next(iter(said.splitlines()), "")


def _ask(command: list[str]) -> str:
    """Return what a command prints, "" where it fails or is not there.

    Raises TimeoutError with a time in words where it does nothing for STILL_S, or does not end
    within MOST_S.
    """
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet)
    except OSError:
        return ""
    with process:
        try:
            said = _patiently(process)
        except TimeoutError:
            process.kill()
            raise
    return "" if process.returncode else said.decode("utf-8", "replace")


def _patiently(process: subprocess.Popen[bytes]) -> bytes:
    began = stirred = time.monotonic()
    done = None
    while True:
        try:
            return process.communicate(timeout=_LOOK_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            now, work = time.monotonic(), _work_of(process.pid)
        if work != done:
            done, stirred = work, now
        if now - stirred > STILL_S:
            raise TimeoutError(f"{STILL_S:g} s of its last sign of life")
        if now - began > MOST_S:
            raise TimeoutError(f"{MOST_S:.0f} s")


def _work_of(pid: int) -> tuple[object, ...]:
    """Return what a process has done so far: seconds of a core, bytes read.

    Of what waits for a disk it is never twice the same.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_DISK_SLEEP:
            return (time.monotonic(),)
        times = process.cpu_times()
        read = process.io_counters() if hasattr(process, "io_counters") else None
    except psutil.Error:
        return ()
    return times.user, times.system, read


def _chromium() -> str:
    named = os.environ.get("POTSTILL_CHROMIUM", "")
    return named or next((path for name in _CHROMIUMS if (path := shutil.which(name))), "")
