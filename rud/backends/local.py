"""Objects as files in a folder."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar
from urllib.parse import quote

from rud._body import CHUNK
from rud.backends._folders import (
    TEMPORARY,
    folder_at,
    is_temporary,
    open_folder,
    remove_empty,
    segments_of,
    temporary_name,
    translated,
)
from rud.backends._hidden import HiddenFile
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    IntegrityError,
    ObjectNotFoundError,
    StoreClosedError,
    StoreError,
)
from rud.store import Backend, Capabilities, ObjectMeta, Offer, OnMultipart, PutMode, PutResult, Sink, Source

_ENTRY_ID = "user.rud.id"
_CRC32C = "user.rud.crc32c"


class LocalObjectStore(Backend):
    """Objects as files under the absolute folder ``bucket``, or its sub-folder ``prefix``; made by the first put.

    A key is the path of its file, kept exactly or refused with ``InvalidKeyError``. A file is written under a hidden
    name beside its own (``.rud-put-`` and 16 random digits), then renamed, or linked for ``PutMode.CREATE``; where the
    file system has no hard links, a create first makes an empty file of that name. ``a`` and ``a/b`` cannot both be
    objects: the second is refused with a ``StoreError``. Symbolic links below the folder are no objects and are not
    followed. A folder that a delete leaves empty is removed.

    The CRC32C and the id of the upload are extended attributes (``user.rud.crc32c``, ``user.rud.id``) where the file
    system has them. The CRC32C is of what was put: a program that changes such a file in place makes it fail
    verification. A put that is killed leaves its hidden file; those of more than 1 MiB are announced as multipart
    uploads, so that ``abort`` can remove them. On a file system that ignores case or normalises names, keys that differ
    in nothing else are one object.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, bucket: str, prefix: str = "") -> None:
        if not os.path.isabs(bucket) or "\0" in bucket:
            raise ConfigurationError(f"a folder of objects is an absolute path, not {bucket!r}")
        self._root = bucket
        if prefix:
            segments_of(prefix, bucket)
            self._root = os.path.join(bucket, prefix)
        self._closed = False
        self._offer: Offer | None = None

    @property
    def capabilities(self) -> Capabilities:
        if self._offer is None:
            self._offer = self._attributes()
        attributes = self._offer
        return Capabilities(
            create=True,
            entry_ids=attributes,
            checksums=attributes,
            ranges=True,
            fsync=True,
            reads_body=True,
            ends_with_worker=True,
            processes=True,
        )

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
        *folders, name = self._segments("put", key)
        with HiddenFile(self._root, folders, name, key) as hidden:
            if mode is PutMode.CREATE:
                hidden.refuse_taken()
            if len(source) > CHUNK:
                on_multipart(hidden.temporary)
            crc = hidden.copy(source)
            if checksum not in (None, crc):
                raise IntegrityError.during("put", key, f"the bytes have CRC32C {crc:08x}, not {checksum:08x}")
            with translated("put", key):
                self._set_attributes(hidden.descriptor, crc, entry_id)
                status = os.fstat(hidden.descriptor)
            hidden.publish(mode, durable=durable)
        return PutResult(etag=_etag(status))

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        file = self._open("get", key)
        try:
            with translated("get", key):
                meta = _meta_of(key, file)
                os.lseek(file, start, os.SEEK_SET)
            while True:
                with translated("get", key):
                    chunk = os.read(file, CHUNK)
                if not chunk:
                    return meta
                sink.write(chunk)
        finally:
            os.close(file)

    def head(self, key: str) -> ObjectMeta:
        file = self._open("head", key)
        try:
            with translated("head", key):
                return _meta_of(key, file)
        finally:
            os.close(file)

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        """As promised by ``Backend``, of a folder as it is met; ``checksum`` and ``entry_id`` are left to ``head``."""
        self._check_open("list", "")
        waiting = [_Item("", None)]
        while waiting:
            item = waiting.pop()
            if item.status is not None:
                yield _meta(item.key, item.status)
                continue
            with translated("list", prefix):
                found = _items(self._root, item.key, prefix)
            found.sort(key=lambda item: item.key.encode(), reverse=True)
            waiting.extend(found)

    def delete(self, key: str) -> None:
        *folders, name = self._segments("delete", key)
        with translated("delete", key), suppress(FileNotFoundError, NotADirectoryError):
            with folder_at(self._root, folders) as folder:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    return
                _check_regular("delete", key, status)
                os.unlink(name, dir_fd=folder)
            remove_empty(self._root, folders)

    def abort(self, key: str, upload_id: str | None) -> None:
        *folders, _ = self._segments("abort", key)
        if upload_id is None or not is_temporary(upload_id):
            return
        with translated("abort", key), suppress(FileNotFoundError, NotADirectoryError):
            with folder_at(self._root, folders) as folder:
                os.unlink(upload_id, dir_fd=folder)
            remove_empty(self._root, folders)

    def probe(self) -> None:
        """Makes and removes a hidden empty file; while the folder is still missing, asks whether it could be made."""
        self._check_open("probe", "")
        there = _nearest(self._root)
        if not os.path.isdir(there):
            raise BucketNotFoundError.during("probe", "", f"{there!r} is there and is not a folder")
        if there != self._root:
            if not os.access(there, os.W_OK | os.X_OK):
                raise AccessDeniedError.during("probe", "", f"the folder {self._root!r} may not be made in {there!r}")
            return
        name = temporary_name()
        with translated("probe", ""), folder_at(self._root, ()) as folder:
            try:
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder))
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    @cached_property
    def _address(self) -> str:
        return "file://" + quote(os.path.join(self._root, ""))

    def uri(self, key: str) -> str:
        self._segments("uri", key)
        return self._address + quote(key)

    def close(self) -> None:
        self._closed = True

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")

    def _segments(self, operation: str, key: str) -> Sequence[bytes]:
        self._check_open(operation, key)
        return segments_of(key, self._root)

    def _attributes(self) -> Offer:
        if sys.platform != "linux":
            return "Python offers extended attributes on Linux only"
        there = _nearest(self._root)
        try:
            os.getxattr(there, _ENTRY_ID)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                return f"the file system of {there!r} keeps no extended attributes"
        return True

    def _set_attributes(self, file: int, crc: int, entry_id: str | None) -> None:
        if self.capabilities.entry_ids is not True:
            return
        os.setxattr(file, _CRC32C, f"{crc:08x}".encode())
        if entry_id is not None:
            os.setxattr(file, _ENTRY_ID, entry_id.encode())

    def _open(self, operation: str, key: str) -> int:
        *folders, name = self._segments(operation, key)
        with translated(operation, key), folder_at(self._root, folders) as folder:
            _check_regular(operation, key, os.stat(name, dir_fd=folder, follow_symlinks=False))
            # Not blocking: a pipe may have taken its place since.
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)


