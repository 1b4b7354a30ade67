"""One notation out of three: LaTeX, Unicode and ASCII mathematics become the same plain text.

The result keeps a handful of symbols (``√ π ∞ ∪ ≤ ° ±``) and commands (``\\frac``, ``\\sqrt``,
``\\overline``, ``\\begin``) that :mod:`potstill.grading.grammar` reads; the rest is ASCII.
"""

from __future__ import annotations

import re

__all__ = ["MONEY", "tidy", "tidy_words"]

# Stands for a currency dollar, so that a "$" around mathematics can be dropped.
MONEY = "＄"

_SYMBOLS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "‒": "-",
    "﹣": "-",
    "－": "-",
    "＋": "+",
    "×": "*",
    "·": "*",
    "⋅": "*",
    "∙": "*",
    "∗": "*",
    "⁎": "*",
    "÷": "/",
    "∕": "/",
    "⁄": "/",
    "／": "/",
    "∶": ":",
    "：": ":",
    "，": ",",
    "、": ",",
    "（": "(",
    "）": ")",
    "＝": "=",
    "º": "°",
    "˚": "°",
    "∘": "°",
    "⩽": "≤",
    "⩾": "≥",
    "≦": "≤",
    "≧": "≥",
    "⟨": "⟨",
    "〈": "⟨",
    "〉": "⟩",
    "Ø": "∅",
    "⋃": "∪",
    "𝜋": "π",
    "П": "π",
    "ℼ": "π",
    "𝑒": "e",
    "ℯ": "e",
    "𝑖": "i",
    "ⅈ": "i",
    "𝑥": "x",
    "𝑦": "y",
    "％": "%",
    "…": "...",
    "⋯": "...",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "′": "'",
    "\u00a0": " ",
    "\u2009": " ",
    "\u202f": " ",
    "\u2002": " ",
    "\u2003": " ",
    "\u200a": " ",
    "\u3000": " ",
    "\t": " ",
    "\r": "\n",
    "∛": "\\sqrt[3]",
    "∜": "\\sqrt[4]",
    "½": "\\frac{1}{2}",
    "⅓": "\\frac{1}{3}",
    "⅔": "\\frac{2}{3}",
    "¼": "\\frac{1}{4}",
    "¾": "\\frac{3}{4}",
    "⅕": "\\frac{1}{5}",
    "⅖": "\\frac{2}{5}",
    "⅗": "\\frac{3}{5}",
    "⅘": "\\frac{4}{5}",
    "⅙": "\\frac{1}{6}",
    "⅚": "\\frac{5}{6}",
    "⅐": "\\frac{1}{7}",
    "⅛": "\\frac{1}{8}",
    "⅜": "\\frac{3}{8}",
    "⅝": "\\frac{5}{8}",
    "⅞": "\\frac{7}{8}",
    "⅑": "\\frac{1}{9}",
    "⅒": "\\frac{1}{10}",
    "＄": MONEY,
}
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe0e\ufe0f]"
)
_TRANSLATION = str.maketrans(_SYMBOLS)

_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᵏᵐᵖᵗˣʸᶻ", "0123456789+-=()niabcdekmptxyz")
_SUB = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₓₙₖ", "0123456789+-=()aexnk")
_SUPER_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵃᵇᶜᵈᵉᵏᵐᵖᵗˣʸᶻ]+")
_SUB_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₓₙₖ]+")

_COMMANDS = {
    "cdot": "*",
    "times": "*",
    "ast": "*",
    "div": "/",
    "pm": "±",
    "mp": "∓",
    "infty": "∞",
    "pi": "π",
    "cup": "∪",
    "bigcup": "∪",
    "cap": "∩",
    "leq": "≤",
    "le": "≤",
    "leqslant": "≤",
    "geq": "≥",
    "ge": "≥",
    "geqslant": "≥",
    "neq": "≠",
    "ne": "≠",
    "lt": "<",
    "gt": ">",
    "approx": "≈",
    "in": "∈",
    "langle": "⟨",
    "rangle": "⟩",
    "emptyset": "∅",
    "varnothing": "∅",
    "degree": "°",
    "circ": "°",
    "lbrace": "⦃",
    "rbrace": "⦄",
    "lbrack": "[",
    "rbrack": "]",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "mid": "|",
    "imath": "i",
    "ldots": "...",
    "dots": "...",
    "cdots": "...",
    "colon": ":",
    "lnot": "not ",
    "dfrac": "\\frac",
    "tfrac": "\\frac",
    "cfrac": "\\frac",
    "dbinom": "\\binom",
    "tbinom": "\\binom",
    "euro": "€",
    "pounds": "£",
    "percent": "%",
    "textdollar": MONEY,
    "quad": " ",
    "qquad": " ",
    "left": "",
    "right": "",
    "big": "",
    "Big": "",
    "bigg": "",
    "Bigg": "",
    "bigl": "",
    "bigr": "",
    "Bigl": "",
    "Bigr": "",
    "displaystyle": "",
    "textstyle": "",
    "limits": "",
    "nolimits": "",
    "strut": "",
    "hfill": "",
    "theta": "θ",
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "lambda": "λ",
    "mu": "μ",
    "phi": "φ",
    "varphi": "φ",
    "omega": "ω",
    "sigma": "σ",
    "rho": "ρ",
    "tau": "τ",
    "epsilon": "ε",
    "varepsilon": "ε",
}
_COMMAND = re.compile(r"\\([A-Za-z]+)(?![A-Za-z])")
_WRAPPED = re.compile(
    r"\\(?:text|mbox|hbox|mathrm|textbf|mathbf|textit|mathit|textrm|textup|mathsf|mathbb|mathcal|"
    r"operatorname\*?|rm|bf|it|bold|boldsymbol|texttt|textsf|emph|ensuremath|fbox)\s?\{([^{}]*)\}"
)
_WRAPPER = re.compile(
    r"\s*(?:\$\s*)?\\(?:f?boxed|text|textbf|mathbf|mathrm|mbox|textrm|displaystyle)\s?\{"
)
_FUNCTION = re.compile(
    r"\\(sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|lg|exp|det|max|min|gcd)"
    r"(?![A-Za-z])"
)
_GROUPED = re.compile(r"(?<![\d.])(\d{1,3}(?:(?:,\\!|\\!,|\{,\}|\\,|,\s?\\!)\s?\d{3})+)(?!\d)")
_PAIR = re.compile(r"\$\$?([^$]*)\$\$?")
_LONE_DOLLAR = re.compile(r"\$(?=\s?-?\s?[\d.])")
_MINUS_DOLLAR = re.compile(r"^-\s?\$(?=\d)")


