"""Workers without processes, threads or waiting: the real scheduler, supervisor and spool on a clock that a test turns.

``InlineRuntime`` runs everything on the caller's thread. A wait of the caller (``drain``, ``result``, ``close``) makes
the supervisor step until nothing is left to do but let time pass, and then lets just so much time pass. With
``stepped=True`` a worker keeps what it was given until ``work`` is called, and ``die`` ends it, so that a test decides
the order of things.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from rud._frames import Decoder, Message, encode
from rud._monitor import Monitor
from rud._registry import StoreSpec
from rud._worker import Worker
from rud_fakes.clock import FakeClock

MAX_STEPS = 100_000
"""A wait that has not come to an end after so many rounds never will."""


class InlineLink:
    """A worker that works when it is told to, on the thread that tells it. Messages cross as bytes, as they do in
    life."""

    def __init__(self, spec: StoreSpec, clock: FakeClock, *, stepped: bool) -> None:
        self._stepped = stepped
        self._decoder = Decoder()
        self._wire = b""
        self._cause = ""
        self._revoked = False
        self.waiting: deque[Message] = deque()
        self.ended = False
        self._buried = False
        self._worker = Worker(spec.open, spec.secrets, self._deliver, clock, lambda: self._revoked)
        self._worker.handle({"do": "open"})

    def _deliver(self, message: Message) -> None:
        if not self.ended:
            self._wire += encode(message)

    def send(self, message: Message) -> None:
        (command,) = Decoder().feed(encode(message))
        self.waiting.append(command)
        if command["do"] == "quit":
            self.ended = self._buried = True
        elif not self._stepped:
            self.work()

    def work(self) -> bool:
        """Carry out the oldest command; whether there was one."""
        if not self.waiting or self.ended:
            return False
        self.ended = not self._worker.handle(self.waiting.popleft())
        return True

    def die(self, cause: str = "SIGKILL") -> None:
        """End at once; what it has said already still arrives."""
        self.ended, self._cause = True, cause
        self.waiting.clear()

    @property
    def pending(self) -> bool:
        """It has something to say, or has ended and nobody has noticed."""
        return bool(self._wire) or (self.ended and not self._buried)

    def receive(self) -> list[Message]:
        wire, self._wire = self._wire, b""
        return self._decoder.feed(wire)

    def kill(self) -> None:
        self._revoked = self._buried = True
        self.die()

    def obituary(self) -> str:
        self._buried = True
        return self._cause or "it ended"


class InlineRuntime:
    """What ``Uploader(..., _runtime=…)`` takes for a world of one thread."""

    def __init__(self, clock: FakeClock | None = None, *, seed: int = 0, stepped: bool = False) -> None:
        self.clock: FakeClock = clock or FakeClock()
        self.chance = random.Random(seed)
        self.threads = False
        self.links: list[InlineLink] = []
        self._stepped = stepped
        self._step: Callable[[], bool] | None = None
        self._timeout: float | None = None

    def hire(self, spec: StoreSpec, *, lock_paths: list[str], orphan_grace: float) -> InlineLink:
        del lock_paths, orphan_grace
        link = InlineLink(spec, self.clock, stepped=self._stepped)
        self.links.append(link)
        return link

    def wait(self, timeout: float | None) -> None:
        self._timeout = timeout

    def wake(self) -> None:
        """There is nobody to wake: the next wait of the caller steps."""

    def begin(self, step: Callable[[], bool]) -> None:
        self._step = step

    def settle(self) -> None:
        """Step until nothing is left to do without letting time pass."""
        for _ in range(MAX_STEPS):
            self._one_step()
            if not self._pending():
                self._one_step()
                if not self._pending():
                    return
        raise AssertionError("the supervisor never comes to rest")

    def wait_until(self, monitor: Monitor, true: Callable[[], bool], timeout: float | None) -> bool:
        end = None if timeout is None else self.clock.monotonic() + timeout
        for _ in range(MAX_STEPS):
            with monitor.lock:
                if true():
                    return True
            self.settle()
            with monitor.lock:
                if true():
                    return True
            passes = self._time_to_pass(end)
            if passes is None:
                return False
            self.clock.advance(passes)
        raise AssertionError("the wait never comes to an end")

    def run_job(self, job: Callable[[], None]) -> None:
        job()

    def close(self) -> None:
        self._step = None

    def _time_to_pass(self, end: float | None) -> float | None:
        left = None if end is None else end - self.clock.monotonic()
        if left is not None and left <= 0:
            return None
        times = [time for time in (self._timeout, left) if time is not None]
        # At least a nanosecond, which is what the clock counts in: less would be no time at all.
        return max(min(times), 1e-9) if times and self._step is not None else None

    def _one_step(self) -> None:
        if self._step is not None and not self._step():
            self._step = None

    def _pending(self) -> bool:
        self.links = [link for link in self.links if link.pending or not link.ended]
        return self._step is not None and any(link.pending for link in self.links)
