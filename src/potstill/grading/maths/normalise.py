"""One notation out of three: LaTeX, Unicode and ASCII mathematics become the same plain text.

The result keeps a handful of symbols (``√ π ∞ ∪ ≤ ° ±``) and commands (``\\frac``, ``\\sqrt``,
``\\overline``, ``\\begin``) that :mod:`potstill.grading.maths.grammar` reads; the rest is ASCII.
"""

from __future__ import annotations

import html
import re

from potstill.grading.maths.symbols import COMMANDS, MONEY, SYMBOLS

__all__ = ["MONEY", "tidy", "tidy_words"]

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe0e\ufe0f]"
)
_TRANSLATION = str.maketrans(SYMBOLS)

_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᵏᵐᵖᵗˣʸᶻ", "0123456789+-=()niabcdekmptxyz")
_SUB = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₓₙₖ", "0123456789+-=()aexnk")
_SUPER_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᵏᵐᵖᵗˣʸᶻ]+")
_SUB_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₓₙₖ]+")

_COMMAND = re.compile(r"\\([A-Za-z]+)(?![A-Za-z])")
_WRAPPED = re.compile(
    r"\\(?:text|mbox|hbox|mathrm|textbf|mathbf|textit|mathit|textrm|textup|mathsf|mathbb|mathcal|"
    r"operatorname\*?|rm|bf|it|bold|boldsymbol|texttt|textsf|textnormal|textsc|emph|ensuremath|"
    r"fbox|hat|widehat|vec|mathop|underline|unit|si|qty|textsuperscript)\s?"
    r"\{((?:[^{}]|\{[^{}]{0,20}\})*)\}"
)
_COLOUR = re.compile(
    r"\\(?:fcolorbox\s?\{[^{}]{1,20}\}|(?:text|page)?color(?:box)?)\s?(?:\[[A-Za-z]{1,8}\]\s?)?"
    r"\{[^{}\\]{1,30}\}"
)
_BARE_STYLE = re.compile(
    r"\\(?:mathbf|mathrm|mathit|boldsymbol|bm|vec|hat|rm|bf)\s+([A-Za-z])(?![A-Za-z])"
)
_NUMBER_SET = re.compile(
    r"\\(?:mathbb|Bbb|mathds)\s?(?:\{\s?([RZNQC])\s?\}|\s?([RZNQC])\b)|\\mathbf\s?\{([RZ])\}"
)
_NUMBER_SETS = dict(zip("RZNQC", "ℝℤℕℚℂ", strict=True))
_ENTITY = re.compile(r"&(?:[A-Za-z]{2,8}\d{0,2}|#\d{2,6}|#x[0-9A-Fa-f]{2,5});")
_TAG = re.compile(
    r"</?(?:b|i|u|p|strong|em|span|div|code|br|mark|font|math|tt|answer|final|result)"
    r"(?:\s[^<>]{0,60})?/?>",
    re.IGNORECASE,
)
_RAISED = re.compile(r"<(sup|sub)>([^<>]{1,20})</\1>", re.IGNORECASE)
_BOLD = re.compile(r"(?<![\w)}\]*])\*\*(?=\S)([^*\n]{1,400}?)(?<=\S)\*\*(?![\w({*])")
_DOTTED = re.compile(r"(\.\d*)\\dot\s?\{?(\d)\}?(?:(\d*)\\dot\s?\{?(\d)\}?)?")
_REPEATING = re.compile(r"(?<![\d.])(\d+\.\d*)\((\d{1,20})\)(?![\d^!])")
# Of one decimal alone: which of several repeat, "0.16 repeating" does not say.
_SAID_REPEATING = re.compile(
    r"(?<![\d.])(\d+\.)(\d)\s?(?:\.{3}|…)?,?\s?\(?(?:repeating|recurring)\)?"
)
_RAISED_ORDINAL = re.compile(r"(?<=\d)\s?\^\s?\{?\s?(st|nd|rd|th)\b\s?\}?")
_TIMES_TEN = re.compile(r"(?<=\d)\s?[xX]\s?(?=10\s?\^)")
_WORDED_DEGREE = re.compile(r"(?<=\d)\s?degrees?\s?(?=[)}\]])")
_CHOSEN = re.compile(
    r"(?:\{\}|(?<![\w)}]))[_^]\s?\{?(\w{1,9})\}?\s?C\s?_\s?\{?(\w{1,9})\}?"
    r"|(?<![\w\\])C\((\w{1,9}),\s?(\w{1,9})\)|(?<![\w\\])(\d{1,4})C(\d{1,4})(?!\w)"
)
_COMBINATIONS = re.compile(
    r"(?<![\w\\}])C\s?_\s?\{?\s?(\d{1,4})\s?\}?\s?\^\s?\{?\s?(\d{1,4})\s?\}?(?!\d)"
)
_STACKED = re.compile(r"\\(over|choose)(?![A-Za-z])")
_WRAPPER = re.compile(
    r"\s*(?:\$\s*)?\\(?:f?boxed|text|textbf|mathbf|mathrm|mbox|textrm|displaystyle)\s?\{"
)
_FUNCTION = re.compile(
    r"\\(sin|cos|tan|cot|sec|csc|arc(?:sin|cos|tan|cot|sec|csc)|sinh|cosh|tanh|coth|sech|csch|log|"
    r"ln|lg|exp|det|max|min|gcd|lcm)"
    r"(?![A-Za-z])"
)
_GROUPED = re.compile(r"(?<![\d.])(\d{1,3}(?:(?:,\\!|\\!,|\{,\}|\\,|,\s?\\!)\s?\d{3})+)(?!\d)")
# Groups of three behind an apostrophe, as the Swiss write them, or a program's underscore, and
# behind several points.
_MARKED = re.compile(r"(?<![\w.,'’])(\d{1,3}(?:['’ʼ′_]\d{3})+)(?![\w'’ʼ′])")
_POINTS = re.compile(r"(?<![\w.,])(\d{1,3}(?:\.\d{3}){2,})(?:,(\d+))?(?![\w]|[.,]\d)")
# "1{,}5" is a number: with three digits its comma may part thousands, with others only decimals.
_LATEX_COMMA = re.compile(r"(?<![\d.,}])(\d+)\{,\}(\d{1,2}|\d{4,})(?![\d.,{])")
_PAIR = re.compile(r"\$\$?([^$]*)\$\$?")
_DOLLAR_BEHIND = re.compile(r"^(\s*-?\d[\d.,\s]*?)\s?\$\s*$")  # as a euro is written: "5 $"
_LONE_DOLLAR = re.compile(r"\$(?=\s?-?\s?[\d.])")
_MINUS_DOLLAR = re.compile(r"^-\s?\$(?=\d)")


