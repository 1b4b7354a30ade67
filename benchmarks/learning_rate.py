"""Which learning rate trains a base best, and whether that differs by more than seeds do.

    python benchmarks/learning_rate.py [--base MODEL] [--rates 0.00015 0.0005 0.0015]
        [--seeds N] [--layers N] [--lessons N] [--steps N] [--batch N] [--tokens N]

Lessons are GSM8K's training problems with their authors' solutions, in POTSTILL_DATA; without it
the pocket problems with their answers. A fifth of --lessons more are for validation. A student is
trained for each rate and seed: LoRA of the default recipe on the top --layers, its schedule of
--steps steps. Told is the least validation loss of each, in nats a token, and each rate's mean; the
rates are compared with the same seeds. Told as well is the padded share of all tokens computed:
what packing short examples together could save at most.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from circumstances import at_least_one, real_data, tell_sample

SYSTEM = "Think through the problem step by step, then state the answer clearly."
RATES = (1.5e-4, 5e-4, 1.5e-3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="a folder or a GGUF file; the pocket base where not given")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--seeds", type=at_least_one, default=2)
    parser.add_argument("--layers", type=at_least_one, default=8)
    parser.add_argument("--lessons", type=at_least_one, default=160)
    parser.add_argument("--steps", type=at_least_one, default=40)
    parser.add_argument("--batch", type=at_least_one, default=8)
    parser.add_argument("--tokens", type=at_least_one, default=512, help="longer ones are left out")
    args = parser.parse_args()
    from transformers.utils import logging

    from potstill.models.torch_base import load_base
    from potstill.pocket import STUDENT_PATH

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    base = load_base(args.base or STUDENT_PATH)
    found, padding = trained(base, args)
    for rate, losses in found.items():
        told = ", ".join(f"{loss:.4f}" for loss in losses)
        print(f"rate {rate:g}: validation loss {mean(losses):.4f} (by seed: {told})", flush=True)
    print(f"padding: {padding:.1%} of the tokens computed")
    best = min(found, key=lambda rate: mean(found[rate]))
    print(json.dumps({"base": args.base or "pocket", "losses": found, "best": best}))
    lessons = (
        f"{args.lessons} lessons, {args.steps} steps of {args.batch}, top {args.layers} layers"
    )
    tell_sample(f"{lessons}, {args.seeds} seeds")


def trained(base: Any, args: argparse.Namespace) -> tuple[dict[float, list[float]], float]:
    """Return the least validation loss by rate, for each seed, and the padded share of all."""
    from potstill.training.grid import Job, train_cells
    from potstill.training.recipe import Recipe
    from potstill.training.records import GridCell

    lessons = examples(args.lessons + max(1, args.lessons // 5))
    settings = {
        "layers": min(args.layers, len(base.body.layers)),
        "batch_size": args.batch,
        "iterations": args.steps,
        "warmup_steps": min(10, args.steps // 4),
        "validate_every": max(1, args.steps // 5),
        "max_sequence_tokens": min(args.tokens, base.context_tokens),
    }
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            Job(
                GridCell(f"rate {rate:g}", seed),
                lessons[: args.lessons],
                lessons[args.lessons :],
                Recipe.model_validate(settings | {"learning_rate": rate}),
                Path(folder) / f"{rate:g}-{seed}",
                "lessons of the benchmark",
            )
            for rate in args.rates
            for seed in range(args.seeds)
        ]
        done = {job.cell: cell for job, cell in train_cells(base, jobs, on_note=print)}
    losses: dict[float, list[float]] = {}
    for job in jobs:
        history = done[job.cell].history
        least = min(x.validation_loss for x in history if x.step and x.validation_loss is not None)
        losses.setdefault(job.recipe.learning_rate, []).append(least)
    return losses, mean(cell.padding for cell in done.values())


def examples(count: int) -> tuple[Any, ...]:
    """Return problems with their solutions as they would be taught."""
    from potstill.chat import Message
    from potstill.pocket.problems import generate
    from potstill.training.examples import Example

    data = real_data("gsm8k/train.jsonl")
    if data is None:
        made = [(x.text, f"\\boxed{{{x.answer}}}") for x in generate("train", count)]
    else:
        lines = (data / "gsm8k" / "train.jsonl").read_text("utf-8").strip().split("\n")
        rows = [json.loads(lines[k * len(lines) // count]) for k in range(count)]
        made = [(row["question"], told(row["solution"], row["answer"])) for row in rows]
    system = Message("system", SYSTEM)
    return tuple(
        Example(f"problem-{k}", (system, Message("user", text)), said)
        for k, (text, said) in enumerate(made)
    )


def told(solution: str, answer: str) -> str:
    """Return a solution without the marks of its calculator, its answer in a box."""
    said = re.sub(r"<<.*?>>", "", solution).split("####")[0].strip()
    return f"{said}\nThe answer is \\boxed{{{answer}}}."


if __name__ == "__main__":
    main()
