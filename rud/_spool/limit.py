"""The limit of what may be staged: counted before a byte is written, given back when it is gone."""

from __future__ import annotations

from rud._monitor import Monitor
from rud._spool.log import Log
from rud.errors import PoolClosedError, SpoolError


class Limit:
    """Of ``log`` and large payloads together, ``most`` bytes (``None``: as the disk); ``_room`` guards ``taken``."""

    def __init__(self, log: Log, most: int | None, *, block: bool) -> None:
        self._log = log
        self._most = most
        self._block = block
        self._room = Monitor()
        self._sealed = False
        self.taken = 0

    @property
    def used(self) -> int:
        """Bytes of the log, of large payloads, and of what is being staged."""
        return self.taken + self._log.size

    def take(self, amount: int, source: str) -> None:
        """Count ``amount`` in; over the limit raise ``SpoolError`` or wait. ``PoolClosedError`` when sealed
        meanwhile.
        """
        while not self._taken(amount, source):
            self._room.wait_for(lambda: self._sealed or self._fits(amount))

    def _taken(self, amount: int, source: str) -> bool:
        with self._room.lock:
            while not self._fits(amount):
                if self._log.spare():
                    continue
                if not self._block or (self._most is not None and amount > self._most):
                    raise SpoolError(
                        f"{source} ({amount} bytes) does not fit: {self.used} of at most {self._most} bytes are staged "
                        f"in {self._log.folder}; raise max_staged_bytes, or upload less often"
                    )
                if self._sealed:
                    raise PoolClosedError(f"closed while {source} waited for room; it was not accepted")
                return False
            self.taken += amount
            return True

    def _fits(self, amount: int) -> bool:
        return self._most is None or self.used + amount <= self._most

    def give(self, amount: int) -> None:
        """Count ``amount`` out (0 when only the log has shrunk) and wake who waits."""
        with self._room.lock:
            self.taken -= amount
            self._room.notify_all()

    def seal(self) -> None:
        self._sealed = True
        if self._room.lock.acquire(timeout=0.05):
            self._room.notify_all()
            self._room.lock.release()
