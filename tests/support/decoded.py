"""What a decoder makes of requests that are all there from the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from potstill.models.decoding import Decoder, Finished, Request, generate

__all__ = ["decode_all"]


def decode_all(decoder: Decoder, requests: Iterable[Request]) -> list[Finished]:
    """Return the continuation of every request, in the order they end."""
    return list(chain.from_iterable(generate(decoder, requests)))
