"""How near training and answering come to what the machine multiplies, and where the rest goes.

    python benchmarks/matrix_share.py [--base MODEL] [--shape tiny] [--layers N] [--examples N]
        [--tokens N] [--answers N] [--new-tokens N] [--threads N]

A model of SmolLM2-135M's shape with random weights, or --base: a folder or a GGUF file. Training
is steps of --examples examples of --tokens tokens, the second half of each learnt, LoRA on the top
--layers, whole and from the activation cache; answering is --answers prompts decoded side by side,
--new-tokens tokens each, their prefill left out.

What neither can do without are the products with the model's own weights: each is timed alone at
its own number of rows, in the same run, and their sum beside the time of a step is the share. The
profile, from steps of its own, is by torch's operators, each one's own time.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from circumstances import at_least_one, tell_sample
from potstill.cores import core_count
from potstill.training.memory import Shape
from random_model import write_model_of

SHAPES = {
    "135M": Shape("135M", 0, 30, 576, 1536, 9, 3, vocabulary=49152, tied=True),
    "tiny": Shape("tiny", 0, 4, 64, 128, 4, 2, vocabulary=384, tied=True),
}
ROUNDS = 5
TOLD = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="a folder or GGUF file, in place of random weights")
    parser.add_argument("--shape", choices=SHAPES, default="135M")
    parser.add_argument("--layers", type=at_least_one, default=8)
    parser.add_argument("--examples", type=at_least_one, default=8)
    parser.add_argument("--tokens", type=at_least_one, default=192)
    parser.add_argument("--answers", type=at_least_one, default=32)
    parser.add_argument("--new-tokens", type=at_least_one, default=32)
    parser.add_argument("--threads", type=at_least_one, default=core_count())
    args = parser.parse_args()
    from transformers.utils import logging

    from potstill.models.torch_base import cpu_threads

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder, cpu_threads(args.threads):
        base = _open_base(args, Path(folder))
        found = {
            "training": training(base, args, cached=False),
            "training, activation cache": training(base, args, cached=True),
            "answering": answering(base, args),
        }
    for name, figures in found.items():
        print(
            f"{name}: {figures['tokens/s']:.0f} tokens/s; the products alone take "
            f"{figures['share']:.0%} of it, at {figures['GFLOP/s']:.1f} GFLOP/s",
            flush=True,
        )
        for operator, part in figures["profile"].items():
            print(f"    {part:6.1%}  {operator}")
    sizes = {"base": args.base or args.shape, "threads": args.threads}
    print(json.dumps({**sizes, **found}))
    rounds = f"{ROUNDS} rounds of {args.examples} examples of {args.tokens} tokens"
    tell_sample(f"{rounds}, {args.answers} answers of {args.new_tokens} tokens")


def _open_base(args: argparse.Namespace, folder: Path) -> Any:
    from potstill.models.torch_base import load_base

    if args.base:
        return load_base(args.base)
    write_model_of(folder, SHAPES[args.shape], 2048)
    return load_base(folder)


def training(base: Any, args: argparse.Namespace, *, cached: bool) -> dict[str, Any]:
    """Return speed, share and profile of a training step."""
    import numpy as np

    from potstill.training.activation_cache import CacheUnused, open_cache, plan_cache
    from potstill.training.batches import collate
    from potstill.training.examples import EncodedExample
    from potstill.training.recipe import Recipe
    from potstill.training.torch_trainer import open_torch_trainer

    drawn = np.random.default_rng(0)
    examples = [
        EncodedExample(
            "made", tuple(drawn.integers(3, 300, args.tokens).tolist()), args.tokens // 2
        )
        for _ in range(args.examples)
    ]
    settings = {"layers": args.layers, "batch_size": args.examples, "checkpointing": "off"}
    recipe = Recipe.model_validate(
        settings | {"max_sequence_tokens": args.tokens, "threads": args.threads}
    )
    batch = collate(examples)
    uses = len(examples) * 10
    plan = plan_cache(base.model, recipe, examples, uses) if cached else CacheUnused("not asked")
    layers = base.body.layers
    lowest = len(layers) - args.layers
    rows, learnt = batch.padded_tokens, len(batch.target_N)
    # forwards through what runs, backwards through what is adapted; the head both ways
    weights = [(weight, rows, 1) for weight in _weights(layers[lowest if cached else 0 :])]
    weights += [(weight, rows, 1) for weight in _weights(layers[lowest:])]
    weights += [(base.head.weight, learnt, 2)]
    with (
        open_cache(base.body, plan, lambda _: None) as cache,
        open_torch_trainer(
            base, recipe, 0, cache=None if isinstance(cache, CacheUnused) else cache
        ) as trainer,
    ):
        return _measure(lambda: trainer.step([batch], 1e-5), weights, rows)


def answering(base: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Return speed, share and profile of a step of decoding."""
    from potstill.models.decoding import Request
    from potstill.models.torch_decoding import TorchDecoder
    from potstill.records import Sampling

    base = dataclasses.replace(base, stop_tokens=frozenset())
    decoder = TorchDecoder(base, args.answers)
    steps = (args.new_tokens * (2 * ROUNDS + 1)) + 1
    prompts = [tuple(3 + (k + j) % 300 for j in range(64)) for k in range(args.answers)]
    sampling = Sampling(max_tokens=steps)
    decoder.step([Request(k, prompt, sampling) for k, prompt in enumerate(prompts)])
    weights = [(weight, args.answers, args.new_tokens) for weight in _weights(base.body.layers)]
    weights += [(base.head.weight, args.answers, args.new_tokens)]

    def steps_of_all() -> None:
        for _ in range(args.new_tokens):
            decoder.step([])

    return _measure(steps_of_all, weights, args.answers * args.new_tokens)


def _measure(
    work: Callable[[], object], weights: list[tuple[Any, int, int]], tokens: int
) -> dict[str, Any]:
    """Return what ``work`` takes beside the products of ``weights`` (weight, rows, times)."""
    work()
    seconds: list[float] = []
    alone: list[float] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
        alone.append(_products_s(weights))
    operations = sum(2.0 * rows * times * weight.numel() for weight, rows, times in weights)
    return {
        "tokens/s": tokens / median(seconds),
        "share": median(alone) / median(seconds),
        "GFLOP/s": operations / median(alone) / 1e9,
        "profile": _profile(work),
    }


def _products_s(weights: Iterable[tuple[Any, int, int]]) -> float:
    """Return the seconds of all products, each layer's own weights read as they are in a step."""
    import torch

    total = 0.0
    with torch.inference_mode():
        for weight, rows, times in weights:
            hidden = torch.ones(rows, weight.shape[1], dtype=weight.dtype)
            started = time.perf_counter()
            torch.nn.functional.linear(hidden, weight)
            total += times * (time.perf_counter() - started)
    return total


def _weights(layers: Iterable[Any]) -> list[Any]:
    from potstill.training.speed import projections

    return [projection.weight for projection in projections(layers)]


def _profile(work: Callable[[], object]) -> dict[str, float]:
    """Return the share of an operator's own time in all of them, the largest first."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as told:
        work()
    own = {event.key: event.self_cpu_time_total for event in told.key_averages()}
    most = sorted(own.items(), key=lambda item: -item[1])[:TOLD]
    return {name: spent / sum(own.values()) for name, spent in most}


if __name__ == "__main__":
    main()
