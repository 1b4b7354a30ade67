from __future__ import annotations

import io
import re

from rich.console import Console

from potstill.progress import TerminalProgress


def test_what_is_told_stands_in_the_bar_and_the_line_fits_the_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with TerminalProgress(console).stage("train · 30 students", 6_000, "steps") as bar:
        bar.tell("12,345 tok/s", "loss 0.412")
        bar.advance(1_234)
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).replace("\r", "\n")
    shown = [line for line in seen.splitlines() if "loss" in line]
    assert shown, seen
    assert all(len(line) <= 80 for line in seen.splitlines())
    for text in ("train · 30 students", "1234/6000", "12,345 tok/s", "loss 0.412"):
        assert text in shown[-1]
