"""Formulas within prose: made plain where they are arithmetic, set apart where they are more."""

from __future__ import annotations

import re

__all__ = ["formula_stated", "free_letters", "set_apart"]

_SEGMENT = re.compile(r"\\\[(.{1,2000}?)\\\]|\\\((.{1,600}?)\\\)|\$\$([^$]{1,2000})\$\$", re.S)
_WORDING = re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|textit|operatorname)\s?\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dtc]?frac\s?\{\s*(-?[\d,.]+)\s*\}\s?\{\s*([\d,.]+)\s*\}")
_SHORT_FRACTION = re.compile(r"\\[dtc]?frac\s?(\d)\s?(\d)(?!\d)")
_PLAIN_COMMANDS = {
    "\\times": "×", "\\cdot": "×", "\\div": "÷", "\\approx": "≈", "\\left": "", "\\right": "",
    "\\quad": " ", "\\qquad": " ", "\\%": "%", "\\!": "", "\\,": " ", "\\;": " ", "\\:": " ",
    "\\ ": " ", "\\#": "#",
    "{,}": ",", "\\Rightarrow": "⇒", "\\implies": "⇒", "\\rightarrow": "⇒", "\\to": "⇒", "&": " ",
    "\\therefore": "∴", "\\ldots": "...", "\\dots": "...", "^\\circ": "°", "^{\\circ}": "°",
}  # fmt: skip
_PLAIN_PATTERN = re.compile(
    "|".join(
        re.escape(command) + ("(?![A-Za-z])" if command[-1].isalpha() else "")
        for command in sorted(_PLAIN_COMMANDS, key=len, reverse=True)
    )
)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s?\{[a-z*]+\}")
_ARITHMETIC = re.compile(r"[^\\^_\ue000¶]*")
_SIDES = re.compile(
    r"(?<![<>!≤≥])[=≈]|⇒|\\(?:Right|right|Longright)arrow|\\implies|\\approx|\\equiv"
)
# The rows of an aligned formula follow from one another; those of a matrix do not.
_ROWS = re.compile(r"\\\\(?:\[[^\]]{0,8}\])?(?![A-Za-z])|¶")
_APPROXIMATED = re.compile(r"(?:≈|\\approx)\s*-?\d[\d,]*\.\d+\W*(?:[A-Za-z]{1,12}\W*){0,3}$")
_MODULO = re.compile(r"\\p?mod\s*(?:\{[^{}]*\}|\d+)|\\bmod\s*\d+")
_MATRIX = re.compile(r"\\begin\s?\{(?:[pbvBV]?matrix|array|cases|smallmatrix)")
_PAIR_NAMED = re.compile(
    r"\\\(\s*\(\s*([a-z])\s*,\s*([a-z])\s*\)\s*=\s*\(([^,()]{1,40}),([^,()]{1,40})\)\s*\\\)"
)
_NAME = re.compile(r"[A-Za-z](?:_\w)?")
_LETTER = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")
_COMMAND = re.compile(r"\\[A-Za-z]+")


def set_apart(text: str) -> tuple[str, list[str]]:
    """Return a text with its formulas made plain, and those that are more than arithmetic apart.

    A formula of digits and signs alone is written into the text; of any other its sides up to the
    last are, where they are plain, and the last side goes to the list, marked in the text.
    """
    apart: list[str] = []

    # A formula set apart stands in its sentence as marks around its number in the list.
    def replaced(match: re.Match[str]) -> str:
        inside = next(group for group in match.groups() if group is not None)
        if _MATRIX.search(inside):
            apart.append(inside)
            return f" \ue000{len(apart) - 1}\ue001 "
        plain = _made_plain(inside)
        if _is_plain(plain):
            return f" {plain} "
        sides = _sides(plain)
        if len(sides) > 1 and _NAME.fullmatch(sides[-1]):
            sides = [sides[-1], *sides[:-1]]  # "17 = x"
        first, last = sides[0], sides[-1]
        name, nearly = "f", ""
        if len(sides) > 1 and _APPROXIMATED.search(plain) and not free_letters(sides[-2]):
            sides, nearly = sides[:-1], f" ≈ {last}"
            last = sides[-1]
        if len(sides) > 1 and len(first) <= 24 and "\\" not in first and free_letters(first):
            name = first
        # A chain of sides is a calculation, one side of an equation is not.
        equals = "" if len(sides) == 1 else f"{name} = " if len(sides) == 2 else "= "
        if (len(sides) > 1 or nearly) and _is_plain(last):
            return f" {equals}{last}{nearly} "
        if len(sides) == 1 and not nearly:
            last = _made_tidy(inside)
        apart.append(last)
        return f" {equals}\ue000{len(apart) - 1}\ue001{nearly} "

    if "\\" not in text and "$" not in text:
        return text, apart
    text = _PAIR_NAMED.sub(r"\\(\1 = \3\\), \\(\2 = \4\\)", text)
    text = _SEGMENT.sub(replaced, text)
    return _PLAIN_PATTERN.sub(lambda found: _PLAIN_COMMANDS[found.group()], text), apart


