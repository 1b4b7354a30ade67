"""Any OpenAI-compatible endpoint as a solver: fast, durable, and never paid twice for one reply."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator
from pydantic_core import PydanticCustomError

from potstill.chat import Ask, Completion, never
from potstill.errors import EndpointError, InputError, PotstillError
from potstill.ledger.ledger import Event, Ledger, key_of_request, request_json
from potstill.ledger.prices import Price, Rate, price_of
from potstill.protocol.parse import completion_from, wire_seed
from potstill.solvers.client import ApiCall, ApiClient, Terms
from potstill.solvers.listing import Listing, fetch_models
from potstill.store.setting_errors import SECRET_VALUE
from potstill.store.settings import Settings

__all__ = [
    "ApiSolver",
    "Options",
    "PriceOptions",
    "RateOptions",
    "check",
    "key_there",
    "models_there",
    "open_solver",
    "price",
]

Seconds = Annotated[float, Field(gt=0, le=604_800)]


_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


_LEAST_PRICE = 0.0005
"""Dollars per million tokens: genai-prices knows none below 0.003, and per token none above it."""


class _Prices(Settings):
    input: float = Field(ge=0, description="Of a token sent.")
    output: float = Field(ge=0, description="Of a token received.")
    cached: float = Field(default=-1.0, ge=-1.0, description="as input where it is not given")

    @field_validator("input", "output", "cached")
    @classmethod
    def _per_million(cls, value: float) -> float:
        if 0 < value < _LEAST_PRICE:
            raise ValueError(
                f"prices are dollars per million tokens, and {value:g} looks like one per token; "
                f"give {value * 1e6:g}"
            )
        return value


class RateOptions(_Prices):
    """What is charged within some hours of the day."""

    hours: list[str] = Field(min_length=1, description='In UTC, like ["16:30-00:30"].')

    @field_validator("hours")
    @classmethod
    def _of_the_day(cls, value: list[str]) -> list[str]:
        for hours in value:
            if not _HOURS.fullmatch(hours) or hours[:5] == hours[6:]:
                raise ValueError(f"{hours!r} are no hours; write them like 16:30-00:30, in UTC")
        return value


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class PriceOptions(_Prices):
    """What this endpoint charges, in dollars per million tokens, in place of the table's price.

    Where it charges less in some hours, ``off_peak`` says when; estimates take the peak's price,
    the ledger each call's own.
    """

    off_peak: RateOptions | None = Field(default=None, description="The price of other hours.")

    @model_validator(mode="after")
    def _peak(self) -> Self:
        other = self.off_peak
        if other is not None and (other.input > self.input or other.output > self.output):
            raise ValueError(
                "off_peak is dearer than the price beside it, by which the estimate and the budget "
                "go; give the dearer price there, and the hours of the cheaper"
            )
        return self


# What a request holds already, and what sets it: in extra_body it would say another thing than the
# study's records.
_LIMIT_SETTING = "set max_tokens beside model (limit_field says what the provider calls it)"
_OWN_SETTINGS = {
    "model": "set model",
    "messages": "set system and prompt",
    "temperature": "set temperature beside model",
    "top_p": "set top_p beside model",
    "seed": "set seed beside model",
    "max_tokens": _LIMIT_SETTING,
    "max_completion_tokens": _LIMIT_SETTING,
    "max_new_tokens": _LIMIT_SETTING,
    "max_output_tokens": _LIMIT_SETTING,
    "n": "set samples: each is asked for, kept and paid on its own",
    "best_of": "set samples: each is asked for, kept and paid on its own",
    "stream": "set stream beside model",
}
_ALWAYS_SENT = {"model", "messages", "stream"}
_LEAST_SECONDS = {"timeout_connect_s": 0.1, "timeout_read_s": 0.5, "timeout_total_s": 0.5}
_LEAST_PER_MINUTE = {"requests_per_minute": 0.01, "tokens_per_minute": 100.0}


class Options(Settings):
    """The settings of an API solver."""

    model: str = Field(min_length=1, description="The model's name at the endpoint.")
    base_url: str = Field(description="Where it answers, like https://host/v1.")
    provider: str = Field(
        default="openai-compatible",
        min_length=1,
        description="Part of a reply's identity in the ledger; the address is not.",
    )
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="The environment variable that holds the key."
    )
    api_key_file: str = Field(default="", description="A file that holds the key, in its place.")
    concurrency: int = Field(default=32, ge=1, le=10_000, description="Calls in flight.")
    requests_per_minute: float = Field(
        default=0, ge=0, description="A bound of our own; 0 sets none."
    )
    tokens_per_minute: float = Field(
        default=0, ge=0, description="A bound of our own; 0 sets none."
    )
    timeout_connect_s: Seconds = Field(default=10.0, description="Seconds to connect.")
    timeout_read_s: Seconds = Field(default=300.0, description="Seconds without a byte.")
    timeout_total_s: Seconds = Field(default=3600.0, description="Seconds for the whole reply.")
    stream: bool = Field(default=True, description="Replies come piece by piece.")
    retries: int = Field(
        default=6, ge=0, le=100, description="Further tries of a call that failed in passing."
    )
    backoff_s: Seconds = Field(default=0.5, description="Seconds before the first of them.")
    backoff_max_s: Seconds = Field(default=30.0, description="Seconds at most between two.")
    limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", description="What the provider calls the token limit."
    )
    thinking: bool | str | dict[str, JsonValue] | None = Field(
        default=None,
        description="Whether it thinks first, sent as {type: enabled} or {type: disabled}; a word "
        "is sent as the type, a mapping as it stands. The model's own way where it is not given.",
    )
    reasoning_effort: str = Field(
        default="", description="How much it thinks, in the provider's word: low, high, max."
    )
    extra_body: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Further fields of the request, part of its identity; null leaves one out.",
    )
    price: PriceOptions | None = Field(default=None, description="In place of the table's price.")

    @property
    def extra(self) -> dict[str, JsonValue]:
        """The fields of the request beside those that every request has."""
        more: dict[str, JsonValue] = {}
        match self.thinking:
            case bool(thinks):
                more["thinking"] = {"type": "enabled" if thinks else "disabled"}
            case str(word):
                more["thinking"] = {"type": word}
            case dict(mapping):
                more["thinking"] = mapping
        if self.reasoning_effort:
            more["reasoning_effort"] = self.reasoning_effort
        return more | self.extra_body

    def identity(self) -> dict[str, JsonValue]:
        """Return what decides the answers: who is asked and with what, never where or how fast."""
        who: dict[str, JsonValue] = {"provider": self.provider, "model": self.model}
        return who | ({"extra_body": self.extra} if self.extra else {})

    @model_validator(mode="after")
    def _most(self) -> Self:
        for name, most in (
            ("backoff_s", "backoff_max_s"),
            ("timeout_connect_s", "timeout_total_s"),
            ("timeout_read_s", "timeout_total_s"),
        ):
            given = {name, most} <= self.model_fields_set
            if given and (low := getattr(self, name)) > (high := getattr(self, most)):
                raise ValueError(
                    f"{name} ({low:g}) is never reached beside {most} ({high:g}); lower it, or "
                    f"raise {most}"
                )
        return self

    @field_validator("extra_body")
    @classmethod
    def _beside_ours(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name, held in value.items():
            setting = _OWN_SETTINGS.get(name)
            if setting and (held is not None or name in _ALWAYS_SENT):
                raise ValueError(f"leave {name!r} out and {setting}")
        return value

    @field_validator("api_key_env")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if value and not _VARIABLE.fullmatch(value):
            raise ValueError(
                "should be the name of an environment variable (letters, digits and underscores, "
                "such as OPENAI_API_KEY), never the key itself; put the key into that variable"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _plain_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must be like https://host/v1")
        if parts.username or parts.password or _SECRET_PARAMETER.search(f"&{parts.query}"):
            raise PydanticCustomError(
                SECRET_VALUE, "base_url must not hold a secret; name it in api_key_env"
            )
        ending = re.search(r"/(?:chat/)?completions/?$|/responses/?$", parts.path)
        if ending:
            raise ValueError(f"base_url ends before {ending[0]}, which is added to it; take it off")
        return value


# "?api-version=2024" may stand in an address, "&key=..." may not
_SECRET_PARAMETER = re.compile(
    r"[&;](?:[\w.-]*[-_.])?(?:api-?)?(?:key|token|secret|sig|signature|password|code)=", re.I
)
# a key in quotes, the name of a variable, NAME=key as a file of settings has it, <your key>
_NO_KEY = re.compile(
    r"\s|^([\"'`]).*\1$|^\$\{?\w+\}?$|^\$\{|^<.*>$|^[A-Z][A-Z0-9_]*=[^=\s]", re.DOTALL
)


def price(options: Options) -> Price | None:
    """Return what these options' model charges: the study's own figure, else the table's."""
    own = options.price
    if own is None:
        return price_of(options.model, base_url=options.base_url, provider=options.provider)
    usual = _rate("", own)
    rates = [_rate(hours, own.off_peak) for hours in (own.off_peak.hours if own.off_peak else ())]
    return Price(
        *(options.model, "", usual.input, usual.cached, usual.output, "the study"),
        rates=(usual, *rates) if rates else (),
    )


