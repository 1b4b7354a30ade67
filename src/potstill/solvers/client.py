"""Buying replies in a thread of its own: an event loop that fetches, commits and hands over."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from potstill.chat import Ask, Completion, never
from potstill.errors import EndpointError, PotstillError
from potstill.ledger.ledger import NO_RECORD, Entry, Event, Ledger, now_utc
from potstill.ledger.names import name_note
from potstill.ledger.prices import Cost, Price, cost_usd
from potstill.protocol.parse import CALLED_TOOL, completion_bytes, parse_completion
from potstill.protocol.shapes import NotAReply
from potstill.records import Finish
from potstill.solvers.pacing import Limiter, RateLimit
from potstill.solvers.transport import (
    Failure,
    Fetched,
    Filtered,
    Forbidden,
    NoRecord,
    Refused,
    Transport,
)

__all__ = ["ApiCall", "ApiClient", "Terms"]

_UNPROVEN_LOSSES = 5  # asks lost before the first reply ever: the endpoint, not the ask, is wrong
_FIRST_TRIES = 3  # where nothing was ever reached, or answered as a chat completion
_FIRST_BLANKS = 5  # replies without a word, before any with one: nothing is learnt from paying more
_LOOKED_AT = 50
_UNCOUNTED = 3  # replies in a row without counts, after one with them, that no budget bears
# Until the endpoint's first word, seconds that a request has alone, and the first few have.
_ALONE_S = 2.0
_FEW_S = 30.0


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything that buying from one endpoint for one stage depends on."""

    stage: str
    provider: str
    model: str
    base_url: str
    api_key: str = field(repr=False)
    key_hint: str
    concurrency: int
    requests_per_minute: float
    tokens_per_minute: float
    timeouts_s: tuple[float, float, float]
    retries: int
    backoff_s: float
    backoff_max_s: float
    price: Price | None
    stop: Callable[[], str]


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One reply to buy: its key, the request the key is of, and the body to send."""

    key: str
    request: str
    body: bytes
    ask: Ask


class ApiClient:
    """Buys calls concurrently. The thread starts with the first call; always close it."""

    def __init__(self, terms: Terms, ledger: Ledger) -> None:
        self._terms = terms
        self._ledger = ledger
        self._out: queue.SimpleQueue[Completion | BaseException] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[list[ApiCall] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: _Session | None = None
        self._started = threading.Event()
        self._closed = False

    @property
    def window(self) -> int:
        """How many calls may be with the client: in flight and as many ahead."""
        limiter = self._session.limiter if self._session else None
        return 2 * int(limiter.limit) if limiter else 2 * min(64, self._terms.concurrency)

    def send(self, calls: list[ApiCall]) -> None:
        """Hand over the calls to be bought."""
        if not calls:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="api-client", daemon=True)
            self._thread.start()
            self._started.wait()
        if self._loop is not None and self._session is not None:
            self._loop.call_soon_threadsafe(self._session.start, calls)

    def take(self, block: bool) -> list[Completion]:
        """Return what has come of calls since; waits for the first where ``block``. May raise."""
        ready: list[Completion] = []
        while True:
            try:
                item = self._out.get(block=block and not ready)
            except queue.Empty:
                return ready
            if isinstance(item, BaseException):
                raise item
            ready.append(item)

    def settle(self) -> None:
        """Raise EndpointError where all calls are done and the key was refused for every one."""
        if self._session is not None and self._session.suspect is not None:
            raise self._session.suspect

    def close(self) -> None:
        """Cancel what is in flight and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closed = True  # read by a thread that has no session yet: Ctrl-C came as it started
        if self._loop is not None and self._session is not None:
            self._loop.call_soon_threadsafe(self._session.end.set)
        if thread.is_alive():  # not where Ctrl-C came before it was
            thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:  # the consumer's thread raises it
            self._out.put(exc)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        session = _Session(self._terms, self._ledger, self._out.put)
        self._loop = asyncio.get_running_loop()
        self._session = session
        if self._closed:
            session.end.set()
        self._started.set()
        try:
            await session.end.wait()
        finally:
            await session.close()


