"""The spool of one process: its own owner folder, and those of dead ones that it took over."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from rud import _faultpoints
from rud._body import crc32c_of
from rud._clock import Clock
from rud._spool import ending, files, home, owner
from rud._spool.adoption import Adopter, Adoption, is_empty
from rud._spool.entry import Ids, Outcome, SpoolEntry
from rud._spool.limit import Limit
from rud._spool.log import Log, Position
from rud._spool.options import SpoolOptions
from rud._spool.owner import Owner
from rud._spool.payload import Staged, Stager, free_space, remove_source
from rud._spool.records import Kind
from rud._spool.replay import greatest_id
from rud.errors import ConfigurationError, IntegrityError, PoolClosedError, SpoolError

Job = Callable[[], None]

_LONGEST_TEXT = 500
"""Characters of an error that the log keeps while its upload is tried again."""


def run_in_thread(job: Job) -> None:
    """The default way of running what must not hold up the caller."""
    threading.Thread(target=job, name="rud-spool-sum", daemon=True).start()


class Spool:
    """Keeps what was accepted until its outcome is recorded.

    ``stage`` and ``accept`` may be called from any thread; the rest of what changes an entry from one thread at a time.
    ``clock`` gives the ids; ``run_job`` runs the summing of large payloads. With ``own=False`` it has no owner
    folder, makes none, and accepts nothing: it only takes over what others left.

    Raises ``ConfigurationError`` when the staging folder cannot be used, and leaves nothing behind then.
    """

    _limit: Limit
    _stager: Stager

    def __init__(
        self,
        options: SpoolOptions,
        *,
        destination: Mapping[str, str],
        rank: int,
        clock: Clock,
        run_job: Callable[[Job], None] = run_in_thread,
        own: bool = True,
    ) -> None:
        _faultpoints.load()
        self._options = options
        self._destination = dict(destination)
        self._rank = rank
        self._run_job = run_job
        self._sealed = False
        self._answered = False
        self._pid = os.getpid()
        self._to_sum: deque[SpoolEntry] = deque()
        self._sum_lock = threading.Lock()
        self.staging_root = home.staging_folder(options.folder)
        self._root = home.spool_root(self.staging_root)
        self._ids = Ids(clock)
        self._adopter = Adopter(self._ids, options.segment_bytes, options.fsync)
        self._own: Owner | None = None
        if own:
            self._own = self._new_owner(clock.time_ns())
            self._limit = self._own.limit = Limit(self._own.log, options.max_bytes, block=options.when_full == "block")
            self._stager = Stager(options, self._own.big, self._limit)

    @classmethod
    def for_resume(
        cls, folder: str, *, clock: Clock, fsync: bool = False, run_job: Callable[[Job], None] = run_in_thread
    ) -> Spool:
        """A spool over a staging folder that owns nothing itself."""
        return cls(SpoolOptions(folder, fsync=fsync), destination={}, rank=0, clock=clock, run_job=run_job, own=False)

    def _new_owner(self, now: int) -> Owner:
        made = home.prepare(self.staging_root)
        facts = {**owner.process_facts(), "created": now, "rank": self._rank, "destination": self._destination}
        facts["fsync"] = self._options.fsync  # who takes it over keeps the promise
        if _faultpoints.plan is not None:
            facts["faults"] = _faultpoints.plan
        options = self._options
        try:
            owner.clean_hidden(self._root, now)
            self._ids.see(greatest_id(self._root))
            name = f"{self._ids.next():016x}-{os.getpid()}-{os.urandom(3).hex()}"
            new = Owner(os.path.join(self._root, name), facts)
            new.be_born(Log(new.folder, self._ids, segment_bytes=options.segment_limit, fsync=options.fsync))
        except OSError as error:
            home.undo(made)
            raise ConfigurationError(
                f"the staging folder {self.staging_root} cannot be written: {error.strerror}"
            ) from error
        parents = (self.staging_root, os.path.dirname(self._root), self._root)
        new.log.need_folder_sync(*parents, *map(os.path.dirname, made))
        return new

    @property
    def folder(self) -> str:
        """This owner's folder; ``""`` when it has none."""
        return self._own.folder if self._own else ""

    def _held(self) -> list[Owner]:
        return [*([self._own] if self._own else []), *self._adopter.owners.values()]

    @property
    def in_memory(self) -> bool:
        """The staging folder lies in memory: what was accepted does not survive the machine."""
        return home.file_system(self.staging_root) in home.IN_MEMORY

    def worker_lock_paths(self, n: int) -> list[str]:
        """What worker ``n`` locks for as long as it lives: a file in each folder whose uploads it may be given, so that
        nobody takes one of them over while an orphan still sends.
        """
        return [os.path.join(one.folder, f"worker-{os.getpid()}-{n}.lock") for one in self._held()]

    # Accepting

    def stage(self, source: str | os.PathLike[str]) -> Staged:
        """Take the bytes of ``source``, outside any lock; nothing is accepted by it.

        Raises the built-in ``FileNotFoundError``, ``PermissionError`` or ``IsADirectoryError``; ``SpoolError`` when
        it is no regular file, changes meanwhile, or there is no room; ``PoolClosedError`` when it waited for room
        and ``seal`` was called.
        """
        self._owned()
        path = os.fspath(source)
        self._refuse_if_sealed(path)
        if _faultpoints.active is not None:
            _faultpoints.hit("accept.stage.before")
        staged = self._stager.stage(path)
        if _faultpoints.active is not None:
            _faultpoints.hit("accept.stage.after")
        return staged

    def _refuse_if_sealed(self, source: str) -> None:
        if self._sealed:
            raise PoolClosedError(f"{source} was offered after close had begun; it was not accepted")

    def accept(
        self,
        staged: Staged,
        key: str,
        *,
        overwrite: bool,
        after: Sequence[SpoolEntry] = (),
        check: Callable[[], object],
        enlist: Callable[[SpoolEntry], object],
    ) -> SpoolEntry:
        """Make it an accepted upload: on return its record is whole in the log (with ``fsync`` on the disk).

        ``check`` may raise to refuse it, ``enlist`` is told of the entry; both are called under the lock that orders
        accepts. ``after``, what it comes after, is read when ``check`` has returned. Raises ``PoolClosedError`` after
        ``seal`` and ``SpoolError`` when the record could not be written: then nothing was accepted and the payload is
        gone. ``SpoolError`` of a failed sync comes after ``enlist``: the caller cancels the entry.
        """
        own = self._owned()
        log = own.log
        refused = True
        try:
            with log.lock:
                self._refuse_if_sealed(staged.source)
                check()
                entry = self._entry(own, staged, key, overwrite=overwrite, after=after)
                if _faultpoints.active is not None:
                    _faultpoints.hit("accept.record.before", key=key)
                refused = False  # from here on it may be accepted: only if it surely is not may the payload go
                try:
                    position = self._append_accept(log, entry, staged)
                finally:
                    refused = log.committed[2] is not entry
                if _faultpoints.active is not None:
                    _faultpoints.hit("accept.record.after", key=key)
                enlist(entry)
        except BaseException:
            if refused:
                self._stager.discard(staged)
            raise
        if not staged.path:
            self._limit.give(entry.size)  # the log has grown by it
            staged.data = b""
        if log.fsync:
            log.sync(position)
        if self._options.mode == "move":
            remove_source(staged)
        if staged.to_sum:
            self._to_sum.append(entry)
            with contextlib.suppress(RuntimeError):  # no thread can be started any more: who sends it will sum it
                self._run_job(self._sum_waiting)
        return entry

    def _entry(
        self, own: Owner, staged: Staged, key: str, *, overwrite: bool, after: Sequence[SpoolEntry]
    ) -> SpoolEntry:
        entry = SpoolEntry(
            self._ids.next(), key, staged.found.st_size, overwrite, staged.crc, staged.path, 0,
            staged.found.st_mtime_ns, tuple(one.id for one in after), own,
        )  # fmt: skip
        entry.doomed = any(one.outcome in (Outcome.FAILED, Outcome.CANCELLED) for one in after)
        entry.holds = min((one.segment for one in after if one.owner is own), default=0)
        return entry

    def _append_accept(self, log: Log, entry: SpoolEntry, staged: Staged) -> Position:
        if staged.path:
            log.need_folder_sync(os.path.dirname(staged.path))
        try:
            return log.append(Kind.ACCEPTED, entry.header(), staged.data, staged.crc or 0, entry)
        except OSError as error:
            raise SpoolError(
                f"{staged.source} ({entry.size} bytes) could not be written to the log in {log.folder}: "
                f"{error.strerror}{free_space(log.folder)}; nothing was accepted",
                errno=error.errno,
            ) from error

    def _sum_waiting(self) -> None:
        """Sum the copies that wait, one after the other: who comes while another is at it leaves it to that one."""
        if not self._sum_lock.acquire(blocking=False):
            return
        try:
            while self._to_sum:
                entry = self._to_sum.popleft()
                # Settled meanwhile, or unreadable: whoever sends it will say so.
                with contextlib.suppress(OSError, IntegrityError):
                    if entry.outcome is None and entry.crc is None:
                        with open(entry.path, "rb") as file:
                            self.bind_sum(entry, crc32c_of(file, entry.size))
        finally:
            self._sum_lock.release()

    def catch_up(self, enlist: Callable[[SpoolEntry], object]) -> None:
        """Enlist the last accepted entry again: an interrupt may have come between its accept and its enlisting."""
        if self._own is None:
            return
        held = self._own.log.lock.acquire(timeout=0.05)
        try:
            entry = self._own.log.committed[2]
            if entry is not None and entry.outcome is None:
                enlist(entry)
        finally:
            if held:
                self._own.log.lock.release()

    # What becomes of an entry

    def started(self, entry: SpoolEntry, *, kills: int) -> None:
        """Record that it is about to be sent, having killed ``kills`` workers so far."""
        entry.kills = kills
        entry.owner.log.record(Kind.STARTED, id=entry.id, kills=kills)

    def postponed(self, entry: SpoolEntry, error: Exception, *, tries: int, due: int) -> None:
        """Record, for `rud status`, that the attempt number ``tries`` failed with ``error`` and the next is not made
        before ``due`` (nanoseconds since the epoch)."""
        told = {"class": type(error).__name__, "text": str(error)[:_LONGEST_TEXT]}
        entry.owner.log.record(Kind.POSTPONED, id=entry.id, tries=tries, due=due, **told)

    def multipart(self, entry: SpoolEntry, upload_id: str) -> None:
        """Record a multipart upload begun for it, to be aborted by whoever adopts it."""
        entry.owner.log.record(Kind.MULTIPART, id=entry.id, upload=upload_id)

    def bind_sum(self, entry: SpoolEntry, crc: int) -> None:
        """Record the CRC32C of a payload that had none: later attempts must match it."""
        if entry.crc is None:
            entry.crc = crc
            entry.owner.log.record(Kind.SUM, id=entry.id, crc=crc)

    def answered(self) -> None:
        """Record that the destination has answered; more than once changes nothing."""
        if not self._answered:
            self._answered = True
            for one in self._held():
                with contextlib.suppress(OSError):
                    files.write_whole(one.answered, b"")

    def settle(self, entry: SpoolEntry, outcome: Outcome, *, facts: Mapping[str, object] | None = None) -> bool:
        """Record the outcome, then remove the payload and the segments that are spent.

        False when it could not be recorded: the entry stays spooled, and this may be called again.
        """
        if outcome is not Outcome.STORED:
            self._tell_others(entry, outcome, facts or {})
        return ending.settle(entry, outcome, facts)

    def _tell_others(self, entry: SpoolEntry, outcome: Outcome, facts: Mapping[str, object]) -> None:
        """What comes after an upload may lie in another log, and outlive its own: that says what became of it, too."""
        for one in self._held():
            if one is not entry.owner and entry.outcome is None and one.log.needed:
                one.log.record(Kind.OUTCOME, **facts, id=entry.id, outcome=outcome.value)

    def fail(self, entry: SpoolEntry, reason: Mapping[str, object]) -> str:
        """Move it to ``failed/<id>`` of its owner and return that folder; ``""`` when it could not be kept: it stays
        spooled.
        """
        self._tell_others(entry, Outcome.FAILED, {})
        return ending.fail(entry, reason)

    # What others left

    def adopt(self) -> Adoption:
        """Take over the dead owners of this host with our destination and rank; the others are named in ``skipped``."""
        return self._adopter.adopt_all(self._root, self._destination, self._rank)

    def adopt_folder(self, folder: str, *, other_host: bool = False, wait: float = 10.0) -> Adoption:
        """Take over one owner folder, whatever its destination and rank; ``skipped`` says why it was not.

        Waits at most ``wait`` seconds for the workers of a run that has just died. ``other_host``: take it though
        another host made it, whose locks may not be seen from here.
        """
        return self._adopter.adopt_folder(os.path.abspath(folder), other_host=other_host, wait=wait)

    def retake(self, failed_folder: str) -> SpoolEntry:
        """Accept a failed entry anew, under a new id, in the log of its owner, which this spool holds.

        ``SpoolError`` when it is not there, not whole, or of another owner. After a crash it is failed or accepted,
        never both.
        """
        path = os.path.abspath(failed_folder)
        folder = os.path.dirname(os.path.dirname(path))
        return self._adopter.retake(path, next((one for one in self._held() if one.folder == folder), None))

    # The end

    def seal(self) -> None:
        """From now on ``accept`` raises ``PoolClosedError``, and whoever waits for room is woken with it."""
        self._sealed = True
        if self._own is not None:
            self._limit.seal()
            if self._own.log.lock.acquire(timeout=0.1):
                self._own.log.lock.release()  # an accept that was past the flag is through

    def close(self) -> str | None:
        """Let go of every owner folder, removing those in which nothing is left; the first that is left, or
        ``None``.
        """
        if os.getpid() != self._pid:
            return self.folder or None  # a forked child: the folder is its parent's
        self.seal()
        left: list[str] = []
        for one in self._held():
            if is_empty(one):
                one.end()
            else:
                left.append(one.folder)
                one.abandon()
        self._adopter.owners.clear()
        return left[0] if left else None

    def abandon(self) -> None:
        """For tests: let go of everything as the death of the process would."""
        for one in self._held():
            one.abandon()
        self._adopter.owners.clear()

    def _owned(self) -> Owner:
        if self._own is None:
            raise SpoolError("this spool only takes over what others left; it accepts nothing")
        if os.getpid() != self._pid:
            raise PoolClosedError("a forked child cannot use the spool of its parent; nothing was accepted")
        return self._own
