# ruff: noqa: N803, N806 (axes are suffixes of tensor names)
"""Batched decoding with continuous refill: every sequence in a slot of its own, leaving at its end.

Sequences are stored from column 0, so nothing is padded on the left: a slot's key and value for
token t lie at column t, and a step looks at each slot only as far as its own length. What prompts
have in common is computed once. Axes: B the active slots, T columns, K key-value heads, D the
head's width, V the vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import psutil
import torch

from potstill.models.architecture import windows_of
from potstill.models.decoding import Request, Running
from potstill.models.shared_prefix import SharedPrefix
from potstill.models.slot_cache import SlotCache, decode_hidden
from potstill.models.torch_base import Base
from potstill.records import Sampling

__all__ = ["TorchDecoder", "draw_tokens", "slots_that_fit"]

_MAX_SLOTS = 256
# A prefill reads at most this many padded prompt tokens at once: on a CPU, what its caches hold.
_PREFILL_TOKENS = 8192
_PREFILL_TOKENS_CPU = 1024
# Of these so many may be padding: about what another pass over the weights costs.
_PREFILL_PADDING = 64
# With the shared prefix, of which every row holds a copy meanwhile, so many times as many tokens.
_PREFILL_CONTEXT = 8
# The share of free memory that keys and values may take.
_CACHE_SHARE = 0.5


class TorchDecoder:
    """Slots on a leased base. :meth:`step` admits new requests and gives every slot one token."""

    def __init__(self, base: Base, slots: int) -> None:
        self._base = base
        self.slots = slots
        self._cache = SlotCache(slots)
        self._windows = windows_of(base.model.config)
        self._running: list[Running] = []
        self._stop = base.stop_tokens
        self._prefix = SharedPrefix(base.body, base.device)
        self._prefill_tokens = _PREFILL_TOKENS_CPU if base.device == "cpu" else _PREFILL_TOKENS

    @property
    def active(self) -> int:
        """How many sequences are under way."""
        return len(self._running)

    @property
    def wanted(self) -> int:
        """How many requests to bring to the next step: none until an eighth of the slots is free.

        A prefill costs all the others a pause, so a single free slot waits for company.
        """
        free = self.slots - self.active
        return free if not self.active or free >= max(1, self.slots // 8) else 0

    def step(self, fresh: Sequence[Request]) -> list[Running]:
        """Return all that got a token, one each, after ``fresh`` was admitted."""
        with torch.inference_mode():
            running = self._advance(self._decode_logits(), 0) if self._running else []
            shared = self._prefix.cover([request.prompt for request in fresh]) if fresh else 0
            for group in _prefill_groups(fresh, shared, self._prefill_tokens):
                first = self.active
                running += self._advance(self._prefill_logits(group, shared), first)
            return running

    def drop(self, keys: Collection[int]) -> None:
        """Drop the unfinished sequences of these requests and free their slots."""
        running = enumerate(self._running)
        with torch.inference_mode():
            self._compact([slot for slot, run in running if run.request.key not in keys])

    def _prefill_logits(self, requests: Sequence[Request], shared: int) -> torch.Tensor:
        """Return logits after each prompt; the prompts' keys and values go into the next free
        slots.

        The first ``shared`` tokens of all of them are not run but taken from the kept prefix, and a
        prompt that several draws go on from is run once.
        """
        row_of = {prompt: k for k, prompt in enumerate(dict.fromkeys(r.prompt for r in requests))}
        width = max(map(len, row_of))
        tokens_BT = torch.tensor(
            [prompt[shared:] + (0,) * (width - len(prompt)) for prompt in row_of],
            device=self._base.device,
        )
        # Padding stands on the right, where no real token looks under the causal mask.
        past = self._prefix.cache(shared, len(row_of))
        output = self._base.body(input_ids=tokens_BT, past_key_values=past, use_cache=True)
        last_B = torch.tensor([len(prompt) - 1 - shared for prompt in row_of])
        hidden_BD = output.last_hidden_state[torch.arange(len(row_of)), last_B]
        rows = [row_of[request.prompt] for request in requests]
        self._cache.reserve(width)
        self._cache.admit(self.active, output.past_key_values, rows)
        if len(row_of) == 1:  # who comes next, and alone too, may begin like this one
            self._prefix.keep(requests[0].prompt, output.past_key_values)
        context = self._base.context_tokens
        self._running += [Running.begin(request, context) for request in requests]
        logits_BV = self._base.logits(hidden_BD)
        return (logits_BV if len(row_of) == len(rows) else logits_BV[rows]).float()

    def _decode_logits(self) -> torch.Tensor:
        """Return logits after each slot's last token, whose key and value go into its slot."""
        lengths = [len(run.request.prompt) + len(run.tokens) - 1 for run in self._running]
        last = [run.tokens[-1] for run in self._running]
        hidden_BD = decode_hidden(self._base.body, self._cache, last, lengths, self._windows)
        return self._base.logits(hidden_BD).float()

    def _advance(self, logits_BV: torch.Tensor, first: int) -> list[Running]:
        """Return the slots from ``first`` on with their next token; free those that are done."""
        rows = self._running[first:]
        samplings = [run.request.sampling for run in rows]
        tokens = draw_tokens(logits_BV, samplings, [run.draws for run in rows])
        for run, token in zip(rows, tokens, strict=True):
            run.advance(token, self._stop)
        if any(run.finish is not None for run in rows):
            slots = enumerate(self._running)
            self._compact([slot for slot, run in slots if run.finish is None])
        return rows

    def _compact(self, keep: list[int]) -> None:
        """Fill the slots of the finished with the last ones, so that the active are the first."""
        holes = sorted(set(range(len(keep))) - set(keep))
        movers = [slot for slot in keep if slot >= len(keep)]
        if movers:
            width = max(
                len(self._running[slot].request.prompt) + len(self._running[slot].tokens)
                for slot in movers
            )
            self._cache.move(movers, holes, width)
            for source, target in zip(movers, holes, strict=True):
                self._running[target] = self._running[source]
        del self._running[len(keep) :]


def _prefill_groups(fresh: Sequence[Request], shared: int, most_tokens: int) -> list[list[Request]]:
    """Return the requests in groups of like length, of few enough tokens and little enough padding.

    The first ``shared`` tokens of every prompt are not run and do not count, nor does a prompt that
    is the same as the one before it: draws of one problem come one after the other.
    """
    groups: list[list[Request]] = []
    rows = tokens = 0
    for request in sorted(fresh, key=lambda request: len(request.prompt)):
        if groups and request.prompt == groups[-1][-1].prompt:
            groups[-1].append(request)
            continue
        width = len(request.prompt) - shared
        rows += 1
        few = max(rows * width, rows * len(request.prompt) // _PREFILL_CONTEXT) <= most_tokens
        if groups and few and rows * width - tokens - width <= _PREFILL_PADDING:
            groups[-1].append(request)
            tokens += width
        else:
            groups.append([request])
            rows, tokens = 1, width
    return groups


def draw_tokens(
    logits_BV: torch.Tensor, samplings: Sequence[Sampling], draws: Sequence[random.Random]
) -> list[int]:
    """Return the next token of each row: the most likely at temperature 0, else drawn.

    A draw inverts the cumulative probability (most likely first, cut to ``top_p``) at one uniform
    number of the row's own generator, so it does not depend on who else is in the batch.
    """
    tokens: list[int] = logits_BV.argmax(-1).tolist()
    rows = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
    if not rows:
        return tokens
    device = logits_BV.device
    temperature_B1 = torch.tensor([[samplings[row].temperature] for row in rows], device=device)
    top_p_B1 = torch.tensor([[samplings[row].top_p] for row in rows], device=device)
    uniform_B1 = torch.tensor([[draws[row].random()] for row in rows], device=device)
    probability_BV, order_BV = (
        (logits_BV[rows] / temperature_B1).softmax(-1).sort(dim=-1, descending=True, stable=True)
    )
    reached_BV = probability_BV.cumsum(-1)
    # The smallest set of tokens whose probability reaches top_p; the first is always in it.
    kept_BV = (reached_BV - probability_BV) < top_p_B1
    kept_BV[:, 0] = True
    reached_BV = (probability_BV * kept_BV).cumsum(-1)
    goal_B1 = uniform_B1 * reached_BV[:, -1:]
    last_B1 = kept_BV.sum(-1, keepdim=True) - 1
    choice_B1 = torch.minimum((reached_BV <= goal_B1).sum(-1, keepdim=True), last_B1)
    for row, token in zip(rows, order_BV.gather(-1, choice_B1)[:, 0].tolist(), strict=True):
        tokens[row] = token
    return tokens


def slots_that_fit(base: Base, tokens: int, most: int = _MAX_SLOTS) -> int:
    """Return how many sequences of ``tokens`` tokens half of the free memory holds, from 1 to
    ``most``.
    """
    config = base.model.config
    head_size = getattr(config, "head_dim", None) or (
        config.hidden_size // config.num_attention_heads
    )
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    token_bytes = 2 * config.num_hidden_layers * heads * head_size * base.model.dtype.itemsize
    if base.device.startswith("cuda"):
        free_bytes = torch.cuda.mem_get_info(base.device)[0]
    else:
        free_bytes = psutil.virtual_memory().available
    fit: int = int(free_bytes * _CACHE_SHARE) // (token_bytes * min(tokens, base.context_tokens))
    return max(1, min(most, fit))
