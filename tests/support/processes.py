"""Modules of this package as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]


def start(module: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start a module of this package, named without it; its standard output is a pipe of text."""
    command = [sys.executable, "-m", f"support.{module}", *map(str, arguments)]
    # the command line, run in this process, sets PYTHONSAFEPATH: the current folder is not enough
    env = os.environ | {"PYTHONPATH": str(TESTS)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, **options)
