"""A model's folder: found, checked and hashed before anything of it is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.models.adapter_config import ADAPTER_CONFIG
from potstill.models.gguf_base import (
    PACKAGE,
    converted_folder,
    described_folder,
    gguf_hash,
    gguf_of,
    hash_of_origin,
    origin_in,
)
from potstill.store.file_hash import DESCRIPTION, MODEL_FILES, digest_of_files
from potstill.store.untrusted import is_plain_name, read_json

__all__ = [
    "base_name",
    "family_and_width",
    "find_described_folder",
    "find_model_folder",
    "hash_base",
    "hash_model_folder",
    "is_here",
    "read_config_file",
    "stop_tokens",
    "weight_files",
]

_CONFIG_BYTES = 64 << 20
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def find_model_folder(path_or_id: str | Path) -> Path:
    """Return the folder of a model that is a folder, a hub id, a GGUF file or ``package:NAME``.

    Of a GGUF file it is that which is made of it, once. Raises InputError for what it lacks.
    """
    file = gguf_of(path_or_id)
    if file is not None:
        return converted_folder(file)
    folder = _model_folder(path_or_id)
    _check_model_folder(folder, path_or_id)
    return folder


def find_described_folder(path_or_id: str | Path) -> Path:
    """Return the folder of a model as :func:`find_model_folder` does, but fetch no weights.

    Of a GGUF file no weight is read. Raises InputError for what it lacks, where the hub answers for
    weights that are not here too.
    """
    file = gguf_of(path_or_id)
    if file is not None:
        return described_folder(file)
    if Path(path_or_id).expanduser().is_dir():
        return find_model_folder(path_or_id)
    folder = _model_folder(path_or_id, DESCRIPTION)
    _check_description(folder)
    _refuse_without_weights(str(path_or_id))
    return folder


def hash_model_folder(folder: Path, template: Mapping[str, Any] | None = None) -> str:
    """Return the sha256 hex digest over names and contents of all that decides a model's words.

    Configuration, weights, tokenizer, chat template and its arguments count; a README does not. Of
    a folder made of a GGUF file, and as it was made, it is the hash of that file.
    """
    origin = origin_in(folder)
    if origin is not None:
        return hash_of_origin(origin, template)
    digest = digest_of_files(folder)
    if template:
        digest.update(f"template\0{json.dumps(dict(template), sort_keys=True)}\n".encode())
    return digest.hexdigest()


def hash_base(path_or_id: str | Path, template: Mapping[str, Any] | None = None) -> str:
    """Return the hash that the base in a folder or of a hub id will have with such a template.

    Raises as ``load_base`` does. A GGUF file is not converted for it.
    """
    file = gguf_of(path_or_id)
    if file is not None:
        return gguf_hash(file, template)
    return hash_model_folder(find_model_folder(path_or_id), template)


def is_here(path_or_id: str | Path) -> bool:
    """Return whether a base is a folder, a GGUF file or a package on this machine: no hub id."""
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        return True
    try:
        return gguf_of(path_or_id) is not None
    except InputError:
        return False


def base_name(path_or_id: str | Path, folder: Path) -> str:
    """Return what a base in ``folder`` is called: its hub id or own name, never a path."""
    text = str(path_or_id)
    if not is_here(path_or_id) or text.startswith(PACKAGE):
        return text
    file = gguf_of(path_or_id)
    return file.name if file is not None else folder.resolve().name


_AT_HUB = re.compile(r"https?:/+(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)")


def _model_folder(path_or_id: str | Path, files: Sequence[str] = MODEL_FILES) -> Path:
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        return path
    text = str(path_or_id)
    if at_hub := _AT_HUB.match(text):
        raise InputError(f"{text} is an address; give the hub id in it, {at_hub[1]}.")
    looks_like_path = isinstance(path_or_id, Path) or text[:1] in "./~" or text.count("/") != 1
    if looks_like_path or path.exists():
        raise InputError(
            f"There is no model folder at {path}; give a folder with config.json and safetensors "
            "files, a GGUF file, or a hub id such as Qwen/Qwen2.5-0.5B-Instruct."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(text, allow_patterns=list(files)))
    except Exception as exc:  # the hub client's many errors, all of which mean: not to be had
        raise InputError(
            f"The model {text} is neither a folder here nor to be had from the hub "
            f"({type(exc).__name__}); check the name, the network, or give a folder."
        ) from exc


def _refuse_without_weights(hub_id: str) -> None:
    """Raise InputError where the hub answers and has no safetensors of a model."""
    from huggingface_hub import HfApi

    try:
        names = HfApi().list_repo_files(hub_id)
    except Exception:  # no network, and all but the weights is here already
        return
    if not any(name.endswith(".safetensors") for name in names):
        raise InputError(
            f"The model {hub_id} has no weights as safetensors on the hub; pickled ones are not "
            "loaded: choose another base."
        )


def _check_model_folder(folder: Path, path_or_id: str | Path) -> None:
    _check_description(folder)
    named = _weights_named(folder)
    missing = sorted(name for name in named if not (folder / name).is_file())
    if missing or not any(folder.glob("*.safetensors")):
        lacks = f"{missing[0]}, which its index names" if missing else "weights (*.safetensors)"
        raise InputError(
            f"{folder} has no {lacks}; fetch {path_or_id} again, or convert its "
            "weights to safetensors: pickled ones are not loaded."
        )


def _check_description(folder: Path) -> None:
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(f"{folder} {_what_else(folder)}.")
    if (folder / ADAPTER_CONFIG).is_file():  # transformers would put it on, and say nothing
        raise InputError(
            f"{folder} holds an adapter beside the model ({ADAPTER_CONFIG}), which would be put "
            "onto it once more; give a folder of the model alone."
        )
    try:
        read_config_file(folder)
    except (OSError, ValueError) as exc:
        raise InputError(f"{config} is not readable JSON ({exc}); fetch the model again.") from exc
    _weights_named(folder)
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise InputError(
            f"{folder} has no tokenizer (tokenizer.json); copy the tokenizer files of its model "
            "into it."
        )


def _what_else(folder: Path) -> str:
    """Return what a folder without a config.json holds in place of a model, and what to give."""
    if (folder / ADAPTER_CONFIG).is_file():
        return (
            f"holds a LoRA adapter ({ADAPTER_CONFIG}) and no model; give the base that it was "
            "trained on, or merge it into that first"
        )
    inner = sorted(x.parent.name for x in folder.glob("*/config.json"))
    if inner:
        return f"has no config.json; give a folder of it that has one: {', '.join(inner[:3])}"
    return "has no config.json; give the folder that a model was saved to"


def _weights_named(folder: Path) -> set[str]:
    """Return the weight files that an index names.

    Raises InputError where one is no safetensors file of the folder's own.
    """
    all_named: set[str] = set()
    for path in folder.glob("*.safetensors.index.json"):
        try:
            named = set(read_json(path, _CONFIG_BYTES)["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise InputError(f"{path} is no index of weights; fetch the model again.") from exc
        for name in named:
            if not (is_plain_name(name) and name.endswith(".safetensors")):
                raise InputError(
                    f"{path} names the file {name!r}; weights are read only from safetensors files "
                    "of the model's own folder."
                )
        all_named |= named
    return all_named


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder that are its weights.

    Empty where not all of them are there: the weights of a hub id may still be fetched.
    """
    named = _weights_named(folder)
    single = folder / "model.safetensors"
    files = [folder / name for name in sorted(named)] or (
        [single] if single.is_file() else sorted(folder.glob("*.safetensors"))
    )
    return files if all(path.is_file() for path in files) else []


