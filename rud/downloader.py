"""Downloads that are tried again and go on from where they stopped."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from rud._clock import Clock, SystemClock, new_random
from rud._destination import PartFile, check_destination
from rud._object_store import ObjectStore, StrPath, same_version
from rud._registry import resolve
from rud._retry import RetryPolicy
from rud._source import Progress, ProgressCallback
from rud.errors import (
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectStoreTransientError,
    StoreClosedError,
    StoreError,
)
from rud.store import ObjectMeta, check_key

_RETRIED = (ObjectStoreTransientError, IntegrityError, CredentialsExpiredError)


class Downloader:
    """Fetches objects of the store at ``uri``; keys are taken literally, below the prefix of the URI.

    ``num_attempts`` (from 1) bounds the attempts of one download, with waits of full jitter between them. Tried again
    are transient errors, bytes that fail verification (from the start), expired credentials (with a new store).
    ``clock``, ``rng`` and ``wait`` (given seconds, true to stop) are for tests; by default a wait ends with ``close``.
    Raises ``ConfigurationError`` (a ``ValueError``) for whatever is wrong with the arguments. May be used by several
    threads, whose requests take turns.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        backend_kwargs: Mapping[str, Any] | None = None,
        num_attempts: int = 3,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        if num_attempts < 1:
            raise ConfigurationError(f"num_attempts is at least 1, not {num_attempts}")
        self._spec = resolve(uri, backend_kwargs)
        self._policy = RetryPolicy(attempts=num_attempts)
        self._clock = clock or SystemClock()
        self._rng = rng or new_random()
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._lock = threading.Lock()  # Guards _store and the decision to close it.
        self._store: ObjectStore | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def download(
        self,
        key: str,
        destination: StrPath,
        *,
        overwrite: bool = False,
        callback: ProgressCallback | None = None,
    ) -> ObjectMeta:
        """Fetch ``key`` to the file ``destination``; what the store said of the object.

        Verified by size and, where the store keeps one, checksum; a later attempt asks only for what is missing if the
        object is provably the same. The file is written under a hidden name beside the destination and renamed; on
        failure the destination is what it was before, and nothing lies beside it. Raises ``FileExistsError`` when it
        exists and ``overwrite`` is off, ``ObjectNotFoundError`` (a ``FileNotFoundError``), the last error (with a note
        of how many attempts there were) when none is left, ``StoreClosedError`` after ``close``, and the machine's own
        ``OSError`` when the file cannot be written. ``callback`` is called as ``ObjectStore`` says, over all attempts,
        unless the object itself is replaced meanwhile.
        """
        path = os.fspath(destination)
        check_key(key)
        check_destination(path, overwrite=overwrite)
        download = _Download(key, path, overwrite=overwrite, callback=callback)
        try:
            return self._until_done(download)
        finally:
            download.discard()

    def _until_done(self, download: _Download) -> ObjectMeta:
        began = self._clock.monotonic()
        attempt = 1
        while True:
            store = self._opened(download.key)
            try:
                return download.attempt(store)
            except _RETRIED as error:
                if attempt >= self._policy.attempts:
                    took = self._clock.monotonic() - began
                    error.add_note(f"gave up after {attempt} attempts in {took:.1f} s")
                    raise
                self._prepare_next(download, store, error)
                delay = self._policy.delay(attempt, error, self._rng)
            except StoreClosedError:
                if not self._was_replaced(store):
                    raise
                continue
            if self._wait(delay) or self._closing.is_set():
                raise _closed(download.key)
            attempt += 1

    def _prepare_next(self, download: _Download, store: ObjectStore, error: StoreError) -> None:
        if isinstance(error, IntegrityError):
            download.restart()
        if isinstance(error, CredentialsExpiredError):
            with self._lock:
                if self._store is store:
                    self._store = None
            store.close()

    def _was_replaced(self, store: ObjectStore) -> bool:
        # By another thread, whose credentials had expired.
        with self._lock:
            return self._store is not store and not self._closing.is_set()

    def _opened(self, key: str) -> ObjectStore:
        with self._lock:
            if self._closing.is_set():
                raise _closed(key)
            if self._store is None:
                self._store = ObjectStore(self._spec.open())
            return self._store

    def close(self) -> None:
        """End waits between attempts, wait for a request under way, close the store; idempotent."""
        self._closing.set()
        with self._lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()


class _Download:
    """One object on its way, over all attempts."""

    def __init__(self, key: str, destination: str, *, overwrite: bool, callback: ProgressCallback | None) -> None:
        self.key = key
        self._destination = destination
        self._overwrite = overwrite
        self._callback = callback
        self._meta: ObjectMeta | None = None
        self._part: PartFile | None = None
        self._progress = Progress(None, 0)

    def attempt(self, store: ObjectStore) -> ObjectMeta:
        with store.calling("head", self.key) as backend:
            meta = backend.head(self.key)
            resumable = backend.capabilities.ranges is True
        part = self._prepared(meta, resumable=resumable)
        received = store.receive(self.key, part, meta)
        check_destination(self._destination, overwrite=self._overwrite)
        self._progress.finish()
        part.publish()
        return received

    def _prepared(self, meta: ObjectMeta, *, resumable: bool) -> PartFile:
        before, self._meta = self._meta, meta
        if before is None or before.size != meta.size:
            self._progress = Progress(self._callback, meta.size)
        if self._part is None:
            self._part = PartFile(self._destination, overwrite=self._overwrite, on_bytes=self._on_bytes)
        elif not (resumable and before is not None and _is_same(before, meta)):
            self._part.restart()
        return self._part

    def _on_bytes(self, done: int) -> None:
        self._progress(done)

    def restart(self) -> None:
        if self._part is not None:
            self._part.restart()

    def discard(self) -> None:
        if self._part is not None:
            self._part.discard()


def _is_same(before: ObjectMeta, now: ObjectMeta) -> bool:
    """Whether bytes of the one may be continued by bytes of the other: something that tells them apart is equal."""
    told = before.etag is not None and before.etag == now.etag
    told = told or (before.checksum is not None and before.checksum == now.checksum)
    return told and same_version(before, now)


def _closed(key: str) -> StoreClosedError:
    return StoreClosedError.during("get", key, "the downloader was closed")
