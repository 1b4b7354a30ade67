"""The replies a ledger keeps as a solver: what was bought once, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from potstill.chat import Ask, Completion
from potstill.errors import InputError, StoreError
from potstill.ledger.ledger import NO_RECORD, Ledger, key_of_request, request_json
from potstill.protocol.parse import completion_from

__all__ = ["KeptReplies"]


class KeptReplies:
    """A :class:`~potstill.chat.Solver` that answers from a ledger alone; it cannot buy.

    What failed when it was first asked fails again in the same way: the ledger's events say how.
    """

    precision = "api"

    def __init__(self, provider: str, model: str, extra: Mapping[str, Any], ledger: Ledger) -> None:
        self._provider = provider
        self._model = model
        self._extra = json.loads(json.dumps(dict(extra), sort_keys=True))
        self._ledger = ledger
        self._lost: dict[str, tuple[str, str]] | None = None

    @classmethod
    def of(cls, module: Any, options: Any, ledger: Ledger) -> KeptReplies:
        """Return the replies to the solver that a plugin's module opens with these options.

        Its provider in the ledger is ``options.provider``, or the module's ``PROVIDER``; its model
        ``module.ledger_model(options)`` where there is one, or ``options.model``. Raises InputError
        for a plugin that names no provider.
        """
        provider = getattr(options, "provider", "") or getattr(module, "PROVIDER", "")
        if not provider:
            raise InputError(
                f"The solver {module.__name__} does not say under which provider its replies stand "
                "in the ledger; give its module a PROVIDER to have its studies reproduced."
            )
        named = getattr(module, "ledger_model", None)
        model = named(options) if named else options.model
        extra = getattr(options, "extra", None) or getattr(options, "extra_body", None) or {}
        return cls(provider, model, extra, ledger)

    @property
    def id(self) -> str:
        """The model that gave the replies."""
        return self._model

    def request_of(self, ask: Ask) -> str:
        """Return the canonical JSON of an ask, as the ledger keeps it."""
        return request_json(
            *(self._provider, self._model, ask.messages, ask.sampling),
            *(ask.sample, ask.attempt, self._extra),
        )

    def key_of(self, ask: Ask) -> str:
        """Return the ledger key of an ask, whether or not it was bought."""
        return key_of_request(self.request_of(ask))

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        """Yield one result per ask, in order.

        Raises StoreError where the ledger knows nothing of one.
        """
        for ask in asks:
            key = self.key_of(ask)
            raw = self._ledger.get(key)
            if raw is not None:
                yield completion_from(ask, key, raw)
            else:
                yield self._as_it_failed(ask, key, stage)

    def _as_it_failed(self, ask: Ask, key: str, stage: str) -> Completion:
        if self._lost is None:
            self._lost = self._ledger.lost()
        if key not in self._lost:
            raise StoreError(
                f"The ledger holds no reply of {self._model} to {ask.tag} (stage {stage}, sample "
                f"{ask.sample}, attempt {ask.attempt}), and nothing is bought here; finish the "
                "study with potstill run, or bring the reply in with potstill ledger DIR --import."
            )
        kind, detail = self._lost[key]
        if kind == NO_RECORD:
            return Completion.unasked(ask, key, detail)
        return Completion.failed(ask, key, detail)
