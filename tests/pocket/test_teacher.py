"""The scripted teacher: its faults come at their rates and never change."""

from __future__ import annotations

import dataclasses
import re

import pytest

from potstill.chat import Completion
from potstill.lessons.gates import begins_as
from potstill.lessons.ladder import INSTRUCTIONS, LADDER, condense_messages
from potstill.pocket import PocketProblem, render
from potstill.pocket.render import LEVELS
from potstill.pocket.teacher import CONDENSER, TEACHER, VERIFIER, PocketTeacher
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import UnknownQuestion
from potstill.records import Finish, Problem, TextGold


def _ask(
    model: str, content: str, seed: int | None = None, limit: int | None = None
) -> ChatRequest:
    return ChatRequest(model, ({"role": "user", "content": content},), limit, 0.0, seed)


def _teach(problem: PocketProblem) -> ChatRequest:
    return _ask(TEACHER, f"Solve this.\n\n{problem.text}\n\nPut the answer in \\boxed{{}}.")


def _verify(problem: PocketProblem, answer: str) -> ChatRequest:
    body = f"<problem>{problem.text}</problem>\n<key>{problem.answer}</key>"
    return _ask(VERIFIER, f"{body}\n<answer>{answer}</answer>")


def _condense(problem: PocketProblem, level: str) -> ChatRequest:
    body = f"<problem>{problem.text}</problem>\n<reasoning>{render(problem, 'R0')}</reasoning>"
    return _ask(CONDENSER, f"Shorten.\n{body}\nLevel: {level}\n")


@pytest.fixture(scope="module")
def teacher(many: list[PocketProblem]) -> PocketTeacher:
    return PocketTeacher(many)


def _kind(problem: PocketProblem, reply: Completion) -> str:
    if reply.finish is Finish.LENGTH:
        assert reply.text == ""
        assert reply.reasoning[-1].isalpha()
        assert "boxed" not in reply.reasoning
        return "truncated"
    if not reply.text:
        return "blank"
    answers = set(re.findall(r"\\boxed\{(.*?)\}", reply.text + reply.reasoning))
    assert len(answers) == 1, "reasoning and text must agree"
    return "right" if answers == {problem.answer} else "slip"


def test_teacher_fails_at_its_rates(teacher: PocketTeacher, many: list[PocketProblem]) -> None:
    kinds = [_kind(p, teacher.reply(_teach(p))) for p in many]
    share = {kind: kinds.count(kind) / len(kinds) for kind in set(kinds)}
    assert 0.87 < share["right"] < 0.93
    assert 0.03 < share["slip"] < 0.075
    assert 0.008 < share["blank"] < 0.036
    assert 0.015 < share["truncated"] < 0.05


def test_verifier_fails_at_its_rates(teacher: PocketTeacher, many: list[PocketProblem]) -> None:
    unparsed = wrong = 0
    for number, problem in enumerate(many):
        right = number % 2 == 0
        reply = teacher.reply(_verify(problem, problem.answer if right else "12345"))
        last = reply.text.splitlines()[-1]
        if not last.startswith("Verdict: "):
            unparsed += 1
        else:
            wrong += (last == "Verdict: CORRECT") != right
    assert 0.008 < unparsed / len(many) < 0.036
    assert 0.008 < wrong / len(many) < 0.036


def test_condenser_fails_at_its_rates(teacher: PocketTeacher, many: list[PocketProblem]) -> None:
    too_long = wrong = 0
    for number, problem in enumerate(many):
        level = f"R{number % 6 + 1}"
        text = teacher.reply(_condense(problem, level)).text
        if len(text.split()) > len(render(problem, "R0").split()):
            too_long += 1
        elif text != render(problem, level):
            assert f"\\boxed{{{problem.answer}}}" not in text
            wrong += 1
    assert 0.015 < too_long / len(many) < 0.05
    assert 0.002 < wrong / len(many) < 0.025


@pytest.mark.parametrize(
    ("key", "answer", "same"),
    [
        ("1/2", "0.5", True),
        ("14", "$14.$", True),
        ("14", "So it is \\boxed{14}.", True),
        ("2/3", "\\frac{2}{3}", True),
        ("1200", "1,200", True),
        ("14", "15", False),
        ("14", "", False),
        ("14", "1/0", False),
        ("red", "Red.", True),
    ],
)
def test_verifier_compares_values(
    teacher: PocketTeacher, many: list[PocketProblem], key: str, answer: str, same: bool
) -> None:
    wanted = f"Verdict: {'CORRECT' if same else 'INCORRECT'}"
    body = f"<problem>{many[0].text}</problem><key>{key}</key><answer>{answer}</answer>"
    replies = [teacher.reply(_ask(VERIFIER, body, seed)).text for seed in range(25)]
    assert sum(reply.endswith(f"\n{wanted}") for reply in replies) >= 20


