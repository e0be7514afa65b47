"""A lock, and a wait for a change of what it guards, that Ctrl-C may interrupt anywhere.

``threading.Condition`` is written in Python: an exception of a signal handler may strike within its ``__enter__`` when
the lock is already taken, or within ``wait`` when it is already given back, and the lock stays taken for ever, or is
given back twice (seen in half of all interrupts of a loop over ``with condition`` on CPython 3.11 to 3.13, and in none
over ``with lock``). So the lock is entered as it is, and nothing is held during a wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


def no_limit() -> float:
    """As the seconds left of a wait that has none."""
    return -1.0


class Monitor:
    """``with monitor.lock:`` guards; after a change, still under it, ``notify_all`` wakes who waits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._waiters: deque[threading.Lock] = deque()

    def notify_all(self) -> None:
        """Have everybody who waits look again."""
        while self._waiters:
            self._waiters.popleft().release()

    def wait_for(self, true: Callable[[], bool], left: Callable[[], float] = no_limit) -> bool:
        """Until ``true()``, asked under the lock, or ``left()`` seconds are 0; what it was last. Without the lock held
        by the caller."""
        while True:
            waiter = threading.Lock()
            waiter.acquire()
            with self.lock:
                if true():
                    return True
                self._waiters.append(waiter)
            seconds = left()
            if seconds == 0.0:
                return False
            waiter.acquire(timeout=seconds)
