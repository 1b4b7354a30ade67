"""Other graders of answers, each as its users run it, behind one function.

lighteval cannot be installed beside our own pins (its latex2sympy2_extended is another than
math-verify's), so it runs under an interpreter of its own. Inspect's ``answer("line")`` reads the
"ANSWER: ..." line that its prompts ask for; the open answers were never asked for one.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Pair = tuple[str, str]
Accepts = Callable[[Sequence[Pair]], list[bool]]
CHUNK = 100

_LIGHTEVAL = """
import json, logging, sys
logging.disable(logging.WARNING)
from lighteval.metrics.metrics import Metrics
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc
metric = Metrics.expr_gold_metric.value.sample_level_fn
for line in sys.stdin:
    key, text = json.loads(line)
    doc = Doc(query="", choices=[key], gold_index=0)
    try:
        score = metric.compute(doc=doc, model_response=ModelResponse(text=[text]))
    except Exception:
        score = 0.0
    print(json.dumps(bool(score)), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another grader: what it accepts of (key, response) pairs, or why it is not here."""

    name: str
    accepts: Accepts | None
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What a rival said of the first pairs, as many as its time was enough for."""

    accepted: list[bool]
    seconds: float


def find_rivals(lighteval: str = "") -> list[Rival]:
    """Return every rival, those that cannot run here with the reason."""
    found = [
        Rival("math-verify", _math_verify),
        Rival("math-verify strings+LaTeX", _math_verify_strings),
    ]
    for name in ("match(numeric=True)", "math()", 'answer("line")'):
        found.append(_inspect_rival(name))
    return [*found, _lighteval_rival(lighteval)]


def run(rival: Rival, pairs: Sequence[Pair], limit_s: float) -> Run:
    """Ask a rival about pairs, chunk by chunk, until its time is over."""
    if rival.accepts is None:
        return Run([], 0.0)
    began = time.perf_counter()
    accepted: list[bool] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for chunk in _chunks(pairs):
            accepted += rival.accepts(chunk)
            if time.perf_counter() - began > limit_s:
                break
    return Run(accepted, time.perf_counter() - began)


def _chunks(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    for start in range(0, len(pairs), CHUNK):
        yield pairs[start : start + CHUNK]


def _math_verify(pairs: Sequence[Pair]) -> list[bool]:
    from math_verify import parse, verify

    return [bool(verify(parse(f"${key}$"), parse(text))) for key, text in pairs]


def _math_verify_strings(pairs: Sequence[Pair]) -> list[bool]:
    from math_verify import LatexExtractionConfig, StringExtractionConfig, parse, verify

    how = [StringExtractionConfig(), LatexExtractionConfig()]
    return [bool(verify(parse(f"${key}$", how), parse(text, how))) for key, text in pairs]


def _inspect_rival(name: str) -> Rival:
    try:
        from inspect_ai.scorer import answer, match, math
    except ImportError as error:
        return Rival(f"inspect {name}", None, f"{error}; pip install 'potstill[inspect]'")
    scorer = {
        "match(numeric=True)": lambda: match(numeric=True),
        "math()": math,
        'answer("line")': lambda: answer("line"),
    }[name]

    def accepts(pairs: Sequence[Pair]) -> list[bool]:
        return asyncio.run(_inspect_scores(scorer(), pairs))

    return Rival(f"inspect {name}", accepts)


async def _inspect_scores(scorer: Callable[..., object], pairs: Sequence[Pair]) -> list[bool]:
    from inspect_ai.model import ModelName, ModelOutput
    from inspect_ai.scorer import Target
    from inspect_ai.solver import TaskState

    accepted = []
    for key, text in pairs:
        state = TaskState(
            model=ModelName("mockllm/model"),
            sample_id=0,
            epoch=1,
            input="",
            messages=[],
            output=ModelOutput.from_content("mockllm/model", text),
        )
        try:
            score = await scorer(state, Target(key))  # type: ignore[misc]
        except ValueError:  # a key that it cannot parse: nothing is accepted
            accepted.append(False)
            continue
        accepted.append(score is not None and score.value == "C")
    return accepted


def _lighteval_rival(python: str) -> Rival:
    """Return lighteval's metric for GSM8K (``expr_gold_metric``), in the interpreter that has
    it.
    """
    name = "lighteval expr_gold_metric"
    if not python:
        return Rival(
            name,
            None,
            "lighteval 0.13.0 needs latex2sympy2_extended 1.0.6, math-verify 0.9.0 needs 1.11.0: "
            "install it in an environment of its own and name that python with --lighteval",
        )
    probe = subprocess.run(
        [python, "-c", "import lighteval.metrics.metrics"], capture_output=True, text=True
    )
    if probe.returncode:
        last = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Rival(name, None, f"{python}: {last}")

    def accepts(pairs: Sequence[Pair]) -> list[bool]:
        lines = "".join(json.dumps(pair) + "\n" for pair in pairs)
        done = subprocess.run(
            [python, "-c", _LIGHTEVAL], input=lines, capture_output=True, text=True, check=True
        )
        return [bool(json.loads(line)) for line in done.stdout.splitlines()]

    return Rival(name, accepts)
