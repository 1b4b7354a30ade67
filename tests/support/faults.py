"""A seeded driver that does to a study what happens to studies, and sees how it comes through.

A study is run again and again, each time with one fault. After it the study goes on to the report
of an undisturbed run, or stops with one true sentence, whose advice is then followed.
"""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

from support.cable import Cable
from support.outside_agents import CONCURRENCY, Counting, artifacts, replies, report_of

__all__ = ["KINDS", "ON_RAY", "Driver", "table"]

# what a run takes at most before it is given up as hanging
_LIMIT_S = 240.0
# they may hit the same file twice, and so end with the same words
_DAMAGES = {"tear", "flip"}
_CLOCK = """import random, time
_time, _draw, _shift = time.time, random.Random({seed}), [0.0]
def _jumping():
    if _draw.random() < 0.05:
        _shift[0] = _draw.uniform(-86_400 * 400, 86_400 * 400)
    return _time() + _shift[0]
time.time = _jumping
"""


class Driver:
    """One study file, the directory it is run in, and what an undisturbed run made of it."""

    def __init__(self, study: Path, calm: Path, counting: Counting, line: Cable, seed: int) -> None:
        self.study, self.counting, self.line = study, counting, line
        self.folder = study.parent
        self.out = self.folder / "out"
        self.draw = random.Random(seed)
        self.calm = report_of(calm)
        self.calm_cells = artifacts(calm)
        self.ended: Counter[tuple[str, str]] = Counter()
        self.stopped = ("", "")
        # over all finished studies: replies sold, and how many different ones
        self.sold = self.needed = 0
        self.in_flight = 0
        self.kept: dict[str, str] = {}
        self.finished = 0
        # whether the last fault came before the end of its run, and how many did
        self.struck = True
        self.strikes = 0
        # how long an undisturbed run takes here, of a study without and with a report
        self.typical_s = {False: 8.0, True: 4.0}

    def go(self, kinds: list[str]) -> None:
        """Do one fault after another, every finished study compared and begun anew.

        One that comes after the end of its run is no fault, and is tried again.
        """
        for number, kind in enumerate(kinds, 1):
            for _ in range(5):
                started = time.monotonic()
                self.struck = True
                code, said = getattr(self, f"_{kind}")()
                struck = self.struck
                self._look(kind if struck else f"{kind} too late", code, said)
                took_s = time.monotonic() - started
                print(
                    f"{self.folder.name}: {number}/{len(kinds)} {kind}, {took_s:.1f} s:",
                    f"exit {code}" if struck else "too late",
                    *(_sentences(said) if code else []),
                    flush=True,
                )
                if struck:
                    self.strikes += 1
                    break
        for _ in range(12):
            code, said = self._run()
            self._look("at the end", code, said)
            if code == 0:
                self._settle()
                return
        raise AssertionError(f"the study does not finish any more: {said}")

    # --- the faults -----------------------------------------------------------------------------

    def _kill(self) -> tuple[int, str]:
        return self._run(after=lambda process: process.send_signal(signal.SIGKILL), costs=True)

    def _interrupt(self) -> tuple[int, str]:
        code, said = self._run(after=lambda p: p.send_signal(signal.SIGINT), costs=True)
        self.struck = code != 0
        return code, said

    def _kill_worker(self) -> tuple[int, str]:
        return self._run(after=lambda process: self._kill_child(process, ""))

    def _kill_ray_worker(self) -> tuple[int, str]:
        return self._run(after=lambda process: self._kill_child(process, "ray::Worker"), on="ray")

    def _kill_child(self, process: subprocess.Popen[str], name: str) -> bool:
        """Whether a process of the run was ended, as soon as there was one of that name."""
        with suppress(psutil.Error):
            while process.poll() is None:
                children = psutil.Process(process.pid).children(recursive=True)
                # Python starts its resource tracker anew, which prints what it has never heard of
                children = [
                    child
                    for child in children
                    if child.name().startswith(name)
                    and not any("resource_tracker" in word for word in child.cmdline())
                ]
                if children:
                    self.draw.choice(children).kill()
                    return True
                time.sleep(0.02)
        return False

    def _tear(self) -> tuple[int, str]:
        return self._damaged(lambda data: data[: -self.draw.randint(1, min(400, len(data)))])

    def _flip(self) -> tuple[int, str]:
        def flipped(data: bytes) -> bytes:
            at = self.draw.randrange(len(data))
            return data[:at] + bytes([data[at] ^ (1 << self.draw.randrange(8))]) + data[at + 1 :]

        return self._damaged(flipped)

    def _flip_ledger(self) -> tuple[int, str]:
        ledger = self.out / "ledger.sqlite"
        self._begun(ledger)
        while not replies(self.out):  # a copy without any is a lost ledger, which is refused
            code, said = self._kill()
            self._look("a run to begin with", code, said)
        with closing(sqlite3.connect(ledger)) as db:  # else the log beside it would undo the flip
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = ledger.read_bytes()
        data = bytearray(whole)
        for _ in range(self.draw.randint(1, 20)):
            data[self.draw.randrange(len(data))] ^= 1 << self.draw.randrange(8)
        ledger.write_bytes(data)
        before = self.counting.sold.total()
        code, said = self._run(costs=True)
        for path in self.out.glob("ledger.sqlite*"):
            path.unlink()
        ledger.write_bytes(
            whole
        )  # the copy that its owner keeps, which lacks what was bought since
        self.in_flight += self.counting.sold.total() - before
        self.kept = replies(self.out)
        return code, said

    def _disk_full(self) -> tuple[int, str]:
        file_bytes = self.draw.choice([4_096, 40_000, 200_000, 900_000])
        code, said = self._run(file_bytes=file_bytes, costs=True)
        self.struck = code != 0
        return code, said

    def _clock(self) -> tuple[int, str]:
        place = self.folder / "clock"
        place.mkdir(exist_ok=True)
        (place / "sitecustomize.py").write_text(_CLOCK.format(seed=self.draw.randrange(10**6)))
        return self._run(path=place)

    def _network(self) -> tuple[int, str]:
        return self._run(
            after=lambda process: self.line.cut(self.draw.uniform(0.1, 2.0)), costs=True
        )

    def _two_at_once(self) -> tuple[int, str]:
        other: list[subprocess.Popen[str]] = []
        code, said = self._run(before=lambda: other.append(self._start()), costs=True)
        second = other[0].communicate(timeout=_LIMIT_S)[0]
        self._sentence("two_at_once", other[0].returncode, second)
        return code, said

    def _changed_in_mid_run(self) -> tuple[int, str]:
        whole = self.study.read_text()
        changed = whole.replace("max_tokens: 24", "max_tokens: 25").replace("- R6\n", "")
        assert changed != whole

        def change(process: subprocess.Popen[str]) -> bool:
            # before the ledger is open, the study may not have been read
            with suppress(psutil.Error):
                while process.poll() is None and not any(
                    file.path.endswith("ledger.sqlite")
                    for file in psutil.Process(process.pid).open_files()
                ):
                    time.sleep(0.02)
            if process.poll() is not None:
                return False
            self.study.write_text(changed)
            return True

        outcome = self._run(after=change)
        self.study.write_text(whole)
        return outcome

    def _newer_version(self) -> tuple[int, str]:
        """The directory as a later version would write it: refused, and whole when put back."""
        place = self.out / "potstill.json"
        self._begun(place)
        whole = place.read_text()
        newer = re.sub(r'("format_version": *)\d+', r"\g<1>99", whole)
        assert newer != whole
        place.write_text(newer)
        code, said = self._run()
        assert code == 2, f"a newer directory was taken as this version's: {said}"
        place.write_text(whole)
        return code, said

    def _older_version(self) -> tuple[int, str]:
        """The directory as an earlier version would have written it: taken as it is."""
        self._begun(self.out / "potstill.json")
        for path in [self.out / "potstill.json", *self.out.glob("cells/*/*/manifest.json")]:
            written = re.sub(r'("format_version": *)\d+', r"\g<1>0", path.read_text())
            path.write_text(re.sub(r'("potstill": *)"[^"]*"', r'\g<1>"0.0.1"', written))
        return self._run()

    # --- how a run goes and what is looked at -----------------------------------------------------

    def _begun(self, path: Path) -> None:
        """Something is there to be damaged: a run killed after ``path`` was written, or a whole."""
        while not path.exists():
            code, said = self._kill()
            self._look("a run to begin with", code, said)
        self.struck = True

    def _damaged(self, damage: Any) -> tuple[int, str]:
        self._begun(self.out / "potstill.json")
        files = [
            path
            for path in sorted(self.out.rglob("*"))
            if path.is_file() and "ledger" not in path.name and path.stat().st_size
        ]
        path = self.draw.choice(files)
        damaged = damage(path.read_bytes())
        path.write_bytes(damaged)
        code, said = self._run()
        named = "cells" in path.parts and path.name != "manifest.json" and path.exists()
        if code == 0 and named and path.read_bytes() == damaged:
            # the report needed no look at it; what looks at everything must name it
            said = self._verified()
            name = str(path.relative_to(self.out))
            assert name in "".join(said.split()), f"verify passes {name} over: {said}"
            shutil.rmtree(path.parent)
            code, said = self._run()
        return code, f"{said} [damaged: {path.relative_to(self.out)}]"

    def _verified(self) -> str:
        command = [sys.executable, "-m", "potstill", "verify", str(self.out)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def _start(
        self, file_bytes: int = 0, path: Path | None = None, on: str = ""
    ) -> subprocess.Popen[str]:
        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

        env = dict(os.environ, OMP_NUM_THREADS="1", PYTHON_CPU_COUNT="default")
        if path:
            env["PYTHONPATH"] = os.pathsep.join([str(path), env.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "potstill", "run", str(self.study), "--out", str(self.out)]
        return subprocess.Popen(
            [*command, *(["--on", on] if on else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env,
            preexec_fn=limited if file_bytes else None,
        )

    def _run(
        self,
        after: Any = None,
        before: Any = None,
        costs: bool = False,
        file_bytes: int = 0,
        path: Path | None = None,
        on: str = "",
    ) -> tuple[int, str]:
        """Run the study; ``after`` is done to the process at some moment of its run.

        It returns False where it found nothing to do. ``costs`` says that the fault may lose the
        replies in flight, which are then bought again.
        """
        if before:
            before()
        finished = (self.out / "report").exists()
        started = time.monotonic()
        process = self._start(file_bytes, path, on)
        reader = _Reader(process)
        if after:
            wait_s = self.draw.uniform(0.1, self.typical_s[finished])
            while process.poll() is None and time.monotonic() - started < wait_s:
                time.sleep(0.02)
            self.struck = process.poll() is None and after(process) is not False
        try:
            code = process.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"the run hangs: {reader.text()[-500:]}") from None
        self.in_flight += CONCURRENCY if costs else 0
        if code == 0 and not on:
            took_s = time.monotonic() - started
            self.typical_s[finished] += 0.3 * (took_s - self.typical_s[finished])
        return code, reader.text()

    def _look(self, kind: str, code: int, said: str) -> None:
        now = replies(self.out)
        assert self.kept.items() <= now.items(), f"{kind}: a committed reply was lost or changed"
        self.kept = now
        self._sentence(kind, code, said)
        if code == 0:
            self._compare(kind)
            self.ended[kind, "finished as undisturbed"] += 1
            self.finished += 1
            if self.draw.random() < 0.6:  # the others go on with a finished study
                shutil.rmtree(self.out)
                self.kept = {}
                # what a new directory buys anew is no reply bought twice
                self._settle()
                self.in_flight = 0
        elif code in (-signal.SIGKILL, -signal.SIGINT):
            self.ended[kind, "killed"] += 1
        else:
            self.ended[kind, "stopped with a sentence"] += 1

    def _settle(self) -> None:
        self.sold += self.counting.sold.total()
        self.needed += len(self.counting.sold)
        self.counting.sold.clear()

    def _sentence(self, kind: str, code: int, said: str) -> None:
        """An end that is no success is one sentence, and its advice is followed."""
        assert "Traceback" not in said, f"{kind}: {said}"
        if code in (0, -signal.SIGKILL, -signal.SIGINT):
            return
        last = _sentences(said)
        assert code in (1, 2, 130), f"{kind}: exit code {code}: {said[-800:]}"
        assert len(last) == 1, f"{kind}: not one sentence: {said[-800:]}"
        before, self.stopped = self.stopped, (kind, last[0])
        same = before[1] == last[0] and before[0] != kind and not {before[0], kind} <= _DAMAGES
        assert not same, f"{kind}: the advice did not help: {last[0]}"
        advised = re.search(r"delete the folder (\S+) and run again", last[0])
        if advised:
            shutil.rmtree(advised[1].rstrip("/"))
        advised = re.search(r"delete the file (\S+) and run again", last[0])
        if advised:
            Path(advised[1]).unlink()

    def _compare(self, kind: str) -> None:
        assert report_of(self.out) == self.calm, f"{kind}: another report"
        cells = artifacts(self.out)
        assert {k: cells.get(k) for k in self.calm_cells} == self.calm_cells, (
            f"{kind}: other tables"
        )
        twice = self.counting.sold.total() - len(self.counting.sold)
        assert twice <= self.in_flight, f"{kind}: {twice} bought twice, {self.in_flight} in flight"


def table(ended: Counter[tuple[str, str]]) -> str:
    """Tell how every kind of fault ended, a line each."""
    ends = sorted({end for _, end in ended})
    lines = []
    for kind in dict.fromkeys(kind for kind, _ in ended):
        counts = {end: ended[kind, end] for end in ends if ended[kind, end]}
        told = ", ".join(f"{count} {end}" for end, count in counts.items())
        lines.append(f"{kind}: {sum(counts.values())} ({told})")
    return "\n".join(lines)


def _sentences(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("potstill: ")]


class _Reader:
    """What a process says, read as it comes, so that its pipe never fills."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._thread.start()

    def _read(self, stream: Any) -> None:
        with suppress(ValueError):
            self._lines.extend(stream)

    def text(self) -> str:
        self._thread.join(timeout=5)
        return "".join(self._lines)


KINDS = (
    "kill", "interrupt", "kill_worker", "tear", "flip", "flip_ledger", "disk_full", "clock",
    "network", "two_at_once", "changed_in_mid_run", "newer_version", "older_version",
)  # fmt: skip
# a run on Ray takes half a minute more
ON_RAY = ("kill_ray_worker",)
