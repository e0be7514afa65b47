"""How the machinery runs: on which clock, with which chance, on which threads. The tests have one that runs in line."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Protocol

from rud._clock import Clock, SystemClock, new_random
from rud._links import Link, Mux, ProcessLink, ThreadLink
from rud._monitor import Monitor
from rud._registry import StoreSpec


class Runtime(Protocol):
    """What a pool needs of the world."""

    chance: random.Random
    threads: bool
    """Workers share this process."""

    @property
    def clock(self) -> Clock: ...

    def hire(self, spec: StoreSpec, *, lock_paths: list[str], orphan_grace: float) -> Link:
        """A new worker, on its way to ``ready``."""
        ...

    def wait(self, timeout: float | None) -> None:
        """The supervisor's wait: until a worker has something to say, ``wake`` is called, or the seconds are over."""
        ...

    def wake(self) -> None: ...

    def begin(self, step: Callable[[], bool]) -> None:
        """From now on call ``step`` again and again, until it returns ``False``."""
        ...

    def wait_until(self, monitor: Monitor, true: Callable[[], bool], timeout: float | None) -> bool:
        """A caller's wait: until ``true()`` (asked under the lock) or the seconds are over; what it was last."""
        ...

    def run_job(self, job: Callable[[], None]) -> None:
        """Do this off the caller's thread."""
        ...

    def close(self) -> None: ...


class ThreadedRuntime:
    """The real one: a supervisor thread, and workers that are processes or threads."""

    def __init__(self, *, use_procs: bool) -> None:
        self.clock = SystemClock()
        self.chance = new_random()
        self.threads = not use_procs
        self._mux = Mux()

    def hire(self, spec: StoreSpec, *, lock_paths: list[str], orphan_grace: float) -> Link:
        if self.threads:
            return ThreadLink(spec, self._mux, self.clock)
        return ProcessLink(spec, self._mux, lock_paths=lock_paths, orphan_grace=orphan_grace)

    def wait(self, timeout: float | None) -> None:
        self._mux.wait(timeout)

    def wake(self) -> None:
        self._mux.wake()

    def begin(self, step: Callable[[], bool]) -> None:
        def loop() -> None:
            while step():
                pass

        threading.Thread(target=loop, name="rud-supervisor", daemon=True).start()

    def wait_until(self, monitor: Monitor, true: Callable[[], bool], timeout: float | None) -> bool:
        if timeout is None:
            return monitor.wait_for(true)
        end = self.clock.monotonic() + timeout
        return monitor.wait_for(true, lambda: max(0.0, end - self.clock.monotonic()))

    def run_job(self, job: Callable[[], None]) -> None:
        threading.Thread(target=job, name="rud-sums", daemon=True).start()

    def close(self) -> None:
        self._mux.close()
