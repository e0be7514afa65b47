"""Taking over what a dead owner left: in place, idempotent, and never deleting what might be an accepted payload."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rud import _faultpoints
from rud._body import crc32c_of
from rud._spool import ending, failed, files, owner
from rud._spool.entry import Ids, Outcome, SpoolEntry
from rud._spool.log import Log
from rud._spool.owner import NotTakenError, Owner
from rud._spool.records import Kind
from rud._spool.replay import UNREADABLE, State, read_log, segment_path
from rud.errors import IntegrityError, SpoolError


@dataclass(slots=True)
class Adoption:
    """What was found. ``entries`` are in the order of their ids; ``skipped`` and ``damage`` are one line each.

    ``successors``: superseded ids, each with the id that took its place, which may be in the log of another owner.
    """

    entries: list[SpoolEntry] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    answered: bool = False
    successors: dict[int, int] = field(default_factory=dict)

    def add(self, other: Adoption) -> None:
        self.entries += other.entries
        self.skipped += other.skipped
        self.damage += other.damage
        self.answered |= other.answered
        self.successors |= other.successors

    def stands_for(self, one: int) -> int:
        """An id, or the later one that has superseded it in the end."""
        return stands_for(one, self.successors)


@dataclass(slots=True)
class Adopter:
    """``owners`` are the folders that were taken over and are held to the end."""

    ids: Ids
    segment_bytes: int
    fsync: bool
    owners: dict[str, Owner] = field(default_factory=dict)
    _ids_taken: set[int] = field(default_factory=set)

    def adopt_all(self, root: str, destination: Mapping[str, str], rank: int) -> Adoption:
        """The dead owners in a spool root that are of this host, ``destination`` and ``rank``."""

        def why_not(facts: Mapping[str, Any]) -> str:
            if why := _why_not_here(facts):
                return why
            if facts.get("destination") != destination:
                return "it is for another destination"
            return "" if facts.get("rank") == rank else f"it is of rank {facts.get('rank')}"

        result = Adoption()
        for name in files.names_in(root):
            folder = os.path.join(root, name)
            if name.startswith(".") or not os.path.isdir(folder) or owner.is_alive(folder):
                continue
            found = self.adopt(folder, why_not)
            if not found.skipped or os.path.isdir(folder):
                result.add(found)
        result.entries.sort(key=lambda entry: entry.id)
        return result

    def adopt(self, folder: str, why_not: Callable[[Mapping[str, Any]], str], wait: float = 0.0) -> Adoption:
        """One owner folder, unless ``why_not`` finds in its facts why it is not to be taken."""
        try:
            if why := why_not(owner.read_facts(folder)):
                raise NotTakenError(why)
            if wait and not owner.is_alive(folder):
                owner.wait_for_workers(folder, wait)
            return self._take(folder)
        except NotTakenError as error:
            line = f"{folder} was left as it is: {error}; to upload it: rud resume {folder}"
            return Adoption(skipped=[line])

    def adopt_folder(self, folder: str, *, other_host: bool, wait: float) -> Adoption:
        """One owner folder, whatever its destination and rank."""
        return self.adopt(folder, (lambda _: "") if other_host else _why_not_here, wait)

    def _take(self, folder: str) -> Adoption:
        taken = Owner(folder).be_taken()
        try:
            if _faultpoints.active is not None:
                _faultpoints.hit("recover.take.before")
            result = self.recover(taken)
            self._refuse_same_ids(result)
            if _faultpoints.active is not None:
                _faultpoints.hit("recover.take.after")
        except BaseException as error:
            taken.abandon()
            if isinstance(error, UNREADABLE):
                raise NotTakenError(f"it cannot be read ({type(error).__name__}: {error})") from error
            raise
        self._ids_taken |= {entry.id for entry in result.entries}
        if is_empty(taken):
            if _faultpoints.active is not None:
                _faultpoints.hit("recover.end.before")
            taken.end()
        else:
            self.owners[folder] = taken
        return result

    def _refuse_same_ids(self, found: Adoption) -> None:
        """Two owners whose clock was set back may have given the same ids: one after the other then."""
        if not self._ids_taken.isdisjoint(entry.id for entry in found.entries):
            raise NotTakenError("another folder has uploads of the same ids, which go first")

    def recover(self, taken: Owner) -> Adoption:
        """Open the log of a taken owner for appending and bring its folder in order."""
        state = read_log(taken)
        self.ids.see(state.greatest)
        fsync = self.fsync or taken.facts.get("fsync") is True
        if fsync:  # what is acted upon now must not be gone after a power cut
            for number in state.live:
                files.sync_path(segment_path(taken.folder, number))
        taken.log = Log(taken.folder, self.ids, segment_bytes=self.segment_bytes, fsync=fsync, state=state)
        failed.finish(taken, state)
        overtaken = [entry for one in state.successors if (entry := state.pending.get(one)) is not None]
        for entry in overtaken:
            ending.settle(entry, Outcome.SUPERSEDED, {"by": state.successors[entry.id]})
            state.ended[entry.id] = Outcome.SUPERSEDED
        broken = _set_aside_broken(state) + _hold_to_dependencies(state)
        left = [entry for entry in state.pending.values() if entry.outcome is None]
        swept = _sweep(taken, {entry.path for entry in left})
        # What has failed and could not be filed stays where it is; it is not sent.
        entries = [entry for entry in left if entry.id not in state.ended]
        damage = state.damage + swept + broken
        return Adoption(entries, [], damage, os.path.exists(taken.answered), state.successors)

    def retake(self, failed_folder: str, holder: Owner | None) -> SpoolEntry:
        """Accept a failed entry anew, under a new id, in the log of ``holder``, whose it is."""
        if holder is None:
            raise SpoolError(f"{failed_folder} is not in a folder that was taken over")
        facts, payload = _whole(failed_folder)
        one = self.ids.next()
        again = {"retakes": facts["id"], "first": facts.get("first", facts["id"])}
        header = {**facts, "id": one, "doomed": False, "file": str(one), **again}
        entry = SpoolEntry.from_header(header, holder, 0)
        try:
            failed.place(payload, entry.path, sync=holder.log.fsync)
            with holder.log.lock:
                holder.log.need_folder_sync(holder.big)
                position = holder.log.append(Kind.ACCEPTED, header, entry=entry)
        except OSError as error:
            files.gone(entry.path)
            raise SpoolError(
                f"{entry.key!r} could not be taken up again: {error.strerror}", errno=error.errno
            ) from error
        if holder.log.fsync:
            try:
                holder.log.sync(position)
            except SpoolError:
                ending.settle(entry, Outcome.CANCELLED)
                raise
        if _faultpoints.active is not None:
            _faultpoints.hit("recover.retake.after", key=entry.key)
        files.remove_tree(failed_folder)
        return entry


def is_empty(taken: Owner) -> bool:
    """Nothing is left in it that anybody might want, and nothing that is not ours."""
    done = not taken.log.damaged and not taken.log.needed and not failed.kept(taken.folder)
    return done and not owner.strangers(taken.folder)


def _why_not_here(facts: Mapping[str, Any]) -> str:
    if facts.get("host") == owner.host_name():
        return ""
    return f"it is of host {facts.get('host')} (add --other-host if that host is gone)"


def _fail(entry: SpoolEntry, state: State, reason: Mapping[str, object]) -> str:
    state.ended[entry.id] = Outcome.FAILED
    return f"kept at {ending.fail(entry, reason) or entry.path}"


def _set_aside_broken(state: State) -> list[str]:
    lines: list[str] = []
    for one, why in state.broken.items():
        entry = state.pending.get(one)
        if entry is not None and entry.outcome is None:
            kept = _fail(entry, state, {"reason": f"the accepted payload is damaged: {why}"})
            lines.append(f"{entry.key!r}: {why}; {kept}")
    return lines


def _hold_to_dependencies(state: State) -> list[str]:
    """``after`` holds over a crash: a superseded dependency passes to its successor, a failed or cancelled one fails
    what comes after it.
    """
    lines: list[str] = []
    for entry in state.pending.values():
        if not entry.after or entry.outcome is not None:
            continue
        named = [stands_for(one, state.successors) for one in entry.after]
        bad = [one for one in named if state.ended.get(one) in (Outcome.FAILED, Outcome.CANCELLED)]
        if bad or entry.doomed:
            key, how = (
                (state.keys.get(bad[0], "another"), state.ended[bad[0]].value) if bad else ("another", "not stored")
            )
            why = f"it comes after {key!r}, which was {how}"
            kept = _fail(entry, state, {"class": "DependencyFailedError", "text": why})
            lines.append(f"{entry.key!r} was not sent: {why}; {kept}")
        else:
            entry.after = tuple(one for one in named if one not in state.ended)
    return lines


def stands_for(one: int, successors: Mapping[int, int]) -> int:
    """An id, or the last of its ``successors``."""
    while one in successors:
        one = successors[one]
    return one


def _sweep(taken: Owner, wanted: set[str]) -> list[str]:
    """Payloads without a record were never accepted, if the whole log could be read; else they may have been."""
    lines: list[str] = []
    if _faultpoints.active is not None:
        _faultpoints.hit("recover.sweep.before")
    for name in files.names_in(taken.big):
        path = os.path.join(taken.big, name)
        if path in wanted:
            continue
        if not name.isdecimal():
            continue  # none of ours
        if taken.log.damaged:
            lines.append(failed.keep_unreadable(path, taken.folder))
        else:
            files.gone(path)
    if _faultpoints.active is not None:
        _faultpoints.hit("recover.sweep.after")
    return lines


def _whole(folder: str) -> tuple[dict[str, Any], str]:
    """What a failed entry says, and its payload's path; ``SpoolError`` when it cannot be taken up again."""
    payload = os.path.join(folder, "payload")
    try:
        facts = files.read_json(os.path.join(folder, "entry.json"))
        size = os.stat(payload).st_size
        if size != facts["size"]:
            raise ValueError(f"its payload has {size} of {facts['size']} bytes")
        with open(payload, "rb") as file:
            if facts["crc"] is not None and facts["crc"] != crc32c_of(file, size):
                raise ValueError("its payload has another CRC32C than was accepted")
    except (OSError, ValueError, IntegrityError) as error:
        raise SpoolError(f"{folder} cannot be taken up again: {error}") from error
    return facts, payload
