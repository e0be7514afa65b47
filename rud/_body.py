"""The body of an upload, as a backend reads it: counted, summed, bounded, and revocable."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import BinaryIO

import google_crc32c

from rud.errors import IntegrityError

CHUNK = 1 << 20
"""Bytes in one read of ours: large enough to be a few system calls a GiB, small enough to reuse warm memory."""


class BodyRevoked(Exception):
    """The attempt was given up; raised by the next read so that nothing more is sent."""


class Section:
    """Bytes of a body that lie in memory to be sent, once or several times: a read-only binary file to whoever sends
    them. What is read of it counts as read of the body.

    For a backend that has to sum a piece before it sends it, or sends several at once: those may be read by several
    threads. What reading it has raised once (``BodyRevoked``, say) it raises ever after.
    """

    def __init__(self, content: memoryview, crc32c: int, tell: Callable[[int], None]) -> None:
        self._content = content
        self._tell = tell
        self._position = 0
        self._furthest = 0
        self.crc32c = crc32c
        self.error: BaseException | None = None

    def revoke(self, error: BaseException) -> None:
        """Reads raise ``error`` from now on, unless they raise already."""
        self.error = self.error or error

    def __len__(self) -> int:
        return len(self._content)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = _sought(offset, whence, self._position, len(self._content))
        return self._position

    def read(self, size: int | None = -1) -> memoryview:
        """Up to ``size`` bytes (all that is left when negative or ``None``), without a copy; empty at the end."""
        if self.error is not None:
            raise self.error
        end = len(self._content) if size is None or size < 0 else self._position + size
        chunk = self._content[self._position : end]
        self._position += len(chunk)
        further = max(0, self._position - self._furthest)
        self._furthest += further
        try:
            self._tell(further)
        except BaseException as error:
            self.revoke(error)
            raise
        return chunk


class Body:
    """``length`` bytes of ``file`` from ``offset``, read once or many times; a read-only binary file to whoever sends
    it.

    Reads in order are summed (CRC32C). When ``expected`` is given, the read that would hand out the last byte raises
    ``IntegrityError`` instead if the sum differs, so that a store never holds the whole of a wrong body; so does a file
    that has become shorter. ``on_read`` is told the number of bytes read in order so far, never less than before.
    ``revoked`` is asked before each read; once it is true, reads raise ``BodyRevoked``.
    """

    def __init__(
        self,
        file: BinaryIO,
        length: int,
        *,
        offset: int = 0,
        expected: int | None = None,
        on_read: Callable[[int], None] | None = None,
        revoked: Callable[[], bool] | None = None,
    ) -> None:
        self._file = file
        self._offset = offset
        self._length = length
        self._expected = expected
        self._on_read = on_read
        self._revoked = revoked
        self._position = 0
        self._summed = 0
        self._crc = 0
        self._lock = threading.Lock()  # Guards _sent: sections are read by several threads.
        self._sent = 0

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = _sought(offset, whence, self._position, self._length)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes (all that is left when negative or ``None``); ``b""`` at the end."""
        chunk = self._next(self._length if size is None or size < 0 else size)
        if chunk and self._on_read is not None:
            self._on_read(self._summed)
        return chunk

    def load(self, buffer: memoryview) -> Section:
        """The next bytes, as many as ``buffer`` takes, read into it: they count as read when the section is."""
        filled, crc = 0, 0
        while filled < len(buffer) and (chunk := self._next(min(CHUNK, len(buffer) - filled))):
            buffer[filled : filled + len(chunk)] = chunk
            crc = google_crc32c.extend(crc, chunk)
            filled += len(chunk)
        return Section(buffer[:filled].toreadonly(), crc, self._section_read)

    def _next(self, most: int) -> bytes:
        self._refuse_if_revoked()
        wanted = min(most, max(0, self._length - self._position))
        if wanted == 0:
            return b""
        self._file.seek(self._offset + self._position)
        chunk = self._file.read(wanted)
        if not chunk:
            raise IntegrityError(f"the payload ends after {self._position} of {self._length} bytes")
        self._sum(chunk)
        self._position += len(chunk)
        return chunk

    def _section_read(self, further: int) -> None:
        self._refuse_if_revoked()
        with self._lock:
            self._sent += further
            if further and self._on_read is not None:
                self._on_read(self._sent)

    def _refuse_if_revoked(self) -> None:
        if self._revoked is not None and self._revoked():
            raise BodyRevoked

    def _sum(self, chunk: bytes) -> None:
        known = self._summed - self._position
        if not 0 <= known < len(chunk):
            return
        self._crc = google_crc32c.extend(self._crc, chunk[known:])
        self._summed += len(chunk) - known
        if self._summed == self._length and self._expected not in (None, self._crc):
            raise IntegrityError(f"the payload has CRC32C {self._crc:08x}, but {self._expected:08x} was accepted")

    @property
    def crc32c(self) -> int | None:
        """The sum of the whole body, once every byte was read in order; else ``None``."""
        return self._crc if self._summed == self._length else None


def _sought(offset: int, whence: int, position: int, length: int) -> int:
    return max(0, {io.SEEK_SET: 0, io.SEEK_CUR: position, io.SEEK_END: length}[whence] + offset)


def crc32c_of(file: BinaryIO, length: int, *, offset: int = 0) -> int:
    """The CRC32C of ``length`` bytes of ``file`` from ``offset``; ``IntegrityError`` when it is shorter."""
    body = Body(file, length, offset=offset)
    while body.read(CHUNK):
        pass
    crc = body.crc32c
    assert crc is not None
    return crc
