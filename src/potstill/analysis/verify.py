"""``potstill verify``: every hash of a study's directory derived again; only looks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import PotstillError, StoreError
from potstill.ledger.ledger import Ledger
from potstill.pipeline.declared import DECLARED_FILE
from potstill.pipeline.lock import LOCK_FILE, deciding, lost_cells, read_lock
from potstill.store.atomic import file_sha256
from potstill.store.cells import Store
from potstill.store.untrusted import read_json, stays_inside
from potstill.text import several

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.study.schema import Study

__all__ = ["Verified", "print_verified", "verify_study"]

_SHOWN = 50
_ANEW = "and run the study again: it is made anew, and nothing is bought"


@dataclass(slots=True)
class Verified:
    """What was looked at and how much of it there is, what is damaged, and what could not be told.

    Every entry of ``damaged`` is one sentence: which file, what is wrong, what to do.
    """

    looked_at: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Artifact:
    """A cell on disk: its folder, the sha256 of every file by its manifest, and the sound files."""

    name: str
    folder: Path
    files: Mapping[str, str]
    sound: list[Path] = field(default_factory=list)


def verify_study(directory: str | Path) -> Verified:
    """Return what is whole and what is damaged in a study's directory; nothing in it is changed.

    Raises StoreError for a folder that is no study directory, or one of a newer Potstill.
    """
    from potstill.pipeline.directory import directory_of, no_study_directory

    directory = directory_of(Path(directory))
    if not (directory / "study.json").exists() and not (directory / "cells").is_dir():
        raise no_study_directory(directory)
    found = Verified()
    if (directory / "potstill.json").exists():
        Store(directory, create=False)
    else:
        found.damaged.append("potstill.json is missing: run the study again to write it.")
    study = _study(directory, found)
    lock = _lock(directory, found)
    sound = _cells(directory, lock, found)
    _ledger(directory, lock, sound, found)
    _report(directory, lock, found)
    _declared(directory, lock, found)
    if study and lock:
        _decided(study, directory, lock["decides"], found)
    return found


def print_verified(found: Verified, directory: Path, console: Console) -> None:
    """Print what was looked at, then one sentence for every damaged thing."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in found.looked_at:
        table.add_row(*map(Text, row))
    console.print(table)
    for note in found.notes:
        console.print(Text(f"note: {note}"))
    for sentence in found.damaged[:_SHOWN]:
        console.print(Text(f"damaged: {sentence}", style="red"))
    if len(found.damaged) > _SHOWN:
        console.print(f"and {len(found.damaged) - _SHOWN:,} more.")
    many = f"{len(found.damaged):,} thing{'s' if len(found.damaged) > 1 else ''}"
    says = f"{many} damaged" if found.damaged else "nothing is damaged"
    console.print(Text(f"{directory}: {says}."))


def _study(directory: Path, found: Verified) -> Study | None:
    from potstill.pipeline.directory import study_of

    try:
        return study_of(directory)
    except StoreError:
        found.damaged.append(
            "study.json is missing or cannot be read: run the study again from its YAML file; "
            "nothing finished is made again."
        )
    return None


def _lock(directory: Path, found: Verified) -> Mapping[str, Any] | None:
    try:
        lock = read_lock(directory)
    except StoreError as exc:
        found.damaged.append(str(exc))
        return None
    if lock:
        found.looked_at.append(
            ("lock", f"{several(len(lock['artifacts']), 'artifact')}, as it was written")
        )
    elif (directory / "report" / "report.json").exists():
        found.damaged.append(
            f"{LOCK_FILE} is missing, so nothing says which artifacts the report stands on: run "
            "the study again to write it."
        )
    else:
        found.notes.append(
            "the study has no report and no lock yet; what is finished was looked at."
        )
    return lock


