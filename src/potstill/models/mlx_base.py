"""The base model on MLX: mlx-lm's own model code, loaded once, leased to one user at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from potstill.errors import InputError, one_line
from potstill.models.architecture import TRIED, context_tokens, read_config
from potstill.models.chat_template import Arguments
from potstill.models.folder import base_name, is_here, stop_tokens, weight_files
from potstill.models.mlx_architecture import mlx_settings, refuse_without_mlx, window_everywhere
from potstill.models.mlx_batch_check import check_batches
from potstill.models.model import Leased
from potstill.models.weights import refuse_damaged

__all__ = ["MlxBase", "load_mlx_base", "refuse_missing_for_mlx"]


@dataclass(frozen=True)
class MlxBase(Leased):
    """A causal language model of mlx-lm with frozen weights, its tokenizer, and the hash of both.

    ``precision`` is that of the weights as they are used; a quantised base names its bits (q4).
    ``window`` is how far every layer looks back, where mlx-lm does not know it by itself.
    """

    name: str
    path: str
    model: Any
    tokenizer: Any
    base_hash: str
    precision: str
    context_tokens: int
    stop_tokens: frozenset[int]
    from_hub: bool
    window: int = 0
    template: Arguments = field(default_factory=dict)
    device: str = "mlx"
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def body(self) -> Any:
        """The model below its head: token ids to normed hidden states."""
        return self.model.model

    @property
    def head(self) -> Any:
        """The language-model head: hidden states to logits."""
        own = getattr(self.model, "lm_head", None)
        return own if own is not None else self.model.model.embed_tokens.as_linear

    def hidden(self, tokens: Any) -> Any:
        """Return the normed hidden states of whole sequences, (B, T) token ids."""
        return self.body(tokens, self._rotating()) if self.window else self.body(tokens)

    def _rotating(self) -> list[Any]:
        """Return a cache for every layer that keeps no more than the window.

        mlx-lm makes the mask from it, which is how a window is told.
        """
        from mlx_lm.models.cache import RotatingKVCache

        return [RotatingKVCache(max_size=self.window) for _ in self.model.layers]

    def logits(self, hidden: Any) -> Any:
        """Return the logits of hidden states, bounded where the model bounds them."""
        import mlx.core as mx

        cap = getattr(self.model, "final_logit_softcapping", None)
        raw = self.head(hidden)
        return raw if not cap else mx.tanh(raw / cap) * cap

    @property
    def parameters(self) -> int:
        """How many weights the base has."""
        from mlx_lm.utils import get_total_parameters

        return int(get_total_parameters(self.model))

    def is_out_of_memory(self, exc: BaseException) -> bool:
        """Return whether an error says that memory ran out."""
        return isinstance(exc, MemoryError) or "allocate" in str(exc)


def load_mlx_base(
    path_or_id: str | Path, precision: str = "float32", template: Arguments | None = None
) -> MlxBase:
    """Return the model in a folder or of a hub id, frozen; ``precision`` is float32 or bfloat16.

    ``template`` are arguments of the chat template. A quantised model (mlx-community's) stays
    as it is. Only safetensors are read and no code from the folder is run. Raises InputError
    naming the folder and what it lacks.
    """
    refuse_without_mlx()
    if precision not in ("float32", "bfloat16"):
        raise InputError(f"backend: mlx knows float32 and bfloat16, not {precision!r}.")
    import mlx.core as mx

    from potstill.models import torch_base

    folder = torch_base.find_model_folder(path_or_id)
    tokenizer = torch_base.load_tokenizer(folder, template)
    own = read_config(folder)
    settings = mlx_settings(own, folder)
    model, config = _opened(folder, settings, lazy=False)
    refuse_damaged(folder, weight_files(folder))
    quantised = config.get("quantization")
    if quantised:
        precision = f"q{quantised['bits']}"
    else:
        model.set_dtype(getattr(mx, precision))
    model.freeze()
    model.eval()
    base = MlxBase(
        name=base_name(path_or_id, folder),
        path=str(path_or_id),
        model=model,
        tokenizer=tokenizer,
        base_hash=torch_base.hash_model_folder(folder, template),
        precision=precision,
        context_tokens=context_tokens(own),
        stop_tokens=frozenset(stop_tokens(folder, tokenizer)),
        from_hub=not is_here(path_or_id),
        window=window_everywhere(own),
        template=dict(template or {}),
    )
    if base.window:
        model.make_cache = base._rotating
    if own.model_type not in TRIED:
        check_batches(model, own.model_type, folder)
    return base


def refuse_missing_for_mlx(config: Any, folder: Path) -> None:
    """Raise InputError where a folder lacks a tensor that mlx-lm needs, or has one of another
    shape; no value is read.
    """
    _opened(folder, mlx_settings(config, folder), lazy=True)


def _opened(folder: Path, settings: dict[str, Any], *, lazy: bool) -> tuple[Any, dict[str, Any]]:
    """Return mlx-lm's model of a folder and its configuration; ``lazy`` reads no value."""
    from mlx_lm.utils import load_model

    try:
        model, config = load_model(folder, lazy=lazy, model_config=settings)
    except Exception as exc:  # a torn file, an unknown architecture, wrong shapes
        raise InputError(
            f"mlx-lm cannot load {folder} ({one_line(exc, 200)}); fetch it again, or set "
            "student.backend: torch."
        ) from exc
    return model, config
