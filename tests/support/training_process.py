"""Trains one small cell in a process of its own, so that it can be killed. Prints every step."""

from __future__ import annotations

import sys
from pathlib import Path

from potstill.training.loop import train_cell
from potstill.training.recipe import Recipe
from potstill.training.records import GridCell, StepReport
from support.tiny_cell import make_examples

RECIPE = Recipe(
    rank=4,
    layers=1,
    learning_rate=2e-3,
    warmup_steps=3,
    batch_size=4,
    accumulation=2,
    iterations=30,
    validate_every=5,
    dropout=0.1,
    threads=1,
)


def main(backend: str, model: Path, out: Path, optimizer: str) -> None:
    """Train the cell on a backend, and print every step."""
    if backend == "mlx":
        from potstill.models.mlx_base import load_mlx_base

        base = load_mlx_base(model)
    else:
        from potstill.models.torch_base import load_base

        base = load_base(model, device="cpu")  # type: ignore[assignment]

    def tell(report: StepReport) -> None:
        print(report.point.step, flush=True)

    recipe = RECIPE.model_copy(update={"optimizer": optimizer})
    examples = make_examples(40)
    train_cell(
        base,
        GridCell("R1", 3),
        examples[:30],
        examples[30:],
        recipe,
        out,
        data_hash="d",
        on_step=tell,
        checkpoint_every_s=0.0,
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