def tidy(text: str) -> str:
    """``text`` in the one notation: no delimiters, styling or spacing commands, symbols unified.

    Linear in the length of the text. Newlines survive as single spaces.
    """
    text = _INVISIBLE.sub("", text)
    if text.isascii() and text.isalnum():
        return text
    text = text.translate(_TRANSLATION)
    text = _SUPER_RUN.sub(lambda run: "^{" + run.group().translate(_SUPER) + "}", text)
    text = _SUB_RUN.sub(lambda run: "_{" + run.group().translate(_SUB) + "}", text)
    if "\\" in text:
        text = _without_latex(text)
    text = _without_dollars(text.replace("{,}", ","))
    text = _without_marks(text)
    return " ".join(text.split())


def tidy_words(text: str) -> str:
    """The words of an answer in lower case, without mathematics, markup or end punctuation."""
    plain = re.sub(r"[\\{}$*_`\"()\[\]＄⦃⦄]", " ", tidy(text)).casefold()
    return " ".join(plain.split()).strip(" .,;:!")


def _without_latex(text: str) -> str:
    text = text.replace("\\$", MONEY).replace("\\%", "%").replace("\\#", "#")
    text = _unwrapped(text)
    text = _GROUPED.sub(lambda run: re.sub(r"[^\d]", "", run.group(1)), text)
    text = text.replace("\\!", "").replace("\\(", "").replace("\\)", "")
    text = re.sub(r"\\\\\[[^\]]{0,8}\]", r"\\\\", text)
    text = re.sub(r"(?<!\\)\\\[|(?<!\\)\\\]", "", text)
    for _ in range(4):
        text, count = _WRAPPED.subn(r" \1 ", text)
        if not count:
            break
    text = text.replace("\\{", "⦃").replace("\\}", "⦄").replace("\\|", "|")
    # A row break of a matrix is not a spacing command.
    text = re.sub(r"(?<!\\)\\[,;:> ]", " ", text)
    text = text.replace("~", " ")
    text = _FUNCTION.sub(r" \1 ", text)
    text = _COMMAND.sub(lambda found: _command(found.group(1)), text)
    return re.sub(r"\^\s?\{\s?°\s?\}|\^\s?°", "°", text)


def _unwrapped(text: str) -> str:
    """A text without the command that wraps all of it (``\\boxed{...}``, ``\\text{...}``)."""
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
    replacement = _COMMANDS.get(name)
    if replacement is None:
        return "\\" + name
    # A letter that follows a symbol must not be glued to it ("\\pir" cannot occur, "\\pi r" can).
    return replacement + (" " if replacement[-1:].isalpha() and replacement[0] != "\\" else "")


def _without_dollars(text: str) -> str:
    if "$" not in text:
        return text
    text = _MINUS_DOLLAR.sub("-" + MONEY, text)
    if text.count("$") % 2 == 1:
        text = _LONE_DOLLAR.sub(MONEY, text, count=1)
    elif re.fullmatch(r"\s*\$[\d.,]+\s*[^\d$]{1,8}\s*\$[\d.,]+\s*", text):
        text = text.replace("$", MONEY)
    return _PAIR.sub(r" \1 ", text).replace("$", " ")


def _without_marks(text: str) -> str:
    stripped = text.strip()
    for mark in ("**", "__", "`", '"', "*"):
        while len(stripped) > 2 * len(mark) and stripped.startswith(mark):
            if not stripped.rstrip(" .").endswith(mark):
                break
            stripped = stripped.rstrip(" .")[len(mark) : -len(mark)].strip()
    return re.sub(r"\*\*", "^", stripped)
