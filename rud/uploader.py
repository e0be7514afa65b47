"""``Uploader``: hand over a file, go on training, hear of failures at a time of your own choosing."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from rud._exits import at_exit, no_longer
from rud._links import MARK
from rud._object_store import ObjectStore
from rud._options import GivenOptions, Options, at_least_one, parse_signals
from rud._peers import Peers
from rud._pool import PoolOptions, WorkerPool
from rud._preemption import Preemption
from rud._publish import Publication, Publisher
from rud._ranks import RankInfo
from rud._registry import StoreSpec, resolve
from rud._report import Report
from rud._retry import RetryPolicy
from rud._runtime import Runtime, ThreadedRuntime
from rud._slots import Limits
from rud._spool import Spool, SpoolOptions
from rud._torch import of_group
from rud.errors import ConfigurationError, UploadTimeoutError
from rud.upload import Upload

logger = logging.getLogger("rud")

_FOLDER_HELP = """\
{folder!r} is a folder, and upload() takes one file. To upload all of it:

    for path in sorted(pathlib.Path({folder!r}).rglob("*")):
        if path.is_file() and not path.is_symlink():
            key = "{name}/" + path.relative_to({folder!r}).as_posix()
            uploader.upload(path, key)
"""


class Uploader:
    """Uploads files to one destination in the background, and loses none that it has accepted.

    ``uri``: ``"file:///folder"``, a ``pathlib.Path``, or any registered scheme, with an optional prefix;
    ``backend_kwargs``: constructor arguments of the store's class. ``num_concurrent_uploads``: workers, processes with
    ``use_procs`` (the default), else threads. ``num_attempts``: attempts at an upload that are charged to itself; an
    outage of the destination is not. ``process_group``: a group of an initialised ``torch.distributed``, all
    ranks of which build an uploader with it, for ``publish``; without it no rank ever speaks to another.

    Options, keyword-only, each also ``RUD_<OPTION>`` in the environment; sizes in bytes or as ``"20GiB"``, times in
    seconds:

    - ``upload_staging_folder``: where accepted files wait; default a private folder under the system's temporary one.
      What was accepted survives the machine only if this folder does.
    - ``staging_mode``: ``"auto"`` (reflink where the file system can, else copy), ``"reflink"``, ``"link"`` (hard
      link; for
      files that are never changed in place), ``"move"``, ``"copy"``. Files up to 256 KiB are always copied.
    - ``fsync`` (``False``): accepted files and stored objects also survive the loss of power.
    - ``max_staged_bytes`` (no limit), ``when_full`` (``"raise"`` or ``"block"``).
    - ``stall_timeout`` (30): an upload of which no byte is read for so long is given up and tried again.
    - ``outage_timeout`` (900): how long an unreachable destination is waited for before the waits raise.
    - ``close_timeout`` (60): how long leaving the program waits. ``orphan_grace`` (5): how long a worker goes on after
      it. ``peer_timeout`` (60): how long another rank that is waited for may be silent.
    - ``on_failure``: ``"raise"`` or ``"warn"``, for ``raise_if_failed``, ``drain`` and the end of the ``with`` block.
    - ``preempt_on`` (none): signals, such as ``"SIGTERM,SIGUSR1"``, for which ``preemption`` is in force from now until
      ``close``; ``grace``: its seconds.

    Raises ``ConfigurationError`` for a wrong URI, argument, option, staging folder or rank variable; nothing is left
    behind. Thread-safe. A forked child can neither upload nor close; it is told so.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        backend_kwargs: Mapping[str, Any] | None = None,
        num_concurrent_uploads: int = 1,
        use_procs: bool = True,
        num_attempts: int = 3,
        process_group: object = None,
        _runtime: Runtime | None = None,
        **options: Unpack[GivenOptions],
    ) -> None:
        _refuse_in_a_worker()
        self._options = Options.build(os.environ, **options)
        workers = at_least_one("num_concurrent_uploads", num_concurrent_uploads)
        policy = RetryPolicy(attempts=at_least_one("num_attempts", num_attempts))
        rank = RankInfo.from_environment().rank
        spec = resolve(uri, backend_kwargs)
        self._uri = spec.uri
        self._store = ObjectStore(spec.open())
        use_procs = use_procs and _processes_are_possible()
        if use_procs and _runtime is None:
            _check_for_processes(spec, self._store)
        self._pid = os.getpid()
        self._closed: Report | None = None
        self._preemption: Preemption | None = None
        runtime = _runtime or ThreadedRuntime(use_procs=use_procs)
        try:
            self._spool = self._open_spool(spec, rank, runtime)
            self._pool = self._open_pool(spec, rank, runtime, workers, policy)
            self._publisher = self._open_publisher(process_group, rank)
            self._adopt()
        except BaseException:
            runtime.close()
            raise
        self._pool.start()
        at_exit(self._close_at_exit)
        if self._options.preempt_on:
            self._preempt_on(self._options.preempt_on)

    def _preempt_on(self, signals: tuple[int, ...]) -> None:
        try:
            self._preemption = self.preemption(signals).__enter__()
        except BaseException:
            self.close(0.0)
            raise

    def _open_spool(self, spec: StoreSpec, rank: int, runtime: Runtime) -> Spool:
        options = SpoolOptions(
            folder=self._options.upload_staging_folder,
            mode=self._options.staging_mode,
            fsync=self._options.fsync,
            max_bytes=self._options.max_staged_bytes,
            when_full=self._options.when_full,
        )
        return Spool(options, destination=spec.destination, rank=rank, clock=runtime.clock, run_job=runtime.run_job)

    def _open_pool(self, spec: StoreSpec, rank: int, runtime: Runtime, workers: int, policy: RetryPolicy) -> WorkerPool:
        options = PoolOptions(
            workers=workers,
            policy=policy,
            limits=Limits(stall=self._options.stall_timeout),
            outage_timeout=self._options.outage_timeout,
            orphan_grace=self._options.orphan_grace,
            durable=self._options.fsync,
            rank=rank,
            ends_with_worker=self._store.backend.capabilities.ends_with_worker is True,
        )
        return WorkerPool(spec, self._spool, runtime, options, self._store.get_uri)

    def _open_publisher(self, process_group: object, rank: int) -> Publisher:
        def join(wait: Callable[[float], object]) -> Peers | None:
            return of_group(process_group, timeout=self._options.peer_timeout, wait=wait)

        return Publisher(self._pool, self.upload, join, rank)

    def _adopt(self) -> None:
        adoption = self._spool.adopt()
        for line in (*adoption.skipped, *adoption.damage):
            logger.warning("%s", line)
        count = self._pool.adopt(adoption)
        if count:
            logger.warning("%d upload%s that an earlier run has left go as well", count, "s" * (count > 1))
        logger.info("accepted files wait in %s", self._spool.folder)
        if self._spool.in_memory:
            logger.warning("%s is in memory: what was accepted does not survive the machine", self._spool.staging_root)

    def __repr__(self) -> str:
        return f"<Uploader {self._uri}: {self._pool.counts()}>"

    @property
    def staging_folder(self) -> str:
        """Where what this uploader has accepted lies; what to give to ``rud status`` and ``rud resume``."""
        return self._spool.folder

    @property
    def remote_backend(self) -> ObjectStore:
        """The destination as a store of this thread's own."""
        return self._store

    def get_uri(self, key: str) -> str:
        """The address under which ``key`` will be found. ``InvalidKeyError``."""
        return self._store.get_uri(key)

    def upload(
        self,
        source: str | os.PathLike[str],
        key: str,
        *,
        overwrite: bool = True,
        after: Sequence[Upload] = (),
    ) -> Upload:
        """Accept the file ``source`` to be stored under ``key``; it may be changed or removed as soon as this returns
        (with ``staging_mode="link"`` it may be removed, not changed; ``"move"`` has removed it).

        ``overwrite=False``: fails, later, when the store holds another object of that key. ``after``: uploads of this
        uploader that must be stored before this one is sent. An upload that waits is superseded by a newer one of its
        key.

        Raises, and has then accepted nothing and left nothing in staging: ``FileNotFoundError``, ``IsADirectoryError``,
        ``PermissionError`` for the source; ``InvalidKeyError``; ``FileExistsError`` when an upload of that key is under
        way and ``overwrite=False``; ``SpoolError`` (an ``OSError``) when it cannot be staged; ``PoolClosedError``.
        """
        self._pool.refuse_in_a_child("upload")
        self._pool.refuse_unless_open()
        uri = self._store.get_uri(key)
        transfers = [dependency.transfer_of(self._pool) for dependency in after]
        try:
            staged = self._spool.stage(source)
        except IsADirectoryError:
            folder = os.fspath(source)
            name = os.path.basename(os.path.abspath(folder))
            raise IsADirectoryError(_FOLDER_HELP.format(folder=folder, name=name)) from None
        transfer = self._pool.submit(staged, key, overwrite=overwrite, after=transfers)
        return Upload(self._pool, transfer, uri)

    def publish(self, key: str, *, after: Sequence[Upload]) -> Publication:
        """Store, under ``key``, a manifest of ``after`` (key, size and checksum of each) when all of them are stored;
        until then, and when one of them fails, the old one stays.

        With ``process_group`` all its ranks have to call this, in the same order, each with uploads of its own (or
        none): one manifest lists all of them, and none is written unless every rank has stored its part. What counts is
        the upload, not that an object of its name exists. Returns at once. ``drain`` and ``close`` wait for it, too,
        and what has become of it is raised as for an upload. Give the shards of each save names of their own.

        ``InvalidKeyError``; ``PoolClosedError``; ``ConfigurationError`` for an upload of another uploader.
        """
        self._pool.refuse_in_a_child("publish")
        self._pool.refuse_unless_open()
        for upload in after:
            upload.transfer_of(self._pool)
        publication = Publication(key, self._store.get_uri(key), after)
        self._publisher.publish(publication)
        return publication

    def probe(self) -> None:
        """Return when a worker has found that the destination can be written to; it leaves nothing there.

        Raises what it has found instead: ``BucketNotFoundError``, ``AccessDeniedError``, ``ConfigurationError`` (a
        clock or a certificate, say) at once, ``ObjectStoreTransientError`` after ``num_attempts`` tries,
        ``WorkerDiedError`` by way of ``OutageError`` when no worker can be had.
        """
        self._pool.probe()

    def preemption(self, signals: Sequence[str | int] = ("SIGTERM",), *, grace: float | None = None) -> Preemption:
        """A context manager within which ``signals`` mean that this machine is taken away ``grace`` seconds later
        (or what the option ``grace`` or ``RUD_GRACE`` says; there is no default).

        From the first signal on the newest accepted is sent first, each after what it comes after. Five seconds before
        the end, or at a second signal, nothing more is started: ``drain`` and the like raise ``PreemptedError``; files
        are still accepted and stay in the spool, for ``rud resume``. ``close`` returns two seconds before the end at
        the latest. The handler that the program had, or installs later, runs as ever; where there is none, the signal
        has its usual effect once all that was in flight has ended.

        Enter and leave it on the main thread. Raises ``ConfigurationError`` when entered: without ``grace``, for what
        is no signal, elsewhere than on the main thread, for a signal that is handled by code that is not Python.
        """
        return Preemption(self._pool, parse_signals(signals), self._options.grace if grace is None else grace)

    def raise_if_failed(self) -> None:
        """Raise the first failure that nobody has been told of, the others as its notes; each is reported once.

        With ``on_failure="warn"`` a ``RuntimeWarning`` each instead. For ``batch_end`` and its like: costs next to
        nothing.
        """
        failures = [*self._pool.take_failures(), *self._publisher.take_failures()]
        if self._options.on_failure == "warn":
            for failure in failures:
                warnings.warn(str(failure), RuntimeWarning, stacklevel=2)
        elif failures:
            first, *others = failures
            for other in others:
                first.add_note(f"also: {other}")
            raise first

    def drain(self, timeout: float | None = None, *, adopted: bool = False) -> None:
        """Return when everything accepted before the call is stored; with ``adopted`` what earlier runs left, too.

        Raises what has failed (see ``raise_if_failed``), ``OutageError`` when the destination has not answered for
        ``outage_timeout`` seconds, and ``UploadTimeoutError`` (a ``TimeoutError``) after ``timeout`` seconds. Without a
        timeout of its own it ends all the same: every upload is bounded by its limits, its attempts and the outage.
        """
        self._pool.refuse_in_a_child("drain")
        clock = self._pool.clock
        end = None if timeout is None else clock.monotonic() + timeout
        wait = self._pool.drain_adopted if adopted else self._pool.drain
        wait(timeout)
        self._publisher.drain(None if end is None else max(0.0, end - clock.monotonic()), clock)
        self.raise_if_failed()

    def pending(self) -> list[Upload]:
        """Those of this run's uploads that have not ended, in the order of their accepts."""
        return [Upload(self._pool, transfer, self._store.get_uri(transfer.entry.key)) for transfer in self._pool.own()]

    def counts(self) -> Report:
        """How many uploads are in which state, at this moment; ``left`` is empty."""
        return self._pool.counts()

    @property
    def closed(self) -> bool:
        """``close`` has returned: nothing is sent any more."""
        return self._closed is not None

    def worker_pids(self) -> list[int]:
        """The process ids of the workers at this moment, for whoever watches or kills them; none of threads."""
        return self._pool.worker_pids()

    def close(self, timeout: float | None = None) -> Report:
        """Accept no more, wait up to ``timeout`` (``close_timeout``) seconds, let the workers go; what is left, by
        name.

        Returns within ``timeout`` + 1 s whatever happens. What is not stored stays in the spool, for ``rud resume`` or
        for the next run of the same rank with the same destination. Raises nothing for it; may be called again.
        """
        if self._closed is None and os.getpid() == self._pid:
            limit = self._options.close_timeout if timeout is None else max(0.0, timeout)
            try:
                self._closed = self._pool.close(self._end_publishing(limit))
            finally:
                if self._preemption is not None:
                    self._preemption.__exit__(None, None, None)
                no_longer(self)
                # A supervisor that hangs may still want to name an address.
                if self._pool.finished:
                    self._store.close()
        return self._closed or Report()

    def _end_publishing(self, limit: float) -> float:
        """Wait up to ``limit`` seconds for what is to be published; the seconds that are left."""
        clock = self._pool.clock
        end = clock.monotonic() + limit
        with contextlib.suppress(UploadTimeoutError):
            self._publisher.drain(limit, clock)
        self._publisher.close()
        return max(0.0, end - clock.monotonic())

    def _close_at_exit(self) -> None:
        try:
            report = self.close()
        except KeyboardInterrupt:
            report = self._pool.counts()
        if not report.complete:
            # A program without stderr, or with a closed one, has nobody to tell.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                sys.stderr.write(f"rud: {report.advice()}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:
            return
        if error is not None:
            self._close_at_exit()
            return
        try:
            self.drain()
        finally:
            report = self.close()
        self.raise_if_failed()
        if report.spooled:
            # What earlier runs have left is nobody's failure of this one.
            logger.warning("%s", report.advice())


def _refuse_in_a_worker() -> None:
    if MARK in os.environ and os.environ[MARK] == str(os.getppid()):
        raise ConfigurationError(
            f"an Uploader cannot be built inside a worker process of another one (process {os.environ[MARK]})"
        )


def _check_for_processes(spec: StoreSpec, store: ObjectStore) -> None:
    offer = store.backend.capabilities.processes
    if offer is not True:
        raise ConfigurationError(f"{spec.uri} cannot be used by worker processes: {offer}; pass use_procs=False")
    spec.to_wire()


def _processes_are_possible() -> bool:
    if getattr(sys, "frozen", False) or not sys.executable:
        warnings.warn(
            "a frozen program has no interpreter for worker processes: rud uses threads", RuntimeWarning, stacklevel=3
        )
        return False
    return True
