"""The local end of an upload: a file that has to stay as it is, and the callback that hears of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import BinaryIO, cast

from rud._body import Body, crc32c_of
from rud.errors import IntegrityError

ProgressCallback = Callable[[int, int], None]
"""Told ``(bytes so far, bytes in all)``."""


class Progress:
    """Keeps the promises of a callback: never falling, one total, and the total itself only when all is well."""

    def __init__(self, callback: ProgressCallback | None, total: int) -> None:
        self._callback = callback
        self._total = total
        self._last = 0

    def __call__(self, done: int) -> None:
        """``done`` bytes are through; the last byte is left to ``finish``."""
        if self._callback is not None and self._last < done < self._total:
            self._last = done
            self._callback(done, self._total)

    def finish(self) -> None:
        """All is through and verified."""
        if self._callback is not None:
            self._callback(self._total, self._total)


def open_regular(path: str) -> BinaryIO:
    """``path``, open for reading; ``IsADirectoryError`` for a folder, ``ValueError`` for whatever else is no file."""
    # Asked before opening: opening a pipe without a writer would wait for ever.
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder cannot be uploaded", path)
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path!r} is not a regular file; only those can be uploaded")
    return open(path, "rb")


class SourceFile:
    """A local file to send, which must stay as it is until its last byte was read.

    ``error`` is what reading it, or the callback, raised: no trouble of the store, however a backend wraps it.
    """

    def __init__(self, file: BinaryIO, path: str, callback: ProgressCallback | None) -> None:
        self._file = file
        self._path = path
        self._before = self._identity()
        self.length = self._before[0]
        self.checksum = crc32c_of(file, self.length)
        self._check()
        self.progress = Progress(callback, self.length)
        self.error: BaseException | None = None
        self._telling: Callable[[], AbstractContextManager[object]] = nullcontext

    def body(self, telling: Callable[[], AbstractContextManager[object]] = nullcontext) -> Body:
        """Its reads are told to the callback within ``telling()``, on whatever thread they happen."""
        self._telling = telling
        return Body(cast(BinaryIO, self), self.length, expected=self.checksum, on_read=self._on_read)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def read(self, size: int) -> bytes:
        with self._noting():
            return self._file.read(size)

    def _on_read(self, done: int) -> None:
        with self._noting():
            if done == self.length:
                self._check()
            with self._telling():
                self.progress(done)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.error = error
            raise

    def _check(self) -> None:
        if self._identity() != self._before:
            raise IntegrityError(f"the file {self._path!r} changed while it was read; nothing was stored")

    def _identity(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns
