"""A port, and a thread for each connection to it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable

from rud._clock import Clock

HOST = "127.0.0.1"
PATIENCE = 1.0
"""Seconds in which the threads of connections should end when their sockets are shut down."""


class Listener:
    """Connections to a port of ``127.0.0.1``, each given to ``serve`` on a thread of its own.

    Between ``stop`` and ``start`` the port is kept, and refuses connections; ``close`` gives it back.
    """

    def __init__(self, tls: ssl.SSLContext | None, clock: Clock) -> None:
        self._tls = tls
        self._clock = clock
        self._socket: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._wake: socket.socket | None = None
        self._lock = threading.Lock()  # Guards _open.
        self._open: dict[threading.Thread, socket.socket] = {}
        self.port = 0

    @property
    def is_running(self) -> bool:
        return self._acceptor is not None

    def start(self, serve: Callable[[socket.socket], None]) -> None:
        listener = self._socket or self._bind()
        listener.listen(128)
        waker, self._wake = socket.socketpair()
        self._socket = listener
        self._acceptor = threading.Thread(
            target=self._accept, args=(listener, waker, serve), name=f"rud_fakes :{self.port}", daemon=True
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Refuse what comes, and end every connection; what is being done to the end of it is waited for."""
        if self._acceptor is None or self._wake is None:
            return
        self._wake.close()
        self._acceptor.join()
        self._acceptor = None
        # The port stays ours: nobody else can be given it meanwhile, and whoever connects is refused.
        if self._socket is not None:
            with contextlib.suppress(OSError):  # A forked child may have the socket too; closing would not be enough.
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        self._socket = self._bind()
        with self._lock:
            connections = dict(self._open)
        for connection in connections.values():
            with contextlib.suppress(OSError):
                # An SSLSocket's own shutdown would pull its state from under the thread that reads.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        until = self._clock.monotonic() + PATIENCE
        for thread in connections.keys() - {threading.current_thread()}:
            thread.join(max(0.0, until - self._clock.monotonic()))

    def close(self) -> None:
        """Stop, and give the port back."""
        self.stop()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _bind(self) -> socket.socket:
        bound = socket.socket()
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((HOST, self.port))
            bound.setblocking(False)
        except BaseException:
            bound.close()
            raise
        self.port = int(bound.getsockname()[1])
        return bound

    def _accept(self, listener: socket.socket, waker: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        with waker, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(waker, selectors.EVENT_READ)
            while all(key.fileobj is not waker for key, _ in selector.select()):
                # Whoever was to be accepted may have left.
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    connection.setblocking(True)
                    self._begin(connection, serve)

    def _begin(self, connection: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        if self._tls is not None:
            with connection:  # Of which nothing is left to close if all goes well.
                connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=self._serve, args=(connection, serve), name="rud_fakes", daemon=True)
        with self._lock:
            self._open[thread] = connection
        thread.start()

    def _serve(self, connection: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        try:
            with connection:
                if isinstance(connection, ssl.SSLSocket):
                    try:
                        connection.do_handshake()
                    except OSError:  # It does not trust us, or speaks no TLS.
                        return
                with contextlib.suppress(OSError):  # It may have left before anything was said.
                    serve(connection)
        finally:
            with self._lock:
                self._open.pop(threading.current_thread(), None)
