from __future__ import annotations

import numpy as np
import pytest

from potstill.chat import Message
from potstill.errors import InputError
from potstill.models.model import prompt_tokens
from potstill.models.torch_base import Base
from potstill.training.batches import collate, epoch_batches, validation_batches
from potstill.training.examples import EncodedExample, Example, encode_examples


def encoded(*lengths: int) -> list[EncodedExample]:
    return [
        EncodedExample(f"p{n}", tuple(range(1, length + 1)), 2) for n, length in enumerate(lengths)
    ]


def test_an_example_is_rendered_as_at_inference(base: Base) -> None:
    chat = (Message("system", "Think."), Message("user", "What is 1 + 1?"))
    (example,) = encode_examples(base.tokenizer, [Example("p", chat, "It is 2.")], 200).examples
    text = base.tokenizer.decode(example.tokens)
    assert text == (
        "<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\nWhat is 1 + 1?<|im_end|>\n"
        "<|im_start|>assistant\nIt is 2.<|im_end|>"
    )
    assert list(example.tokens[: example.prompt_length]) == prompt_tokens(base.tokenizer, chat)
    assert base.tokenizer.decode(example.tokens[example.prompt_length :]) == "It is 2.<|im_end|>"


def test_over_long_examples_are_excluded_and_named(base: Base) -> None:
    chat = (Message("user", "Hi"),)
    examples = [Example("short", chat, "Yes."), Example("long", chat, "Yes. " * 200)]
    result = encode_examples(base.tokenizer, examples, 100)
    assert [example.problem_id for example in result.examples] == ["short"]
    assert result.too_long == ("long",)
    exact = len(result.examples[0].tokens)
    assert encode_examples(base.tokenizer, examples[:1], exact).too_long == ()
    assert encode_examples(base.tokenizer, examples[:1], exact - 1).too_long == ("short",)


def test_a_template_that_refuses_a_chat_says_so(base: Base) -> None:
    base.tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    with pytest.raises(InputError, match=r"system, user: .*no system role"):
        prompt_tokens(base.tokenizer, (Message("system", "x"), Message("user", "y")))


def test_the_loss_falls_on_the_completion_alone() -> None:
    batch = collate(encoded(4, 6))
    assert batch.tokens_BT.tolist() == [[1, 2, 3, 4, 0, 0], [1, 2, 3, 4, 5, 6]]
    predicted = list(zip(batch.row_N.tolist(), batch.column_N.tolist(), strict=True))
    assert predicted == [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (1, 4)]
    assert batch.target_N.tolist() == [3, 4, 3, 4, 5, 6]
    assert (batch.real_tokens, batch.padded_tokens) == (10, 12)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 300, 1031])
def test_an_epoch_holds_every_example_once_in_even_batches(count: int) -> None:
    lengths = np.random.default_rng(3).integers(5, 200, count)
    examples = encoded(*lengths)
    batches = epoch_batches(examples, 8, np.random.default_rng(0))
    assert sorted(e.problem_id for batch in batches for e in batch) == sorted(
        e.problem_id for e in examples
    )
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= 8
    assert max(sizes) - min(sizes) <= 1 or count > 128
    assert min(sizes) >= min(count, 4)


def test_batches_are_bucketed_and_reshuffled() -> None:
    examples = encoded(*np.random.default_rng(3).integers(5, 200, 300))
    rng = np.random.default_rng(0)
    first, second = epoch_batches(examples, 8, rng), epoch_batches(examples, 8, rng)
    together = [
        {frozenset(e.problem_id for e in batch) for batch in epoch} for epoch in (first, second)
    ]
    assert not together[0] & together[1]
    for epoch in (first, second):
        real = sum(collate(batch).real_tokens for batch in epoch)
        padded = sum(collate(batch).padded_tokens for batch in epoch)
        assert padded < 1.15 * real
    widths = [max(len(e.tokens) for e in batch) for batch in first]
    assert widths != sorted(widths)


def test_validation_batches_hold_all_within_their_budget() -> None:
    examples = encoded(50, 3, 20, 900, 4, 21)
    batches = validation_batches(examples, 100)
    assert sum(len(batch.tokens_BT) for batch in batches) == 6
    assert [batch.tokens_BT.shape for batch in batches] == [
        (4, 20),
        (1, 21),
        (1, 50),
        (1, 900),
    ] or all(batch.padded_tokens <= 100 or len(batch.tokens_BT) == 1 for batch in batches)
