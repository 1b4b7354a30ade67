"""Run every check that wants a GPU, in slices, each kept as soon as it ends.

``python tools/gpu_check.py OUT [--minutes 9]`` goes on where the last call with the same OUT
stopped, and ends within its minutes; call it until it says that nothing is left. OUT/checks.jsonl
has a line for each check that ended (what was run, exit status, seconds, machine), OUT/NAME.txt all
it said. A study is stopped with Ctrl-C and goes on in the next slice; any other check that a whole
slice does not hold is told as too long and not begun again.

What is run: the tests on CUDA; ``studies/gsm8k.yaml`` with five seeds and all 1,319 held-out
problems (POTSTILL_LEVELS and POTSTILL_BASE as the study has them; left out without the first); the
shapes of 1.5B and 7B with random weights beside TRL (one step of each and the grid's time from it);
answering beside transformers' ``generate``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Check", "checks_of", "main", "run_checks"]

ROOT = Path(__file__).resolve().parents[1]
_SECONDS_TO_STOP = 20.0
_LEAST_S = 1.0
_TOO_LONG = "too long for a slice"


@dataclass(frozen=True, slots=True)
class Check:
    """A command, and whether it goes on where it was stopped."""

    name: str
    command: Sequence[str]
    goes_on: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


_GUARD = """
import os, signal, sys
sys.stdin.buffer.read()  # ends when who started it does, however that is
try:
    os.killpg(int(sys.argv[1]), signal.SIGKILL)
except ProcessLookupError:
    pass
"""
"""Ends what a check started, if this tool is killed: a process group outlives who made it."""


def checks_of(out: Path, device: str) -> Iterator[Check]:
    """Yield the checks in the order in which they are worth most."""
    python = sys.executable
    yield Check("cuda-tests", [python, "-m", "pytest", "-q", "-rs", "tests/training/test_cuda.py"])
    if levels := os.environ.get("POTSTILL_LEVELS"):
        study = _write_study(out, device)
        run = ["run", str(study), "--out", str(out / "gsm8k")]
        # where this tool was called, as a shell means it: the check runs elsewhere
        env = {"POTSTILL_LEVELS": str(Path(levels).resolve())}
        base = os.environ.get("POTSTILL_BASE", "")
        if base and Path(base).exists():
            env["POTSTILL_BASE"] = str(Path(base).resolve())
        yield Check("gsm8k", [python, "-m", "potstill", *run], goes_on=True, env=env)
    shaped = ["--device", device, "--precision", "bfloat16", "--shape"]
    for shape in ("7B", "1.5B"):
        training = [python, "benchmarks/training.py", *shaped, shape]
        yield Check(f"training-{shape}", training)
    for shape in ("1.5B", "7B"):
        answering = [python, "benchmarks/answering.py", "--models", "random", *shaped, shape]
        yield Check(f"answering-{shape}", [*answering, "--answers", "64"])


def _write_study(out: Path, device: str) -> Path:
    """Write the study of GSM8K for a GPU: five seeds, in bfloat16."""
    import yaml

    study = yaml.safe_load((ROOT / "studies" / "gsm8k.yaml").read_text(encoding="utf-8"))
    study["seeds"] = [0, 1, 2, 3, 4]
    study["student"] |= {"device": device, "precision": "bfloat16"}
    path = out / "gsm8k.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    return path


def run_checks(checks: Sequence[Check], out: Path, seconds: float) -> list[str]:
    """Run the checks that have not ended yet, for so many seconds at most, and return the names of
    those still to end.
    """
    kept = out / "checks.jsonl"
    ended = {row["name"] for row in _read(kept)}
    begin = time.monotonic()
    left = [check for check in checks if check.name not in ended]
    for check in tuple(left):
        started = time.monotonic()
        if begin + seconds - started < _LEAST_S:
            break
        status = _run(check, out, begin + seconds - started)
        had_the_slice = started - begin < _LEAST_S
        if status is None and (check.goes_on or not had_the_slice):
            break
        row = {"name": check.name, "command": list(check.command), "status": status}
        row |= {"seconds": round(time.monotonic() - started, 1), "machine": _machine()}
        if status is None:
            row["why"] = _TOO_LONG
        _append(kept, row)
        print(f"{check.name}: {_TOO_LONG if status is None else status}", flush=True)
        left.remove(check)
    return [check.name for check in left]


def _run(check: Check, out: Path, seconds: float) -> int | None:
    """Return a check's exit status, None where it was stopped after so many seconds."""
    with (out / f"{check.name}.txt").open("ab") as said:
        process = subprocess.Popen(
            check.command,
            cwd=ROOT,
            stdout=said,
            stderr=said,
            env=os.environ | check.env,
            start_new_session=True,
        )
    guard = subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(process.pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:  # also where Ctrl-C stops this tool, which the check's own group does not hear
        if process.poll() is None and check.goes_on:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_STOP)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        guard.kill()
        guard.communicate()


def _read(path: Path) -> list[dict[str, Any]]:
    """Return what is kept of the checks that ended, but for a line that was torn off."""
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "name" in row:
            rows.append(row)
    return rows


def _append(path: Path, row: Mapping[str, Any]) -> None:
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _machine() -> str:
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "no CUDA"


def main() -> None:
    """Run what is left, within the minutes given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--device", default="cuda", help="cpu tries the order without a GPU")
    args = parser.parse_args()
    seconds = 60 * args.minutes - _SECONDS_TO_STOP
    if seconds < _LEAST_S:
        parser.error(f"--minutes {args.minutes:g} leaves no time for a check; give 1 or more.")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.device == "cuda" and _machine() == "no CUDA":
        raise SystemExit("There is no CUDA GPU here.")
    checks = list(checks_of(args.out.resolve(), args.device))
    left = run_checks(checks, args.out, seconds)
    print(f"left: {', '.join(left)}; call this again." if left else "Nothing is left.")


if __name__ == "__main__":
    main()
