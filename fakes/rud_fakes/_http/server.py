"""What every faulty server offers to a test, whatever it speaks."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rud._clock import SystemClock
from rud_fakes._http.connection import Connection
from rud_fakes._http.dialect import Dialect
from rud_fakes._http.exchange import Desk
from rud_fakes._http.faults import Fault, FaultPlan
from rud_fakes._http.listener import HOST, Listener
from rud_fakes._http.log import Request, RequestLog
from rud_fakes._http.pauses import Pauses


class FaultyServer:
    """Serves ``dialect`` on a free port of ``127.0.0.1`` within a ``with`` block, over TLS if there is ``tls``.

    Every method may be called from any thread, also from the ``call`` of a fault; ``start``, ``stop`` and ``close``
    from one thread at a time.
    """

    def __init__(self, dialect: Dialect[Any], tls: ssl.SSLContext | None) -> None:
        self._dialect = dialect
        self._scheme = "http" if tls is None else "https"
        self._clock = SystemClock()
        self._listener = Listener(tls, self._clock)
        self._plan = FaultPlan()
        self._log = RequestLog()
        self._pauses = Pauses()
        self._control: Dialect[Any] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``; the same from the first ``start`` on. ``RuntimeError`` before."""
        if not self._listener.port:
            raise RuntimeError("the server has no address before it is started: use it in a with block")
        return f"{self._scheme}://{HOST}:{self._listener.port}"

    def start(self) -> None:
        """Serve (again), on the same port as before, with what was stored before."""
        if self._listener.is_running:
            return
        self._pauses = Pauses()
        desk = Desk(self._dialect, self._plan, self._log, self._pauses, self._clock, self._control_desk())

        def serve(connection: socket.socket) -> None:
            Connection(connection, desk)

        self._listener.start(serve)

    def _control_desk(self) -> Desk[Any] | None:
        if self._control is None:
            return None
        return Desk(self._control, FaultPlan(), RequestLog(), self._pauses, self._clock)

    def prepare(self, *, port: int = 0, control: Dialect[Any] | None = None) -> None:
        """Before the first ``start``: ``port`` instead of a free one; ``control`` answers what is asked of paths below
        ``/_rud/``, which no fault befalls and no log has."""
        self._listener.port = port
        self._control = control

    def stop(self) -> None:
        """An outage: connections end, new ones are refused, pauses are over; what is stored is kept. Within a second
        or so."""
        self._pauses.end_all(for_good=True)
        self._listener.stop()

    def close(self) -> None:
        """Stop, and give the port back; the ``with`` block does it."""
        self._pauses.end_all(for_good=True)
        self._listener.close()

    def add(self, fault: Fault) -> None:
        """``fault`` waits behind those that already do."""
        self._plan.add(fault)

    def obey(self, planned: Callable[[Request], list[Fault]]) -> None:
        """Ask ``planned`` first what befalls a request, on the thread that serves it."""
        self._plan.planned = planned

    def clear_faults(self) -> None:
        """No fault waits any more, and what waits because of one goes on."""
        self._plan.clear()
        self._pauses.end_all()

    def on_end(self, call: Callable[[Request, tuple[str, ...]], object]) -> None:
        """``call`` is given each request that has ended, and the rules of a plan that it has met, on the thread that
        served it."""
        self._log.on_end = call

    @property
    def requests_with_rules(self) -> list[tuple[Request, tuple[str, ...]]]:
        """``requests``, each with the rules of a plan that it has met."""
        return self._log.with_rules()

    @property
    def fired(self) -> list[tuple[Fault, Request]]:
        """Each fault as often as it befell a request, with that request; in the order in which they did."""
        return self._log.all_fired()

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order in which they arrived."""
        return self._log.requests()

    def wait_for(self, operation: str, count: int = 1, timeout: float = 10.0) -> list[Request]:
        """Wait until ``count`` requests of ``operation`` (``"*"``: of any) have arrived, and return them.

        ``TimeoutError``, which says what did arrive, after ``timeout`` seconds.
        """
        return self._log.wait_for(operation, count, timeout)
