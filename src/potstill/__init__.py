"""Potstill: distil a large model's reasoning into a compact student, and know whether it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.grading import grade

__all__ = ["grade"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from potstill import grading

        return getattr(grading, name)
    raise AttributeError(f"module 'potstill' has no attribute {name!r}")
