"""The base model on MLX: mlx-lm's own model code, loaded once, lent to one user at a time."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.errors import InputError, one_line
from potstill.models.model import Leased

__all__ = ["MlxBase", "load_mlx_base"]


@dataclass(frozen=True)
class MlxBase(Leased):
    """A causal language model of mlx-lm with frozen weights, its tokenizer, and the hash of both.

    ``precision`` is that of the weights as they are used; a quantised base names its bits (q4).
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

    @property
    def parameters(self) -> int:
        """How many weights the base has."""
        from mlx_lm.utils import get_total_parameters

        return int(get_total_parameters(self.model))

    def is_out_of_memory(self, exc: BaseException) -> bool:
        """Return whether an error says that memory ran out."""
        return isinstance(exc, MemoryError) or "allocate" in str(exc)


def load_mlx_base(path_or_id: str | Path, precision: str = "float32") -> MlxBase:
    """Return the model in a folder or of a hub id, frozen; ``precision`` is float32 or bfloat16.

    A quantised model (mlx-community's) stays as it is. Only safetensors are read and no code from
    the folder is run. Raises InputError naming the folder and what it lacks.
    """
    if find_spec("mlx_lm") is None:
        raise InputError(
            "backend: mlx needs mlx-lm, which is not installed; pip install 'potstill[mlx]', or "
            "set student.backend: torch."
        )
    if precision not in ("float32", "bfloat16"):
        raise InputError(f"backend: mlx knows float32 and bfloat16, not {precision!r}.")
    import mlx.core as mx
    from mlx_lm.utils import load_model
    from transformers import AutoConfig

    from potstill.models import torch_base

    folder = torch_base.find_model_folder(path_or_id)
    tokenizer = torch_base.load_tokenizer(folder)
    try:
        own = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as exc:  # an unknown architecture, one that brings code of its own
        raise InputError(f"{folder} cannot be loaded ({one_line(exc, 200)}).") from exc
    torch_base.refuse_logit_changes(own, folder)
    try:
        model, config = load_model(folder, model_config=_rope(folder))
    except Exception as exc:  # a torn file, an unknown architecture, wrong shapes
        raise InputError(
            f"mlx-lm cannot load {folder} ({one_line(exc, 200)}); fetch it again."
        ) from exc
    quantised = config.get("quantization")
    if quantised:
        precision = f"q{quantised['bits']}"
    else:
        model.set_dtype(getattr(mx, precision))
    model.freeze()
    model.eval()
    is_folder = Path(path_or_id).expanduser().is_dir()
    return MlxBase(
        name=folder.resolve().name if is_folder else str(path_or_id),
        path=str(path_or_id),
        model=model,
        tokenizer=tokenizer,
        base_hash=torch_base.hash_model_folder(folder),
        precision=precision,
        context_tokens=int(config.get("max_position_embeddings", 0)) or 2**31,
        stop_tokens=_stop_tokens(folder, config, tokenizer),
        from_hub=not is_folder,
    )


def _rope(folder: Path) -> dict[str, Any]:
    """Return the rotary settings where mlx-lm looks for them.

    transformers 5 writes them beneath ``rope_parameters``, and mlx-lm 0.32 takes 1,000,000 in
    silence where it finds no ``rope_theta`` at the top.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    rope = config.get("rope_parameters") or {}
    found = {}
    if "rope_theta" in rope and "rope_theta" not in config:
        found["rope_theta"] = rope["rope_theta"]
    if rope.get("rope_type", "default") != "default" and not config.get("rope_scaling"):
        found["rope_scaling"] = rope
    return found


def _stop_tokens(folder: Path, config: dict[str, Any], tokenizer: Any) -> frozenset[int]:
    generation = folder / "generation_config.json"
    declared = json.loads(generation.read_text("utf-8")) if generation.is_file() else {}
    ids = declared.get("eos_token_id", config.get("eos_token_id"))
    ids = ids if isinstance(ids, list) else [ids]
    return frozenset({int(token) for token in ids if token is not None} | {tokenizer.eos_token_id})
