"""Every request that arrived, and what became of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rud_fakes._http.faults import Fault


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Times are seconds of the monotonic clock."""

    operation: str
    """As in the API, ``PutObject`` for example; ``Unknown`` for what the server does not offer."""
    bucket: str
    key: str
    """Empty where the request is about no object."""
    part: int | None
    """Of a request about one part of a multipart upload."""
    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case."""
    via_proxy: bool
    """The request line had the whole address, as a client writes it to a proxy."""
    began: float
    status: int | None = None
    """``None``: not answered, or not yet (then ``ended`` is ``None`` too)."""
    bytes_in: int = 0
    """How much of the body was read, as sent; noted when the request is answered or ends."""
    ended: float | None = None


class RequestLog:
    """Requests in the order in which they arrived; for any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # Guards what follows.
        self._requests: list[Request] = []
        self._fired: list[tuple[Fault, int]] = []
        self._rules: list[tuple[str, ...]] = []
        self.on_end: Callable[[Request, tuple[str, ...]], object] = lambda *_: None
        """Called with each request that has ended and the rules that it has met, on the thread that has served it."""

    def arrived(self, request: Request, faults: Iterable[Fault]) -> int:
        """Its number in the log; ``faults`` are what befalls it."""
        with self._changed:
            number = len(self._requests)
            self._requests.append(request)
            befallen = list(faults)
            self._fired += [(fault, number) for fault in befallen]
            self._rules.append(tuple(fault.rule for fault in befallen if fault.rule))
            self._changed.notify_all()
            return number

    def answered(self, number: int, status: int, bytes_in: int) -> None:
        """Noted before the answer is sent, so that whoever has it finds it in the log."""
        with self._changed:
            self._requests[number] = replace(self._requests[number], status=status, bytes_in=bytes_in)

    def ended(self, number: int, bytes_in: int, now: float) -> None:
        with self._changed:
            request = replace(self._requests[number], bytes_in=bytes_in, ended=now)
            self._requests[number], rules = request, self._rules[number]
        self.on_end(request, rules)

    def requests(self) -> list[Request]:
        with self._changed:
            return list(self._requests)

    def with_rules(self) -> list[tuple[Request, tuple[str, ...]]]:
        """Each with the rules of a plan that it has met."""
        with self._changed:
            return list(zip(self._requests, self._rules, strict=True))

    def all_fired(self) -> list[tuple[Fault, Request]]:
        with self._changed:
            return [(fault, self._requests[number]) for fault, number in self._fired]

    def wait_for(self, operation: str, count: int, timeout: float) -> list[Request]:
        """The requests of ``operation`` as soon as there are ``count``; ``TimeoutError`` after ``timeout`` seconds."""

        def found() -> list[Request]:
            return [request for request in self._requests if operation in ("*", request.operation)]

        with self._changed:
            if self._changed.wait_for(lambda: len(found()) >= count, timeout):
                return found()
            there = [request.operation for request in self._requests]
        raise TimeoutError(f"{count} requests of {operation} within {timeout} s were waited for; there were {there}")
