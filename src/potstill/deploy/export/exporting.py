"""A student written in the form that another program takes, then asked again in that form.

The export is written beside its place under another name, asked, given its card, and renamed: it is
there whole or not at all.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.analysis.students import another_base, base_path_of
from potstill.deploy.export.card import model_card
from potstill.deploy.export.gguf_file import (
    GGUF_NAME,
    QUANTISATIONS,
    gguf_bytes,
    is_written,
    require_gguf,
    write_gguf,
)
from potstill.deploy.export.merging import (
    DTYPES,
    check_fits,
    check_room,
    is_quantised,
    merged_files,
    read_delta,
    write_merged,
)
from potstill.deploy.export.modelfile import MODELFILE_NAME, modelfile
from potstill.deploy.export.placing import new_folder, refuse_taken
from potstill.deploy.export.reasking import reask
from potstill.errors import InputError
from potstill.models.architecture import context_tokens, read_config
from potstill.models.gguf_base import origin_in
from potstill.models.torch_base import find_model_folder, hash_model_folder, load_tokenizer
from potstill.plugins import choose

if TYPE_CHECKING:
    from potstill.analysis.students import FoundStudent
    from potstill.deploy.export.reasking import Reasked

__all__ = ["FORMS", "Export", "export_student"]

FORMS = ("peft", "mlx", "merged", "gguf", "ollama")

_CARD = "README.md"
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_TOKENIZER_FILES = ("*token*.json", "*.jinja", "vocab.*", "merges.txt", "*.model")


@dataclass(frozen=True, slots=True)
class Export:
    """What is wanted: the form, the folder it goes to, and for how many problems it is asked again.

    ``base`` is where the base model is, empty for where the study has it. ``dtype`` is a merged
    model's, empty for the base's own; ``quantise`` a GGUF file's.
    """

    form: str
    out: Path
    base: str = ""
    dtype: str = ""
    quantise: str = "f16"
    reask: int = 50


def export_student(found: FoundStudent, export: Export) -> Reasked:
    """Return how the student answered from its exported form, after ``export.out`` has been
    written.

    Raises InputError for a form, dtype or base that cannot be, and where a package is missing;
    StoreError for a folder that is not empty and a disk without room.
    """
    export = _settled(export)
    base = _base_folder(found, export)
    form = _weights_form(export, base)
    check_room(export.out, _needed_bytes(found, export, form, base))
    with new_folder(export.out) as partial:
        note = _write(found, export, form, base, partial)
        reasked = reask(found, form, partial, str(base), export.reask)
        card = model_card(found, export.form, note, reasked, origin_in(base))
        (partial / _CARD).write_text(card, encoding="utf-8")
    return reasked


def _settled(export: Export) -> Export:
    """Return what is meant, its names as they are written here, once it is known that it can be."""
    form = choose("form", export.form, FORMS)
    dtype = export.dtype and choose("dtype", export.dtype, DTYPES)
    quantise = choose("quantisation", export.quantise, QUANTISATIONS)
    if form == "gguf":
        require_gguf()
    refuse_taken(export.out)
    return replace(export, form=form, dtype=dtype, quantise=quantise)


def _weights_form(export: Export, base: Path) -> str:
    """Return the form of the weights: Ollama takes a GGUF file, or else the merged safetensors.

    The latter where no GGUF file can be written here: of another family, or without the package.
    """
    if export.form != "ollama":
        return export.form
    return "gguf" if find_spec("gguf") is not None and is_written(base) else "merged"


def _base_folder(found: FoundStudent, export: Export) -> Path:
    """Return the base's folder, once its hash and shapes were compared with what the adapter
    needs.
    """
    own = base_path_of(found.study)
    folder = find_model_folder(export.base or own)
    if export.form in ("peft", "mlx"):
        if hash_model_folder(folder, found.study.student.template) != found.student.base_hash:
            raise another_base(found.student, folder)
        return folder
    quantised = bool(export.base) and _studied_quantised(own)
    template = found.study.student.template
    delta = read_delta(found.folder)
    check_fits(found.student, delta, folder, template, quantised_study=quantised)
    if load_tokenizer(folder).get_vocab() != load_tokenizer(found.folder).get_vocab():
        raise InputError(
            f"{folder} has another vocabulary than {found.student.id} was trained with; give the "
            f"full-precision {found.base_name} with --base."
        )
    return folder


def _studied_quantised(own: str) -> bool:
    """Return whether the study's own base, as far as it is still to be had, holds quantised
    weights.
    """
    try:
        return is_quantised(find_model_folder(own))
    except InputError:
        return False


def _needed_bytes(found: FoundStudent, export: Export, form: str, base: Path) -> int:
    if form in ("peft", "mlx"):
        return sum(path.stat().st_size for path in found.folder.iterdir())
    weights = merged_files(base, export.dtype if form == "merged" else "")[1]
    beside = sum(path.stat().st_size for path in base.glob("*.json"))
    return gguf_bytes(weights, base, export.quantise) if form == "gguf" else weights + beside


def _write(found: FoundStudent, export: Export, form: str, base: Path, out: Path) -> str:
    """Return what is to be said of the form, after the student was written to ``out`` in it."""
    note = ""
    if form == "peft":
        for name in _ADAPTER_FILES:
            shutil.copyfile(found.folder / name, out / name)
        _copy_tokenizer(found.folder, out)
    elif form == "mlx":
        from potstill.deploy.export.mlx_adapter import write_mlx_adapter

        write_mlx_adapter(found.folder, out, base)
        _copy_tokenizer(found.folder, out)
    elif form == "merged":
        write_merged(base, read_delta(found.folder), out, export.dtype)
        if found.study.student.template:  # the student's own tokenizer has it in its template
            _copy_tokenizer(found.folder, out)
        note = f"Weights in {export.dtype or 'the dtype of the base'}."
    else:
        name = found.student.id
        delta, template = read_delta(found.folder), found.study.student.template
        write_gguf(base, delta, out / GGUF_NAME, name, export.quantise, template)
        note = f"Matrices in {export.quantise.upper()}."
    if export.form == "ollama":
        _write_modelfile(found, form, base, out)
    return note


def _write_modelfile(found: FoundStudent, form: str, base: Path, out: Path) -> None:
    source = f"./{GGUF_NAME}" if form == "gguf" else "."
    tokenizer = load_tokenizer(base, found.study.student.template)
    context = context_tokens(read_config(base))
    text = modelfile(found, tokenizer, base, source, context)
    (out / MODELFILE_NAME).write_text(text, encoding="utf-8")


def _copy_tokenizer(source: Path, out: Path) -> None:
    for pattern in _TOKENIZER_FILES:
        for path in source.glob(pattern):
            shutil.copyfile(path, out / path.name)
