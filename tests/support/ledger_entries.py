"""Entries of a ledger, and a process that commits them until a small disk is full.

python -m support.ledger_entries LEDGER
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from potstill.chat import Message
from potstill.errors import StoreError
from potstill.ledger.ledger import Entry, Ledger, key_of_request, request_json
from potstill.records import Sampling
from support.small_disk import small_disk


def entry(number: int, raw: bytes = b'{"choices": []}', **more: object) -> Entry:
    """Make the entry of a numbered question, some of its fields changed."""
    request = request_json("p", "m", [Message("user", f"q{number}")], Sampling(), 0, 0)
    plain = Entry(key_of_request(request), "teach", "p", "m", request, raw, 10, 20)
    return replace(plain, **more)


async def fill(ledger: Ledger) -> None:
    """Commit entries until one is refused; print how many were not, and why it was."""
    for number in range(10_000):
        try:
            await ledger.commit(entry(number, raw=os.urandom(5000)))
        except StoreError as exc:
            print(number, exc)
            return


def main(path: Path) -> None:
    """Fill a ledger on a small disk, and print whether it takes an entry thereafter."""
    with small_disk(400_000), Ledger.open(path) as ledger:
        asyncio.run(fill(ledger))
        try:
            ledger.put(entry(20_000))
        except StoreError:
            print("still full")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
