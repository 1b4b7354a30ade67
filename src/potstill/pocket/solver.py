"""The pocket world's agents as a solver: a scripted model behind a real local HTTP server.

``solver: pocket`` in a study starts the server on a free loopback port and asks it as any other
OpenAI-compatible endpoint is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from potstill.chat import never
from potstill.ledger.prices import Price, free
from potstill.pocket import generate
from potstill.pocket.problems import MOST, PocketProblem, normalise_text
from potstill.store.settings import Settings

if TYPE_CHECKING:
    from potstill.chat import Solver
    from potstill.ledger.ledger import Ledger
    from potstill.records import Problem

__all__ = ["MODELS", "Options", "open_solver", "price", "unsuited"]

PROVIDER = "pocket"
MODELS = ("pocket-teacher", "pocket-verifier", "pocket-condenser")


class Options(Settings):
    """Which scripted model answers; ``seed`` moves its mistakes, ``latency_s`` slows it down.

    ``problems`` is how many problems of each split it knows, ``problem_seed`` their seed.
    """

    model: Literal["pocket-teacher", "pocket-verifier", "pocket-condenser"] = Field(
        description="Which of the three roles it plays."
    )
    seed: int = 0
    problem_seed: int = 0
    problems: Annotated[int, Field(gt=0, le=MOST)] = 700
    latency_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    concurrency: Annotated[int, Field(gt=0, le=10_000, description="Calls in flight.")] = 32

    def identity(self) -> dict[str, Any]:
        """Return what decides the answers."""
        return {"model": self.model, "seed": self.seed, "problem_seed": self.problem_seed}


def price(options: Options) -> Price:
    """Return the price of the scripted model: nothing."""
    return free(options.model)


def unsuited(options: Options, problems: Sequence[Problem]) -> str:
    """Return why the scripted model cannot answer most of these problems, "" where it can."""
    heads = {f"pocket/{x.key}" for x in generate("train", 3, options.problem_seed)}
    trained = sum(p.groups.get("split") == "train" for p in problems)
    if trained <= options.problems and heads & {p.id for p in problems}:
        return ""  # without making them all, which takes most of a second
    known = {normalise_text(x.text) for x in _known(options)}
    strange = [p for p in problems if normalise_text(p.text) not in known]
    if 2 * len(strange) <= len(problems):
        return ""
    if strange[0].id.startswith("pocket/"):
        return (
            f"the {options.model} knows the pocket problems of problem_seed {options.problem_seed} "
            f"({options.problems:,} to train on), and {strange[0].id} is none of them; set its "
            "problem_seed and problems to what their source has as seed and train."
        )
    return (
        f"the {options.model} knows only the pocket world's problems, and {strange[0].id} is none; "
        "name a model that can read it (solver: api, or torch), or recorded answers (replay)."
    )


@contextmanager
def open_solver(
    options: Options, ledger: Ledger, *, stop: Callable[[], str] = never
) -> Iterator[Solver]:
    """Yield the scripted model, served over HTTP on this machine for as long as the context
    lasts.
    """
    from potstill.pocket.teacher import PocketTeacher
    from potstill.protocol.server import create_app, serve
    from potstill.solvers import api

    teacher = PocketTeacher(_known(options), seed=options.seed)
    app = create_app(teacher.reply, MODELS, latency_s=options.latency_s)
    with serve(app) as base_url:
        settings = api.Options(
            model=options.model,
            base_url=base_url,
            provider=PROVIDER,
            api_key_env="",
            concurrency=options.concurrency,
            price=api.PriceOptions(input=0.0, output=0.0),
        )
        with api.open_solver(settings, ledger, stop=stop) as solver:
            yield solver


def _known(options: Options) -> list[PocketProblem]:
    return [
        problem
        for split, count in (("train", options.problems), ("valid", 200), ("heldout", 700))
        for problem in generate(split, count, options.problem_seed)
    ]
