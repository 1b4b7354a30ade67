"""What prompts have in common is run once, and no answer changes for it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch

from potstill.chat import Message
from potstill.models.decoding import Request
from potstill.models.model import prompt_tokens
from potstill.models.shared_prefix import common_length
from potstill.models.torch_base import Base, load_base
from potstill.models.torch_decoding import TorchDecoder
from potstill.pocket import STUDENT_PATH
from potstill.pocket.problems import generate
from potstill.records import Finish, Sampling
from random_model import write_random_model
from support.decoded import decode_all

SYSTEM = "Sam has 3 apples and buys 4 more. How many apples does Sam have now? Sam has 7 apples."
LIMIT = 64


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pocket() -> Base:
    return load_base(STUDENT_PATH, device="cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = write_random_model(tmp_path_factory.mktemp("m") / "tiny", ["What is 1?"])
    return load_base(folder, device="cpu")


@contextmanager
def tokens_run(base: Base) -> Iterator[list[int]]:
    """How many tokens each pass through the model reads."""
    seen: list[int] = []
    hook = base.body.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["input_ids"].numel()), with_kwargs=True
    )
    try:
        yield seen
    finally:
        hook.remove()


def asked(number: int, prompt: Sequence[int], limit: int = 6) -> Request:
    return Request(number, tuple(prompt), Sampling(max_tokens=limit))


def answered(decoder: TorchDecoder, requests: Sequence[Request]) -> dict[int, tuple[int, ...]]:
    return {finished.key: finished.tokens for finished in decode_all(decoder, requests)}


@pytest.fixture(scope="module")
def told(pocket: Base) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Prompts of 120 held-out problems under one system text, and what ``generate`` says alone."""
    found = []
    for problem in generate("heldout", 120, seed=7):
        chat = (Message("system", SYSTEM), Message("user", problem.text))
        prompt = prompt_tokens(pocket.tokenizer, chat)
        out = pocket.model.generate(
            torch.tensor([prompt]), max_new_tokens=LIMIT, do_sample=False, pad_token_id=0
        )
        said = out[0, len(prompt) :].tolist()
        found.append((tuple(prompt), tuple(t for t in said if t not in pocket.stop_tokens)))
    return found


@pytest.mark.parametrize("slots", [3, 32, 256])
def test_answers_with_a_shared_prefix_are_those_of_one_by_one(pocket, told, slots) -> None:
    requests = [asked(n, prompt, LIMIT) for n, (prompt, _) in enumerate(told)]
    shared = min(common_length(told[0][0], prompt) for prompt, _ in told)
    assert shared > 30
    with tokens_run(pocket) as seen:
        got = decode_all(TorchDecoder(pocket, slots), requests)
    assert {one.key: one.tokens for one in got} == {n: said for n, (_, said) in enumerate(told)}
    assert sum(one.finish is Finish.STOP for one in got) > 60
    # the prefix was read once, and of each prompt only the rest
    spent = sum(one.tokens_out for one in got)
    rest = sum(len(prompt) - shared for prompt, _ in told)
    assert sum(seen) < (shared + rest) * 1.35 + spent


def test_the_prefix_is_not_run_again_for_those_who_come_later(tiny) -> None:
    draw = random.Random(1)
    begin = [draw.randrange(3, 300) for _ in range(40)]
    decoder = TorchDecoder(tiny, 4)
    with tokens_run(tiny) as seen:
        answered(decoder, [asked(n, (*begin, 5 + n, 9), 1) for n in range(3)])
        assert seen == [40, 6]
        answered(decoder, [asked(n, (*begin, 50 + n, 9), 1) for n in range(2)])
        assert seen == [40, 6, 4]
        answered(decoder, [asked(0, (*begin, *begin), 1)])
        assert seen == [40, 6, 4, 40]
        answered(decoder, [asked(n, (*begin, *begin, 50 + n), 1) for n in range(2)])
        assert seen == [40, 6, 4, 40, 2]


def test_too_short_a_beginning_is_left_alone(tiny) -> None:
    with tokens_run(tiny) as seen:
        answered(TorchDecoder(tiny, 4), [asked(n, (*range(5, 15), 20 + n), 1) for n in range(3)])
    assert seen == [33]


def test_any_mixture_of_prompts_is_answered_as_each_alone(tiny) -> None:
    draw = random.Random(3)
    begins = [[draw.randrange(3, 300) for _ in range(length)] for length in (60, 24, 17, 3, 0)]
    for round_ in range(12):
        requests = []
        for number in range(draw.randrange(1, 14)):
            begin = draw.choice(begins[: 1 + round_ % 5])
            cut = draw.choice([len(begin), draw.randrange(len(begin) + 1)])
            rest = [draw.randrange(3, 300) for _ in range(draw.choice([1, 1, 2, 9, 40]))]
            requests.append(asked(number, begin[:cut] + rest, draw.randrange(1, 9)))
        twice = asked(len(requests), requests[0].prompt, 5)
        got = answered(TorchDecoder(tiny, draw.choice([1, 2, 5, 16])), [*requests, twice])
        alone = {r.key: answered(TorchDecoder(tiny, 1), [r])[r.key] for r in [*requests, twice]}
        assert got == alone


def test_a_decoder_that_answers_set_after_set_keeps_answering_alike(tiny) -> None:
    draw = random.Random(5)
    decoder = TorchDecoder(tiny, 6)
    first, second = ([draw.randrange(3, 300) for _ in range(30)] for _ in range(2))
    for begin in (first, second, first[:20], first, [], second):
        requests = [asked(n, (*begin, 7 + n, 9)) for n in range(draw.randrange(1, 9))]
        alone = {r.key: answered(TorchDecoder(tiny, 1), [r])[r.key] for r in requests}
        assert answered(decoder, requests) == alone


def test_common_length() -> None:
    assert common_length((), (1,)) == 0
    assert common_length((1, 2, 3), (1, 2)) == 2
    assert common_length((1, 2, 3), (1, 5, 3)) == 1


def test_a_prompt_that_is_drawn_several_times_is_run_once(pocket, told) -> None:
    drawn = Sampling(temperature=0.8, top_p=0.95, seed=3, max_tokens=12)
    prompts = [prompt for prompt, _ in told[:6]]
    requests = [
        Request(4 * n + sample, prompt, drawn, sample)
        for n, prompt in enumerate(prompts)
        for sample in range(4)
    ]
    with tokens_run(pocket) as seen:
        together = answered(TorchDecoder(pocket, len(requests)), requests)
    shared = min(common_length(prompts[0], prompt) for prompt in prompts)
    read = [count for count in seen if count > len(requests)]
    # the prefix once and the rest of six prompts, padded; not of twenty-four
    assert sum(read) <= shared + 2 * sum(len(prompt) - shared for prompt in prompts)
    alone = {x.key: answered(TorchDecoder(pocket, 1), [x])[x.key] for x in requests}
    assert together == alone
    assert len({together[k] for k in range(4)}) > 1, "the draws of one problem are all the same"


def test_the_same_prompt_apart_from_its_like_is_run_once_too(tiny) -> None:
    requests = [asked(n, (5, 6, 7 + n % 2, 8)) for n in range(6)]
    with tokens_run(tiny) as seen:
        together = answered(TorchDecoder(tiny, 6), requests)
    assert seen[0] == 2 * 4
    assert together == {x.key: answered(TorchDecoder(tiny, 1), [x])[x.key] for x in requests}
