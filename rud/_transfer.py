"""The life of one upload.

Rule 1: every state, and every way from one to the next, is in ``TRANSITIONS``. Nothing outside this module assigns
``Transfer.state``; an event that the table does not allow raises and changes nothing.

Rule 2: this module knows no threads, clocks, files or stores.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from rud._spool import SpoolEntry


class UploadState(enum.Enum):
    """Where an accepted upload stands. The first four are "spooled" in the words of the promise."""

    HELD = "held"
    """Waits for the uploads named in ``after``."""
    QUEUED = "queued"
    """Waits for a worker."""
    UPLOADING = "uploading"
    """A worker holds it."""
    RETRYING = "retrying"
    """Waits for the time of its next attempt."""
    STORED = "stored"
    SUPERSEDED = "superseded"
    """A newer upload of the same key took its place."""
    FAILED = "failed"
    """Kept aside with its reason."""
    CANCELLED = "cancelled"

    __hash__ = object.__hash__  # a member is only equal to itself, and the table is asked several times an upload


class Event(enum.Enum):
    """What may happen to an upload."""

    RELEASED = "all that it waited for is stored"
    STARTED = "given to a worker"
    SUCCEEDED = "the store has it"
    POSTPONED = "the attempt failed, another is due later"
    LOST = "its worker died"
    DUE = "the time of the next attempt has come"
    REPLACED = "a newer upload of the key stands in for it"
    GAVE_UP = "failed for good"
    WITHDRAWN = "cancelled by the caller"

    __hash__ = object.__hash__


TRANSITIONS: dict[UploadState, dict[Event, UploadState]] = {
    UploadState.HELD: {
        Event.RELEASED: UploadState.QUEUED,
        Event.REPLACED: UploadState.SUPERSEDED,
        Event.GAVE_UP: UploadState.FAILED,
        Event.WITHDRAWN: UploadState.CANCELLED,
    },
    UploadState.QUEUED: {
        Event.STARTED: UploadState.UPLOADING,
        Event.REPLACED: UploadState.SUPERSEDED,
        Event.WITHDRAWN: UploadState.CANCELLED,
    },
    UploadState.UPLOADING: {
        Event.SUCCEEDED: UploadState.STORED,
        Event.POSTPONED: UploadState.RETRYING,
        Event.LOST: UploadState.QUEUED,
        Event.REPLACED: UploadState.SUPERSEDED,
        Event.GAVE_UP: UploadState.FAILED,
    },
    UploadState.RETRYING: {
        Event.DUE: UploadState.QUEUED,
        Event.REPLACED: UploadState.SUPERSEDED,
        Event.GAVE_UP: UploadState.FAILED,
        Event.WITHDRAWN: UploadState.CANCELLED,
    },
    UploadState.STORED: {},
    UploadState.SUPERSEDED: {},
    UploadState.FAILED: {},
    UploadState.CANCELLED: {},
}

TERMINAL = frozenset(state for state, ways in TRANSITIONS.items() if not ways)


class IllegalEventError(RuntimeError):
    """A bug of ours: the table has no such way."""


class Order(enum.IntEnum):
    """Whose turn comes first when several uploads could start."""

    OWN = 0
    ADOPTED = 1
    SUSPECT = 2
    """Was in flight when its parent died: tried after all others, when no other is in flight."""


@dataclass(slots=True, eq=False)
class Transfer:
    """One accepted upload in memory. Fields but ``reported`` and ``callbacks`` belong to the scheduler."""

    entry: SpoolEntry
    order: Order = Order.OWN
    state: UploadState = field(default=UploadState.HELD, init=False)
    attempts: int = field(default=0, init=False)
    """Attempts charged to it so far."""
    tries: int = field(default=0, init=False)
    """Attempts made, whoever they were charged to."""
    waits_for: int = field(default=0, init=False)
    unsynced: bool = field(default=False, init=False)
    """Held back until its record is on the disk: one that may yet be refused supersedes nothing."""
    dependents: list[Transfer] | None = field(default=None, init=False)
    successor: Transfer | None = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    reported: bool = field(default=False, init=False)
    """A caller has been told of ``error``."""
    callbacks: list[Callable[[], None]] | None = field(default=None, init=False)

    def apply(self, event: Event) -> None:
        """Go the way of the table; ``IllegalEventError`` when there is none, and then nothing has changed."""
        state = TRANSITIONS[self.state].get(event)
        if state is None:
            raise IllegalEventError(f"upload {self.entry.id} of {self.entry.key!r} is {self.state.value}: {event.name}")
        self.state = state

    @property
    def final(self) -> Transfer:
        """The upload that stands for this one: itself, or what has superseded it in the end."""
        transfer = self
        while transfer.successor is not None:
            transfer = transfer.successor
        return transfer

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL
