"""Sending a body in parts, several at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from rud.store import Section, Source

MEBIBYTE = 1 << 20
MOST_PARTS = 10_000
"""Of one upload (S3 API reference, "Multipart upload limits")."""

SendPart = Callable[[int, Section], Any]
"""Sends the part of this number, from 1; returns what completing the upload needs of it."""


def part_size_for(size: int, chunk: int) -> int:
    """Bytes of a part: ``chunk``, or more, in whole MiB, for a body of more than 10,000 chunks."""
    least = -(-size // MOST_PARTS)
    return max(chunk, -(-least // MEBIBYTE) * MEBIBYTE)


class _Flight(threading.Thread):
    """One part on its way. A daemon, so that a request that hangs does not hold up the end of the program."""

    def __init__(self, send: SendPart, number: int, section: Section) -> None:
        super().__init__(name="rud-part", daemon=True)
        self._send = send
        self._number = number
        self.section = section
        self._result: Any = None
        self._error: BaseException | None = None

    def launch(self) -> None:
        try:
            self.start()
        except RuntimeError:  # no thread can be had: too many, or the interpreter is ending
            self.run()

    def run(self) -> None:
        try:
            self._result = self._send(self._number, self.section)
        except BaseException as error:  # noqa: BLE001  # raised by ``land``, in the thread that waits for it
            self._error = error

    def land(self) -> Any:
        self.wait()
        if self._error is not None:
            # The reason why the section could not be read is the reason; what an SDK made of it is not.
            raise self.section.error or self._error
        return self._result

    def wait(self) -> None:
        if self.ident is not None:
            self.join()


def send_parts(source: Source, part_size: int, concurrency: int, send: SendPart) -> list[Any]:
    """What ``send`` has returned for each part, in their order; ``concurrency`` parts are under way at once.

    When one fails, the others are broken off and waited for before its error is raised: no part arrives after an abort.
    """
    flights: deque[_Flight] = deque()
    done: list[Any] = []
    try:
        for number in range(1, -(-len(source) // part_size) + 1):
            if len(flights) == concurrency:
                _land_first(flights, done)
            flight = _Flight(send, number, source.section(part_size))
            flights.append(flight)
            flight.launch()
        while flights:
            _land_first(flights, done)
    except BaseException as error:
        for flight in flights:
            flight.section.revoke(error)
        for flight in flights:
            flight.wait()
        raise
    return done


def _land_first(flights: deque[_Flight], done: list[Any]) -> None:
    done.append(flights[0].land())
    flights.popleft()
