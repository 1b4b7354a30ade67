r"""Text that a tool damaged on its way into a table, mended where only one text can be meant.

``\frac`` read from JSON with one backslash is a form feed and ``rac``; a web page writes ``&lt;``;
a spreadsheet's export keeps ``="1/2"``.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from html.entities import html5

from potstill.store.workbook import duration

__all__ = [
    "Mended",
    "as_duration",
    "as_several",
    "cut_digits",
    "decimal_points",
    "excel_date",
    "excel_time",
    "holds_pair",
    "looks_comma",
    "may_be_thousands",
    "mend",
    "mend_key",
    "read_otherwise",
    "states_key",
]


@dataclass(frozen=True, slots=True)
class Mended:
    """A text, and what was mended in it: a few words each."""

    text: str
    what: tuple[str, ...] = ()


BACKSLASHES = "backslashes that JSON had eaten"
ENTITIES = "HTML entities and tags"
FORMULAS = 'a spreadsheet\'s ="..."'
DURATIONS = "a spreadsheet's duration"

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
_RAISED = re.compile(r"<(sup|sub)>\s*([^<>\s](?:[^<>]{0,38}[^<>\s])?)\s*</\1>", re.I)
_BREAK = re.compile(r"<br\s*/?>|</(?:p|div|li|tr)>", re.I)
_TAGS = "p|div|span|b|i|u|em|strong|li|ul|ol|table|tr|td"
_TAG = re.compile(rf"<({_TAGS})(?:\s[^<>]{{0,200}})?>", re.I)
_CLOSED = re.compile(rf"</({_TAGS})>", re.I)
_CLOSING = re.compile(r"</(?:span|b|i|u|em|strong|ul|ol|table|td)>", re.I)
# Code and what speaks of HTML mean what they say.
_ABOUT_HTML = re.compile(
    r"\b(?:html|entity|entities|markup|xml)\b|```|\bdef \w+\(|\breturn\b[^\n;]{0,300};|#include"
    r"|\bprint\(",
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
    | (?:19|20)\d\d-[01]\d-[0-3]\d(?:[ T][0-2]\d:[0-5]\d(?::[0-5]\d)?)?""",
    re.I | re.X,
)
_ASKS_DATE = re.compile(
    r"\b(?:dates?|days?|when|birthday|born|calendar|month|datum|tag|wann|monat|jour|mois|quand"
    r"|fecha|d[ií]a|cu[aá]ndo|giorno|quando)\b",
    re.I,
)
# As a spreadsheet writes a time: 3:02 is 03:02:00, and what is a day or longer 30:15:00.
_CLOCK = re.compile(r"(\d{2,4}):([0-5]\d):([0-5]\d)|(0\d):([0-5]\d)")
_ASKS_DURATION = re.compile(
    r"\b(?:how long|how much time|how many (?:\w+ )?(?:hours?|minutes?|seconds?)|duration|wie lange"
    r"|dauer|wie viele (?:stunden|minuten|sekunden)|combien (?:de temps|d'heures|de minutes)"
    r"|cu[aá]nto tiempo|quanto tempo)\b",
    re.I,
)
_ASKS_TIME = re.compile(
    r"\b(?:time|clock|o'clock|hours?|minutes?|seconds?|[ap]\.?m\.?|arrives?|departs?|uhr(?:zeit)?"
    r"|zeit|stunden?|minuten?|sekunden?|heures?|temps|horas?|tiempo|ore|tempo|orario"
    r"|when (?:does|do|did|will|is|are|was|were|should))\b|\d:\d\d",
    re.I,
)
# Of a key typed by hand nobody writes eleven digits or more before an exponent.
_CUT_DIGITS = re.compile(r"-?\d\.\d{10,}[eE]\+?(?:1[5-9]|[2-9]\d|\d{3,})")
_GROUP = "[ \xa0\u2009\u202f'’]"
_SPACED = re.compile(rf"(?<=\d){_GROUP}(?=\d{{3}}(?:{_GROUP}\d{{3}})*(?:,\d+)?(?!\d|,\d))")
# (1,2) is a pair and f(1,2) a value at 1.2: behind a function or a factor the brackets hold one.
_PAIR = (
    r"(?:(?<![a-z\d)])|(?<=\\left))(?:[(\[]|\\?\{)\s*[-+−]?\d+,\d+\s*(?:\\right)?(?:[)\]]|\\?\})"
)
_BRACKETED = re.compile(_PAIR)
_WITH_COMMA = re.compile(
    rf"(?P<pair>{_PAIR})|(?<![\d.,])(?:(?P<grouped>[1-9]\d{{0,2}}(?:\.\d{{3}})+)|(?P<whole>\d+))"
    r"(?:(?:\{,\}|,)(?P<decimals>\d+))?(?!\d|[.,]\d)"
)
_SURELY_COMMA = re.compile(
    rf"[-+−]?(?:\d{{1,3}}(?:(?:\.|{_GROUP})\d{{3}})+,\d+|0,\d+|\d+,\d*0|\d+,\d{{4,}}|\d{{4,}},\d+)"
    r"\D{0,12}"
)
_THREE_DIGITS = re.compile(r"[-+−]?[1-9]\d{0,2}[.,]\d{3}(?![\d.,])\D{0,12}")
_THOUSANDS = re.compile(r"[-+−]?[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_HYPHENED = re.compile(
    r"(?:[-−]|[$€£]\s?)?\d+(?:[.,]\d+)?(?:\s?[-–—]\s?\d+(?:[.,]\d+)?)+"
    r"(?:\s?(?:%|°\s?[CF]?|[€£$]|(?!pi\b|sqrt|sin|cos|tan|log|ln|exp)[A-Za-z]{2,12}\.?)|\s[mgLlhs])?"
)
_HYPHENED_DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?-\d\d?-\d{4}")
_INDIAN = re.compile(r"[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?")
_FACTORIAL = re.compile(r"(\d{2,4})!")
_SHORTENED = re.compile(r"\d+(?:[.,]\d+)?\s?(k|K|M|B|bn|mn|Mio|Mrd)\.?")
_VALUE = r"[-+−]?\d+(?:[.,/]\d+)?(?:\s?(?:%|[a-z]{1,3}))?"
_EITHER = re.compile(rf"(?:{_VALUE}|[A-J])\s+(?:or|oder|ou|o)\s+(?:{_VALUE}|[A-J])", re.I)
_UNIT = r"(?:\s?(?:%|[a-zµμΩ°][\w/^²³·*°]{0,8}))?"
_TOLERANCE = re.compile(
    rf"{_VALUE}{_UNIT}\s*\(?\s*(?P<sign>±|\+/?-|\\pm)\s*\d+(?:[.,]\d+)?{_UNIT}\s*\)?", re.I
)
_RANGE = re.compile(rf"{_VALUE}\s+(?:to|bis)\s+{_VALUE}", re.I)
_PARTS = re.compile(r"\(?a\)\s*\S.*\sb\)\s*\S", re.I | re.S)
_ASKS_RATIO = re.compile(
    r"\b(?:ratio|rate|odds|proportions?|scale|verhältnis|maßstab|rapport|raz[oó]n|rapporto)\b", re.I
)
_MAYBE_COMMA = re.compile(r"[-+−]?\d+,\d{1,2}(?:\s*\D{0,12})?")
_BEFORE_NUMBER = re.compile(r"(?:[A-Za-z]{1,3}\s*=|[€£≈~]|(?:ca|approx)\.?)\s*(?=[-+−]?\d)")
# What asks for several values, whose commas part them.
_ASKS_SEVERAL = re.compile(
    r"\b(?:separated by|commas?|respectively|ordered pair|coordinates|both|in (?:\w+ )?order|pairs?"
    r"|(?:two|three|four) (?:\w+ )?(?:numbers|values|integers|solutions|roots|primes|factors)"
    r"|beziehungsweise|bzw|zwei (?:\w+ )?zahlen|lösungen|nullstellen|solutions|soluciones)\b",
    re.I,
)

