"""Where the real competition files are, and how to fetch them if they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real problems: POTSTILL_DATA, or shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("POTSTILL_DATA") or beside)
    if not (folder / "competition").is_dir():
        pytest.skip(f"the real data is not at {folder} (set POTSTILL_DATA)")
    return folder
