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

# started in the background it would be ignored, here and in every process that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


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
