"""Text that someone else wrote, made fit to be shown: in a file, on a page, in a terminal."""

from __future__ import annotations

import re

__all__ = ["literal", "plain", "several", "shown"]

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def plain(text: str) -> str:
    """Return the text as valid Unicode: a lone surrogate, which no file can hold, becomes
    U+FFFD.
    """
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def shown(text: str) -> str:
    """Return the text with control characters made visible, for a page or a terminal."""
    return _CONTROL.sub(_picture, text)


def literal(text: object) -> str:
    """Return someone else's text for a console that reads markup: it shows as it stands."""
    from rich.markup import escape

    return escape(shown(plain(str(text))))


def several(n: int, noun: str) -> str:
    """Return a count with its noun: 1 problem, 1,150 problems."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    # an 8-bit terminal takes the rest for escape sequences
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
