"""Objects in SQLite databases: ``sqlite://NAME/prefix`` is ``NAME.db`` in a folder.

An example of a store that does not come with rud. For objects that fit in memory; SQLite keeps up to 1,000,000,000
bytes of one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import ClassVar
from urllib.parse import quote

import google_crc32c

from rud import Backend, errors
from rud.store import Arguments, Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Sink, Source, check_key

LARGEST = 1_000_000_000
"""Bytes: SQLite's SQLITE_MAX_LENGTH, as it is compiled unless somebody changes it."""
PATIENCE = 5.0
"""Seconds to wait for whoever writes to the same database, before it is a failure that may pass."""

_CAPABILITIES = Capabilities(
    create=True,
    entry_ids=True,
    checksums=True,
    ranges=True,
    fsync="transactions are not synchronised to the disk: they survive a crash, and no loss of power",
    reads_body=True,
    ends_with_worker=True,
    processes=True,
)
_ERRORS: dict[int, type[errors.StoreError]] = {
    sqlite3.SQLITE_BUSY: errors.ObjectStoreTransientError,
    sqlite3.SQLITE_LOCKED: errors.ObjectStoreTransientError,
    sqlite3.SQLITE_IOERR: errors.ObjectStoreTransientError,
    sqlite3.SQLITE_CANTOPEN: errors.BucketNotFoundError,
    sqlite3.SQLITE_PERM: errors.AccessDeniedError,
    sqlite3.SQLITE_READONLY: errors.AccessDeniedError,
}
_TABLE = "CREATE TABLE IF NOT EXISTS objects (key BLOB PRIMARY KEY, data BLOB, etag TEXT, crc INTEGER, entry_id TEXT)"
_META = "SELECT key, length(data), etag, crc, entry_id FROM objects"


class SqliteBackend(Backend):
    """``folder``: where the databases are; by default what ``SQLITE_STORE_FOLDER`` names, else the current folder.

    It has to be there; the database in it is made when it is first used.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset({"folder"})

    def __init__(self, bucket: str, prefix: str = "", *, folder: str | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._path = os.path.join(_folder(folder), f"{bucket}.db")
        self._closed = False

    @classmethod
    def resolve_arguments(cls, arguments: Arguments) -> Arguments:
        return {**arguments, "folder": _folder(arguments.get("folder"))}

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        whole = self._whole("put", key)
        data = _read(key, source, checksum)
        row = (whole, data, os.urandom(8).hex(), int(google_crc32c.value(data)), entry_id)
        verb = "INSERT" if mode is PutMode.CREATE else "REPLACE"
        with self._transaction("put", key) as run:
            try:
                run.execute(f"{verb} INTO objects VALUES (?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError as error:
                raise errors.ObjectExistsError.during("put", key, "an object of that key exists") from error
        return PutResult(etag=row[2])

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        whole = self._whole("get", key)
        with self._transaction("get", key) as run:
            meta = self._one(run, "get", key)
            (data,) = run.execute("SELECT substr(data, ?) FROM objects WHERE key = ?", (start + 1, whole)).fetchone()
        sink.write(data or b"")  # SQLite has NULL for what is beyond the end
        return meta

    def head(self, key: str) -> ObjectMeta:
        self._whole("head", key)
        with self._transaction("head", key) as run:
            return self._one(run, "head", key)

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        begins = (self._prefix + prefix).encode()
        with self._transaction("list", prefix) as run:
            rows = run.execute(f"{_META} WHERE substr(key, 1, ?) = ? ORDER BY key", (len(begins), begins)).fetchall()
        return iter([self._meta(row) for row in rows])

    def delete(self, key: str) -> None:
        whole = self._whole("delete", key)
        with self._transaction("delete", key) as run:
            run.execute("DELETE FROM objects WHERE key = ?", (whole,))

    def abort(self, key: str, upload_id: str | None) -> None:
        self._whole("abort", key)

    def probe(self) -> None:
        self._check_open("probe", "")
        with self._transaction("probe", "") as run:
            run.execute("DELETE FROM objects WHERE 0")

    def uri(self, key: str) -> str:
        return f"sqlite://{self._bucket}/{quote(self._prefix + check_key(key))}"

    def close(self) -> None:
        self._closed = True

    @contextmanager
    def _transaction(self, operation: str, key: str) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each, so that nothing is left to a thread, a fork or an end of the process."""
        try:
            with closing(sqlite3.connect(self._path, timeout=PATIENCE)) as connection, connection:
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(_TABLE)
                yield connection
        except sqlite3.Error as error:
            # The lower byte is the class of an extended code.
            kind = _ERRORS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, errors.StoreError)
            raise kind.during(operation, key, f"{error} ({self._path})") from error

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise errors.StoreClosedError.during(operation, key, "the store was closed")

    def _whole(self, operation: str, key: str) -> bytes:
        self._check_open(operation, key)
        return (self._prefix + check_key(key)).encode()

    def _one(self, run: sqlite3.Connection, operation: str, key: str) -> ObjectMeta:
        row = run.execute(f"{_META} WHERE key = ?", (self._whole(operation, key),)).fetchone()
        if row is None:
            raise errors.ObjectNotFoundError.during(operation, key, "there is no such object")
        return self._meta(row)

    def _meta(self, row: tuple[bytes, int, str, int, str | None]) -> ObjectMeta:
        key, size, etag, crc, entry_id = row
        return ObjectMeta(key.decode()[len(self._prefix) :], size, etag, crc, entry_id=entry_id)


def _folder(given: str | None) -> str:
    return os.path.abspath(given or os.environ.get("SQLITE_STORE_FOLDER") or ".")


def _read(key: str, source: Source, checksum: int | None) -> bytes:
    if len(source) > LARGEST:
        raise errors.StoreError.during("put", key, f"{len(source)} bytes are more than SQLite keeps, {LARGEST}")
    data = b"".join(iter(lambda: source.read(1 << 20), b""))
    if len(data) != len(source):
        raise errors.IntegrityError.during("put", key, f"the source gave {len(data)} bytes, not {len(source)}")
    if checksum not in (None, int(google_crc32c.value(data))):
        raise errors.IntegrityError.during("put", key, "the bytes are not those whose checksum was given")
    return data
