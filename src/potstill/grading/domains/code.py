"""Kind ``code``: the answer is Python that must pass the problem's unit tests.

The response's last fenced Python block (or its whole text where there is none) is written with the
tests into an empty directory and run by a new interpreter in isolated mode, with an empty
environment, limits of wall time and resident memory enforced from outside, and output cut off. The
tests are plain statements and ``test_*`` functions; they pass where the process comes to their end
and says so under a name that the answer cannot know.

Covered: endless loops, memory, forks that stay in the process tree, ``sys.exit``, output floods,
an answer that prints "passed" or leaves before the tests ran. NOT covered: this is no sandbox. The
code runs as your user and can read your files and use your network; run answers of models you do
not trust inside a container or a virtual machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, Field

from potstill.grading.extraction import Extraction
from potstill.grading.maths.comparison import (
    Comparison,
    KeyUnreadable,
    different,
    equal_with,
    unreadable,
)
from potstill.records import Problem

__all__ = ["Options", "compare", "extract"]

_FENCE = re.compile(r"```[ \t]*(?:python3?|py)?[ \t]*\r?\n(.*?)```", re.DOTALL | re.IGNORECASE)
WATCH_EVERY_S = 0.02
MAX_OUTPUT = 100_000


class Options(BaseModel):
    """Limits per answer: wall seconds and megabytes of resident memory of the process tree.

    Within the least of each Python itself starts; below it every answer would be wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    limit_s: float = Field(default=10.0, ge=0.5, le=3600)
    memory_mb: int = Field(default=512, ge=64, le=1_048_576)


def extract(problem: Problem, text: str) -> Extraction:
    """Return the code of a response: its last fenced block, else the whole text."""
    del problem
    blocks = _FENCE.findall(text)
    if blocks:
        return Extraction(blocks[-1].strip("\n"), "code block")
    return Extraction(text.strip("\n"), "whole text")


def compare(problem: Problem, text: str, options: Options) -> Comparison:
    """Return whether the response's code passes the problem's tests within the limits."""
    tests = problem.gold_text
    try:
        compile(tests, "<tests>", "exec")
    except (SyntaxError, ValueError) as error:
        raise KeyUnreadable(f"the tests are not Python: {error}") from error
    source = extract(problem, text).text
    try:
        compile(source, "<answer>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return unreadable(f"the answer is not Python: {type(error).__name__}: {error}")
    return _run(source, tests, options)


def _run(source: str, tests: str, options: Options) -> Comparison:
    # The name under which the tests report their end is drawn anew and never in the answer's reach
    # before the answer has been run.
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="potstill-code-") as folder:
        place = Path(folder)
        (place / "answer.py").write_text(source, encoding="utf-8", errors="replace")
        (place / "tests.py").write_text(tests, encoding="utf-8", errors="replace")
        (place / "run.py").write_text(_RUNNER, encoding="utf-8")
        with (place / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(place / "run.py")],
                cwd=folder,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": folder},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            reason = _watch(process, token, place / "output", options)
        told = (place / "output").read_bytes()[-MAX_OUTPUT:].decode("utf-8", "replace")
    if reason:
        return different(reason)
    if process.returncode == 0 and told.rstrip().endswith(f"{token} passed"):
        return equal_with("every test passed")
    last = [line for line in told.strip().split("\n") if line.strip() and token not in line]
    return different(f"a test failed: {last[-1][:200] if last else 'the code left early'}")


def _watch(process: subprocess.Popen[bytes], token: str, output: Path, options: Options) -> str:
    """Wait for the end; why the process tree was killed, or "" where it ended by itself."""
    assert process.stdin is not None
    try:
        process.stdin.write(token.encode())
        process.stdin.close()
    except OSError:
        pass
    began, reason = time.monotonic(), ""
    while process.poll() is None and not reason:
        time.sleep(WATCH_EVERY_S)
        if time.monotonic() - began > options.limit_s:
            reason = f"stopped after {options.limit_s:g} s"
        elif _used(process.pid) > options.memory_mb * 1_048_576:
            reason = f"stopped at {options.memory_mb} MB of memory"
        elif output.stat().st_size > 50 * MAX_OUTPUT:
            reason = "stopped for too much output"
    _kill_tree(process)
    return reason


def _used(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for each in [parent, *parent.children(recursive=True)]:
            total += int(each.memory_info().rss)
    except psutil.Error:
        pass
    return total


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End whatever the code left running: its session is its own."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        children = []
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, 9)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    if process.poll() is None:
        process.kill()
    process.wait()


_RUNNER = """\
import os, sys, traceback
token = sys.stdin.read()
sys.stdin = open(os.devnull)
real_exit = os._exit
folder = os.path.dirname(os.path.abspath(__file__))
names = {"__name__": "answer"}
def run(name, names):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        exec(compile(file.read(), name, "exec"), names)
def main(token):
    try:
        run("answer.py", names)
        before = set(names)
        run("tests.py", names)
        for name in sorted(set(names) - before):
            if name.startswith("test") and callable(names[name]):
                names[name]()
    except BaseException as error:
        traceback.print_exc()
        print(type(error).__name__ + ": " + str(error))
        sys.stdout.flush()
        real_exit(1)
    sys.stdout.flush()
    sys.__stdout__.flush()
    os.write(1, ("\\n" + token + " passed\\n").encode())
    real_exit(0)
secret, token = token, None
main(secret)
"""
