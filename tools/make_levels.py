"""Levels by rule, of what others wrote: tables for the studies in ``studies/``.

``python tools/make_levels.py DATA OUT`` reads DATA/gsm8k/{train,test}.jsonl (question, answer,
solution) and DATA/traces/*.jsonl (question, answer, trace) and writes a table of the same name into
OUT. R1 is the whole text, R3 its sentences that calculate, R6 the answer alone; each ends in its
answer in a box. POTSTILL_LEVELS names OUT in the studies.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from potstill.solvers.thinking import split_thought

__all__ = ["calculations", "main", "rows_of_solutions", "rows_of_traces"]

Row = dict[str, Any]

# GSM8K's marks of its calculator: <<48/2=24>>
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\\$*#(-])|\n+")
_CALCULATES = re.compile(r"\d[^.\n=]{0,80}=\s*\\?\$?\s*[-\d]")
_VALID_EVERY = 20


def calculations(text: str) -> str:
    """Return the sentences of a text that hold an equation between numbers, a line each."""
    sentences = (" ".join(x.split()) for x in _SENTENCE.split(text))
    return "\n".join(dict.fromkeys(x for x in sentences if _CALCULATES.search(x)))


def rows_of_solutions(rows: Iterable[Row], side: str) -> Iterator[Row]:
    """Yield GSM8K's problems with their authors' solutions at three lengths, and their ``side``.

    Of those to train on, one in twenty is for validation.
    """
    for number, row in enumerate(rows):
        solution = _CALCULATOR.sub("", row["solution"]).strip()
        valid = side == "train" and number % _VALID_EVERY == 0
        yield {
            "id": row["id"],
            "question": row["question"],
            "answer": row["answer"],
            "side": "valid" if valid else side,
            **_levels(solution, row["answer"]),
        }


def rows_of_traces(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield problems with a model's reasoning and answer, and what a rule makes of its answer.

    A trace that was cut has no answer behind its reasoning, and so no levels.
    """
    for row in rows:
        reasoning, text = split_thought(row["trace"])
        answered = text if reasoning else ""
        yield {
            "id": f"trace-{row['id']}",
            "question": row["question"],
            "answer": row["answer"],
            "reasoning": reasoning or row["trace"],
            "text": answered,
            **(_levels(answered, row["answer"]) if answered else {"R1": "", "R3": "", "R6": ""}),
        }


def _levels(text: str, answer: str) -> Row:
    box = f"The answer is \\boxed{{{answer}}}."
    whole = text if "\\boxed" in text[-200:] else f"{text}\n{box}"
    return {"R1": whole, "R3": f"{calculations(text)}\n{box}".strip(), "R6": box}


def _read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _write(path: Path, rows: Iterable[Row]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path}: {len(lines):,} rows")


def main() -> None:
    """Write every table that the data allow."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sides = {"train": "train", "test": "heldout"}
    solved = [
        row
        for name, side in sides.items()
        for row in rows_of_solutions(_read(args.data / "gsm8k" / f"{name}.jsonl"), side)
    ]
    _write(args.out / "gsm8k.jsonl", solved)
    for path in sorted((args.data / "traces").glob("*.jsonl")):
        _write(args.out / path.name, rows_of_traces(_read(path)))


if __name__ == "__main__":
    main()
