"""Memory and time of one training step with gradient checkpointing and without.

    python benchmarks/checkpointing.py [--backend mlx] [--shape tiny] [--tokens N]
        [--layers N] [--rounds N]

A model of Qwen2.5-0.5B's shape with random weights, LoRA on its top layers (all 24 take about 17
GB without checkpointing), one example of so many tokens. Every run is a process of its own. The
memory of a step is its largest resident set during the step less that before it, on MLX what its
allocator held; the time is that of the step alone, after a short one that warms up. The settings
take turns in every round. A line for each, then JSON: medians and the ratios of on to off.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from circumstances import at_least_one, lacks, tell_sample
from potstill.training.memory import STUDENT_SIZES, Shape
from random_model import write_model_of

SHAPES = {
    "0.5B": STUDENT_SIZES[0],
    "tiny": Shape("tiny", 0, 4, 64, 128, 4, 2, vocabulary=384, tied=True),
}
_SAMPLED_EVERY_S = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", choices=["torch", "mlx"], default="torch")
    parser.add_argument("--shape", choices=SHAPES, default="0.5B")
    parser.add_argument("--tokens", type=at_least_one, default=4096)
    parser.add_argument("--layers", type=at_least_one, default=4)
    parser.add_argument("--rounds", type=at_least_one, default=1)
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "HOW"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        step = torch_step if args.backend == "torch" else mlx_step
        print(json.dumps(step(Path(args.one[0]), args.one[1], args.tokens, args.layers)))
        return
    if args.backend == "mlx" and lacks("mlx_lm", "pip install 'potstill[mlx]'", "nothing to do"):
        return
    with tempfile.TemporaryDirectory() as folder:
        write_model_of(Path(folder), SHAPES[args.shape], args.tokens)
        found: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
        for _ in range(args.rounds):
            for how, runs in found.items():
                runs.append(_in_a_process(folder, how, args))
                print(f"checkpointing {how}: {runs[-1]}", flush=True)
    middle = {
        how: {name: median(run[name] for run in runs) for name in runs[0]}
        for how, runs in found.items()
    }
    ratios = {name: round(middle["on"][name] / middle["off"][name], 3) for name in middle["on"]}
    sizes = {"tokens": args.tokens, "layers": args.layers, "rounds": args.rounds}
    print(
        json.dumps(
            {"model": args.shape, "backend": args.backend, **sizes, **middle, "on / off": ratios}
        )
    )
    tell_sample(f"{args.rounds} steps of {args.tokens} tokens, {args.layers} adapted layers")


def _in_a_process(folder: str, how: str, args: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", folder, how]
    command += [f"--{name}={getattr(args, name)}" for name in ("backend", "tokens", "layers")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def torch_step(folder: Path, how: Any, tokens: int, layers: int) -> dict[str, float]:
    """Return gigabytes and seconds of one step over an example of so many tokens."""
    from potstill.models.torch_base import load_base
    from potstill.training.torch_trainer import open_torch_trainer

    base = load_base(str(folder), "float32")
    with open_torch_trainer(base, _recipe(how, tokens, layers), 0) as trainer:
        trainer.step([_batch(64)], 1e-4)
        process = psutil.Process()
        before, peak, done = process.memory_info().rss, 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(_SAMPLED_EVERY_S):
                peak = max(peak, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.perf_counter()
        trainer.step([_batch(tokens)], 1e-4)
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    return {"GB": round((peak - before) / 1e9, 2), "s": round(seconds, 1)}


def mlx_step(folder: Path, how: Any, tokens: int, layers: int) -> dict[str, float]:
    """Return the same on MLX."""
    import mlx.core as mx

    from potstill.models.mlx_base import load_mlx_base
    from potstill.training.mlx_trainer import open_mlx_trainer

    base = load_mlx_base(str(folder), "float32")
    with open_mlx_trainer(base, _recipe(how, tokens, layers), 0) as trainer:
        trainer.step([_batch(64)], 1e-4)
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        start = time.perf_counter()
        trainer.step([_batch(tokens)], 1e-4)
        seconds = time.perf_counter() - start
        peak = mx.get_peak_memory()
    return {"GB": round((peak - before) / 1e9, 2), "s": round(seconds, 1)}


def _recipe(how: Any, tokens: int, layers: int) -> Any:
    from potstill.training.recipe import Recipe

    settings = {"layers": layers, "checkpointing": how, "batch_size": 1}
    return Recipe.model_validate(settings | {"max_sequence_tokens": tokens})


def _batch(length: int) -> Any:
    from potstill.training.batches import collate
    from potstill.training.examples import EncodedExample

    ids = tuple(3 + i % 300 for i in range(length))
    return collate([EncodedExample("made", ids, length // 4)])


if __name__ == "__main__":
    main()