def read_config_file(folder: Path) -> dict[str, Any]:
    """Return what stands in a model folder's config.json.

    Raises OSError, and ValueError where it is no object.
    """
    content = read_json(folder / "config.json", _CONFIG_BYTES)
    if not isinstance(content, dict):
        raise ValueError("no object")
    return content


@lru_cache
def family_and_width(base: str) -> tuple[str, int]:
    """Return ``model_type`` and ``hidden_size`` of a base's config; no weight is read.

    Raises InputError as :func:`find_model_folder` does.
    """
    file = gguf_of(base)
    config = read_config_file(described_folder(file) if file else find_model_folder(base))
    width = config.get("text_config", config).get("hidden_size") or config["hidden_size"]
    return str(config.get("model_type", "")), int(width)


def stop_tokens(folder: Path, tokenizer: Any) -> list[int]:
    """Return the tokens that end an answer of the model in a folder, the tokenizer's own first.

    Beside it those of generation_config.json, or else of config.json: as ``generate`` has them.
    Raises InputError for a file that cannot be read.
    """
    declared: Any = None
    for name in ("generation_config.json", "config.json"):
        if declared is None and (folder / name).is_file():
            declared = _end_tokens(folder / name)
    ids = declared if isinstance(declared, list) else [declared]
    others = {token for token in ids if type(token) is int}
    return [tokenizer.eos_token_id, *sorted(others - {tokenizer.eos_token_id})]


def _end_tokens(path: Path) -> Any:
    """Return what a configuration says of end tokens, that of its text part at last."""
    try:
        content = read_json(path, _CONFIG_BYTES)
        ids = content.get("eos_token_id")
        return (content.get("text_config") or {}).get("eos_token_id") if ids is None else ids
    except (OSError, ValueError, AttributeError) as exc:
        raise InputError(f"{path} is not readable JSON ({exc}); fetch the model again.") from exc