def _cells(directory: Path, lock: Mapping[str, Any] | None, found: Verified) -> list[_Artifact]:
    """Return the artifacts whose manifest can be read, after every file of them was hashed."""
    locked = {
        name: sha256
        for name, sha256 in (lock["artifacts"] if lock else {}).items()
        if name.startswith("cells/")
    }
    folders = sorted(path.parent for path in (directory / "cells").glob("*/*/manifest.json"))
    here = {path.relative_to(directory).as_posix() for path in folders}
    if locked and not (directory / "cells").is_dir():
        found.damaged.append(f"{lost_cells(directory)}.")
        return []
    for name in sorted(locked):
        if name.rpartition("/")[0] not in here:
            found.damaged.append(
                f"{name} is missing and the report stands on it: {_ANEW.removeprefix('and ')}."
            )
    read = [_artifact(path, directory, locked, found) for path in folders]
    artifacts = [artifact for artifact in read if artifact]
    count = size = 0
    for artifact in artifacts:
        for path, wrong in _files(artifact, directory):
            count += 1
            if wrong:
                shown = path.relative_to(directory).as_posix()
                found.damaged.append(f"{shown} {wrong}: delete {artifact.name}/ {_ANEW}.")
            else:
                artifact.sound.append(path)
                size += path.stat().st_size
    told = f"{len(folders):,}, of {several(count, 'file')} and {size / 1e6:,.1f} MB"
    found.looked_at.insert(0, ("artifacts", told))
    return artifacts


def _artifact(
    folder: Path, directory: Path, locked: Mapping[str, str], found: Verified
) -> _Artifact | None:
    name = folder.relative_to(directory).as_posix()
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
        files = {str(file): str(sha256) for file, sha256 in manifest["files"].items()}
        if (manifest["stage"], manifest["key"]) != (folder.parent.name, folder.name):
            raise ValueError("it is of another artifact")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        found.damaged.append(
            f"{name}/manifest.json is no manifest ({exc}): delete {name}/ {_ANEW}."
        )
        return None
    expected = locked.get(f"{name}/manifest.json")
    if expected and file_sha256(path) != expected:
        found.damaged.append(
            f"{name}/manifest.json is not the one that the report stands on: delete {name}/ "
            f"{_ANEW}."
        )
    return _Artifact(name, folder, files)


def _files(artifact: _Artifact, directory: Path) -> Iterator[tuple[Path, str]]:
    """Yield every file that a manifest names, and what is wrong with it ("" for nothing)."""
    for name, expected in artifact.files.items():
        if not stays_inside(name):
            yield artifact.folder / "manifest.json", "names a file outside its folder"
        else:
            path = artifact.folder / name
            yield path, _wrong(path, expected, directory)


def _wrong(path: Path, expected: str, directory: Path) -> str:
    """Return what is wrong with a file of a known sha256, "" for nothing."""
    if not path.resolve().is_relative_to(directory.resolve()):
        return "is a link that leads out of the study and was not read"
    if not path.is_file():
        return "is missing"
    try:
        actual = file_sha256(path)
    except OSError as exc:
        return f"cannot be read ({exc.strerror or exc})"
    if actual == expected:
        return ""
    return f"is not as it was written (its sha256 is {actual[:8]} and not {expected[:8]})"


def _ledger(
    directory: Path, lock: Mapping[str, Any] | None, artifacts: list[_Artifact], found: Verified
) -> None:
    path = directory / "ledger.sqlite"
    restore = "restore ledger.sqlite from a copy"
    try:
        with Ledger.open(path, readonly=True) as ledger:
            damaged = ledger.verify()
            keys = ledger.keys()
            found.looked_at.append(("ledger", f"{len(keys):,} replies"))
            first, sha256 = _locked_replies(lock)
            same = ledger.digest(first) == (first, sha256)
    except PotstillError as exc:
        found.damaged.append(str(exc))
        return
    for key in damaged:
        found.damaged.append(
            f"ledger.sqlite: the reply {key[:16]} is not as it was received: {restore}; it is "
            "never used."
        )
    if lock and not same and not damaged:
        found.damaged.append(
            f"ledger.sqlite no longer begins with the {first:,} replies that the lock "
            f"counts (it has {len(keys):,}): {restore}, or run the study again if it was merged."
        )
    for artifact in artifacts:
        lost = _replies(artifact) - keys
        if lost:
            found.damaged.append(
                f"{len(lost):,} replies that {artifact.name} was made of are not in the ledger "
                f"({min(lost)[:16]} is the first): {restore}."
            )


def _locked_replies(lock: Mapping[str, Any] | None) -> tuple[int, str]:
    """Return how many replies the lock counts, and their digest."""
    if lock is None:
        return 0, ""
    return int(lock["ledger"]["replies"]), str(lock["ledger"]["sha256"])


