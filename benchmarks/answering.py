"""How fast a student answers: our decoder beside transformers' own ``generate``, in one run.

    python benchmarks/answering.py [--models pocket random] [--shape 0.5B] [--answers N] [--batch N]

Greedy answers of mixed lengths: by our decoder (continuous batching, the shared prompt prefix
once), by ``generate`` in batches of the same size in the order given, and by ``generate`` one by
one, of which 8 at even quantiles of the length are timed and scaled by tokens to all.

- pocket: the pocket student on its held-out problems (256), with its own stops; and where mlx-lm is
  installed, our MLX decoder beside mlx-lm one by one (the first 64).
- random: a shape of benchmarks/training.py with random weights, 16 answers. Such a model does not
  stop, so each answer has a length of its own, drawn once (lognormal) and the same for all;
  ``generate`` goes on until the longest of its batch is done, as it does for a user. The prompts
  are the paper's (its system text, its problems) where POTSTILL_DATA is set, else pocket problems.
  The whole of it, ``--models random --shape 0.5B --answers 256``, takes an hour on a busy core.

Contestants take turns: next is who has the smallest share of its answers done, so that a noisy
machine hits all alike. They share one loaded model and one number of threads. Loading and
tokenizing are in no figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from circumstances import at_least_one, lacks, real_data, tell_sample
from training import SHAPES, VOCABULARY

ONE_BY_ONE = 8
ANSWERS = {"pocket": 256, "mlx": 64, "random": 16}
SYSTEM = "Think through the problem step by step, then state the answer clearly."
POCKET_LIMIT = 320
TORCH_FIGURES = ("answering_vs_generate", "answering_vs_one_by_one")
MLX_FIGURE = "answering_mlx_vs_one_by_one"

# After each unit of its work a contestant says what it has answered: tokens by request number.
Contestant = Iterator[dict[int, tuple[int, ...]]]


@dataclasses.dataclass(frozen=True)
class Job:
    """Prompts to continue, each up to its own limit or to a stop token."""

    name: str
    prompts: list[tuple[int, ...]]
    limits: list[int]
    stops: frozenset[int]
    batch: int

    def first(self, count: int) -> Job:
        """Return the first of its prompts."""
        kept = {"prompts": self.prompts[:count], "limits": self.limits[:count]}
        return dataclasses.replace(self, batch=min(self.batch, count), **kept)

    def cut(self, number: int, tokens: Sequence[int]) -> tuple[int, ...]:
        """Return a continuation up to its limit or its stop token, which is left out."""
        kept = list(tokens[: self.limits[number]])
        ends = [k for k, token in enumerate(kept) if token in self.stops]
        return tuple(kept[: ends[0]] if ends else kept)


def ours(job: Job, decoder: Any) -> Contestant:
    """Return a decoder of Potstill's, torch or MLX."""
    from potstill.models import decoding
    from potstill.records import Sampling

    requests = [
        decoding.Request(number, prompt, Sampling(max_tokens=limit))
        for number, (prompt, limit) in enumerate(zip(job.prompts, job.limits, strict=True))
    ]
    for finished in decoding.generate(decoder, requests):
        if finished:
            yield {done.key: done.tokens for done in finished}


def generate(job: Job, base: Any, numbers: Sequence[int], batch: int) -> Contestant:
    """Return transformers' ``generate``: left padding, until the longest answer of a batch is
    done.
    """
    import torch

    pad = base.tokenizer.pad_token_id
    for start in range(0, len(numbers), batch):
        chosen = numbers[start : start + batch]
        width = max(len(job.prompts[n]) for n in chosen)
        rows = [(pad,) * (width - len(job.prompts[n])) + job.prompts[n] for n in chosen]
        mask = [[0] * (width - len(job.prompts[n])) + [1] * len(job.prompts[n]) for n in chosen]
        out = base.model.generate(
            torch.tensor(rows, device=base.device),
            attention_mask=torch.tensor(mask, device=base.device),
            max_new_tokens=max(job.limits[n] for n in chosen),
            do_sample=False,
            pad_token_id=pad,
        )
        said = out[:, width:].tolist()
        yield {n: job.cut(n, tokens) for n, tokens in zip(chosen, said, strict=True)}


