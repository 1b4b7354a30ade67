"""Made-up answers in five forms, each to a key of its own."""

from __future__ import annotations

from potstill.grading import infer_kind
from potstill.records import Finish, Problem, Response, TextGold


def answers(count: int) -> list[tuple[Problem, Response]]:
    """Return the answers in prose, no two alike: four of five equal to their key in another form,
    one near.
    """
    found = []
    for k in range(1, count + 1):
        key, said = (
            (f"\\frac{{{k}}}{{{k + 1}}}", f"\\frac{{{2 * k}}}{{{2 * k + 2}}}"),
            (f"{k}", f"{k + 1}"),
            (f"{k}\\sqrt{{2}}", f"\\sqrt{{{2 * k * k}}}"),
            (f"({k}, {k + 1})", f"x = {k}, y = {k + 1}"),
            (f"{k}.5", f"\\frac{{{2 * k + 1}}}{{2}}"),
        )[k % 5]
        text = "We go step by step. " * 40 + f"So the answer is $\\boxed{{{said}}}$."
        problem = Problem(f"p{k}", f"Question {k}?", TextGold(key), infer_kind(key), "bench")
        response = Response("R1", f"p{k}", "c", 0, 0, "", text, Finish.STOP, 0, 0, "")
        found.append((problem, response))
    return found
