"""The machine of a simulation: its time, its processes, its disk, and the list of all that has happened."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import heapq
import itertools
import os
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rud_fakes.clock import FakeClock
from rud_fakes.simulation.disk import Disk, Failure
from rud_fakes.simulation.faults import Faults
from rud_fakes.simulation.fibers import Dead, Fiber

if TYPE_CHECKING:
    from rud_fakes.simulation.workers import SimulatedRuntime

_NEVER = float("inf")
_TABLE = "_owned"
_ERRNOS = {
    "pwrite": (errno.EIO, errno.EDQUOT, errno.ENOSPC),
    "unlink": (errno.EACCES, errno.EIO),
    "link": (errno.EXDEV, errno.EMLINK, errno.EPERM),
}


class MachineClock(FakeClock):
    """``jump``: seconds by which this machine's clock is wrong; its ``monotonic`` never is."""

    jump = 0.0
    _asked = 0

    def time_ns(self) -> int:
        self._asked += 1  # no two processes read the same nanosecond
        return super().time_ns() + round(self.jump * 1e9) + self._asked

    @property
    def true_time(self) -> float:
        """Seconds since the epoch, as the store has them."""
        return super().time_ns() / 1e9


@dataclass(eq=False)
class Process:
    """One simulated process; ``owned`` is what a real one keeps in ``rud._spool.owner``."""

    pid: int
    name: str
    parent: Process | None = None
    runtime: SimulatedRuntime | None = None
    fiber: Fiber | None = None
    dead: bool = False
    owned: dict[str, int] = field(default_factory=dict[str, int])
    on_death: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])


