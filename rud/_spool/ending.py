"""The end of an entry: the outcome is recorded first, then the payload goes, then the segments that are spent."""

from __future__ import annotations

from collections.abc import Mapping

from rud import _faultpoints
from rud._spool import failed, files
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.records import Kind


def settle(entry: SpoolEntry, outcome: Outcome, facts: Mapping[str, object] | None = None) -> bool:
    """False when the outcome could not be recorded: the entry is still spooled. An ended entry stays as it ended."""
    if entry.outcome is None and _record(entry, outcome, facts):
        _remove(entry)
    return entry.outcome is not None


def fail(entry: SpoolEntry, reason: Mapping[str, object]) -> str:
    """Take a failed entry out of the log, to ``failed/<id>``; ``""`` when it could not be kept and stays spooled."""
    if entry.outcome is not None:
        return failed.folder_of(entry) if entry.outcome is Outcome.FAILED else ""
    try:
        failed.write_hidden(entry, reason)
    except OSError:
        return ""
    if _faultpoints.active is not None:
        _faultpoints.hit("fs.failed.written", key=entry.key)
    if not _record(entry, Outcome.FAILED):
        return ""  # a sync may have failed that was none: whoever reads the log finds out, and needs the folder then
    if _faultpoints.active is not None:
        _faultpoints.hit("fs.failed.recorded", key=entry.key)
    kept_at = failed.show(entry)
    _remove(entry)
    return kept_at


def _record(entry: SpoolEntry, outcome: Outcome, facts: Mapping[str, object] | None = None) -> bool:
    recorded = entry.owner.log.record(Kind.OUTCOME, **(facts or {}), id=entry.id, outcome=outcome.value)
    if recorded:
        entry.outcome = outcome
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.log.outcome.after", key=entry.key)
    return recorded


def _remove(entry: SpoolEntry) -> None:
    if entry.large:
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.payload.unlink.before", key=entry.key)
        files.gone(entry.path)
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.payload.unlink.after", key=entry.key)
    entry.owner.log.release(entry)
    if entry.owner.limit is not None:
        entry.owner.limit.give(entry.size if entry.large and not entry.adopted else 0)
