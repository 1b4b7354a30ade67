"""Levels by rule, of what others wrote: tables for the studies in ``studies/``.

``python tools/make_levels.py DATA OUT`` reads what is there of DATA/gsm8k/{train,test}.jsonl
(question, answer, solution), traces/*.jsonl (question, answer, trace), code/cruxeval.jsonl
(question, answer, code, input), clinical/pubmedqa.jsonl (question, context, answer, long_answer),
law/ar_lsat_{train,test}.jsonl (text, answer), answers/math_1.5b_gsm8k.jsonl (problem, key, model,
response) and word_problems/{asdiv,svamp}.jsonl (question, answer), and writes a table of each into
OUT. Word problems, some of GSM8K's among them, come as they are, for a teacher to solve; of the
others R1 is the whole text, R3 its sentences that calculate, R6 the answer alone; each ends in its
answer in a box. POTSTILL_LEVELS names OUT in the studies. The functions of CRUXEval are run, each
in a process of its own, to write down what their lines do: that trace is R1. The answers of two
models are whole, right or wrong, for a replay.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from potstill.protocol.thinking import split_thought

__all__ = [
    "calculations",
    "execution",
    "main",
    "rows_of_abstracts",
    "rows_of_answers",
    "rows_of_asdiv",
    "rows_of_functions",
    "rows_of_games",
    "rows_of_solutions",
    "rows_of_traces",
]

Row = dict[str, Any]

# GSM8K's marks of its calculator: <<48/2=24>>
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\\$*#(-])|\n+")
_CALCULATES = re.compile(r"\d[^.\n=]{0,80}=\s*\\?\$?\s*[-\d]")
_VALID_EVERY = 20
_MOST_LINES = 40
# How many of ASDiv's problems each split takes, and how many of SVAMP and of GSM8K are held out.
_ASDIV = {"heldout": 500, "train": 120, "valid": 24}
_SVAMP = 150
_GSM8K = 300
_ANSWERS, _MODELS = "math_1.5b_gsm8k", ("base", "hybrid")
_SIDES_OF_ANSWERS = {"train": 360, "valid": 400, "heldout": 500}  # up to which question
_RUN_S = 5.0
# Runs a function line by line and prints what each changed, as JSON.
_TRACER = """
import json, sys
told = json.loads(sys.stdin.read())
code, lines, seen, steps = told["code"], told["code"].splitlines(), {}, []
def watch(frame, event, value):
    if frame.f_code.co_name != "f" or len(steps) > told["most"]:
        return watch
    for name, now in frame.f_locals.items():
        text = repr(now)
        if seen.get(name) != text:
            seen[name] = text
            steps.append(f"{name} = {text}")
    if event == "return":
        steps.append(f"f returns {value!r}")
    return watch
space = {}
exec(compile(code, "f", "exec"), space)
sys.settrace(watch)
exec(compile("f(" + told["input"] + ")", "call", "exec"), space)
sys.settrace(None)
print(json.dumps(steps))
"""


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


def execution(code: str, given: str) -> list[str]:
    """Return what changes, step by step, as a function ``f`` runs on an input; empty where it does
    not end in time or takes too many steps.
    """
    told = json.dumps({"code": code, "input": given, "most": _MOST_LINES})
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _TRACER],
            input=told, capture_output=True, text=True, timeout=_RUN_S, check=True,
        )  # fmt: skip
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return []
    steps: list[str] = json.loads(done.stdout)
    return steps if len(steps) <= _MOST_LINES else []


def rows_of_functions(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield CRUXEval's questions with what their functions do, line by line, as R1."""
    for row in rows:
        steps = execution(row["code"], row["input"])
        box = f"The answer is \\boxed{{{row['answer']}}}."
        yield {
            "id": row["id"],
            "question": row["question"],
            "answer": row["answer"],
            "kind": "exact",
            "R1": "\n".join([*steps, box]) if steps else "",
            "R6": box,
        }


