"""The cells of a small grid, and a process that trains two of them without an end.

python -m support.grid_jobs MODEL OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from potstill.models.torch_base import load_base
from potstill.training.grid import Job, train_cells
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell
from support.tiny_cell import make_examples

RECIPE = Recipe(rank=4, alpha=8, learning_rate=1e-2, iterations=8, validate_every=4, batch_size=4)


def job(seed: int, folder: Path, recipe: Recipe = RECIPE) -> Job:
    """Make the job of R1 with a seed, trained into a folder of its own beneath ``folder``."""
    train, valid = tuple(make_examples(12)), tuple(make_examples(4, first=100))
    return Job(GridCell("R1", seed), train, valid, recipe, folder / f"R1-{seed}", "data")


def main(model: str, out: Path) -> None:
    """Train two cells for very long, and print every step."""
    recipe = RECIPE.model_copy(update={"iterations": 100_000})
    jobs = [job(k, out, recipe) for k in range(2)]
    base = load_base(model, device="cpu")
    reports = train_cells(base, jobs, workers=2, on_step=lambda x: print(x.point.step, flush=True))
    list(reports)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
