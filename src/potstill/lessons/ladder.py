"""The ladder of levels, once, as data, and the prompt that asks for a level.

R0 is the verified trace as the teacher gave it; R1 is R0 made whole and clean; each further level
is condensed from the one above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.chat import Message
from potstill.records import Level, Problem

__all__ = [
    "INSTRUCTIONS",
    "LADDER",
    "REQUEST",
    "SYSTEM",
    "LevelSpec",
    "condense_messages",
    "count_words",
    "level_line",
    "spec_of",
]


@dataclass(frozen=True, slots=True)
class LevelSpec:
    """One level: the share of R1's words it aims at, and the share it may never pass.

    Both are of R0's words at R1, whose own length is not known before. A level always allows
    ``floor_words``: ten percent of a short R1 is less than its last line.
    """

    HASHED_AS: ClassVar[str] = "Rung"

    level: Level
    share: float
    limit: float
    instruction: str
    floor_words: int = 20

    def target_words(self, of_words: int) -> int:
        """Return the words aimed at, where R1 (at R1 itself: R0) has ``of_words``."""
        return max(1, round(self.share * of_words))

    def limit_words(self, of_words: int) -> int:
        """Return the words never to be passed, where R1 (at R1 itself: R0) has ``of_words``."""
        return max(self.floor_words, round(self.limit * of_words))


# Told to do, never named as a thing: of "the decisive equation or fact" a small condenser made the
# beginning of its lessons ("The decisive equation or fact is ..."), and so did its students.
LADDER: tuple[LevelSpec, ...] = (
    LevelSpec(
        Level.R1,
        1.00,
        1.00,
        "Write the solution whole and clean: 5 to 15 short steps in order, every step that the "
        "answer needs, no dead ends, no second thoughts, no remarks about the task.",
    ),
    LevelSpec(
        Level.R2,
        0.60,
        0.80,
        "Keep every step and every equation; cut repetition, restated givens and routine algebra.",
    ),
    LevelSpec(
        Level.R3,
        0.50,
        0.70,
        "Join steps that follow at once, leave out those of no weight, and write one equation to a "
        "step.",
    ),
    LevelSpec(
        Level.R4,
        0.35,
        0.55,
        "Write equations one after another, with a word or two between them and no sentences.",
    ),
    LevelSpec(
        Level.R5,
        0.20,
        0.40,
        "Say why in one or two short sentences with an equation in them, and drop all else.",
    ),
    LevelSpec(
        Level.R6,
        0.10,
        0.30,
        "Write one line: begin it with a number, a symbol or a name, calculate or conclude, and "
        "stop at the answer.",
    ),
)


def spec_of(level: str) -> LevelSpec:
    """Return the specification of a level.

    Raises KeyError for R0 and unknown levels: they are not on it.
    """
    for spec in LADDER:
        if spec.level == level:
            return spec
    raise KeyError(level)


def count_words(text: str) -> int:
    """Return the words of a lesson or a response: what stands between white space."""
    return len(text.split())


SYSTEM = (
    "You condense worked solutions of mathematics problems. You are given a level, a problem and a "
    "correct reasoning for it. Rewrite the reasoning at that level. Use only what the reasoning "
    "says, keep every number and equation true, and keep its final answer. Write the new "
    "reasoning alone, with no title and no remark about the rewriting, and end it with the final "
    "answer in \\boxed{}."
)


_AGAIN = "An earlier try was refused:"

_AT_MOST = "words and never more than"

INSTRUCTIONS: tuple[str, ...] = tuple(spec.instruction for spec in LADDER)

REQUEST: tuple[str, ...] = (SYSTEM, *INSTRUCTIONS, _AT_MOST, _AGAIN)
"""What is said to every condenser, by which a lesson that repeats it is known."""


def level_line(level: Level) -> str:
    """Return the line of a request to a condenser that names the level."""
    return f"Level: {level.value}\n"


def condense_messages(
    problem: Problem, spec: LevelSpec, reasoning: str, *, of_words: int, complaint: str = ""
) -> tuple[Message, ...]:
    """Return the chat that asks for ``problem`` at one level, condensed from ``reasoning``.

    What is wanted stands last: a small condenser that is told it first gives the request back (46
    of 63 lessons of a 0.5B model, none of 24 in this order). The key is no part of it.
    ``complaint`` is what was wrong with the first try.
    """
    above = count_words(reasoning)
    most = min(above, spec.limit_words(of_words))
    target = min(most, spec.target_words(of_words))
    parts = [
        f"<problem>\n{problem.text}\n</problem>",
        f"<reasoning>\n{reasoning}\n</reasoning>",
        f"{level_line(spec.level)}{spec.instruction}",
        f"The reasoning has {above} words. Write about {target} {_AT_MOST} {most}. "
        "End with \\boxed{answer}. Now write the new reasoning alone.",
    ]
    if complaint:
        parts.append(f"{_AGAIN} {complaint} Write it again without that fault.")
    return (Message("system", SYSTEM), Message("user", "\n\n".join(parts)))
