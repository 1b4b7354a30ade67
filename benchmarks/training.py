"""The grid of students: Potstill beside TRL's SFTTrainer, side by side in one run.

    pip install 'potstill[bench]'
    python benchmarks/training.py [--steps N] [--device cuda --shape 7B --precision bfloat16]

A random-weight model (real vocabulary of 151,936) is trained with the paper's recipe: LoRA rank 8
on the top 16 layers, batch 4, loss on the completion only. Its shape is one of Qwen2.5's, or one of
a tenth of a billion parameters, which two cores step through in minutes. The token lengths are
those of the recorded lessons (six levels) where POTSTILL_DATA is set, else lognormal ones. Without
TRL, Potstill is timed alone.

Each contestant is a process of its own (so that peak memory is its own) and does one step in turn,
so that a noisy machine hits all alike. Which batches a run of 200 steps has follows from each
contestant's own sampler; of all of them those at even quantiles of the padded tokens are timed, and
the mean is scaled by tokens to the mean of all. 30 cells of 200 steps are then 6,000 mean steps,
and for Potstill the pass that fills the activation cache. Loading and validation are in no figure.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from circumstances import at_least_one, lacks, real_data, tell_sample
from potstill.training.examples import EncodedExample
from potstill.training.loading import open_trainer
from potstill.training.optimizations import Optimizations
from potstill.training.recipe import Recipe

CELLS, LEVELS, STEPS = 30, 6, 200
RECIPE = Recipe.preset("paper")
BATCH = RECIPE.batch_size
VOCABULARY = 151_936
# Hidden, layers, heads, key-value heads, feed-forward; from 0.5B on of Qwen2.5's config.json.
SHAPES = {
    "tiny": (64, 18, 4, 2, 128),
    "0.1B": (384, 18, 6, 2, 1152),
    "0.5B": (896, 24, 14, 2, 4864),
    "1.5B": (1536, 28, 12, 2, 8960),
    "7B": (3584, 28, 28, 4, 18944),
}
TRL = ("trl_tuned", "trl_default")
OFF = {
    "no activation cache": Optimizations(activation_cache=False),
    "no gathered head": Optimizations(gathered_head=False),
    "no fused LoRA": Optimizations(fused_lora=False),
    "backward through all layers": Optimizations(short_backward=False),
    "none of these": Optimizations(
        activation_cache=False, gathered_head=False, fused_lora=False, short_backward=False
    ),
}

Batches = list[list[EncodedExample]]


def read_lessons() -> tuple[list[list[tuple[list[dict[str, str]], str]]], str]:
    """Return the chats and completions of the six levels, and where they are from."""
    data = real_data("recorded/distilled_train.jsonl", "recorded/condensed_competition.csv")
    if data is None:
        return [], "synthetic lengths (prompt 60, completion lognormal around 100 to 20 tokens)"
    recorded = data / "recorded"
    lines = (recorded / "distilled_train.jsonl").read_text(encoding="utf-8").strip().split("\n")
    chats = [json.loads(line)["messages"] for line in lines]
    levels = [[(chat[:-1], chat[-1]["content"]) for chat in chats]]
    csv.field_size_limit(10**9)
    with (recorded / "condensed_competition.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[: len(chats)]
    for level in range(1, LEVELS):
        levels.append(
            [
                ([chats[0][0], {"role": "user", "content": r["question"]}], r[f"reasoning_{level}"])
                for r in rows
            ]
        )
    return levels, f"recorded lessons, {len(chats)} a level"


def make_levels(folder: Path, shape: str, precision: str) -> tuple[list[Any], str]:
    """Return the encoded levels; the model is written to ``folder``."""
    from potstill.chat import Message
    from potstill.models.torch_base import load_tokenizer
    from potstill.training.examples import Example, encode_examples
    from random_model import write_random_model

    lessons, source = read_lessons()
    hidden, layers, heads, key_value_heads, feed_forward = SHAPES[shape]
    chats = lessons[0] if lessons else [([{"content": "1 + 1"}], "1 + 1 = 2")]
    write_random_model(
        folder,
        [text for chat, last in chats for text in (chat[-1]["content"], last)],
        vocabulary=VOCABULARY,
        tokenizer_vocabulary=8192,
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_value_heads=key_value_heads,
        feed_forward=feed_forward,
        context_tokens=32768,
        spread=0.02,
        precision=precision,
    )
    if not lessons:
        return synthetic_levels(), source
    tokenizer = load_tokenizer(folder)
    levels = []
    for lesson in lessons:
        examples = [
            Example(str(k), tuple(Message(m["role"], m["content"]) for m in chat), completion)
            for k, (chat, completion) in enumerate(lesson)
        ]
        limit = RECIPE.sequence_tokens(2048)
        levels.append(list(encode_examples(tokenizer, examples, limit).examples))
    return levels, source


def synthetic_levels() -> list[list[EncodedExample]]:
    """Return six levels of 500 random examples whose completions shrink."""
    rng = np.random.default_rng(0)
    levels = []
    for median in (100, 80, 60, 45, 30, 20):
        lengths = 60 + rng.lognormal(np.log(median), 0.6, 500).astype(int).clip(2, 1900)
        levels.append(
            [
                EncodedExample(str(k), tuple(rng.integers(3, 8000, n).tolist()), 60)
                for k, n in enumerate(lengths)
            ]
        )
    return levels


def potstill_batches(examples: list[EncodedExample], seed: int, bucketed: bool = True) -> Batches:
    from potstill.training.batches import epoch_batches

    rng = np.random.default_rng([seed, 1])
    found: Batches = []
    while len(found) < STEPS:
        found += epoch_batches(examples, BATCH, rng, bucketed)
    return found[:STEPS]


def trl_batches(examples: list[EncodedExample], seed: int, grouped: bool) -> Batches:
    """Return what transformers' samplers give: random, or its LengthGroupedSampler."""
    import torch
    from transformers.trainer_pt_utils import get_length_grouped_indices

    generator = torch.Generator().manual_seed(seed)
    lengths = [len(example.tokens) for example in examples]
    found: Batches = []
    while len(found) < STEPS:
        order = (
            get_length_grouped_indices(lengths, BATCH, generator=generator)
            if grouped
            else torch.randperm(len(examples), generator=generator).tolist()
        )
        found += [[examples[k] for k in order[i : i + BATCH]] for i in range(0, len(order), BATCH)]
    return found[:STEPS]