def mlx_one_by_one(job: Job, base: Any, tokenizer: Any, numbers: Sequence[int]) -> Contestant:
    """Return mlx-lm's own ``stream_generate``."""
    from mlx_lm import stream_generate

    for n in numbers:
        pieces = stream_generate(
            base.model, tokenizer, list(job.prompts[n]), max_tokens=job.limits[n]
        )
        yield {n: job.cut(n, [piece.token for piece in pieces])}


def race(
    contestants: Mapping[str, Contestant], counts: Mapping[str, int]
) -> tuple[dict[str, float], dict[str, dict[int, tuple[int, ...]]]]:
    """Return the seconds and answers of each, taking turns by the share of their answers that is
    done.
    """
    seconds = dict.fromkeys(contestants, 0.0)
    answers: dict[str, dict[int, tuple[int, ...]]] = {name: {} for name in contestants}
    running = set(contestants)
    while running:
        name = min(sorted(running), key=lambda name: len(answers[name]) / counts[name])
        started = time.perf_counter()
        done = next(contestants[name], None)
        seconds[name] += time.perf_counter() - started
        if done is None:
            running.remove(name)
            continue
        before = len(answers[name])
        answers[name] |= done
        if len(answers[name]) * 8 // counts[name] > before * 8 // counts[name]:
            tokens = sum(map(len, answers[name].values()))
            done_s = f"{tokens:,} tokens in {seconds[name]:.1f} s"
            print(f"{name}: {len(answers[name])} of {counts[name]}, {done_s}", flush=True)
    return seconds, answers


def lengths_of(contestant: Contestant) -> list[int]:
    """Return how many tokens each answer has, by request number."""
    seen = {number: len(tokens) for done in contestant for number, tokens in done.items()}
    return [seen[number] for number in sorted(seen)]


def at_quantiles(lengths: Sequence[int]) -> list[int]:
    """Return eight requests at even quantiles of the length, the longest neither first nor last."""
    by_length = sorted(range(len(lengths)), key=lambda n: lengths[n])
    count = min(ONE_BY_ONE, len(lengths))
    chosen = [by_length[int((k + 0.5) / count * len(lengths))] for k in range(count)]
    return [chosen[k] for k in np.random.default_rng(0).permutation(count)]


