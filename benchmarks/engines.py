"""Greedy answers of one base through four engines: how many are the same to the letter.

    python benchmarks/engines.py [--base MODEL] [--problems N] [--max-tokens N] [--without mlx]

The base is asked through our decoder on torch (side by side), through transformers' ``generate``
(one by one), through MLX where mlx-lm is installed, and through llama.cpp where llama-cpp-python
is, from a GGUF file of float16 that ``potstill export`` would write of it. In exact arithmetic all
would say the same; in floats two tokens of nearly equal logits change places. So each answer that
differs is told with its first other token.

--base is a folder or a GGUF file, the pocket student by default; the problems are ASDiv's where
POTSTILL_DATA is set, else pocket problems.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from answering import SYSTEM, Contestant, Job, generate, ours
from circumstances import at_least_one, lacks, real_data, tell_sample

BATCH = 16
Answers = list[tuple[int, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="a folder or a GGUF file")
    parser.add_argument("--problems", type=at_least_one, default=50)
    parser.add_argument("--max-tokens", type=at_least_one, default=96)
    parser.add_argument("--without", choices=["mlx"], help="which takes long on a CPU")
    args = parser.parse_args()
    from transformers.utils import logging

    from potstill.models.model import prompt_tokens
    from potstill.models.torch_base import load_base
    from potstill.pocket import STUDENT_PATH

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    base = load_base(args.base or STUDENT_PATH)
    chats, source = questions(args.problems)
    prompts = [tuple(prompt_tokens(base.tokenizer, chat)) for chat in chats]
    limits = [args.max_tokens] * len(prompts)
    job = Job("engines", prompts, limits, base.stop_tokens, BATCH)
    said = {"torch": torch_answers(base, job)}
    same = {"torch": print_same(said, "torch", base)}
    said["transformers"] = collected(generate(job, base, range(len(prompts)), 1))
    same["transformers"] = print_same(said, "transformers", base)
    if args.without != "mlx" and not lacks(
        "mlx_lm", "pip install 'potstill[mlx]'", "MLX is not asked"
    ):
        said["mlx"] = mlx_answers(base.path, job)
        same["mlx"] = print_same(said, "mlx", base)
    if not lacks("llama_cpp", "pip install 'potstill[llama]'", "llama.cpp is not asked"):
        with tempfile.TemporaryDirectory() as folder:
            said["llama.cpp F16"] = llama_answers(base, Path(folder), job)
        same["llama.cpp F16"] = print_same(said, "llama.cpp F16", base)
    sizes = {"base": args.base or "pocket", "problems": source, "asked": len(prompts)}
    print(json.dumps({**sizes, "max_tokens": args.max_tokens, "same as torch": same}))
    tell_sample(f"{len(prompts)} answers of up to {args.max_tokens} tokens, {source}")


def questions(count: int) -> tuple[list[tuple[Any, ...]], str]:
    """Return the chats of a system text and a problem, and where they are from."""
    from potstill.chat import Message
    from potstill.pocket.problems import generate as generate_problems

    data = real_data("word_problems/asdiv.jsonl")
    if data is None:
        problems = generate_problems("heldout", count)
        return [(Message("user", problem.text),) for problem in problems], "pocket problems"
    lines = (data / "word_problems" / "asdiv.jsonl").read_text("utf-8").strip().split("\n")
    chosen = [json.loads(lines[k * len(lines) // count])["question"] for k in range(count)]
    return [(Message("system", SYSTEM), Message("user", text)) for text in chosen], "ASDiv"


def torch_answers(base: Any, job: Job) -> Answers:
    """Return what our decoder says, side by side."""
    from potstill.models.torch_decoding import TorchDecoder

    return collected(ours(job, TorchDecoder(base, job.batch)))


def mlx_answers(path: str, job: Job) -> Answers:
    """Return what our MLX decoder says, side by side."""
    from potstill.models.mlx_base import load_mlx_base
    from potstill.models.mlx_decoding import MlxDecoder

    decoder = MlxDecoder(load_mlx_base(path), job.batch)
    try:
        return collected(ours(job, decoder))
    finally:
        decoder.close()


def llama_answers(base: Any, folder: Path, job: Job) -> Answers:
    """Return what llama.cpp says of a GGUF file written of the base in float16."""
    from potstill.deploy.export.gguf_file import write_gguf
    from potstill.deploy.export.merging import Delta
    from potstill.models.llama_decoding import LlamaDecoder, load_llama
    from potstill.models.torch_base import find_model_folder

    file = folder / "base.gguf"
    write_gguf(find_model_folder(base.path), Delta(1.0, {}, {}), file, "base", "f16")
    return collected(ours(job, LlamaDecoder(load_llama(file, 2048), base.stop_tokens)))


def collected(contestant: Contestant) -> Answers:
    """Return all that a contestant answers, in the order of the requests."""
    done = {number: tokens for some in contestant for number, tokens in some.items()}
    return [done[number] for number in sorted(done)]


def print_same(said: dict[str, Answers], name: str, base: Any) -> int:
    """Print how an engine's answers compare with torch's; return how many are the same tokens."""
    pairs = list(zip(said["torch"], said[name], strict=True))
    same = sum(one == other for one, other in pairs)
    print(f"{name}: {same} of {len(pairs)} the same", flush=True)
    for number, (one, other) in enumerate(pairs):
        if one != other:
            at = next(
                (k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
                min(len(one), len(other)),
            )
            parts = (base.tokenizer.decode(list(x[at : at + 1])) or "the end" for x in (one, other))
            print(f"    answer {number} parts at token {at}: {' / '.join(map(repr, parts))}")
    return same


if __name__ == "__main__":
    main()
