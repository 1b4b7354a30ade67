"""What a benchmark stands on: the real data where it is, the peers that are installed, its sizes.

Without arguments a script ends within ten minutes on two cores, and its last line says what was
left out for that; what takes longer is asked for by argument.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["at_least_one", "lacks", "real_data", "tell_sample"]


def real_data(*parts: str) -> Path | None:
    """Return the folder that POTSTILL_DATA names; None where it is not set.

    Ends the script in a sentence where ``parts``, which it reads, are not in that folder.
    """
    named = os.environ.get("POTSTILL_DATA", "")
    if not named:
        return None
    missing = [part for part in parts if not Path(named, part).exists()]
    if missing:
        print(
            f"POTSTILL_DATA is {named}, which has no {missing[0]}; name the folder of real data, "
            "or unset it: what is measured is then made up.",
            file=sys.stderr,
        )
        sys.exit(2)
    return Path(named)


def lacks(module: str, install: str, then: str) -> bool:
    """Return whether a module is not installed, which is then said: what brings it, what happens
    now.
    """
    if find_spec(module):
        return False
    print(f"{module} is not installed ({install} brings it): {then}.", flush=True)
    return True


def at_least_one(given: str) -> int:
    """Return a number of things, for argparse, which tells what is none."""
    number = int(given) if given.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{given} is no number from 1 on")
    return number


def tell_sample(what: str) -> None:
    """Print a script's last line."""
    print(f"sampled: {what}", flush=True)
