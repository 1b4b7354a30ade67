# ruff: noqa: N806 (axes are suffixes of tensor names)
"""A base tried on a few tokens: whether the decoder's way through it gives what the model gives.

For an architecture that no test knows. Its sliding window is made short meanwhile, so that the few
tokens reach beyond it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from potstill.errors import InputError, one_line
from potstill.models.architecture import logit_cap, text_config, windows_of
from potstill.models.slot_cache import SlotCache, decode_hidden

__all__ = ["check_decoder", "check_smaller_model"]

_PROMPTS = (5, 9)
_STEPS = 6
_WINDOW = 4


def check_decoder(model: Any, folder: Path) -> None:
    """Raise InputError where a step with kept keys gives other states than the whole sequence."""
    try:
        with _short_window(model):
            worst = _worst_difference(model)
    except Exception as exc:  # whatever a model raises that is called in another way than it knows
        raise InputError(_sentence(model, folder, one_line(exc, 120))) from exc
    if worst > (1e-3 if model.dtype == torch.float32 else 0.1):
        raise InputError(_sentence(model, folder, f"its states differ by {worst:.2g}"))


def check_smaller_model(config: Any, folder: Path) -> None:
    """Raise InputError as :func:`check_decoder` would, tried on a smaller random model.

    It has few layers, narrow feed-forward modules and few tokens; the rest is the base's. Where no
    such model can be made nothing is said: the base is tried when it is opened.
    """
    from transformers import AutoModelForCausalLM

    make: Any = AutoModelForCausalLM.from_config
    try:
        smaller = _smaller(config)
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            model = make(smaller, dtype=torch.float32)
    except Exception:  # numbers that hang together in a way that is not known here
        return
    check_decoder(model.eval(), folder)


def _smaller(config: Any) -> Any:
    kinds = getattr(config, "layer_types", None) or []
    every = max((kinds.index(kind) + 1 for kind in set(kinds)), default=2)
    changes = {
        "num_hidden_layers": max(2, every),
        "intermediate_size": 64,
        "moe_intermediate_size": 32,
        "vocab_size": 128,
    }
    plain = config.to_dict()
    changes = {key: value for key, value in changes.items() if key in plain}
    if kinds:
        plain["layer_types"] = kinds[: changes["num_hidden_layers"]]
    tokens = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
    return type(config).from_dict(plain | changes | tokens)


def _sentence(model: Any, folder: Path, why: str) -> str:
    return (
        f"{folder} ({model.config.model_type}) does not answer through Potstill's decoder as it "
        f"does through transformers ({why}); choose a model of another family, such as Qwen2.5, "
        "Qwen3 or Llama."
    )


@contextmanager
def _short_window(model: Any) -> Iterator[None]:
    configs = {id(c): c for c in (text_config(model.config), model.get_decoder().config)}
    before = {key: getattr(c, "sliding_window", None) for key, c in configs.items()}
    try:
        for key, config in configs.items():
            if before[key]:
                config.sliding_window = _WINDOW
        yield
    finally:
        for key, config in configs.items():
            if before[key]:
                config.sliding_window = before[key]


@torch.inference_mode()
def _worst_difference(model: Any) -> float:
    """Return by how much logits differ at most, relative to how far they spread."""
    from transformers import DynamicCache

    body, head = model.get_decoder(), model.get_output_embeddings()
    windows, cap = windows_of(model.config), logit_cap(model.config)
    count = int(text_config(model.config).vocab_size)
    total = max(_PROMPTS) + _STEPS
    tokens_BT = (torch.arange(2 * total, device=model.device).view(2, -1) * 7 + 3) % count
    whole_BTV = model(input_ids=tokens_BT, use_cache=False).logits.float()
    width = max(_PROMPTS)
    output = body(input_ids=tokens_BT[:, :width], past_key_values=DynamicCache(), use_cache=True)
    cache = SlotCache(len(_PROMPTS))
    cache.reserve(width)
    cache.admit(0, output.past_key_values, range(len(_PROMPTS)))
    worst = 0.0
    for step in range(_STEPS):
        lengths = [prompt + step for prompt in _PROMPTS]
        rows = range(len(lengths))
        last = [int(tokens_BT[row, lengths[row]]) for row in rows]
        found_BV = head(decode_hidden(body, cache, last, lengths, windows)).float()
        for row in rows:
            own_V = found_BV[row] if cap is None else torch.tanh(found_BV[row] / cap) * cap
            wanted_V = whole_BTV[row, lengths[row]]
            worst = max(worst, float((own_V - wanted_V).abs().max() / wanted_V.std()))
    return worst
