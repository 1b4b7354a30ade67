"""The base model: loaded once, never changed, leased to one user at a time."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch

from potstill.cores import core_count, most_threads
from potstill.errors import InputError
from potstill.models.architecture import TRIED, context_tokens, logit_cap, read_config
from potstill.models.chat_template import Arguments, set_defaults
from potstill.models.decoder_check import check_decoder
from potstill.models.folder import (
    base_name,
    find_model_folder,
    hash_model_folder,
    is_here,
    stop_tokens,
)
from potstill.models.gguf_base import gguf_of
from potstill.models.model import Leased
from potstill.models.weights import refuse_not_finite, refuse_unfit

__all__ = [
    "Base",
    "check_precision",
    "choose_device",
    "cpu_threads",
    "find_model_folder",
    "free_bytes",
    "hash_model_folder",
    "idle_threads",
    "is_out_of_memory",
    "load_base",
    "load_tokenizer",
    "peak_memory_bytes",
]


@dataclass(frozen=True)
class Base(Leased):
    """A causal language model with frozen weights, its tokenizer, and the hash of both.

    ``name`` is the hub id or the folder's own name, never a path. ``context_tokens`` is how many
    tokens prompt and completion may have together.
    """

    name: str
    model: Any
    tokenizer: Any
    base_hash: str
    precision: str
    device: str
    context_tokens: int
    stop_tokens: frozenset[int]
    from_hub: bool
    template: Arguments = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def body(self) -> Any:
        """The model below its head: token ids to normed hidden states."""
        return self.model.get_decoder()

    @property
    def head(self) -> Any:
        """The language-model head: hidden states to logits."""
        return self.model.get_output_embeddings()

    @property
    def logit_cap(self) -> float | None:
        """What bounds the logits after the head; none for most models."""
        return logit_cap(self.model.config)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of hidden states, bounded where the model bounds them."""
        raw: torch.Tensor = self.head(hidden)
        cap = self.logit_cap
        return raw if cap is None else torch.tanh(raw / cap) * cap

    @property
    def path(self) -> str:
        """The folder or hub id that it was loaded from."""
        return str(self.model.name_or_path)

    @property
    def parameters(self) -> int:
        """How many weights the base has."""
        return int(self.model.num_parameters())

    def is_out_of_memory(self, exc: BaseException) -> bool:
        """Return whether an error says that memory ran out."""
        return is_out_of_memory(exc)


def load_base(
    path_or_id: str | Path,
    precision: str = "float32",
    device: str = "auto",
    template: Arguments | None = None,
) -> Base:
    """Return the model in a folder or of a hub id, frozen and in evaluation mode.

    ``precision`` is float32, bfloat16 or nf4 (4 bits, CUDA), ``device`` "auto" or any torch device,
    ``template`` arguments of the chat template.
    Only safetensors are read and no code from the folder is run. Raises InputError naming the
    folder and what it lacks.
    """
    folder = find_model_folder(path_or_id)
    tokenizer = load_tokenizer(folder, template)
    config = read_config(folder)
    where = choose_device(device)
    model = _load_model(folder, config, precision, where)
    if config.model_type not in TRIED:
        check_decoder(model, folder)
    if gguf_of(path_or_id) is not None:
        model.name_or_path = str(path_or_id)  # a worker that opens it is to know it by its name
    return Base(
        name=base_name(path_or_id, folder),
        model=model,
        tokenizer=tokenizer,
        base_hash=hash_model_folder(folder, template),
        precision=precision,
        device=where,
        context_tokens=context_tokens(config),
        stop_tokens=frozenset(stop_tokens(folder, tokenizer)),
        from_hub=not is_here(path_or_id),
        template=dict(template or {}),
    )


def choose_device(wanted: str = "auto") -> str:
    """Return the torch device to run on: CUDA if there is one, else MPS, else the CPU."""
    if wanted != "auto":
        try:
            torch.empty(0, device=wanted)
        except (RuntimeError, AssertionError) as exc:
            raise InputError(
                f"The device {wanted!r} cannot be used here ({str(exc).splitlines()[0]}); "
                "set device: auto."
            ) from exc
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def cpu_threads(threads: int = 0) -> Iterator[None]:
    """Set torch's CPU threads to ``threads``, or to one fewer than the cores this process may use.

    Matrix products wait for their slowest thread: with every core taken, any other busy process
    makes them several times slower. Of two cores both are taken: a free one would be half of all.
    """
    before = torch.get_num_threads()
    cores = core_count()
    torch.set_num_threads(threads or (cores if cores <= 2 else cores - 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def idle_threads() -> int:
    """Return how many threads find a core that no one else uses just now.

    At most :func:`potstill.cores.most_threads`. What others run at a lower priority (``nice``)
    gives way and leaves a core free. Looks at the machine for a tenth of a second. For work whose
    bits need not repeat: training takes a fixed number.
    """
    cores, most = core_count(), most_threads()
    if most <= 1:
        return 1
    # not cpu_times_percent, whose shares of less than a second do not add up to 100
    before = psutil.cpu_times()
    time.sleep(0.1)
    after = psutil.cpu_times()
    spent = {
        name: getattr(after, name) - getattr(before, name)
        for name in before._fields
        if not name.startswith("guest")  # which user and nice hold already
    }
    idle = spent["idle"] + spent.get("iowait", 0.0)
    if hasattr(os, "nice") and os.nice(0) <= 0:
        idle += spent.get("nice", 0.0)
    busy: float = (1 - idle / max(sum(spent.values()), 1e-6)) * (psutil.cpu_count() or cores)
    return max(1, min(most, round(cores - busy)))


def peak_memory_bytes() -> int:
    """Return the most resident memory that this process has had (getrusage; present where that
    lacks).
    """
    try:
        import resource
    except ImportError:  # Windows
        return int(psutil.Process().memory_info().rss)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_bytes(device: str) -> int:
    """Return the bytes of memory that are free on a device for tensors to come."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + held)
    return int(psutil.virtual_memory().available)


def is_out_of_memory(exc: BaseException) -> bool:
    """Return whether an error says that memory ran out, on whatever device."""
    return isinstance(exc, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(
        exc
    )


def load_tokenizer(folder: Path, template: Arguments | None = None) -> Any:
    """Return the tokenizer in a folder, its chat template with the arguments ``template``.

    Raises InputError where it cannot chat or stop, or its template does not know an argument.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as exc:  # tokenizers raises bare Exception for a damaged file
        raise InputError(
            f"The tokenizer in {folder} cannot be loaded ({_first_line(exc)}); fetch it again."
        ) from exc
    if not tokenizer.chat_template:
        raise InputError(
            f"The tokenizer in {folder} has no chat template; use the instruct model, or add a "
            "chat_template.jinja to the folder."
        )
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"The tokenizer in {folder} names no eos_token, so a student could not learn to stop; "
            "set it in tokenizer_config.json."
        )
    set_defaults(tokenizer, template or {}, folder)
    return tokenizer


def _load_model(folder: Path, config: Any, precision: str, device: str) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    # Its bar counts tensors; a small model is loaded before one could read it.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    how = _loading(precision, device)
    softcapped = getattr(config, "attn_logit_softcapping", None)
    load: Any = AutoModelForCausalLM.from_pretrained
    try:
        model, found = load(
            str(folder),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
            # transformers takes sdpa where the model has it; sdpa cannot bound attention's scores
            attn_implementation="eager" if softcapped else None,
            **how,
        )
    except Exception as exc:  # a torn safetensors file, an unknown architecture, wrong shapes
        raise InputError(
            f"The model in {folder} cannot be loaded ({_first_line(exc)}); fetch it again."
        ) from exc
    refuse_unfit(found, folder)
    refuse_not_finite(model.named_parameters(), folder)
    if "quantization_config" not in how:  # quantised weights are on their device already
        model.to(device)
    model.eval()
    model.requires_grad_(False)
    return model


def check_precision(precision: str, device: str) -> None:
    """Raise InputError for a precision that is not known, or cannot be held on a device here."""
    if precision not in ("float32", "bfloat16", "nf4"):
        raise InputError(f"The precision {precision!r} is none of float32, bfloat16 and nf4.")
    if precision != "nf4":
        return
    if not device.startswith("cuda"):
        raise InputError(
            f"The precision nf4 needs a CUDA GPU and the device is {device}; set precision: "
            "bfloat16 or float32."
        )
    if find_spec("bitsandbytes") is None:
        raise InputError("The precision nf4 needs bitsandbytes: pip install 'potstill[cuda]'.")


def _loading(precision: str, device: str) -> dict[str, Any]:
    """Return what ``from_pretrained`` is told for a precision; nf4 is QLoRA's (arXiv
    2305.14314).
    """
    check_precision(precision, device)
    if precision != "nf4":
        return {"dtype": getattr(torch, precision)}
    from transformers import BitsAndBytesConfig

    quantised = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"dtype": torch.bfloat16, "quantization_config": quantised, "device_map": {"": device}}


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]
