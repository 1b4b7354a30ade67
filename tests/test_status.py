"""What ``potstill status`` says of a study that did not go on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from potstill.cli.status import _why


def test_a_long_error_keeps_its_beginning_and_its_end() -> None:
    lost = ["timeout", f"refused: {'a' * 400}\n{'b' * 400}."]
    found: Any = SimpleNamespace(study=SimpleNamespace(budget_usd=None), unanswered=lambda: lost)
    (why,) = _why(found, 0.0)
    shown = f"refused: {'a' * 141} [...] {'b' * 149}"
    assert why == f"2 calls had no reply; the last: {shown}."
