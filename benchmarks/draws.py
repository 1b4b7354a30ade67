"""What several draws of an answer cost beside one: a problem's prompt is computed once for all.

    python benchmarks/draws.py [--base MODEL] [--draws N] [--problems N] [--max-tokens N]
        [--rounds N]

A base answers the same problems at temperature 0.6 once and with so many draws, in turns, each time
into an empty ledger; told are the seconds of each and their ratio, of the medians over rounds. The
pocket base answers pocket problems; with --base, problems of ASDiv in POTSTILL_DATA (or pocket
problems without it) are put to it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from circumstances import at_least_one, real_data, tell_sample


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="a folder or a GGUF file; the pocket base where not given")
    parser.add_argument("--draws", type=at_least_one, default=16)
    parser.add_argument("--problems", type=at_least_one, default=24)
    parser.add_argument("--max-tokens", type=at_least_one, default=128)
    parser.add_argument("--rounds", type=at_least_one, default=3)
    args = parser.parse_args()
    from transformers.utils import logging

    from potstill.models.torch_base import load_base
    from potstill.pocket import STUDENT_PATH

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    base = load_base(args.base or STUDENT_PATH)
    problems, what = problems_for(args)
    seconds: dict[int, list[float]] = {1: [], args.draws: []}
    tokens: dict[int, int] = {}
    answered(base, problems[:2], 1, 2)  # what is only slow at first
    for _ in range(args.rounds):
        for draws, taken in seconds.items():
            took, tokens[draws] = answered(base, problems, draws, args.max_tokens)
            taken.append(took)
            each = f"{tokens[draws]:,} tokens, {tokens[draws] / took:.0f} tokens/s"
            print(f"{draws} of each: {took:.1f} s, {each}", flush=True)
    ratio = median(seconds[args.draws]) / median(seconds[1])
    print(f"figure draws_vs_one {ratio:.2f}")
    print(json.dumps({"draws": args.draws, "seconds": seconds, "tokens": tokens}))
    tell_sample(
        f"{args.rounds} rounds of {len(problems)} {what}, answers of up to {args.max_tokens} tokens"
    )


def answered(base: Any, problems: Any, draws: int, limit: int) -> tuple[float, int]:
    """Return the seconds that so many draws of each problem take, and their tokens."""
    from potstill.ledger.ledger import Ledger
    from potstill.records import Condition, Sampling
    from potstill.solvers.local import LocalSolver
    from potstill.solvers.solve import solve

    condition = Condition("", "", "{problem}", Sampling(0.6, 0.95, 0, limit), "float32")
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger.open(Path(folder) / "ledger.sqlite") as ledger,
    ):
        solver = LocalSolver(base, None, ledger, solver_id="base", batch_size=0)
        begun = time.perf_counter()
        told = [
            x.tokens_out
            for x in solve(solver, problems, condition, stage="answer", samples=draws)
            if hasattr(x, "tokens_out")
        ]
        return time.perf_counter() - begun, sum(told)


def problems_for(args: argparse.Namespace) -> tuple[list[Any], str]:
    """Return the problems, and what they are called."""
    from potstill.pocket.problems import generate
    from potstill.records import Problem, TextGold

    data = real_data("word_problems/asdiv.jsonl") if args.base else None
    if data is None:
        made = [(x.text, x.answer) for x in generate("heldout", args.problems)]
    else:
        lines = (data / "word_problems" / "asdiv.jsonl").read_text("utf-8").strip().split("\n")
        rows = map(json.loads, lines[: args.problems])
        made = [(row["question"], str(row["answer"])) for row in rows]
    problems = [
        Problem(f"p{k}", text, TextGold(key), "integer", "benchmark")
        for k, (text, key) in enumerate(made)
    ]
    return problems, "pocket problems" if data is None else "of ASDiv"


if __name__ == "__main__":
    main()