def _replies(artifact: _Artifact) -> set[str]:
    """Return the ledger keys of the replies in an artifact's sound tables."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys: set[str] = set()
    for path in artifact.sound:
        if path.suffix != ".parquet":
            continue
        try:
            names = [n for n in ("ledger_key", "finish") if n in pq.read_schema(path).names]
            columns = pq.read_table(path, columns=names).to_pydict()
        except (pa.ArrowException, OSError):
            continue  # as it was written, and by someone else
        if "ledger_key" in columns:
            ended = columns.get("finish") or [""] * len(columns["ledger_key"])
            told = zip(columns["ledger_key"], ended, strict=True)
            keys |= {str(key) for key, finish in told if key and finish != "ERROR"}
    return keys


def _declared(directory: Path, lock: Mapping[str, Any] | None, found: Verified) -> None:
    """Look at what says that the primary comparison was named before anyone answered."""
    path = directory / DECLARED_FILE
    if not path.exists():  # an earlier Potstill had none; a run takes it from the lock
        return
    try:
        names = read_json(path)["primary"]
    except (OSError, ValueError, KeyError, TypeError):
        names = None
    if not (isinstance(names, list) and len(names) == 2):
        anew = "delete it and run the study again, which takes it from study.lock.json"
        remedy = anew if lock else "restore it from a copy"
        found.damaged.append(
            f"{DECLARED_FILE} cannot be read, and without it no report says that its comparison "
            f"was declared: {remedy}."
        )


def _report(directory: Path, lock: Mapping[str, Any] | None, found: Verified) -> None:
    if lock is None:
        return
    expected = {k: v for k, v in lock["artifacts"].items() if k.startswith("report/")}
    for name, sha256 in expected.items():
        if wrong := _wrong(directory / name, sha256, directory):
            found.damaged.append(f"{name} {wrong}: run the study again to write the report anew.")
    found.looked_at.append(("report", f"{several(len(expected), 'file')}"))


def _decided(study: Study, directory: Path, locked: Mapping[str, Any], found: Verified) -> None:
    """Whether the study's settings and inputs, derived again, are those that the lock holds."""
    from potstill.planning.plan import flat

    base_hash = _base_hash_here(study)
    try:
        now = dict(flat(deciding(study, directory, base_hash or locked["student"]["base_hash"])))
    except PotstillError as exc:
        found.damaged.append(str(exc))
        return
    # an older lock holds the cluster too, which decides nothing
    then = {name: x for name, x in flat(locked) if not name.startswith("cluster.")}
    found.looked_at.append(("settings", f"{len(then):,}, with prompts, inputs and base"))
    if not base_hash:
        found.notes.append(f"the base {study.student.base} is not here; it was not looked at.")
    for name in sorted(then.keys() | now.keys()):
        if then.get(name) == now.get(name):
            continue
        if _hashed(then.get(name)) and not _hashed(now.get(name)):
            found.notes.append(f"{name} ({now.get(name)}) is not here; it was not looked at.")
            continue
        unknown_then = name not in then and name.startswith("prompts.")
        if unknown_then or (_hashed(now.get(name)) and not _hashed(then.get(name))):
            found.notes.append(f"{name} was not there when the report was made; not compared.")
            continue
        found.damaged.append(
            f"{name} is no longer what the report was made with ({_short(then.get(name))} then, "
            f"{_short(now.get(name))} now): put it back, or run the study again for a new report."
        )


def _base_hash_here(study: Study) -> str:
    """Return the hash of the base model, "" where it is not on this machine; nothing is fetched."""
    from potstill.models.folder import hash_base, hash_model_folder, is_here
    from potstill.models.gguf_base import names_gguf
    from potstill.pipeline.context import base_path_of

    place = base_path_of(study)
    if is_here(place):
        return hash_base(place, study.student.template)
    if names_gguf(place):
        return ""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(place, local_files_only=True))
        return hash_model_folder(folder, study.student.template)
    except Exception:  # the hub client's many errors, all of which mean: not here
        return ""


def _hashed(value: object) -> bool:
    return isinstance(value, str) and value.startswith("sha256:")


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
