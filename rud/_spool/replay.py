"""From the records of an owner's log to what is still to be done."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import google_crc32c

from rud import _faultpoints
from rud._spool import files, marks
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.records import SEGMENT_START, Kind, Record, decode_segment_header, scan

if TYPE_CHECKING:
    from rud._spool.owner import Owner


UNREADABLE = (OSError, ValueError, LookupError, TypeError)
"""What reading a log raises that is whole and says what this version does not understand."""


@dataclass(slots=True)
class State:
    """What a log says. ``damage``: one line each of what could not be read."""

    pending: dict[int, SpoolEntry] = field(default_factory=dict)
    """By id, in the order of acceptance, as is ``keys``."""
    ended: dict[int, Outcome] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    """Of every id in the log."""
    segments: dict[int, int] = field(default_factory=dict)
    """Where each id was accepted."""
    successors: dict[int, int] = field(default_factory=dict)
    """Superseded and retaken ids, each with the id that took its place, perhaps in the log of another owner."""
    retaken: dict[int, int] = field(default_factory=dict)
    """Failed ids, each with the id under which it was accepted anew."""
    live: dict[int, int] = field(default_factory=dict)
    """For each segment how many of its entries have no outcome."""
    damage: list[str] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    """Ids whose payload is not what was accepted, each with the reason in words."""
    greatest: int = 0
    end: tuple[int, int] = (0, 0)
    """The last segment, and where it ends."""
    retired: int = 0
    sealed: int = 0
    """The last segment that says that another one follows it."""


def segment_path(folder: str, number: int) -> str:
    return os.path.join(folder, f"log-{number}")


def _segment_numbers(folder: str) -> list[int]:
    names = (name.removeprefix("log-") for name in files.names_in(folder) if name.startswith("log-"))
    return sorted(int(number) for number in names if number.isdecimal())


def _end_of_previous(path: str) -> int | None:
    """Where the segment before this one ends; ``None`` when this one is not there, or cannot tell."""
    try:
        header = decode_segment_header(files.read_at(path, 0, SEGMENT_START))
    except FileNotFoundError:
        return None
    return header.previous_end if header else None


def greatest_id(root: str) -> int:
    """Of all that was accepted in a spool root: the newest segment of each owner tells, or what it has left."""
    greatest = marks.greatest(root)
    for name in files.names_in(root):
        folder = os.path.join(root, name)
        for number in _segment_numbers(folder)[-1:]:
            with contextlib.suppress(*UNREADABLE):
                found = scan(files.read_all(segment_path(folder, number)))
                accepted = (record.header["id"] for record in found.records if record.kind == Kind.ACCEPTED)
                greatest = max(greatest, found.header.floor if found.header else 0, *accepted)
    return greatest


def read_log(owner: Owner) -> State:
    """The state at the end of the log. The first outcome of an id counts; what later records say of an ended id does
    not.
    """
    state = State()
    for number in _segment_numbers(owner.folder):
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.scan.before")
        _read_segment(owner, number, state)
    if _faultpoints.active is not None:
        _faultpoints.hit("fs.scan.after")
    for entry in state.pending.values():
        state.live[entry.segment] += 1
        entry.holds = min((state.segments[one] for one in entry.after if one in state.segments), default=0)
        if entry.holds:
            state.live[entry.holds] += 1
    last = max(state.end[0], state.sealed + 1)
    missing = [number for number in range(state.retired + 1, last + 1) if number not in state.live]
    state.damage += [f"{segment_path(owner.folder, number)} is missing" for number in missing]
    _find_overtaken(state)
    return state


def _read_segment(owner: Owner, number: int, state: State) -> None:
    path = segment_path(owner.folder, number)
    data = files.read_all(path)
    found = scan(data, _end_of_previous(segment_path(owner.folder, number + 1)))
    state.damage += [f"{path} is damaged from byte {low} to byte {high}" for low, high in found.damage]
    state.live[number] = 0
    state.end = number, found.end
    if found.header is not None:
        state.greatest = max(state.greatest, found.header.floor)
    unknown = sorted({record.kind for record in found.records} - set(Kind))
    if unknown:
        state.damage.append(f"{path} has records of kinds that this version of rud does not know: {unknown}")
    for record in found.records:
        header = record.header
        if record.kind != Kind.ACCEPTED:
            _apply(record, number, state)
            continue
        one = header["id"]
        state.keys[one] = header["key"]
        state.segments[one] = number
        state.greatest = max(state.greatest, one)
        if "retakes" in header:
            state.retaken[header["retakes"]] = state.successors[header["retakes"]] = one
        if one not in state.ended:
            small = record.payload_crc, path, record.payload_at
            state.pending[one] = entry = SpoolEntry.from_header(header, owner, number, small)
            if why := _what_is_wrong(entry, data):
                state.broken[one] = why


def _what_is_wrong(entry: SpoolEntry, segment: bytes) -> str:
    """Why its payload cannot be what was accepted; a large one is summed only while it is sent."""
    if not entry.offset:
        try:
            size = os.stat(entry.path).st_size
        except OSError as error:
            return f"{entry.path} cannot be read ({error.strerror})"
        return "" if size == entry.size else f"{entry.path} has {size} bytes, {entry.size} were accepted"
    crc = google_crc32c.extend(0, segment[entry.offset : entry.offset + entry.size])
    return "" if crc == entry.crc else f"it has CRC32C {crc:08x}, but {entry.crc:08x} was accepted"


def _apply(record: Record, number: int, state: State) -> None:
    header = record.header
    if record.kind == Kind.RETIRED:
        state.retired = max(state.retired, header["through"])
    elif record.kind == Kind.SEALED:
        state.sealed = number
    elif record.kind == Kind.OUTCOME:
        state.ended.setdefault(header["id"], Outcome(header["outcome"]))
        if header.get("by", 0) > header["id"]:
            state.successors.setdefault(header["id"], header["by"])
        state.pending.pop(header["id"], None)
    elif (entry := state.pending.get(header.get("id", 0))) is not None:
        if record.kind == Kind.STARTED:
            entry.in_flight, entry.kills, entry.postponed = True, header["kills"], None
        elif record.kind == Kind.POSTPONED:
            entry.postponed = header
        elif record.kind == Kind.MULTIPART:
            entry.multiparts += (header["upload"],)
        elif record.kind == Kind.SUM:
            entry.crc = header["crc"]


def _find_overtaken(state: State) -> None:
    """Overwriting entries whose key has a later entry that was started or stored and did not fail."""
    newest: dict[str, int] = {}
    retaken = set(state.retaken.values())  # of an older accept than their ids tell
    for one, key in state.keys.items():
        if one in retaken:
            continue
        pending = state.pending.get(one)
        if pending.in_flight if pending else state.ended.get(one) is Outcome.STORED:
            newest[key] = one
    if newest:
        for one, entry in state.pending.items():
            if entry.overwrite and one < newest.get(entry.key, 0):
                state.successors[one] = newest[entry.key]
