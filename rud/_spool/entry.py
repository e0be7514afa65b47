"""What the spool holds: one accepted upload."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    kills: int = 0
    in_flight: bool = False
    multiparts: tuple[str, ...] = ()
    adopted: bool = False
    outcome: Outcome | None = None
    """Set once the outcome is in the log."""

    @property
    def wire_id(self) -> str:
        """The id as text that compares as the number does; kept with the object."""
        return f"{self.id:016x}"

    @property
    def large(self) -> bool:
        """The payload is a file of its own."""
        return self.offset == 0


def entry_header(entry: SpoolEntry) -> dict[str, object]:
    """What the ``accepted`` record of an entry says of it."""
    header: dict[str, object] = {
        "id": entry.id,
        "key": entry.key,
        "size": entry.size,
        "overwrite": entry.overwrite,
        "mtime": entry.mtime_ns,
    }
    if entry.after:
        header["after"] = entry.after
    if entry.path:
        header["crc"] = entry.crc
    return header
