"""One attempt at one upload, from the look before it to the verdict after it. Tries once; never sleeps."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

from rud import _faultpoints
from rud._body import Body
from rud.errors import (
    AccessDeniedError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
)
from rud.store import Backend, ObjectMeta, PutMode

logger = logging.getLogger("rud")

WHOLE_MTIME = 1_000_000_000
"""Nanoseconds: some stores tell the time of a change in whole seconds."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is told of an upload. ``path``, ``offset``, ``size``: where its payload lies, in bytes."""

    id: int
    key: str
    path: str
    offset: int
    size: int
    crc: int | None
    mtime_ns: int | None
    """The payload's modification time at accept; ``None`` where nobody but us can reach it."""
    overwrite: bool
    entry_id: str
    durable: bool
    accepted_ns: int
    adopted: bool = False
    """Left by an earlier run: a later upload of ours may be there already."""
    look: bool = False
    """Look at what is there before sending: an earlier attempt may have stored it, or a later upload of ours."""
    force: bool = False
    """Send even over an object that is newer than the accept and not ours, or that may not be looked at."""
    aborts: tuple[str, ...] = ()
    """Multipart uploads that died with an earlier attempt."""
    strays: bool = False
    """There may be others, of which nobody has learnt."""

    def to_wire(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _NAMES}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(**{**wire, "aborts": tuple(wire["aborts"])})


_NAMES = tuple(field.name for field in fields(Job))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended without an error.

    ``outcome``: ``"stored"``, ``"superseded"`` (a later upload of ours is there), ``"aside"`` (somebody else's newer
    object is there; ``reason`` says what), ``"unread"`` (the credentials may not look).
    """

    outcome: str
    reason: str = ""
    sent: bool = False
    """The bytes were sent by this attempt, not found."""


def attempt(
    backend: Backend,
    job: Job,
    *,
    on_read: Callable[[int], None],
    on_multipart: Callable[[str], None],
    on_sum: Callable[[int], None],
    revoked: Callable[[], bool],
) -> Verdict:
    """Make the destination hold ``job``'s bytes, or say why not; raises what the backend raises, and
    ``IntegrityError`` without an operation when the payload itself is not what was accepted. ``on_sum`` is told the
    CRC32C of a payload that had none, once it was read to the end, whatever becomes of the attempt."""
    _tidy(backend, job)
    if job.look and job.overwrite:
        verdict = _look(backend, job)
        if verdict is not None:
            return verdict
    if _faultpoints.active is not None:
        _faultpoints.hit("fs.payload.read.before", key=job.key, path=job.path, at=job.offset)
    with open(job.path, "rb", buffering=0) as file:
        _check_unchanged(file.fileno(), job)
        body = Body(file, job.size, offset=job.offset, expected=job.crc, on_read=on_read, revoked=revoked)
        try:
            _put(backend, job, body, on_multipart)
        except ObjectExistsError:
            if not job.overwrite and _is_ours(backend.head(job.key), job):
                return Verdict("stored")
            raise
        finally:
            if job.crc is None and body.crc32c is not None:
                on_sum(body.crc32c)
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.payload.read.after", key=job.key)
        _check_unchanged(file.fileno(), job)
    return Verdict("stored", sent=True)


def _tidy(backend: Backend, job: Job) -> None:
    """End what earlier attempts have begun. What may not be ended, or cannot be, stays: the upload matters more."""
    for upload_id in (*job.aborts, *((None,) if job.strays else ())):
        try:
            backend.abort(job.key, upload_id)
        except (ObjectStoreTransientError, CredentialsExpiredError):
            raise
        except StoreError as error:
            logger.warning(
                "parts of an earlier attempt at %r may be left in the store: %s", job.key, type(error).__name__
            )


def _put(backend: Backend, job: Job, body: Body, on_multipart: Callable[[str], None]) -> None:
    mode = PutMode.OVERWRITE if job.overwrite else PutMode.CREATE
    if mode is PutMode.CREATE and backend.capabilities.create is not True:
        # Best effort, as the store declares: somebody may still come between the look and the put.
        try:
            backend.head(job.key)
        except ObjectNotFoundError:
            mode = PutMode.OVERWRITE
        else:
            raise ObjectExistsError.during("put", job.key, "the object exists")
    backend.put(
        job.key,
        body,
        mode=mode,
        checksum=job.crc,
        entry_id=job.entry_id,
        durable=job.durable and backend.capabilities.fsync is True,
        on_multipart=on_multipart,
    )


def _check_unchanged(fd: int, job: Job) -> None:
    """Until a sum stands for the payload, its size and time do (a linked file is still its writer's to change)."""
    if job.mtime_ns is None:
        return
    now = os.fstat(fd)
    if (now.st_size, now.st_mtime_ns) != (job.size, job.mtime_ns):
        raise IntegrityError(
            f"{job.path} was changed after it was accepted: {job.size} bytes then, {now.st_size} now, "
            "or another time of modification"
        )


def _is_ours(there: ObjectMeta, job: Job) -> bool:
    if there.entry_id is not None:
        return there.entry_id == job.entry_id
    return there.size == job.size and job.crc is not None and there.checksum == job.crc


def _look(backend: Backend, job: Job) -> Verdict | None:
    """What the object that is there says of an overwriting upload; ``None``: send it."""
    try:
        there = backend.head(job.key)
    except ObjectNotFoundError:
        return None
    except AccessDeniedError as error:
        return None if job.force else Verdict("unread", reason=error.reason or str(error))
    if _is_ours(there, job):
        return Verdict("stored")
    if there.entry_id is not None:
        # The uploads of this run are sent in their order: what has a later id was sent by a clock that was ahead.
        return Verdict("superseded") if job.adopted and there.entry_id > f"{job.accepted_ns:016x}" else None
    newer = there.last_modified is not None and there.last_modified * 1e9 >= job.accepted_ns - WHOLE_MTIME
    if newer and not job.force:
        return Verdict("aside", reason="the store holds an object that is newer than this upload and not ours")
    return None
