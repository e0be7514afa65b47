"""How the bytes of a file get into the spool: small ones into memory (and then the log), large ones beside the log."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c

from rud import _faultpoints
from rud._spool import files
from rud.errors import SpoolError

_FICLONE = 0x40049409
_AT_ONCE = 1 << 30
_LOOP_CHUNK = 1 << 20
MODES = ("auto", "reflink", "link", "move", "copy")
_log = logging.getLogger("rud")


@dataclass(slots=True, eq=False)
class Staged:
    """A payload that is staged and not accepted. ``data`` holds a small one; ``path`` is the file of a large one."""

    source: str
    size: int
    mtime_ns: int
    identity: tuple[int, int]
    crc: int | None = None
    data: bytes = b""
    path: str = ""
    reserved: int = 0
    """Bytes counted against the limit until it is accepted or discarded."""
    to_sum: bool = False
    """A copy of ours, to be summed after the accept."""


class Stager:
    """Stages files. ``new_name`` gives a name that no other payload of the folder has."""

    def __init__(self, mode: str, inline_limit: int, folder: str, new_name: Callable[[], str], *, sync: bool) -> None:
        self._mode = mode
        self._inline_limit = inline_limit
        self._folder = folder
        self._new_name = new_name
        self._sync = sync
        self._told = False

    def stage(self, source: str, room: Callable[[int], None]) -> Staged:
        """Read, link or copy ``source``; ``room`` is told its size before any byte is written, and may refuse or
        wait.
        """
        # Not blocking: a named pipe without a writer must be refused, not waited for.
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                raise IsADirectoryError(errno.EISDIR, "a folder cannot be uploaded; give a file", source)
            if not stat.S_ISREG(found.st_mode):
                raise SpoolError(f"{source} is not a regular file, so it cannot be uploaded", errno=errno.EINVAL)
            staged = Staged(source, found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino))
            room(found.st_size)
            if found.st_size <= self._inline_limit:
                staged.data = _read_all(descriptor, found.st_size)
                staged.crc = google_crc32c.extend(0, staged.data)
                _check_unchanged(descriptor, staged)
            else:
                self._stage_large(descriptor, staged)
            return staged
        finally:
            os.close(descriptor)

    def _stage_large(self, source: int, staged: Staged) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("payload.copy.before")
        target = os.path.join(self._folder, self._new_name())
        try:
            if self._mode in {"link", "move"} and self._link(staged, target):
                pass
            else:
                self._copy(source, staged, target)
            _check_unchanged(source, staged)
        except BaseException as error:
            files.gone(target)
            if isinstance(error, OSError) and not isinstance(error, SpoolError):
                raise _explained(error, staged, self._folder) from error
            raise
        staged.path = target
        if _faultpoints.active is not None:
            _faultpoints.hit("payload.copy.after")

    def _link(self, staged: Staged, target: str) -> bool:
        try:
            os.link(os.path.realpath(staged.source), target)
        except OSError as error:
            if self._mode == "move":
                return False
            raise _cannot_link(error, staged.source, self._folder) from error
        linked = os.stat(target)
        if (linked.st_dev, linked.st_ino) != staged.identity:
            raise _changed(staged)
        if self._sync:
            _sync_file(target)
        return True

    def _copy(self, source: int, staged: Staged, target: str) -> None:
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if self._mode not in {"auto", "reflink"} or not self._reflink(source, descriptor):
                copy_bytes(source, descriptor, staged.size)
            # The copy carries the source's time: until it is summed, size and time stand for its bytes.
            os.utime(descriptor, ns=(staged.mtime_ns, staged.mtime_ns))
            if self._sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        staged.to_sum = True

    def _reflink(self, source: int, target: int) -> bool:
        failure: OSError | None = None
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            failure = error
        if failure is not None and self._mode == "reflink":
            raise SpoolError(
                f"the file system of {self._folder} cannot share the blocks of the file ({failure.strerror}); "
                "use the staging mode 'auto' or 'copy'",
                errno=failure.errno,
            ) from failure
        if not self._told:
            self._told = True
            _log.info("large files are staged in %s by %s", self._folder, "copy" if failure else "reflink")
        return failure is None


def remove_source(staged: Staged) -> None:
    """Unlink the source of a move, unless another file has taken its name or it changed since."""
    if _faultpoints.active is not None:
        _faultpoints.hit("move.before_unlink")
    try:
        now = os.stat(staged.source)
        unchanged = (now.st_size, now.st_mtime_ns) == (staged.size, staged.mtime_ns)
        if unchanged and (now.st_dev, now.st_ino) == staged.identity:
            files.unlink(staged.source)
    except OSError as error:
        _log.warning("%s is accepted, but it could not be removed: %s", staged.source, error.strerror)


def copy_bytes(source: int, target: int, size: int) -> None:
    """``size`` bytes from one descriptor to another: by the kernel where it can, else by a loop of ours."""
    done = 0
    for step in (_kernel_copy, _kernel_send, _loop_copy):
        while done < size:
            try:
                count = step(source, target, done, min(_AT_ONCE, size - done))
            except OSError as error:
                if error.errno in {*files.NO_ROOM, errno.EIO, errno.EFBIG}:
                    raise
                break
            if count == 0:
                break
            done += count
    if done < size:
        raise OSError(errno.EIO, f"only {done} of {size} bytes could be read")


def _kernel_copy(source: int, target: int, done: int, count: int) -> int:
    if not hasattr(os, "copy_file_range"):
        return 0
    return os.copy_file_range(source, target, count, done, done)


def _kernel_send(source: int, target: int, done: int, count: int) -> int:
    if not hasattr(os, "sendfile"):
        return 0
    os.lseek(target, done, os.SEEK_SET)
    return os.sendfile(target, source, done, count)


def _loop_copy(source: int, target: int, done: int, count: int) -> int:
    chunk = os.pread(source, min(count, _LOOP_CHUNK), done)
    if chunk:
        files.write_at(target, [chunk], done)
    return len(chunk)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    while 0 < len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
        data += more
    return data


def _check_unchanged(descriptor: int, staged: Staged) -> None:
    now = os.fstat(descriptor)
    read = len(staged.data) if staged.crc is not None else staged.size
    if (now.st_size, now.st_mtime_ns) != (staged.size, staged.mtime_ns) or read != staged.size:
        raise _changed(staged)


def _changed(staged: Staged) -> SpoolError:
    return SpoolError(f"{staged.source} changed while it was being staged; upload it once its writer is done")


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(error: OSError, staged: Staged, folder: str) -> SpoolError:
    return SpoolError(
        f"{staged.source} ({staged.size} bytes) could not be staged in {folder}: {error.strerror}{free_space(folder)}",
        errno=error.errno,
    )


def free_space(folder: str) -> str:
    try:
        found = os.statvfs(folder)
    except OSError:
        return ""
    return f" ({found.f_bavail * found.f_frsize} bytes are free there)"


def _cannot_link(error: OSError, source: str, folder: str) -> SpoolError:
    return SpoolError(
        f"{source} (file system at {_mount(source)}) cannot be linked into {folder} (file system at {_mount(folder)}): "
        f"{error.strerror}; put the staging folder on the same file system or use the staging mode 'auto'",
        errno=error.errno,
    )


def _mount(path: str) -> str:
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path
