"""The spool of one process: its own owner folder, and those of dead ones that it took over."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping

from rud._body import crc32c_of
from rud._clock import Clock
from rud._spool import adoption, files, home, owner
from rud._spool.adoption import Adoption
from rud._spool.entry import Outcome, SpoolEntry, entry_header
from rud._spool.ids import Ids
from rud._spool.limit import Limit
from rud._spool.log import Log
from rud._spool.options import SpoolOptions
from rud._spool.owner import Owner
from rud._spool.payload import Staged, Stager, free_space, remove_source
from rud._spool.records import Kind
from rud._spool.settling import Settling
from rud._spool.takeover import Takeover
from rud.errors import ConfigurationError, IntegrityError, PoolClosedError, SpoolError

Job = Callable[[], None]


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
        self._options = options
        self._destination = dict(destination)
        self._rank = rank
        self._run_job = run_job
        self._ids = Ids(clock)
        self._sealed = False
        self._answered = False
        self._pid = os.getpid()
        self._to_sum: list[SpoolEntry] = []
        self._summing = False
        self._sum_lock = threading.Lock()
        self._settling = Settling(self._freed, fsync=options.fsync)
        self._takeover = Takeover(options, self._ids, self._settling)
        self.staging_root = home.staging_folder(options.folder)
        self._root = home.spool_root(self.staging_root)
        self._own: Owner | None = self._make_own(clock) if own else None
        self._limit = Limit(
            options.max_bytes,
            block=options.when_full == "block",
            folder=self.staging_root,
            log_bytes=lambda: self._own.log.size if self._own else 0,
            make_room=lambda: self._own.log.spare() if self._own else None,
        )
        big = self._own.big if self._own else ""
        self._stager = Stager(
            options.mode, options.inline_limit, big, lambda: str(self._ids.next()), sync=options.fsync
        )

    @classmethod
    def for_resume(
        cls, folder: str, *, clock: Clock, fsync: bool = False, run_job: Callable[[Job], None] = run_in_thread
    ) -> Spool:
        """A spool over a staging folder that owns nothing itself."""
        return cls(SpoolOptions(folder, fsync=fsync), destination={}, rank=0, clock=clock, run_job=run_job, own=False)

    def _make_own(self, clock: Clock) -> Owner:
        _, made = home.prepare(self.staging_root)
        try:
            self._ids.see_folder(self._root)
            owner.clean_hidden(self._root, clock.time_ns())
            facts = {
                **owner.process_facts(),
                "created": clock.time_ns(),
                "rank": self._rank,
                "destination": self._destination,
            }
            name = f"{self._ids.next():016x}-{os.getpid()}-{os.urandom(3).hex()}"
            own = owner.born(self._root, name, facts, self._new_log, sync=self._options.fsync)
        except OSError as error:
            home.undo(made)
            raise ConfigurationError(
                f"the staging folder {self.staging_root} cannot be written: {error.strerror}"
            ) from error
        parents = {self.staging_root, os.path.dirname(self._root), self._root}
        own.log.need_folder_sync(*parents, *(os.path.dirname(folder) for folder in made))
        return own

    def _new_log(self, folder: str) -> Log:
        options = self._options
        return Log(folder, segment_bytes=options.segment_limit, fsync=options.fsync, newest_id=self._ids.newest)

    @property
    def folder(self) -> str:
        """This owner's folder; ``""`` when it has none."""
        return self._own.folder if self._own else ""

    def _held(self) -> list[Owner]:
        return [*([self._own] if self._own else []), *self._takeover.owners.values()]

    @property
    def in_memory(self) -> bool:
        """The staging folder lies in memory: what was accepted does not survive the machine."""
        return home.file_system(self.staging_root) in home.IN_MEMORY

    @property
    def bytes_staged(self) -> int:
        """Bytes of our log, of its large payloads, and of what is being staged."""
        return self._limit.used

    @property
    def unwritable(self) -> bool:
        """The last outcome could not be recorded: what is stored may be sent again by whoever adopts it."""
        return self._settling.unwritable

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
        if self._sealed:
            raise PoolClosedError(f"{path} was offered after close had begun; it was not accepted")
        reserved = 0

        def room(size: int) -> None:
            nonlocal reserved
            self._limit.take(size, path)
            reserved = size

        try:
            staged = self._stager.stage(path, room)
        except BaseException:
            if reserved:
                self._limit.give(reserved)
            raise
        staged.reserved = reserved
        return staged

    def discard_staged(self, staged: Staged) -> None:
        """Forget what was staged and not accepted."""
        path, staged.path = staged.path, ""
        amount, staged.reserved = staged.reserved, 0
        if path:
            files.gone(path)
        self._limit.give(amount)

    def accept(
        self,
        staged: Staged,
        key: str,
        *,
        overwrite: bool,
        after: tuple[int, ...] = (),
        check: Callable[[], object],
        enlist: Callable[[SpoolEntry], object],
    ) -> SpoolEntry:
        """Make it an accepted upload: on return its record is whole in the log (with ``fsync`` on the disk).

        ``check`` may raise to refuse it, ``enlist`` is told of the entry; both are called under the lock that orders
        accepts. Raises ``PoolClosedError`` after ``seal`` and ``SpoolError`` when the record could not be written:
        then nothing was accepted and the payload is gone. ``SpoolError`` of a failed sync comes after ``enlist``:
        the caller cancels the entry.
        """
        log = self._owned().log
        refused = True
        try:
            with log.lock:
                if self._sealed:
                    raise PoolClosedError(f"{staged.source} was offered after close had begun; it was not accepted")
                check()
                entry = self._new_entry(staged, key, overwrite=overwrite, after=after)
                refused = False  # from here on it may be accepted: only if it surely is not may the payload go
                try:
                    position = self._append_accept(log, entry, staged)
                finally:
                    refused = log.committed[2] is not entry
                enlist(entry)
        except BaseException:
            if refused:
                self.discard_staged(staged)
            raise
        if not staged.path:
            self._limit.give(staged.reserved)  # the log has grown by it
        self._after_accept(log, entry, staged, position)
        return entry

    def _new_entry(self, staged: Staged, key: str, *, overwrite: bool, after: tuple[int, ...]) -> SpoolEntry:
        return SpoolEntry(
            id=self._ids.next(),
            key=key,
            size=staged.size,
            overwrite=overwrite,
            crc=staged.crc,
            path=staged.path,
            offset=0,
            mtime_ns=staged.mtime_ns,
            after=after,
            owner=self._owned(),
        )

    def _append_accept(self, log: Log, entry: SpoolEntry, staged: Staged) -> tuple[int, int]:
        header = entry_header(entry)
        if staged.path:
            header["file"] = os.path.basename(staged.path)
            log.need_folder_sync(os.path.dirname(staged.path))
        try:
            return log.append(Kind.ACCEPTED, header, staged.data, staged.crc or 0, entry)
        except OSError as error:
            raise SpoolError(
                f"{staged.source} ({staged.size} bytes) could not be written to the log in {log.folder}: "
                f"{error.strerror}{free_space(log.folder)}; nothing was accepted",
                errno=error.errno,
            ) from error

    def _after_accept(self, log: Log, entry: SpoolEntry, staged: Staged, position: tuple[int, int]) -> None:
        staged.data = b""
        if self._options.fsync:
            log.sync(position)
        if self._options.mode == "move":
            remove_source(staged)
        if staged.to_sum:
            self._sum_later(entry)

    def _sum_later(self, entry: SpoolEntry) -> None:
        with self._sum_lock:
            self._to_sum.append(entry)
            start, self._summing = not self._summing, True
        if start:
            try:
                self._run_job(self._sum_waiting)
            except RuntimeError:  # no thread can be started any more: the first attempt to send will sum
                with self._sum_lock:
                    self._to_sum.clear()
                    self._summing = False

    def _sum_waiting(self) -> None:
        """Sum the copies that wait, one after the other."""
        while True:
            with self._sum_lock:
                if not self._to_sum:
                    self._summing = False
                    return
                entry = self._to_sum.pop(0)
            # Settled meanwhile, or unreadable: whoever sends it will say so.
            with contextlib.suppress(OSError, IntegrityError):
                if entry.outcome is None and entry.crc is None:
                    with open(entry.path, "rb") as file:
                        self.bind_sum(entry, crc32c_of(file, entry.size))

    def catch_up(self, enlist: Callable[[SpoolEntry], object]) -> None:
        """Enlist the last accepted entry again: an interrupt may have come between its accept and its enlisting."""
        if self._own is None:
            return
        held = self._own.log.lock.acquire(timeout=1.0)
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
        entry.owner.log.record(Kind.STARTED, {"id": entry.id, "kills": kills})

    def multipart(self, entry: SpoolEntry, upload_id: str) -> None:
        """Record a multipart upload begun for it, to be aborted by whoever adopts it."""
        entry.owner.log.record(Kind.MULTIPART, {"id": entry.id, "upload": upload_id})

    def bind_sum(self, entry: SpoolEntry, crc: int) -> None:
        """Record the CRC32C of a payload that had none: later attempts must match it."""
        if entry.crc is None:
            entry.crc = crc
            entry.owner.log.record(Kind.SUM, {"id": entry.id, "crc": crc})

    def answered(self) -> None:
        """Record that the destination has answered; more than once changes nothing."""
        if self._answered:
            return
        self._answered = True
        for one in self._held():
            one.log.answered = True
            one.log.record(Kind.ANSWERED, {})

    def settle(self, entry: SpoolEntry, outcome: Outcome, *, facts: Mapping[str, object] | None = None) -> bool:
        """Record the outcome, then remove the payload and the segments that are spent.

        False when it could not be recorded: the entry stays spooled, and this may be called again.
        """
        return self._settling.settle(entry, outcome, facts)

    def fail(self, entry: SpoolEntry, reason: Mapping[str, object]) -> str:
        """Move it to ``failed/<id>`` of its owner and return that folder; ``""`` when it could not be kept: it stays
        spooled.
        """
        return self._settling.fail(entry, reason)

    def _freed(self, entry: SpoolEntry) -> None:
        mine = entry.owner is self._own
        self._limit.give(entry.size if mine and entry.large else 0)

    # What others left

    def adopt(self) -> Adoption:
        """Take over the dead owners of this host with our destination and rank; the others are named in ``skipped``."""
        return self._takeover.adopt(self._root, self._destination, self._rank)

    def adopt_folder(self, folder: str, *, other_host: bool = False, wait: float = 10.0) -> Adoption:
        """Take over one owner folder, whatever its destination and rank; ``skipped`` says why it was not.

        Waits at most ``wait`` seconds for the workers of a run that has just died. ``other_host``: take it though
        another host made it, whose locks may not be seen from here.
        """
        return self._takeover.adopt_folder(os.path.abspath(folder), other_host=other_host, wait=wait)

    def retake(self, failed_folder: str) -> SpoolEntry:
        """Accept a failed entry anew, under a new id, in the log of its owner, which this spool holds.

        ``SpoolError`` when it is not there, not whole, or of another owner. After a crash it is failed or accepted,
        never both.
        """
        return self._takeover.retake(os.path.abspath(failed_folder), self._own)

    # The end

    def seal(self) -> None:
        """From now on ``accept`` raises ``PoolClosedError``, and whoever waits for room is woken with it."""
        self._sealed = True
        self._limit.seal()
        if self._own is not None and self._own.log.lock.acquire(timeout=1.0):
            self._own.log.lock.release()  # an accept that was past the flag is through

    def close(self) -> str | None:
        """Let go of every owner folder, removing those in which nothing is left; the first that is left, or
        ``None``.
        """
        if os.getpid() != self._pid:
            return self.folder or None  # a forked child: the folder is its parent's
        self.seal()
        left: list[str] = []
        owners = self._held()
        self._takeover.owners.clear()
        for one in owners:
            if adoption.is_empty(one):
                one.end()
            else:
                left.append(one.folder)
                one.abandon()
        return left[0] if left else None

    def abandon(self) -> None:
        """For tests: let go of everything as the death of the process would."""
        for one in self._held():
            one.abandon()
        self._takeover.owners.clear()

    def _owned(self) -> Owner:
        if self._own is None:
            raise SpoolError("this spool only takes over what others left; it accepts nothing")
        if os.getpid() != self._pid:
            raise PoolClosedError("a forked child cannot use the spool of its parent; nothing was accepted")
        return self._own