def test_replies_have_no_memory(many: list[PocketProblem]) -> None:
    one, other = PocketTeacher(many), PocketTeacher(reversed(many))
    asked = [_teach(p) for p in many[:80]]
    asked += [_condense(p, "R3") for p in many[:80]] + [_verify(p, "7") for p in many[:80]]
    forwards = [one.reply(request) for request in asked]
    backwards = [other.reply(request) for request in reversed(asked)]
    assert forwards == backwards[::-1]


def test_another_seed_or_wording_draws_again(many: list[PocketProblem]) -> None:
    teacher = PocketTeacher(many)
    failed = [p for p in many if _kind(p, teacher.reply(_teach(p))) != "right"]
    retried = [teacher.reply(_ask(TEACHER, f"Again: {p.text}")) for p in failed]
    reseeded = [teacher.reply(_ask(TEACHER, _teach(p).messages[0]["content"], 8)) for p in failed]
    for replies in (retried, reseeded):
        right = sum(_kind(p, r) == "right" for p, r in zip(failed, replies, strict=True))
        assert right > 0.7 * len(failed)
    faulty = [
        [_kind(p, PocketTeacher(many[:60], s).reply(_teach(p))) for p in many[:60]] for s in (0, 1)
    ]
    assert faulty[0] != faulty[1]


def test_a_ladder_worded_anew_draws_the_same_faults(many: list[PocketProblem]) -> None:
    """The demo's figures hang on which lessons are faulty, and not on how they are asked for."""
    teacher = PocketTeacher(many)
    faulty = 0
    for spec in LADDER:
        other = dataclasses.replace(spec, instruction="Write it as one would on a blackboard.")
        for found in many[:60]:
            asked = Problem(found.key, found.text, TextGold(found.answer), "integer", "pocket", {})
            messages = [
                condense_messages(asked, s, render(found, "R0"), of_words=90) for s in (spec, other)
            ]
            one, two = (
                teacher.reply(
                    ChatRequest(
                        CONDENSER,
                        tuple({"role": m.role, "content": m.content} for m in chat),
                        None,
                        0.0,
                        None,
                    )
                )
                for chat in messages
            )
            faulty += one.text != render(found, spec.level.value)
            assert one.text == two.text
    assert faulty > 5  # of 360, four in a hundred


def test_no_lesson_of_the_pocket_world_begins_as_its_instruction(many: list[PocketProblem]) -> None:
    texts = [(p.text, render(p, level)) for p in many[:100] for level in LEVELS]
    assert [begins_as(text, asked, INSTRUCTIONS) for asked, text in texts] == [""] * 700


def test_reasoning_is_longer_than_r1(teacher: PocketTeacher, many: list[PocketProblem]) -> None:
    for problem in many[:200]:
        reply = teacher.reply(_teach(problem))
        if reply.finish is Finish.STOP:
            assert len(reply.reasoning.split()) > len(render(problem, "R1").split())
            assert reply.tokens_out > 0
            assert reply.tokens_in > 0


def test_token_limit_cuts(teacher: PocketTeacher, many: list[PocketProblem]) -> None:
    reply = teacher.reply(_ask(TEACHER, many[0].text, limit=20))
    assert reply.finish is Finish.LENGTH
    assert reply.text == ""
    assert reply.tokens_out <= 20


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest("gpt-4", ({"role": "user", "content": "What is 1 + 1?"},)),
        ChatRequest(TEACHER, ({"role": "user", "content": "What is 1 + 1?"},)),
        ChatRequest(TEACHER, ({"role": "system", "content": "Be brief."},)),
        ChatRequest(VERIFIER, ({"role": "user", "content": "<problem>What?</problem>"},)),
        ChatRequest(CONDENSER, ({"role": "user", "content": "Level: R1"},)),
    ],
)
def test_unknown_questions_are_refused(teacher: PocketTeacher, request_: ChatRequest) -> None:
    with pytest.raises(UnknownQuestion):
        teacher.reply(request_)


def test_condenser_needs_a_level(teacher: PocketTeacher, many: list[PocketProblem]) -> None:
    content = _condense(many[0], "R2").messages[0]["content"].replace("Level: R2", "Level: R9")
    with pytest.raises(UnknownQuestion, match="Level"):
        teacher.reply(_ask(CONDENSER, content))
