r"""Text that a tool damaged on its way into a table, mended where only one text can be meant.

``\frac`` read from JSON with one backslash is a form feed and ``rac``; a web page writes ``&lt;``;
a spreadsheet's export keeps ``="1/2"``.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from html.entities import html5

__all__ = [
    "Mended",
    "as_several",
    "cut_digits",
    "decimal_points",
    "excel_date",
    "looks_comma",
    "mend",
    "mend_key",
]


@dataclass(frozen=True, slots=True)
class Mended:
    """A text, and what was mended in it: a few words each."""

    text: str
    what: tuple[str, ...] = ()


BACKSLASHES = "backslashes that JSON had eaten"
ENTITIES = "HTML entities and tags"
FORMULAS = 'a spreadsheet\'s ="..."'

_CONTROLS = {"\x07": "a", "\x08": "b", "\t": "t", "\n": "n", "\x0b": "v", "\x0c": "f", "\r": "r"}
# What may follow a control character that was the letter of a TeX command. No word of a language
# begins so where a line or a cell of a table would begin.
_EATEN = re.compile(
    r"""
    (?:[\x08\x0c](?=[A-Za-z])   # nobody types a backspace or a form feed before a letter
    | \x07(?=(?:lpha|ngle|pprox|st|rc(?:sin|cos|tan)|leph|cute|malg)(?![a-z]))
    | \x0b(?=(?:ec|arphi|arepsilon|artheta|arrho|ert|ee|dots|phantom)(?![a-z]))
    | \t(?=ext(?:bf|it|rm|tt|sf|style)?\s*\{|frac|imes(?![a-z])|heta(?![a-z])|riangle|herefore
        |ilde\s*\{|binom|anh(?![a-z])|au(?![a-z]))
    | \n(?=eq(?![a-z])|eqslant|abla(?![a-z])|otin(?![a-z])|leq|geq|Leftrightarrow|Rightarrow)
    | \r(?=ight(?:arrow)?[^a-z]|ho(?![a-z])|angle(?![a-z])|ceil|floor|brace(?![a-z]))
    )""",
    re.X,
)
# These are words or letters too, and are mended within $...$ alone.
_EATEN_IN_MATHS = re.compile(
    r"\t(?=(?:an|o|op|ext|ag)(?![a-z]))|\n(?=(?:e|ot|u|i|eg|mid|less|parallel)(?![a-z]))|\r(?=m\b)"
)
_ENTITY = re.compile(r"&(?:amp;)?(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_RAISED = re.compile(r"<(sup|sub)>\s*([^<>]{1,40}?)\s*</\1>", re.I)
_BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li|tr)>", re.I)
_TAG = re.compile(
    r"<(p|div|span|b|i|u|em|strong|li|ul|ol|table|tr|td)(?:\s[^<>]{0,200})?>(?=.*</\1>)",
    re.I | re.S,
)
_CLOSING = re.compile(r"</(?:span|b|i|u|em|strong|ul|ol|table|td)>", re.I)
# Code and what speaks of HTML mean what they say.
_ABOUT_HTML = re.compile(
    r"\b(?:html|entity|entities|markup|xml)\b|```|\bdef \w+\(|\breturn\b.*;|#include|\bprint\(",
    re.I,
)
_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
_MONTHS = (
    r"jan|feb|m[aä]r|mrz|apr|ma[iy]|jun|jul|aug|sept?|o[ck]t|nov|de[cz]"
    r"|janv|f[eé]vr|mars|avr|juin|juil|ao[uû]t|d[eé]c|ene|abr|ago|dic|gen|mag|giu|lug|set|ott"
)
_DATE = re.compile(
    rf"""\d{{1,2}}[-\s.]{{1,2}}(?:{_MONTHS})[a-zäéû]{{0,6}}\.?(?:[-\s]\d{{2}}(?:\d\d)?)?
    | (?:{_MONTHS})[a-zäéû]{{0,6}}\.?-\d{{2}}(?:\d\d)?
    | \d{{1,2}}\.\d{{1,2}}\.(?:19|20)\d\d
    | \d{{1,2}}/\d{{1,2}}/(?:19|20)\d\d
    | (?:19|20)\d\d-[01]\d-[0-3]\d(?:[ T]00:00(?::00)?)?""",
    re.I | re.X,
)
_ASKS_DATE = re.compile(
    r"\b(?:dates?|days?|when|birthday|born|calendar|month|datum|tag|wann|monat|jour|mois|quand"
    r"|fecha|d[ií]a|cu[aá]ndo|giorno|quando)\b",
    re.I,
)
# Of a key typed by hand nobody writes eleven digits or more before an exponent.
_CUT_DIGITS = re.compile(r"-?\d\.\d{10,}[eE]\+?(?:1[5-9]|[2-9]\d|\d{3,})")
_COMMA_NUMBER = re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+|\d+)(?:\{,\}|,)(\d+)(?!\d|[.,]\d)")
_SPACED = re.compile(r"(?<=\d)[ \xa0\u202f](?=\d{3}(?:[ \xa0\u202f]\d{3})*(?:,\d+)?(?!\d|,\d))")
_GROUPED = re.compile(r"(?<![\d.,])([1-9]\d{0,2}(?:\.\d{3})+)(?!\d|[.,]\d)")
_SURELY_COMMA = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+,\d+|0,\d+|\d+,\d*0|\d+,\d{4,})\D{0,12}")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_MAYBE_COMMA = re.compile(r"[-+−]?\d+,\d{1,2}(?:\s*\D{0,12})?")
_BEFORE_NUMBER = re.compile(r"(?:[A-Za-z]{1,3}\s*=|[€£≈~]|(?:ca|approx)\.?)\s*(?=[-+−]?\d)")
# What asks for several values, whose commas part them.
_ASKS_SEVERAL = re.compile(
    r"\b(?:separated by|commas?|respectively|ordered pair|coordinates|both|in (?:\w+ )?order|pairs?"
    r"|(?:two|three|four) (?:\w+ )?(?:numbers|values|integers|solutions|roots|primes|factors)"
    r"|beziehungsweise|bzw|zwei (?:\w+ )?zahlen|lösungen|nullstellen|solutions|soluciones)\b",
    re.I,
)


def mend(text: str) -> Mended:
    """Return a problem's text mended: backslashes that JSON ate, HTML entities and tags."""
    what = []
    mended = _backslashes(text)
    if mended != text:
        what.append(BACKSLASHES)
    plain = mended if _ABOUT_HTML.search(mended) else _without_html(mended)
    if plain != mended:
        what.append(ENTITIES)
    return Mended(plain, tuple(what))


def mend_key(key: str) -> Mended:
    """Return a key mended as a text is, and taken out of a spreadsheet's ``="..."``."""
    mended = mend(key)
    formula = _FORMULA.fullmatch(mended.text.strip())
    if formula is None:
        return mended
    return Mended(formula[1].replace('""', '"').strip(), (*mended.what, FORMULAS))


def _backslashes(text: str) -> str:
    if text.isprintable():
        return text
    text = _EATEN.sub(lambda m: "\\" + _CONTROLS[m[0]], text)
    if "$" not in text:
        return text
    parts = text.split("$")
    for index in range(1, len(parts) - 1 + len(parts) % 2, 2):
        parts[index] = _EATEN_IN_MATHS.sub(lambda m: "\\" + _CONTROLS[m[0]], parts[index])
    return "$".join(parts)


def _without_html(text: str) -> str:
    if "&" in text:
        text = _ENTITY.sub(_entity, text)
    if ("<" in text and "</" in text) or "<br" in text.lower():
        text = _RAISED.sub(lambda m: ("^" if m[1].lower() == "sup" else "_") + _braced(m[2]), text)
        text = _TAG.sub("", text)
        text = _CLOSING.sub("", _BREAK.sub("\n", text)).strip()
    return text


def _entity(found: re.Match[str]) -> str:
    name = found[0][1:]
    name = name.removeprefix("amp;") or name  # &amp;nbsp; was escaped twice
    if not name.startswith("#") and name not in html5:
        return found[0]
    return html.unescape("&" + name).replace("\xa0", " ")


def _braced(text: str) -> str:
    return text if len(text) == 1 else "{" + text + "}"


def excel_date(key: str, text: str) -> str:
    """Return why a key is a date that a spreadsheet made of a fraction, "" where it is none.

    A problem that asks for a date keeps it.
    """
    if _DATE.fullmatch(key.strip()) is None or _ASKS_DATE.search(text):
        return ""
    return (
        "a date, which a spreadsheet makes of 3/4; format the column as text and type the key again"
    )


def cut_digits(key: str) -> str:
    """Return why a key is what is left of a longer number, "" where it is not."""
    if _CUT_DIGITS.fullmatch(key.strip()) is None:
        return ""
    return (
        "a number of more than 15 digits, of which a spreadsheet or a float keeps the first; "
        "write it as text (in a spreadsheet, format the column as text and type the key again)"
    )


def decimal_points(key: str) -> str:
    """Return a key with decimal commas (``1.234,5``, ``1 234,5``, ``0{,}5``) as points."""
    key = _SPACED.sub("", key)
    key = _COMMA_NUMBER.sub(lambda m: m[1].replace(".", "") + "." + m[2], key)
    return _GROUPED.sub(lambda m: m[1].replace(".", ""), key)


def looks_comma(key: str, text: str = "") -> str:
    """Return "surely" or "maybe" where a key looks like a number with a decimal comma, or several
    parted by semicolons; else "".

    ``3,5`` may be two values too, and is taken for them where the problem's ``text`` asks for
    several.
    """
    parts = key.strip().strip("$()[] ").split(";")
    if len(parts) > 1:
        bracketed = re.search(r"[()\[\]{}]", "".join(parts))
        return "surely" if any(map(_comma_number, parts)) and not bracketed else ""
    found = _comma_number(key)
    return "" if found == "maybe" and _ASKS_SEVERAL.search(text) else found


def _comma_number(key: str) -> str:
    plain = key.strip().strip("$").strip().replace("{,}", ",")
    plain = _BEFORE_NUMBER.sub("", plain, count=1)
    if _THOUSANDS.match(plain):
        return ""
    if _SURELY_COMMA.fullmatch(plain):
        return "surely"
    return "maybe" if _MAYBE_COMMA.fullmatch(plain) else ""


def as_several(key: str) -> str:
    """Return a key whose comma looks decimal as the two values it is: ``3, 5`` of ``3,5``."""
    return re.sub(r",(?=\d)", ", ", key) if looks_comma(key) else key
