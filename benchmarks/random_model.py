"""A model folder of any shape with random weights: for tests and for timing real shapes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.training.memory import Shape

__all__ = ["CHATML_TEMPLATE", "write_model_of", "write_random_model"]

CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_model_of(folder: Path, size: Shape, context_tokens: int) -> Path:
    """Return ``folder``, with a model of a shape whose tokenizer knows bytes and little more."""
    return write_random_model(
        folder,
        ["What is 12 + 30? It is 42."] * 50,
        vocabulary=size.vocabulary,
        tokenizer_vocabulary=384,
        hidden=size.hidden,
        layers=size.layers,
        heads=size.heads,
        key_value_heads=size.key_value_heads,
        feed_forward=size.feed_forward,
        context_tokens=context_tokens,
        spread=0.02,
    )


def write_random_model(
    folder: Path,
    texts: Iterable[str],
    *,
    seed: int = 0,
    vocabulary: int = 384,
    tokenizer_vocabulary: int = 0,
    hidden: int = 32,
    layers: int = 3,
    heads: int = 4,
    key_value_heads: int = 2,
    feed_forward: int = 64,
    context_tokens: int = 512,
    spread: float = 0.2,
    precision: str = "float32",
) -> Path:
    """Return ``folder``, with a Qwen2 model of that shape and a byte-level BPE tokenizer saved to
    it.

    The tokenizer is trained on ``texts`` and encodes any UTF-8 text. ``spread`` is the standard
    deviation of the initial weights; large enough, greedy decoding has clear winners.
    ``tokenizer_vocabulary`` is that of the tokenizer where it is to be smaller than the model's.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=tokenizer_vocabulary or vocabulary,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHATML_TEMPLATE
    tokenizer.save_pretrained(str(folder))
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        max_position_embeddings=context_tokens,
        tie_word_embeddings=True,
        initializer_range=spread,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.to(getattr(torch, precision)).save_pretrained(str(folder))
    return folder
