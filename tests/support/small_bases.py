"""Bases of seven architectures with seeded random weights, small enough to be made in a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ARCHITECTURES", "CHATML", "THINKING", "WINDOW", "set_config", "write_small_base"]

WINDOW = 12
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# Qwen3's way: without thinking the turn opens with an empty thought.
THINKING = CHATML.removesuffix("{% endif %}") + (
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)
_TEXTS = [
    f"What is {a} + {b}? Add {a} and {b}. The sum is {a + b}." for a in range(30) for b in (3, 8)
]
_SHAPE: dict[str, Any] = {
    "vocab_size": 384,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.15,
    "bos_token_id": None,
}
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "llama": {"tie_word_embeddings": True},
    "qwen2": {
        "use_sliding_window": True,
        "sliding_window": WINDOW,
        "max_window_layers": 1,
        "tie_word_embeddings": True,
    },
    "qwen3": {"head_dim": 16, "tie_word_embeddings": True},
    "mistral": {"sliding_window": WINDOW},
    "phi3": {"sliding_window": WINDOW},
    "gemma2": {
        "sliding_window": WINDOW,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "attn_logit_softcapping": 5.0,
        "final_logit_softcapping": 3.0,
    },
    "gemma3_text": {
        "sliding_window": WINDOW,
        "sliding_window_pattern": 2,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
    },
}


def write_small_base(
    folder: Path, architecture: str, *, template: str = CHATML, seed: int = 0, **changes: Any
) -> Path:
    """Write a base of an architecture with a tokenizer and ``template``; return its folder.

    One that is not among ``ARCHITECTURES`` is given what it needs beyond the shape as ``changes``.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = _tokenizer(template)
    tokenizer.save_pretrained(str(folder))
    settings = _SHAPE | dict(ARCHITECTURES.get(architecture, {})) | changes
    settings = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0} | settings
    config = AutoConfig.for_model(architecture, **settings)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model: Any = AutoModelForCausalLM.from_config(config)
        for name, parameter in model.named_parameters():
            if name.endswith(".bias") or "norm" in name:
                torch.nn.init.normal_(parameter, parameter.mean().item(), 0.1)
        # else the last token's own embedding, which Gemma scales up, decides the next token
        if architecture.startswith("gemma"):
            model.get_input_embeddings().weight.data.mul_(0.1)
    model.save_pretrained(str(folder))
    return folder


def _tokenizer(template: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_SHAPE["vocab_size"],
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_TEXTS, trainer)
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = template
    return tokenizer


def set_config(folder: Path, name: str = "config.json", **changes: Any) -> None:
    """Change keys of a JSON file of a base; None takes one out."""
    path = folder / name
    content = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    content = {k: v for k, v in (content | changes).items() if v is not None}
    path.write_text(json.dumps(content), encoding="utf-8")
