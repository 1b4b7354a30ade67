"""Training of the base student: `python -m tools.pocket.pretrain --out DIR [--start DIR]`.

The result is a transformers folder that torch and mlx-lm load as they load any Qwen2.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.pocket.corpus import Sample, samples, tokenizer_texts
from tools.pocket.muon import Muon

from potstill.errors import InputError

__all__ = ["Pretraining", "pretrain", "train_tokenizer"]

_LOG = logging.getLogger(__name__)

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Qwen2's pre-tokenizer, huggingface.co/Qwen/Qwen2.5-7B-Instruct/blob/main/tokenizer.json
_PRETOKENIZER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_IGNORED = -100
_ROPE_THETA = 10_000.0


@dataclass(frozen=True, slots=True)
class Pretraining:
    """The measured recipe of the base student (docs/log.md 2026-11-21 and 2026-11-28).

    ``start`` is a base to go on from; empty, the student begins with random weights.
    """

    tokens: int = 9_000_000
    threads: int = 3
    seed: int = 0
    batch_size: int = 32
    matrix_rate: float = 0.02
    other_rate: float = 3e-3
    weight_decay: float = 0.05
    constant_share: float = 0.4
    warmup_steps: int = 20
    clip: float = 1.0
    vocabulary: int = 1024
    start: str = ""


def train_tokenizer(seed: int, vocabulary: int) -> Any:
    """Return a `PreTrainedTokenizerFast`: byte-level BPE with Qwen's pattern, digits alone."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PRETOKENIZER), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    raw.train_from_iterator(tokenizer_texts(seed), trainer)
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(
        tokenizer_object=raw,
        eos_token=END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[START, END],
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _encode(sample: Sample, tokenizer: Any) -> tuple[list[int], int]:
    """Return a sample's token ids and how many of the first are not learned."""
    if sample.chat:
        messages = [{"role": "user", "content": sample.prompt}]
        if sample.system:
            messages.insert(0, {"role": "system", "content": sample.system})
        prompt = "".join(f"{START}{m['role']}\n{m['content']}{END}\n" for m in messages)
        prompt += f"{START}assistant\n"
        completion = sample.completion + END
    else:
        prompt, completion = sample.prompt, sample.completion + END_OF_TEXT
    head = tokenizer.encode(prompt, add_special_tokens=False) if prompt else []
    return head + tokenizer.encode(completion, add_special_tokens=False), len(head)


def _batches(recipe: Pretraining, tokenizer: Any) -> Iterator[tuple[Any, Any, int]]:
    """Return ids and labels (batch x position) and token counts, samples grouped by length."""
    import torch

    rng = random.Random(recipe.seed)
    source = samples(recipe.seed)
    pool = recipe.batch_size * 32
    pad = tokenizer.pad_token_id
    while True:
        encoded = sorted(
            (_encode(next(source), tokenizer) for _ in range(pool)), key=lambda pair: len(pair[0])
        )
        groups = [encoded[i : i + recipe.batch_size] for i in range(0, pool, recipe.batch_size)]
        rng.shuffle(groups)
        for group in groups:
            width = max(len(tokens) for tokens, _ in group)
            ids = torch.full((len(group), width), pad)
            labels = torch.full((len(group), width), _IGNORED)
            for row, (tokens, masked) in enumerate(group):
                ids[row, : len(tokens)] = torch.tensor(tokens)
                labels[row, masked : len(tokens)] = torch.tensor(tokens[masked:])
            yield ids, labels, sum(len(tokens) for tokens, _ in group)


def _model(recipe: Pretraining, tokenizer: Any) -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(recipe.seed)
    config = Qwen2Config(
        vocab_size=recipe.vocabulary,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": _ROPE_THETA},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    # where mlx-lm looks for it; it takes a million if it finds none
    setattr(config, "rope_theta", _ROPE_THETA)  # noqa: B010 - no declared field
    model = Qwen2ForCausalLM(config)
    model.generation_config.do_sample = False
    return model


def _opened(recipe: Pretraining) -> tuple[Any, Any]:
    """Return model and tokenizer: new ones, or those that training goes on from."""
    if not recipe.start:
        tokenizer = train_tokenizer(recipe.seed, recipe.vocabulary)
        return _model(recipe, tokenizer), tokenizer
    if not (Path(recipe.start) / "config.json").exists():
        raise InputError(f"{recipe.start} holds no model to go on from; name a base's folder")
    import torch
    from transformers import AutoTokenizer, Qwen2ForCausalLM

    model = Qwen2ForCausalLM.from_pretrained(recipe.start, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(recipe.start)


def _loss(model: Any, ids: Any, labels: Any) -> Any:
    import torch

    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    targets = labels[:, 1:]
    learned = targets != _IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[learned]), targets[learned])


def _save(model: Any, tokenizer: Any, out: Path, recipe: Pretraining) -> None:
    """Write the folder beside its place and move it there whole.

    Weights are rounded to bfloat16 and written as float32: packed, the file is half as large, and
    every backend reads the same values.
    """
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        model.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
        fresh.chmod(0o755)
        for path in fresh.iterdir():
            path.chmod(0o644)
        if out.exists():
            shutil.rmtree(out)
        os.replace(fresh, out)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def pretrain(recipe: Pretraining, out: Path) -> Path:
    """Return the folder of a base student trained by the recipe; deterministic for one machine.

    Raises InputError when the folder exists and is not one that this function could have written.
    """
    import torch

    if recipe.tokens < 1 or recipe.threads < 1:
        raise InputError("pretraining needs at least one token and one thread; see --help")
    if out.exists() and any(out.iterdir()) and not (out / "config.json").exists():
        raise InputError(f"{out} holds something other than a model; choose another --out")
    torch.set_num_threads(recipe.threads)
    model, tokenizer = _opened(recipe)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers" in name]
    ids = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in ids]
    muon = Muon(matrices, recipe.weight_decay)
    adam = torch.optim.AdamW(
        others, lr=recipe.other_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    _LOG.info("%s; %d parameters", recipe, sum(p.numel() for p in model.parameters()))
    started, seen, step = time.monotonic(), 0, 0
    model.train()
    for ids, labels, count in _batches(recipe, tokenizer):
        fade = min(1.0, (1 - seen / recipe.tokens) / (1 - recipe.constant_share))
        fade *= min(1.0, (step + 1) / recipe.warmup_steps)
        loss = _loss(model, ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        adam.param_groups[0]["lr"] = recipe.other_rate * fade
        adam.step()
        adam.zero_grad(set_to_none=True)
        muon.step(recipe.matrix_rate * fade)
        seen, step = seen + count, step + 1
        if step % 50 == 0:
            spent = time.monotonic() - started
            _LOG.info("step %d tokens %d loss %.3f %.0f s", step, seen, loss.item(), spent)
        if seen >= recipe.tokens:
            break
    model.eval()
    _save(model, tokenizer, out, recipe)
    return out


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code of the command line."""
    usual = Pretraining()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=usual.tokens)
    parser.add_argument("--threads", type=int, default=usual.threads)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--start", default="", help="a base to go on from")
    parser.add_argument("--rate", type=float, default=1.0, help="of the usual learning rates")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    recipe = Pretraining(
        tokens=given.tokens,
        threads=given.threads,
        seed=given.seed,
        start=given.start,
        matrix_rate=usual.matrix_rate * given.rate,
        other_rate=usual.other_rate * given.rate,
    )
    try:
        pretrain(recipe, given.out)
    except InputError as exc:
        parser.exit(2, f"{exc}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