# Short forms of what is counted, which would be read as a product of letters.
_COUNTED_AS = {"pts": "points", "pcs": "pieces", "ppl": "people", "pkts": "packets"}
_SHORT_COUNT = re.compile(rf"(?<=\d)\s?({'|'.join(_COUNTED_AS)})\b\.?(?!\s?[\d^*/(=])")


def tidy(text: str) -> str:
    """Return ``text`` in the one notation: no delimiters, styling or spacing commands, symbols
    unified.

    Linear in the length of the text. Newlines survive as single spaces.
    """
    text = _INVISIBLE.sub("", text)
    if text.isascii():
        if text.isalnum():
            return text if text.isdigit() else _with_counts(text)
    else:
        text = _ascii_digits(text)
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found.group()), text)
    if "<" in text:
        text = _TAG.sub(" ", _RAISED.sub(_raised, text))
    if not text.isascii() or "'" in text or "_" in text:
        text = _MARKED.sub(lambda run: re.sub(r"\D", "", run.group()), text)
    text = text.translate(_TRANSLATION)
    text = _SUPER_RUN.sub(lambda run: "^{" + run.group().translate(_SUPER) + "}", text)
    text = _SUB_RUN.sub(lambda run: "_{" + run.group().translate(_SUB) + "}", text)
    if "\\" in text:
        text = _without_latex(text)
    if text.count(".") > 1:
        text = _POINTS.sub(_ungrouped, text)
    if "{,}" in text:
        text = _LATEX_COMMA.sub(r"\1.\2", text)
    text = re.sub(r"\{([,:])\}", r"\1", text)
    text = _without_dollars(text)
    text = _without_marks(text)
    text = " ".join(text.split())
    return _one_way(text)


