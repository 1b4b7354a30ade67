"""A server that says any bytes at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["endpoint"]


@contextmanager
def endpoint(reply: bytes) -> Iterator[str]:
    """Serve on loopback these very bytes to every request, and hang up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError), connection.makefile("rb") as request:
                connection.settimeout(5)
                length = 0
                while (line := request.readline()).strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line[15:])
                request.read(length)
                connection.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.close()
