"""Whatever happens to a study, it ends with its own report or stops with one true sentence."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from support import outside_agents
from support.cable import cable
from support.faults import KINDS, ON_RAY, Driver, table
from support.outside_agents import agents, write_study

TRAIN = 12
SMALL = {
    "levels": ["R1", "R6"],
    "training": {"preset": "pocket", "iterations": 3, "validate_every": 1},
    "evaluation": {"prompt": "{problem}", "max_tokens": 24},
    "require": "own",
}


def drive(folder: Path, kinds: list[str], seed: int) -> Driver:
    with agents(TRAIN, latency_s=0.03) as (counting, url), cable(url) as (line, near):
        study = write_study(folder, near, TRAIN, **SMALL)
        calm = folder / "calm"
        run = [sys.executable, "-m", "potstill", "run", str(study), "--out", str(calm)]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
        counting.sold.clear()
        driver = Driver(study, calm, counting, line, seed)
        driver.go(kinds)
        return driver


def tell(drivers: Sequence[Driver]) -> None:
    ended = sum((driver.ended for driver in drivers), Counter[tuple[str, str]]())
    strikes, finished, sold, needed = (
        sum(getattr(driver, what) for driver in drivers)
        for what in ("strikes", "finished", "sold", "needed")
    )
    print(f"\n{strikes} faults; {finished} runs finished")
    print(f"{table(ended)}\nreplies sold: {sold}, needed: {needed}")


@pytest.fixture(autouse=True)
def _few_to_validate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_agents, "VALID", 4)


@pytest.mark.timeout(900)
def test_some_faults(tmp_path: Path) -> None:
    driver = drive(tmp_path, ["flip_ledger", "tear"], 1)
    tell([driver])
    assert driver.finished


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_three_hundred_faults(tmp_path: Path) -> None:
    """Dealt out to four studies side by side."""
    seed = int(os.environ.get("POTSTILL_FAULTS_SEED", "2"))
    print(f"\nseed {seed}")
    kinds = [*KINDS * 24, *(ON_RAY * 6 if find_spec("ray") else ())]
    random.Random(seed).shuffle(kinds)

    def share(number: int) -> Driver:
        folder = tmp_path / str(number)
        folder.mkdir()
        return drive(folder, kinds[number::4], 4 * seed + number)

    with ThreadPoolExecutor(4) as pool:
        drivers = list(pool.map(share, range(4)))
    tell(drivers)
    assert sum(driver.strikes for driver in drivers) >= 300
    assert sum(driver.finished for driver in drivers) >= 30
