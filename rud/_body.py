"""The body of an upload, as a backend reads it: counted, summed, bounded, and revocable."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import google_crc32c

from rud.errors import IntegrityError

CHUNK = 1 << 20
"""Bytes in one read of ours: large enough to be a few system calls a GiB, small enough to reuse warm memory."""


class BodyRevoked(Exception):
    """The attempt was given up; raised by the next read so that nothing more is sent."""


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

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes (all that is left when negative or ``None``); ``b""`` at the end."""
        if self._revoked is not None and self._revoked():
            raise BodyRevoked
        left = max(0, self._length - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted == 0:
            return b""
        self._file.seek(self._offset + self._position)
        chunk = self._file.read(wanted)
        if not chunk:
            raise IntegrityError(f"the payload ends after {self._position} of {self._length} bytes")
        self._sum(chunk)
        self._position += len(chunk)
        if self._on_read is not None:
            self._on_read(self._summed)
        return chunk

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


def crc32c_of(file: BinaryIO, length: int, *, offset: int = 0) -> int:
    """The CRC32C of ``length`` bytes of ``file`` from ``offset``; ``IntegrityError`` when it is shorter."""
    body = Body(file, length, offset=offset)
    while body.read(CHUNK):
        pass
    crc = body.crc32c
    assert crc is not None
    return crc
