from __future__ import annotations

import pytest

from potstill.pocket import PocketProblem, generate


@pytest.fixture(scope="session")
def heldout() -> list[PocketProblem]:
    return generate("heldout", 700)


@pytest.fixture(scope="session")
def train() -> list[PocketProblem]:
    return generate("train", 500)


@pytest.fixture(scope="session")
def many(heldout: list[PocketProblem], train: list[PocketProblem]) -> list[PocketProblem]:
    return heldout + train