def padded(batch: Sequence[EncodedExample]) -> int:
    return len(batch) * max(len(example.tokens) for example in batch)


def choose(batches: Batches, steps: int) -> tuple[Batches, float]:
    """Return the batches at even quantiles of the padded tokens, and what scales their mean to the
    mean.
    """
    by_size = sorted((b for b in batches if len(b) == BATCH), key=padded)
    chosen = [by_size[int((k + 0.5) / steps * len(by_size))] for k in range(steps)]
    mean = sum(map(padded, batches)) / len(batches)
    # In an order that is neither rising nor falling; the first step warms up and is not counted.
    order = np.random.default_rng(0).permutation(steps)
    scale = mean / (sum(map(padded, chosen)) / steps)
    return [by_size[0]] + [chosen[k] for k in order], scale


def run_potstill(pipe: Connection, args: Any, folder: str, batches: Batches) -> None:
    """Take the steps as ordered; the activation cache of the timed examples first."""
    import torch

    from potstill.models.torch_base import load_base
    from potstill.training.activation_cache import ActivationCache, open_cache, plan_cache
    from potstill.training.batches import collate

    base = load_base(folder, args.precision, args.device)
    torch.set_num_threads(args.threads)
    distinct = list({example.tokens: example for batch in batches for example in batch}.values())
    plan = plan_cache(base.model, RECIPE, distinct, 10 * len(distinct))
    list(open_upto(base, distinct[:2]))  # warms up
    started = time.perf_counter()
    with open_cache(base.body, plan, lambda note: print(note, file=sys.stderr)) as cache:
        if not isinstance(cache, ActivationCache):
            raise SystemExit(f"The activation cache is not used: {cache.reason}.")
        pass_s = time.perf_counter() - started
        tokens = sum(len(example.tokens) for example in distinct)
        pipe.send({"cache_s_per_token": pass_s / tokens})
        recipe = RECIPE.model_copy(update={"threads": args.threads})
        with open_trainer(base, recipe, 0, cache=cache) as trainer:
            serve(pipe, lambda k: trainer.step([collate(batches[k])], 1e-5), len(batches))
        pipe.send(peak_memory(args.device))
        while (order := pipe.recv()) is not None:
            optimizations, batch = order
            with open_trainer(base, recipe, 0, optimizations, cache) as trainer:
                started = time.perf_counter()
                trainer.step([collate(batch)], 1e-5)
                pipe.send(time.perf_counter() - started)


