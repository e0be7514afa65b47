"""What becomes of an attempt: recorded in the spool, told to the scheduler, counted, announced.

Runs on the supervisor's thread. The order is what keeps the promise: a failure is filed before it is announced; a
stored upload is recorded before the next of its key may start.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rud._attempt import Job
from rud._clock import Clock
from rud._frames import Message
from rud._monitor import Monitor
from rud._retry import Blame, Destination, RetryPolicy
from rud._scheduler import Effects, Scheduler
from rud._spool import Outcome, Spool, SpoolEntry
from rud._transfer import Order, Transfer, UploadState
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectExistsError,
    ObjectStoreTransientError,
    UploadDeniedError,
    UploadError,
    UploadExistsError,
    UploadNotFoundError,
)

logger = logging.getLogger("rud")

_OUTCOMES = {
    UploadState.STORED: Outcome.STORED,
    UploadState.SUPERSEDED: Outcome.SUPERSEDED,
    UploadState.CANCELLED: Outcome.CANCELLED,
}


@dataclass(eq=False)
class Settling:
    """``monitor`` guards ``scheduler``, ``destination``, ``failures`` and the counts, as in the pool."""

    monitor: Monitor
    scheduler: Scheduler
    destination: Destination
    spool: Spool
    policy: RetryPolicy
    chance: random.Random
    clock: Clock
    uri: Callable[[str], str]
    rank: int
    durable: bool
    force: bool = False
    """Send over objects that are newer and not ours."""
    failures: list[Transfer] = field(default_factory=list)
    """Own uploads that failed and of which no caller was told yet."""
    unrecorded: list[Transfer] = field(default_factory=list)
    """Ended, but the log could not be written."""
    failed: list[Transfer] = field(default_factory=list)
    """All that failed, told or not, adopted ones included."""
    unread: list[Transfer] = field(default_factory=list)
    """Adopted, and left in the spool: the credentials may not look at what is there."""
    verified_at_accept: int = 0
    verified_while_sending: int = 0
    sent: int = 0
    """Uploads whose bytes were sent, more than once for some."""
    _effects: deque[Transfer] = field(default_factory=deque)
    _doubted: list[tuple[Transfer, Exception]] = field(default_factory=list)

    def job_for(self, transfer: Transfer) -> Job:
        """What the worker is told; that it is about to be sent is in the log before."""
        entry = transfer.entry
        self.spool.started(entry, kills=entry.kills)
        return Job(
            id=entry.id,
            key=entry.key,
            path=entry.path,
            offset=entry.offset,
            size=entry.size,
            crc=entry.crc,
            mtime_ns=entry.mtime_ns if entry.crc is None else None,
            overwrite=entry.overwrite,
            entry_id=entry.wire_id,
            durable=self.durable or entry.owner.log.fsync,
            accepted_ns=entry.accepted_ns,
            adopted=entry.adopted,
            look=entry.adopted or transfer.attempts > 0,
            # Only what an earlier run has left may be too old to be sent: nobody waited with this one.
            force=self.force or not entry.adopted,
            aborts=entry.multiparts,
            strays=entry.strays,
        )

    def multipart(self, entry: SpoolEntry, upload_id: str) -> None:
        entry.multiparts += (upload_id,)  # for the next attempt, should this worker die
        self.spool.multipart(entry, upload_id)

    def attempt_vanished(self, entry: SpoolEntry) -> None:
        """Its worker ended without an answer."""
        entry.strays = True

    def _bequeath(self, transfer: Transfer, heir: Transfer) -> None:
        """What an upload has left in the store is removed by the one that takes its place."""
        for upload_id in transfer.entry.multiparts:
            self.multipart(heir.entry, upload_id)
        heir.entry.strays |= transfer.entry.strays

    def take(self, effects: Effects) -> None:
        """What a decision of the pool has ended; recorded by the next ``record``. Called under the lock."""
        self._effects.extend(effects.ended)

    def record(self) -> None:
        """Bring the log up to date with what was decided; who waits for it to be told is woken."""
        if self._effects:
            while self._effects:
                self._record(self._effects[0])
                self._effects.popleft()
            with self.monitor.lock:
                self.monitor.notify_all()
        if self.unrecorded:
            self._record_again()

    @property
    def untold(self) -> bool:
        """Something has ended whose end is not recorded, or whose failure is not announced yet."""
        return bool(self._effects)

    def bind_sum(self, entry: SpoolEntry, crc: int) -> None:
        """The first attempt has summed a payload that had no sum: the later ones must match it."""
        self.spool.bind_sum(entry, crc)

    def attempt_ended(self, transfer: Transfer, message: Message, now: float) -> None:
        """An attempt came back without an error."""
        self._answered(now)
        entry = transfer.entry
        match message["outcome"]:
            case "stored":
                self.sent += bool(message["sent"])
                if entry.crc is None:
                    self.verified_while_sending += 1
                else:
                    self.verified_at_accept += 1
                self._decide(lambda: self.scheduler.stored(transfer))
            case "superseded":
                self._decide(lambda: self.scheduler.overtaken(transfer))
            case "unread":
                error = AccessDeniedError.during("head", entry.key, message["reason"])
                self._end_unfiled(transfer, error, "left in the spool: the credentials may not look at what is there")
            case _:
                self._fail(transfer, ObjectExistsError.during("put", entry.key, message["reason"]))

    def attempt_failed(self, transfer: Transfer, error: Exception, *, began: float, now: float) -> None:
        """An attempt came back with an error: retried, charged to whom it concerns, or final."""
        from_the_store = isinstance(error, IntegrityError) and error.operation != ""
        if isinstance(error, ObjectStoreTransientError | CredentialsExpiredError) or from_the_store:
            with self.monitor.lock:
                blame = self.destination.blame(error, began, now)
            if blame is Blame.KEY:
                self._charge(transfer, error, now)
                return
            if blame is Blame.UNDECIDED:
                self._doubted.append((transfer, error))
            delay = self.policy.delay(transfer.attempts + 1, error, self.chance)
            self._postpone(transfer, error, now, delay)
        elif isinstance(error, BucketNotFoundError | ConfigurationError):
            with self.monitor.lock:
                self.destination.refuse(error, now)
            self._postpone(transfer, error, now, 0.0)
        else:
            if not isinstance(error, IntegrityError):
                self._answered(now)
            self._fail(transfer, error)

    def judge(self, error: Exception | None, now: float) -> None:
        """A probe came back: without an error, what was in doubt is charged to the uploads themselves."""
        if isinstance(
            error, ObjectStoreTransientError | CredentialsExpiredError | BucketNotFoundError | ConfigurationError
        ):
            with self.monitor.lock:
                if isinstance(error, BucketNotFoundError | ConfigurationError):
                    self.destination.refuse(error, now)
                else:
                    self.destination.probe_failed(error, now, self.chance)
                self.monitor.notify_all()
            self._doubted.clear()
            return
        with self.monitor.lock:
            self.destination.inquiry.answered(error)
        self._answered(now)
        doubted, self._doubted = self._doubted, []
        for transfer, reason in doubted:
            if transfer.state is UploadState.RETRYING or transfer.state is UploadState.QUEUED:
                transfer.attempts += 1
                if transfer.attempts >= self.policy.attempts and transfer.state is UploadState.RETRYING:
                    self._fail(transfer, reason)

    def worker_lost(self, transfer: Transfer, how: str, poison: int) -> None:
        """The worker died that held it."""
        transfer.entry.kills += 1
        if transfer.entry.kills >= poison:
            self._fail(
                transfer, ChildProcessError(f"{transfer.entry.kills} workers died while they held it, the last: {how}")
            )
        else:
            self._decide(lambda: self.scheduler.lost(transfer))

    def _charge(self, transfer: Transfer, error: Exception, now: float) -> None:
        transfer.attempts += 1
        if transfer.attempts >= self.policy.attempts:
            self._fail(transfer, error)
            return
        delay = self.policy.delay(transfer.attempts, error, self.chance)
        logger.warning(
            "attempt %d of %d at %s failed, the next in %.1f s or more: %s",
            transfer.attempts, self.policy.attempts, self.uri(transfer.entry.key), delay, error,
        )  # fmt: skip
        self._postpone(transfer, error, now, delay)

    def _postpone(self, transfer: Transfer, error: Exception, now: float, delay: float) -> None:
        self.spool.postponed(transfer.entry, error, tries=transfer.tries, due=self.clock.time_ns() + round(delay * 1e9))
        self._decide(lambda: self.scheduler.postpone(transfer, now + delay))

    def _answered(self, now: float) -> None:
        with self.monitor.lock:
            first = not self.destination.answered
            self.destination.heard(now)
            self.monitor.notify_all()
        if first:
            self.spool.answered()

    def _decide(self, decision: Callable[[], Effects]) -> None:
        with self.monitor.lock:
            self.take(decision())
            self.monitor.notify_all()
        self.record()

    def _fail(self, transfer: Transfer, cause: Exception) -> None:
        """File it first, then say so."""
        error = self._upload_error(transfer, cause)
        error.kept_at = self._file(transfer, error, cause)
        self._decide(lambda: self.scheduler.failed(transfer, error))

    def _end_unfiled(self, transfer: Transfer, cause: Exception, why: str) -> None:
        error = self._upload_error(transfer, cause)
        error.add_note(why)
        self.unread.append(transfer)
        self._decide(lambda: self.scheduler.failed(transfer, error))

    def _file(self, transfer: Transfer, error: UploadError, cause: Exception) -> str:
        reason = {"class": type(cause).__name__, "text": str(error), "attempts": error.attempts, "rank": self.rank}
        return self.spool.fail(transfer.entry, reason)

    def _upload_error(self, transfer: Transfer, cause: Exception) -> UploadError:
        entry = transfer.entry
        kind: type[UploadError] = UploadError
        if isinstance(cause, FileExistsError):
            kind = UploadExistsError
        elif isinstance(cause, PermissionError):
            kind = UploadDeniedError
        elif isinstance(cause, FileNotFoundError):
            kind = UploadNotFoundError
        attempts = transfer.tries
        elapsed = max(0.0, (self.clock.time_ns() - entry.id) / 1e9)
        error = kind(
            f"upload of {entry.key!r} to {self.uri(entry.key)} failed on rank {self.rank} "
            f"after {attempts} attempt{'s' * (attempts > 1)} and {elapsed:.1f} s: {cause}",
            key=entry.key, uri=self.uri(entry.key), attempts=attempts, elapsed=elapsed, rank=self.rank,
        )  # fmt: skip
        error.__cause__ = cause
        return error

    def _record(self, transfer: Transfer) -> None:
        outcome = _OUTCOMES.get(transfer.state)
        if outcome is not None:
            if transfer.successor is not None:
                self._bequeath(transfer, transfer.successor)
            if not self._settle(transfer):
                with self.monitor.lock:
                    self.unrecorded.append(transfer)
                    self.scheduler.freeze(transfer.entry.key)
        elif isinstance(transfer.error, UploadError):
            if not transfer.error.uri:
                # Failed by what it came after: nothing was tried, and nobody has filed it yet.
                transfer.error.uri, transfer.error.rank = self.uri(transfer.entry.key), self.rank
                transfer.error.kept_at = self._file(transfer, transfer.error, transfer.error)
            if transfer not in self.unread:
                self._announce_failure(transfer, transfer.error)
        self.call_back(transfer)

    def call_back(self, transfer: Transfer) -> None:
        """Tell who has asked that it has ended."""
        callbacks, transfer.callbacks = transfer.callbacks, None
        for callback in callbacks or ():
            try:
                callback()
            except Exception:
                logger.exception("a done-callback of the upload of %r raised", transfer.entry.key)

    def _announce_failure(self, transfer: Transfer, error: UploadError) -> None:
        logger.error("%s%s", error, f"; it is kept in {error.kept_at}" if error.kept_at else "")
        with self.monitor.lock:
            self.failed.append(transfer)
            if transfer.order is Order.OWN:
                self.failures.append(transfer)
            self.monitor.notify_all()

    def _settle(self, transfer: Transfer) -> bool:
        # What comes after it waits for its successor, also when another process has taken both over.
        facts = {"by": transfer.successor.entry.id} if transfer.successor is not None else None
        return self.spool.settle(transfer.entry, _OUTCOMES[transfer.state], facts=facts)

    def _record_again(self) -> None:
        for transfer in list(self.unrecorded):
            if not self._settle(transfer):
                return
            with self.monitor.lock:
                self.unrecorded.remove(transfer)
                self.scheduler.thaw(transfer.entry.key)
