"""A decoder of several threads says what a decoder of one says, whoever answers which request."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch

from potstill.models import threaded_decoding
from potstill.models.decoding import Request, generate
from potstill.models.loading import open_decoder
from potstill.models.threaded_decoding import ThreadedDecoder
from potstill.models.torch_base import Base, load_base
from potstill.models.torch_decoding import TorchDecoder
from potstill.records import Sampling
from random_model import write_random_model
from support.decoded import decode_all

DRAWN = Sampling(temperature=1.0, top_p=0.95, seed=5, max_tokens=9)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("threads") / "tiny"
    return load_base(write_random_model(folder, ["What is 7?"], context_tokens=40), device="cpu")


def asked(key: int, sample: int = 0) -> Request:
    prompt = tuple(range(10 + key % 5, 14 + key % 5 + key % 7))
    return Request(key, prompt, replace(DRAWN, max_tokens=3 + key % 6), sample)


def test_each_request_is_answered_once_as_one_thread_answers_it(tiny: Base) -> None:
    requests = [asked(key, sample=key // 5) for key in range(40)]
    alone = {one.key: one for one in decode_all(TorchDecoder(tiny, 6), requests)}
    with threaded_decoding.opened(tiny, 3, 6) as decoder:
        together = decode_all(decoder, requests)
    assert sorted(one.key for one in together) == list(range(40))
    assert {one.key: one for one in together} == alone
    assert decoder.active == 0


def test_work_is_shared_out_evenly_and_each_thread_computes_with_one(tiny: Base) -> None:
    torch.set_num_threads(2)
    seen = []

    class Watched(TorchDecoder):
        def step(self, fresh: object) -> list:  # type: ignore[type-arg]
            seen.append((threading.get_ident(), torch.get_num_threads()))
            return super().step(fresh)  # type: ignore[arg-type]

    with threaded_decoding.opened(tiny, 2, 8) as opened:
        watched = [Watched(tiny, 4), Watched(tiny, 4)]
        decoder = ThreadedDecoder(watched, opened._threads)
        assert decoder.wanted == 8
        decoder.step([asked(key) for key in range(5)])
        assert sorted(one.active for one in watched) == [2, 3]
    assert {threads for _, threads in seen} == {1}
    assert threading.get_ident() not in {thread for thread, _ in seen}
    assert torch.get_num_threads() == 2


def test_a_request_that_is_dropped_frees_its_slot_and_the_others_go_on(tiny: Base) -> None:
    heard: dict[int, int] = {}

    def hear(key: int, token: int) -> bool:
        heard[key] = heard.get(key, 0) + 1
        return key != 2 or heard[key] < 2

    with threaded_decoding.opened(tiny, 2, 4) as decoder:
        requests = [replace(asked(key), sampling=replace(DRAWN, max_tokens=6)) for key in range(5)]
        done = [one for step in generate(decoder, requests, hear) for one in step]
    assert 2 not in {one.key for one in done}
    assert heard[2] == 2
    assert len(done) == 4


def test_what_one_thread_cannot_do_is_raised(tiny: Base) -> None:
    with threaded_decoding.opened(tiny, 2, 4) as decoder, pytest.raises(IndexError):
        decoder.step([asked(0), replace(asked(1), prompt=(10**9,))])


def test_many_requests_to_a_small_base_are_shared_and_a_single_reader_gets_every_thread(
    tiny: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("potstill.models.torch_base.idle_threads", lambda: 2)
    for many, size, kind in (
        (True, 0, ThreadedDecoder),
        (False, 0, TorchDecoder),
        (True, 1, TorchDecoder),
        (True, 6, ThreadedDecoder),
    ):
        with open_decoder(tiny, None, 20, size, many=many) as decoder:
            assert isinstance(decoder, kind)
            assert not size or decoder.slots == size
    monkeypatch.setitem(tiny.model.config.rope_parameters, "rope_type", "dynamic")
    with open_decoder(tiny, None, 20, 0, many=True) as decoder:
        assert isinstance(decoder, TorchDecoder)
