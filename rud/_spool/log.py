"""The log of one owner, as its only writer sees it: append, cut, rotate, sync, retire.

What is accepted is what lies before the known end: one assignment of ``committed`` moves it, after the record is
whole. Whatever an interrupt or a failed write left beyond it is cut before the next append.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from dataclasses import dataclass, replace
from typing import Any

from rud import _faultpoints
from rud._spool import files
from rud._spool.entry import Ids, SpoolEntry
from rud._spool.records import HEADER_AT, SEGMENT_START, Kind, SegmentHeader, encode_header, encode_record
from rud._spool.replay import State, segment_path
from rud.errors import SpoolError

RESERVE = 64 << 10
"""Bytes kept back, in a file, so that outcomes can still be written when the disk is full."""

Position = tuple[int, int]
"""A segment's number and an offset in it."""


@dataclass(frozen=True, slots=True)
class Segment:
    number: int
    path: str
    nonce: int = 0
    descriptor: int = -1
    """-1 for one that is not written to: of a dead owner, or none at all."""


class Log:
    """``lock`` guards every field but ``_synced`` and ``_lost``, which ``_sync_lock`` guards; no sync happens under
    ``lock``. ``state``: what was read of it, when another process began it.

    ``live`` counts for each segment its entries without outcome, and those that come after one of it. With ``damaged``
    nothing is ever retired.
    """

    def __init__(self, folder: str, ids: Ids, *, segment_bytes: int, fsync: bool, state: State | None = None) -> None:
        state = state or State()
        number, end = state.end
        last = Segment(number, segment_path(folder, number))
        self.lock = threading.Lock()
        self.folder = folder
        self.fsync = fsync
        self.damaged = bool(state.damage)
        self.live = state.live
        self.committed: tuple[Segment, int, SpoolEntry | None] = (last, end, None)
        self._ids = ids
        self._segment_bytes = segment_bytes
        self._sizes: dict[int, int] = {}
        self._reserved = False
        self._trusted = False
        self._dirty = False  # something may lie beyond the known end
        self._closed = False
        self._retire_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._synced: Position = (0, 0)
        self._lost: list[tuple[Position, Position]] = []
        self._unsynced: list[int] = []
        self._unsynced_folders: set[str] = set()
        self._unsyncable: Segment | None = None

    @property
    def position(self) -> Position:
        segment, end, _ = self.committed
        return segment.number, end

    @property
    def size(self) -> int:
        """Of all segments together."""
        return sum(self._sizes.values()) + self.committed[1]

    @property
    def needed(self) -> bool:
        """Some entry of it has no outcome."""
        with self.lock:
            return any(self.live.values())

    @property
    def greatest(self) -> int:
        """Of all ids that this process has seen or given."""
        return self._ids.greatest

    def begin(self, hidden: str) -> None:
        """Make the first segment and the reserve, so that a lost segment is missed and the first accept is cheap.

        ``hidden`` is what the folder is called until it is complete.
        """
        with self.lock:
            self._reserve(hidden)
            self._rotate(hidden)

    def need_folder_sync(self, *folders: str) -> None:
        if self.fsync:
            self._unsynced_folders.update(folders)

    def record(self, kind: Kind, **header: Any) -> bool:
        """Append one record that is no accept; false when it could not be written (or, for an outcome, not synced)."""
        try:
            if kind is Kind.OUTCOME and _faultpoints.active is not None:
                _faultpoints.hit("fs.log.outcome.before")
            with self.lock:
                position = self.append(kind, header)
            if self.fsync and kind is Kind.OUTCOME:
                self.sync(position)
        except OSError:
            return False
        return True

    def append(
        self, kind: Kind, header: dict[str, Any], payload: bytes = b"", crc: int = 0, entry: SpoolEntry | None = None
    ) -> Position:
        """Write one record and move the end past it; ``OSError`` when it could not be written: then nothing was.

        The caller holds ``lock``. With ``entry`` the record is its accept.
        """
        if self._closed:
            raise SpoolError(f"the log in {self.folder} is closed", errno=errno.EBADF)
        encoded = encode_header(header)
        if kind is not Kind.OUTCOME and kind is not Kind.RETIRED:
            self._reserve(self.folder)
        else:
            try:
                return self._append(kind, encoded, payload, crc, entry)
            except OSError as error:
                if error.errno not in files.NO_ROOM or not self._give_reserve():
                    raise
        return self._append(kind, encoded, payload, crc, entry)

    def _append(self, kind: Kind, header: bytes, payload: bytes, crc: int, entry: SpoolEntry | None) -> Position:
        segment, end, newest = self._place(len(header) + len(payload))
        record = encode_record((segment.nonce, end), kind, header, payload, crc)
        self._dirty = True
        try:
            if _faultpoints.active is not None:
                _faultpoints.hit(
                    "fs.log.append.before",
                    kind=kind.name.lower(),
                    entry=entry and entry.wire_id,
                    key=entry and entry.key,
                )
            files.write_at(segment.descriptor, record, end)
            if _faultpoints.active is not None:
                _faultpoints.hit("fs.log.append.written", kind=kind.name.lower(), path=segment.path, at=end)
        except OSError:
            self._cut(segment, end)
            raise
        after = end + len(record)
        if entry is None:
            self.committed = (segment, after, newest)
        else:
            if not entry.path:
                entry.path, entry.offset = segment.path, end + HEADER_AT + len(header)
            self._commit(entry, segment, after)
        self._dirty = False
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.log.append.after", kind=kind.name.lower())
        return segment.number, after

    def _commit(self, entry: SpoolEntry, segment: Segment, after: int) -> None:
        entry.segment = segment.number
        # Counted first: an interrupt in between leaves a segment that is kept too long, never one removed too early.
        self.live[segment.number] += 1
        if entry.holds in self.live:
            self.live[entry.holds] += 1
        else:
            entry.holds = 0
        try:
            self.committed = (segment, after, entry)
        finally:
            if self.committed[2] is not entry:
                self.live[segment.number] -= 1
                if entry.holds:
                    self.live[entry.holds] -= 1

    def _reserve(self, folder: str) -> None:
        """Have it; ``OSError`` when there is no room for it."""
        if not self._reserved:
            files.write_whole(os.path.join(folder, "reserve"), bytes(RESERVE))
            self._reserved = True

    def _give_reserve(self) -> bool:
        """Give its room up; false when there was none to give."""
        self._reserved = False
        path = os.path.join(self.folder, "reserve")
        return os.path.exists(path) and files.gone(path)

    def _place(self, size: int) -> tuple[Segment, int, SpoolEntry | None]:
        segment, end, _ = self.committed
        full = end + size > self._segment_bytes and end > SEGMENT_START
        if full or not self._trusted or (self._dirty and not self._cut(segment, end)):
            self._rotate(self.folder)
        return self.committed

    def _cut(self, segment: Segment, end: int) -> bool:
        """Take away what lies beyond the known end; when that fails the segment is not written to any more."""
        try:
            if os.fstat(segment.descriptor).st_size != end:
                if _faultpoints.active is not None:
                    _faultpoints.hit("fs.log.rollback.before")
                files.cut(segment.descriptor, end)
                if _faultpoints.active is not None:
                    _faultpoints.hit("fs.log.rollback.after")
            self._dirty = False
        except OSError:
            self._trusted = False
        return self._trusted

    def _rotate(self, folder: str) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.log.rotate.before")
        old, end, newest = self.committed
        new = self._new_segment(folder, old.number + 1, end)
        self.need_folder_sync(self.folder)
        self.live[new.number] = 0
        self._sizes[old.number] = end
        self.committed = (new, SEGMENT_START, newest)
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.log.rotate.after")
        trusted, self._trusted = self._trusted, True
        if trusted:  # what it says of its successor lies beyond its end, and matters only when the successor is lost
            with contextlib.suppress(OSError):
                files.cut(old.descriptor, end)
                files.write_at(old.descriptor, encode_record((old.nonce, end), Kind.SEALED, b"{}"), end)
        if self.fsync and old is not self._unsyncable and old.descriptor >= 0:
            self._unsynced.append(old.descriptor)
        elif old.descriptor >= 0:
            os.close(old.descriptor)

    def _new_segment(self, folder: str, number: int, previous_end: int) -> Segment:
        """Its file may exist, left by an interrupt before this: nothing in it was ever accepted."""
        path = segment_path(folder, number)
        nonce = int.from_bytes(os.urandom(8), "little")
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.log.create.before")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            files.write_at(descriptor, SegmentHeader(nonce, self._ids.greatest, previous_end).encode(), 0)
            if _faultpoints.active is not None:
                _faultpoints.hit("fs.log.create.after")
        except BaseException:
            os.close(descriptor)
            # A whole header in it would say where the segment before it ends, which may yet grow.
            self._trusted = files.gone(path) and self._trusted
            raise
        return Segment(number, segment_path(self.folder, number), nonce, descriptor)

    def sync(self, position: Position) -> None:
        """Return once all up to ``position`` is on the disk; callers that wait together share one sync.

        ``SpoolError`` when the disk failed to: the segment is given up, never cut and never synced again.
        """
        with self._sync_lock:
            if any(low < position <= high for low, high in self._lost):
                raise SpoolError(f"the log in {self.folder} could not be synced to the disk; nothing was accepted")
            if position <= self._synced:
                return
            with self.lock:
                segment, end, _ = self.committed
                older, folders = list(self._unsynced), sorted(self._unsynced_folders)
            try:
                if _faultpoints.active is not None:
                    _faultpoints.hit("fs.log.fsync.before")
                for descriptor in (*older, segment.descriptor):
                    files.sync_data(descriptor)
                if _faultpoints.active is not None:
                    _faultpoints.hit("fs.log.fsync.after")
                for folder in folders:
                    self._sync_folder(folder)
            except OSError as error:
                self._give_up()
                raise SpoolError(
                    f"the log in {self.folder} could not be synced to the disk ({error.strerror}); "
                    "nothing was accepted",
                    errno=error.errno,
                ) from error
            self._synced = (segment.number, end)
            with self.lock:
                self._unsynced_folders.difference_update(folders)
                del self._unsynced[: len(older)]
            for descriptor in older:
                os.close(descriptor)

    def _sync_folder(self, folder: str) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.dir.fsync.before")
        files.sync_path(folder)
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.dir.fsync.after")

    def _give_up(self) -> None:
        """Every record since the last good sync counts as lost, and the next one begins a new segment."""
        with self.lock:
            self._trusted = False
            self._unsyncable = self.committed[0]
            lost, self._unsynced = self._unsynced, []
            high = self.position
        self._lost.append((self._synced, high))
        self._synced = high
        for descriptor in lost:
            os.close(descriptor)

    def spare(self) -> bool:
        """Retire what can be, the segment in use too when it holds nothing that is still needed; true when that has
        made room.
        """
        before = self.size
        with self.lock, contextlib.suppress(OSError):
            if not self._closed and self.committed[1] > SEGMENT_START and not any(self.live.values()):
                self._rotate(self.folder)
        self.retire()
        return self.size < before

    def retire(self) -> None:
        """Remove the oldest segments whose entries all have their outcomes: strictly from the oldest, whole."""
        if self.damaged or not self._retire_lock.acquire(blocking=False):
            return
        try:
            for number in self._spent():
                if _faultpoints.active is not None:
                    _faultpoints.hit("fs.log.retire.before")
                if not files.gone(segment_path(self.folder, number)):
                    return
                if _faultpoints.active is not None:
                    _faultpoints.hit("fs.log.retire.after")
                with self.lock:
                    del self.live[number]
                    self._sizes.pop(number, None)
        except OSError:
            return
        finally:
            self._retire_lock.release()

    def _spent(self) -> list[int]:
        """The numbers of spent segments, once the log says that they are gone on purpose."""
        with self.lock:
            last = self.committed[0].number
            spent = list(itertools.takewhile(lambda number: number < last and not self.live[number], self.live))
            if not spent:
                return []
            position = self.append(Kind.RETIRED, {"through": spent[-1]})
        if self.fsync:
            self.sync(position)
        return spent

    def release(self, entry: SpoolEntry) -> None:
        """One entry of this log has its outcome."""
        with self.lock:
            self.live[entry.segment] -= 1
            if entry.holds:
                self.live[entry.holds] -= 1
        self.retire()

    def close(self) -> None:
        with self.lock:
            segment, end, newest = self.committed
            descriptors = [*self._unsynced, segment.descriptor]
            self._unsynced = []
            self._closed = True  # somebody else may own the folder from now on
            self.committed = (replace(segment, descriptor=-1), end, newest)
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)
