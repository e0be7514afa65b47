"""The pool: where callers and the supervisor meet.

One lock, inside ``_monitor``, guards the scheduler, the destination and what is counted. It is never held while a file
is read, a record is written or a worker is spoken to; the spool's own lock is taken before it, never after.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rud._clock import Clock
from rud._links import Link, ProcessLink
from rud._monitor import Monitor
from rud._registry import StoreSpec
from rud._report import Report
from rud._retry import Destination, RetryPolicy
from rud._runtime import Runtime
from rud._scheduler import Scheduler
from rud._settling import Settling
from rud._slots import Limits, Slot
from rud._spool import Adoption, Outcome, Spool, SpoolEntry, Staged
from rud._supervisor import Supervisor
from rud._tally import counts, left
from rud._transfer import Order, Transfer, UploadState
from rud.errors import OutageError, PoolClosedError, PoolError, PreemptedError, UploadExistsError, UploadTimeoutError

logger = logging.getLogger("rud")

GRACE = 0.7
"""Seconds after its limit that ``close`` waits for the workers to end and the spool to be put away; what is missing to
the second that it promises is for locks that a hanging disk may hold."""


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Numbers a pool is built with; times in seconds."""

    workers: int = 1
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    limits: Limits = field(default_factory=Limits)
    outage_timeout: float = 900.0
    orphan_grace: float = 5.0
    durable: bool = False
    """Objects are synced before they count as stored, where the store offers that."""
    rank: int = 0
    patient: bool = False
    """No upload fails for want of an answer, not even before the first one (``rud resume``)."""
    force: bool = False
    """Adopted uploads are sent over objects that are newer and not ours."""
    ends_with_worker: bool = True
    """Nothing of an upload becomes visible after its sender has died; the store's word."""