def _sides(formula: str) -> list[str]:
    """Return the sides of a chain of equations, row by row, without what ends them."""
    formula = _MODULO.sub(" ", formula)
    rows = [formula] if _MATRIX.search(formula) else _ROWS.split(formula)
    sides = [side.strip(" &").rstrip(".,; ") for row in rows for side in _SIDES.split(row)]
    return [side for side in sides if side] or [formula]


def free_letters(formula: str) -> bool:
    """Return whether a formula holds a variable."""
    plain = _WORDING.sub(" ", formula)
    return any(letter not in ("e", "i") for letter in _LETTER.findall(_COMMAND.sub(" ", plain)))


def _made_plain(formula: str) -> str:
    plain = _ENVIRONMENT.sub(" ", formula)
    for _ in range(3):
        plain, count = _WORDING.subn(r" \1 ", plain)
        if not count:
            break
    plain = _ROWS.sub(" ¶ ", plain)
    plain = re.sub(r"\\f?boxed\s?\{([^{}]*)\}", r"\1", plain)
    # The space keeps 1\frac{4}{5} a mixed number.
    plain = _FRACTION.sub(r" \1/\2", plain)
    plain = _SHORT_FRACTION.sub(r" \1/\2", plain)
    plain = _PLAIN_PATTERN.sub(lambda found: _PLAIN_COMMANDS[found.group()], plain)
    return (
        " ".join(plain.replace("{", " ").replace("}", " ").split()) if "\\" not in plain else plain
    )


def _made_tidy(formula: str) -> str:
    return " ".join(_ENVIRONMENT.sub(" ", formula).strip().strip(".,;").split())


def _is_plain(text: str) -> bool:
    """Return whether a text is arithmetic, with units and names in words but no variable."""
    return bool(_ARITHMETIC.fullmatch(text)) and not _VARIABLE.search(text)


# A letter that multiplies or is computed with is a variable; "5 m" and "a" are not.
_VARIABLE = re.compile(
    r"\d[a-zA-Z]\b(?<![gmshLlJ])|(?<![A-Za-z'])[b-zB-HJ-Z](?![A-Za-z'])(?!\s*(?:$|[.,]))"
)

_COPULA = re.compile(
    r"(?i)\b(?:is|are|was|be|equals?|becomes?|gives?|gets?|get|yields?|have|obtain|find|namely|"
    r"simplifies to|"
    r"written as|expressed as|reduces to|evaluates to|comes out to|factors? (?:as|into)|"
    r"simplified to)\b:?\s*(?:then\s+|therefore\s+|thus\s+|"
    r"simply\s+|equal\s+to\s+|given\s+by\s+|exactly\s+|just\s+|all\s+|the\s+(?:set|interval|point|"
    r"matrix|vector|ordered pair|expression|equation|polynomial)\s+)*|:\s+|(?<![<>!])=\s*"
)
# A formula behind one of these is denied, or only something of it is meant.
_ASIDE = re.compile(
    r"(?i)\b(?:not|unlike|whereas|instead\s+of|rather\s+than|(?:image|reflection|quarter|half|"
    r"third|multiple|inverse|reciprocal|"
    r"interior|closure|negative)\s+of|than|note\s+that|the\s+(?:open|closed)\s+interval)\s+$"
)
_DENIED = re.compile(
    r"(?i)(?:\b(?:not|never)|n['’]t)\s+(?:be\s+)?(?:equal\s+to\s+|simply\s+|just\s+)?(?:[\s\"'*`\\$(]|[a-z]\s\\in\b)*$"
)
_EQUATION = re.compile(r"[-+\d\sA-Za-z^*/().]{3,80}?(?<![A-Za-z]{2})\s=\s-?[\d.]+\s*\.?")
_JOINT = re.compile(r"\s*(?:,|and|or|,\s*and|,\s*or)\s*")
_NAMED_VALUE = re.compile(
    r"(?<![A-Za-z])([A-Za-z])\s?=\s?([^,;=]{1,40}?)(?=\s*(?:,|;|\b(?:and|or)\b|\.?$))"
)
_TAIL = re.compile(
    r"(?i)\s+\(?(?:for|with|where|provided(?:\s+that)?|assuming|when|if)\s+(?:\\\(\s*)?[a-z]\s*(?:≠|!=|\\neq?\b)"
    r"|,?\s+(?:since|because|where|which|as\s+(?:desired|required|claimed|we)|by\s+the|"
    r"for\s+(?:all|any|some|"
    r"every|integers?)|when|if|with|so)\b"
)
_FOLLOWS = re.compile(
    r"(?i)(?:^|[,;.]?\s)(?:so|thus|hence|therefore|which\s+(?:gives|implies|means|"
    r"simplifies\s+to)|then|giving|yields|"
    r"we\s+(?:get|find|have|obtain|see))\b"
)
_JOIN = frozenset(
    {
        "and",
        "or",
        "pi",
        "sqrt",
        "infinity",
        "units",
        "unit",
        "square",
        "cubic",
        "degrees",
        "radians",
    }
)
_PROSE_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


