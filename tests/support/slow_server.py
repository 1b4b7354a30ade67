"""``potstill serve`` of a study's R1 with a pause at every token, so that answers take seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from potstill.analysis.students import find_student
from potstill.deploy.loading import open_engine
from potstill.deploy.serve.serving import serve_engine
from potstill.models.decoding import Request, Running
from potstill.models.torch_decoding import TorchDecoder
from potstill.protocol.server import listen


class SlowDecoder(TorchDecoder):
    def step(self, fresh: Sequence[Request]) -> list[Running]:
        time.sleep(0.05)
        return super().step(fresh)


def serve_slowly(directory: Path) -> None:
    """Serve a study's R1 until told to end, slowly."""
    found = find_student(directory, "R1")
    with closing(listen("127.0.0.1", 0)) as listener, open_engine(found, "transformers") as engine:
        assert isinstance(engine.decoder, TorchDecoder)
        engine.decoder.__class__ = SlowDecoder
        serve_engine(
            listener,
            replace(engine, name="slow"),
            found.condition,
            [found.name],
            lambda url: print(f"{found.name} answers at {url}", flush=True),
        )


if __name__ == "__main__":
    serve_slowly(Path(sys.argv[1]))
