"""Which models an endpoint has: its ``/models``, which costs nothing and completes nothing."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from potstill.solvers.transport import LOOPBACK, url_of
from potstill.store.untrusted import parse_json

__all__ = ["Listing", "fetch_models"]

_TIMEOUT_S = 8.0
_MOST_BYTES = 16 << 20
_ALIKE = 0.3  # the least likeness of a name that is worth naming


@dataclass(frozen=True, slots=True)
class Listing:
    """The models of an endpoint, or why there is no list.

    ``reached`` is whether it answered, ``refused`` whether it said that the key is none of its own.
    """

    models: tuple[str, ...] = ()
    why: str = ""
    reached: bool = True
    whole: bool = True
    refused: bool = False

    def holds(self, model: str) -> bool:
        """Return whether a model is there, under its name or as a variant (``:free``) of one."""
        names = {model, f"{model}:latest", model.rpartition(":")[0] or model}
        return any(listed.removeprefix("models/") in names for listed in self.models) or bool(
            names & set(self.models)
        )

    def nearest(self, model: str) -> str:
        """Return the name most like a model's, "" where none is like it."""
        by_lower = {listed.lower(): listed for listed in self.models}
        own = [name for name in by_lower if name.rpartition("/")[2] == model.lower()]
        found = own or difflib.get_close_matches(model.lower(), by_lower, 1, _ALIKE)
        return by_lower[found[0]] if found else ""


def fetch_models(base_url: str, api_key: str) -> Listing:
    """Return the models that the endpoint at a base URL lists."""
    return asyncio.run(_fetch(base_url, api_key))


async def _fetch(base_url: str, api_key: str) -> Listing:
    import aiohttp

    headers = {"User-Agent": "potstill"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
                headers=headers,
                trust_env=(urlsplit(base_url).hostname or "") not in LOOPBACK,
            ) as session,
            session.get(url_of(base_url, "/models"), allow_redirects=False) as response,
        ):
            if response.status in (401, 403):
                return Listing(
                    why=f"shows its list of models to a valid key only ({response.status})",
                    refused=response.status == 401,
                )
            if response.status != 200:
                return Listing(why=f"has no list of models ({response.status})")
            raw = await response.content.read(_MOST_BYTES)
            while more := await response.content.read(_MOST_BYTES - len(raw)):
                raw += more
    except TimeoutError:
        return Listing(why=f"did not answer within {_TIMEOUT_S:.0f} s", reached=False)
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        return Listing(why=f"cannot be reached ({_reason(exc)})", reached=False)
    return _listed(raw)


def _reason(exc: Exception) -> str:
    cause = exc.__cause__ or exc
    number = getattr(cause, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(cause, "strerror", "") or type(exc).__name__


def _listed(raw: bytes) -> Listing:
    try:
        body = parse_json(raw)
    except ValueError:
        return Listing(why="has no list of models (what it sends is no JSON)")
    models = tuple(dict.fromkeys(_names(body)))
    if not models:
        return Listing(why="has no list of models (the one it sends is empty)")
    whole = not (isinstance(body, Mapping) and body.get("has_more"))
    return Listing(models, whole=whole)


def _names(body: Any) -> Iterator[str]:
    """Yield the models' names of any of the shapes that lists come in."""
    if isinstance(body, Mapping):
        body = body.get("data") or body.get("models")
    for one in body if isinstance(body, list) else ():
        if isinstance(one, Mapping):
            one = one.get("id") or one.get("name") or one.get("model")
        if isinstance(one, str) and one:
            yield one
