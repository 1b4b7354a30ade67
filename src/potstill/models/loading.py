"""Load a base by its backend, and open a decoder on it with an adapter mounted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from potstill.models.decoding import Decoder
from potstill.models.mlx_base import MlxBase
from potstill.models.model import LanguageModel, is_small

__all__ = ["load_language_model", "open_decoder"]


def load_language_model(
    path: str, precision: str, device: str, backend: str, template: Mapping[str, Any] | None = None
) -> LanguageModel:
    """Return the base in a folder or of a hub id on a backend (torch, mlx).

    ``template`` are arguments of its chat template.
    Raises InputError as the backend's own loader does.
    """
    if backend == "mlx":
        from potstill.models.mlx_base import load_mlx_base

        return load_mlx_base(path, precision, template)
    from potstill.models.torch_base import load_base

    return load_base(path, precision, device, template)


@contextmanager
def open_decoder(
    base: LanguageModel, adapter: Path | None, tokens: int, batch_size: int, *, many: bool = False
) -> Iterator[Decoder]:
    """Yield a decoder for sequences of ``tokens``, an adapter mounted on the base meanwhile.

    ``batch_size`` 0 takes what memory holds (32 on MLX). Where ``many`` requests are to come, each
    thread of a small base answers some of them by itself. Raises InputError for an adapter that
    does not fit.
    """
    if isinstance(base, MlxBase):
        from potstill.models import mlx_adapters
        from potstill.models.mlx_decoding import MlxDecoder

        with mlx_adapters.mounted(base, adapter):
            decoder = MlxDecoder(base, batch_size or 32)
            try:
                yield decoder
            finally:
                decoder.close()
        return
    from potstill.models import adapters, threaded_decoding
    from potstill.models.torch_base import Base, cpu_threads, idle_threads
    from potstill.models.torch_decoding import TorchDecoder, slots_that_fit

    if not isinstance(base, Base):
        raise TypeError(f"no backend answers with {type(base).__name__}")
    threads = idle_threads()
    with adapters.mounted(base, adapter):
        if many and threads > 1 and is_small(base) and threaded_decoding.keeps_no_state(base):
            most = threads * threaded_decoding.SLOTS_A_THREAD
            slots = batch_size or slots_that_fit(base, tokens, most)
            if slots >= threads:
                with threaded_decoding.opened(base, threads, slots) as decoders:
                    yield decoders
                return
        with cpu_threads(threads):
            yield TorchDecoder(base, batch_size or slots_that_fit(base, tokens))
