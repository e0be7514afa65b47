"""One request from its head to its answer, and what befalls it on the way."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Generic, TypeVar

from rud._clock import Clock
from rud_fakes._http.bodies import CHUNK, Body, ClientLeftError
from rud_fakes._http.dialect import Dialect, Head, RefusalError, Reply
from rud_fakes._http.faults import Action, Fault, FaultPlan
from rud_fakes._http.log import Request, RequestLog
from rud_fakes._http.pauses import Ended, Pauses

Received = TypeVar("Received")
BODILESS = (204, 304)
CONTROL = "/_rud/"
"""No bucket has such a name, and no API such a path."""
SLICES = 20
"""A trickle moves so many times a second at most."""


class HangUp(Exception):
    """The connection is to end here; by a reset, or as usual."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


@dataclass(frozen=True, slots=True)
class Desk(Generic[Received]):
    """What all connections of a server share."""

    dialect: Dialect[Received]
    plan: FaultPlan
    log: RequestLog
    pauses: Pauses
    clock: Clock
    control: Desk[Any] | None = None
    """Serves the paths below ``CONTROL``."""

    def of(self, head: Head) -> Desk[Any]:
        """The desk that ``head`` is for."""
        return self if self.control is None or not head.path.startswith(CONTROL) else self.control


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection. ``send_head`` is given the answer and whether the connection ends with it."""

    socket: socket.socket
    stream: BinaryIO
    send_continue: Callable[[], None]
    send_head: Callable[[Reply, bool], None]
    send: Callable[[bytes | memoryview], None]


class Exchange(Generic[Received]):
    """``run`` serves one request; it returns whether the connection may be used for another."""

    def __init__(self, desk: Desk[Received], wire: Wire, head: Head) -> None:
        self._desk = desk
        self._wire = wire
        self._head = head
        self._asks = head.headers.get("expect", "").lower() == "100-continue"
        self._body = Body(wire.stream, head.headers, self._announce)
        self._target = desk.dialect.recognise(head)
        self._request = self._noted()
        self._fault: Fault | None = None
        self._is_last = False
        self._round = desk.pauses.round()

    def run(self) -> bool:
        """``HangUp``, ``ClientLeftError`` or ``OSError`` if the connection is at its end."""
        faults = self._desk.plan.take(self._request)
        number = self._desk.log.arrived(self._request, faults)
        try:
            reply = self._settle(faults)
            self._leave_no_rest()
            if self._is("lost_reply"):
                raise HangUp
            self._desk.log.answered(number, reply.status, self._body.read)
            self._send(reply)
        finally:
            self._desk.log.ended(number, self._body.read, self._desk.clock.monotonic())
        return not self._is_last

    def _noted(self) -> Request:
        head, target = self._head, self._target
        return Request(
            operation=target.operation,
            bucket=target.bucket,
            key=target.key,
            part=target.part,
            method=head.method,
            query=head.parameters,
            headers=head.headers,
            via_proxy=head.via_proxy,
            began=self._desk.clock.monotonic(),
        )

    def _is(self, action: Action) -> bool:
        return self._fault is not None and self._fault.action == action

    def _pause(self, seconds: float | None, client: socket.socket | None = None) -> None:
        """Not at all once the faults were cleared."""
        if self._desk.pauses.pause(seconds, client, self._round) is Ended.LEFT:
            raise ClientLeftError("the client, or the server")

    def _announce(self) -> None:
        if self._asks:
            self._wire.send_continue()

    def _settle(self, faults: list[Fault]) -> Reply:
        dialect, head, target = self._desk.dialect, self._head, self._target
        try:
            for fault in faults:
                self._before_body(fault)
            dialect.admit(head, target)
            received = dialect.receive(head, target, self._chunks())
            self._after_body()
            if self._is("flip") and head.method != "GET":
                received = dialect.spoil(received)
            if self._desk.pauses.are_over():
                raise HangUp
            return dialect.answer(head, target, received)
        except RefusalError as refusal:
            return refusal.reply

    def _before_body(self, fault: Fault) -> None:
        if fault.action == "delay":
            self._pause(fault.seconds)
        elif fault.action == "call":
            assert fault.call is not None
            fault.call(self._request)
        elif fault.action == "reset_before":
            raise HangUp(reset=True)
        elif fault.action == "status" and not fault.read_body:
            self._is_last = True
            raise RefusalError(self._failure(fault, fault.status))
        self._fault = fault

    def _failure(self, fault: Fault, status: int) -> Reply:
        reply = self._desk.dialect.failure(self._head, status, fault.code)
        if fault.retry_after is None:
            return reply
        return Reply(reply.status, reply.body, {**reply.headers, "Retry-After": f"{fault.retry_after:g}"})

    def _chunks(self) -> Iterator[bytes]:
        fault = self._fault
        if fault is not None and fault.action == "reset_in_body":
            return self._cut(fault.bytes)
        if fault is not None and fault.action == "trickle_in":
            return self._slowly(fault.rate)
        return self._body.chunks()

    def _cut(self, limit: int) -> Iterator[bytes]:
        """At most ``limit`` bytes, and then the end."""
        size = min(CHUNK, limit)
        for chunk in self._body.chunks(size) if size else ():
            yield chunk
            if self._body.read + size > limit:
                break
        raise HangUp(reset=True)

    def _slowly(self, rate: float) -> Iterator[bytes]:
        # The kernel would otherwise take in megabytes that nobody has read.
        self._wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        size = max(1, min(CHUNK, int(rate / SLICES)))
        for chunk in self._body.chunks(size):
            self._pause(len(chunk) / rate)
            yield chunk

    def _after_body(self) -> None:
        fault = self._fault
        if fault is None:
            return
        if fault.action == "reset_after":
            raise HangUp(reset=True)
        if fault.action == "status":
            raise RefusalError(self._failure(fault, fault.status))
        if fault.action == "error_in_200":
            raise RefusalError(self._failure(fault, 200))
        if fault.action == "never":
            self._pause(None, self._wire.socket)

    def _leave_no_rest(self) -> None:
        """A body that nobody wanted is read, or the next request would begin in the middle of it."""
        if self._body.finished or self._is_last:
            return
        if self._asks and not self._body.begun:
            # It waits for leave to send its body: the answer says no, and what comes next on the line is unsure.
            self._is_last = True
            return
        for _ in self._body.chunks():
            pass

    def _send(self, reply: Reply) -> None:
        body = b"" if self._head.method == "HEAD" or reply.status in BODILESS else reply.body
        fault = self._fault if self._head.method == "GET" else None
        if fault is not None and fault.action == "flip":
            body = flipped(body)
        if fault is not None and fault.action == "truncate":
            self._is_last = True
            self._wire.send_head(reply, False)
            self._wire.send(memoryview(body)[: fault.bytes])
            raise HangUp
        self._wire.send_head(reply, self._is_last)
        if fault is not None and fault.action == "trickle_out":
            self._send_slowly(memoryview(body), fault.rate)
        else:
            self._wire.send(body)
        if self._is("duplicate"):
            self._wire.send_head(reply, self._is_last)
            self._wire.send(body)

    def _send_slowly(self, body: memoryview, rate: float) -> None:
        size = max(1, int(rate / SLICES))
        for begin in range(0, len(body), size):
            piece = body[begin : begin + size]
            self._pause(len(piece) / rate)
            self._wire.send(piece)


def flipped(data: bytes | memoryview) -> bytes:
    """``data`` with one bit in its middle wrong."""
    spoilt = bytearray(data)
    if spoilt:
        spoilt[len(spoilt) // 2] ^= 1
    return bytes(spoilt)
