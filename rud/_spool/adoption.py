"""Taking over what a dead owner left: in place, idempotent, and never deleting what might be an accepted payload."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import google_crc32c

from rud._body import crc32c_of
from rud._spool import failed, files
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.ids import Ids
from rud._spool.log import Log
from rud._spool.owner import Owner
from rud._spool.replay import Found, State, missing_segments, read_log, replay
from rud._spool.settling import Settling
from rud.errors import IntegrityError, SpoolError


@dataclass(slots=True)
class Adoption:
    """What was found. ``entries`` are in the order of their ids; ``skipped`` and ``damage`` are one line each."""

    entries: list[SpoolEntry] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    answered: bool = False

    def add(self, other: Adoption) -> None:
        self.entries += other.entries
        self.skipped += other.skipped
        self.damage += other.damage
        self.answered |= other.answered


def read(owner: Owner) -> tuple[Found, State, list[str]]:
    """A taken owner's log, its state, and its damage in words."""
    found = read_log(owner.folder)
    state = replay(found, owner)
    missing = [f"{path} is missing" for path in missing_segments(found, state)]
    return found, state, found.damage + missing


def recover(owner: Owner, *, segment_bytes: int, fsync: bool, ids: Ids, settling: Settling) -> Adoption:
    """Open the log of a taken owner for appending and bring its folder in order."""
    found, state, damage = read(owner)
    ids.see(state.greatest)
    live = dict.fromkeys(found.scans, 0)
    for entry in state.pending.values():
        live[entry.segment] += 1
    owner.log = Log(
        owner.folder,
        segment_bytes=segment_bytes,
        fsync=fsync,
        newest_id=ids.newest,
        end=found.end,
        live=live,
        answered=state.answered,
        damaged=bool(damage),
    )
    failed.finish(owner.folder, state)
    settling.settle_all(state.superseded, Outcome.SUPERSEDED, by=state.successors)
    state.ended.update(dict.fromkeys((entry.id for entry in state.superseded), Outcome.SUPERSEDED))
    broken = _set_aside_broken(state, settling)
    broken += _hold_to_dependencies(state, settling)
    damage += _sweep(owner, state, keep=bool(damage))
    entries = [entry for entry in state.pending.values() if entry.outcome is None]
    return Adoption(sorted(entries, key=lambda entry: entry.id), [], damage + broken, state.answered)


def _set_aside_broken(state: State, settling: Settling) -> list[str]:
    with files.Reader() as reader:
        waiting = [entry for entry in state.pending.values() if entry.outcome is None]
        broken = [(entry, why) for entry in waiting if (why := _what_is_wrong(entry, reader))]
    lines: list[str] = []
    for entry, why in broken:
        kept_at = settling.fail(entry, {"reason": f"the accepted payload is damaged: {why}"})
        state.ended[entry.id] = Outcome.FAILED
        lines.append(f"{entry.key!r}: {why}; kept at {kept_at or entry.path}")
    return lines


def _hold_to_dependencies(state: State, settling: Settling) -> list[str]:
    """``after`` holds over a crash: a superseded dependency passes to its successor, a failed or cancelled one fails
    what comes after it.
    """
    lines: list[str] = []
    for entry in sorted(state.pending.values(), key=lambda entry: entry.id):
        named = [_stands_for(one, state) for one in entry.after] if entry.outcome is None else []
        bad = [one for one in named if state.ended.get(one) in (Outcome.FAILED, Outcome.CANCELLED)]
        if bad:
            why = f"it comes after {state.keys[bad[0]]!r}, which was {state.ended[bad[0]].value}"
            kept_at = settling.fail(entry, {"class": "DependencyFailedError", "text": why})
            state.ended[entry.id] = Outcome.FAILED
            lines.append(f"{entry.key!r} was not sent: {why}; kept at {kept_at or entry.path}")
        else:
            entry.after = tuple(one for one in named if one not in state.ended)
    return lines


def _stands_for(one: int, state: State) -> int:
    """An entry, or the later one that has superseded it in the end."""
    while one in state.successors:
        one = state.successors[one]
    return one


def _what_is_wrong(entry: SpoolEntry, reader: files.Reader) -> str:
    """Why the payload cannot be what was accepted; a large one is summed only while it is sent."""
    try:
        if entry.large:
            size = os.stat(entry.path).st_size
            return "" if size == entry.size else f"{entry.path} has {size} bytes, {entry.size} were accepted"
        crc = google_crc32c.extend(0, reader.read(entry.path, entry.offset, entry.size))
    except OSError as error:
        return f"{entry.path} cannot be read ({error.strerror})"
    return "" if crc == entry.crc else f"it has CRC32C {crc:08x}, but {entry.crc:08x} was accepted"


def _sweep(owner: Owner, state: State, *, keep: bool) -> list[str]:
    """Payloads without a record were never accepted, if the whole log could be read; else they may have been."""
    wanted = {os.path.basename(entry.path) for entry in state.pending.values() if entry.large and entry.outcome is None}
    lines: list[str] = []
    for name in files.names_in(owner.big):
        if name in wanted:
            continue
        if keep:
            lines.append(failed.keep_unreadable(owner.folder, name))
        else:
            files.gone(os.path.join(owner.big, name))
    return lines


def is_empty(owner: Owner) -> bool:
    """Nothing is left in it that anybody might want."""
    return not owner.log.damaged and not any(owner.log.live.values()) and not failed.kept(owner.folder)


def retake_facts(folder: str) -> tuple[dict[str, Any], str]:
    """What a failed entry says, and its payload's path; ``SpoolError`` when it cannot be taken up again."""
    payload = os.path.join(folder, "payload")
    try:
        facts = failed.read_entry(folder)
        size = os.stat(payload).st_size
        with open(payload, "rb") as file:
            crc = crc32c_of(file, size) if facts["crc"] is not None else None
    except (OSError, ValueError, IntegrityError) as error:
        raise SpoolError(f"{folder} cannot be taken up again: {error}") from error
    if size != facts["size"]:
        raise SpoolError(f"{folder} cannot be taken up again: its payload has {size} of {facts['size']} bytes")
    if crc != facts["crc"]:
        raise SpoolError(f"{folder} cannot be taken up again: its payload has another CRC32C than was accepted")
    return facts, payload
