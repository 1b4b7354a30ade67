"""One solving process, to be killed: asks every question and prints each tag as it comes.

python solving_process.py BASE_URL LEDGER COUNT CONCURRENCY
"""

from __future__ import annotations

import sys
from pathlib import Path

from potstill.chat import Ask, Message
from potstill.ledger.ledger import Ledger
from potstill.records import Sampling
from potstill.solvers.api import ApiSolver, Options


def main() -> None:
    """Ask every question, and print each tag as its answer comes."""
    base_url, path, count, concurrency = sys.argv[1:]
    options = Options(
        model="m", base_url=base_url, api_key_env="", concurrency=int(concurrency), backoff_s=0.01
    )
    asks = (Ask(f"q{n}", (Message("user", f"q{n}"),), Sampling()) for n in range(int(count)))
    with Ledger.open(Path(path)) as ledger:
        for result in ApiSolver(options, ledger).complete(asks, "teach"):
            print(result.tag, flush=True)


if __name__ == "__main__":
    main()
