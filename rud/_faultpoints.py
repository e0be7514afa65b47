"""Where a step of ours begins or ends, so that a test can make it fail, or the process die, just there.

A point is declared here once and used in one guarded line:

``if _faultpoints.active is not None: _faultpoints.hit("fs.log.append.before", path=…)``

With nobody listening that costs one look at a global. What listens is not part of this package: ``load`` imports it by
the name that the environment gives, in every process of ours, so that workers and restarts obey the same plan.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

PLAN = "RUD_FAULTS"
"""Names the file of a fault plan."""
ENABLE = "RUD_FAULTS_ENABLE"
"""Has to be ``1``, or the plan is not looked at: a variable left behind must not break a run."""
LOADER = "RUD_FAULTS_LOADER"
"""``module:function``, which is given the plan's file and returns what ``active`` becomes."""


@dataclass(frozen=True, slots=True)
class Point:
    """``contract``: what is true when it is reached. ``actions``: what a plan may do there. ``facts``: what it tells,
    and a plan may choose by: ``key`` and ``entry`` of the upload, ``path`` and ``at`` of the bytes, and the like.
    """

    name: str
    contract: str
    actions: tuple[str, ...]
    facts: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """``fs``, ``ipc``, ``worker``, ``accept`` or ``recover``."""
        return self.name.partition(".")[0]


_DIE = ("kill",)
_FAIL = ("errno", "kill")
_SLOW = ("errno", "delay", "kill")
_WORK = ("errno", "raise", "kill", "stop", "exit", "_exit", "delay", "hang", "pause")

