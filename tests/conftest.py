"""What every test stands on: no network but loopback, and the real data where it is there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# a machine may be busy: no test is about time
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Tests run side by side, a process on each core: what they start takes no second one, and a study
# trains in the process that runs it. A test of several processes says how many it takes.
os.environ |= {"PYTHON_CPU_COUNT": "1", "OMP_NUM_THREADS": "1"}

# started in the background it would be ignored, here and in every process that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
# files and folders of which each takes more than some seconds: they train, start processes,
# a browser or Ray, draw figures, or try very much; `make quick` runs what is beside them
SLOW = (
    *("cluster", "deploy", "docs", "fuzz", "models", "training"),
    *("evaluation/test_seeds.py", "grading/test_domains.py", "grading/test_hostile.py"),
    *("grading/test_pool.py", "grading/test_table.py", "pocket/test_problems.py"),
    *("pocket/test_student.py", "report/test_browser.py", "report/test_build_report.py"),
    *("report/test_figures.py", "solvers/test_api_faults.py", "solvers/test_api_kills.py"),
    "solvers/test_shared_prefix.py",
    "solvers/test_torch.py",
    "test_benchmarks.py",
    "test_cli.py",
    "test_compare.py",
    "test_corpus_kills.py",
    "test_doctor.py",
    "test_faults.py",
    "test_gap.py",
    "test_inspect.py",
    "test_own_table.py",
    "test_pipeline.py",
    "test_pipeline_mlx.py",
    "test_reproducibility.py",
    *("test_secrets.py", "test_security.py", "test_untrusted.py"),
)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def is_slow(path: Path) -> bool:
    """Whether a test file is one of ``SLOW``, or within one."""
    within = path.relative_to(TESTS)
    return any(within.is_relative_to(slow) for slow in SLOW)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave slow files unread where none of their tests is asked for: torch takes seconds."""
    return True if "not slow" in config.option.markexpr and is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow files as slow."""
    for item in items:
        if is_slow(item.path):
            item.add_marker("slow")


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Any:
    """Refuse every connection that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        outside = isinstance(address, tuple) and address[0] not in _LOOPBACK
        if self.family in (socket.AF_INET, socket.AF_INET6) and outside:
            raise OSError(f"a test tried to reach {address[0]}; only loopback is open to tests")
        return connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what ``potstill.cli.main.main`` sets for its process, which here is every test's."""
    monkeypatch.setenv("PYTHONSAFEPATH", "")  # read as not set
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data (competition/, math500.csv, recorded/, paper/), else a skip."""
    folder = Path(os.environ.get("POTSTILL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "competition").is_dir():
        pytest.skip(f"the real data is not at {folder}; set POTSTILL_DATA to its folder")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One headless Chromium for a file."""
    chromium = os.environ.get("POTSTILL_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-sync"]
    with sync.sync_playwright() as play:
        launched = play.chromium.launch(executable_path=chromium, args=flags)
        yield launched
        launched.close()
