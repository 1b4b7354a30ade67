"""Where the grammar ends: mathematics that only math-verify and SymPy can read.

Only whole LaTeX expressions with a command the grammar does not know come here, and only EQUAL is
taken from it: what it finds different stays undecided.
"""

from __future__ import annotations

import re

__all__ = ["library_says_equal", "may_be_needed"]

_BEYOND = re.compile(
    r"\\(?:sum|int|prod|lim|binom|mathbf|vec|overline|partial|nabla|pmod|bmod|gcd|max|min|det|"
    r"operatorname|Gamma|zeta|log|ln|exp|a(?:rc)?(?:sec|csc|cot|sinh|cosh|tanh))(?![A-Za-z])"
)


def may_be_needed(key: str, answer: str) -> bool:
    """Return whether both sides are LaTeX of which at least one is beyond the grammar."""
    if len(key) > 400 or len(answer) > 400 or "!" in key + answer:
        return False
    return bool(
        (_BEYOND.search(key) and "\\" in answer) or (_BEYOND.search(answer) and "\\" in key)
    )


def library_says_equal(key: str, answer: str) -> bool:
    """Return whether math-verify, with both sides read whole as LaTeX, finds them equal both
    ways.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig()]
    sides = []
    for text in (key, answer):
        read = parse(
            f"${text}$", extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None
        )
        if not read:
            return False
        sides.append(read)
    one, two = sides
    return bool(
        verify(one, two, timeout_seconds=None, strict=True)
        and verify(two, one, timeout_seconds=None, strict=True)
    )