_DECLARED = (
    Point("fs.payload.create.before", "a large payload is about to get its file in the spool", _FAIL),
    Point("fs.payload.create.after", "a large payload is staged, its record is not written", _DIE),
    Point("fs.payload.write.before", "the file of a large payload is there and empty", _SLOW),
    Point("fs.payload.write.after", "the bytes of a large payload are written, not synced", _FAIL),
    Point("fs.payload.fsync.before", "a large payload is about to be synced", _SLOW),
    Point("fs.payload.fsync.after", "a large payload is synced", _DIE),
    Point("fs.payload.link.before", "a source is about to be linked into the spool", _FAIL),
    Point("fs.payload.link.after", "a source is linked into the spool, its record is not written", _DIE),
    Point(
        "fs.payload.read.before",
        "a worker is about to open a payload",
        ("errno", "flip", "truncate", "kill"),
        ("key", "path", "at"),
    ),
    Point(
        "fs.payload.read.after",
        "a worker has sent a payload and not looked whether it changed meanwhile",
        _FAIL,
        ("key",),
    ),
    Point("fs.payload.unlink.before", "an outcome is recorded, a large payload is about to be removed", _DIE, ("key",)),
    Point("fs.payload.unlink.after", "a large payload is removed, its segment still counts it", _DIE, ("key",)),
    Point("fs.log.create.before", "the file of a new segment is about to be made", _FAIL),
    Point("fs.log.create.after", "a new segment has its header, nothing is written to it", _DIE),
    Point("fs.log.append.before", "a record is about to be written", _SLOW, ("kind", "entry", "key")),
    Point(
        "fs.log.append.written",
        "a record is written, the known end has not moved",
        ("errno", "truncate", "kill"),
        ("kind", "path", "at"),
    ),
    Point("fs.log.append.after", "a record is whole in the log", _DIE, ("kind",)),
    Point("fs.log.outcome.before", "an outcome is about to be recorded", _FAIL),
    Point("fs.log.outcome.after", "an outcome is recorded, the payload still lies there", _DIE, ("key",)),
    Point("fs.log.fsync.before", "the log is about to be synced", _SLOW),
    Point("fs.log.fsync.after", "the log is synced, nobody was told", _DIE),
    Point("fs.log.rollback.before", "the log is about to be cut back to its known end", _FAIL),
    Point("fs.log.rollback.after", "the log is cut back to its known end", _DIE),
    Point("fs.log.rotate.before", "a new segment is about to be made", _DIE),
    Point("fs.log.rotate.after", "a new segment is in use, the old one does not say so yet", _DIE),
    Point("fs.log.retire.before", "a spent segment is about to be removed", _FAIL),
    Point("fs.log.retire.after", "a spent segment is removed and still counted", _DIE),
    Point("fs.dir.fsync.before", "the names in a folder are about to be synced", _FAIL),
    Point("fs.dir.fsync.after", "the names in a folder are synced", _DIE),
    Point("fs.failed.written", "a failed entry is written under its hidden name", _DIE, ("key",)),
    Point("fs.failed.recorded", "a failure is recorded, its folder is not renamed yet", _DIE, ("key",)),
    Point("fs.scan.before", "a segment of a dead owner is about to be read", _FAIL),
    Point("fs.scan.after", "the log of a dead owner is read", _DIE),
    Point("fs.lock.before", "the lock of a dead owner is about to be asked for", _FAIL),
    Point("fs.lock.after", "a dead owner is locked by us", _DIE),
    Point("ipc.cmd.write.before", "a command is about to go to a worker", _DIE, ("op",)),
    Point("ipc.cmd.write.after", "a command is in the pipe to a worker, or waits for room", _DIE, ("op",)),
    Point("ipc.result.write.before", "a worker is about to send a result", _DIE),
    Point("ipc.result.write.after", "the result is in the pipe", _DIE),
    Point("ipc.result.read.before", "the parent is about to read what a worker has sent", ("delay", "kill")),
    Point("ipc.result.read.after", "the parent has read a result and not acted on it", _DIE),
    Point("worker.spawn.before", "a worker is about to be started", _FAIL),
    Point("worker.spawn.after", "a worker runs and was told nothing", _DIE),
    Point("worker.start", "a worker has begun and read nothing", ("kill", "stop", "_exit", "hang")),
    Point("worker.import.before", "a worker is about to make its store", _WORK),
    Point("worker.import.after", "a worker has its store", _WORK),
    Point("worker.idle", "a worker waits for a command", ("kill", "stop", "_exit")),
    Point("worker.upload.begin", "a worker is about to attempt an upload", _WORK, ("key", "entry")),
    Point("worker.part.sent", "a store has read more of the body", _WORK, ("key", "entry", "bytes")),
    Point("worker.upload.stored", "the store has the object, nobody was told", _WORK, ("key", "entry")),
    Point("worker.result.sent", "the result of an attempt is on its way", ("kill", "stop", "_exit"), ("key", "entry")),
    Point("accept.stage.before", "an upload is offered, nothing is staged", _FAIL),
    Point("accept.stage.after", "the bytes of an upload are in the spool or in memory, not accepted", _DIE),
    Point("accept.record.before", "an upload is about to be recorded as accepted", _DIE, ("key",)),
    Point("accept.record.after", "an upload is accepted, its caller does not know", _DIE, ("key",)),
    Point("accept.unlink.before", "a moved source is accepted and still there", _FAIL),
    Point("accept.unlink.after", "a moved source is removed", _DIE),
    Point("recover.take.before", "a dead owner's folder is locked, its log was not read", _DIE),
    Point("recover.take.after", "a dead owner's uploads are known, none is queued", _DIE),
    Point("recover.sweep.before", "payloads without a record are about to be removed", _DIE),
    Point("recover.sweep.after", "payloads without a record are removed", _DIE),
    Point("recover.end.before", "a taken folder in which nothing is left is about to be removed", _DIE),
    Point("recover.retake.after", "a failed entry is accepted anew, its folder still there", _DIE, ("key",)),
)
POINTS: dict[str, Point] = {point.name: point for point in _DECLARED}

Active = Callable[[str, Mapping[str, object]], None]
active: Active | None = None
plan: str | None = None
"""The file of the plan that this process obeys."""


def hit(point: str, **facts: object) -> None:
    """Tell whoever listens that ``point`` was reached; an undeclared point is a ``KeyError``."""
    POINTS[point]
    if active is not None:
        active(point, facts)


def load(environ: Mapping[str, str] = os.environ) -> None:
    """Obey the plan that the environment names, from now on; once a process. ``ValueError`` for a loader without
    ``module:function``; what the loader raises of a plan that is wrong.
    """
    global active, plan  # noqa: PLW0603  # one plan a process, and one look at a global at each point
    path = environ.get(PLAN)
    if plan is not None or not path:
        return
    if environ.get(ENABLE) != "1":
        logging.getLogger("rud").warning("%s is set and not obeyed: set %s=1 to have faults", PLAN, ENABLE)
        return
    module, colon, name = environ.get(LOADER, "").partition(":")
    if not colon:
        raise ValueError(f"{PLAN} is set, so {LOADER} has to name what obeys it, as module:function")
    active = getattr(import_module(module), name)(path)
    plan = path
    logging.getLogger("rud").warning("FAULTS ARE ON in process %d, by the plan %s", os.getpid(), path)
