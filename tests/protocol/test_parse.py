"""One parser reads every reply, and says of what is none why."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.chat import Completion
from potstill.protocol.parse import NO_FINISH, NotAReply, completion_bytes, parse_completion
from potstill.protocol.stream import Assembly
from potstill.records import Finish


def reply(message: object, finish: object = "stop", **more: object) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"choices": [choice]} | more).encode()


@given(st.text().filter(lambda t: ">" not in t))
def test_what_was_kept_is_what_is_read(text: str) -> None:
    parsed = parse_completion(completion_bytes("m", Completion(text, "why", Finish.LENGTH, 3, 4)))
    assert (parsed.text, parsed.reasoning, parsed.finish) == (text, "why", Finish.LENGTH)
    assert (parsed.tokens_in, parsed.tokens_out, parsed.counted) == (3, 4, True)


@pytest.mark.parametrize(
    ("message", "reasoning", "text"),
    [
        ({"content": "4", "reasoning_content": "2+2"}, "2+2", "4"),
        ({"content": "4", "reasoning": "2+2"}, "2+2", "4"),
        ({"content": "<think>2+2</think>\n\n4"}, "2+2", "4"),
        ({"content": "\n<think>\n2+2\n</think>4"}, "2+2", "4"),
        ({"content": "2+2</think>4"}, "2+2", "4"),
        ({"content": "<think>2+2 and so"}, "2+2 and so", ""),
        ({"content": None, "reasoning_content": "2+2"}, "2+2", ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "", "ab"),
        ({"content": None, "refusal": "I will not"}, "", ""),
        # marks that a server left in the content beside the reasoning reach no lesson
        ({"content": "a </think> b", "reasoning_content": "r"}, "r", "b"),
        ({"content": "<think>2+2</think>4", "reasoning_content": "2+2"}, "2+2", "4"),
        ({"content": "<thinking>2+2</thinking>4"}, "2+2", "4"),
        ({"content": "<seed:think>2+2</seed:think>4"}, "2+2", "4"),
        ({"content": "2+2</think>\n</think>4"}, "2+2", "4"),
        (
            {"content": [{"type": "thinking", "thinking": "2+2"}, {"type": "text", "text": "4"}]},
            "2+2",
            "4",
        ),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]},
                    {"type": "text", "text": "4"},
                ]
            },
            "2+2",
            "4",
        ),
        (
            {"content": "4", "reasoning_details": [{"type": "reasoning.text", "text": "2+2"}]},
            "2+2",
            "4",
        ),
    ],
)
def test_reasoning_is_found_wherever_it_stands(message: object, reasoning: str, text: str) -> None:
    parsed = parse_completion(reply(message))
    assert (parsed.reasoning, parsed.text) == (reasoning, text)


@pytest.mark.parametrize(
    ("finish", "meant"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.FILTERED),
        ("tool_calls", Finish.STOP),
        ("eos", Finish.STOP),
    ],
)
def test_the_ending_is_kept(finish: str, meant: Finish) -> None:
    assert parse_completion(reply({"content": "x"}, finish)).finish is meant


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "nothing"),
        (b"<html>", "HTML"),
        (b'{"choices": [{"mess', "cut or broken"),
        (b"[1]", "no object"),
        (b"\xff\xfe", "cut or broken"),
        (b"[" * 100_000, "cut or broken"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": null, "error": {"message": "busy"}}', "busy"),
        (b'{"choices": [7]}', "no object"),
        (b'{"choices": [{"finish_reason": "stop"}]}', "without a message"),
        (reply({"content": ""}, None), "no finish_reason"),
        (reply({"content": "x"}, "insufficient_system_resource"), "insufficient"),
    ],
)
def test_what_is_no_reply_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(NotAReply, match=why):
        parse_completion(raw)


def test_tokens_are_read_as_each_provider_writes_them() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    parsed = parse_completion(reply({"content": "x"}, usage=usage))
    assert (parsed.tokens_cached, parsed.reasoning_tokens) == (64, 40)
    deepseek = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}
    assert parse_completion(reply({"content": "x"}, usage=deepseek)).tokens_cached == 8
    assert not parse_completion(reply({"content": "x"}, usage=None)).counted


EVENTS = (
    b': hello\n\ndata: {"id":"i","model":"m","choices":[{"delta":{"role":"assistant"}}]}\r\n\r\n'
    b'data:{"choices":[{"delta":{"reasoning":"ha"}}]}\n\n'
    b'data: {"choices":[{"delta":{"reasoning":"ha"}}]}\n\n'
    b'event: x\ndata: {"choices":[{"delta":{"content":"\xc2\xbd"}}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"late"},"finish_reason":"length"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(0, len(EVENTS)), max_size=30))
def test_a_stream_reads_the_same_however_it_is_cut(cuts: list[int]) -> None:
    places = sorted({0, len(EVENTS), *cuts})
    assembly = Assembly()
    for start, end in pairwise(places):
        assembly.feed(EVENTS[start:end])
    assert assembly.done
    parsed = parse_completion(assembly.raw())
    assert (parsed.reasoning, parsed.text, parsed.finish) == ("haha", "½late", Finish.LENGTH)
    assert (parsed.tokens_in, parsed.tokens_out) == (1, 2)


@pytest.mark.parametrize("end", [0, 100, 200])
def test_a_stream_that_is_cut_is_no_reply(end: int) -> None:
    assembly = Assembly()
    assembly.feed(EVENTS[:end].rpartition(b"\n")[0] + b"\n")
    with pytest.raises(NotAReply, match="ended before"):
        assembly.raw()


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("max_tokens", Finish.LENGTH),
        ("MAX_TOKENS", Finish.LENGTH),
        ("model_length", Finish.LENGTH),
        ("sensitive", Finish.FILTERED),
        ("content_filter", Finish.FILTERED),
        ("end_turn", Finish.STOP),
        ("a word of their own", Finish.STOP),
    ],
)
def test_providers_have_words_of_their_own_for_an_ending(word: str, meant: Finish) -> None:
    assert parse_completion(reply({"content": "4"}, word)).finish is meant


@pytest.mark.parametrize("word", ["network_error", "insufficient_system_resource", "error"])
def test_a_provider_that_gave_up_has_answered_nothing(word: str) -> None:
    with pytest.raises(NotAReply, match=word):
        parse_completion(reply({"content": "4"}, word))


def test_an_error_on_a_choice_is_an_error_whatever_its_finish_says() -> None:
    choice = {"message": {"content": ""}, "finish_reason": "stop", "error": {"message": "overload"}}
    with pytest.raises(NotAReply, match="overload"):
        parse_completion(json.dumps({"choices": [choice]}).encode())


def streamed(finishes: list[object], end: str = "\n", spread: bool = False) -> bytes:
    lines = []
    for number, finish in enumerate(finishes):
        choice = {"index": 0, "delta": {"content": f"{number} "}, "finish_reason": finish}
        chunk = json.dumps({"choices": [choice]}, indent=1 if spread else None)
        lines += [*(f"data: {line}" for line in chunk.split("\n")), ""]
    return end.join([*lines, "data: [DONE]", "", ""]).encode()


@pytest.mark.parametrize("every", ["", "null", "continue"])
def test_an_ending_in_every_chunk_is_none_before_the_last(every: str) -> None:
    assembly = Assembly()
    assembly.feed(streamed([every, every, "stop"]))
    parsed = parse_completion(assembly.raw())
    assert (parsed.text, parsed.finish) == ("0 1 2 ", Finish.STOP)


def test_a_stream_without_any_ending_is_whole_only_where_it_says_that_it_is_done() -> None:
    assembly = Assembly()
    assembly.feed(streamed(["", "", ""]))
    parsed = parse_completion(assembly.raw())
    assert (parsed.text, parsed.ended, parsed.notes[0]) == ("0 1 2 ", False, NO_FINISH)
    cut = Assembly()
    cut.feed(streamed(["", "", ""]).removesuffix(b"data: [DONE]\n\n"))
    with pytest.raises(NotAReply, match="before its finish_reason"):
        cut.raw()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_lines_of_an_event_end_in_any_way_and_may_be_several(
    end: str, spread: bool, size: int
) -> None:
    body, assembly = streamed([None, None, "stop"], end, spread), Assembly()
    for at in range(0, len(body), size):
        assembly.feed(body[at : at + size])
    assert parse_completion(assembly.raw()).text == "0 1 2 "
    assert assembly.done
