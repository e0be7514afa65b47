"""How the bytes of a file get into the spool: small ones into memory (and then the log), large ones beside the log."""

from __future__ import annotations

import errno
import fcntl
import itertools
import logging
import os
import stat
from dataclasses import dataclass

import google_crc32c

from rud import _faultpoints
from rud._spool import files
from rud._spool.limit import Limit
from rud._spool.options import SpoolOptions
from rud.errors import SpoolError

_FICLONE = 0x40049409
_AT_ONCE = 1 << 30
_LOOP_CHUNK = 1 << 20
_log = logging.getLogger("rud")


@dataclass(slots=True, eq=False)
class Staged:
    """A payload that is staged and not accepted. ``data`` holds a small one; ``path`` is the file of a large one."""

    source: str
    found: os.stat_result
    """What the source was before its first byte was read."""
    crc: int | None = None
    data: bytes = b""
    path: str = ""
    to_sum: bool = False
    """A copy of ours, to be summed after the accept."""


class Stager:
    """Stages files, the large ones in ``folder``; each takes its room of ``limit`` before a byte is written."""

    def __init__(self, options: SpoolOptions, folder: str, limit: Limit) -> None:
        self._options = options
        self._folder = folder
        self._limit = limit
        self._names = itertools.count(1)
        self._told = False

    def stage(self, source: str) -> Staged:
        # Not blocking: a named pipe without a writer must be refused, not waited for.
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                raise IsADirectoryError(errno.EISDIR, "a folder cannot be uploaded; give a file", source)
            if not stat.S_ISREG(found.st_mode):
                raise SpoolError(f"{source} is not a regular file, so it cannot be uploaded", errno=errno.EINVAL)
            staged = Staged(source, found)
            self._limit.take(found.st_size, source)
            try:
                if found.st_size <= self._options.inline_limit:
                    staged.data = _read_all(descriptor, found.st_size)
                    staged.crc = google_crc32c.extend(0, staged.data)
                    _check_unchanged(descriptor, staged)
                else:
                    self._stage_large(descriptor, staged)
            except BaseException:
                self.discard(staged)
                raise
            return staged
        finally:
            os.close(descriptor)

    def discard(self, staged: Staged) -> None:
        """Forget what was staged and not accepted."""
        if staged.path:
            files.gone(staged.path)
        self._limit.give(staged.found.st_size)

    def _stage_large(self, source: int, staged: Staged) -> None:
        staged.path = os.path.join(self._folder, str(next(self._names)))
        try:
            if self._options.mode not in {"link", "move"} or not self._link(staged):
                self._copy(source, staged)
            _check_unchanged(source, staged)
        except SpoolError:
            raise
        except OSError as error:
            raise SpoolError(
                f"{staged.source} ({staged.found.st_size} bytes) could not be staged in {self._folder}: "
                f"{error.strerror}{free_space(self._folder)}",
                errno=error.errno,
            ) from error
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.payload.create.after")

    def _link(self, staged: Staged) -> bool:
        source, folder = staged.source, self._folder
        try:
            if _faultpoints.active is not None:
                _faultpoints.hit("fs.payload.link.before")
            os.link(os.path.realpath(source), staged.path)
            if _faultpoints.active is not None:
                _faultpoints.hit("fs.payload.link.after")
        except OSError as error:
            if self._options.mode == "move":
                return False
            raise SpoolError(
                f"{source} (file system at {_mount(source)}) cannot be linked into {folder} (file system at "
                f"{_mount(folder)}): {error.strerror}; put the staging folder on the same file system or use the "
                "staging mode 'auto'",
                errno=error.errno,
            ) from error
        if not os.path.samestat(os.stat(staged.path), staged.found):
            raise _changed(staged)
        if self._options.fsync:
            files.sync_path(staged.path)
        return True

    def _copy(self, source: int, staged: Staged) -> None:
        size, mtime = staged.found.st_size, staged.found.st_mtime_ns
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.payload.create.before")
        descriptor = os.open(staged.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if _faultpoints.active is not None:
                _faultpoints.hit("fs.payload.write.before")
            if self._options.mode not in {"auto", "reflink"} or not self._reflink(source, descriptor):
                copy_bytes(source, descriptor, size)
            # The copy carries the source's time: until it is summed, size and time stand for its bytes.
            os.utime(descriptor, ns=(mtime, mtime))
            if _faultpoints.active is not None:
                _faultpoints.hit("fs.payload.write.after")
            if self._options.fsync:
                self._sync_payload(descriptor)
        finally:
            os.close(descriptor)
        staged.to_sum = True

    def _sync_payload(self, descriptor: int) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.payload.fsync.before")
        os.fsync(descriptor)
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.payload.fsync.after")

    def _reflink(self, source: int, target: int) -> bool:
        shared = True
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            shared = False
            if self._options.mode == "reflink":
                raise SpoolError(
                    f"the file system of {self._folder} cannot share the blocks of the file ({error.strerror}); "
                    "use the staging mode 'auto' or 'copy'",
                    errno=error.errno,
                ) from error
        if not self._told:
            self._told = True
            _log.info("large files are staged in %s by %s", self._folder, "reflink" if shared else "copy")
        return shared


def remove_source(staged: Staged) -> None:
    """Unlink the source of a move, unless another file has taken its name or it changed since."""
    try:
        if _faultpoints.active is not None:
            _faultpoints.hit("accept.unlink.before")
        now = os.stat(staged.source)
        if _unchanged(now, staged.found) and os.path.samestat(now, staged.found):
            os.unlink(staged.source)
            if _faultpoints.active is not None:
                _faultpoints.hit("accept.unlink.after")
    except OSError as error:
        _log.warning("%s is accepted, but it could not be removed: %s", staged.source, error.strerror)


def copy_bytes(source: int, target: int, size: int) -> None:
    """``size`` bytes from one descriptor to another: by the kernel where it can, else by a loop of ours."""
    done = 0
    for step in (_kernel_copy, _kernel_send, _loop_copy):
        while done < size:
            try:
                count = step(source, target, done, min(_AT_ONCE, size - done))
            except AttributeError:  # a call that this system does not have
                break
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
    return os.copy_file_range(source, target, count, done, done)


def _kernel_send(source: int, target: int, done: int, count: int) -> int:
    os.lseek(target, done, os.SEEK_SET)
    return os.sendfile(target, source, done, count)


def _loop_copy(source: int, target: int, done: int, count: int) -> int:
    chunk = os.pread(source, min(count, _LOOP_CHUNK), done)
    files.write_at(target, chunk, done)
    return len(chunk)


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    while 0 < len(data) < size and (more := os.read(descriptor, size + 1 - len(data))):
        data += more
    return data


def _unchanged(now: os.stat_result, then: os.stat_result) -> bool:
    """Neither size nor time; a rename, an unlink or a link of ours changes the ctime alone."""
    return (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)


def _check_unchanged(descriptor: int, staged: Staged) -> None:
    short = staged.crc is not None and len(staged.data) != staged.found.st_size
    if short or not _unchanged(os.fstat(descriptor), staged.found):
        raise _changed(staged)


def _changed(staged: Staged) -> SpoolError:
    return SpoolError(f"{staged.source} changed while it was being staged; upload it once its writer is done")


def free_space(folder: str) -> str:
    try:
        found = os.statvfs(folder)
    except OSError:
        return ""
    return f" ({found.f_bavail * found.f_frsize} bytes are free there)"


def _mount(path: str) -> str:
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path
