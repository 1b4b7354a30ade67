"""What mlx-lm has to be told of a base, and what it would compute otherwise than transformers."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.errors import InputError, one_line
from potstill.models.architecture import layers_of, windows_of
from potstill.models.folder import read_config_file

__all__ = ["mlx_settings", "refuse_without_mlx", "untrained_model", "window_everywhere"]

# mlx-lm makes one mask for all layers of these, from their cache: it can be told of a window.
_ONE_MASK = ("mistral", "phi3")
# Its own code of these fails where rows of a batch differ in length.
_ALONE = ("gemma2",)
_TORCH = "set student.backend: torch, or choose another base"


def refuse_without_mlx() -> None:
    """Raise InputError where mlx-lm is not installed."""
    if find_spec("mlx_lm") is None:
        raise InputError(
            "backend: mlx needs mlx-lm, which is not installed; pip install 'potstill[mlx]', or "
            "set student.backend: torch."
        )


def mlx_settings(config: Any, folder: Path) -> dict[str, Any]:
    """Return the settings that mlx-lm would not find in config.json by itself.

    transformers 5 leaves defaults out of the file and writes the rotary settings beneath
    ``rope_parameters``; mlx-lm 0.32 takes defaults of its own for both, in silence. Raises
    InputError for an architecture that mlx-lm does not know, or computes otherwise.
    """
    _refuse_unknown(config.model_type, folder)
    if config.model_type in _ALONE:
        raise InputError(
            f"mlx-lm cannot answer several problems side by side with {folder} "
            f"({config.model_type}); {_TORCH}."
        )
    written = read_config_file(folder)
    every = config.to_dict()
    found = {key: x for key, x in every.items() if key not in written and x is not None}
    found |= _rope(config, folder)
    windows = windows_of(config)
    widest = max(windows.values())
    context = int(getattr(config, "max_position_embeddings", 0) or 2**31)
    if len(windows) > 1:
        found["sliding_window_pattern"] = _period(config)
    narrow = any(0 < window < context for window in windows.values())
    turned_apart = "full_attention" in (getattr(config, "rope_parameters", None) or {})
    if window_everywhere(config) or not (narrow or turned_apart):
        return found
    if _sliding_layers(folder, written | found) != [window > 0 for _, window in layers_of(config)]:
        raise InputError(
            f"mlx-lm computes {folder} ({config.model_type}) without its sliding window of "
            f"{widest:,} tokens in the layers that have one, so its answers would differ; {_TORCH}."
        )
    return found


def untrained_model(settings: dict[str, Any], folder: Path) -> Any:
    """Return mlx-lm's model of a configuration; nothing of it is computed or read.

    Raises InputError for a setting that mlx-lm lacks.
    """
    from mlx_lm.utils import MODEL_REMAPPING

    kind = settings["model_type"]
    module = import_module(f"mlx_lm.models.{MODEL_REMAPPING.get(kind, kind)}")
    try:
        return module.Model(module.ModelArgs.from_dict(settings))
    except Exception as exc:  # a setting that mlx-lm needs, or does not know
        raise InputError(f"mlx-lm cannot read {folder} ({one_line(exc, 200)}); {_TORCH}.") from exc


def window_everywhere(config: Any) -> int:
    """Return the window that mlx-lm is to be told of, the same in every layer; 0 for none."""
    windows = windows_of(config)
    own = config.model_type in _ONE_MASK and len(windows) == 1
    return next(iter(windows.values())) if own else 0


def _refuse_unknown(kind: str, folder: Path) -> None:
    from mlx_lm.utils import MODEL_REMAPPING

    if find_spec(f"mlx_lm.models.{MODEL_REMAPPING.get(kind, kind)}") is None:
        raise InputError(
            f"{folder} is of the architecture {kind!r}, which mlx-lm does not know; {_TORCH}."
        )


def _rope(config: Any, folder: Path) -> dict[str, Any]:
    """Return the rotary settings where mlx-lm looks for them."""
    rope = getattr(config, "rope_parameters", None) or {}
    found: dict[str, Any] = {}
    if "full_attention" in rope:
        local = rope.get("sliding_attention") or {}
        rope = rope["full_attention"]
        if local.get("rope_theta"):
            found["rope_local_base_freq"] = local["rope_theta"]
    found |= {key: rope[key] for key in ("rope_theta", "partial_rotary_factor") if key in rope}
    kind = rope.get("rope_type", "default")
    if kind == "longrope":
        raise InputError(
            f"mlx-lm computes {folder} with the long factors of its LongRoPE alone, and "
            f"transformers with the short ones; {_TORCH}."
        )
    if kind != "default":
        found["rope_scaling"] = {"type": kind} | rope
    return found


def _period(config: Any) -> int:
    """Return after how many layers the first full one comes, which mlx-lm repeats."""
    full = [window == 0 for _, window in layers_of(config)]
    return full.index(True) + 1 if True in full else len(full) + 1


def _sliding_layers(folder: Path, settings: dict[str, Any]) -> list[bool]:
    """Return of which layers mlx-lm keeps only a window."""
    from mlx_lm.models.cache import RotatingKVCache, make_prompt_cache

    caches = make_prompt_cache(untrained_model(settings, folder))
    return [isinstance(cache, RotatingKVCache) for cache in caches]
