"""Sending a body in parts, several at once, within a bound of memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rud.store import Section, Source

MEBIBYTE = 1 << 20
MOST_PARTS = 10_000
"""Of one upload (S3 API reference, "Multipart upload limits")."""

SendPart = Callable[[int, Section], Any]
"""Sends the part of this number, from 1; returns what completing the upload needs of it."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How large the parts are, and how many are under way at once.

    The parts in memory take at most ``max(chunk × concurrency, ⌈size / 10,000⌉)`` bytes, rounded up to MiB: a body of
    more than 10,000 chunks has larger parts, and fewer of them at once.
    """

    part_size: int
    concurrency: int

    @classmethod
    def of(cls, size: int, chunk: int, concurrency: int) -> PartPlan:
        least = -(-size // MOST_PARTS)
        part_size = max(chunk, -(-least // MEBIBYTE) * MEBIBYTE)
        return cls(part_size, max(1, chunk * concurrency // part_size))


class _Flight(threading.Thread):
    """One part on its way. A daemon, so that a request that hangs does not hold up the end of the program."""

    def __init__(self, send: SendPart, number: int, section: Section, buffer: bytearray) -> None:
        super().__init__(name="rud-part", daemon=True)
        self._send = send
        self._number = number
        self.section = section
        self.buffer = buffer
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


def send_parts(source: Source, plan: PartPlan, send: SendPart) -> list[Any]:
    """What ``send`` has returned for each part, in their order.

    When one fails, the others are broken off and waited for before its error is raised: no part arrives after an abort.
    """
    flights: deque[_Flight] = deque()
    done: list[Any] = []
    try:
        for number, (section, buffer) in enumerate(_sections(source, plan, flights, done), 1):
            flight = _Flight(send, number, section, buffer)
            flights.append(flight)
            flight.launch()
        while flights:
            done.append(flights[0].land())
            flights.popleft()
    except BaseException as error:
        for flight in flights:
            flight.section.revoke(error)
        for flight in flights:
            flight.wait()
        raise
    return done


def _sections(
    source: Source, plan: PartPlan, flights: deque[_Flight], done: list[Any]
) -> Iterator[tuple[Section, bytearray]]:
    """The body in pieces; with as many under way as may be, the oldest has to land first and gives its buffer."""
    left = len(source)
    while left:
        if len(flights) == plan.concurrency:
            done.append(flights[0].land())
            buffer = flights.popleft().buffer
        else:
            buffer = bytearray(min(plan.part_size, len(source)))
        size = min(plan.part_size, left)
        yield source.load(memoryview(buffer)[:size]), buffer
        left -= size
