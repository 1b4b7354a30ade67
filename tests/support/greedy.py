"""The greedy answers of a transformers model, by transformers' own ``generate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from potstill.analysis.students import FoundStudent
from potstill.chat import render_messages
from potstill.records import Problem, Response


def prompts(
    found: FoundStudent, answers: Sequence[tuple[Problem, Response]]
) -> list[list[dict[str, str]]]:
    """List the chats that the study sent for these problems."""
    return [
        [{"role": m.role, "content": m.content} for m in render_messages(problem, found.condition)]
        for problem, _ in answers
    ]


def generated(model: Any, tokenizer: Any, chats: Sequence[Any], max_tokens: int) -> list[str]:
    """Ask ``generate`` for its answer to each chat, one by one."""
    said = []
    for chat in chats:
        ids = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            out = model.generate(**ids, max_new_tokens=max_tokens, do_sample=False)
        said.append(tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))
    return said
