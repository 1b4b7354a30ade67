"""A reply cut at its limit: kept, asked again once, or continued once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from potstill.chat import Completion
from potstill.errors import InputError
from potstill.ledger.ledger import Ledger
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import UnknownQuestion, create_app, serve
from potstill.records import AnswerKind, Condition, Finish, Problem, Response, Sampling, TextGold
from potstill.solvers.api import ApiSolver, Options, PriceOptions
from potstill.solvers.solve import solve, unless_useless
from potstill.solvers.truncation import CONTINUE_PROMPT, WhenCut

WORDS = [f"w{n}" for n in range(40)]
CONDITION = Condition("set", "", "{problem}", Sampling(max_tokens=10), "api")


class Storyteller:
    """Says forty words, as far as the limit goes; goes on where it stopped when told to."""

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []

    def reply(self, request: ChatRequest) -> Completion:
        self.asked.append(request)
        if "gone" in request.messages[0]["content"] and len(self.asked) > 1:
            raise UnknownQuestion("no record")
        start = 0
        if request.messages[-1]["content"] == CONTINUE_PROMPT:
            start = len(request.messages[-2]["content"].split())
        said = WORDS[start : start + (request.max_tokens or 40)]
        finish = Finish.STOP if said and said[-1] == WORDS[-1] else Finish.LENGTH
        return Completion("".join(f"{word} " for word in said), "", finish, 5, len(said))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def told(
    ledger: Ledger, teller: Storyteller, when_cut: WhenCut | None, text: str = "tell"
) -> Response:
    problem = Problem("p1", text, TextGold("1"), AnswerKind.INTEGER, "test")
    with serve(create_app(teller.reply, ["m"])) as url:
        solver = ApiSolver(
            Options(model="m", base_url=url, api_key_env="", price=PriceOptions(input=1, output=1)),
            ledger,
        )
        (found,) = solve(solver, [problem], CONDITION, stage="teach", when_cut=when_cut)
    assert isinstance(found, Response)
    return found


def test_a_cut_reply_is_kept_as_it_is_unless_told_otherwise(ledger: Ledger) -> None:
    teller = Storyteller()
    found = told(ledger, teller, None)
    assert (found.finish, found.text.split(), found.attempt) == (Finish.LENGTH, WORDS[:10], 0)
    assert len(teller.asked) == 1


def test_asked_again_with_a_larger_limit_it_is_whole(ledger: Ledger) -> None:
    teller = Storyteller()
    found = told(ledger, teller, WhenCut("again", 64))
    assert (found.finish, found.text.split(), found.attempt) == (Finish.STOP, WORDS, 1)
    assert [request.max_tokens for request in teller.asked] == [10, 64]
    again = told(ledger, teller, WhenCut("again", 64))
    assert again == found
    assert len(teller.asked) == 2, "a reply was bought twice"
    (spend,) = ledger.spend(())
    assert spend.calls == 2, "the cut reply is not in the ledger"


def test_continued_it_is_the_two_parts_joined(ledger: Ledger) -> None:
    teller = Storyteller()
    found = told(ledger, teller, WhenCut("continue", 30))
    assert (found.finish, found.text.split(), found.tokens_out) == (Finish.STOP, WORDS, 40)
    assert [m["role"] for m in teller.asked[1].messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize("do", ["again", "continue"])
def test_cut_twice_it_stays_cut_and_is_not_asked_a_third_time(ledger: Ledger, do: str) -> None:
    teller = Storyteller()
    found = told(ledger, teller, WhenCut(do, 12))  # type: ignore[arg-type]
    assert found.finish is Finish.LENGTH
    assert len(teller.asked) == 2


def test_where_no_second_reply_is_on_record_the_cut_one_stays(ledger: Ledger) -> None:
    found = told(ledger, Storyteller(), WhenCut("again", 64), text="gone")
    assert (found.finish, found.attempt) == (Finish.LENGTH, 0)


def test_many_cut_replies_are_each_asked_again_once_and_soon(ledger: Ledger) -> None:
    teller = Storyteller()
    problems = [
        Problem(f"p{i}", f"tell {i}", TextGold("1"), AnswerKind.INTEGER, "test") for i in range(60)
    ]
    with serve(create_app(teller.reply, ["m"])) as url:
        price = PriceOptions(input=1, output=1)
        options = Options(model="m", base_url=url, api_key_env="", price=price, concurrency=2)
        stream = solve(
            *(ApiSolver(options, ledger), problems, CONDITION),
            stage="teach",
            when_cut=WhenCut("again", 64),
        )
        found = list(stream)
    assert sorted(x.problem_id for x in found) == sorted(p.id for p in problems)
    assert {(x.finish, x.attempt) for x in found if isinstance(x, Response)} == {(Finish.STOP, 1)}
    limits = [request.max_tokens for request in teller.asked]
    assert Counter(limits) == {10: 60, 64: 60}
    assert 64 in limits[:20], "second attempts waited for all the first ones"


@pytest.mark.parametrize(("count", "cut"), [(40, 10), (3, 3)])
def test_where_every_answer_is_cut_the_rest_is_not_asked(
    ledger: Ledger, count: int, cut: int
) -> None:
    teller = Storyteller()
    asked = [
        Problem(f"p{n}", f"tell {n}", TextGold("1"), AnswerKind.INTEGER, "test")
        for n in range(count)
    ]
    with serve(create_app(teller.reply, ["m"])) as url:
        solver = ApiSolver(Options(model="m", base_url=url, api_key_env="", concurrency=4), ledger)
        stream = solve(solver, asked, CONDITION, stage="teach")
        with pytest.raises(InputError, match=rf"the first {cut} answers were cut at .* 10 tokens"):
            list(unless_useless("teacher · train", stream, asked, 10))
    assert len(teller.asked) <= cut + 8  # and what was under way by then


def test_one_whole_answer_among_cut_ones_is_enough() -> None:
    asked = [Problem(f"p{n}", "tell", TextGold("1"), AnswerKind.INTEGER, "test") for n in range(24)]
    responses = [
        Response("m", p.id, "c", 0, 0, "", "w", finish, 1, 10, "")
        for p, finish in zip(
            asked, [Finish.LENGTH] * 9 + [Finish.STOP] + [Finish.LENGTH] * 14, strict=True
        )
    ]
    assert list(unless_useless("teacher", responses, asked, 10)) == responses


def test_one_answer_to_every_problem_is_none() -> None:
    def answers(
        keys: list[str], text: str = "I can't help."
    ) -> tuple[list[Problem], list[Response]]:
        asked = [
            Problem(f"p{n}", "tell", TextGold(key), AnswerKind.INTEGER, "test")
            for n, key in enumerate(keys)
        ]
        return asked, [
            Response("m", p.id, "c", 0, 0, "", text, Finish.STOP, 1, 1, "") for p in asked
        ]

    asked, refusals = answers([str(n) for n in range(28)])
    coming = iter(refusals)
    with pytest.raises(
        InputError, match=r"first 10 answers are one and the same.*: \"I can't help"
    ):
        list(unless_useless("teacher", coming, asked, 10))
    assert len(list(coming)) == 18
    # yes to ten questions may be right
    asked, refusals = answers(["yes", "no"] * 14, "yes")
    assert list(unless_useless("teacher", refusals, asked, 10)) == refusals
    # draws of one problem are one answer
    one = [asked[0]] * 12
    drawn = [Response("m", "p0", "c", n, 0, "", "w", Finish.LENGTH, 1, 1, "") for n in range(12)]
    drawn.append(refusals[1])
    assert list(unless_useless("teacher", drawn, [*one, asked[1]], 10)) == drawn


@pytest.mark.parametrize(
    ("reasoning", "says"),
    [("so \\boxed{4}", r"first 10 answers are empty behind their reasoning.*reasoning parser"),
     ("", "first 10 answers are empty; see that model")],
)  # fmt: skip
def test_where_every_answer_is_empty_the_rest_is_not_asked(reasoning: str, says: str) -> None:
    asked = [Problem(f"p{n}", "?", TextGold(f"{n}"), AnswerKind.INTEGER, "t") for n in range(30)]
    empty = [
        Response(
            "m", p.id, "c", 0, 0, reasoning and f"{p.id} {reasoning}", " ", Finish.STOP, 1, 9, ""
        )
        for p in asked
    ]
    coming = iter(empty)
    with pytest.raises(InputError, match=says):
        list(unless_useless("teacher", coming, asked, 100))
    assert len(list(coming)) == 20


def test_where_every_question_is_refused_the_reason_is_told() -> None:
    asked = [Problem(f"p{n}", "?", TextGold(f"{n}"), AnswerKind.INTEGER, "t") for n in range(30)]
    refused = [
        Response("m", p.id, "c", 0, 0, "", "", Finish.FILTERED, 1, 9, "", "I can't help with that.")
        for p in asked
    ]
    coming = iter(refused)
    with pytest.raises(InputError, match=r"first 10 questions were refused.*I can't help with"):
        list(unless_useless("teacher", coming, asked, 100))
    assert len(list(coming)) == 20


def test_a_servers_own_limit_is_not_taken_for_the_studys() -> None:
    asked = [Problem(f"p{n}", "?", TextGold("1"), AnswerKind.INTEGER, "test") for n in range(12)]
    cut = [Response("m", p.id, "c", 0, 0, "", "w", Finish.LENGTH, 1, 60, "") for p in asked]
    with pytest.raises(InputError, match=r"cut the first 10 answers at 60 tokens or fewer, long"):
        list(unless_useless("teacher", cut, asked, 8192))
