"""What the training tests train: small examples, and the base's state to compare."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from potstill.chat import Message
from potstill.models.torch_base import Base
from potstill.training.examples import Example


def make_examples(count: int, first: int = 0) -> list[Example]:
    """Make examples of varied length, none twice."""
    examples = []
    for number in range(first, first + count):
        a, b = number * 7 % 50, number * 11 % 30
        steps = " ".join(f"Add {a + k} and {b}." for k in range(number % 5))
        chat = (Message("user", f"What is {a} + {b}? ({number})"),)
        examples.append(Example(f"p{number}", chat, f"{steps} The sum is {a + b}."))
    return examples


TEXTS: Sequence[str] = [example.completion for example in make_examples(60)]


def state_of(base: Base) -> dict[str, torch.Tensor]:
    """Copy every tensor of a base."""
    return {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
