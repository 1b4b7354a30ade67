"""A student on MLX: our trainer beside mlx-lm's own trainer, side by side in one run.

    python benchmarks/training_mlx.py [--steps N] [--rounds N] [--median WORDS]

One model of random weights under 5M parameters, the paper's recipe (LoRA rank 8 on all layers,
batch 4, loss on the completion only), the lengths of the recorded lessons where POTSTILL_DATA is
set and lognormal ones elsewhere. Both take turns of N steps; the first step of each turn is not
timed. Counted are real tokens a second: tokens of examples, not of padding. Without MLX and mlx-lm
(``pip install 'potstill[mlx]'``) there is nothing to measure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from circumstances import at_least_one, lacks, real_data, tell_sample
from potstill.training.batches import BatchStream
from potstill.training.examples import EncodedExample
from potstill.training.loading import open_trainer
from potstill.training.recipe import Recipe
from random_model import write_random_model

RECIPE = Recipe.preset("paper", layers="all")
SEED = 0


def chats(median: float) -> list[list[dict[str, str]]]:
    """Return the chats of real lengths: the paper's own training file, or words drawn at random."""
    data = real_data("recorded/distilled_train.jsonl")
    if data:
        lines = (data / "recorded" / "distilled_train.jsonl").read_text("utf-8").strip().split("\n")
        return [json.loads(line)["messages"] for line in lines]
    rng = np.random.default_rng(SEED)
    lengths = rng.lognormal(np.log(median), 0.6, size=(500, 2)).astype(int) + 5
    words = [f"word{n}" for n in range(500)]
    return [
        [
            {"role": "user", "content": " ".join(rng.choice(words, a // 3 + 3))},
            {"role": "assistant", "content": " ".join(rng.choice(words, b))},
        ]
        for a, b in lengths
    ]


class Ours:
    """Our trainer and batches."""

    def __init__(self, folder: Path, examples: list[EncodedExample]) -> None:
        from potstill.models.mlx_base import load_mlx_base

        self._base = load_mlx_base(folder)
        self._batches = BatchStream(examples, RECIPE.batch_size, np.random.default_rng(SEED))
        self._open = open_trainer(self._base, RECIPE, SEED)
        self._trainer = self._open.__enter__()

    def turn(self, steps: int) -> tuple[int, int, float]:
        """Return the real tokens, padded tokens and seconds of ``steps`` steps."""
        real = padded = 0
        for step in range(steps + 1):
            batch = next(self._batches)
            if step == 1:
                started = time.perf_counter()
            self._trainer.step([batch], RECIPE.highest_rate)
            if step:
                real += batch.real_tokens
                padded += batch.padded_tokens
        return real, padded, time.perf_counter() - started


class Theirs:
    """``mlx_lm.lora``: its model, data set, batches, loss and loop."""

    def __init__(self, folder: Path, chats: list[list[dict[str, str]]]) -> None:
        import mlx.optimizers as optim
        from mlx_lm.tuner.datasets import CacheDataset, ChatDataset
        from mlx_lm.tuner.utils import linear_to_lora_layers
        from mlx_lm.utils import load

        self._model, tokenizer = load(str(folder))
        self._model.freeze()
        config = {"rank": RECIPE.rank, "scale": RECIPE.scale, "dropout": 0.0}
        config["keys"] = {f"self_attn.{x}_proj" for x in "qkvo"} | {
            f"mlp.{x}_proj" for x in ("gate", "up", "down")
        }
        linear_to_lora_layers(self._model, len(self._model.layers), config)
        self._optimizer = optim.Adam(learning_rate=RECIPE.highest_rate)
        data = [{"messages": chat} for chat in chats]
        self._data = CacheDataset(ChatDataset(data, tokenizer, mask_prompt=True))
        self._seed = SEED

    def turn(self, steps: int) -> tuple[int, int, float]:
        """Return the real tokens, padded tokens and seconds of ``steps`` steps."""
        from mlx_lm.tuner.trainer import TrainingArgs, iterate_batches, train

        seen: list[tuple[int, int, float]] = []

        def counted(*arguments: Any, **options: Any) -> Iterator[Any]:
            for batch, lengths in iterate_batches(*arguments, **options):
                real = int(lengths[:, 1].sum().item())
                seen.append((real, batch.size, time.perf_counter()))
                yield batch, lengths

        np.random.seed(self._seed)
        self._seed += 1
        with tempfile.TemporaryDirectory() as room:
            arguments = TrainingArgs(
                batch_size=RECIPE.batch_size,
                iters=steps + 1,
                val_batches=0,
                steps_per_report=1,  # so that a step is finished before the next is asked for
                steps_per_eval=10**9,
                steps_per_save=10**9,
                max_seq_length=4096,
                adapter_file=f"{room}/adapters.safetensors",
            )
            train(
                self._model, self._optimizer, self._data, None, arguments, iterate_batches=counted
            )
        ended = time.perf_counter()
        timed = seen[1 : steps + 1]
        return sum(x[0] for x in timed), sum(x[1] for x in timed), ended - timed[0][2]


def main() -> None:
    """Print the turns, one line of JSON, and what was sampled."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=at_least_one, default=2)
    parser.add_argument("--rounds", type=at_least_one, default=2)
    parser.add_argument("--median", type=float, default=120, help="words of a made-up lesson")
    options = parser.parse_args()
    if lacks("mlx_lm", "pip install 'potstill[mlx]'", "nothing was measured"):
        return
    data = chats(options.median)
    with tempfile.TemporaryDirectory() as room:
        texts = [turn["content"] for chat in data for turn in chat]
        folder = write_random_model(
            Path(room) / "model",
            texts,
            vocabulary=4096,
            hidden=192,
            layers=4,
            heads=6,
            key_value_heads=2,
            feed_forward=512,
            context_tokens=4096,
        )
        ours, theirs = Ours(folder, encoded(folder, data)), Theirs(folder, data)
        rates: dict[str, list[float]] = {"ours": [], "mlx-lm": []}
        padding: dict[str, float] = {}
        for _ in range(options.rounds):
            for name, contestant in (("mlx-lm", theirs), ("ours", ours)):
                real, padded, seconds = contestant.turn(options.steps)  # type: ignore[attr-defined]
                rates[name].append(real / seconds)
                padding[name] = 1 - real / padded
                told = f"{real / seconds:,.0f} real tokens/s, {padding[name]:.0%} padding"
                print(f"{name}: {told}", flush=True)
    found = {
        "mlx_vs_mlx_lm": round(float(np.mean(rates["ours"]) / np.mean(rates["mlx-lm"])), 2),
        "real_tokens_per_s": {k: [round(x) for x in v] for k, v in rates.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("mlx", "mlx-lm")},
    }
    print(json.dumps(found))
    source = "recorded lessons" if os.environ.get("POTSTILL_DATA") else "lognormal lengths"
    tell_sample(f"{options.rounds} turns of {options.steps} steps each; {source}")


def encoded(folder: Path, data: list[list[dict[str, str]]]) -> list[EncodedExample]:
    """Return the chats as the trainer takes them, each with the tokens that mlx-lm gives it."""
    from potstill.models.torch_base import load_tokenizer

    tokenizer = load_tokenizer(folder)
    found = []
    for number, chat in enumerate(data):
        whole = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False)
        prompt = tokenizer.apply_chat_template(
            chat[:-1], add_generation_prompt=True, tokenize=True, return_dict=False
        )
        found.append(EncodedExample(str(number), tuple(whole), len(prompt)))
    return found


if __name__ == "__main__":
    main()