def _rate(hours: str, own: PriceOptions | RateOptions | None) -> Rate:
    if own is None:
        return Rate(hours, 0.0, 0.0, 0.0)
    return Rate(hours, own.input, own.input if own.cached < 0 else own.cached, own.output)


def key_there(options: Options) -> tuple[str, bool] | None:
    """Return where the API key is read from and whether it is there; None where none is needed."""
    if options.api_key_file:
        there = Path(options.api_key_file).expanduser().is_file()
        return f"its key's file{'' if there else ' is not there'}", there
    if not options.api_key_env:
        return None
    there = bool(os.environ.get(options.api_key_env, "").strip())
    return f"{options.api_key_env} is {'' if there else 'not '}set", there


def check(options: Options) -> None:
    """Raise PotstillError for an API key that is there and cannot be one, and for times and rates
    under which nothing would be answered.
    """
    found = key_there(options)
    if found is not None and found[1]:
        _api_key(options)
    for name, least in _LEAST_SECONDS.items():
        if (given := getattr(options, name)) < least:
            raise InputError(
                f"{name}: within {given:g} s no model has answered, and what it answers later is "
                f"paid for and lost; give {Options.model_fields[name].default:g} or so."
            )
    for name, least in _LEAST_PER_MINUTE.items():
        if 0 < (given := getattr(options, name)) < least:
            raise InputError(
                f"{name}: at {given:g} a minute a call is sent every few hours at most; give what "
                "the endpoint allows, or 0 for no bound."
            )


