"""Load a study's student on the engine that one names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from potstill.deploy.engines import Engine, llama_of_file, load_model, model_engine
from potstill.errors import InputError
from potstill.models.llama_decoding import require_llama
from potstill.models.loading import open_decoder
from potstill.models.mlx_architecture import refuse_without_mlx
from potstill.plugins import choose

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent

__all__ = ["ENGINES", "backend_of", "check_engine", "open_engine"]


ENGINES = ("auto", "transformers", "mlx", "llama")


_BACKENDS = {"transformers": "torch", "mlx": "mlx"}

_EXPORTED = {"vllm": "peft", "sglang": "peft", "tgi": "peft", "ollama": "ollama"}
"""Servers that are no engine here, and the export that each takes."""


def check_engine(engine: str, *, mounts: bool = False) -> str:
    """Return the engine meant.

    Raises InputError where there is none, where it mounts no adapters and is to (``mounts``), and
    where it is not installed.
    """
    if to := _EXPORTED.get(engine.casefold()):
        raise InputError(
            f"{engine} is no engine of Potstill's, which has {', '.join(ENGINES)}; it serves a "
            f"student itself, once potstill export wrote it with --to {to}."
        )
    name = choose("engine", engine, ENGINES)
    if mounts and name not in ("auto", *_BACKENDS):
        raise InputError(f"Adapters are mounted on {' or '.join(_BACKENDS)}, and not on {name}.")
    if name == "llama":
        require_llama()
    if name == "mlx":
        refuse_without_mlx()
    return name


@contextmanager
def open_engine(
    found: FoundStudent, engine: str = "auto", base: str = "", *, batch_size: int = 0
) -> Iterator[Engine]:
    """Yield a study's student on the engine of that name; ``auto`` takes the one it was trained on.

    ``base`` is where the base model is now, if it has moved. Raises InputError for another base
    than the student's, and for an engine that is not installed.
    """
    name = _engine_name(found, engine)
    if name == "llama":
        with _llama_of(found, base) as opened:
            yield opened
        return
    model = load_model(found, base, _BACKENDS[name])
    with (
        model.lease(f"the server of {found.student.id}"),
        open_decoder(model, found.folder, model.context_tokens, batch_size) as decoder,
    ):
        yield model_engine(model, decoder, name)


def backend_of(found: FoundStudent, engine: str = "auto") -> str:
    """Return the backend of an engine that adapters are mounted on; llama.cpp is none."""
    return _BACKENDS[_engine_name(found, check_engine(engine, mounts=True))]


def _engine_name(found: FoundStudent, engine: str) -> str:
    """Return the engine meant; ``auto`` is that of the study's backend, where it is installed."""
    engine = check_engine(engine)
    if engine != "auto":
        return engine
    if found.study.student.backend == "mlx" and find_spec("mlx_lm") is not None:
        return "mlx"
    return "transformers"


@contextmanager
def _llama_of(found: FoundStudent, base: str) -> Iterator[Engine]:
    """Yield the student through llama.cpp, from a GGUF file (F16) written for the time it is
    open.
    """
    from potstill.deploy.export.exporting import Export, export_student
    from potstill.deploy.export.gguf_file import GGUF_NAME

    require_llama()
    with TemporaryDirectory(prefix="potstill-") as room:
        out = Path(room, "gguf")
        export_student(found, Export("gguf", out, base, reask=0))
        yield llama_of_file(found, out / GGUF_NAME, base)
