"""The local end of a download: a hidden file that becomes the destination whole, or leaves no trace."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import google_crc32c

_LINKS_REFUSED = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL})


def check_destination(destination: str, *, overwrite: bool) -> None:
    """Raise ``IsADirectoryError`` for a folder, and ``FileExistsError`` for anything there unless ``overwrite``.

    A symbolic link counts as the link that it is, wherever it points to.
    """
    if not os.path.basename(destination) or (os.path.isdir(destination) and not os.path.islink(destination)):
        raise IsADirectoryError(errno.EISDIR, "the destination of a download is a folder", destination)
    if not overwrite and os.path.lexists(destination):
        raise FileExistsError(errno.EEXIST, "the destination exists; pass overwrite=True to replace it", destination)


class PartFile:
    """What was received so far, under a random hidden name beside ``destination``; a ``Sink``.

    Missing folders are made. Used with ``with``: unless ``publish`` was reached, the file and the folders made for it
    are removed again, whatever ended the block. ``on_bytes`` is told the bytes in the file after each write.

    Attributes: ``written`` (bytes), ``crc32c`` (of them), ``error`` (what a write or ``on_bytes`` raised, if it did:
    a trouble of this machine or of the caller, not of the store).
    """

    def __init__(self, destination: str, *, overwrite: bool, on_bytes: Callable[[int], None]) -> None:
        self._destination = destination
        self._overwrite = overwrite
        self._on_bytes = on_bytes
        self.written = 0
        self.crc32c = 0
        self.error: BaseException | None = None
        self._name = os.path.join(os.path.dirname(destination), f".rud-{os.urandom(8).hex()}")
        self._made: list[str] = []
        try:
            self._make_folders(os.path.dirname(destination))
            self._fd = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except BaseException:
            self._remove_folders()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.discard()

    def write(self, chunk: bytes) -> int:
        """Append ``chunk`` whole; its own errors are kept in ``error`` as well."""
        try:
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._fd, view) :]
            self.crc32c = google_crc32c.extend(self.crc32c, chunk)
            self.written += len(chunk)
            self._on_bytes(self.written)
        except BaseException as error:
            self.error = error
            raise
        return len(chunk)

    def restart(self) -> None:
        """Forget what was received."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.written = 0
        self.crc32c = 0

    def publish(self) -> None:
        """Become the destination, atomically; ``FileExistsError`` when ``overwrite`` is off and one has appeared."""
        self._keep_mode()
        os.close(self._fd)
        self._fd = -1
        if self._overwrite:
            os.replace(self._name, self._destination)
        else:
            self._publish_new()
        self._made = []

    def discard(self) -> None:
        """Remove what is left of the file and of the folders made for it; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with suppress(OSError):
            os.unlink(self._name)
        self._remove_folders()

    def _keep_mode(self) -> None:
        # open(destination, "wb") would leave the mode of a file that is there as it was.
        with suppress(OSError):
            there = os.lstat(self._destination)
            if self._overwrite and stat.S_ISREG(there.st_mode):
                os.chmod(self._name, stat.S_IMODE(there.st_mode) & 0o777)

    def _publish_new(self) -> None:
        try:
            os.link(self._name, self._destination, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _LINKS_REFUSED:
                raise
            # Where there are no hard links, claiming the name first is the next best thing.
            os.close(os.open(self._destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            os.replace(self._name, self._destination)

    def _make_folders(self, folder: str) -> None:
        missing: list[str] = []
        while folder and not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for path in reversed(missing):
            with suppress(FileExistsError):
                os.mkdir(path)
                self._made.append(path)

    def _remove_folders(self) -> None:
        while self._made:
            with suppress(OSError):
                os.rmdir(self._made.pop())