def _ungrouped(found: re.Match[str]) -> str:
    """Return ``1.234.567,8`` with a point for its comma, and without those of its groups."""
    decimals = f".{found.group(2)}" if found.group(2) else ""
    return found.group(1).replace(".", "") + decimals


def _ascii_digits(text: str) -> str:
    """Return digits of any script as ASCII ones: full-width, Arabic-Indic, Devanagari."""
    return "".join(str(int(c)) if not c.isascii() and c.isdecimal() else c for c in text)


def _raised(found: re.Match[str]) -> str:
    return ("^{" if found.group(1).lower() == "sup" else "_{") + found.group(2) + "}"


def _one_way(text: str) -> str:
    """Return ordinals, repeating decimals, powers of ten, choices and infinity written in one
    way.
    """
    if "^" in text:
        text = _RAISED_ORDINAL.sub(r"\1", text)
        text = _TIMES_TEN.sub("*", text)
    if "(" in text:
        text = _REPEATING.sub(r"\1\\overline{\2}", text)
    if "repeating" in text or "recurring" in text:
        text = _SAID_REPEATING.sub(r"\1\\overline{\2}", text)
    if "C" in text:
        text = _COMBINATIONS.sub(_combinations, _CHOSEN.sub(_chosen, text))
    if "inf" in text.lower():
        text = re.sub(r"(?i)(?<![A-Za-z\\])infinity(?![A-Za-z])", "∞", text)
        text = re.sub(r"(?<=[,;(\[+-])\s?inf(?=\s?[,;)\]])", "∞", text)
    if "oo" in text:
        text = re.sub(r"(?<=[,;(\[+-])\s?oo(?=\s?[,;)\]])", "∞", text)
    if "!=" in text:
        text = re.sub(r"(?<=\s)!=", "≠", text)
    if "degree" in text:
        text = _WORDED_DEGREE.sub("°", text)
    return _with_counts(text)


def _with_counts(text: str) -> str:
    if "p" not in text:
        return text
    return _SHORT_COUNT.sub(lambda found: f" {_COUNTED_AS[found[1]]}", text)


def _chosen(found: re.Match[str]) -> str:
    groups = [group for group in found.groups() if group is not None]
    return f"\\binom{{{groups[0]}}}{{{groups[1]}}}"


def _combinations(found: re.Match[str]) -> str:
    """Return ``C_{10}^{3}`` as a binomial coefficient; ``C_1^2`` is the square of a constant."""
    total, chosen = int(found.group(1)), int(found.group(2))
    return f"\\binom{{{total}}}{{{chosen}}}" if total >= max(chosen, 3) else found.group()


def tidy_words(text: str) -> str:
    """Return the words of an answer in lower case, without mathematics, markup or end
    punctuation.
    """
    plain = re.sub(r"[\\{}$*_`\"()\[\]＄⦃⦄]", " ", tidy(text)).casefold()
    return " ".join(plain.split()).strip(" .,;:!")


def _without_latex(text: str) -> str:
    text = text.replace("\\$", MONEY).replace("\\%", "%").replace("\\#", "#")
    if "color" in text:
        text = _COLOUR.sub("", text)
    text = _unwrapped(text)
    if "over" in text or "choose" in text:
        text = _unstacked(text)
    text = re.sub(r"\\(?:left|right)\s?\.", " ", text)
    text = _DOTTED.sub(_dotted, text)
    text = _NUMBER_SET.sub(
        lambda found: f" {_NUMBER_SETS[found.group(found.lastindex or 1)]} ", text
    )
    text = _GROUPED.sub(lambda run: re.sub(r"[^\d]", "", run.group(1)), text)
    text = text.replace("\\!", "").replace("\\(", "").replace("\\)", "")
    text = re.sub(r"\\\\\[[^\]]{0,8}\]", r"\\\\", text)
    text = re.sub(r"(?<!\\)\\\[|(?<!\\)\\\]", "", text)
    for _ in range(4):
        text, count = _WRAPPED.subn(r" \1 ", text)
        if not count:
            break
    text = _BARE_STYLE.sub(r" \1 ", text)
    text = text.replace("\\{", "⦃").replace("\\}", "⦄").replace("\\|", "|")
    # A row break of a matrix is not a spacing command.
    text = re.sub(r"(?<!\\)\\[,;:> ]", " ", text)
    text = re.sub(r"(?<=\d)\s?~|~\s?(?=[A-Za-z\\])|(?<=[A-Za-z}])\s?~", " ", text)
    text = _FUNCTION.sub(r" \1 ", text)
    text = _COMMAND.sub(lambda found: _command(found.group(1)), text)
    return re.sub(r"\^\s?\{\s?°\s?\}|\^\s?°", "°", text)


