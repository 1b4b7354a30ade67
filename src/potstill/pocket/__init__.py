"""The pocket world: problems, a scripted teacher and a small student that run anywhere, offline.

The student's base has read worked text of the same families, in another format and never of a
held-out problem; its figures show that a pipeline works, not what a method is worth.
"""

from __future__ import annotations

from pathlib import Path

from potstill.pocket.problems import SPLITS, PocketProblem, generate, masked_key, normalise_text
from potstill.pocket.render import LEVELS, render
from potstill.pocket.steps import PocketStep, Ref

__all__ = [
    "LEVELS",
    "SPLITS",
    "STUDENT_PATH",
    "PocketProblem",
    "PocketStep",
    "Ref",
    "generate",
    "masked_key",
    "normalise_text",
    "render",
]

STUDENT_PATH = Path(__file__).parent / "student"
"""The base student's folder: load it as any transformers or mlx-lm model."""
