"""Greedy answers of one base through four engines: how many are the same to the letter.

    python benchmarks/engines.py [--base MODEL] [--problems N] [--max-tokens N]

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circumstances import at_least_one, lacks, real_data, tell_sample

SYSTEM = "Think through the problem step by step, then state the answer clearly."
Answers = list[tuple[int, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="a folder or a GGUF file")
    parser.add_argument("--problems", type=at_least_one, default=50)
    parser.add_argument("--max-tokens", type=at_least_one, default=96)
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
    said = {"torch": torch_answers(base, prompts, args.max_tokens)}
    told(said, "torch", base)
    said["transformers"] = generate_answers(base, prompts, args.max_tokens)
    told(said, "transformers", base)
    if not lacks("mlx_lm", "pip install 'potstill[mlx]'", "MLX is not asked"):
        said["mlx"] = mlx_answers(base.path, prompts, args.max_tokens)
        told(said, "mlx", base)
    if not lacks("llama_cpp", "pip install 'potstill[llama]'", "llama.cpp is not asked"):
        with tempfile.TemporaryDirectory() as folder:
            said["llama.cpp F16"] = llama_answers(base, Path(folder), prompts, args.max_tokens)
        told(said, "llama.cpp F16", base)
    same = {name: same_as(said["torch"], answers) for name, answers in said.items()}
    sizes = {"base": args.base or "pocket", "problems": source, "asked": len(prompts)}
    print(json.dumps({**sizes, "max_tokens": args.max_tokens, "same as torch": same}))
    tell_sample(f"{len(prompts)} answers of up to {args.max_tokens} tokens, {source}")


def questions(count: int) -> tuple[list[tuple[Any, ...]], str]:
    """Chats of a system text and a problem, and where they are from."""
    from potstill.chat import Message
    from potstill.pocket.problems import generate

    data = real_data("word_problems/asdiv.jsonl")
    if data is None:
        problems = generate("heldout", count)
        return [(Message("user", problem.text),) for problem in problems], "pocket problems"
    lines = (data / "word_problems" / "asdiv.jsonl").read_text("utf-8").splitlines()
    chosen = [json.loads(lines[k * len(lines) // count])["question"] for k in range(count)]
    return [(Message("system", SYSTEM), Message("user", text)) for text in chosen], "ASDiv"


def torch_answers(base: Any, prompts: Sequence[tuple[int, ...]], most: int) -> Answers:
    """What our decoder says, 16 prompts side by side."""
    from potstill.models.torch_decoding import TorchDecoder

    return _decoded(TorchDecoder(base, 16), prompts, most)


def generate_answers(base: Any, prompts: Sequence[tuple[int, ...]], most: int) -> Answers:
    """What transformers' ``generate`` says, one prompt at a time."""
    import torch

    answers: Answers = []
    for prompt in prompts:
        out = base.model.generate(
            torch.tensor([prompt], device=base.device),
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=sorted(base.stop_tokens),
            pad_token_id=base.tokenizer.pad_token_id,
        )
        tokens = out[0, len(prompt) :].tolist()
        ends = [k for k, token in enumerate(tokens) if token in base.stop_tokens]
        answers.append(tuple(tokens[: ends[0]] if ends else tokens))
    return answers


def mlx_answers(path: str, prompts: Sequence[tuple[int, ...]], most: int) -> Answers:
    """What our MLX decoder says, 16 prompts side by side."""
    from potstill.models.mlx_base import load_mlx_base
    from potstill.models.mlx_decoding import MlxDecoder

    decoder = MlxDecoder(load_mlx_base(path), 16)
    try:
        return _decoded(decoder, prompts, most)
    finally:
        decoder.close()


def llama_answers(
    base: Any, folder: Path, prompts: Sequence[tuple[int, ...]], most: int
) -> Answers:
    """What llama.cpp says of a GGUF file written of the base in float16."""
    from potstill.deploy.export.gguf_file import write_gguf
    from potstill.deploy.export.merging import Delta
    from potstill.models.llama_decoding import LlamaDecoder, load_llama
    from potstill.models.torch_base import find_model_folder

    file = folder / "base.gguf"
    write_gguf(find_model_folder(base.path), Delta(1.0, {}, {}), file, "base", "f16")
    llama = load_llama(file, 2048)
    return _decoded(LlamaDecoder(llama, base.stop_tokens), prompts, most)


def _decoded(decoder: Any, prompts: Sequence[tuple[int, ...]], most: int) -> Answers:
    from potstill.models.decoding import Request, generate
    from potstill.records import Sampling

    sampling = Sampling(max_tokens=most)
    requests = [Request(number, prompt, sampling) for number, prompt in enumerate(prompts)]
    done = {one.key: one.tokens for step in generate(decoder, requests) for one in step}
    return [done[number] for number in range(len(prompts))]


def same_as(first: Answers, second: Answers) -> int:
    """How many answers are the very same tokens."""
    return sum(a == b for a, b in zip(first, second, strict=True))


def told(said: dict[str, Answers], name: str, base: Any) -> None:
    """Say how an engine's answers compare with torch's, and where the others part."""
    reference, answers = said["torch"], said[name]
    print(f"{name}: {same_as(reference, answers)} of {len(answers)} the same", flush=True)
    for number, (one, other) in enumerate(zip(reference, answers, strict=True)):
        if one != other:
            at = next(
                (k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
                min(len(one), len(other)),
            )
            parts = (base.tokenizer.decode(list(x[at : at + 1])) or "the end" for x in (one, other))
            print(f"    answer {number} parts at token {at}: {' / '.join(map(repr, parts))}")


if __name__ == "__main__":
    main()
