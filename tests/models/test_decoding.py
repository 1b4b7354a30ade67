"""The one loop that feeds a decoder: requests that come later, tokens as they come, the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch

from potstill.models.decoding import Request, Running, generate
from potstill.models.torch_base import Base, load_base
from potstill.models.torch_decoding import TorchDecoder
from potstill.records import Finish, Sampling
from random_model import write_random_model
from support.decoded import decode_all

DRAWN = Sampling(temperature=1.0, top_p=0.95, seed=5, max_tokens=9)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Base:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("m") / "tiny"
    return load_base(write_random_model(folder, ["What is 7?"], context_tokens=40), device="cpu")


def asked(key: int, length: int = 6, sampling: Sampling = DRAWN, sample: int = 0) -> Request:
    return Request(key, tuple(range(10 + key, 10 + key + length)), sampling, sample)


def test_seed_sample_attempt_and_prompt_decide_a_draw_and_the_model_does_not() -> None:
    request = Request(8, (3, 14), DRAWN, sample=2, attempt=1)
    draws = [Running.begin(request, context_tokens).draws.random() for context_tokens in (10, 99)]
    assert draws == [random.Random("5 2 1 (3, 14)").random()] * 2


def test_an_answer_ends_at_a_stop_token_at_its_limit_and_with_the_context() -> None:
    stopped = Running.begin(Request(0, (3, 14), DRAWN), 40)
    for token in (5, 6, 2):
        stopped.advance(token, {2})
    assert (stopped.tokens, stopped.finish, stopped.tokens_out) == ([5, 6], Finish.STOP, 3)
    limits = [Running.begin(Request(0, (3,) * n, DRAWN), 40).limit for n in (1, 31, 35, 40)]
    assert limits == [9, 9, 5, 1]
    full = Running.begin(Request(0, (3,) * 38, DRAWN), 40)
    full.advance(5, {2})
    assert full.finish is None
    full.advance(6, {2})
    assert (full.tokens, full.finish, full.tokens_out) == ([5, 6], Finish.LENGTH, 2)


def test_requests_are_taken_as_slots_become_free_and_may_come_later(tiny: Base) -> None:
    alone = {key: decode_all(TorchDecoder(tiny, 1), [asked(key)])[0].tokens for key in range(1, 6)}
    decoder = TorchDecoder(tiny, 2)
    waited = []

    def requests() -> Iterator[Request | None]:
        for key in (1, None, None, 2, 3, None, 4, 5):
            waited.append(decoder.active)
            yield None if key is None else asked(key)

    answers = {
        done.key: done.tokens for finished in generate(decoder, requests()) for done in finished
    }
    assert answers == alone
    assert max(waited) == 1  # with both slots taken nothing is asked for
    assert waited[:3] == [0, 0, 1]


def test_the_caller_has_its_turn_though_nothing_is_under_way(tiny: Base) -> None:
    steps = generate(TorchDecoder(tiny, 2), iter([None, None, asked(1, sampling=Sampling())]))
    assert [next(steps), next(steps)] == [[], []]
    assert [done.key for finished in steps for done in finished] == [1]


def test_who_is_dropped_with_the_last_token_does_not_come_back(tiny: Base) -> None:
    short = Sampling(max_tokens=3)
    told = {done.key: done for done in decode_all(TorchDecoder(tiny, 4), map(short_of, range(4)))}
    assert {done.finish for done in told.values()} == {Finish.LENGTH}
    heard: list[tuple[int, int]] = []

    def hear(key: int, token: int) -> bool:
        heard.append((key, token))
        return (key, [one for one, _ in heard].count(key)) != (2, short.max_tokens)

    steps = generate(TorchDecoder(tiny, 4), map(short_of, range(4)), hear)
    assert {done.key for finished in steps for done in finished} == {0, 1, 3}
    assert {key: tuple(t for k, t in heard if k == key) for key in told} == {
        key: done.tokens for key, done in told.items()
    }


def short_of(key: int) -> Request:
    return asked(key, sampling=Sampling(max_tokens=3))
