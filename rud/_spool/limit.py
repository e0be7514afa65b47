"""The limit of what may be staged: counted before a byte is written, given back when it is gone."""

from __future__ import annotations

import threading

from rud._spool.log import Log
from rud.errors import PoolClosedError, SpoolError


class Limit:
    """Of ``log`` and large payloads together, ``most`` bytes (``None``: as the disk); ``_room`` guards ``taken``."""

    def __init__(self, log: Log, most: int | None, *, block: bool) -> None:
        self._log = log
        self._most = most
        self._block = block
        self._room = threading.Condition(threading.Lock())
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
        with self._room:
            while self._most is not None and self.used + amount > self._most:
                if self._log.spare():
                    continue
                if not self._block or amount > self._most:
                    raise SpoolError(
                        f"{source} ({amount} bytes) does not fit: {self.used} of at most {self._most} bytes are staged "
                        f"in {self._log.folder}; raise max_staged_bytes, or upload less often"
                    )
                if not self._sealed:
                    self._room.wait()
                if self._sealed:
                    raise PoolClosedError(f"closed while {source} waited for room; it was not accepted")
            self.taken += amount

    def give(self, amount: int) -> None:
        """Count ``amount`` out (0 when only the log has shrunk) and wake who waits."""
        with self._room:
            self.taken -= amount
            self._room.notify_all()

    def seal(self) -> None:
        self._sealed = True
        if self._room.acquire(timeout=0.05):
            self._room.notify_all()
            self._room.release()
