"""The few system calls that change files: one place, so that a test can make each of them fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Self

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})


def write_at(descriptor: int, parts: Sequence[bytes], offset: int) -> None:
    """Write every byte of ``parts`` at ``offset``; ``OSError`` when that is not possible."""
    if hasattr(os, "pwritev"):
        written = os.pwritev(descriptor, parts, offset)
    else:
        written = os.pwrite(descriptor, b"".join(parts), offset)
    total = sum(map(len, parts))
    if written == total:
        return
    whole = memoryview(b"".join(parts))
    while written < total:  # a short write names no reason: the next one does
        step = os.pwrite(descriptor, whole[written:], offset + written)
        if step == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        written += step


def cut(descriptor: int, end: int) -> None:
    os.ftruncate(descriptor, end)


def sync_data(descriptor: int) -> None:
    """The data of a file, and what is needed to read it, to the disk."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """The names in a folder to the disk, where the file system offers that."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def write_whole(path: str, content: bytes, *, sync: bool = False) -> None:
    """A new file with ``content``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if content:
            write_at(descriptor, [content], 0)
        if sync:
            sync_data(descriptor)
    finally:
        os.close(descriptor)


def unlink(path: str) -> None:
    os.unlink(path)


def gone(path: str) -> bool:
    """Remove a file; true when it is not there (any more)."""
    try:
        unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


class Reader:
    """Reads parts of files and keeps the last file open: parts of one segment come one after the other."""

    def __init__(self) -> None:
        self._path = ""
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._path, self._descriptor = "", -1

    def read(self, path: str, offset: int, length: int) -> bytes:
        """``length`` bytes of a file, fewer when it is shorter."""
        if path != self._path:
            self.__exit__()
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._path = path
        data = os.pread(self._descriptor, length, offset)
        while 0 < len(data) < length and (more := os.pread(self._descriptor, length - len(data), offset + len(data))):
            data += more
        return data


def read_at(path: str, offset: int, length: int) -> bytes:
    """``length`` bytes of a file, fewer when it is shorter."""
    with Reader() as reader:
        return reader.read(path, offset, length)


def names_in(folder: str) -> list[str]:
    """The names in a folder, sorted; none when it is missing."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def remove_tree(path: str) -> None:
    """A folder and all in it, as far as the system allows."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)
