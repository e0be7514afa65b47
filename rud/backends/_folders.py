"""Keys as files under one folder: which keys can be, how they are reached without leaving it, what its errors mean.

Every file is reached from the root by one ``open`` for each segment that refuses symbolic links, so that no key and no
change made meanwhile can lead elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType

from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidKeyError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
)

TEMPORARY = ".rud-put-"
"""How the hidden name of an unfinished object begins; no segment of a key may."""

_NAME_MAX = 255
_PATH_MAX = 1024 if sys.platform == "darwin" else 4096
_WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTEMPTS = 100
"""A folder can be removed, being empty, between its making and its opening; each time, another delete has succeeded."""

_CODES: dict[type[StoreError], frozenset[int]] = {
    ObjectNotFoundError: frozenset({errno.ENOENT, errno.ENOTDIR}),
    AccessDeniedError: frozenset({errno.EACCES, errno.EPERM, errno.EROFS}),
    ObjectStoreTransientError: frozenset(
        {
            errno.EAGAIN,
            errno.EBUSY,
            errno.ECONNABORTED,
            errno.ECONNREFUSED,
            errno.ECONNRESET,
            errno.EDQUOT,
            errno.EHOSTDOWN,
            errno.EHOSTUNREACH,
            errno.EINTR,
            errno.EIO,
            errno.EMFILE,
            errno.ENETDOWN,
            errno.ENETUNREACH,
            errno.ENFILE,
            errno.ENOBUFS,
            errno.ENOLCK,
            errno.ENOMEM,
            errno.ENOSPC,
            errno.ENOTCONN,
            errno.ENXIO,
            errno.EPIPE,
            errno.ESTALE,
            errno.ETIMEDOUT,
        }
    ),
}
"""The one table from the system's numbers to our errors; every other number is a ``StoreError``, for good."""

_CLASSES: dict[int | None, type[StoreError]] = {code: cls for cls, codes in _CODES.items() for code in codes}


class translated:  # noqa: N801 - reads as a statement
    """``with translated("put", key):`` turns an ``OSError`` of the system into the error of ours that it stands for."""

    __slots__ = ("_key", "_operation")

    def __init__(self, operation: str, key: str) -> None:
        self._operation = operation
        self._key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not isinstance(error, OSError) or isinstance(error, StoreError):
            return
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidKeyError(f"the key {self._key!r} has a name that is too long for this file system") from error
        reason = f"{errno.errorcode.get(error.errno or 0, 'OSError')}, {error.strerror or error}"
        raise _CLASSES.get(error.errno, StoreError).during(self._operation, self._key, reason) from error


def segments_of(key: str, root: str) -> list[bytes]:
    """The names of the folders, and last of the file, of ``key``; ``InvalidKeyError`` if it cannot be kept as it is."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError as error:
        raise InvalidKeyError(f"the key {key!r} cannot be written as UTF-8: {error.reason}") from None
    segments = encoded.split(b"/")
    for segment in segments:
        if problem := _problem(segment):
            raise InvalidKeyError(f"a folder cannot keep the key {key!r} as it is: {problem}")
    if len(os.fsencode(root)) + len(encoded) + 2 > _PATH_MAX:
        raise InvalidKeyError(f"the key {key!r} makes a path longer than {_PATH_MAX} bytes")
    return segments


def _problem(segment: bytes) -> str:
    if not segment:
        return "it is empty, begins or ends with '/', or has '//'"
    if segment in (b".", b".."):
        return f"{segment.decode()!r} is no name"
    if b"\0" in segment:
        return "it has a NUL character"
    if len(segment) > _NAME_MAX:
        return f"a name in it has {len(segment)} bytes, more than {_NAME_MAX}"
    # Whatever the case: some file systems do not tell them apart.
    if segment[: len(TEMPORARY)].lower() == TEMPORARY.encode():
        return f"names that begin with {TEMPORARY!r} are those of unfinished objects"
    return ""


def temporary_name() -> str:
    """A random hidden name for an unfinished object."""
    return TEMPORARY + os.urandom(8).hex()


def is_temporary(name: str) -> bool:
    """Whether ``temporary_name`` could have returned ``name``."""
    return re.fullmatch(re.escape(TEMPORARY) + "[0-9a-f]{16}", name) is not None


@contextmanager
def folder_at(root: str, folders: Sequence[bytes]) -> Iterator[int]:
    """A descriptor of the folder that ``folders`` lead to from ``root``; ``FileNotFoundError`` or
    ``NotADirectoryError`` where there is none (also where a symbolic link is in the way)."""
    opened = open_folder(root, folders)
    try:
        yield opened
    finally:
        os.close(opened)


def open_folder(root: str, folders: Sequence[bytes]) -> int:
    """``folder_at`` without the closing."""
    # The root itself may be a link: where it leads was the choice of whoever named it.
    opened = os.open(root, _WALK & ~os.O_NOFOLLOW)
    for name in folders:
        below = opened
        try:
            opened = os.open(name, _WALK, dir_fd=below)
        finally:
            os.close(below)
    return opened


def make_folder(root: str, folders: Sequence[bytes], key: str) -> int:
    """``open_folder``, with what is missing made; ``StoreError`` when an object or a link is in the way."""
    for _ in range(_ATTEMPTS):
        try:
            return open_folder(root, folders)
        except FileNotFoundError:
            _make_missing(root, folders)
        except NotADirectoryError as error:
            if not os.path.isdir(root):
                raise BucketNotFoundError.during("put", key, f"{root!r} is there and is not a folder") from error
            raise StoreError.during("put", key, "a part of its path is an object or a link, not a folder") from error
    raise ObjectStoreTransientError.during("put", key, "its folder is removed as often as it is made")


def _make_missing(root: str, folders: Sequence[bytes]) -> None:
    _make_root(root)
    for depth in range(len(folders)):
        with suppress(FileNotFoundError), folder_at(root, folders[:depth]) as parent, suppress(FileExistsError):
            os.mkdir(folders[depth], dir_fd=parent)


def _make_root(root: str) -> None:
    missing: list[str] = []
    while not os.path.isdir(root):
        missing.append(root)
        root = os.path.dirname(root)
    for path in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(path)
        _sync_path(os.path.dirname(path))


def remove_empty(root: str, folders: Sequence[bytes]) -> None:
    """Remove the folders that ``folders`` lead through, the deepest first, as far as they are empty; never the root."""
    for depth in range(len(folders) - 1, -1, -1):
        try:
            with folder_at(root, folders[:depth]) as parent:
                os.rmdir(folders[depth], dir_fd=parent)
        except OSError:
            return


def sync(descriptor: int) -> None:
    """Return when the file would survive a loss of power."""
    # On macOS fsync only reaches the drive, which may still lose it.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full)


def sync_folders(root: str, folders: Sequence[bytes]) -> None:
    """``sync`` every folder from the deepest of ``folders`` up to the one that holds the root."""
    for depth in range(len(folders), -1, -1):
        with folder_at(root, folders[:depth]) as opened:
            _sync_folder(opened)
    _sync_path(os.path.dirname(root))


def _sync_path(folder: str) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync_folder(opened)
    finally:
        os.close(opened)


def _sync_folder(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems have nothing to sync in a folder, and say so.
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