def open_upto(base: Any, examples: list[EncodedExample]) -> Iterator[Any]:
    import torch

    with torch.no_grad():
        for example in examples:
            yield base.body(input_ids=torch.tensor([example.tokens], device=base.device))


def serve(pipe: Connection, step: Callable[[int], Any], count: int) -> None:
    for k in range(count):
        pipe.recv()
        started = time.perf_counter()
        step(k)
        pipe.send(time.perf_counter() - started)


def run_trl(pipe: Connection, args: Any, folder: str, batches: Batches, tuned: bool) -> None:
    """Run a real SFTTrainer.train() over the timed batches in order; each step waits for its
    turn.
    """
    import torch
    import transformers
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    depth = SHAPES[args.shape][1]
    rows = [
        {
            "input_ids": list(example.tokens),
            "completion_mask": [
                int(k >= example.prompt_length) for k in range(len(example.tokens))
            ],
        }
        for batch in batches
        for example in batch
    ]
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=BATCH,
        max_steps=len(batches),
        learning_rate=RECIPE.highest_rate,
        max_length=RECIPE.sequence_tokens(2048),
        completion_only_loss=True,
        bf16=args.precision == "bfloat16",
        use_cpu=args.device == "cpu",
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=args.device != "cpu",
        **({"gradient_checkpointing": False} if tuned else {}),
    )
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=RECIPE.rank,
        lora_alpha=int(RECIPE.alpha),
        lora_dropout=0.0,
        target_modules=list(RECIPE.target_modules),
        layers_to_transform=list(range(depth - 16, depth)),
    )

    class InTurn(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            pipe.recv()
            self.started = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if args.device != "cpu":
                torch.cuda.synchronize()
            pipe.send(time.perf_counter() - self.started)

    class InOrder(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return torch.utils.data.SequentialSampler(dataset or self.train_dataset)

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, args.precision))
    trainer = InOrder(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=lora,
        callbacks=[InTurn()],
    )
    torch.set_num_threads(args.threads)
    pipe.send({})
    trainer.train()
    pipe.send(peak_memory(args.device))
    pipe.recv()


def peak_memory(device: str) -> int:
    import torch

    from potstill.models.torch_base import peak_memory_bytes

    return torch.cuda.max_memory_allocated() if device != "cpu" else peak_memory_bytes()


def start(name: str, args: Any, folder: str, batches: Batches) -> Connection:
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments: tuple[Any, ...] = (theirs, args, folder, batches)
    target: Callable[..., None] = run_potstill
    if name != "potstill":
        target, arguments = run_trl, (*arguments, name == "trl_tuned")
    context.Process(target=target, args=arguments, daemon=True).start()
    theirs.close()
    return ours


