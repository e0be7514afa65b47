"""Places where a test may make a step of ours fail or die.

``_faultpoints.hit("log.append.before")`` where a step of ours begins or ends; with nobody listening it costs one call.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS: dict[str, str] = {
    "payload.copy.before": "a large payload is about to be staged",
    "payload.copy.after": "a large payload is staged, its record is not written",
    "log.append.before": "a record is about to be written",
    "log.append.written": "a record is written, the known end has not moved",
    "log.append.after": "a record is whole in the log",
    "log.sync.before": "the log is about to be synced",
    "log.cut.before": "the log is about to be cut back to its known end",
    "log.rotate.before": "a new segment is about to be made",
    "log.retire.before": "a spent segment is about to be removed",
    "settle.recorded": "an outcome is recorded, the payload still lies there",
    "failed.written": "a failed entry is written under its hidden name",
    "failed.recorded": "the failure is recorded, the folder is not renamed yet",
    "move.before_unlink": "a moved source is accepted and still there",
    "retake.accepted": "a failed entry is accepted anew, its folder still there",
}

active: Callable[[str], None] | None = None


def hit(point: str) -> None:
    """Tell whoever listens that ``point`` was reached; an undeclared point is a ``KeyError``."""
    POINTS[point]
    if active is not None:
        active(point)
