"""A TCP line to a server that can be cut for a while."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Cable", "cable"]


class Cable:
    """A TCP line to a server that can be cut for a while."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._broken = False
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Reset every connection, and each new one, for that long."""
        self._broken = True
        for end in list(self._open):
            self._reset(end)
        time.sleep(seconds)
        self._broken = False

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                if self._broken:
                    self._reset(near)
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._open.discard(end)

    def _reset(self, end: socket.socket) -> None:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def cable(url: str) -> Iterator[tuple[Cable, str]]:
    """Lay a line to the server at a base URL; yield it with the base URL at its near end."""
    port = int(re.search(r":(\d+)/", url)[1])  # type: ignore[index]
    line = Cable(port)
    try:
        yield line, url.replace(f":{port}/", f":{line.port}/")
    finally:
        line.close()
