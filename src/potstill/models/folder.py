"""A model's folder: found, checked and hashed before anything of it is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.errors import InputError
from potstill.store.untrusted import is_plain_name, read_json

__all__ = ["find_model_folder", "hash_model_folder", "stop_tokens"]

_CONFIG_BYTES = 64 << 20
# What decides a model's words: weights, shape, end tokens, tokenizer and template. Never pickles.
_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def find_model_folder(path_or_id: str | Path) -> Path:
    """Return the folder of a model that is a folder or a hub id.

    Raises InputError for what it lacks.
    """
    folder = _model_folder(path_or_id)
    _check_model_folder(folder, path_or_id)
    return folder


def hash_model_folder(folder: Path, template: Mapping[str, Any] | None = None) -> str:
    """Return the sha256 hex digest over names and contents of all that decides a model's words.

    Configuration, weights, tokenizer, chat template and its arguments count; a README does not.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _MODEL_FILES for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode())
    if template:
        digest.update(f"template\0{json.dumps(dict(template), sort_keys=True)}\n".encode())
    return digest.hexdigest()


def _model_folder(path_or_id: str | Path) -> Path:
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        return path
    text = str(path_or_id)
    looks_like_path = isinstance(path_or_id, Path) or text[:1] in "./~" or text.count("/") != 1
    if looks_like_path or path.exists():
        raise InputError(
            f"There is no model folder at {path}; give a folder with config.json and safetensors "
            "files, or a hub id such as Qwen/Qwen2.5-0.5B-Instruct."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(text, allow_patterns=list(_MODEL_FILES)))
    except Exception as exc:  # the hub client's many errors, all of which mean: not to be had
        raise InputError(
            f"The model {text} is neither a folder here nor to be had from the hub "
            f"({type(exc).__name__}); check the name, the network, or give a folder."
        ) from exc


def _check_model_folder(folder: Path, path_or_id: str | Path) -> None:
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(f"{folder} has no config.json; give the folder that a model was saved to.")
    try:
        if not isinstance(read_json(config, _CONFIG_BYTES), dict):
            raise ValueError("no object")
    except (OSError, ValueError) as exc:
        raise InputError(f"{config} is not readable JSON ({exc}); fetch the model again.") from exc
    _check_index(folder)
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder} has no weights (*.safetensors); fetch {path_or_id} again, or convert its "
            "weights to safetensors: pickled ones are not loaded."
        )
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise InputError(
            f"{folder} has no tokenizer (tokenizer.json); copy the tokenizer files of its model "
            "into it."
        )


def _check_index(folder: Path) -> None:
    """Raise InputError where an index names weights that are no safetensors here."""
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


def stop_tokens(folder: Path, tokenizer: Any) -> list[int]:
    """Return the tokens that end an answer of the model in a folder, the tokenizer's own first.

    Beside it those of generation_config.json, or else of config.json: as ``generate`` has them.
    """
    declared = None
    for name in ("generation_config.json", "config.json"):
        if declared is None and (folder / name).is_file():
            content = read_json(folder / name, _CONFIG_BYTES)
            declared = content.get("eos_token_id")
            if declared is None:
                declared = (content.get("text_config") or {}).get("eos_token_id")
    others = set(declared if isinstance(declared, list) else [declared])
    return [tokenizer.eos_token_id, *sorted(others - {None, tokenizer.eos_token_id})]