def rows_of_abstracts(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield PubMedQA's questions on an abstract with its authors' conclusion as R1."""
    for row in rows:
        question = f"{row['context']}\n\n{row['question']} Answer yes, no or maybe."
        box = f"The answer is \\boxed{{{row['answer']}}}."
        yield {
            "id": row["id"],
            "question": question,
            "answer": row["answer"],
            "kind": "exact",
            "year": row["year"],
            "R1": f"{row['long_answer']}\n{box}",
            "R6": box,
        }


def rows_of_games(rows: Iterable[Row], side: str) -> Iterator[Row]:
    """Yield AR-LSAT's questions with their options; nobody's reasoning comes with them."""
    for number, row in enumerate(rows):
        yield {
            "id": row["id"],
            "question": row["text"],
            "answer": row["answer"],
            "kind": "choice",
            "side": "valid" if side == "train" and number % _VALID_EVERY == 0 else side,
            "R6": f"The answer is \\boxed{{{row['answer']}}}.",
        }


def rows_of_asdiv(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield some of ASDiv's problems with their side; which ones hangs on their ids alone."""
    left = sorted(rows, key=_draw)
    for side, count in _ASDIV.items():
        yield from (_word_problem(row) | {"side": side} for row in left[:count])
        left = left[count:]


def rows_of_answers(rows: Iterable[Row], model: str) -> Iterator[Row]:
    """Yield one model's answer to each question, right or wrong; a question has the same side
    whoever answers it.
    """
    by_text = {row["problem"]: row for row in rows if row["model"] == model}
    left = sorted(by_text.values(), key=lambda row: _draw({"id": row["problem"]}))
    for place, row in enumerate(left):
        side = next(side for side, last in _SIDES_OF_ANSWERS.items() if place < last)
        yield {
            "id": f"gsm8k-{place}",
            "question": row["problem"],
            "answer": row["key"],
            "text": row["response"],
            "side": side,
        }


def _some(rows: Iterable[Row], count: int) -> list[Row]:
    return sorted(rows, key=_draw)[:count]


def _draw(row: Row) -> str:
    return hashlib.sha256(row["id"].encode()).hexdigest()


def _word_problem(row: Row) -> Row:
    text = " ".join(row["question"].split())
    return {"id": row["id"], "question": text, "answer": row["answer"]}


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
    for name, rows in _tables(args.data):
        _write(args.out / f"{name}.jsonl", rows)


def _tables(data: Path) -> Iterator[tuple[str, Iterable[Row]]]:
    """Yield each table that the data allow, by its name."""
    sides = {"train": "train", "test": "heldout"}
    solved = {side: data / "gsm8k" / f"{name}.jsonl" for name, side in sides.items()}
    if all(path.exists() for path in solved.values()):
        yield "gsm8k", (x for side, p in solved.items() for x in rows_of_solutions(_read(p), side))
    words = data / "word_problems"
    if (path := words / "asdiv.jsonl").exists():
        yield "asdiv", rows_of_asdiv(_read(path))
    if (path := words / "svamp.jsonl").exists():
        yield "svamp", map(_word_problem, _some(_read(path), _SVAMP))
    if solved["heldout"].exists():
        yield "gsm8k_some", map(_word_problem, _some(_read(solved["heldout"]), _GSM8K))
    if (path := data / "answers" / f"{_ANSWERS}.jsonl").exists():
        for model in _MODELS:
            yield f"{_ANSWERS}_{model}", rows_of_answers(_read(path), model)
    for path in sorted((data / "traces").glob("*.jsonl")):
        yield path.stem, rows_of_traces(_read(path))
    if (path := data / "code" / "cruxeval.jsonl").exists():
        yield "cruxeval", rows_of_functions(_read(path))
    if (path := data / "clinical" / "pubmedqa.jsonl").exists():
        yield "pubmedqa", rows_of_abstracts(_read(path))
    games = {side: data / "law" / f"ar_lsat_{name}.jsonl" for name, side in sides.items()}
    if all(path.exists() for path in games.values()):
        yield "ar_lsat", (x for side, p in games.items() for x in rows_of_games(_read(p), side))


if __name__ == "__main__":
    main()
