"""Training written out plainly, as a reference: a short recipe and the losses it must give."""

from __future__ import annotations

import numpy as np
import torch

from potstill.models.torch_base import Base
from potstill.training.batches import BatchStream
from potstill.training.examples import Example, encode_examples
from potstill.training.lora import attach_adapter, seed_adapter
from potstill.training.recipe import Recipe
from potstill.training.records import TrainedCell

SHORT = Recipe(
    rank=4,
    alpha=8,
    learning_rate=1e-2,
    warmup_steps=2,
    batch_size=5,
    iterations=20,
    validate_every=5,
    threads=1,
)


def losses(result: TrainedCell) -> list[float]:
    """List the training losses of a cell's history."""
    return [point.train_loss for point in result.history if point.train_loss is not None]


def plain_losses(base: Base, recipe: Recipe, seed: int, examples: list[Example]) -> list[float]:
    """Train as the reference does: every logit, labels of -100, a padding mask."""
    model = attach_adapter(base.model, recipe)
    seed_adapter(model, seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(parameters, weight_decay=recipe.weight_decay)
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    encoded = encode_examples(base.tokenizer, examples, recipe.sequence_tokens(2048)).examples
    batches = BatchStream(encoded, recipe.batch_size, np.random.default_rng([seed, 1]))
    result = []
    for step in range(1, recipe.iterations + 1):
        batch = next(batches)
        tokens = torch.from_numpy(batch.tokens_BT)
        mask = (tokens != 0).long()  # <|endoftext|>, id 0, stands in no example
        labels = torch.full_like(tokens, -100)
        labels[batch.row_N, batch.column_N + 1] = torch.from_numpy(batch.target_N)
        loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
        loss.backward()
        if recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
        rate = recipe.learning_rate_at(step)
        if recipe.optimizer == "adamw":
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
        else:
            with torch.no_grad():
                for p, (m, v) in zip(parameters, moments, strict=True):
                    m.mul_(0.9).add_(0.1 * p.grad)
                    v.mul_(0.999).add_(0.001 * p.grad**2)
                    p.sub_(rate * m / (v.sqrt() + 1e-8))
        for p in parameters:
            p.grad = None
        result.append(loss.item())
    model.unload()
    return result
