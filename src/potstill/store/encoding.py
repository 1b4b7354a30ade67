"""What a text file is written in: UTF-8, UTF-16, or what an old Windows program left."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from potstill.errors import InputError

__all__ = ["Encoded", "encoding_of"]

_CHUNK = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = (
    (b"PK\x03\x04", "a zip archive (an Excel workbook is one); name it .xlsx, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an old Excel; save it as .xlsx or as CSV UTF-8"),
    (b"%PDF", "a PDF; copy its problems into a table"),
    (b"\x1f\x8b", "packed with gzip; unpack it first"),
    (b"PAR1", "a Parquet file; name it .parquet"),
    (b"SQLite format 3", "an SQLite database; write its table as CSV"),
    (b"{\\rtf", "a document of a word processor; copy its problems into a table"),
)
_MARKUP = re.compile(rb"\s*<(?:!doctype html|html|table|\?xml)\b", re.IGNORECASE)
# A letter of Latin-1 in UTF-8, read as cp1252.
_UTF8_LETTER = re.compile("Ã[\u20ac\u201a-\u2122\u0152-\u0192\xa0-\xbf]")
# The share of bytes beyond ASCII above which a text is not of a Latin alphabet.
_MOSTLY_FOREIGN = 0.25
_FOREIGN = ("cp1251", "koi8_r", "cp1253", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr")


@dataclass(frozen=True, slots=True)
class Encoded:
    """The name of an encoding, and what to say where it was guessed."""

    name: str
    note: str = ""


def encoding_of(path: Path, given: str = "") -> Encoded:
    """Return the encoding of a text file: the ``given`` one, else as its bytes say.

    Bytes that are not UTF-8 are read as Windows-1252, which Excel writes in the West, or as what
    charset-normalizer finds where most of them are no ASCII; the note says so. Raises InputError
    for a file that is no text, one that is damaged UTF-8, and an encoding that does not exist.
    """
    if given:
        return Encoded(_known(given))
    with path.open("rb") as file:
        head = file.read(4_096)
        _refuse_no_text(path, head)
        for mark, name in _BOMS:
            if head.startswith(mark):
                return Encoded(name)
        if (wide := _wide(head)) is not None:
            return Encoded(wide)
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        at = 0
        while chunk := file.read(_CHUNK):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return _not_utf8(path, at)
            at += len(chunk)
    return Encoded("utf-8-sig")


def _known(name: str) -> str:
    try:
        found = codecs.lookup(name)
        "a".encode(found.name)
    except (LookupError, UnicodeError) as exc:
        raise InputError(
            f"there is no encoding {name!r}; say utf-8, cp1252 (Windows), utf-16 or mac_roman."
        ) from exc
    return "utf-8-sig" if found.name == "utf-8" else found.name


def _refuse_no_text(path: Path, head: bytes) -> None:
    for mark, what in _NO_TEXT:
        if head.startswith(mark):
            raise InputError(f"{path} is no text but {what}.")
    if _MARKUP.match(head):
        raise InputError(
            f"{path} is a web page (HTML or XML), whatever its name says; open it in a spreadsheet "
            "and save it as CSV UTF-8 or .xlsx."
        )


def _wide(head: bytes) -> str | None:
    """Return UTF-16 without a mark: every other byte of a Latin text is zero."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) < 0.3 * max(1, len(head) // 2):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _not_utf8(path: Path, at: int) -> Encoded:
    """Return what bytes that are not UTF-8 are read as, judged by the part where they begin."""
    with path.open("rb") as file:
        file.seek(max(0, at - _CHUNK))
        part = file.read(3 * _CHUNK)
    read = part.decode("utf-8", "surrogateescape")
    bad = sum("\udc80" <= c <= "\udcff" for c in read)
    if sum(c > "\x7f" for c in read) - bad > 2 * bad:
        place = next(i for i, c in enumerate(read) if "\udc80" <= c <= "\udcff")
        line = f" line {read.count(chr(10), 0, place) + 1}" if at <= _CHUNK else ""
        raise InputError(
            f"{path}{line}: not UTF-8 text, though the rest is (near {_near(read, place)!r}); mend "
            "that place, or fetch the file again."
        )
    name = _foreign(part) or "cp1252"
    try:
        text = part.decode(name)
    except UnicodeDecodeError as exc:
        if name not in ("gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"):
            raise InputError(
                f"{path} is not UTF-8 text (byte {exc.start}); save it as UTF-8 (in Excel: CSV "
                "UTF-8), or name its encoding."
            ) from exc
        text = part.decode(name, "replace")
    mixed = _UTF8_LETTER.search(text) if name == "cp1252" else None
    place = mixed.start() if mixed else next(i for i, c in enumerate(text) if c > "\x7f")
    some = ", though some of it may be" if mixed else ""
    return Encoded(
        name,
        f"{path.name} is not UTF-8{some}; it was read as {name} (such as {_near(text, place)!r}). "
        "Where letters are wrong, save it as UTF-8, or name its encoding: encoding: NAME in a "
        "study, or --encoding NAME",
    )


def _near(text: str, place: int) -> str:
    """Return the words around a place, without bytes that are no text."""
    around = text[max(0, place - 12) : place + 12]
    return " ".join("".join(c for c in around if not "\udc80" <= c <= "\udcff").split())


def _foreign(part: bytes) -> str:
    """Return the encoding of an alphabet that is not Latin, "" where most bytes are ASCII."""
    if sum(byte > 127 for byte in part[:20_000]) < _MOSTLY_FOREIGN * len(part[:20_000]):
        return ""
    from charset_normalizer import from_bytes

    best = from_bytes(part[:20_000], cp_isolation=list(_FOREIGN)).best()
    return best.encoding if best is not None else ""
