"""What a caller holds of a store: Composer's method names over any ``Backend``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Self

from rud._destination import PartFile, check_destination
from rud._source import Progress, ProgressCallback, SourceFile, open_regular
from rud.errors import (
    IntegrityError,
    ObjectStoreTransientError,
    RudError,
    StoreClosedError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import Backend, ObjectMeta, PutMode, check_key

StrPath = str | os.PathLike[str]


def verify(key: str, part: PartFile, meta: ObjectMeta, expected: ObjectMeta) -> None:
    """Check what was received against the object that was read (``meta``) and the one asked for (``expected``).

    Raises ``ObjectStoreTransientError`` when bytes are missing or the object was replaced meanwhile, ``IntegrityError``
    when the bytes are not those of the object.
    """
    if not same_version(meta, expected):
        raise ObjectStoreTransientError.during("get", key, "the object was replaced while it was read")
    if part.written < meta.size:
        raise ObjectStoreTransientError.during("get", key, f"only {part.written} of {meta.size} bytes arrived")
    if part.written > meta.size:
        raise IntegrityError.during("get", key, f"{part.written} bytes arrived, but it has {meta.size}")
    # Services tell no sum with a part of an object; that it is of the same version is checked above.
    checksum = expected.checksum if meta.checksum is None else meta.checksum
    if checksum not in (None, part.crc32c):
        reason = f"the bytes have CRC32C {part.crc32c:08x}, the object has {checksum:08x}"
        raise IntegrityError.during("get", key, reason)


def same_version(one: ObjectMeta, other: ObjectMeta) -> bool:
    """Whether nothing tells the two apart."""
    for a, b in ((one.etag, other.etag), (one.checksum, other.checksum)):
        if a is not None and b is not None and a != b:
            return False
    return one.size == other.size


class ObjectStore:
    """Objects by name over ``backend``, which it owns: closing the store closes it.

    Calls from several threads take turns. In a forked child every method raises ``StoreClosedError``; so does every
    method but ``close`` after ``close``. Errors of the store are those of ``rud.errors``, with operation, name and
    cause; what else a backend lets out becomes a ``StoreError``. A name that the store cannot keep exactly as it is
    raises ``InvalidKeyError`` before any request. Nothing is retried here.

    A ``callback`` is told ``(bytes so far, bytes in all)``: the second number never changes, the first never falls,
    and the last call has both equal and comes before the return. An object without bytes makes one call, ``(0, 0)``.
    An exception that it raises ends the transfer and comes out unchanged.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.RLock()  # Guards every call of _backend; re-entrant for callbacks that ask the store.
        self._here = threading.local()
        self._closed = False
        self._pid = os.getpid()

    @property
    def backend(self) -> Backend:
        """The backend itself; a caller that uses it keeps to one thread at a time."""
        return self._backend

    def __repr__(self) -> str:
        return f"<ObjectStore of {type(self._backend).__name__}{', closed' if self._closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def calling(self, operation: str, key: str) -> Iterator[Backend]:
        """The backend, for one operation: it is this caller's turn, and what is raised says what was attempted."""
        self._check_open(operation, key)
        with self._turn():
            self._check_open(operation, key)
            try:
                yield self._backend
            except (RudError, MemoryError):
                raise
            except Exception as error:
                raise StoreError.during(operation, key, f"{type(error).__name__}: {error}") from error

    def _turn(self) -> AbstractContextManager[object]:
        return nullcontext() if getattr(self._here, "is_guest", False) else self._lock

    @contextmanager
    def _as_guest(self) -> Iterator[None]:
        """This thread asks within the turn of another, which waits for it: a backend that sends parts on threads of its
        own makes callbacks there."""
        before = getattr(self._here, "is_guest", False)
        self._here.is_guest = True
        try:
            yield
        finally:
            self._here.is_guest = before

    def upload_object(
        self, object_name: str, filename: StrPath, *, overwrite: bool = True, callback: ProgressCallback | None = None
    ) -> None:
        """Store the file ``filename`` as ``object_name``: all of its bytes or none.

        With ``overwrite=False`` an object that is there stays as it was and ``ObjectExistsError`` (a
        ``FileExistsError``) is raised; a store that cannot decide this atomically raises ``UnsupportedOperationError``.
        The file is read twice, first to sum it. ``IntegrityError`` when it changes meanwhile; before any request, the
        ``OSError`` of the file itself (``FileNotFoundError``, ``IsADirectoryError``), or ``ValueError`` for a pipe.
        """
        key = check_key(object_name)
        self._check_open("put", key)
        if not overwrite and (offer := self._backend.capabilities.create) is not True:
            raise UnsupportedOperationError.during("put", key, f"it does not offer overwrite=False: {offer}")
        path = os.fspath(filename)
        with open_regular(path) as file:
            source = SourceFile(file, path, callback)
            self._send(key, source, PutMode.OVERWRITE if overwrite else PutMode.CREATE)
            source.progress.finish()

    def _send(self, key: str, source: SourceFile, mode: PutMode) -> None:
        try:
            with self.calling("put", key) as backend:
                backend.put(
                    key,
                    source.body(self._as_guest),
                    mode=mode,
                    checksum=source.checksum,
                    entry_id=None,
                    durable=False,
                    on_multipart=_nothing,
                )
        except BaseException:
            if source.error is not None:
                raise source.error from None
            raise
        if source.error is not None:
            raise source.error

    def download_object(
        self,
        object_name: str,
        filename: StrPath,
        overwrite: bool = False,  # noqa: FBT001, FBT002 - Composer's signature
        callback: ProgressCallback | None = None,
    ) -> None:
        """Fetch ``object_name`` to ``filename``, verified against its size and, where the store keeps one, its sum.

        Written to a random hidden name beside it, then renamed; missing folders are made. On any failure the
        destination is what it was before and nothing new lies beside it. A symbolic link is replaced, not followed. The
        mode is that of ``open(filename, "wb")``. Raises ``FileExistsError`` without a request when something is there
        and ``overwrite`` is false, ``ObjectNotFoundError`` (a ``FileNotFoundError``), ``IsADirectoryError``,
        ``ObjectStoreTransientError`` when bytes are missing, ``IntegrityError`` when they are wrong, and the machine's
        own ``OSError`` when the file cannot be written.
        """
        key = check_key(object_name)
        self._check_open("get", key)
        destination = os.fspath(filename)
        check_destination(destination, overwrite=overwrite)
        with self.calling("head", key) as backend:
            expected = backend.head(key)
        progress = Progress(callback, expected.size)
        with PartFile(destination, overwrite=overwrite, on_bytes=progress) as part:
            self.receive(key, part, expected)
            check_destination(destination, overwrite=overwrite)
            progress.finish()
            part.publish()

    def receive(self, key: str, part: PartFile, expected: ObjectMeta) -> ObjectMeta:
        """Get what ``part`` still lacks of the object that a ``head`` described as ``expected``; its metadata.

        Verified as ``verify`` says; a trouble of ``part`` itself comes out unchanged.
        """
        try:
            with self.calling("get", key) as backend:
                # Services refuse a range that begins at the end.
                whole = 0 < part.written == expected.size
                meta = expected if whole else backend.get(key, part, start=part.written)
        except BaseException:
            if part.error is not None:
                raise part.error from None
            raise
        if part.error is not None:
            raise part.error
        verify(key, part, meta, expected)
        # It is the same version, and its sum was compared.
        return meta if meta.checksum is not None else replace(meta, checksum=expected.checksum)

    def get_object_size(self, object_name: str) -> int:
        """Bytes of ``object_name``, by one metadata request; ``ObjectNotFoundError`` (a ``FileNotFoundError``)."""
        key = check_key(object_name)
        with self.calling("head", key) as backend:
            return backend.head(key).size

    def list_objects(self, prefix: str | None = None) -> list[str]:
        """A new list of every name that begins with ``prefix`` (all when ``None``), sorted by UTF-8 bytes.

        Each is usable as it is in every other method. No match is an empty list.
        """
        begins = check_key(prefix) if prefix else ""
        with self.calling("list", begins) as backend:
            return [meta.key for meta in backend.list(begins)]

    def delete_object(self, object_name: str) -> None:
        """Remove ``object_name``; one that is not there is no error."""
        key = check_key(object_name)
        with self.calling("delete", key) as backend:
            backend.delete(key)

    def get_uri(self, object_name: str) -> str:
        """The address of ``object_name``, whether it is there or not; no request, and no two names share one."""
        key = check_key(object_name)
        self._check_open("uri", key)
        # Without the lock: pure, and a training thread must not wait here for somebody's download.
        return self._backend.uri(key)

    def close(self) -> None:
        """Close the backend; idempotent. In a forked child it leaves the parent's connections alone."""
        if os.getpid() != self._pid:
            self._closed = True
            return
        with self._lock:
            if not self._closed:
                self._closed = True
                self._backend.close()

    def _check_open(self, operation: str, key: str) -> None:
        if os.getpid() != self._pid:
            reason = "the store was opened by the parent of this forked process; open one here"
            raise StoreClosedError.during(operation, key, reason)
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")


def _nothing(upload_id: str, /) -> None:
    """Whoever calls by hand has no journal to note the id in."""
