"""The limit of what may be staged: counted before a byte is written, given back when it is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rud.errors import PoolClosedError, SpoolError


class Limit:
    """``_condition`` guards ``taken``. ``log_bytes`` gives the size of the log; ``make_room`` retires what the log
    can spare.
    """

    def __init__(
        self, most: int | None, *, block: bool, folder: str, log_bytes: Callable[[], int], make_room: Callable[[], None]
    ) -> None:
        self._most = most
        self._block = block
        self._folder = folder
        self._log_bytes = log_bytes
        self._make_room = make_room
        self._condition = threading.Condition(threading.Lock())
        self.taken = 0
        self.sealed = False

    @property
    def used(self) -> int:
        """Bytes of the log, of large payloads, and of what is being staged."""
        return self.taken + self._log_bytes()

    def take(self, amount: int, source: str) -> None:
        """Count ``amount`` in; over the limit raise ``SpoolError`` or wait. ``PoolClosedError`` when sealed
        meanwhile.
        """
        if self._try(amount):
            return
        while True:
            self._make_room()
            if self._try(amount):
                return
            assert self._most is not None
            if not self._block or amount > self._most:
                raise SpoolError(
                    f"{source} ({amount} bytes) does not fit: {self.used} of at most {self._most} bytes are staged in "
                    f"{self._folder}; raise max_staged_bytes, or upload less often"
                )
            with self._condition:
                if not self._fits(amount) and not self.sealed:
                    self._condition.wait()
                if self.sealed:
                    raise PoolClosedError(f"closed while {source} waited for room; it was not accepted")

    def _fits(self, amount: int) -> bool:
        return self._most is None or self.used + amount <= self._most

    def _try(self, amount: int) -> bool:
        with self._condition:
            if self._fits(amount):
                self.taken += amount
                return True
        return False

    def give(self, amount: int) -> None:
        """Count ``amount`` out (0 when only the log has shrunk) and wake who waits."""
        with self._condition:
            self.taken -= amount
            if self._most is not None:
                self._condition.notify_all()

    def seal(self) -> None:
        self.sealed = True
        if self._condition.acquire(timeout=1.0):
            try:
                self._condition.notify_all()
            finally:
                self._condition.release()
