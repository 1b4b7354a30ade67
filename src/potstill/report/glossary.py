"""The words of the report, for who meets them first; docs/glossary.md has the same and more."""

from __future__ import annotations

__all__ = ["GLOSSARY"]

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("accuracy", "the share of answers that are right, of those whose key can be read"),
    ("base", "the compact model before training, and the solver that a student is compared with"),
    (
        "beyond chance",
        "of a difference: test and interval both leave zero out, so luck alone would seldom make "
        "it",
    ),
    (
        "checkpoint",
        "the weights of an adapter at one step of training; one is chosen by validation problems "
        "and kept. What a run that is cut off resumes from is another file, deleted at the end",
    ),
    (
        "control",
        "a student trained on lessons as short as a level’s that nobody condensed: what it lacks "
        "beside that level is what condensing adds",
    ),
    (
        "held out",
        "of a problem: no student trains on it, and no checkpoint is chosen by it; what was "
        "trained on enters no claim",
    ),
    (
        "interval",
        "the range that holds the true accuracy or difference at 95 %; the report prints one "
        "beside every accuracy and difference",
    ),
    (
        "judge",
        "the verifier model in its role as second reader: of every answer (verify: both), or of "
        "those that the rules cannot read or decide",
    ),
    ("lesson", "a verified reasoning for one problem at one level; what a student learns from"),
    (
        "level",
        "how much of the reasoning is kept: R0 is the trace as the teacher gave it, R1 whole and "
        "clean, R6 a line",
    ),
    (
        "overlap",
        "problems that repeat each other, nearly, or but for their numbers; the audit finds them, "
        "and those that say the same are in one split",
    ),
    (
        "p",
        "how often luck alone would make a difference as large; below 0.05 it is taken for more "
        "than luck",
    ),
    ("point", "one percentage point: from 40 % to 50 % are 10 points"),
    (
        "seed",
        "a number that starts the random draws of one training; other seeds give other students "
        "of the same recipe",
    ),
    (
        "set beforehand",
        "of the primary comparison: the study named it before any held-out problem was answered, "
        "so it alone is not corrected for the number of comparisons",
    ),
    ("student", "a base with a trained adapter, of one level (or other variant) and one seed"),
    ("teacher", "whoever solves the problems to be taught: a large model, or recorded solutions"),
    ("token", "what a model reads and writes at a time: a short word, or a piece of one"),
    (
        "verdict",
        "what one response is worth: one of nine outcomes, with the answer read, who decided and "
        "why",
    ),
)
