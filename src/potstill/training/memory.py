"""How much memory LoRA training takes, from a model's shape alone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "LOGITS_PER_CHUNK",
    "PRECISIONS",
    "STUDENT_SIZES",
    "Shape",
    "activation_bytes",
    "checkpointed_bytes",
    "largest_batch",
    "training_bytes",
]

# bytes a weight; nf4's and MLX's blocks bring their scales with them (4.13 and 4.5 bits)
PRECISIONS = {"float32": 4.0, "bfloat16": 2.0, "nf4": 4.13 / 8, "mlx 4-bit": 4.5 / 8}
_TRAINED_BYTES = 16  # an adapter's weight, its gradient and Adam's two moments, in float32
_RANK = 16  # of an adapter on all projections
LOGITS_PER_CHUNK = 2**24  # elements of logits that a head makes at once; 64 MiB in float32
_RUNTIME_BYTES = 1_000_000_000  # the backend itself, its work space and its fragments


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model decides its memory. ``parameters`` are all, the embeddings included."""

    name: str
    parameters: int
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    key_value_heads: int
    vocabulary: int
    tied: bool


def _qwen(
    name: str, billions: float, layers: int, hidden: int, wide: int, heads: int, kv: int
) -> Shape:
    # config.json of Qwen/Qwen2.5-*-Instruct; those up to 3B tie head and embeddings
    vocabulary = 151_936 if hidden <= 2048 else 152_064
    tied = hidden <= 2048
    return Shape(name, int(billions * 1e9), layers, hidden, wide, heads, kv, vocabulary, tied)


STUDENT_SIZES = (
    _qwen("0.5B", 0.494, 24, 896, 4864, 14, 2),
    _qwen("1.5B", 1.544, 28, 1536, 8960, 12, 2),
    _qwen("3B", 3.086, 36, 2048, 11008, 16, 2),
    _qwen("7B", 7.616, 28, 3584, 18944, 28, 4),
    _qwen("14B", 14.770, 48, 5120, 13824, 40, 8),
    _qwen("32B", 32.764, 64, 5120, 27648, 40, 8),
)


def activation_bytes(layers: int, hidden: int, feed_forward: int, tokens: int, element: int) -> int:
    """Return about what a step over ``tokens`` padded tokens keeps, in numbers of ``element``
    bytes.

    Counted per token of an adapted layer: ten tensors of the hidden width (norms, queries,
    residuals) and five of the feed-forward width are kept for the backward pass.
    """
    return tokens * layers * (10 * hidden + 5 * feed_forward) * element


def checkpointed_bytes(
    layers: int, hidden: int, feed_forward: int, tokens: int, element: int
) -> int:
    """Return about what a step over ``tokens`` padded tokens keeps where its layers are
    checkpointed: the input of each, and all of the one that is made again.
    """
    one = activation_bytes(1, hidden, feed_forward, tokens, element)
    return layers * tokens * hidden * element + one


def training_bytes(shape: Shape, precision: str, batch_size: int, tokens: int) -> int:
    """Return about the memory that training all projections takes, with ``batch_size`` examples a
    step.

    ``precision`` is one of PRECISIONS, ``tokens`` are those of each example. Measured: 9 to 18 %
    above what 0.5B took on a CPU (docs/log.md, 2026-11-21).
    """
    element = 4 if precision == "float32" else 2
    embeddings = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    weight = PRECISIONS[precision]
    # what is quantised are the layers; MLX quantises the embeddings too
    outside = weight if precision == "mlx 4-bit" else element
    weights = weight * (shape.parameters - embeddings) + outside * embeddings
    head = shape.hidden // shape.heads
    widths = 2 * (shape.hidden + shape.hidden) + 2 * (shape.hidden + head * shape.key_value_heads)
    widths += 3 * (shape.hidden + shape.feed_forward)
    adapter = _RANK * shape.layers * widths * _TRAINED_BYTES
    kept = activation_bytes(
        shape.layers, shape.hidden, shape.feed_forward, batch_size * tokens, element
    )
    if precision.startswith("mlx"):
        # MLX has no fused attention to go back through: its weights are kept
        kept += batch_size * tokens**2 * shape.heads * shape.layers * element
    return int(weights + adapter + kept) + _RUNTIME_BYTES


def largest_batch(shape: Shape, precision: str, memory_bytes: int, tokens: int) -> int:
    """Return the largest power of two up to 8 that fits into memory as a batch; 0 if none does."""
    size = 8
    while size and training_bytes(shape, precision, size, tokens) > memory_bytes:
        size //= 2
    return size