def formula_stated(text: str, grouped: bool, problem_text: str = "") -> tuple[str, bool]:
    """Return the formula that a sentence states, and whether it states several.

    ``grouped`` says that the answer sought holds several parts, so that what is joined by commas
    and "and" belongs together. The first is empty where there is none or several.
    """
    segments = [
        (m.start(), m.end(), next(g for g in m.groups() if g is not None).strip().strip(".,;"))
        for m in _SEGMENT.finditer(text)
    ]
    formulas = segments
    segments = [s for s in segments if not _DENIED.search(text[max(0, s[0] - 40) : s[0]])]
    segments = [
        s for s in segments if not _ASIDE.search(text[max(0, s[0] - 40) : s[0]])
    ] or segments
    if grouped and not segments and len(named := _NAMED_VALUE.findall(text)) > 1:
        return ", ".join(f"{name} = {value.strip()}" for name, value in named), False
    cues = list(_COPULA.finditer(text))
    worded = [cue for cue in cues if not cue.group().startswith("=")]
    if grouped and worded and _EQUATION.fullmatch(text, worded[-1].end()):
        cues = worded  # "is 5x - 7y + 4 = 0"
    for cue in reversed(cues):
        if any(start < cue.start() < end for start, end, _ in formulas):
            continue
        rest = text[cue.end() :]
        if rest.startswith(("not ", "never ")):
            continue
        tail = _outside(_TAIL, text, formulas, cue.end())
        if tail is not None:
            rest = text[cue.end() : tail]
        if not re.search(
            r"[\d\\∅∞π√]|\([a-z]|\b[A-J](?:\s?,|\s+and)\s+[A-J]\b|\b[a-z]\s?[-+*/^]\s?[a-z]\b", rest
        ):
            continue
        bare = _SEGMENT.sub(" ", rest)
        prose = [w for w in _PROSE_WORD.findall(bare) if w.lower() not in _JOIN]
        if not prose:
            return _without_marks(rest, grouped), False
        inside = [s for s in segments if s[0] >= cue.end() and s[1] <= cue.end() + len(rest)]
        if len(inside) == 1:
            return _last_side(inside[0][2], grouped), False
    if len(segments) > 1 and problem_text:
        # What the problem says already is no answer to it.
        told = problem_text.replace(" ", "")
        segments = [s for s in segments if s[2].replace(" ", "") not in told] or segments
    if grouped and (joined := _joined_values(text, segments)):
        return joined, False
    if len(segments) > 1:
        segments = [s for s in segments if len(s[2]) > 1] or segments
        begins = [m.end() for m in _FOLLOWS.finditer(text)]
        if begins:
            segments = [s for s in segments if s[0] >= begins[-1]] or segments
    if len(segments) == 1:
        return _last_side(segments[0][2], grouped), False
    if len(segments) > 1:
        return "", True
    groups = [
        m.group()
        for m in re.finditer(r"[(\[{][^()\[\]{}]{1,200},[^()\[\]{}]{1,200}[)\]}]", text)
        if not any(p.search(text[max(0, m.start() - 40) : m.start()]) for p in (_ASIDE, _DENIED))
    ]
    return (groups[0], False) if len(groups) == 1 else ("", len(groups) > 1)


def _joined_values(text: str, segments: list[tuple[int, int, str]]) -> str:
    """Return the last formulas of a text that only commas, "and" and "or" stand between, as one
    list.
    """
    joined: list[tuple[int, int, str]] = []
    for segment in reversed(segments):
        if joined and not _JOINT.fullmatch(text[segment[1] : joined[-1][0]]):
            break
        joined.append(segment)
    return ", ".join(segment[2] for segment in reversed(joined)) if len(joined) > 1 else ""


def _outside(
    pattern: re.Pattern[str], text: str, segments: list[tuple[int, int, str]], start: int
) -> int | None:
    for match in pattern.finditer(text, start):
        if not any(a < match.start() < b for a, b, _ in segments):
            return match.start()
    return None


def _without_marks(phrase: str, grouped: bool) -> str:
    marked = _SEGMENT.sub(
        lambda m: " " + next(g for g in m.groups() if g is not None).strip() + " ", phrase
    )
    phrase = " ".join(marked.split()).strip().rstrip(".,;:!").strip()
    return _last_side(phrase, grouped)


def _last_side(formula: str, grouped: bool) -> str:
    """Return the end of a chain of equations, unless the answer sought may hold equations
    itself.
    """
    formula = " ".join(formula.split()).rstrip(".,;").strip()
    if grouped and not _ROWS.search(formula):
        return _named_group(formula)
    sides = _sides(formula)
    if len(sides) > 1 and _APPROXIMATED.search(formula) and not free_letters(sides[-2]):
        return f"{sides[-2]} ≈ {sides[-1]}"
    return sides[-1]


def _named_group(formula: str) -> str:
    """Return the values of ``(x, y) = (8, -2)`` without the names, and the end of a chain of
    groups.
    """
    sides = [side.strip() for side in _SIDES.split(formula)]
    if len(sides) > 1 and re.match(r"(?:\\left)?[(\[]|\\begin|\\\{|\\left\\\{", sides[-1]):
        return sides[-1]
    return formula
