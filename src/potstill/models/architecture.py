"""What a base's configuration says before a weight of it is read: whether it fits, and its limits.

Potstill's decoder and its losses are written for causal models of text whose layers are all
attention, full or with a sliding window. What is another kind is refused here, in one sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from potstill.errors import InputError, one_line
from potstill.models.folder import read_config_file
from potstill.plugins import closest

__all__ = [
    "TRIED",
    "context_tokens",
    "layers_of",
    "logit_cap",
    "read_config",
    "refuse_architecture",
    "text_config",
    "windows_of",
]

TRIED = ("gemma2", "gemma3_text", "llama", "mistral", "phi3", "qwen2", "qwen3")
"""Architectures whose answers a test compares with transformers' own; others are tried when they
are opened."""

# All layers of these are alike in transformers, whatever their configuration says.
_ONE_KIND = ("llama", "mistral", "phi3")
# Keys under which a model scales its logits after the head, which no loss here computes.
_LOGIT_SCALES = ("logits_scaling", "logit_scale")


def read_config(folder: Path) -> Any:
    """Return the configuration of a model folder, as transformers reads it; no weight is read.

    Raises InputError for an architecture that transformers does not know, or that is no causal
    model of text.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    kind = str(read_config_file(folder).get("model_type", ""))
    if kind not in CONFIG_MAPPING:
        from transformers import __version__

        close = closest(kind, _causal_kinds())
        hint = f"; did you mean {close!r}?" if close else ";"
        raise InputError(
            f"{folder} is of the architecture {kind!r}, which transformers {__version__} does not "
            f"know{hint} a newer transformers may, or choose another base."
        )
    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as exc:  # whatever is wrong with a value of it
        raise InputError(
            f"{folder}/config.json cannot be read as {kind} ({one_line(exc, 200)}); fetch the "
            "model again."
        ) from exc
    refuse_architecture(config, folder)
    return config


def refuse_architecture(config: Any, folder: Path) -> None:
    """Raise InputError where the configuration is of a model that Potstill cannot train or ask."""
    why = _unfit(config)
    if why:
        raise InputError(
            f"{folder} {why}; choose a model of another family, such as Qwen2.5, Qwen3, Llama, "
            "Mistral, Phi-3 or Gemma 2 and 3 (text)."
        )


def text_config(config: Any) -> Any:
    """Return the part of a configuration that is about text; mostly the whole."""
    return config.get_text_config(decoder=True)


def context_tokens(config: Any) -> int:
    """Return how many tokens prompt and completion may have together.

    That is the context, never a window: a layer with a sliding window looks back no further, and
    the sequence goes on. LongRoPE turns every key anew beyond its original context, which a cache
    of keys cannot follow, so such a model ends there.
    """
    own = text_config(config)
    context = int(getattr(own, "max_position_embeddings", 0) or 0) or 2**31
    rope = getattr(own, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        original = rope.get("original_max_position_embeddings") or getattr(
            own, "original_max_position_embeddings", None
        )
        context = min(context, int(original or context))
    return context


def logit_cap(config: Any) -> float | None:
    """Return what bounds the logits after the head (Gemma 2), or none."""
    cap = getattr(text_config(config), "final_logit_softcapping", None)
    return float(cap) if cap else None


def windows_of(config: Any) -> dict[str, int]:
    """Return by kind of layer how many tokens it looks at, its own among them; 0 is all.

    Raises ValueError for a layer that is no such attention.
    """
    return dict(layers_of(config))


def layers_of(config: Any) -> list[tuple[str, int]]:
    """Return the kind and the window of every layer, as transformers' own cache has them.

    Raises ValueError for a layer that is neither full nor sliding attention.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    own = text_config(config)
    layers = DynamicCache(config=own).layers
    kinds = getattr(own, "layer_types", None) or [""] * len(layers)
    found = []
    for kind, layer in zip(kinds, layers, strict=True):
        plain = type(layer) in (DynamicLayer, DynamicSlidingWindowLayer)
        if not plain or kind not in ("", "full_attention", "sliding_attention"):
            raise ValueError(kind or type(layer).__name__)
        found.append((kind, int(getattr(layer, "sliding_window", 0))))
    return found


def _unfit(config: Any) -> str:
    """Return why a model does not fit, as the end of a sentence; empty where it does."""
    if text_config(config) is not config:
        return f"is a model of more than text ({config.model_type})"
    if config.is_encoder_decoder or config.model_type not in _causal_kinds():
        return f"is no causal language model ({config.model_type})"
    for key in _LOGIT_SCALES:
        if getattr(config, key, None) not in (None, 1.0):
            return f"changes its logits after the head ({key}), which Potstill does not compute"
    if getattr(config, "use_bidirectional_attention", False):
        return "looks ahead (use_bidirectional_attention), so it cannot write an answer"
    own = getattr(config, "layer_types", None)
    if config.model_type in _ONE_KIND and own:
        return f"names layer_types, which transformers' {config.model_type} does not keep to"
    try:
        windows_of(config)
    except (ValueError, KeyError, AttributeError) as exc:
        return (
            f"has layers that are no plain attention ({one_line(exc, 60)}), which Potstill's "
            "decoder does not run"
        )
    return ""


def _causal_kinds() -> tuple[str, ...]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
