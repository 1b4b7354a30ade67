"""A large file is hashed once, and again where it has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from potstill.store import file_hash
from potstill.store.file_hash import sha256_of


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_hash, "LARGE_BYTES", 8)
    return tmp_path / "cache" / "potstill" / "hashes.json"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_was_hashed_is_remembered_until_it_changes(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"0123456789")
    assert sha256_of(path) == _sha256(b"0123456789")
    true = cache.read_text()
    cache.write_text(true.replace(_sha256(b"0123456789"), "from the cache"))
    assert sha256_of(path) == "from the cache"
    path.write_bytes(b"9876543210")
    assert sha256_of(path) == _sha256(b"9876543210")


def test_a_small_file_is_read_each_time(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"{}")
    assert sha256_of(path) == _sha256(b"{}")
    assert not cache.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"x": 1}', "{", '{"x": [1, 2, 3]}'])
def test_a_damaged_cache_is_done_without(cache: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"0123456789")
    cache.parent.mkdir(parents=True)
    cache.write_text(text)
    assert sha256_of(path) == _sha256(b"0123456789")


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"0123456789")
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file in the way")
    assert sha256_of(path) == _sha256(b"0123456789")
