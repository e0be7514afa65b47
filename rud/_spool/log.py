"""The log of one owner, as its only writer sees it: append, cut, rotate, sync, retire.

What is accepted is what lies before the known end: one assignment of ``committed`` moves it, after the record is
whole. Whatever an interrupt or a failed write left beyond it is cut before the next append.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rud import _faultpoints
from rud._spool import files
from rud._spool.entry import SpoolEntry
from rud._spool.records import (
    SEGMENT_START,
    Kind,
    SegmentHeader,
    encode_header,
    encode_record,
    payload_offset,
    record_size,
)
from rud._spool.segments import Reserve, Segment, new_segment, seal
from rud.errors import SpoolError

Position = tuple[int, int]
"""A segment's number and an offset in it."""


class Log:
    """``lock`` guards every field but ``_synced`` and ``_lost``, which ``_sync_lock`` guards; no sync happens under
    ``lock``.

    ``newest_id`` gives the greatest id known; ``live`` counts the entries without outcome of each segment. With
    ``damaged`` nothing is ever retired.
    """

    def __init__(
        self,
        folder: str,
        *,
        segment_bytes: int,
        fsync: bool,
        newest_id: Callable[[], int],
        end: Position = (0, 0),
        live: dict[int, int] | None = None,
        answered: bool = False,
        damaged: bool = False,
    ) -> None:
        self.lock = threading.Lock()
        self.folder = folder
        self.fsync = fsync
        self.damaged = damaged
        self.answered = answered
        self.live = dict(live or {})
        self._sizes: dict[int, int] = {}
        self._segment_bytes = segment_bytes
        self._newest_id = newest_id
        last = Segment(end[0], os.path.join(folder, f"log-{end[0]}"), 0, -1)
        self.committed: tuple[Segment, int, SpoolEntry | None] = (last, end[1], None)
        self._trusted = False
        self._dirty = False  # something may lie beyond the known end
        self._closed = False
        self._unsyncable: Segment | None = None
        self._reserve = Reserve(folder)
        self._sync_lock = threading.Lock()
        self._retire_lock = threading.Lock()
        self._synced: Position = (0, 0)
        self._lost: list[tuple[Position, Position]] = []
        self._unsynced: list[int] = []
        self._unsynced_folders: set[str] = set()

    @property
    def position(self) -> Position:
        segment, end, _ = self.committed
        return segment.number, end

    @property
    def size(self) -> int:
        """Of all segments together."""
        return sum(self._sizes.values()) + self.committed[1]

    def begin(self) -> None:
        """Make the first segment and the reserve, so that a lost segment is missed and the first accept is cheap."""
        with self.lock:
            self._reserve.hold()
            self._rotate()

    def moved(self, folder: str) -> None:
        """The folder was renamed; nothing is accepted yet."""
        self.folder = folder
        self._reserve.folder = folder
        segment, end, newest = self.committed
        path = os.path.join(folder, os.path.basename(segment.path))
        self.committed = (replace(segment, path=path), end, newest)
        self._unsynced_folders.clear()
        self.need_folder_sync(folder)

    def need_folder_sync(self, *folders: str) -> None:
        if self.fsync:
            self._unsynced_folders.update(folders)

    def record(self, kind: Kind, header: dict[str, Any]) -> bool:
        """Append one record that is no accept; false when it could not be written (or, for an outcome, not synced)."""
        try:
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
        outcome = kind in {Kind.OUTCOME, Kind.RETIRED}
        try:
            return self._append(kind, header, payload, crc, entry, outcome=outcome)
        except OSError as error:
            if not outcome or error.errno not in files.NO_ROOM or not self._reserve.release():
                raise
        return self._append(kind, header, payload, crc, entry, outcome=outcome)

    def _append(
        self, kind: Kind, header: dict[str, Any], payload: bytes, crc: int, entry: SpoolEntry | None, *, outcome: bool
    ) -> Position:
        if self._closed:
            raise SpoolError(f"the log in {self.folder} is closed", errno=errno.EBADF)
        if not outcome:
            self._reserve.hold()
        encoded = encode_header(header)
        segment, end, newest = self._place(record_size(encoded, len(payload)))
        parts = encode_record((segment.nonce, end), kind, encoded, payload, crc)
        if _faultpoints.active is not None:
            _faultpoints.hit("log.append.before")
        self._dirty = True
        try:
            files.write_at(segment.descriptor, parts, end)
        except OSError:
            self._cut(segment, end)
            raise
        if _faultpoints.active is not None:
            _faultpoints.hit("log.append.written")
        after = end + sum(map(len, parts))
        if entry is None:
            self.committed = (segment, after, newest)
        else:
            self._commit(entry, segment, payload_offset(end, encoded) if payload or not entry.path else 0, after)
        self._dirty = False
        if _faultpoints.active is not None:
            _faultpoints.hit("log.append.after")
        return segment.number, after

    def _commit(self, entry: SpoolEntry, segment: Segment, offset: int, after: int) -> None:
        entry.segment = segment.number
        if offset:
            entry.path, entry.offset = segment.path, offset
        # Counted first: an interrupt in between leaves a segment that is kept too long, never one removed too early.
        self.live[segment.number] = self.live.get(segment.number, 0) + 1
        try:
            self.committed = (segment, after, entry)
        finally:
            if self.committed[2] is not entry:
                self.live[segment.number] -= 1

    def _place(self, size: int) -> tuple[Segment, int, SpoolEntry | None]:
        segment, end, _ = self.committed
        full = end + size > self._segment_bytes and end > SEGMENT_START
        if full or not self._trusted or (self._dirty and not self._cut(segment, end)):
            self._rotate()
        return self.committed

    def _cut(self, segment: Segment, end: int) -> bool:
        """Take away what lies beyond the known end; when that fails the segment is not written to any more."""
        try:
            if os.fstat(segment.descriptor).st_size != end:
                if _faultpoints.active is not None:
                    _faultpoints.hit("log.cut.before")
                files.cut(segment.descriptor, end)
            self._dirty = False
        except OSError:
            self._trusted = False
        return self._trusted

    def _rotate(self) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("log.rotate.before")
        old, end, newest = self.committed
        header = SegmentHeader(0, self._newest_id(), end, self.answered)
        new = new_segment(self.folder, old.number + 1, header)
        self.need_folder_sync(self.folder)
        self.live.setdefault(new.number, 0)
        self._sizes[old.number] = end
        self.committed = (new, SEGMENT_START, newest)
        trusted, self._trusted = self._trusted, True
        if old.descriptor < 0:
            return
        if trusted:
            seal(old, end)
        if self.fsync and old is not self._unsyncable:
            self._unsynced.append(old.descriptor)
        else:
            os.close(old.descriptor)

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
                older, folders = list(self._unsynced), set(self._unsynced_folders)
            try:
                self._sync_all([*older, segment.descriptor], folders)
            except OSError as error:
                self._give_up()
                raise SpoolError(
                    f"the log in {self.folder} could not be synced to the disk ({error.strerror}); "
                    "nothing was accepted",
                    errno=error.errno,
                ) from error
            self._synced = (segment.number, end)
            with self.lock:
                self._unsynced_folders -= folders
                self._unsynced = [one for one in self._unsynced if one not in older]
            for descriptor in older:
                os.close(descriptor)

    def _sync_all(self, descriptors: list[int], folders: set[str]) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("log.sync.before")
        for descriptor in descriptors:
            files.sync_data(descriptor)
        for folder in folders:
            files.sync_folder(folder)

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

    def spare(self) -> None:
        """Begin a new segment when the one in use holds nothing that is still needed, so that it can be retired."""
        with self.lock:
            if not self._closed and self.committed[1] > SEGMENT_START and not any(self.live.values()):
                try:
                    self._rotate()
                except OSError:
                    return
        self.retire()

    def retire(self) -> None:
        """Remove the oldest segments whose entries all have their outcomes: strictly from the oldest, whole."""
        if self.damaged or not self._retire_lock.acquire(blocking=False):
            return
        try:
            spent = self._claim_spent()
            while spent and self._remove(spent[0]):
                spent.pop(0)
            with self.lock:
                self.live.update(dict.fromkeys(spent, 0))
        finally:
            self._retire_lock.release()

    def _claim_spent(self) -> list[int]:
        """The numbers of spent segments, once the log says that they are gone on purpose."""
        with self.lock:
            spent: list[int] = []
            for number in sorted(self.live):
                if self.live[number] or number >= self.committed[0].number:
                    break
                spent.append(number)
            if not spent:
                return []
            try:
                position = self.append(Kind.RETIRED, {"through": spent[-1]})
            except OSError:
                return []
            for number in spent:
                del self.live[number]
        try:
            if self.fsync:
                self.sync(position)
        except SpoolError:
            with self.lock:
                self.live.update(dict.fromkeys(spent, 0))
            return []
        return spent

    def _remove(self, number: int) -> bool:
        if _faultpoints.active is not None:
            _faultpoints.hit("log.retire.before")
        if not files.gone(os.path.join(self.folder, f"log-{number}")):
            return False
        with self.lock:
            self._sizes.pop(number, None)
        return True

    def release(self, entry: SpoolEntry) -> None:
        """One entry of this log has its outcome."""
        with self.lock:
            self.live[entry.segment] -= 1
        self.retire()

    def close(self) -> None:
        with self.lock:
            segment, end, newest = self.committed
            descriptors = [*self._unsynced, segment.descriptor]
            self._unsynced = []
            self._closed = True  # somebody else may own the folder from now on
            self.committed = (Segment(segment.number, segment.path, segment.nonce, -1), end, newest)
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)
