"""A way over TCP between a client and a server on this machine, which a test can cut or let go silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self


class Relay:
    """Leads each connection to ``port`` of 127.0.0.1; used with ``with``.

    ``after``: bytes that reach the server over a connection before it is cut, or falls silent if ``silent``. ``deaf``:
    the next answer of the server is lost, and its connection is cut.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.after: int | None = None
        self.silent = False
        self.deaf = False
        self.connections = 0
        self._is_over = False
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes who accepts
        self.cut()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def cut(self) -> None:
        """Every connection ends now."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._is_over:
                client.close()
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            self.connections += 1
            self._open += [client, server]
            self._start(self._carry, client, server, self._goes_on)
            self._start(self._carry, server, client, self._is_heard)

    def _goes_on(self, carried: int) -> bool:
        return self.after is None or carried <= self.after

    def _is_heard(self, carried: int) -> bool:
        deaf, self.deaf = self.deaf, False
        return not deaf

    def _carry(self, source: socket.socket, sink: socket.socket, goes_on: Callable[[int], bool]) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                carried += len(data)
                if goes_on(carried):
                    sink.sendall(data)
                elif not self.silent:
                    break
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
