"""Examples as token sequences: rendered exactly as at inference, never cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from potstill.errors import InputError
from potstill.solvers import Message

__all__ = ["EncodedExample", "EncodedSet", "Example", "encode_examples", "prompt_tokens"]


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
    """Encoded examples, and the ids of those set aside because they are too long."""

    examples: tuple[EncodedExample, ...]
    too_long: tuple[str, ...]


def prompt_tokens(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The token ids that a model is given for a chat, up to where its answer begins.

    Raises InputError where the chat template refuses the chat.
    """
    chat = [{"role": message.role, "content": message.content} for message in messages]
    try:
        ids: list[int] = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=False
        )
    except Exception as exc:  # jinja2's errors, and whatever a template raises by itself
        roles = ", ".join(message.role for message in messages)
        raise InputError(
            f"The chat template of {tokenizer.name_or_path} refuses a chat of roles {roles}: {exc}"
        ) from exc
    return ids


def encode_examples(
    tokenizer: Any, examples: Iterable[Example], max_sequence_tokens: int
) -> EncodedSet:
    """The examples as token ids, those longer than ``max_sequence_tokens`` set aside.

    A completion ends with the tokenizer's end-of-sequence token, so that a student learns to stop.
    """
    kept: list[EncodedExample] = []
    too_long: list[str] = []
    for example in examples:
        prompt = prompt_tokens(tokenizer, example.messages)
        completion = tokenizer(example.completion, add_special_tokens=False)["input_ids"]
        tokens = (*prompt, *completion, tokenizer.eos_token_id)
        if len(tokens) > max_sequence_tokens:
            too_long.append(example.problem_id)
        else:
            kept.append(EncodedExample(example.problem_id, tokens, len(prompt)))
    return EncodedSet(tuple(kept), tuple(too_long))
