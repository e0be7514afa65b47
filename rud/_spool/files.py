"""The few system calls that change files: one place, so that a test can make each of them fail."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from typing import Any

import google_crc32c

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_CHECK = "crc32c"
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write every byte of ``data`` at ``offset``; ``OSError`` when that is not possible."""
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):  # a short write names no reason: the next one does
        step = os.pwrite(descriptor, memoryview(data)[written:], offset + written)
        if step == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        written += step


def cut(descriptor: int, end: int) -> None:
    os.ftruncate(descriptor, end)


def sync_data(descriptor: int) -> None:
    """The data of a file, and what is needed to read it, to the disk."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_path(path: str) -> None:
    """A file, or the names in a folder, to the disk, where the file system offers that."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def write_whole(path: str, content: bytes, *, sync: bool = False) -> None:
    """A new file with ``content``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_at(descriptor, content, 0)
        if sync:
            sync_data(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: str) -> dict[str, Any]:
    """An object; ``ValueError`` when it is none or not what was written, ``OSError`` when it cannot be read."""
    with open(path, "rb") as file:
        value = json.load(file)
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no object")
    check = value.pop(_CHECK, None)
    if check not in (None, _sum_of(value)):
        raise ValueError(f"{path} is damaged: it has CRC32C {_sum_of(value)}, but {check} was written")
    return value


def write_json(path: str, value: Mapping[str, object], *, sync: bool = False) -> None:
    """An object, with a checksum of its own."""
    plain = json.loads(json.dumps(dict(value), default=str))
    write_whole(path, json.dumps({**plain, _CHECK: _sum_of(plain)}, indent=2).encode(), sync=sync)


def _sum_of(value: Mapping[str, object]) -> str:
    return f"{google_crc32c.extend(0, json.dumps(value).encode()):08x}"


def read_at(path: str, offset: int, length: int) -> bytes:
    """``length`` bytes of a file, fewer when it is shorter."""
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), length, offset)


def read_all(path: str) -> bytes:
    """Read, not mapped: a disk that fails is an ``OSError`` then, not the end of the process."""
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def gone(path: str) -> bool:
    """Remove a file; true when it is not there (any more)."""
    try:
        os.unlink(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return True


def names_in(folder: str) -> list[str]:
    """The names in a folder, sorted; none when it is missing or a file."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove_tree(path: str) -> None:
    """A folder and all in it, as far as the system allows."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)
