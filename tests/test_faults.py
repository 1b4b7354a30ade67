"""Whatever happens to a study, it ends with its own report or stops with one true sentence."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import outlasting
from cable import cable
from faults import KINDS, ON_RAY, Driver
from outlasting import agents, write_study

TRAIN = 12
SMALL = {
    "levels": ["R1", "R6"],
    "training": {"preset": "pocket", "iterations": 3, "validate_every": 1},
    "evaluation": {"prompt": "{problem}", "max_tokens": 24},
    "require": "own",
}


def drive(folder: Path, kinds: list[str], seed: int, monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr(outlasting, "VALID", 4)
    with agents(TRAIN, latency_s=0.03) as (counting, url), cable(url) as (line, near):
        study = write_study(folder, near, TRAIN, **SMALL)
        calm = folder / "calm"
        run = [sys.executable, "-m", "potstill", "run", str(study), "--out", str(calm)]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
        counting.sold.clear()
        driver = Driver(study, calm, counting, line, seed)
        driver.go(kinds)
    print(f"\n{driver.strikes} faults; {driver.finished} runs finished")
    print(f"{driver.table()}\nreplies sold: {driver.sold}, needed: {driver.needed}")
    return driver


@pytest.mark.timeout(900)
def test_some_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = drive(tmp_path, ["kill", "flip_ledger", "tear"], 1, monkeypatch)
    assert driver.finished


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("share", range(4))
def test_three_hundred_faults_in_four_shares(
    share: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = 4 * int(os.environ.get("POTSTILL_FAULTS_SEED", "2")) + share
    print(f"\nseed {seed}")
    draw = random.Random(seed)
    kinds = [*KINDS * 6, *(ON_RAY * 2 if find_spec("ray") else ())]
    draw.shuffle(kinds)
    driver = drive(tmp_path, kinds, seed, monkeypatch)
    assert driver.strikes >= 75
    assert driver.finished >= 8
