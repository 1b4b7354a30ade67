"""How likely a base finds a completion: one number a trace, the same on both backends."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.chat import Message
from potstill.models.torch_base import Base
from potstill.training import likelihood
from potstill.training.examples import Example, encode_examples
from potstill.training.likelihood import mean_logprobs
from support.tiny_cell import make_examples


def by_hand(base: Base, example: Example) -> tuple[int, float]:
    """Take the log-softmax of transformers' own logits, a completion token at a time."""
    (encoded,) = encode_examples(base.tokenizer, [example], 10_000).examples
    with torch.no_grad():
        logits = base.model(torch.tensor([encoded.tokens])).logits[0].double()
    places = range(encoded.prompt_length, len(encoded.tokens))
    own = [float(logits[i - 1].log_softmax(-1)[encoded.tokens[i]]) for i in places]
    return len(own), sum(own) / len(own)


def test_it_is_the_mean_log_softmax_of_the_completion_under_its_prompt(base: Base) -> None:
    examples = make_examples(9)
    for found, example in zip(mean_logprobs(base, examples), examples, strict=True):
        tokens, mean = by_hand(base, example)
        assert found == (tokens, pytest.approx(mean, abs=1e-5))


def test_batches_and_chunks_change_nothing(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = make_examples(9)
    together = mean_logprobs(base, examples)
    monkeypatch.setattr(likelihood, "_BATCH_TOKENS", 1)
    monkeypatch.setattr(likelihood, "LOGITS_PER_CHUNK", 1)
    apart = mean_logprobs(base, examples)
    assert [n for n, _ in apart] == [n for n, _ in together]
    assert [x for _, x in apart] == pytest.approx([x for _, x in together], abs=1e-5)


def test_one_longer_than_the_context_is_told_as_that(base: Base) -> None:
    long = Example("long", (Message("user", "What?"),), "7 " * base.context_tokens)
    (short,) = make_examples(1)
    found = mean_logprobs(base, [long, short])
    assert found[0] == (0, 0.0)
    assert found[1] == mean_logprobs(base, [short])[0]


@pytest.mark.skipif(find_spec("mlx_lm") is None, reason="mlx-lm is not installed on this machine")
def test_mlx_tells_the_same(base: Base, model_folder: Path) -> None:
    from potstill.models.mlx_base import load_mlx_base

    examples = make_examples(5)
    other: Any = load_mlx_base(model_folder)
    found, wanted = mean_logprobs(other, examples), mean_logprobs(base, examples)
    assert [n for n, _ in found] == [n for n, _ in wanted]
    assert [x for _, x in found] == pytest.approx([x for _, x in wanted], abs=1e-4)