_ASKS_ALL = re.compile(
    rf"{_ASKS_SEVERAL.pattern}|\b(?:all|each|every|both|solve|solutions?|roots?|zeros?|possible|values"
    r"|alle|löse|möglich\w*|résou\w*|tou[st]\w*)\b|=",
    re.I,
)


def mend(text: str) -> Mended:
    """Return a problem's text mended: backslashes that JSON ate, HTML entities and tags."""
    what = []
    mended = _backslashes(text)
    if mended != text:
        what.append(BACKSLASHES)
    has_html = ("&" in mended or "<" in mended) and not _ABOUT_HTML.search(mended)
    plain = _without_html(mended) if has_html else mended
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
        text = _without_opening(text)
        text = _CLOSING.sub("", _BREAK.sub("\n", text)).strip()
    return text


def _without_opening(text: str) -> str:
    """Return the text without tags that are closed further on; one that never is may be a sign."""
    last = {found[1].lower(): found.start() for found in _CLOSED.finditer(text)}
    return _TAG.sub(lambda m: "" if last.get(m[1].lower(), -1) >= m.end() else m[0], text)


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
        "a date, and the problem asks for none (a spreadsheet makes one of 3/4; there, format the "
        "column as text and type the key again)"
    )


def excel_time(key: str, text: str) -> str:
    """Return why a key is a time that a spreadsheet made of a ratio, "" where it is none.

    A problem that asks for a time keeps it, and so is kept what no spreadsheet fills with a nought:
    ``15:13:12``.
    """
    plain = key.strip()
    filled = any(part.startswith("0") for part in plain.split(":"))
    if _CLOCK.fullmatch(plain) is None or not filled or _asks_time(text):
        return ""
    return (
        "a time, and the problem asks for none (a spreadsheet makes one of 3:2; there, format the "
        "column as text and type the key again)"
    )