def models_there(options: Options) -> Listing:
    """Return the models that the endpoint says it has; nothing is completed and nothing costs."""
    try:
        key = _api_key(options)
    except PotstillError as exc:
        return Listing(why=f"is not asked: {exc}", reached=False)
    return fetch_models(options.base_url, key)


class ApiSolver:
    """A :class:`~potstill.chat.Solver` that asks an endpoint and keeps every reply.

    ``stop`` is asked before each purchase: a reason ends buying (a budget that is spent) and what
    was not bought comes back as not asked, with it; what is in flight is still waited for.
    """

    precision = "api"

    def __init__(
        self,
        options: Options,
        ledger: Ledger,
        *,
        stop: Callable[[], str] = never,
    ) -> None:
        self.options = options
        self._ledger = ledger
        self._stop = stop
        self._extra = json.loads(json.dumps(options.extra, sort_keys=True))

    @property
    def id(self) -> str:
        """The name of the solver: the model's."""
        return self.options.model

    def key_of(self, ask: Ask) -> str:
        """Return the ledger key of an ask, whether or not it was bought."""
        return key_of_request(self._request(ask))

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        """Yield one result per ask, in any order: from the ledger for nothing, else bought, then
        kept.

        Asks are drawn as results are taken: at most twice the concurrency waits. Leaving the
        iteration early cancels what is in flight. Raises EndpointError where no ask can succeed
        and StoreError where replies can no longer be kept.
        """
        client = ApiClient(self._terms(stage), self._ledger)
        waiting: dict[str, list[Ask]] = {}
        hits = 0
        try:
            todo = iter(asks)
            more = True
            while more or waiting:
                calls: list[ApiCall] = []
                while more and len(waiting) < client.window:
                    ask = next(todo, None)
                    if ask is None:
                        more = False
                        break
                    request = self._request(ask)
                    key = key_of_request(request)
                    if key in waiting:
                        waiting[key].append(ask)
                    elif (raw := self._ledger.get(key)) is not None:
                        hits += 1
                        yield completion_from(ask, key, raw)
                    else:
                        waiting[key] = [ask]
                        calls.append(ApiCall(key, request, self._body(ask), ask))
                        if len(calls) >= client.window // 8:
                            break
                client.send(calls)
                ready = client.take(block=bool(waiting) and not (more and calls))
                for done in ready:
                    for ask in waiting.pop(done.ledger_key):
                        yield done.answering(ask, done.ledger_key)
            client.settle()
        finally:
            client.close()
            if hits:
                self._note_hits(stage, hits)

    def _note_hits(self, stage: str, hits: int) -> None:
        options = self.options
        self._ledger.note(Event(stage, options.provider, options.model, "ledger hit", n=hits))

    def _request(self, ask: Ask) -> str:
        options = self.options
        return request_json(
            *(options.provider, options.model, ask.messages, ask.sampling),
            *(ask.sample, ask.attempt, self._extra),
        )

    def _body(self, ask: Ask) -> bytes:
        sampling = ask.sampling
        body: dict[str, object] = {
            "model": self.options.model,
            "messages": [{"role": m.role, "content": m.content} for m in ask.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": wire_seed(sampling.seed, ask.sample, ask.attempt),
            self.options.limit_field: sampling.max_tokens,
        }
        if self.options.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        body |= self._extra
        kept = {name: value for name, value in body.items() if value is not None}
        return json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace")

    def _terms(self, stage: str) -> Terms:
        options = self.options
        read_s = options.timeout_read_s if options.stream else options.timeout_total_s
        hint = f"set {options.api_key_env}" if options.api_key_env else "set api_key_env"
        if options.api_key_file:
            hint = f"check {options.api_key_file}"
        return Terms(
            stage=stage,
            provider=options.provider,
            model=options.model,
            base_url=options.base_url,
            api_key=_api_key(options),
            key_hint=hint,
            concurrency=options.concurrency,
            requests_per_minute=options.requests_per_minute,
            tokens_per_minute=options.tokens_per_minute,
            timeouts_s=(options.timeout_connect_s, read_s, options.timeout_total_s),
            retries=options.retries,
            backoff_s=options.backoff_s,
            backoff_max_s=options.backoff_max_s,
            price=price(options),
            stop=self._stop,
        )


@contextmanager
def open_solver(
    options: Options, ledger: Ledger, *, stop: Callable[[], str] = never
) -> Iterator[ApiSolver]:
    """Yield the solver of these options, as every solver plugin gives one."""
    yield ApiSolver(options, ledger, stop=stop)


def _api_key(options: Options) -> str:
    if options.api_key_file:
        try:
            key = Path(options.api_key_file).expanduser().read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise InputError(
                f"The API key file {options.api_key_file} cannot be read; write the key into it."
            ) from exc
        where = options.api_key_file
    else:
        key = os.environ.get(options.api_key_env, "").strip() if options.api_key_env else ""
        where = options.api_key_env
    if not key.isascii() or _NO_KEY.search(key):
        raise EndpointError(
            f"The API key for {options.model} (in {where}) holds a blank, quotes around it or what "
            "else no key has; write the key there alone, as the provider gives it."
        )
    return key
