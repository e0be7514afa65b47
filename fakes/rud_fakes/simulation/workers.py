"""Workers that are simulated processes, and the runtime that an uploader takes for the world."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable

from rud._child import _hold
from rud._frames import Decoder, Message, encode
from rud._monitor import Monitor
from rud._registry import StoreSpec
from rud._worker import Worker
from rud_fakes.simulation.world import Process, World

MAX_STEPS = 20_000
"""A wait that has not come to an end after so many rounds never will."""


class SimulatedLink:
    """A worker: the real one, on a fiber, behind two pipes of bytes."""

    def __init__(self, world: World, spec: StoreSpec, lock_paths: list[str], grace: float) -> None:
        assert world.current is not None
        self._world = world
        self._spec = spec
        self._lock_paths = lock_paths
        self._grace = grace
        self._decoder = Decoder()
        self._wire = b""
        self._noticed = False
        self._waits = False
        self._cause = ""
        self._commands: deque[Message] = deque()
        self.parent = world.current
        self.process = world.spawn(f"{self.parent.name}.w{next(world.hired)}", self.parent)
        self.parent.on_death.append(self._orphaned)
        world.start(self.process, self._main)

    def _main(self) -> None:
        try:
            for path in self._lock_paths:
                _hold(path)
        except OSError:
            return  # it ends with a traceback
        worker = Worker(self._spec.open, self._spec.secrets, self._deliver, self._world.clock, lambda: False)
        worker.handle({"do": "open"})
        while not self.parent.dead:
            if not self._commands:
                self._waits = True
                self._world.sleep(float("inf"))
            elif not worker.handle(self._commands.popleft()):
                return

    def _deliver(self, message: Message) -> None:
        self._world.event(f"says {message['re']}")
        self._wire += encode(message)
        if message["re"] == "result":
            self._world.event("has said result")
            if self._world.faults.strikes("worker"):
                self._world.kill(self.process)
                self._world.check()

    def _orphaned(self) -> None:
        """Its parent is gone: it finishes what it holds, within its grace, or dies with it."""
        world = self._world
        stays = not self._waits and world.faults.strikes("orphan")
        end = world.clock.monotonic() + (self._grace * world.faults.chance("orphan").random() if stays else 0.0)
        world.at(end, lambda: world.kill(self.process))

    def send(self, message: Message) -> None:
        self._world.event(f"command {message['do']}")
        if message["do"] == "quit":  # only an idle one is told to
            self._noticed = True
            self._world.kill(self.process)
            return
        (command,) = Decoder().feed(encode(message))
        self._commands.append(command)
        if self._waits:
            self._waits = False
            self._world.at(self._world.clock.monotonic(), lambda: self._world.resume(self.process))

    @property
    def ended(self) -> bool:
        return self.process.dead

    @property
    def pending(self) -> bool:
        """It has something to say, or has ended and nobody has noticed."""
        return bool(self._wire) or (self.ended and not self._noticed)

    def receive(self) -> list[Message]:
        wire, self._wire = self._wire, b""
        self._noticed = self._noticed or self.ended
        return self._decoder.feed(wire)

    def kill(self) -> None:
        self._world.kill(self.process)

    def obituary(self) -> str:
        return "SIGKILL"


class SimulatedRuntime:
    """``Uploader(..., _runtime=…)`` of one simulated process. ``due``: when its supervisor wants to look again."""

    threads = False

    def __init__(self, world: World) -> None:
        assert world.current is not None
        self._world = world
        self._links: list[SimulatedLink] = []
        self._step: Callable[[], bool] | None = None
        self._jobs: deque[Callable[[], None]] = deque()
        self.clock = world.clock
        self.chance = world.chance
        self.due = float("inf")
        self.process: Process = world.current
        self.process.runtime = self

    def hire(self, spec: StoreSpec, *, lock_paths: list[str], orphan_grace: float) -> SimulatedLink:
        if self._world.faults.strikes("spawn"):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        link = SimulatedLink(self._world, spec, lock_paths, orphan_grace)
        self._links.append(link)
        return link

    def wait(self, timeout: float | None) -> None:
        self.due = float("inf") if timeout is None else self.clock.monotonic() + timeout

    def wake(self) -> None:
        """There is nobody to wake: whoever waits makes the supervisor step."""

    def begin(self, step: Callable[[], bool]) -> None:
        self._step = step

    def run_job(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)

    def close(self) -> None:
        self._step, self.due = None, float("inf")

    def settle(self) -> None:
        """Step until nothing is left to do without letting time pass."""
        for _ in range(MAX_STEPS):
            self._round()
            if not self._pending():
                self._round()
                if not self._pending():
                    return
        raise AssertionError("the supervisor never comes to rest")

    def _round(self) -> None:
        self._world.run_due()
        while self._jobs:
            self._jobs.popleft()()
        if self._step is not None and not self._step():
            self._step = None
            self.due = float("inf")

    def _pending(self) -> bool:
        self._links = [link for link in self._links if link.pending or not link.ended]
        return self._world.is_due or (self._step is not None and any(link.pending for link in self._links))

    def wait_until(self, monitor: Monitor, true: Callable[[], bool], timeout: float | None) -> bool:
        end = float("inf") if timeout is None else self.clock.monotonic() + timeout
        for _ in range(MAX_STEPS):
            if _holds(monitor, true):
                return True
            self.settle()
            if _holds(monitor, true):
                return True
            if not self._world.hop(end):
                return False
        raise AssertionError("the wait never comes to an end")


def _holds(monitor: Monitor, true: Callable[[], bool]) -> bool:
    with monitor.lock:
        return true()
