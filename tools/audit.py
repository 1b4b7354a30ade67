"""The pinned dependencies looked up among published advisories, by pip-audit. Used by make audit.

    python tools/audit.py constraints.txt [--required]

Exit 1 where a pinned version has a known vulnerability. Where the advisory service cannot be
reached nothing is known, which is said; with --required (for CI) that is exit 1 too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def main(path: str, *, required: bool) -> int:
    """Return the exit code, after a line for every advisory and one that says what was asked."""
    found = _asked(path)
    if found is None:
        print(f"pip-audit could not look up {path}: nothing is known about its versions.")
        return int(required)
    looked_up = [row for row in found if "vulns" in row]
    for row in looked_up:
        for advisory in row["vulns"]:
            mended = ", ".join(advisory["fix_versions"]) or "no release yet"
            print(f"{row['name']} {row['version']}: {advisory['id']}; mended in {mended}")
    affected = sum(bool(row["vulns"]) for row in looked_up)
    print(
        f"{len(looked_up)} of {len(found)} pinned versions looked up, {affected} with advisories."
    )
    if not looked_up:
        print("The advisory service cannot be reached from here: nothing is known.")
    missing = len(looked_up) < len(found)
    return int(affected > 0 or (required and missing))


def _asked(path: str) -> list[dict[str, Any]] | None:
    """Return what pip-audit says of every pinned version, None where it could not say anything."""
    command = [sys.executable, "-m", "pip_audit", "-r", path, "--no-deps", "--disable-pip"]
    done = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        print(f"pip-audit: {last[0]}", file=sys.stderr)
        return None
    return dependencies


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word != "--required"]
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    raise SystemExit(main(arguments[0], required="--required" in sys.argv))