def compare(job: Job, base: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Compare the three on torch."""
    import torch

    from potstill.models.torch_decoding import TorchDecoder

    numbers = list(range(len(job.prompts)))
    few = numbers[:4]
    warm = dataclasses.replace(job, prompts=job.prompts[:4], limits=[4] * len(few))
    list(generate(warm, base, few, 4))
    list(ours(warm, TorchDecoder(base, 4)))
    # where the model stops by itself, an untimed pass shows how long the answers are
    lengths = lengths_of(ours(job, TorchDecoder(base, job.batch))) if job.stops else job.limits
    few = at_quantiles(lengths)
    seconds: dict[str, float] = {}
    alike = len(numbers)
    for _ in range(args.rounds if job.name == "pocket" else 1):
        taken, answers = race(
            {
                "ours": ours(job, TorchDecoder(base, job.batch)),
                "generate": generate(job, base, numbers, job.batch),
                "one_by_one": generate(job, base, few, 1),
            },
            {"ours": len(numbers), "generate": len(numbers), "one_by_one": len(few)},
        )
        seconds = {name: seconds.get(name, 0.0) + s for name, s in taken.items()}
        alike = min(alike, sum(answers["ours"][n] == answers["generate"][n] for n in numbers))
    scale = sum(lengths) / sum(lengths[n] for n in few)
    return {
        "answering_vs_generate": seconds["generate"] / seconds["ours"],
        "answering_vs_one_by_one": seconds["one_by_one"] * scale / seconds["ours"],
        "answers": len(numbers),
        "batch": job.batch,
        "seconds": seconds,
        "one_by_one_scaled_by": scale,
        "same_answers_as_generate": alike,
        "mean_prompt_tokens": float(np.mean([len(prompt) for prompt in job.prompts])),
        "answer_tokens_mean_median_max": [
            float(np.mean(lengths)),
            float(np.median(lengths)),
            max(lengths),
        ],
        "threads": torch.get_num_threads(),
    }


def compare_mlx(job: Job, path: str, rounds: int) -> dict[str, Any]:
    """Compare our MLX decoder with mlx-lm, one by one."""
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    from potstill.models.mlx_base import load_mlx_base
    from potstill.models.mlx_decoding import MlxDecoder

    base = load_mlx_base(path)
    tokenizer = TokenizerWrapper(base.tokenizer, eos_token_ids=sorted(base.stop_tokens))
    decoder = MlxDecoder(base, job.batch)
    lengths = lengths_of(ours(job, decoder))
    decoder.close()
    few = at_quantiles(lengths)
    list(mlx_one_by_one(job, base, tokenizer, few[:1]))
    seconds: dict[str, float] = {}
    for _ in range(rounds):
        decoder = MlxDecoder(base, job.batch)
        taken, _ = race(
            {
                "ours": ours(job, decoder),
                "one_by_one": mlx_one_by_one(job, base, tokenizer, few),
            },
            {"ours": len(job.prompts), "one_by_one": len(few)},
        )
        decoder.close()
        seconds = {name: seconds.get(name, 0.0) + s for name, s in taken.items()}
    scale = sum(lengths) / sum(lengths[n] for n in few)
    return {
        MLX_FIGURE: seconds["one_by_one"] * scale / seconds["ours"],
        "mlx_answers": len(lengths),
    }


def questions(count: int) -> tuple[list[list[dict[str, str]]], str]:
    """Return the chats of a system text and a problem, and where they are from."""
    data = real_data("recorded/distilled_train.jsonl")
    if data:
        lines = (data / "recorded" / "distilled_train.jsonl").read_text("utf-8").strip().split("\n")
        chats = [json.loads(line)["messages"][:2] for line in lines[:count]]
        return chats, "the paper's system text and problems"
    from potstill.pocket.problems import generate as generate_problems

    system = {"role": "system", "content": SYSTEM}
    problems = generate_problems("heldout", count)
    return [[system, {"role": "user", "content": p.text}] for p in problems], "pocket problems"


def random_job(args: argparse.Namespace, folder: Path) -> tuple[Job, Any, str]:
    """Return a model of the shape with random weights, and lengths drawn for its answers."""
    from potstill.models.model import prompt_tokens
    from potstill.models.torch_base import load_base
    from random_model import write_random_model

    chats, source = questions(args.answers or ANSWERS["random"])
    hidden, layers, heads, key_value_heads, feed_forward = SHAPES[args.shape]
    write_random_model(
        folder,
        [message["content"] for chat in chats for message in chat],
        vocabulary=VOCABULARY,
        tokenizer_vocabulary=8192,
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_value_heads=key_value_heads,
        feed_forward=feed_forward,
        context_tokens=32768,
        spread=0.02,
        precision=args.precision,
    )
    base = load_base(folder, args.precision, args.device)
    base.model.generation_config.eos_token_id = None
    prompts = [tuple(prompt_tokens(base.tokenizer, as_messages(chat))) for chat in chats]
    drawn = np.random.default_rng(0).lognormal(np.log(args.median), args.sigma, len(prompts))
    limits = drawn.round().astype(int).clip(2, 1024).tolist()
    job = Job("random", prompts, limits, frozenset(), args.batch or (len(prompts) + 1) // 2)
    return job, dataclasses.replace(base, stop_tokens=frozenset()), source


def pocket_job(args: argparse.Namespace) -> tuple[Job, Any, str]:
    """Return the pocket student and its held-out problems."""
    from potstill.models.model import prompt_tokens
    from potstill.models.torch_base import load_base
    from potstill.pocket import STUDENT_PATH
    from potstill.pocket.problems import generate as generate_problems

    base = load_base(STUDENT_PATH, "float32", args.device)
    chats = [
        [{"role": "user", "content": problem.text}]
        for problem in generate_problems("heldout", args.answers or ANSWERS["pocket"])
    ]
    prompts = [tuple(prompt_tokens(base.tokenizer, as_messages(chat))) for chat in chats]
    limits = [POCKET_LIMIT] * len(prompts)
    batch = args.batch or (len(prompts) + 1) // 2
    return Job("pocket", prompts, limits, base.stop_tokens, batch), base, "pocket held-out"


def as_messages(chat: Sequence[Mapping[str, str]]) -> tuple[Any, ...]:
    from potstill.chat import Message

    return tuple(Message(turn["role"], turn["content"]) for turn in chat)


def main() -> None:
    args = arguments()
    import torch
    from transformers.utils import logging

    from potstill.models.torch_base import idle_threads

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in dict.fromkeys(args.models):
            torch.set_num_threads(1 if name == "pocket" else args.threads or idle_threads())
            if name == "pocket":
                job, base, source = pocket_job(args)
            else:
                job, base, source = random_job(args, Path(scratch, "model"))
            key = "pocket" if name == "pocket" else args.shape
            print(f"{key}: {len(job.prompts)} answers, {source}, batch {job.batch}", flush=True)
            found[key] = {"prompts": source, **compare(job, base, args)}
            tell(key, found[key], TORCH_FIGURES)
            then = "our MLX decoder is not measured"
            if name == "pocket" and not lacks("mlx_lm", "pip install 'potstill[mlx]'", then):
                few = job if args.answers else job.first(ANSWERS["mlx"])
                found[key] |= compare_mlx(few, base.path, args.rounds)
                tell(key, found[key], [MLX_FIGURE])
    for figure in TORCH_FIGURES:
        print(f"figure {figure} {min(one[figure] for one in found.values()):.2f}")
    print(json.dumps({**found, **conditions(args)}, indent=1))
    counts = [f"{one['answers']} of {key}" for key, one in found.items()]
    counts += [f"{one['mlx_answers']} on MLX" for one in found.values() if MLX_FIGURE in one]
    each = ", ".join(counts)
    tell_sample(f"answers: {each}; one by one {ONE_BY_ONE} at most of each, scaled by tokens")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", nargs="+", choices=["pocket", "random"], default=["pocket", "random"]
    )
    parser.add_argument("--shape", choices=list(SHAPES), default="0.1B")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--answers", type=at_least_one, help="each; else as said above")
    parser.add_argument("--batch", type=at_least_one, help="else half of the answers")
    parser.add_argument("--median", type=float, default=40, help="tokens of a random answer")
    parser.add_argument("--sigma", type=float, default=0.7, help="of the logarithm of its tokens")
    parser.add_argument(
        "--rounds", type=at_least_one, default=1, help="of the pocket student's race"
    )
    parser.add_argument("--threads", type=at_least_one, help="else those idle; pocket takes one")
    return parser.parse_args()


def tell(key: str, one: Mapping[str, Any], figures: Sequence[str]) -> None:
    for figure in figures:
        print(f"figure {figure}_{key} {one[figure]:.2f}", flush=True)


def conditions(args: argparse.Namespace) -> dict[str, Any]:
    """Return everything that a figure needs beside it."""
    return {
        "precision": args.precision,
        "device": args.device,
        "random_lengths": f"lognormal, median {args.median}, sigma {args.sigma}",
        "machine": platform.processor() or platform.machine(),
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }


if __name__ == "__main__":
    main()
