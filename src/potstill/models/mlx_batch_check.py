"""An MLX base tried on a few tokens: whether it answers in a batch as it does alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from potstill.errors import InputError, one_line

__all__ = ["check_batches"]

_PROMPTS = (5, 9)
_STEPS = 4


def check_batches(model: Any, kind: str, folder: Path) -> None:
    """Raise InputError where rows of unlike length do not get the tokens that one alone gets."""
    try:
        worst = _worst_difference(model)
    except Exception as exc:  # whatever a model of mlx-lm raises that was not made for a batch
        raise InputError(_sentence(kind, folder, one_line(exc, 120))) from exc
    if worst > 0.1:
        raise InputError(_sentence(kind, folder, f"its logits differ by {worst:.2g}"))


def _sentence(kind: str, folder: Path, why: str) -> str:
    return (
        f"mlx-lm does not answer several problems side by side with {folder} ({kind}) as it does "
        f"one ({why}); set student.backend: torch, or choose another base."
    )


def _worst_difference(model: Any) -> float:
    """Return how far the chosen tokens' logits lie below the best ones', by their spread."""
    import mlx.core as mx
    from mlx_lm.generate import BatchGenerator

    count = int(model.args.vocab_size)
    prompts = [[(7 * k + 3) % count for k in range(length)] for length in _PROMPTS]
    generator: Any = BatchGenerator(model, stop_tokens=[], prefill_batch_size=len(prompts))
    uids = generator.insert([list(prompt) for prompt in prompts], max_tokens=[_STEPS] * 2)
    said: dict[int, list[int]] = {uid: [] for uid in uids}
    try:
        while any(len(tokens) < _STEPS for tokens in said.values()):
            for response in generator.next_generated():
                said[response.uid].append(response.token)
    finally:
        generator.close()
    worst = 0.0
    for prompt, tokens in zip(prompts, said.values(), strict=True):
        logits = model(mx.array([prompt + tokens]))[0].astype(mx.float32)
        for step, token in enumerate(tokens):
            row = logits[len(prompt) - 1 + step]
            worst = max(worst, ((row.max() - row[token]) / row.std()).item())
    return worst
