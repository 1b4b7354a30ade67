"""A condenser and a grader that do what a test tells them, through the real protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from potstill.chat import Ask, Completion
from potstill.lessons.condense import condense
from potstill.lessons.ladder import count_words
from potstill.records import (
    DecidedBy,
    Finish,
    Lesson,
    Outcome,
    Problem,
    Response,
    Sampling,
    TextGold,
    Verdict,
)

Reply = str | tuple[str, Finish] | None


@dataclass
class ScriptedCondenser:
    """Answers every ask with ``reply(level, problem id, attempt, ask)``; None is "not asked"."""

    reply: Callable[[str, str, int, Ask], Reply]
    asks: list[Ask] = field(default_factory=list)
    id: str = "scripted"
    precision: str = "api"

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        found = []
        for ask in asks:
            self.asks.append(ask)
            level = re.search(r"^Level: (R\d)$", ask.messages[-1].content, re.M)
            assert level is not None
            reply = self.reply(level[1], ask.tag, ask.attempt, ask)
            if reply is None:
                found.append(Completion.unasked(ask, "", "no record"))
                continue
            text, finish = (reply, Finish.STOP) if isinstance(reply, str) else reply
            key = f"{stage}/{ask.tag}/{level[1]}/{ask.attempt}"
            said = Completion(text, "", finish, 10, count_words(text))
            found.append(said.answering(ask, key))
        yield from reversed(found)  # results come in any order


def lessons_of(
    parents: Iterable[tuple[Problem, Response]],
    condenser: ScriptedCondenser,
    levels: Sequence[str],
    **changed: Any,
) -> list[Lesson]:
    """Return what ``condense`` makes of these parents; ``changed`` are more of its arguments."""
    return list(
        condense(
            parents,
            condenser=condenser,
            levels=levels,
            grade=grade,
            count_tokens=len,
            stage="lessons",
            sampling=Sampling(),
            **changed,
        )
    )


def grade(pairs: Iterable[tuple[Problem, Response]]) -> Iterator[Verdict]:
    """Grade by the last ``\\boxed{}``, in the reverse of the order that was asked."""
    yield from reversed([verdict(problem, response) for problem, response in pairs])


def verdict(problem: Problem, response: Response) -> Verdict:
    """Grade one response by its last ``\\boxed{}``."""
    boxed = re.findall(r"\\boxed\{([^}]*)\}", response.text)
    if response.finish is Finish.ERROR:
        outcome = Outcome.ERRORED
    elif response.finish is Finish.LENGTH:
        outcome = Outcome.TRUNCATED
    elif not response.text:
        outcome = Outcome.BLANK
    elif not boxed:
        outcome = Outcome.UNPARSED
    else:
        outcome = Outcome.CORRECT if boxed[-1] == problem.gold_text else Outcome.WRONG
    extracted = boxed[-1] if boxed else ""
    why = f"the key is {problem.gold_text}"
    return Verdict(
        response.response_id, problem.id, outcome, extracted, "boxed", DecidedBy.SYMBOLIC, why=why
    )


def problem(id: str = "p1", text: str = "What is 12 + 30?", key: str = "42") -> Problem:
    """Make a problem whose key is a text."""
    return Problem(id, text, TextGold(key), "integer", "test", {})


def response(id: str = "p1", reasoning: str = "", text: str = "\\boxed{42}") -> Response:
    """Make a teacher's whole response."""
    return Response("teacher", id, "c", 0, 0, reasoning, text, Finish.STOP, 1, 1, "k")
