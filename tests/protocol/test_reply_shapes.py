"""Replies as providers were reported to send them, over real HTTP, each with what it is.

The server gives each question its shape at the first try and a good reply after it, so that the
number of tries tells whether a reply was kept or bought again.
"""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from potstill.chat import Ask, Completion, Message
from potstill.errors import EndpointError
from potstill.ledger.ledger import Ledger
from potstill.records import Finish, Sampling
from potstill.solvers.api import ApiSolver, Options
from support.fault_server import FaultServer, http, running

STOP, LENGTH, FILTERED = Finish.STOP, Finish.LENGTH, Finish.FILTERED
USAGE = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
LIMIT = 500  # the tokens that each ask allows
AGAIN = "asked again"

TWICE = ("We ", "add ", "2 ", "and ", "2 ", "to ", "get ", "4. ")


def js(body: object, status: int = 200, headers: str = "") -> bytes:
    """Write an answer of JSON."""
    return http(status, "application/json", json.dumps(body).encode(), headers)


def body_of(message: object, finish: object = "stop", **more: object) -> dict[str, Any]:
    """Write a chat.completion, with more beside its choices."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": USAGE} | more


def whole(message: object, finish: object = "stop", **more: object) -> bytes:
    """Write an answer that is a chat.completion."""
    return js(body_of(message, finish, **more))


def said(content: object, **beside: object) -> bytes:
    """Write an answer that stops after that content."""
    return whole({"role": "assistant", "content": content} | beside)


def chunk(delta: object, finish: object = None, **more: object) -> dict[str, Any]:
    """Write one chunk of a stream, with more on its choice."""
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish} | more]}


def events(
    *chunks: object, end: str = "data: [DONE]\n\n", kind: str = "text/event-stream"
) -> bytes:
    """Write a stream of chunks; a string is a line as it stands."""
    lines = [c if isinstance(c, str) else f"data: {json.dumps(c)}\n\n" for c in chunks]
    return http(200, kind, ("".join(lines) + end).encode())


def texts(*pieces: str, finish: object = None) -> list[dict[str, Any]]:
    """Write chunks of text, each with that finish_reason."""
    return [chunk({"content": piece}, finish) for piece in pieces]


COUNTS = {"id": "x", "choices": [], "usage": USAGE}
THINKS = "<|channel|>analysis<|message|>2+2<|end|>"
FINAL = "<|start|>assistant<|channel|>final<|message|>4<|return|>"
LATER = email.utils.formatdate(time.time() - 5, usegmt=True)

# name: the answer, then (reasoning, text, finish), all of them kept at the first try
KEPT: dict[str, tuple[bytes, tuple[str, str, Finish]]] = {
    # how it ended
    "a finish of '' in every chunk": (events(*texts("a", "b", "c", finish="")), ("", "abc", STOP)),
    "'' in every chunk, then stop": (
        events(*texts("a", "b", finish=""), chunk({}, "stop"), end=""),
        ("", "ab", STOP),
    ),
    "stop in every chunk": (events(*texts("a", "b", "c", finish="stop")), ("", "abc", STOP)),
    "stop in every chunk, a cut at last": (
        events(*texts("a", "b", finish="stop"), chunk({}, "length")),
        ("", "ab", LENGTH),
    ),
    "the word null in every chunk": (
        events(*texts("a", "b", finish="null"), chunk({}, "stop")),
        ("", "ab", STOP),
    ),
    "a word of its own in every chunk": (
        events(*texts("a", "b", finish="generating"), chunk({}, "length")),
        ("", "ab", LENGTH),
    ),
    "an unknown word at the end": (whole({"content": "4"}, "novel_word"), ("", "4", STOP)),
    "max_tokens": (whole({"content": "4"}, "max_tokens"), ("", "4", LENGTH)),
    "MAX_TOKENS": (whole({"content": "4"}, "MAX_TOKENS"), ("", "4", LENGTH)),
    "model_length": (whole({"content": "4"}, "model_length"), ("", "4", LENGTH)),
    "the context is full": (
        whole({"content": "4"}, "model_context_window_exceeded"),
        ("", "4", LENGTH),
    ),
    "a finish that is an object": (
        whole({"content": "4"}, {"type": "length", "length": 500}),
        ("", "4", LENGTH),
    ),
    "FinishReason.STOP": (whole({"content": "4"}, "FinishReason.STOP"), ("", "4", STOP)),
    "a native finish alone": (
        js({"choices": [{"message": {"content": "4"}, "native_finish_reason": "MAX_TOKENS"}]}),
        ("", "4", LENGTH),
    ),
    "'' in a whole reply": (whole({"content": "4"}, ""), ("", "4", STOP)),
    "eos": (whole({"content": "4"}, "eos"), ("", "4", STOP)),
    "COMPLETE": (whole({"content": "4"}, "COMPLETE"), ("", "4", STOP)),
    "sensitive": (whole({"content": ""}, "sensitive"), ("", "", FILTERED)),
    "content_filter": (whole({"content": "half"}, "content_filter"), ("", "half", FILTERED)),
    "SAFETY": (whole({"content": None}, "SAFETY"), ("", "", FILTERED)),
    "PROHIBITED_CONTENT": (whole({"content": ""}, "PROHIBITED_CONTENT"), ("", "", FILTERED)),
    "broken off without a word": (
        events(*texts("To determine how", " many")),
        ("", "To determine how many", LENGTH),
    ),
    "whole without a word": (
        events(*texts("It takes ", "4 days.")),
        ("", "It takes 4 days.", STOP),
    ),
    "a whole reply with a null finish": (whole({"content": "4"}, None), ("", "4", STOP)),
    "a whole reply without a finish": (
        js({"choices": [{"message": {"content": "4"}}], "usage": USAGE}),
        ("", "4", STOP),
    ),
    "a null finish at the limit of tokens": (
        whole({"content": "4"}, None, usage=USAGE | {"completion_tokens": LIMIT}),
        ("", "4", LENGTH),
    ),
    "a stream that ends with its counts alone": (
        events(*texts("a", "b"), COUNTS, end=""),
        ("", "ab", STOP),
    ),
    "[DONE] is missing": (events(*texts("a"), chunk({}, "stop"), end=""), ("", "a", STOP)),
    "text behind the finish": (
        events(chunk({"content": "a"}, "stop"), *texts("b")),
        ("", "ab", STOP),
    ),
    "token_limit": (whole({"content": "4"}, "token_limit"), ("", "4", LENGTH)),
    "max_new_tokens": (whole({"content": "4"}, "max_new_tokens"), ("", "4", LENGTH)),
    "incomplete": (whole({"content": "4"}, "incomplete"), ("", "4", LENGTH)),
    "maxTokensReached": (whole({"content": "4"}, "maxTokensReached"), ("", "4", LENGTH)),
    "truncated by a window": (whole({"content": "4"}, "window_truncation"), ("", "4", LENGTH)),
    "no_error": (whole({"content": "4"}, "no_error"), ("", "4", STOP)),
    "eos_token_found": (whole({"content": "4"}, "eos_token_found"), ("", "4", STOP)),
    "content-filter": (whole({"content": "half"}, "content-filter"), ("", "half", FILTERED)),
    "moderation blocked": (whole({"content": ""}, "Moderation Blocked"), ("", "", FILTERED)),
    "finishReason": (
        js({"choices": [{"message": {"content": "4"}, "finishReason": "MAX_TOKENS"}]}),
        ("", "4", LENGTH),
    ),
    "an unknown word beside a limit": (
        events(*texts("a", "b"), chunk({}, "novel_word"), chunk({}, "output_limit")),
        ("", "ab", LENGTH),
    ),
    # which choice
    "an index of null at first": (
        events(
            chunk({"role": "assistant"}, index=None),
            *texts("a", "b"),
            chunk({}, "stop", index=None),
        ),
        ("", "ab", STOP),
    ),
    "an index of 1, but null at first and at last": (
        events(
            chunk({"content": "a"}, index=None),
            chunk({"content": "b"}, index=1),
            chunk({"content": "c"}, "stop", index=None),
        ),
        ("", "abc", STOP),
    ),
    "an index that is a text": (
        events(chunk({"content": "a"}, index="0"), *texts("b"), chunk({}, "stop", index="0")),
        ("", "ab", STOP),
    ),
    "choices out of order": (
        js(
            {
                "choices": [
                    {"index": 1, "message": {"content": "5"}, "finish_reason": "length"},
                    {"index": 0, "message": {"content": "4"}, "finish_reason": "stop"},
                ]
            }
        ),
        ("", "4", STOP),
    ),
    "choices out of order in a stream": (
        events(
            chunk({"content": "5"}, index=1),
            chunk({"content": "4"}),
            chunk({"content": "6"}, "length", index=1),
            chunk({"content": "2"}, "stop"),
        ),
        ("", "42", STOP),
    ),
    "two choices in a chunk": (
        events(
            {
                "choices": [
                    {"index": 1, "delta": {"content": "5"}, "finish_reason": "length"},
                    {"index": 0, "delta": {"content": "4"}, "finish_reason": "stop"},
                ]
            }
        ),
        ("", "4", STOP),
    ),
    "one id and equal pieces": (
        events(
            *(f"id: 1\ndata: {json.dumps(c)}\n\n" for c in texts("ha", "ha")),
            f"id: 1\ndata: {json.dumps(chunk({}, 'stop'))}\n\n",
        ),
        ("", "haha", STOP),
    ),
    "every piece twice, without an id": (
        events(
            *(x for word in TWICE for x in texts(word) * 2),
            chunk({}, "stop"),
        ),
        ("", "We add 2 and 2 to get 4. ", STOP),
    ),
    "few pieces twice": (
        events(*texts("ha", "ha", "ho", "ho"), chunk({}, "stop")),
        ("", "hahahoho", STOP),
    ),
    "every event twice, with an id of its own": (
        events(
            *(
                f"id: {at}\ndata: {json.dumps(c)}\n\n" * 2
                for at, c in enumerate([*texts("ha", "ha"), chunk({}, "stop")])
            ),
        ),
        ("", "haha", STOP),
    ),
    "all events again": (
        events(
            *[
                f"id: {at}\ndata: {json.dumps(c)}\n\n"
                for at, c in enumerate([*texts("ha", "ha"), chunk({}, "stop")])
            ]
            * 2,
        ),
        ("", "haha", STOP),
    ),
    # where the reasoning stands
    **{
        f"reasoning in {name}": (said("4", **{name: "2+2"}), ("2+2", "4", STOP))
        for name in ("thought", "thoughts", "reasoning_text", "thinking_content", "thinking")
    },
    "pieces of thoughts": (
        events(
            chunk({"thoughts": "2+"}), chunk({"thoughts": "2"}), chunk({"content": "4"}, "stop")
        ),
        ("2+2", "4", STOP),
    ),
    "reasoning with a summary": (said("4", reasoning={"summary": "2+2"}), ("2+2", "4", STOP)),
    "reasoning with parts of a summary": (
        said("4", reasoning={"summary": [{"type": "summary_text", "text": "2+2"}]}),
        ("2+2", "4", STOP),
    ),
    "reasoning on the choice": (
        js(
            {
                "choices": [
                    {
                        "message": {"content": "4"},
                        "reasoning_content": "2+2",
                        "finish_reason": "stop",
                    }
                ],
                "usage": USAGE,
            }
        ),
        ("2+2", "4", STOP),
    ),
    "reasoning on a chunk's choice": (
        events(
            chunk({}, reasoning="2+"),
            chunk({"role": "assistant"}, reasoning="2"),
            chunk({"content": "4"}, "stop"),
        ),
        ("2+2", "4", STOP),
    ),
    "a part marked as a thought": (
        said([{"text": "2+2", "thought": True}, {"text": "4"}]),
        ("2+2", "4", STOP),
    ),
    "a delta marked as a thought": (
        events(chunk({"content": "2+2", "thought": True}), chunk({"content": "4"}, "stop")),
        ("2+2", "4", STOP),
    ),
    "content that is a number": (said(4), ("", "4", STOP)),
    "pieces that are numbers": (
        events(chunk({"content": 4}), chunk({"content": 0}, "stop")),
        ("", "40", STOP),
    ),
    "content that is nought": (said(0), ("", "0", STOP)),
    "content that is an object of its own": (said({"answer": 4}), ("", '{"answer": 4}', STOP)),
    "content that is a list of numbers": (said([1, 2.5]), ("", "[1, 2.5]", STOP)),
    "a thought on its own, then a text": (
        events(
            chunk({"content": {"type": "thinking", "thinking": "2+2"}}),
            chunk({"content": {"type": "text", "text": "4"}}, "stop"),
        ),
        ("2+2", "4", STOP),
    ),
    "parts in an object": (said({"parts": [{"text": "4"}]}), ("", "4", STOP)),
    "an image": (said({"type": "image_url", "image_url": {"url": "x"}}), ("", "", STOP)),
    "reasoning_content": (said("4", reasoning_content="2+2"), ("2+2", "4", STOP)),
    "reasoning": (said("4", reasoning="2+2"), ("2+2", "4", STOP)),
    "reasoning and reasoning_content": (
        said("4", reasoning="2+2", reasoning_content="2+2"),
        ("2+2", "4", STOP),
    ),
    "reasoning in an object": (said("4", reasoning={"content": "2+2"}), ("2+2", "4", STOP)),
    "reasoning_details": (
        said("4", reasoning_details=[{"type": "reasoning.text", "text": "2+2"}]),
        ("2+2", "4", STOP),
    ),
    "reasoning beside its details": (
        said("4", reasoning="2+2", reasoning_details=[{"type": "reasoning.text", "text": "2+2"}]),
        ("2+2", "4", STOP),
    ),
    "a summary and what is encrypted": (
        said(
            "4",
            reasoning_details=[
                {"type": "reasoning.summary", "summary": "2+2"},
                {"type": "reasoning.encrypted", "data": "c2VjcmV0"},
            ],
        ),
        ("2+2", "4", STOP),
    ),
    "thinking_blocks of a proxy": (
        said("4", thinking_blocks=[{"type": "thinking", "thinking": "2+2", "signature": "s"}]),
        ("2+2", "4", STOP),
    ),
    "provider_specific_fields of a proxy": (
        said("4", provider_specific_fields={"reasoning_content": "2+2"}),
        ("2+2", "4", STOP),
    ),
    "a thinking part": (
        said([{"type": "thinking", "thinking": "2+2"}, {"type": "text", "text": "4"}]),
        ("2+2", "4", STOP),
    ),
    "a thinking part with a list": (
        said(
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]},
                {"type": "text", "text": "4"},
            ]
        ),
        ("2+2", "4", STOP),
    ),
    "thinking parts in a stream": (
        events(
            chunk(
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2+"}]}]}
            ),
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2"}]}]}),
            chunk({"content": "4"}, "stop"),
        ),
        ("2+2", "4", STOP),
    ),
    "details in a stream": (
        events(
            chunk({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "2+"}]}),
            chunk({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "2"}]}),
            chunk({"content": "4"}, "stop"),
        ),
        ("2+2", "4", STOP),
    ),
    "content marked as a thought": (
        events(
            chunk({"content": "2+2", "extra_content": {"google": {"thought": True}}}),
            chunk({"content": "4"}, "stop"),
        ),
        ("2+2", "4", STOP),
    ),
    "a thought's tags marked as one": (
        events(
            chunk({"content": "<thought>2+2", "extra_content": {"google": {"thought": True}}}),
            chunk({"content": "</thought>4"}, "stop"),
        ),
        ("2+2", "4", STOP),
    ),
    "content that is an object": (said({"type": "text", "text": "4"}), ("", "4", STOP)),
    "parts of text": (
        said([{"type": "text", "text": "a"}, {"type": "output_text", "text": {"value": "b"}}, "c"]),
        ("", "abc", STOP),
    ),
    # marks of reasoning
    "<think>": (said("<think>2+2</think>\n\n4"), ("2+2", "4", STOP)),
    "<thinking>": (said("<thinking>2+2</thinking>4"), ("2+2", "4", STOP)),
    "<thought>": (said("<thought>2+2</thought>4"), ("2+2", "4", STOP)),
    "<seed:think>": (said("<seed:think>2+2</seed:think>4"), ("2+2", "4", STOP)),
    "<seed:think> with its budget": (
        said(
            "<seed:think>2<seed:cot_budget_reflect>I have used 5 tokens.</seed:cot_budget_reflect>"
            "+2</seed:think>4"
        ),
        ("2+2", "4", STOP),
    ),
    "<longcat_think>": (said("<longcat_think>2+2</longcat_think>4"), ("2+2", "4", STOP)),
    "[THINK]": (said("[THINK]2+2[/THINK]4"), ("2+2", "4", STOP)),
    "◁think▷": (said("◁think▷2+2◁/think▷4"), ("2+2", "4", STOP)),
    "begin_of_thought": (
        said(
            "<|begin_of_thought|>2+2<|end_of_thought|>\n\n<|begin_of_solution|>4<|end_of_solution|>"
        ),
        ("2+2", "4", STOP),
    ),
    "START_THINKING": (
        said("<|START_THINKING|>2+2<|END_THINKING|><|START_RESPONSE|>4<|END_RESPONSE|>"),
        ("2+2", "4", STOP),
    ),
    "a thought's channel": (said("<|channel>thought\n2+2<channel|>4"), ("2+2", "4", STOP)),
    "</think> unopened": (said("2+2\n</think>\n\n4"), ("2+2", "4", STOP)),
    "</think> doubled": (said("2+2</think>\n</think>4"), ("2+2", "4", STOP)),
    "</think> behind the answer too": (said("<think>2+2</think>4</think>"), ("2+2", "4", STOP)),
    "<think> doubled": (said("<think>\n<think>2+2</think>4"), ("2+2", "4", STOP)),
    "<think> never closed": (
        whole({"content": "<think>2+2 and so"}, "length"),
        ("2+2 and so", "", LENGTH),
    ),
    "<think></think> empty": (said("<think>\n\n</think>\n\n4"), ("", "4", STOP)),
    "</think> cut between chunks": (
        events(*texts("<th", "ink>2+2</", "think", ">4"), chunk({}, "stop")),
        ("2+2", "4", STOP),
    ),
    "an answer's tag behind the thought": (
        said("<think>2+2</think>\n<answer>4</answer>"),
        ("2+2", "4", STOP),
    ),
    "a box of marks": (said("It is <|begin_of_box|>4<|end_of_box|>."), ("", "It is 4.", STOP)),
    "an end token": (said("4<|im_end|>"), ("", "4", STOP)),
    "an end of sentence": (said("4<｜end▁of▁sentence｜>"), ("", "4", STOP)),
    "a turn's head": (said("<|im_start|>assistant\n4<|im_end|>\n"), ("", "4", STOP)),
    "a turn's head, its tokens skipped": (said("assistant\n\n4"), ("", "4", STOP)),
    "harmony": (said(THINKS + FINAL), ("2+2", "4", STOP)),
    "harmony without a final head": (said(THINKS + "4"), ("2+2", "4", STOP)),
    "harmony with its tokens skipped": (said("analysis2+2assistantfinal4"), ("2+2", "4", STOP)),
    "harmony with a comment": (
        said(
            "<|channel|>analysis<|message|>2+2<|end|><|start|>assistant<|channel|>commentary"
            "<|message|>Now I add.<|end|>" + FINAL
        ),
        ("2+2\n\nNow I add.", "4", STOP),
    ),
    "harmony cut in its analysis": (
        whole({"content": "<|channel|>analysis<|message|>2+2 and"}, "length"),
        ("2+2 and", "", LENGTH),
    ),
    "harmony's final beside reasoning": (
        said("<|channel|>final<|message|>4", reasoning="2+2"),
        ("2+2", "4", STOP),
    ),
    "</think> in prose": (
        said("The tag `</think>` ends a thought. It is 4."),
        ("", "The tag `</think>` ends a thought. It is 4.", STOP),
    ),
    "<think> and </think> in prose": (
        said("A <think> tag is closed by the </think> tag; so 4."),
        ("", "A <think> tag is closed by the </think> tag; so 4.", STOP),
    ),
    "</think> in prose behind a thought": (
        said('<think>2+2</think>It ends with "</think>": 4.'),
        ("2+2", 'It ends with "</think>": 4.', STOP),
    ),
    # said twice
    "an answer that goes on where the reasoning ends": (
        said(
            "We add two and two, so that the sum is exactly 4.5",
            reasoning_content="We add two and two, so that the sum is exactly 4",
        ),
        (
            "We add two and two, so that the sum is exactly 4",
            "We add two and two, so that the sum is exactly 4.5",
            STOP,
        ),
    ),
    "an answer that is all the reasoning": (
        said("5\n\nas asked", reasoning_content="5"),
        ("5", "5\n\nas asked", STOP),
    ),
    "marked in content beside reasoning_content": (
        said("<think>2+2</think>4", reasoning_content="2+2"),
        ("2+2", "4", STOP),
    ),
    "bare in content beside reasoning_content": (
        said("We add 2 and 2.\n\nSo 4.", reasoning_content="We add 2 and 2."),
        ("We add 2 and 2.", "So 4.", STOP),
    ),
    "the answer in both": (said("It is 4.", reasoning_content="It is 4."), ("", "It is 4.", STOP)),
    "marks in reasoning_content": (
        said("4", reasoning_content="<think>\n2+2\n</think>"),
        ("2+2", "4", STOP),
    ),
    "all of it in reasoning_content": (
        said("", reasoning_content="2+2</think>4"),
        ("2+2", "4", STOP),
    ),
    # no text
    "content is null": (said(None, reasoning_content="2+2"), ("2+2", "", STOP)),
    "content is missing": (whole({"role": "assistant"}), ("", "", STOP)),
    "a refusal": (said(None, refusal="I will not"), ("", "", FILTERED)),
    "a refusal in a stream": (
        events(chunk({"refusal": "I will "}), chunk({"refusal": "not"}), chunk({}, "stop")),
        ("", "", FILTERED),
    ),
    "a part that refuses": (
        said([{"type": "refusal", "refusal": "I will not"}]),
        ("", "", FILTERED),
    ),
    "a part that refuses, filtered": (
        whole({"content": [{"type": "refusal", "refusal": "I will not"}]}, "content_filter"),
        ("", "", FILTERED),
    ),
    "a part that refuses beside an answer": (
        said([{"type": "text", "text": "4"}, {"type": "refusal", "text": "No"}]),
        ("", "4", STOP),
    ),
    "tool calls that nobody asked for": (
        whole({"content": None, "tool_calls": [{"id": "c"}]}, "tool_calls"),
        ("", "", STOP),
    ),
    # what is round it
    **{
        f"nothing in the place of an error, {at}": (
            js(body_of({"content": "4"}) | beside),
            ("", "4", STOP),
        )
        for at, beside in enumerate(
            [
                {"error": None},
                {"error": ""},
                {"error": {}},
                {"error": {"code": 0, "message": "", "type": None}},
                {"error": {"code": "0", "message": "Success."}},
                {"errors": [], "success": True},
                {"errors": [None]},
                {"detail": "served from the cache"},
                {"detail": [], "code": 0, "message": "ok"},
            ]
        )
    },
    **{f"a status of {n}": (js(body_of({"content": "4"}), n), ("", "4", STOP)) for n in (201, 202)},
    "a NUL behind the JSON": (
        http(200, "application/json", json.dumps(body_of({"content": "4"})).encode() + b"\0\n\0"),
        ("", "4", STOP),
    ),
    **{
        f"{kind} called {code}": (
            http(
                200,
                f"{kind}",
                (
                    body
                    if kind == "text/event-stream"
                    else json.dumps(body_of({"content": "½"}), ensure_ascii=False)
                ).encode(code),
            ),
            ("", "½", STOP),
        )
        for code in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")
        for kind in ("application/json", "text/event-stream")
        for body in [f"data: {json.dumps(chunk({'content': '½'}, 'stop'))}\n\n"]
    },
    "JSON in a JSON string": (js(json.dumps(body_of({"content": "4"}))), ("", "4", STOP)),
    "an array of one": (js([body_of({"content": "4"})]), ("", "4", STOP)),
    "JSON Lines": (
        http(
            200,
            "application/x-ndjson",
            "\n".join(map(json.dumps, [*texts("a", "b"), chunk({}, "stop"), COUNTS])).encode(),
        ),
        ("", "ab", STOP),
    ),
    "JSON and [DONE]": (
        http(
            200,
            "text/event-stream",
            json.dumps(body_of({"content": "4"})).encode() + b"\n\ndata: [DONE]\n\n",
        ),
        ("", "4", STOP),
    ),
    "Workers AI": (
        js({"result": {"response": "4", "usage": USAGE}, "success": True, "errors": []}),
        ("", "4", STOP),
    ),
    "choices of Workers AI": (
        js({"result": body_of({"content": "4"}), "success": True, "errors": [], "messages": []}),
        ("", "4", STOP),
    ),
    "Workers AI in a stream": (
        events(
            {"response": "4", "p": "ab"},
            {"response": "2", "p": "a"},
            {"response": "", "usage": USAGE},
        ),
        ("", "42", STOP),
    ),
    "an envelope in an envelope": (
        js({"code": 200, "data": {"response": body_of({"content": "4"})}, "message": "success"}),
        ("", "4", STOP),
    ),
    "an envelope that holds a text": (
        js({"statusCode": 200, "body": json.dumps(body_of({"content": "4"}))}),
        ("", "4", STOP),
    ),
    "Ollama": (
        js(
            {
                "model": "m",
                "message": {"role": "assistant", "content": "4", "thinking": "2+2"},
                "done": True,
                "done_reason": "length",
                "prompt_eval_count": 9,
                "eval_count": 7,
            }
        ),
        ("2+2", "4", LENGTH),
    ),
    "Ollama's generate": (
        js({"response": "4", "thinking": "2+2", "done": True, "done_reason": "stop"}),
        ("2+2", "4", STOP),
    ),
    "Ollama in lines": (
        http(
            200,
            "application/x-ndjson",
            b'{"message":{"role":"assistant","content":"","thinking":"2+2"},"done":false}\n'
            b'{"message":{"role":"assistant","content":"1"},"done":false}\n'
            b'{"message":{"role":"assistant","content":"1"},"done":false}\n'
            b'{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}\n',
        ),
        ("2+2", "11", STOP),
    ),
    "Anthropic": (
        js(
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "2+2"}, {"type": "text", "text": "4"}],
                "stop_reason": "max_tokens",
                "usage": {"input_tokens": 9, "output_tokens": 7},
            }
        ),
        ("2+2", "4", LENGTH),
    ),
    "comments to keep the line alive": (
        events(": OPENROUTER PROCESSING\n\n", *texts("a"), ": ping\n\n", chunk({}, "stop")),
        ("", "a", STOP),
    ),
    "blank lines before the JSON": (
        http(200, "application/json", b"\n\n\n" + json.dumps(body_of({"content": "4"})).encode()),
        ("", "4", STOP),
    ),
    "a BOM before the JSON": (
        http(
            200,
            "application/json",
            b"\xef\xbb\xbf" + json.dumps(body_of({"content": "4"})).encode(),
        ),
        ("", "4", STOP),
    ),
    "a BOM before the events": (
        events("\N{ZERO WIDTH NO-BREAK SPACE}", *texts("a", finish="stop")),
        ("", "a", STOP),
    ),
    "gzip": (
        http(
            200,
            "application/json",
            gzip.compress(json.dumps(body_of({"content": "4"})).encode()),
            "content-encoding: gzip\r\n",
        ),
        ("", "4", STOP),
    ),
    "gzip without a word of it": (
        http(
            200, "application/json", gzip.compress(json.dumps(body_of({"content": "4"})).encode())
        ),
        ("", "4", STOP),
    ),
    "JSON where a stream was asked": (
        http(200, "text/event-stream", json.dumps(body_of({"content": "4"})).encode()),
        ("", "4", STOP),
    ),
    "events called plain text": (
        events(*texts("a"), chunk({}, "stop"), kind="text/plain"),
        ("", "a", STOP),
    ),
    "events with CR": (
        http(
            200,
            "text/event-stream",
            b'data: {"choices":[{"delta":{"content":"a"}}]}\r\r'
            b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\r\rdata: [DONE]\r\r',
        ),
        ("", "a", STOP),
    ),
    "an event of several data lines": (
        events('data: {"choices":\ndata: [{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'),
        ("", "a", STOP),
    ),
    "one id for all events": (
        events(
            *(f"id: 1\ndata: {json.dumps(c)}\n\n" for c in texts("a", "b")),
            "id: 1\n",
            chunk({}, "stop"),
        ),
        ("", "ab", STOP),
    ),
    "a first chunk without choices": (
        events({"choices": [], "prompt_filter_results": []}, *texts("a", finish="stop")),
        ("", "a", STOP),
    ),
    "an index of 1": (
        events({"choices": [{"index": 1, "delta": {"content": "a"}, "finish_reason": "stop"}]}),
        ("", "a", STOP),
    ),
    "messages that grow": (
        events(
            chunk(None, message={"content": "a"}),
            chunk(None, message={"content": "ab"}),
            chunk(None, "stop", message={"content": "abc"}),
        ),
        ("", "abc", STOP),
    ),
    "all of it again in the last chunk": (
        events(*texts("a", "b"), chunk({}, "stop", message={"content": "ab"})),
        ("", "ab", STOP),
    ),
    "a whole reply as one event": (events(body_of({"content": "4"})), ("", "4", STOP)),
    "a reply in an envelope": (
        js({"success": True, "data": body_of({"content": "4"})}),
        ("", "4", STOP),
    ),
    "a character in two halves": (
        events(
            'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
            'data: {"choices":[{"delta":{"content":"\\ude00"},"finish_reason":"stop"}]}\n\n',
        ),
        ("", "\N{GRINNING FACE}", STOP),
    ),
    "half a character": (said("4\ud83d"), ("", "4\N{REPLACEMENT CHARACTER}", STOP)),
    "line breaks bare in a string": (
        http(
            200,
            "application/json",
            b'{"choices":[{"message":{"content":"a\nb"},"finish_reason":"stop"}]}',
        ),
        ("", "a\nb", STOP),
    ),
    "the older API's text": (
        js({"choices": [{"text": "4", "finish_reason": "stop"}], "usage": USAGE}),
        ("", "4", STOP),
    ),
    # a filter's answer is an answer
    "403 of a moderation": (
        js(
            {
                "error": {
                    "code": 403,
                    "message": "The model requires moderation",
                    "metadata": {"reasons": ["violence"], "flagged_input": "..."},
                }
            },
            403,
        ),
        ("", "", FILTERED),
    ),
    "400 of a content filter": (
        js(
            {
                "error": {
                    "message": "The response was filtered",
                    "code": "content_filter",
                    "innererror": {"code": "ResponsibleAIPolicyViolation"},
                }
            },
            400,
        ),
        ("", "", FILTERED),
    ),
    "400 of a data inspection": (
        js({"error": {"code": "data_inspection_failed", "message": "Input data"}}, 400),
        ("", "", FILTERED),
    ),
    "400 Content Exists Risk": (
        js({"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}, 400),
        ("", "", FILTERED),
    ),
    "an inspection in the midst of a stream": (
        events(
            *texts("a"),
            {"error": {"code": "data_inspection_failed", "message": "Output data"}},
            end="",
        ),
        ("", "", FILTERED),
    ),
    "200 with a status of its own": (
        js({"choices": None, "base_resp": {"status_code": 1027, "status_msg": "output sensitive"}}),
        ("", "", FILTERED),
    ),
}

# what is no answer and worth asking for again
ASKED_AGAIN: dict[str, bytes] = {
    "network_error": whole({"content": "half"}, "network_error"),
    "insufficient_system_resource": whole({"content": "half"}, "insufficient_system_resource"),
    "abort": whole({"content": "half"}, "abort"),
    "error as the finish": whole({"content": "half"}, "error"),
    "failed": whole({"content": "half"}, "failed"),
    "a word of a failure": whole({"content": "half"}, "upstream-disconnected"),
    "a limit of the rate": whole({"content": "half"}, "rate_limit"),
    "Ollama that is not done": js({"message": {"content": "half"}, "done": False}),
    "an envelope that failed": js({"result": None, "success": False, "errors": [{"code": 7}]}),
    "an envelope with an error": js(
        {"data": body_of({"content": "half"}), "error": {"message": "provider"}}
    ),
    "499": http(499, "text/plain", b"client closed request"),
    "429 with two waits": js({"error": {"message": "slow"}}, 429, "retry-after: 0.01, 0.01\r\n"),
    "network_error at the end of a stream": events(*texts("a"), chunk({}, "network_error")),
    "an error on a choice": js(
        {
            "choices": [
                {
                    "message": {"content": "half"},
                    "finish_reason": "stop",
                    "error": {"code": 502, "message": "provider"},
                }
            ]
        }
    ),
    "an error beside choices": whole({"content": "half"}, error={"message": "provider"}),
    "an error in a 200": js({"error": {"message": "overloaded"}}),
    "an error that is a word": js({"error": "overloaded"}),
    "an error in the midst of a stream": events(
        *texts("a"), {"error": {"code": 502, "message": "disconnected"}}, end=""
    ),
    "an error on a chunk's choice": events(
        *texts("a"), chunk({}, "stop", error={"message": "x"}), end=""
    ),
    "an event called error": events(
        *texts("a"), 'event: error\ndata: {"message": "overloaded"}\n\n', end=""
    ),
    "a line called error": events(*texts("a"), 'error: {"code": 500, "message": "x"}\n\n', end=""),
    "choices are empty": js({"id": "x", "choices": [], "usage": USAGE}),
    "choices are null": js({"id": "x", "choices": None}),
    "a stream that stops": events(*texts("a", "b"), end=""),
    "a stream with '' that stops": events(*texts("a", "b", finish=""), end=""),
    "a stream with counts in every chunk that stops": events(
        *(c | {"usage": USAGE} for c in texts("a", "b")), end=""
    ),
    "a stream of comments": events(": keep-alive\n\n", ": keep-alive\n\n", end=""),
    "nothing at all": http(200, "application/json", b""),
    "nothing and no finish": whole({"content": ""}, None),
    "HTML with a 200": http(200, "text/html", b"<!doctype html><title>Sign in</title>"),
    "HTML called events": http(200, "text/event-stream", b"<html>busy</html>"),
    "cut JSON": http(200, "application/json", b'{"choices":[{"message":{"content":"4'),
    "429 with seconds": js({"error": {"message": "slow"}}, 429, "retry-after: 0.01\r\n"),
    "429 with a date": js({"error": {"message": "slow"}}, 429, f"retry-after: {LATER}\r\n"),
    "429 with a unit": js({"error": {"message": "slow"}}, 429, "retry-after: 0.01s\r\n"),
    "429 with the wait in its sentence": js(
        {"error": {"message": "Please try again in 10ms."}}, 429
    ),
    "429 in a list": js([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], 429),
    "503 with seconds": http(503, "text/html", b"<h1>503</h1>", "retry-after: 0.01\r\n"),
    "529": js({"error": {"type": "overloaded_error", "message": "Overloaded"}}, 529),
    "524 of a proxy": http(524, "text/html", b"<html>timeout</html>"),
    "429 told in a 200": js({"error": {"code": 429, "message": "rate limited upstream"}}),
}

# what no other question would survive either
ENDS: dict[str, tuple[bytes, str]] = {
    "401": (js({"error": {"message": "no"}}, 401), r"refused the API key \(401\)"),
    "a key refused with a 400": (
        js([{"error": {"code": 400, "message": "API key not valid."}}], 400),
        r"refused the API key \(400\)",
    ),
    "a key refused in a 200": (
        js({"error": {"code": 401, "message": "No auth credentials found"}}),
        r"refused the API key \(401\)",
    ),
    "403 and nothing ever worked": (
        js({"error": {"message": "Forbidden"}}, 403),
        r"refused the API key \(403\).*Forbidden",
    ),
    "402": (js({"error": {"message": "Insufficient Balance"}}, 402), "asks for payment"),
    "a balance told as a 429": (
        js({"error": {"code": "1113", "message": "余额不足"}}, 429),
        "no quota left",
    ),
    "arrears told as a 400": (
        js({"error": {"code": "Arrearage", "message": "overdue"}}, 400),
        "no quota left",
    ),
    "a model that is gone, 400": (
        js({"error": {"message": "Model Not Exist"}}, 400),
        "Model Not Exist; check the model's name.*potstill doctor",
    ),
    "a model that is gone, 404": (
        js({"error": {"code": "model_not_found", "message": "no such model"}}, 404),
        "no such model; check the model's name",
    ),
}

# what the endpoint will not answer, though it may answer others
REFUSED: dict[str, tuple[bytes, str]] = {
    "a prompt too long": (
        js({"error": {"code": "context_length_exceeded", "message": "too long"}}, 400),
        "the endpoint refused the request (400): too long",
    ),
    "413": (
        http(413, "text/html", b"<html>large</html>"),
        "the endpoint refused the request (413): an HTML page",
    ),
    "422 of FastAPI": (
        js({"detail": [{"loc": ["body"], "msg": "bad field"}]}, 422),
        "the endpoint refused the request (422): bad field",
    ),
    "a limit by another name": (
        js({"error": {"message": "Use 'max_completion_tokens' instead."}}, 400),
        "the endpoint refused the request (400): Use 'max_completion_tokens' instead.; set "
        "limit_field: max_completion_tokens",
    ),
    **{
        f"a form of its own: {name}": (
            raw,
            f"the endpoint does not answer as a chat completion ({held}); set base_url to its "
            "OpenAI-compatible address, which usually ends in /v1",
        )
        for name, raw, held in [
            (
                "a text",
                js({"id": "x", "generated_text": "4"}),
                "no choices in the reply, which holds id, generated_text",
            ),
            (
                "Google's",
                js({"candidates": [{"content": {"parts": [{"text": "4"}]}}]}),
                "no choices in the reply, which holds candidates",
            ),
            (
                "events",
                events({"type": "message_start"}, {"type": "message_stop"}, end=""),
                "no choices in the reply, which holds type",
            ),
            ("a list", js([{"text": "4"}, {"text": "5"}]), "JSON that is no object"),
            ("choices of text", js({"choices": ["4"]}), "a choice that is no object"),
            (
                "success and no more",
                js({"message": "success", "answer": "4"}),
                "no choices in the reply, which holds message, answer",
            ),
        ]
    },
    "a temperature that it does not take": (
        js({"error": {"message": "Unsupported value: 'temperature' does not support 0"}}, 400),
        "the endpoint refused the request (400): Unsupported value: 'temperature' does not "
        "support 0; extra_body: {temperature: null} leaves temperature out",
    ),
}

SHAPES = (
    {name: raw for name, (raw, _) in KEPT.items()}
    | ASKED_AGAIN
    | {name: raw for name, (raw, _) in (*ENDS.items(), *REFUSED.items())}
)


class Shapes(FaultServer):
    """Answers a question that names a shape with it, once."""

    async def answer(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        question = asked["messages"][-1]["content"]
        self.tries[question] += 1
        shape, _, turn = question.partition(" #")
        first = self.tries[question] == 1 or turn == "always"
        raw = SHAPES.get(shape) if first else None
        if shape == "slow":
            await asyncio.sleep(0.5)
        writer.write(raw if raw is not None else said(AGAIN))
        await writer.drain()
        return True


@pytest.fixture(scope="module")
def server() -> Iterator[Shapes]:
    with running(Shapes()) as started:
        yield started


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def asked(server: Shapes, ledger: Ledger, *questions: str, **more: object) -> list[Completion]:
    """Ask one after the other, and tell what came."""
    plain = {"model": "m", "base_url": server.base_url, "api_key_env": "", "backoff_s": 0.005}
    solver = ApiSolver(Options(**(plain | {"retries": 3, "concurrency": 1} | more)), ledger)
    sampling = Sampling(0.0, 1.0, 7, LIMIT)
    asks = [Ask(q, (Message("user", q),), sampling) for q in questions]
    results = {result.tag: result for result in solver.complete(asks, "teach")}
    return [got for q in questions if (got := results[q]).asked]


@pytest.mark.parametrize("shape", KEPT)
def test_a_reply_is_read_right_and_bought_once(server: Shapes, ledger: Ledger, shape: str) -> None:
    server.tries.clear()
    for turn in range(2):  # the second is read from the ledger
        (got,) = asked(server, ledger, shape)
        assert (got.reasoning, got.text, got.finish) == KEPT[shape][1], turn
    assert server.tries[shape] == 1


@pytest.mark.parametrize("shape", ASKED_AGAIN)
def test_what_is_no_answer_is_asked_again(server: Shapes, ledger: Ledger, shape: str) -> None:
    server.tries.clear()
    (got,) = asked(server, ledger, shape)
    assert (got.reasoning, got.text, got.finish) == ("", AGAIN, STOP)
    assert server.tries[shape] == 2


@pytest.mark.parametrize("shape", ENDS)
def test_what_no_question_survives_is_told_at_once(
    server: Shapes, ledger: Ledger, shape: str
) -> None:
    server.tries.clear()
    with pytest.raises(EndpointError, match=ENDS[shape][1]) as raised:
        asked(server, ledger, shape)
    assert "\n" not in str(raised.value)
    assert server.tries[shape] == 1


@pytest.mark.parametrize("shape", REFUSED)
def test_what_is_refused_is_that_questions_error(
    server: Shapes, ledger: Ledger, shape: str
) -> None:
    server.tries.clear()
    good, got = asked(server, ledger, "good", shape)
    assert good.text == AGAIN
    assert (got.finish, got.error) == (Finish.ERROR, REFUSED[shape][1])
    assert server.tries[shape] == 1


def test_the_shapes_are_as_many_as_they_should_be() -> None:
    assert len(SHAPES) == len(KEPT) + len(ASKED_AGAIN) + len(ENDS) + len(REFUSED) >= 84


def test_a_403_is_one_prompts_where_others_were_answered(server: Shapes, ledger: Ledger) -> None:
    server.tries.clear()
    shape = "403 and nothing ever worked"
    questions = [f"{shape} #1", "good", f"{shape} #2", "better"]
    one, good, two, better = asked(server, ledger, *questions, concurrency=4)
    assert good.text == better.text == AGAIN
    for got in (one, two):
        assert got.error == "the endpoint refused the request (403): Forbidden"
        assert server.tries[got.tag] == 1
    # It was answered in this study: a 403 alone in a later run is the prompt's own, too.
    (got,) = asked(server, ledger, f"{shape} #3")
    assert got.finish is Finish.ERROR


def test_prompts_turned_away_at_once_wait_for_the_first_answer(
    server: Shapes, ledger: Ledger
) -> None:
    """Eight of them are back long before the answer that shows the key to be good."""
    server.tries.clear()
    refused = [f"403 and nothing ever worked #{n}" for n in range(8)]
    results = asked(server, ledger, "slow", *refused, concurrency=9)
    assert [got.finish for got in results] == [STOP] + [Finish.ERROR] * 8


def test_a_key_that_never_worked_is_blamed_after_few_tries(server: Shapes, ledger: Ledger) -> None:
    server.tries.clear()
    questions = [f"403 and nothing ever worked #{n}" for n in range(50)]
    with pytest.raises(EndpointError, match=r"refused the API key \(403\)"):
        asked(server, ledger, *questions)
    assert len(server.tries) <= 6


def test_a_filtered_prompt_costs_nothing_and_is_not_asked_again(
    server: Shapes, ledger: Ledger
) -> None:
    price = {"input": 1.0, "output": 2.0}
    server.tries.clear()
    for _ in range(2):
        (got,) = asked(server, ledger, "403 of a moderation", price=price)
        assert (got.finish, got.text) == (FILTERED, "")
        assert got.error == "the endpoint filtered the prompt (403): The model requires moderation"
    assert server.tries["403 of a moderation"] == 1
    (row,) = ledger.spend(())
    assert (row.calls, row.tokens_out, row.cost_usd, row.unpriced) == (1, 0, 0.0, 0)


def flags(ledger: Ledger) -> dict[str, int]:
    return {row.group[0]: row.n for row in ledger.failures(("kind",))}


def test_what_is_odd_about_a_kept_reply_is_flagged(server: Shapes, ledger: Ledger) -> None:
    server.tries.clear()
    asked(server, ledger, "a whole reply with a null finish", "an unknown word at the end")
    assert flags(ledger) == {
        "kept with no finish_reason": 1,
        "kept with the unknown finish_reason novel_word": 1,
    }


COUNTED = [
    # where the counts stand: tokens in, out, from the cache, of reasoning, and whether they count
    ({"usage": USAGE}, (9, 7, 0, 0, True)),
    ({"usage": None}, (0, 0, 0, 0, False)),
    ({"usage": {}}, (0, 0, 0, 0, False)),
    ({"usage": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": 0}},
     (0, 0, 0, 0, False)),
    ({"usage": {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}},
     (9, 0, 0, 0, False)),
    ({"usage": {"prompt_tokens": "9", "completion_tokens": 7.0}}, (9, 7, 0, 0, True)),
    ({"usage": {"input_tokens": 9, "output_tokens": 7}}, (9, 7, 0, 0, True)),
    # the thinking is left out of what was completed, and is in the total
    ({"usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 116}},
     (9, 107, 0, 0, True)),
    ({"usage": USAGE | {"prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1}},
     (9, 7, 8, 0, True)),
    ({"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 8}}}, (9, 7, 8, 0, True)),
    ({"usage": USAGE | {"cached_tokens": 8}}, (9, 7, 8, 0, True)),
    ({"usage": USAGE | {"completion_tokens_details": {"reasoning_tokens": 5}}},
     (9, 7, 0, 5, True)),
    ({"usage": USAGE | {"prompt_tokens_details": None}}, (9, 7, 0, 0, True)),
    ({"usage": {"promptTokens": 9, "completionTokens": 7}}, (9, 7, 0, 0, True)),
    ({"usage": {"inputTokens": 9, "outputTokens": 7, "totalTokens": 16}}, (9, 7, 0, 0, True)),
    ({"usage": {"input_token_count": 9, "generated_tokens": 7}}, (9, 7, 0, 0, True)),
    ({"usage": None, "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4,
                                       "thoughtsTokenCount": 3, "totalTokenCount": 16}},
     (9, 7, 0, 3, True)),
    ({"usage": {"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 9,
                                                                "output_tokens": 7}}},
     (9, 7, 0, 0, True)),
    ({"usage": None, "tokens_evaluated": 9, "tokens_predicted": 7}, (9, 7, 0, 0, True)),
    ({"usage": None, "prompt_eval_count": 9, "eval_count": 7}, (9, 7, 0, 0, True)),
    ({"usage": None, "x_groq": {"usage": USAGE}}, (9, 7, 0, 0, True)),
    ({"usage": None, "timings": {"prompt_n": 9, "predicted_n": 7}}, (9, 7, 0, 0, True)),
]  # fmt: skip


@pytest.mark.parametrize(("more", "counts"), COUNTED)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_tokens_are_counted_wherever_they_stand(
    server: Shapes,
    ledger: Ledger,
    more: dict[str, Any],
    counts: tuple[int, int, int, int, bool],
    streamed: bool,
) -> None:
    raw = (
        events(*texts("4"), chunk({}, "stop") | more)
        if streamed
        else whole({"content": "4"}, **more)
    )
    SHAPES["counts"] = raw
    server.tries.clear()
    asked(server, ledger, "counts", price={"input": 1.0, "output": 2.0})
    (entry,) = ledger.entries()
    found = (entry.tokens_in, entry.tokens_out, entry.tokens_cached, entry.reasoning_tokens)
    assert (*found, entry.priced) == counts
    assert flags(ledger).get("kept with no token counts", 0) == (not counts[-1])


@pytest.mark.parametrize(
    "usages",
    [
        (USAGE, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        ({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}, USAGE),
        ({"prompt_tokens": 9}, {"completion_tokens": 7}),
        ({"input_tokens": 9, "output_tokens": 1}, {"output_tokens": 7}),
        (USAGE, None),
        (USAGE, {}),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_counts_in_several_chunks_are_each_taken_at_their_largest(
    server: Shapes, ledger: Ledger, usages: tuple[Any, Any], apart: bool
) -> None:
    first, last = usages
    end = (
        [chunk({}, "stop"), COUNTS | {"usage": last}]
        if apart
        else [chunk({}, "stop") | {"usage": last}]
    )
    SHAPES["counts"] = events(chunk({"content": "4"}) | {"usage": first}, *end)
    server.tries.clear()
    asked(server, ledger, "counts")
    (entry,) = ledger.entries()
    assert (entry.tokens_in, entry.tokens_out) == (9, 7)


def test_counts_that_stand_outside_an_envelope_are_counted(server: Shapes, ledger: Ledger) -> None:
    inside = {"choices": [{"message": {"content": "4"}, "finish_reason": "stop"}]}
    SHAPES["counts"] = js({"output": inside, "usage": {"input_tokens": 9, "output_tokens": 7}})
    server.tries.clear()
    (got,) = asked(server, ledger, "counts")
    assert (got.text, got.tokens_in, got.tokens_out) == ("4", 9, 7)


def test_a_reply_without_counts_has_a_price_where_nothing_costs(
    server: Shapes, ledger: Ledger
) -> None:
    SHAPES["counts"] = whole({"content": "4"}, usage=None)
    server.tries.clear()
    asked(server, ledger, "counts", price={"input": 0.0, "output": 0.0})
    (entry,) = ledger.entries()
    assert (entry.tokens_in, entry.cost_usd, entry.priced) == (0, 0.0, True)


def test_tokens_that_stand_on_a_choice_are_counted(server: Shapes, ledger: Ledger) -> None:
    SHAPES["counts"] = events(*texts("4"), chunk({}, "stop", usage=USAGE))
    server.tries.clear()
    asked(server, ledger, "counts")
    (entry,) = ledger.entries()
    assert (entry.tokens_in, entry.tokens_out) == (9, 7)