def as_duration(key: str, text: str) -> str:
    """Return a spreadsheet's time as the duration it is: ``30 h 15 min`` of ``30:15:00``.

    A time of a day stays one, unless the ``text`` asks how long something takes.
    """
    found = _CLOCK.fullmatch(key.strip())
    if found is None or not _asks_time(text):
        return key
    hours, minutes, seconds = (
        int(part or 0) for part in (found[1] or found[4], found[2] or found[5], found[3])
    )
    if hours < 24 and not _ASKS_DURATION.search(text):
        return key
    return duration(3600 * hours + 60 * minutes + seconds)


def _asks_time(text: str) -> bool:
    return bool(_ASKS_DURATION.search(text) or _ASKS_TIME.search(text))


def cut_digits(key: str) -> str:
    """Return why a key is what is left of a longer number, "" where it is not."""
    if _CUT_DIGITS.fullmatch(key.strip()) is None:
        return ""
    return (
        "a number of more than 15 digits, of which a spreadsheet or a float keeps the first; "
        "write it as text (in a spreadsheet, format the column as text and type the key again)"
    )


def decimal_points(key: str) -> str:
    """Return a key with decimal commas (``1.234,5``, ``1 234,5``, ``0{,}5``) as points.

    ``1,234`` is a little more than one, ``1.234`` more than a thousand; ``(1,2)`` stays a pair.
    """
    return _WITH_COMMA.sub(_pointed, _SPACED.sub("", key))


def _pointed(found: re.Match[str]) -> str:
    if found["pair"]:
        return found[0]
    whole = found["whole"] or found["grouped"].replace(".", "")
    return f"{whole}.{found['decimals']}" if found["decimals"] else whole


def holds_pair(key: str) -> bool:
    """Return whether a key has two numbers in brackets that may be one with a decimal comma."""
    return _BRACKETED.search(key) is not None


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


def _plain(key: str) -> str:
    return key.strip().strip("$").strip()


def _comma_number(key: str) -> str:
    plain = _plain(key).replace("{,}", ",")
    plain = _BEFORE_NUMBER.sub("", plain, count=1)
    if _THOUSANDS.match(plain):
        return ""
    if _SURELY_COMMA.fullmatch(plain):
        return "surely"
    return "maybe" if _MAYBE_COMMA.fullmatch(plain) else ""


def may_be_thousands(key: str) -> bool:
    """Return whether a key is one number whose last three digits are decimals or not (``1,234``,
    ``1.234``).
    """
    plain = _BEFORE_NUMBER.sub("", _plain(key), count=1)
    return _THREE_DIGITS.fullmatch(plain) is not None


_SAYS_KEY = re.compile(
    r"\b(?:answer|solution|key|antwort|lösung|réponse|respuesta|risposta)\s*(?:[:=]|is)\Z", re.I
)


def states_key(text: str, key: str) -> bool:
    """Return whether a problem ends in its key, named as that: "What is 2 + 2? Answer: 4"."""
    end, wanted = text.strip().rstrip(" .)]}*_$"), key.strip().strip("$ .")
    before = end.removesuffix(wanted).rstrip(" ($[{*_")
    return bool(wanted) and before != end and _SAYS_KEY.search(before) is not None


def read_otherwise(key: str, text: str) -> str:
    """Return as what a key is read that may be meant otherwise, and what to do; "" for no such key.

    ``10-20`` is a subtraction, ``1,00,000`` three values, ``12k`` a product, unless the ``text``
    says what is meant.
    """
    plain = _plain(key)
    if _HYPHENED.fullmatch(plain) and not _HYPHENED_DATE.fullmatch(plain):
        return "a subtraction. For a range or a number in parts name the kind: exact or judge"
    if _INDIAN.fullmatch(plain) and (",0" in plain or not _ASKS_SEVERAL.search(text)):
        return "several values. For a number write it without commas"
    if _EITHER.fullmatch(plain) and not _ASKS_ALL.search(text):
        return "a set of both values. Where either is right, give the row a list of keys"
    found = _TOLERANCE.fullmatch(plain)
    if found and not _ASKS_ALL.search(text):
        read = "two values" if found["sign"] in ("±", "\\pm") else "a difference"
        return (
            f"{read}. For a number with a tolerance, say key_is: number and tolerance: 0.1, and "
            "leave the number alone in the key"
        )
    if _RANGE.fullmatch(plain) and not _ASKS_RATIO.search(text):
        return "a ratio. For a range name the kind: exact or judge"
    if _PARTS.match(plain):
        return (
            "parts that must all be right. To score them singly, write each into a row of its own"
        )
    found = _FACTORIAL.fullmatch(plain)
    if found and int(found[1]) > 20:
        return "a factorial. Where the mark is none of the number, take it off"
    found = _SHORTENED.fullmatch(plain)
    if found and not re.search(rf"(?<![A-Za-z]){found[1]}(?![A-Za-z])", text):
        return "a product. For thousands or millions write the number out"
    return ""


def as_several(key: str) -> str:
    """Return a key whose comma looks decimal as the two values it is: ``3, 5`` of ``3,5``."""
    return re.sub(r",(?=\d)", ", ", key) if looks_comma(key) else key
