"""The end of an entry: the outcome is recorded first, then the payload goes, then the segments that are spent."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from rud import _faultpoints
from rud._spool import failed, files
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.records import Kind


class Settling:
    """Ends entries of any owner that this process holds. ``freed`` is told of each entry whose payload is gone.

    ``unwritable`` is true from an outcome that could not be recorded to the next one that could.
    """

    def __init__(self, freed: Callable[[SpoolEntry], None], *, fsync: bool) -> None:
        self._freed = freed
        self._fsync = fsync
        self.unwritable = False

    def settle(self, entry: SpoolEntry, outcome: Outcome, facts: Mapping[str, object] | None = None) -> bool:
        """False when the outcome could not be recorded: the entry is still spooled. An ended entry stays as it
        ended.
        """
        if entry.outcome is not None:
            return True
        if not self._record(entry, outcome, facts):
            return False
        self._remove(entry)
        return True

    def settle_all(self, entries: Sequence[SpoolEntry], outcome: Outcome, by: Mapping[int, int] | None = None) -> None:
        """The same outcome for many, with one sync. ``by``: what has taken the place of each."""
        if not entries:
            return
        log = entries[0].owner.log
        try:
            with log.lock:
                position = log.position
                for entry in entries:
                    more = {"by": by[entry.id]} if by and entry.id in by else {}
                    position = log.append(Kind.OUTCOME, {"id": entry.id, "outcome": outcome.value, **more})
            if self._fsync:
                log.sync(position)
        except OSError:
            self.unwritable = True
            return
        for entry in entries:
            entry.outcome = outcome
            self._remove(entry)

    def fail(self, entry: SpoolEntry, reason: Mapping[str, object]) -> str:
        """Take a failed entry out of the log, to ``failed/<id>``; ``""`` when it could not be kept and stays
        spooled.
        """
        if entry.outcome is not None:
            return failed.folder_of(entry) if entry.outcome is Outcome.FAILED else ""
        try:
            hidden = failed.write_hidden(entry, reason, sync=self._fsync)
        except OSError:
            return ""
        if _faultpoints.active is not None:
            _faultpoints.hit("failed.written")
        if not self._record(entry, Outcome.FAILED, None):
            files.remove_tree(hidden)
            return ""
        if _faultpoints.active is not None:
            _faultpoints.hit("failed.recorded")
        kept_at = self._show(entry, hidden)
        self._remove(entry)
        return kept_at

    def _show(self, entry: SpoolEntry, hidden: str) -> str:
        visible = failed.folder_of(entry)
        try:
            os.rename(hidden, visible)
            if self._fsync:
                files.sync_folder(entry.owner.failed)
        except OSError:
            return visible if os.path.isdir(visible) else hidden
        return visible

    def _record(self, entry: SpoolEntry, outcome: Outcome, facts: Mapping[str, object] | None) -> bool:
        header = {**(facts or {}), "id": entry.id, "outcome": outcome.value}
        recorded = entry.owner.log.record(Kind.OUTCOME, header)
        self.unwritable = not recorded
        if recorded:
            entry.outcome = outcome
            if _faultpoints.active is not None:
                _faultpoints.hit("settle.recorded")
        return recorded

    def _remove(self, entry: SpoolEntry) -> None:
        if entry.large:
            files.gone(entry.path)
        entry.owner.log.release(entry)
        self._freed(entry)
