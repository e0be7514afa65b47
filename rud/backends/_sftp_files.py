"""Files and folders of an SFTP server: no command of a shell, ever."""

from __future__ import annotations

import contextlib
import errno
import stat
from collections.abc import Iterator

import google_crc32c
import paramiko

from rud.backends._folders import TEMPORARY
from rud.backends._sftp_client import PIECE, Client, StatusError
from rud.backends._sftp_connection import SourceFailedError
from rud.backends._sums import same_as_declared
from rud.errors import (
    IntegrityError,
    ObjectExistsError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import ObjectMeta, PutMode, Source

_CHUNK = 8 * PIECE
"""Bytes of one read of a body."""

_ATTEMPTS = 100
"""A folder can be removed, being empty, before something is put into it; each time, another delete has succeeded."""


def kind_of(client: Client, path: str, *, follow: bool = False) -> paramiko.SFTPAttributes | None:
    """What is there, or, to ``follow`` a link, where it leads; ``None``: nothing, or there is a file in the way."""
    try:
        return client.stat(path) if follow else client.lstat(path)
    except StatusError as error:
        if error.errno != errno.ENOENT:
            raise
        return None


def is_file(found: paramiko.SFTPAttributes | None) -> bool:
    return found is not None and stat.S_ISREG(found.st_mode or 0)


def is_folder(found: paramiko.SFTPAttributes | None) -> bool:
    return found is not None and stat.S_ISDIR(found.st_mode or 0)


def meta_of(key: str, found: paramiko.SFTPAttributes) -> ObjectMeta:
    """No ETag: seconds and a size do not tell two versions apart."""
    return ObjectMeta(key, found.st_size or 0, last_modified=float(found.st_mtime or 0))


def above(path: str) -> str:
    """The folder that ``path`` is in; ``""`` is where sessions begin."""
    return path.rpartition("/")[0] or ("/" if path.startswith("/") else "")


def make_folders(client: Client, key: str, folder: str) -> list[str]:
    """See to it that there is ``folder``; those that had to be made, the deepest first."""
    missing: list[str] = []
    found = None
    while folder not in ("", "/") and (found := kind_of(client, folder, follow=True)) is None:
        missing.append(folder)
        folder = above(folder)
    if found is not None and not is_folder(found):
        raise StoreError.during("put", key, f"{folder!r} is no folder, and a file cannot also be one")
    for made in reversed(missing):
        try:
            client.mkdir(made)
        except StatusError:
            if not is_folder(kind_of(client, made, follow=True)):
                raise
    return missing


def remove(client: Client, path: str) -> None:
    """Remove a file; one that is not there is no error."""
    try:
        client.remove(path)
    except StatusError as error:
        if error.errno != errno.ENOENT:
            raise


def remove_empty(client: Client, folder: str, root: str) -> None:
    """Remove ``folder`` and those above it, as far as they are empty; never the root."""
    while len(folder) > len(root) and folder:
        try:
            client.rmdir(folder)
        except StatusError:
            return
        folder = above(folder)


def write(client: Client, key: str, path: str, source: Source, checksum: int | None, *, durable: bool) -> None:
    """The new file ``path``, with the folders that lead there and the bytes of ``source``, each known to be written."""
    file = _begin(client, key, path)
    try:
        _copy(client, file, key, source, checksum)
        client.settle(file)
        if (size := file.stat().st_size) != len(source):
            raise ObjectStoreTransientError.during("put", key, f"the server kept {size} of {len(source)} bytes")
        if durable:
            sync(client, key, file)
        client.end(file)
    except (RudError, SourceFailedError, StatusError):
        # After anything else the connection is no good, and to close a file takes an answer.
        file.close()
        raise


def _begin(client: Client, key: str, path: str) -> paramiko.SFTPFile:
    for _ in range(_ATTEMPTS):
        try:
            return client.open(path, "wbx")
        except StatusError as error:
            if error.errno != errno.ENOENT:
                raise
            make_folders(client, key, above(path))
    return client.open(path, "wbx")


def _copy(client: Client, file: paramiko.SFTPFile, key: str, source: Source, checksum: int | None) -> None:
    written = crc = 0
    while chunk := _read(source):
        client.write(file, written, chunk)
        crc = google_crc32c.extend(crc, chunk)
        written += len(chunk)
    if written != len(source):
        raise IntegrityError.during("put", key, f"the source gave {written} of {len(source)} bytes")
    same_as_declared(key, crc, checksum)


def _read(source: Source) -> bytes:
    try:
        return source.read(_CHUNK)
    except Exception as error:
        raise SourceFailedError(error) from error


def place(client: Client, key: str, temporary: str, path: str, mode: PutMode) -> None:
    """Let ``temporary`` take the place of ``path``."""
    try:
        if mode is PutMode.CREATE:
            _create(client, key, temporary, path)
        else:
            _replace(client, key, temporary, path)
    except StatusError as error:
        found = kind_of(client, path)
        if is_folder(found):
            _remove_folder(client, key, path, error)
            place(client, key, temporary, path, mode)
        elif found is not None and mode is PutMode.CREATE:
            raise ObjectExistsError.during("put", key, "an object of that key exists") from error
        else:
            raise


def _create(client: Client, key: str, temporary: str, path: str) -> None:
    try:
        client.link(temporary, path)
    except StatusError:
        if kind_of(client, path) is not None:
            raise
        _create_without_links(client, key, temporary, path)
    else:
        with contextlib.suppress(StatusError):
            client.remove(temporary)


def _create_without_links(client: Client, key: str, temporary: str, path: str) -> None:
    # An empty file takes the name, which only one can do; the object takes its place.
    client.end(client.open(path, "wbx"))
    try:
        _replace(client, key, temporary, path)
    except (RudError, StatusError):
        remove(client, path)
        raise


def was_created(client: Client, temporary: str, path: str, size: int) -> bool:
    """Whether ``temporary``, of ``size`` bytes, has become ``path`` after all, where nothing was before."""
    there, left = kind_of(client, path), kind_of(client, temporary)
    if there is None or not is_file(there) or there.st_size != size:
        return False
    if left is None:
        return True
    # Two names of one file: what sets the time by one of them sets it for the other.
    before, other = int(left.st_mtime or 0), int(there.st_mtime or 0) + 1
    client.utime(temporary, (before, other))
    after = kind_of(client, path)
    client.utime(temporary, (before, before))
    return after is not None and after.st_mtime == other


def _replace(client: Client, key: str, temporary: str, path: str) -> None:
    try:
        client.posix_rename(temporary, path)
    except StatusError as error:
        if not error.is_unsupported:
            raise
        if kind_of(client, path) is not None:
            raise UnsupportedOperationError.during(
                "put", key, "the server cannot replace a file in one step (posix-rename@openssh.com)"
            ) from error
        client.rename(temporary, path)


def _remove_folder(client: Client, key: str, path: str, error: StatusError) -> None:
    # An empty folder holds no object: a killed put may have left it.
    try:
        client.rmdir(path)
    except StatusError:
        reason = "there are objects whose keys begin with it and '/', and a file cannot also be a folder"
        raise StoreError.during("put", key, reason) from error


def sync(client: Client, key: str, file: paramiko.SFTPFile) -> None:
    """``file`` is on the disk; ``UnsupportedOperationError`` where the server cannot do that."""
    try:
        client.sync(file)
    except StatusError as error:
        if not error.is_unsupported:
            raise
        raise UnsupportedOperationError.during(
            "put", key, "the server cannot sync to its disk (fsync@openssh.com): turn the uploader's fsync off"
        ) from error


def sync_folders(client: Client, key: str, folder: str, root: str) -> None:
    """So is the name of a file in ``folder``, and those of the folders up to the root."""
    while True:
        opened = client.open(folder or ".", "r")
        sync(client, key, opened)
        client.end(opened)
        if len(folder) <= len(root):
            return
        folder = above(folder)


def walk(client: Client, root: str, prefix: str) -> Iterator[ObjectMeta]:
    """The objects below ``root`` whose keys begin with ``prefix``, sorted by their UTF-8 bytes."""
    waiting: list[tuple[str, paramiko.SFTPAttributes | None]] = [("", None)]
    while waiting:
        key, found = waiting.pop()
        if found is not None:
            yield meta_of(key, found)
            continue
        items = list(_items(client, root, key, prefix))
        items.sort(key=lambda item: item[0].encode(), reverse=True)
        waiting.extend(items)


def _items(client: Client, root: str, folder: str, prefix: str) -> Iterator[tuple[str, paramiko.SFTPAttributes | None]]:
    try:
        found = client.entries(joined(root, folder) or ".")
    except StatusError as error:
        if error.errno == errno.ENOENT or not is_folder(kind_of(client, joined(root, folder))):
            return
        raise
    for one in found:
        key = folder + one.filename
        if one.filename.lower().startswith(TEMPORARY):
            continue
        if is_folder(one) and (f"{key}/".startswith(prefix) or prefix.startswith(f"{key}/")):
            yield f"{key}/", None
        elif is_file(one) and key.startswith(prefix):
            yield key, one


def joined(root: str, key: str) -> str:
    """The path of ``key`` below ``root``."""
    if not root:
        return key.rstrip("/")
    return f"{root.rstrip('/')}/{key}".rstrip("/") or "/"