class World:
    """Implements ``disk.Watch``. ``strike`` is called at the event whose number is ``strike_at``."""

    def __init__(self, seed: int, root: str, faults: Faults, tell: Callable[[str], object]) -> None:
        self.seed = seed
        self._tell = tell
        self.faults = faults
        self.clock = MachineClock()
        self.disk = Disk(root, self)
        self.chance = random.Random(f"{seed}/world")
        self.events = 0
        self.strike_at = 0
        self.strike: Callable[[], None] = lambda: None
        self.last: deque[str] = deque(maxlen=50)
        self.current: Process | None = None
        self.processes: list[Process] = []
        self.hired = itertools.count(1)
        self._hash = hashlib.blake2b(digest_size=16)
        self._due: list[tuple[float, float, int, Callable[[], None]]] = []
        self._serial = itertools.count(1)
        self._pids = itertools.count(1000)
        self._threads = {threading.get_ident()}
        self._close = os.close

    # Events

    def note(self, text: str) -> None:
        """Add to the trace, without being a place where anything may go wrong."""
        line = f"{self.clock.monotonic():.6f} {self.current.name if self.current else '-'} {text}"
        self.last.append(line)
        self._tell(line)
        self._hash.update(line.encode())

    @property
    def trace(self) -> str:
        """The same for the same events."""
        return self._hash.hexdigest()

    def event(self, text: str) -> None:
        """Something happens in the current process: it may be its end."""
        self.check()
        self.note(text)
        self.events += 1
        if self.events == self.strike_at and not self.faults.healed:
            self.strike()
            self.check()

    def check(self) -> None:
        if self.current is not None and self.current.dead:
            raise Dead

    # As the disk's watch

    def pid(self) -> int | None:
        if self.current is None or threading.get_ident() not in self._threads:
            return None
        return self.current.pid

    def before(self, call: str, path: str) -> None:
        self.event(f"{call} {path}")

    def after(self, call: str, path: str) -> None:
        self.event(f"{call} {path} is done")

    def failure(self, call: str, path: str, length: int) -> Failure | None:
        kind = "sync" if call == "fsync" else "disk"
        if not path.startswith("staging") or not self.faults.strikes(kind):
            return None
        chance = self.faults.chance(kind)
        number = chance.choice(_ERRNOS.get(call, (errno.EIO,)))
        done = chance.choice([0, chance.randint(0, length)])
        self.note(f"{call} fails: {errno.errorcode[number]} after {done} bytes")
        return Failure(number, done)

    # Processes

    def spawn(self, name: str, parent: Process | None = None) -> Process:
        process = Process(next(self._pids), name, parent)
        self.processes.append(process)
        return process

    @contextlib.contextmanager
    def running(self, process: Process | None) -> Iterator[None]:
        """What happens inside is done by ``process``."""
        from rud._spool import owner

        before, self.current = self.current, process
        table = getattr(owner, _TABLE)
        setattr(owner, _TABLE, process.owned if process is not None else {})
        try:
            yield
        finally:
            self.current = before
            setattr(owner, _TABLE, table)

    def start(self, process: Process, work: Callable[[], None]) -> None:
        """Run ``work`` as the process, on a fiber; it is over when that is."""

        def main() -> None:
            self._threads.add(threading.get_ident())
            try:
                work()
            finally:
                self._threads.discard(threading.get_ident())

        process.fiber = Fiber(main)
        self.at(self.clock.monotonic(), lambda: self.resume(process))

    def resume(self, process: Process, error: BaseException | None = None) -> None:
        if process.fiber is None or process.fiber.is_over():
            return
        with self.running(process):
            process.fiber.resume(error)
        if process.fiber.is_over():
            self.bury(process)

    def sleep(self, seconds: float) -> None:
        """Called on a fiber: let time pass; for ever when it is infinite."""
        process = self.current
        assert process is not None
        assert process.fiber is not None
        if seconds != _NEVER:
            self.at(self.clock.monotonic() + seconds, lambda: self.resume(process))
        process.fiber.pause()
        self.check()

    def kill(self, process: Process) -> None:
        """End it now. Its locks are free at once; its code unwinds without effect."""
        if process.dead:
            return
        self.note(f"{process.name} is dead")
        process.dead = True
        self.disk.locks.died(process.pid)
        for told in process.on_death:
            told()
        if process.fiber is not None and process is not self.current:
            self.resume(process, Dead())

    def bury(self, process: Process) -> None:
        """Its code has come to its end: whatever it still has open is closed."""
        process.dead = True
        self.disk.locks.died(process.pid)
        self.disk.close_all(process.pid, self._close)
        if process in self.processes:
            self.processes.remove(process)

    def end(self) -> None:
        """Nothing runs any more."""
        for process in list(self.processes):
            self.kill(process)
            self.bury(process)

    # Time

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, self.chance.random(), next(self._serial), action))

    def run_due(self) -> None:
        """Everything whose time has come; raises ``Dead`` when it was the end of the current process."""
        while self._due and self._due[0][0] <= self.clock.monotonic():
            heapq.heappop(self._due)[3]()
        self.check()

    @property
    def is_due(self) -> bool:
        return bool(self._due) and self._due[0][0] <= self.clock.monotonic()

    def next_time(self) -> float:
        """When something happens next if nobody does anything."""
        times = [process.runtime.due for process in self.processes if process.runtime is not None and not process.dead]
        return min([*times, *(due[0] for due in self._due[:1])], default=_NEVER)

    def hop(self, end: float) -> bool:
        """Let time pass until something happens, at most until ``end``; ``False`` when that is reached, or never is."""
        now, following = self.clock.monotonic(), min(end, self.next_time())
        if now >= end or following == _NEVER:
            return False
        # At least a nanosecond, which is what the clock counts in: less would be no time at all.
        self.clock.advance(max(following - now, 1e-9))
        self.run_due()
        self.step_others()
        return True

    def step_others(self) -> None:
        for process in list(self.processes):
            if process is not self.current and process.runtime is not None and not process.dead:
                with self.running(process), contextlib.suppress(Dead):
                    process.runtime.settle()
        self.check()