def measure(
    args: Any, folder: str, levels: list[Any], contestants: Sequence[str]
) -> dict[str, Any]:
    """Return the seconds of a mean step of each contestant, peak memory, the cache's pass, the
    switches.
    """
    samplers: dict[str, Callable[[Any, int], Batches]] = {
        "potstill": potstill_batches,
        "trl_tuned": lambda examples, seed: trl_batches(examples, seed, True),
        "trl_default": lambda examples, seed: trl_batches(examples, seed, False),
    }
    chosen, scale, mean_padded = {}, {}, {}
    for name in contestants:
        every = [b for level in levels for b in samplers[name](level, 0)]
        mean_padded[name] = sum(map(padded, every)) / len(every)
        chosen[name], scale[name] = choose(every, args.steps)
    pipes = {name: start(name, args, folder, chosen[name]) for name in contestants}
    ready = {name: pipe.recv() for name, pipe in pipes.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for step in range(args.steps + 1):
        for name, pipe in pipes.items():
            pipe.send("go")
            seconds[name].append(pipe.recv())
        told = ", ".join(f"{name} {taken[-1]:.2f} s" for name, taken in seconds.items())
        print(f"step {step} of {args.steps}: {told}{'' if step else ' (warms up)'}", flush=True)
    memory = {name: pipe.recv() / 1e9 for name, pipe in pipes.items()}
    for name in contestants[1:]:
        pipes[name].send(None)
    optimizations = measure_each(pipes["potstill"], args, levels, chosen["potstill"])
    return {
        "step_s": {n: float(np.mean(s[1:])) * scale[n] for n, s in seconds.items()},
        "steps_timed_s": seconds,
        "mean_padded_tokens": mean_padded,
        "peak_memory_gb": memory,
        "cache_s_per_token": ready["potstill"]["cache_s_per_token"],
        "optimizations": optimizations,
    }


def measure_each(pipe: Connection, args: Any, levels: Any, batches: Batches) -> dict[str, float]:
    """Return how many times longer a step takes with one of them off, in turns over the same
    batches.
    """
    sums = dict.fromkeys(["all", *OFF], 0.0)
    middle = sorted(batches[1:], key=padded)[len(batches) // 3 :][: args.optimization_steps]
    for batch in middle:
        for name in sums:
            pipe.send((OFF.get(name, Optimizations()), batch))
            sums[name] += pipe.recv()
    pipe.send(None)
    found = {name: total / sums["all"] for name, total in sums.items() if name != "all"}
    tokens = [
        sum(padded(b) for level in levels for b in potstill_batches(level, 0, bucketed))
        for bucketed in (False, True)
    ]
    return {"no buckets (padded tokens)": tokens[0] / tokens[1], **found}


def report(args: Any, found: dict[str, Any], levels: list[Any], source: str) -> dict[str, Any]:
    step_s = found["step_s"]
    distinct = {example.tokens for level in levels for example in level}
    cache_s = found["cache_s_per_token"] * sum(map(len, distinct))
    grid_s = {name: CELLS * STEPS * s for name, s in step_s.items()}
    grid_s["potstill"] += cache_s
    return {
        **beside_trl(found, grid_s, STEPS * step_s["potstill"] + cache_s / LEVELS),
        "grid_hours": {name: s / 3600 for name, s in grid_s.items()},
        "cache_pass_s": cache_s,
        "slower_without": found.pop("optimizations"),
        **found,
        "shape": args.shape,
        "precision": args.precision,
        "device": args.device,
        "threads": args.threads,
        "lengths": source,
        "scaling": f"{args.steps} steps of each timed, in turns, scaled to {CELLS} x {STEPS}",
        "machine": platform.processor() or platform.machine(),
        "versions": {
            name: version(name)
            for name in ("torch", "transformers", "peft", *(["trl"] if TRL[0] in step_s else []))
        },
    }


def beside_trl(found: dict[str, Any], grid_s: dict[str, float], cell_s: float) -> dict[str, float]:
    """Return how many times longer TRL takes, and our share of its memory; nothing where it is
    not.
    """
    if TRL[0] not in grid_s:
        return {}
    memory = found["peak_memory_gb"]
    return {
        "grid_vs_trl_default": grid_s["trl_default"] / grid_s["potstill"],
        "grid_vs_trl_tuned": grid_s["trl_tuned"] / grid_s["potstill"],
        "cell_vs_trl_tuned": STEPS * found["step_s"]["trl_tuned"] / cell_s,
        "memory_vs_trl_tuned": memory["potstill"] / memory["trl_tuned"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=list(SHAPES), default="0.1B")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--steps", type=at_least_one, default=3)
    parser.add_argument("--optimization-steps", type=at_least_one, default=1)
    parser.add_argument("--threads", type=at_least_one, default=max(1, (os.cpu_count() or 2) - 1))
    args = parser.parse_args()
    alone = lacks("trl", "pip install 'potstill[bench]'", "Potstill is timed alone")
    with tempfile.TemporaryDirectory() as scratch:
        levels, source = make_levels(Path(scratch) / "model", args.shape, args.precision)
        contestants = ("potstill",) if alone else ("potstill", *TRL)
        found = measure(args, str(Path(scratch) / "model"), levels, contestants)
    print(json.dumps(report(args, found, levels, source), indent=1))
    tell_sample(
        f"{args.steps} of {STEPS * CELLS:,} steps, {args.optimization_steps} for each part of "
        f"slower_without, of the {args.shape} shape; {source}"
    )


if __name__ == "__main__":
    main()
