"""A server program as a child: a port, readiness, and an end in every case."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from rud._clock import Clock, SystemClock, new_random

GUARD = os.path.join(os.path.dirname(__file__), "_guard.py")
PATIENCE = 60.0
"""Seconds for a start or an end: ten times what moto takes to start on a busy machine."""
PORTS = range(20_000, 32_768)
"""Below what Linux (32768) and macOS (49152) give to outgoing connections: nobody gets the port of a server that is
down for a moment."""
PAUSE = 0.02
"""Seconds between two attempts to connect, spent in waiting for the child's end."""


class Child:
    """One program that listens on a port of 127.0.0.1; not thread-safe.

    ``command`` gives its arguments for a port. ``start`` may be called again after ``kill``, and takes the same port.
    ``ready``: whether it serves at that port, asked again and again; by default, whether it accepts connections.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[int], Sequence[str]],
        environment: Mapping[str, str],
        *,
        ready: Callable[[int], bool] | None = None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.name = name
        self.port = 0
        self.pid = 0
        self._command = command
        self._environment = dict(environment)
        self._ready = ready or accepts
        self._clock = clock or SystemClock()
        self._chance = chance or new_random()
        self._patience = patience
        self._guard: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        """To the guard; its end is the program's."""

    def start(self) -> None:
        """Return when it accepts connections; ``RuntimeError`` with what it printed if it ends or takes too long."""
        if self._guard is not None:
            raise RuntimeError(f"{self.name} runs already, as process {self.pid}")
        said, port = "no port was free", 0
        for port in self._ports():
            with tempfile.TemporaryFile() as log:
                try:
                    if self._comes_up(port, log):
                        self.port = port
                        return
                except BaseException:
                    self.kill()
                    raise
                self.kill()
                said = _tail(log)
            if "address already in use" not in said.lower():
                break
        raise RuntimeError(f"{self.name} did not accept connections on port {port} of 127.0.0.1; it printed:\n{said}")

    def kill(self) -> None:
        """End it by SIGKILL, and return when it has ended; no error when it had ended before."""
        guard, line = self._guard, self._line
        self._guard = self._line = None
        if guard is None or line is None:
            return
        with line:
            # Not only a close: a forked child of ours may hold the socket, too.
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_WR)
            guard.wait(self._patience)

    def _ports(self) -> Iterator[int]:
        if self.port:
            yield self.port
            return
        for port in self._chance.sample(PORTS, 20):
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                probe.close()
                yield port

    def _comes_up(self, port: int, log: IO[bytes]) -> bool:
        until = self._clock.monotonic() + self._patience
        self._line, theirs = socket.socketpair()
        with theirs:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", GUARD, *self._command(port)],
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the tests: they end it when they have ended
            )
        self._line.settimeout(self._patience)
        said = self._line.recv(32)
        if not said:
            return False
        self.pid = int(said)
        self._line.settimeout(PAUSE)
        while not _has_ended(self._line) and self._clock.monotonic() < until:
            if self._ready(port):
                return True
        return False


def _has_ended(line: socket.socket) -> bool:
    """Whether the guard has ended; waits a moment for that."""
    try:
        return not line.recv(1)
    except TimeoutError:
        return False


def accepts(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def answers(path: str, status: int = 200) -> Callable[[int], bool]:
    """For ``ready``: whether a GET of ``path`` is answered ``status``."""

    def ready(port: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ready


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read()[-4000:].decode(errors="replace").strip() or "nothing"