@dataclass(frozen=True, slots=True)
class _Item:
    """What a folder holds: an object, or (``status`` is ``None``) a folder, whose ``key`` ends in ``/`` or is empty."""

    key: str
    status: os.stat_result | None


def _items(root: str, folder: str, prefix: str) -> list[_Item]:
    try:
        descriptor = open_folder(root, folder.encode().split(b"/")[:-1])
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        with os.scandir(descriptor) as entries:
            return [item for entry in entries if (item := _item(folder, entry, prefix)) is not None]
    finally:
        os.close(descriptor)


def _item(folder: str, entry: os.DirEntry[str], prefix: str) -> _Item | None:
    try:
        key = folder + os.fsencode(entry.name).decode()
        if entry.name.lower().startswith(TEMPORARY):
            return None
        if entry.is_dir(follow_symlinks=False):
            key += "/"
            return _Item(key, None) if key.startswith(prefix) or prefix.startswith(key) else None
        if key.startswith(prefix) and entry.is_file(follow_symlinks=False):
            return _Item(key, entry.stat(follow_symlinks=False))
    except (UnicodeDecodeError, FileNotFoundError):
        # A name that is no text cannot be a key; a file that has gone meanwhile is no object.
        pass
    return None


def _check_regular(operation: str, key: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ObjectNotFoundError.during(operation, key, "there is a folder of that name, not an object")
    if not stat.S_ISREG(status.st_mode):
        raise StoreError.during(operation, key, "a symbolic link, pipe or device lies there, which is not an object")


def _meta_of(key: str, file: int) -> ObjectMeta:
    crc = _attribute(file, _CRC32C)
    checksum = int(crc, 16) if len(crc) == 8 else None
    return _meta(key, os.fstat(file), checksum, _attribute(file, _ENTRY_ID) or None)


def _meta(key: str, status: os.stat_result, checksum: int | None = None, entry_id: str | None = None) -> ObjectMeta:
    return ObjectMeta(key, status.st_size, _etag(status), checksum, status.st_mtime, entry_id)


def _etag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _attribute(file: int, name: str) -> str:
    if sys.platform != "linux":
        return ""
    try:
        return os.getxattr(file, name).decode("ascii", "replace")
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return ""
        raise


def _nearest(path: str) -> str:
    """``path``, or the nearest folder above it that there is."""
    while not os.path.lexists(path) and path != "/":
        path = os.path.dirname(path)
    return path