class WorkerPool:
    """Takes uploads from any thread, and answers for them."""

    def __init__(
        self, spec: StoreSpec, spool: Spool, runtime: Runtime, options: PoolOptions, uri: Callable[[str], str]
    ) -> None:
        self._spec = spec
        self._spool = spool
        self._runtime = runtime
        self._options = options
        self._monitor = Monitor()
        self._scheduler = Scheduler()
        self._destination = Destination(options.outage_timeout, options.policy, answered=options.patient)
        self._settling = Settling(
            monitor=self._monitor, scheduler=self._scheduler, destination=self._destination, spool=spool,
            policy=options.policy, chance=runtime.chance, clock=runtime.clock, uri=uri, rank=options.rank,
            durable=options.durable, force=options.force,
        )  # fmt: skip
        self._supervisor = Supervisor(
            monitor=self._monitor, scheduler=self._scheduler, destination=self._destination, settling=self._settling,
            hire=self._hire, wait=runtime.wait, clock=runtime.clock, chance=runtime.chance, limits=options.limits,
            slots=[Slot() for _ in range(options.workers)], threads=runtime.threads,
        )  # fmt: skip
        self._pid = os.getpid()
        self._hired = 0
        self._enlisted = 0
        self._offer: Sequence[Transfer] = ()
        self._cancelled: list[Transfer] = []
        self._closing = self._stopping = self._finished = False
        self._fatal: BaseException | None = None
        self._end = math.inf
        self._held: PreemptedError | None = None
        self._folder_left = ""

    def __repr__(self) -> str:
        with self._monitor.lock:
            report = self._counts()
            return f"<WorkerPool {self._scheduler.uploading} uploading, {report}>"

    @property
    def clock(self) -> Clock:
        """By which all waits are measured."""
        return self._runtime.clock

    @property
    def finished(self) -> bool:
        """Nothing runs any more."""
        return self._finished

    def start(self) -> None:
        """Begin to work."""
        if self._runtime.threads:
            # Now, not on the supervisor's thread: a program that ends at once could start none any more (Python 3.12).
            self._supervisor.man_slots()
        self._runtime.begin(self._step)

    def refuse_unless_open(self) -> None:
        """``PoolClosedError`` once ``close`` has begun, ``PoolError`` when the supervisor has died."""
        if self._closing:
            raise PoolClosedError("the uploader is closed: nothing was accepted")
        if self._fatal is not None:
            raise PoolError(self._obituary())

    def submit(self, staged: Staged, key: str, *, overwrite: bool, after: Sequence[Transfer]) -> Transfer:
        """Accept a staged file. When this returns, the upload survives the death of every process here."""

        named: list[SpoolEntry] = []

        def check() -> None:
            with self._monitor.lock:
                self.refuse_unless_open()
                if not overwrite and self._scheduler.pending(key):
                    raise UploadExistsError(
                        f"an upload of {key!r} is under way: a second one with overwrite=False is refused", key=key
                    )
                self._offer = after
                # Those that stand for them by now: what has stood for them may be forgotten before this one has ended.
                named.extend(transfer.final.entry for transfer in after)

        enlisted: list[Transfer] = []
        try:
            self._spool.accept(
                staged,
                key,
                overwrite=overwrite,
                after=named,
                check=check,
                enlist=lambda entry: enlisted.extend(self._enlist(entry)),
            )
        except PoolClosedError:
            if self._fatal is not None:
                raise PoolError(self._obituary()) from self._fatal
            raise
        except OSError:
            # A sync that failed: the record lies in the log, but nobody was promised anything.
            for transfer in enlisted:
                self.cancel(transfer)
            raise
        finally:
            if enlisted and enlisted[0].unsynced:
                self._synced(enlisted[0].entry)
        return enlisted[0]

    def adopt(self, adoption: Adoption) -> int:
        """Take what an earlier run has left; how many uploads."""
        # All of them first: what an upload comes after may have been superseded by one that was accepted later.
        known = {
            entry.id: Transfer(entry, Order.SUSPECT if entry.in_flight else Order.ADOPTED) for entry in adoption.entries
        }
        until = self._runtime.clock.monotonic() + self._options.limits.late_window
        with self._monitor.lock:
            for transfer in known.values():
                if transfer.entry.in_flight and not self._options.ends_with_worker:
                    self._scheduler.quiet(transfer, until)  # how long ago its sender has died is not known
                named = map(adoption.stands_for, transfer.entry.after)
                after = [known[one] for one in named if one in known]
                self._settling.take(self._scheduler.submit(transfer, after))
            self._destination.answered |= adoption.answered
        self._runtime.wake()
        return len(known)

    def cancel(self, transfer: Transfer) -> bool:
        """Withdraw an upload that no worker holds; whether it is cancelled now."""
        self.refuse_in_a_child("cancel")
        with self._monitor.lock:
            effects = self._scheduler.cancel(transfer)
            if effects is None:
                return transfer.state is UploadState.CANCELLED
            self._cancelled.append(transfer)
        recorded = self._spool.settle(transfer.entry, Outcome.CANCELLED)
        with self._monitor.lock:
            if not recorded:
                self._settling.unrecorded.append(transfer)
            effects.ended = [ended for ended in effects.ended if ended is not transfer]
            self._settling.take(effects)
            self._monitor.notify_all()
        self._runtime.wake()
        self._settling.call_back(transfer)
        return True

    def wait_for(self, transfer: Transfer, timeout: float | None) -> None:
        """Until ``transfer``, or what stands for it, has ended, or the pool was closed. ``UploadTimeoutError``,
        ``OutageError``, ``PoolError``."""
        self.refuse_in_a_child("the wait for an upload")
        if not self._await([transfer], timeout) and not self._finished:
            raise UploadTimeoutError(
                f"the upload of {transfer.entry.key!r} has not ended within {timeout} s; it goes on"
            )

    def drain(self, timeout: float | None = None) -> None:
        """Until everything that was accepted before the call has ended; raises as ``wait_for``."""
        if not self._await(self.own(), timeout):
            with self._monitor.lock:
                report = self._counts()
            if self._finished:
                raise UploadTimeoutError(f"the uploader was closed before everything was stored. {report.advice()}")
            raise UploadTimeoutError(f"not everything is stored within {timeout} s; the rest goes on: {report}")

    def drain_adopted(self, timeout: float | None = None) -> None:
        """``drain`` for what earlier runs have left as well."""
        with self._monitor.lock:
            everything = list(self._scheduler)
        if not self._await(everything, timeout):
            raise UploadTimeoutError(f"not everything is stored within {timeout} s; the rest stays spooled")

    def probe(self) -> None:
        """Until a worker has found out whether the destination can be written to; raises why not.

        What may pass is tried ``policy.attempts`` times, as an upload is.
        """
        self.refuse_in_a_child("probe")
        inquiry = self._destination.inquiry
        with self._monitor.lock:
            self._destination.ask(self._runtime.clock.monotonic())
        self._runtime.wake()
        self._runtime.wait_until(
            self._monitor, lambda: inquiry.over or bool(self._supervisor.trouble or self._fatal or self._finished), None
        )
        if not inquiry.over:
            self._raise_trouble()
            raise PoolClosedError("the uploader was closed before the destination had answered")
        if inquiry.error is not None:
            raise inquiry.error

    def own(self) -> list[Transfer]:
        """What this run has accepted and has not ended."""
        with self._monitor.lock:
            return [transfer for transfer in self._scheduler if transfer.order is Order.OWN]

    def take_failures(self) -> list[Exception]:
        """Errors of own uploads that no caller has been told of; each is handed out once."""
        with self._monitor.lock:
            failures, self._settling.failures = self._settling.failures, []
            fresh = [transfer for transfer in failures if not transfer.reported]
            for transfer in fresh:
                transfer.reported = True
            return [transfer.error for transfer in fresh if transfer.error is not None]

    def refuse_in_a_child(self, what: str) -> None:
        """``PoolClosedError`` in a fork of the process that built the pool: its threads are not there."""
        if os.getpid() != self._pid:
            raise PoolClosedError(
                f"{what} was called in process {os.getpid()}, a fork of {self._pid} that built the uploader: "
                "nothing was accepted or changed. Build an Uploader in the process that uses it."
            )

    def call_when_done(self, transfer: Transfer, callback: Callable[[], None]) -> None:
        """Call it once ``transfer`` or what stands for it has ended: now, or on the supervisor's thread."""
        with self._monitor.lock:
            last = transfer.final
            if not last.ended:
                # Asked again then: a newer upload may have taken its place.
                last.callbacks = [*(last.callbacks or ()), lambda: self.call_when_done(transfer, callback)]
                return
        callback()

    def worker_pids(self) -> list[int]:
        """The worker processes of this moment."""
        links = [slot.link for slot in self._supervisor.slots]
        return [link.pid for link in links if isinstance(link, ProcessLink)]

    def counts(self) -> Report:
        """The counts alone: costs the same however much waits."""
        with self._monitor.lock:
            return self._counts()

    def report(self) -> Report:
        """The counts, and by name all that is not stored."""
        with self._monitor.lock:
            return self._report()

    def close(self, timeout: float) -> Report:
        """Seal, drain for at most ``timeout`` seconds, let the workers go. Returns within ``timeout`` + 1 s."""
        clock = self._runtime.clock
        wanted = clock.monotonic() + timeout
        end = min(wanted, self._end)
        self._spool.seal()
        self._closing = True
        try:
            if not self._finished:
                self._spool.catch_up(self._enlist_again)
                while not self._await(self.own(), max(0.0, end - clock.monotonic()), raises=False, until=end):
                    if self._end >= end:
                        break
                    end = self._end  # a signal has come meanwhile
        finally:
            self._stopping = True
            self._runtime.wake()
            limit = max(0.0, end - clock.monotonic()) + GRACE
            self._runtime.wait_until(self._monitor, lambda: self._finished, limit)
        # Without the lock when the supervisor is stuck with it: a report a moment old is better than none.
        held = self._monitor.lock.acquire(timeout=0.05)
        try:
            return self._report()
        finally:
            if held:
                self._monitor.lock.release()

    def hurry(self, seconds: float) -> None:
        """The newest accepted goes first, and no ``close`` takes longer than until ``seconds`` from now."""
        self._end = self._runtime.clock.monotonic() + seconds
        with self._monitor.lock:
            self._scheduler.hurry()
            self._monitor.notify_all()
        self._runtime.wake()

    def hold(self, why: str) -> Report:
        """Start nothing more: what is in flight goes on, the rest and whatever is accepted later stays spooled."""
        with self._monitor.lock:
            self._scheduler.held, self._held = True, PreemptedError(why)
            self._monitor.notify_all()
            return self._counts()

    # The caller's side

    def _enlist(self, entry: SpoolEntry) -> list[Transfer]:
        """Hand an accepted entry to the scheduler, once only, however often it is called."""
        with self._monitor.lock:
            if entry.id <= self._enlisted or entry.outcome is not None:
                return []
            # Ctrl-C may have broken off the first call, in the midst of it or at its very end.
            transfer = self._scheduler.forget(entry.id)
            if transfer is None:
                transfer = Transfer(entry)
                transfer.unsynced = entry.owner.log.fsync
                self._settling.take(self._scheduler.submit(transfer, self._offer))
            self._enlisted = entry.id
            resting, self._supervisor.resting = self._supervisor.resting, False
        if resting:
            self._runtime.wake()
        return [transfer]

    def _enlist_again(self, entry: SpoolEntry) -> None:
        self._enlist(entry)
        self._synced(entry)

    def _synced(self, entry: SpoolEntry) -> None:
        with self._monitor.lock:
            self._settling.take(self._scheduler.synced(entry.id))
            resting, self._supervisor.resting = self._supervisor.resting, False
        if resting:
            self._runtime.wake()

    def _await(
        self, transfers: list[Transfer], timeout: float | None, *, raises: bool = True, until: float = -math.inf
    ) -> bool:
        """Until all have ended (``True``), the time is over (``False``), or waiting has become pointless; also when the
        end of all waiting has come to lie before ``until``."""

        def over() -> bool:
            while transfers and transfers[-1].final.ended:
                transfers.pop()
            told = not transfers and not self._settling.untold
            hopeless = self._fatal is not None or self._finished or self._stalled()
            return told or hopeless or self._end < until or (raises and self._trouble() is not None)

        self._spool.catch_up(self._enlist_again)
        if not self._runtime.wait_until(self._monitor, over, timeout):
            return False
        if transfers and raises:
            self._raise_trouble()
        return not transfers

    def _stalled(self) -> bool:
        return self._held is not None and not self._scheduler.uploading

    def _trouble(self) -> Exception | None:
        return self._held or self._supervisor.trouble or self._destination.trouble

    def _raise_trouble(self) -> None:
        if self._fatal is not None:
            raise PoolError(self._obituary()) from self._fatal
        with self._monitor.lock:
            trouble, report = self._trouble(), self._counts()
        if trouble is not None and trouble is self._held:
            raise PreemptedError(f"{trouble}. {report.advice()}")
        if trouble is not None:
            raise OutageError(f"uploads to {self._spec.uri} are held up: {trouble}. {report.advice()}") from trouble

    def _obituary(self) -> str:
        return (
            f"the supervisor has died of {type(self._fatal).__name__}: {self._fatal}; what was accepted stays spooled"
        )

    def _counts(self) -> Report:
        folder = self._folder_left if self._finished else self._spool.folder
        return counts(self._scheduler, self._settling, folder)

    def _report(self) -> Report:
        return replace(self._counts(), left=left(self._scheduler, self._settling, self._cancelled))

    # The supervisor's side

    def _step(self) -> bool:
        """One round of the supervisor; ``False`` after the last."""
        try:
            if not self._stopping:
                self._supervisor.step()
                return True
            self._supervisor.stop()
            self._settling.record()
        except Exception as error:
            logger.exception("the supervisor has died; what was accepted stays spooled")
            self._fatal = error
            self._let_workers_go()
        self._folder_left = self._spool.close() or ""
        with self._monitor.lock:
            self._finished = True
            self._monitor.notify_all()
        self._runtime.close()
        return False

    def _let_workers_go(self) -> None:
        try:
            self._supervisor.stop()
        except Exception:
            logger.exception("the workers could not be ended in order; they are killed")
            for slot in self._supervisor.slots:
                if slot.link is not None:
                    slot.link.kill()

    def _hire(self) -> Link:
        self._hired += 1
        return self._runtime.hire(
            self._spec,
            lock_paths=self._spool.worker_lock_paths(self._hired),
            orphan_grace=self._options.orphan_grace,
        )