def _dotted(found: re.Match[str]) -> str:
    """Return ``0.1\\dot{6}`` and ``0.\\dot{1}4\\dot{2}`` with a bar over the digits that repeat."""
    head, first, between, last = found.groups()
    return f"{head}\\overline{{{first}{between or ''}{last or ''}}}"


def _unstacked(text: str) -> str:
    """Return ``{a \\over b}`` as ``\\frac{a}{b}`` and ``{n \\choose k}`` as ``\\binom{n}{k}``."""
    for _ in range(6):
        match = _STACKED.search(text)
        if match is None:
            break
        start, end = _group_around(text, match.start(), match.end())
        command = "frac" if match.group(1) == "over" else "binom"
        top, bottom = text[start : match.start()].strip(), text[match.end() : end].strip()
        if text[start - 1 : start] == "{" and text[end : end + 1] == "}":
            start, end = start - 1, end + 1
        text = f"{text[:start]}\\{command}{{{top}}}{{{bottom}}}{text[end:]}"
    return text


def _group_around(text: str, left: int, right: int) -> tuple[int, int]:
    """Return where the brace group around a command begins and ends, without its braces."""
    depth, start = 0, left
    while start > 0:
        depth += {"}": 1, "{": -1}.get(text[start - 1], 0)
        if depth < 0 or (depth == 0 and text[start - 1] == "$"):
            break
        start -= 1
    depth, end = 0, right
    while end < len(text):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth < 0 or (depth == 0 and text[end] == "$"):
            break
        end += 1
    return start, end


def _unwrapped(text: str) -> str:
    """Return a text without the command that wraps all of it (``\\boxed{...}``,
    ``\\text{...}``).
    """
    while (match := _WRAPPER.match(text)) is not None:
        depth = 0
        for index in range(match.end() - 1, len(text)):
            if text[index] in "{}" and text[index - 1] != "\\":
                depth += 1 if text[index] == "{" else -1
                if depth == 0:
                    break
        if depth or text[index + 1 :].strip(" .$"):
            break
        text = text[match.end() : index].strip()
    return re.sub(r"\\f?boxed(?![A-Za-z])", "", text)


def _command(name: str) -> str:
    replacement = COMMANDS.get(name)
    if replacement is None:
        return "\\" + name
    # A letter that follows a symbol must not be glued to it ("\\pir" cannot occur, "\\pi r" can).
    return replacement + (" " if replacement[-1:].isalpha() and replacement[0] != "\\" else "")


def _without_dollars(text: str) -> str:
    if "$" not in text:
        return text
    text = _MINUS_DOLLAR.sub("-" + MONEY, text)
    if text.count("$") % 2 == 1:
        text = _DOLLAR_BEHIND.sub(rf"\1 {MONEY}", text)
        text = _LONE_DOLLAR.sub(MONEY, text, count=1)
    elif re.fullmatch(r"\s*\$[\d.,]+\s*[^\d$]{1,8}\s*\$[\d.,]+\s*", text):
        text = text.replace("$", MONEY)
    return _PAIR.sub(r" \1 ", text).replace("$", " ")


def _without_marks(text: str) -> str:
    stripped = _BOLD.sub(r"\1", text.strip()) if "**" in text else text.strip()
    for mark in ("**", "__", "`", '"', "*"):
        while len(stripped) > 2 * len(mark) and stripped.startswith(mark):
            if not stripped.rstrip(" .").endswith(mark):
                break
            stripped = stripped.rstrip(" .")[len(mark) : -len(mark)].strip()
    return re.sub(r"\*\*", "^", stripped)
