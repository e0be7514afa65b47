"""From the records of a dead owner's log to what is still to be done. ``replay`` is pure; ``read_log`` reads the
segments for it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rud._spool import files
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.records import Buffer, Kind, Record, Scan, scan

if TYPE_CHECKING:
    from rud._spool.owner import Owner


@dataclass(slots=True)
class Found:
    """A log as read: its segments by number, what is wrong with it in words, and the reading of each."""

    folder: str
    scans: dict[int, Scan] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)

    @property
    def end(self) -> tuple[int, int]:
        last = max(self.scans, default=0)
        return last, self.scans[last].end if last else 0


@dataclass(slots=True)
class State:
    """What a log says. ``pending`` is in the order of acceptance; ``superseded`` are those of it that are never to
    be sent.
    """

    pending: dict[int, SpoolEntry] = field(default_factory=dict)
    ended: dict[int, Outcome] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    """Of every id in the log, in the order of acceptance."""
    superseded: list[SpoolEntry] = field(default_factory=list)
    successors: dict[int, int] = field(default_factory=dict)
    """Superseded ids, each with the id that took its place, perhaps in the log of another owner."""
    retaken: dict[int, int] = field(default_factory=dict)
    """Failed ids, each with the id under which it was accepted anew."""
    answered: bool = False
    greatest: int = 0
    retired: int = 0
    sealed: int = 0
    """The last segment that says that another one follows it."""


def segment_numbers(folder: str) -> list[int]:
    names = (name.removeprefix("log-") for name in files.names_in(folder) if name.startswith("log-"))
    return sorted(int(number) for number in names if number.isdecimal())


def read_segment(path: str, known_end: int | None = None) -> Scan:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        data: Buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        try:
            return scan(data, known_end)
        finally:
            if isinstance(data, mmap.mmap):
                data.close()


def read_log(folder: str) -> Found:
    """Every segment, the newest first: each says where the one before it ends."""
    found = Found(folder)
    known_end: int | None = None
    above = 0
    for number in reversed(segment_numbers(folder)):
        path = os.path.join(folder, f"log-{number}")
        one = read_segment(path, known_end if number == above - 1 else None)
        found.scans[number] = one
        found.damage += [f"{path} is damaged from byte {low} to byte {high}" for low, high in one.damage]
        known_end, above = (one.header.previous_end if one.header else None), number
    found.scans = dict(sorted(found.scans.items()))
    return found


def missing_segments(found: Found, state: State) -> list[str]:
    """The paths of segments that should be there and are not."""
    present = set(found.scans)
    last = max(state.sealed + 1 if state.sealed else 1, max(present, default=1))
    return [
        os.path.join(found.folder, f"log-{number}")
        for number in range(state.retired + 1, last + 1)
        if number not in present
    ]


def replay(found: Found, owner: Owner) -> State:
    """The state at the end of the log. The first outcome of an id counts; what later records say of an ended id does
    not.
    """
    state = State()
    for number, one in found.scans.items():
        path = os.path.join(found.folder, f"log-{number}")
        if one.header is not None:
            state.answered |= one.header.answered
            state.greatest = max(state.greatest, one.header.floor)
        for record in one.records:
            if record.kind == Kind.ACCEPTED:
                entry = _accepted(record, path, number, owner, state)
                state.keys[entry.id] = entry.key
            else:
                _apply(record, number, state)
    state.superseded = list(_overtaken(state))
    return state


def _accepted(record: Record, path: str, number: int, owner: Owner, state: State) -> SpoolEntry:
    header = record.header
    name = header.get("file")
    entry = SpoolEntry(
        id=header["id"],
        key=header["key"],
        size=header["size"],
        overwrite=header["overwrite"],
        crc=header.get("crc") if name else record.payload_crc,
        path=os.path.join(owner.big, name) if name else path,
        offset=0 if name else record.payload_at,
        mtime_ns=header["mtime"],
        after=tuple(header.get("after", ())),
        owner=owner,
        segment=number,
        adopted=True,
    )
    state.greatest = max(state.greatest, entry.id)
    if "retakes" in header:
        state.retaken[header["retakes"]] = entry.id
    if entry.id not in state.ended:
        state.pending[entry.id] = entry
    return entry


def _apply(record: Record, number: int, state: State) -> None:
    header = record.header
    if record.kind == Kind.ANSWERED:
        state.answered = True
    elif record.kind == Kind.RETIRED:
        state.retired = max(state.retired, header["through"])
    elif record.kind == Kind.SEALED:
        state.sealed = max(state.sealed, number)
    elif record.kind == Kind.OUTCOME:
        state.ended.setdefault(header["id"], Outcome(header["outcome"]))
        if header.get("by", 0) > header["id"]:
            state.successors.setdefault(header["id"], header["by"])
        state.pending.pop(header["id"], None)
    elif (entry := state.pending.get(header.get("id", -1))) is not None:
        if record.kind == Kind.STARTED:
            entry.in_flight, entry.kills = True, header["kills"]
        elif record.kind == Kind.MULTIPART:
            entry.multiparts += (header["upload"],)
        elif record.kind == Kind.SUM:
            entry.crc = header["crc"]


def _overtaken(state: State) -> Iterator[SpoolEntry]:
    """Overwriting entries whose key has a later entry that was started or stored and did not fail."""
    newest: dict[str, int] = {}
    for one, key in state.keys.items():
        pending = state.pending.get(one)
        began = pending.in_flight if pending else state.ended.get(one) is Outcome.STORED
        if began:
            newest[key] = max(newest.get(key, 0), one)
    for entry in state.pending.values():
        if entry.overwrite and entry.id < newest.get(entry.key, 0):
            state.successors[entry.id] = newest[entry.key]
            yield entry
