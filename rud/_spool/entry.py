"""What the spool holds: accepted uploads, by their ids."""

from __future__ import annotations

import enum
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rud._clock import Clock

if TYPE_CHECKING:
    from rud._spool.owner import Owner


class Outcome(enum.Enum):
    """How an accepted upload ended. Each is terminal: it never changes."""

    STORED = "stored"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class SpoolEntry:
    """One accepted upload; compared by identity. Its payload is ``size`` bytes of ``path`` from ``offset``.

    ``crc`` is the CRC32C of the payload, ``None`` until a large one was summed; until then its size and ``mtime_ns``
    (both files carry the time of the source) tell whether it changed. ``kills`` counts the workers that died while
    they held it; a parent's death says nothing against it: a preempted machine ends its parent each time.
    """

    id: int
    key: str
    size: int
    overwrite: bool
    crc: int | None
    path: str
    offset: int
    mtime_ns: int
    after: tuple[int, ...]
    owner: Owner
    segment: int = 0
    """The number of the segment that has its ``accepted`` record."""
    doomed: bool = False
    """Something that it comes after had failed, or was cancelled, when it was accepted."""
    holds: int = 0
    """The oldest segment that tells what has become of those that it comes after: kept until it has ended; 0: none."""
    kills: int = 0
    in_flight: bool = False
    """Was given to a worker, now or before."""
    postponed: Mapping[str, Any] | None = None
    """Of an adopted one: what the log says of its last attempt that failed, as long as no other was begun."""
    multiparts: tuple[str, ...] = ()
    adopted: bool = False
    strays: bool = False
    """An attempt at its key has ended without an answer: the store may hold parts that nobody has told us of."""
    first: int = 0
    """The id of its first accept, when it had failed and is taken up again; 0: it has not."""
    outcome: Outcome | None = None
    """Set once the outcome is in the log."""

    @property
    def accepted_ns(self) -> int:
        """What tells whether another upload of its key is newer."""
        return self.first or self.id

    @property
    def wire_id(self) -> str:
        """The id as text that compares as the number does; kept with the object."""
        return f"{self.id:016x}"

    @property
    def large(self) -> bool:
        """The payload is a file of its own."""
        return self.offset == 0

    def header(self) -> dict[str, object]:
        """What its ``accepted`` record says of it; the sum and the place of a small payload follow from the record."""
        header: dict[str, object] = {
            "id": self.id, "key": self.key, "size": self.size, "overwrite": self.overwrite, "mtime": self.mtime_ns,
        }  # fmt: skip
        if self.after:
            header["after"] = self.after
        if self.doomed:
            header["doomed"] = True
        if self.first:
            header["first"] = self.first
        if self.path and self.large:
            header |= {"file": os.path.basename(self.path), "crc": self.crc}
        return header

    @classmethod
    def from_header(
        cls, header: Mapping[str, Any], owner: Owner, segment: int, small: tuple[int, str, int] = (0, "", 0)
    ) -> SpoolEntry:
        """An adopted entry; ``small`` gives sum, path and offset of its payload when that is no file of its own."""
        name = header.get("file")
        crc, path, offset = small
        if name:
            crc, path, offset = header["crc"], os.path.join(owner.big, name), 0
        return cls(
            header["id"], header["key"], header["size"], header["overwrite"], crc, path, offset, header["mtime"],
            tuple(header.get("after", ())), owner, segment, header.get("doomed", False), adopted=True, strays=True,
            first=header.get("first", 0),
        )  # fmt: skip


class Ids:
    """They order the accepts of a machine, even if its clock was set back: each is the greater of the clock and one
    more than the greatest seen.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.greatest = 0

    def next(self) -> int:
        with self._lock:
            self.greatest = max(self._clock.time_ns(), self.greatest + 1)
            return self.greatest

    def see(self, one: int) -> None:
        with self._lock:
            self.greatest = max(self.greatest, one)