class _Session:
    """The part of a client that lives in its event loop."""

    def __init__(
        self, terms: Terms, ledger: Ledger, hand_over: Callable[[Completion | BaseException], None]
    ) -> None:
        self.limiter = Limiter(terms.concurrency)
        self.end = asyncio.Event()
        self._terms = terms
        self._ledger = ledger
        self._hand_over = hand_over
        self._who = f"{terms.model} at {terms.base_url}"
        self._transport = Transport(
            terms.base_url, terms.api_key, self._who, terms.key_hint, terms.timeouts_s
        )
        self._requests = RateLimit(terms.requests_per_minute)
        self._tokens = RateLimit(terms.tokens_per_minute)
        self._usual_tokens = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._proven = ledger.has_replies(terms.provider, terms.model)
        self._lost_in_a_row = 0
        self.suspect: EndpointError | None = None  # what every refusal so far may mean
        self._forbidden_calls = self._held = 0
        self._spoke = False
        self._blanks = 0
        self._uncounted = _UNCOUNTED - 1  # in a row; before the first with counts one is enough
        self._alone = not (self._proven and self._spoke_before())  # one request at a time
        self._unanswered = 0  # of those, how many were waited for in vain
        self._turn = asyncio.Lock()
        self._trial: asyncio.Event | None = None  # the request that is alone is done
        self._stirred = asyncio.Event()
        self._backoff = wait_random_exponential(
            multiplier=terms.backoff_s, max=terms.backoff_max_s, min=terms.backoff_s / 2
        )
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(Failure),
            stop=self._give_up,
            wait=self._wait_s,
            sleep=asyncio.sleep,
            reraise=True,
        )

    def start(self, calls: list[ApiCall]) -> None:
        for call in calls:
            task = asyncio.get_running_loop().create_task(self._buy(call))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._stirred.set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transport.close()

    async def _buy(self, call: ApiCall) -> None:
        try:
            trial = await self._behind_the_first()
            self._hand_over(await self._bought(call))
            trial.set()
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            self._hand_over(exc)

    async def _behind_the_first(self) -> asyncio.Event:
        """Wait for those before, each a moment, until one has a word or failed in passing.

        So a refused key costs one request, silence or another protocol no more than five, and an
        endpoint that is slower than it may be no more than five, twice.
        """
        own = asyncio.Event()
        async with self._turn:
            if self._alone and self._trial is not None:
                few = self._unanswered < _FIRST_BLANKS - 1
                try:
                    await asyncio.wait_for(self._trial.wait(), _ALONE_S if few else _FEW_S)
                except TimeoutError:
                    self._unanswered += 1
                    self._alone = few
            self._trial = own
        return own

    def _let_all_go(self) -> None:
        self._alone = False
        if self._trial is not None:
            self._trial.set()

    def _refuse_silence(self, parsed: Completion) -> None:
        """Raise EndpointError where the model has answered several times and never with a word."""
        if parsed.text.strip() or parsed.reasoning.strip():
            self._spoke = True
            self._let_all_go()
        elif parsed.finish is not Finish.FILTERED:
            self._blanks += 1
        if self._spoke or self._blanks < _FIRST_BLANKS or self._spoke_before():
            return
        why = "neither content nor reasoning: see that the model and its settings are right"
        if parsed.finish is Finish.LENGTH:
            why = "their limit was reached before a word: raise max_tokens"
        elif CALLED_TOOL in parsed.notes:
            why = "it calls a tool in place of answering: turn its tools off, or name another model"
        raise EndpointError(
            f"{self._who} answered the first {self._blanks} questions with an empty text ({why}); "
            "nothing more is asked, and every reply so far is kept."
        )

    def _spoke_before(self) -> bool:
        """Return whether the ledger holds a reply of this model with a word in it."""
        for entry in islice(self._ledger.entries(self._terms.model), _LOOKED_AT):
            try:
                kept = parse_completion(entry.raw)
            except NotAReply:
                continue
            if kept.text.strip() or kept.reasoning.strip():
                self._spoke = True
        return self._spoke

    async def _bought(self, call: ApiCall) -> Completion:
        tries = 1
        try:
            try:
                fetched, parsed = await self._attempt(call)
            except Failure as first:
                fetched, parsed, tries = await self._again(call, first)
        except NoRecord as exc:
            self._won()
            why = str(exc) or "the replay has no record of it"
            self._note(call, NO_RECORD, why)
            return Completion.unasked(call.ask, call.key, why)
        except _Stopped as exc:
            return Completion.unasked(call.ask, call.key, str(exc))
        except Filtered as exc:
            return await self._filtered(call, str(exc))
        except Forbidden as exc:
            return await self._forbidden(call, str(exc))
        except Refused as exc:
            self._note(call, "refused", str(exc))
            self._lost(str(exc), whole_endpoint=False)
            return Completion.failed(call.ask, call.key, str(exc))
        except Failure as exc:
            self._note(call, exc.kind, exc.detail)
            if exc.kind == "unreachable" and not self._transport.connected:
                raise EndpointError(
                    f"{self._who} cannot be reached ({exc.detail}); check base_url and that the"
                    " server runs."
                ) from exc
            why = f"no reply after {exc.tries} tries ({exc.detail})"
            self._lost(why, whole_endpoint=True)
            return Completion.failed(call.ask, call.key, why)
        self._won()
        for note in filter(None, (*parsed.notes, name_note(self._terms.model, parsed.model))):
            self._note(call, f"kept with {note}", "")
        await self._ledger.commit(self._entry(call, fetched, parsed, tries - 1))
        self._refuse_silence(parsed)
        self._uncounted = 0 if parsed.counted else self._uncounted + 1
        if self._terms.stop is not never and self._uncounted >= _UNCOUNTED:
            raise EndpointError(
                f"{self._who} does not say how many tokens its replies took, so no budget can be "
                "kept to; ask an endpoint that reports usage, or take budget_usd out."
            )
        return parsed.answering(call.ask, call.key)

    async def _filtered(self, call: ApiCall, why: str) -> Completion:
        """Keep that a filter turned the prompt away: an outcome, which is not asked for again."""
        self._won()
        self._note(call, "filtered", why)
        refusal = Completion("", "", Finish.FILTERED, error=why)
        raw = completion_bytes(self._terms.model, refusal, reply_id="refused")
        parsed = parse_completion(raw)
        await self._ledger.commit(self._entry(call, Fetched(raw, 0.0, 0.0, False), parsed, 0))
        return parsed.answering(call.ask, call.key)

    async def _forbidden(self, call: ApiCall, why: str) -> Completion:
        """Take a 403 for this prompt's own, unless nothing was ever answered.

        A prompt is turned away at once while answers take their time, so it waits for the others.
        """
        self._note(call, "refused", why)
        self._let_all_go()
        self._forbidden_calls += 1
        self._held += 1
        self._stirred.set()
        try:
            while not self._proven and self._held < len(self._tasks):
                self._stirred.clear()
                await self._stirred.wait()
        finally:
            self._held -= 1
        if not self._proven:
            self.suspect = self._transport.key_refused(403, why.partition("(403)")[2])
            if self._forbidden_calls >= _UNPROVEN_LOSSES:
                raise self.suspect
        self._lost(why, whole_endpoint=True)
        return Completion.failed(call.ask, call.key, why)

    async def _again(self, call: ApiCall, first: Failure) -> tuple[Fetched, Completion, int]:
        # tenacity costs a tenth of a millisecond a call, so only what failed once goes through it.
        failed: list[Failure] = [first]

        async def one() -> tuple[Fetched, Completion]:
            if failed:
                raise failed.pop()
            return await self._attempt(call)

        retrying = self._retrying.copy(before_sleep=partial(self._note_retry, call))
        fetched: Fetched
        parsed: Completion
        try:
            fetched, parsed = await retrying(one)
        except Failure as last:
            last.tries = int(retrying.statistics["attempt_number"])
            raise
        return fetched, parsed, int(retrying.statistics["attempt_number"])

    async def _attempt(self, call: ApiCall) -> tuple[Fetched, Completion]:
        if reason := self._terms.stop():
            raise _Stopped(reason)
        guess = self._guess_tokens(call)
        await self._requests.take()
        await self._tokens.take(guess)
        await self.limiter.acquire()
        sent_at = time.monotonic()
        try:
            if reason := self._terms.stop():
                raise _Stopped(reason)
            fetched = await self._transport.fetch(call.body, self._let_all_go)
            try:
                parsed = parse_completion(fetched.raw)
            except NotAReply as exc:
                raise self._transport.not_a_reply(exc) from exc
        except Failure as exc:
            if self._proven or exc.kind not in ("malformed", "timeout"):
                self._let_all_go()
            if exc.throttled:
                self.limiter.throttled(sent_at, exc.after_s)
            raise
        finally:
            self.limiter.release()
        self._pace(fetched, parsed, guess)
        return fetched, parsed

    def _pace(self, fetched: Fetched, parsed: Completion, guess: float) -> None:
        used = parsed.tokens_in + parsed.tokens_out
        self._tokens.settle(used - guess)
        self._usual_tokens = (
            used if not self._usual_tokens else 0.9 * self._usual_tokens + 0.1 * used
        )
        if fetched.streamed:
            self.limiter.answered(fetched.first_byte_s, slack_s=1.0)
        else:
            self.limiter.answered(fetched.seconds / max(1, parsed.tokens_out), slack_s=0.05)

    def _guess_tokens(self, call: ApiCall) -> float:
        return self._usual_tokens or len(call.body) / 4 + min(call.ask.sampling.max_tokens, 2048)

    def _entry(self, call: ApiCall, fetched: Fetched, parsed: Completion, retries: int) -> Entry:
        terms = self._terms
        cost, told = Cost(0.0, False), parsed.counted
        if terms.price is not None:
            cost = cost_usd(
                *(terms.model, parsed.tokens_in, parsed.tokens_cached, parsed.tokens_out),
                overrides={terms.model: terms.price},
                at=datetime.now(UTC) - timedelta(seconds=fetched.seconds),  # when it was asked
            )
            told = told or terms.price.is_nothing
        return Entry(
            key=call.key,
            stage=terms.stage,
            provider=terms.provider,
            model=terms.model,
            request=call.request,
            raw=fetched.raw,
            tokens_in=parsed.tokens_in,
            tokens_out=parsed.tokens_out,
            tokens_cached=parsed.tokens_cached,
            reasoning_tokens=parsed.reasoning_tokens,
            cost_usd=cost.usd,
            priced=cost.known and told,
            seconds=fetched.seconds,
            retries=retries,
            created_at=now_utc(),
        )

    def _give_up(self, state: RetryCallState) -> bool:
        kind, tries = _failure(state).kind, state.attempt_number
        unreachable = kind == "unreachable" and not self._transport.connected
        # a page in place of a reply, say, where no reply ever came: it is the wrong address
        first = 2 if kind == "timeout" else _FIRST_TRIES
        if unreachable or (kind in ("malformed", "timeout") and not self._proven):
            return tries >= min(first, self._terms.retries + 1)
        return tries > self._terms.retries

    def _wait_s(self, state: RetryCallState) -> float:
        return max(_failure(state).after_s, self._backoff(state))

    def _note_retry(self, call: ApiCall, state: RetryCallState) -> None:
        failure = _failure(state)
        self._note(call, failure.kind, failure.detail)

    def _note(self, call: ApiCall, kind: str, detail: str) -> None:
        terms = self._terms
        self._ledger.note(Event(terms.stage, terms.provider, terms.model, kind, detail, call.key))

    def _won(self) -> None:
        self._proven = True
        self.suspect = None
        self._stirred.set()
        self._lost_in_a_row = 0

    def _lost(self, why: str, whole_endpoint: bool) -> None:
        """Raise EndpointError where so many asks are lost that the endpoint must be at fault."""
        if self._proven and not whole_endpoint:
            return
        self._lost_in_a_row += 1
        enough = max(20, self._terms.concurrency) if self._proven else _UNPROVEN_LOSSES
        if self._lost_in_a_row >= enough:
            raise EndpointError(
                f"{self._who} answered none of the last {enough} questions: {why}; see that"
                " base_url is its address and the settings fit, and run again: every reply so far"
                " is kept."
            )


class _Stopped(Exception):
    """Buying was stopped; the message is the reason."""


def _failure(state: RetryCallState) -> Failure:
    outcome = state.outcome
    exc = outcome.exception() if outcome is not None else None
    if not isinstance(exc, Failure):  # tenacity asks only after a Failure
        raise PotstillError("a retry without a failure")
    return exc
