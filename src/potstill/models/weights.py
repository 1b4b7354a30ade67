"""Weights looked at without a model made of them: whole files, every tensor, finite values."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import InputError, one_line

if TYPE_CHECKING:
    import torch

__all__ = [
    "refuse_damaged",
    "refuse_missing",
    "refuse_not_finite",
    "refuse_unfit",
    "refuse_unfit_files",
]

_WHOLE_BYTES = 2 << 30
"""Of larger models only the first values of each tensor are read; opened by torch, all are."""

_FIRST_VALUES = 1 << 20
_POINTER = b"version https://git-lfs"


def refuse_unfit_files(config: Any, folder: Path, files: Sequence[Path]) -> None:
    """Raise InputError for a safetensors file that is not whole, a tensor that is missing or of
    another shape, and one with values that are no numbers, if the model uses it.
    """
    refuse_damaged(folder, files, values=False)
    refuse_damaged(folder, files, unused=refuse_missing(config, folder))


def refuse_damaged(
    folder: Path, files: Sequence[Path], *, values: bool = True, unused: Container[str] = ()
) -> None:
    """Raise InputError for a safetensors file that is not whole, and with ``values`` for those that
    are no numbers, but in the ``unused`` tensors.
    """
    from safetensors import SafetensorError, safe_open

    whole = sum(path.stat().st_size for path in files) <= _WHOLE_BYTES
    for path in files:
        try:
            with safe_open(path, "pt") as tensors:
                names = [x for x in tensors.keys() if values and x not in unused]  # noqa: SIM118
                refuse_not_finite(_first_values(tensors, names, whole=whole), folder)
        except (SafetensorError, OSError) as exc:
            with path.open("rb") as file:
                pointer = file.read(len(_POINTER)) == _POINTER
            if pointer:
                raise InputError(
                    f"{path} is a pointer of Git LFS and holds no weights; fetch them with git lfs "
                    "pull."
                ) from exc
            raise InputError(
                f"{path} is not a whole safetensors file ({path.stat().st_size:,} bytes); fetch it "
                "again."
            ) from exc


def _first_values(
    tensors: Any, names: Iterable[str], *, whole: bool
) -> Iterable[tuple[str, torch.Tensor]]:
    """Yield the named tensors of a file; of large ones their first rows, unless ``whole``."""
    for name in names:
        part = tensors.get_slice(name)
        shape = part.get_shape()
        if whole or not shape:
            yield name, tensors.get_tensor(name)
            continue
        width = 1
        for size in shape[1:]:
            width *= size
        yield name, part[: max(1, _FIRST_VALUES // max(1, width))]


def refuse_not_finite(tensors: Iterable[tuple[str, torch.Tensor]], folder: Path) -> None:
    """Raise InputError naming the first tensor that holds NaN or an infinite value."""
    import torch

    for name, tensor in tensors:
        if not tensor.is_floating_point():
            continue
        wide = tensor.float() if tensor.element_size() == 1 else tensor
        if not bool(torch.isfinite(wide).all()):
            raise InputError(
                f"The weights of {folder} hold values that are no finite numbers ({name}), so it "
                "can answer nothing; fetch or make the model again."
            )


def refuse_missing(config: Any, folder: Path) -> frozenset[str]:
    """Return the tensors of a model folder that its model does not use. No value is read.

    Raises InputError where it lacks one of its architecture, or has one of another shape; tied
    weights need stand there once.
    """
    from logging import CRITICAL

    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    told = logging.get_verbosity()
    logging.set_verbosity(CRITICAL)  # the same in a table
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    load: Any = AutoModelForCausalLM.from_pretrained
    try:
        _, found = load(
            str(folder),
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            device_map={"": "meta"},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as exc:
        raise InputError(
            f"The weights of {folder} are not those of its config.json ({one_line(exc, 120)}); "
            "fetch the model again."
        ) from exc
    finally:
        logging.set_verbosity(told)
    refuse_unfit(found, folder)
    return frozenset(map(str, found.get("unexpected_keys", ())))


def refuse_unfit(found: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError where transformers filled in tensors of its own while it loaded a model.

    ``found`` is what it tells of that.
    """
    missing = sorted(map(str, found.get("missing_keys", ())))
    if missing:
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise InputError(
            f"The weights of {folder} lack {missing[0]}{more}, which would be random numbers; "
            "fetch the model again."
        )
    for name, stored, wanted in sorted(found.get("mismatched_keys", ()), key=str):
        raise InputError(
            f"{folder} holds {name} in the shape {_shape(stored)} and its config.json says "
            f"{_shape(wanted)}: they are of two models; fetch the model again."
        )


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(f"{size:,}" for size in sizes)
