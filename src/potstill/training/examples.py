"""Examples as token sequences: rendered exactly as at inference, never cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from potstill.chat import Message
from potstill.models.chat_template import opens_thought
from potstill.models.model import prompt_tokens

__all__ = ["EncodedExample", "EncodedSet", "Example", "encode_examples"]


@dataclass(frozen=True, slots=True)
class Example:
    """One chat and the completion to be learnt."""

    problem_id: str
    messages: tuple[Message, ...]
    completion: str


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """An example as token ids; the first ``prompt_length`` are the prompt, the rest is learnt."""

    problem_id: str
    tokens: tuple[int, ...]
    prompt_length: int


@dataclass(frozen=True, slots=True)
class EncodedSet:
    """Encoded examples, and the ids of those excluded because they are too long."""

    examples: tuple[EncodedExample, ...]
    too_long: tuple[str, ...]


def encode_examples(
    tokenizer: Any, examples: Iterable[Example], max_sequence_tokens: int
) -> EncodedSet:
    """Return the examples as token ids, those longer than ``max_sequence_tokens`` excluded.

    A completion ends with the tokenizer's end-of-sequence token, so that a student learns to stop.
    Where prompts end with an opened thought, it goes on there, or ends the thought at once.
    """
    opened = opens_thought(tokenizer)
    kept: list[EncodedExample] = []
    too_long: list[str] = []
    for example in examples:
        prompt = prompt_tokens(tokenizer, example.messages)
        text = _after_opening(example.completion) if opened else example.completion
        completion = tokenizer(text, add_special_tokens=False)["input_ids"]
        tokens = (*prompt, *completion, tokenizer.eos_token_id)
        if len(tokens) > max_sequence_tokens:
            too_long.append(example.problem_id)
        else:
            kept.append(EncodedExample(example.problem_id, tokens, len(prompt)))
    return EncodedSet(tuple(kept), tuple(too_long))


def _after_opening(completion: str) -> str:
    thought = completion.removeprefix("<think>\n")
    return thought if thought != completion else f"\n</think>\n\n{completion}"
