"""The places of the workers: who is in each, what it is doing, and how long it may take."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from rud._links import Link
from rud._transfer import Transfer

RESTART_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a worker that died is replaced, by how many have died there since one was ready."""


def restart_delay(deaths: int) -> float:
    """Seconds to wait after so many deaths in a place."""
    return RESTART_DELAYS[min(deaths, len(RESTART_DELAYS) - 1)]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a worker may take without a sign of life."""

    stall: float = 30.0
    """Nothing read from the body while sending."""
    reply: float = 300.0
    """No answer after the last byte was read."""
    complete: float = 600.0
    """The same for a multipart upload: S3 documents that its completion may take minutes."""
    opening: float = 120.0
    """From the start of a worker until its store is open."""
    late_window: float = 10.0
    """After an attempt was given up: what it has sent may still arrive, so no other bytes of its key start before."""
    quit: float = 1.0
    """From ``quit`` to the end of a worker."""
    slowest: float = 1 << 20
    """Bytes a second granted to a backend that does not read through the body it is given."""


class Phase(enum.Enum):
    """What a slot's worker is doing."""

    DOWN = "down"
    OPENING = "opening"
    IDLE = "idle"
    UPLOADING = "uploading"
    PROBING = "probing"


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one worker, and what is known of the worker in it."""

    link: Link | None = None
    phase: Phase = Phase.DOWN
    transfer: Transfer | None = None
    began: float = 0.0
    read: int = 0
    multipart: bool = False
    deadline: float | None = None
    deaths: int = 0
    start_at: float = 0.0
    reads_body: bool = True
    ends_with_worker: bool = True

    def vacate(self) -> tuple[Link, Phase, Transfer | None]:
        """Nobody is here any more; who was, and what it was doing."""
        link, phase, transfer = self.link, self.phase, self.transfer
        assert link is not None
        self.link, self.phase, self.transfer, self.deadline = None, Phase.DOWN, None, None
        return link, phase, transfer

    def limit(self, now: float, limits: Limits) -> float:
        """When the upload that it holds has to have shown another sign of life."""
        assert self.transfer is not None
        if not self.reads_body:
            return self.began + limits.stall + limits.reply + self.transfer.entry.size / limits.slowest
        if self.read < self.transfer.entry.size:
            return now + limits.stall
        return now + (limits.complete if self.multipart else limits.reply)
