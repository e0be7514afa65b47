"""The body of an upload, as a backend reads it: counted, summed, bounded, and revocable."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable
from typing import BinaryIO

import google_crc32c

from rud.errors import IntegrityError

CHUNK = 1 << 20
"""Bytes in one read of ours: large enough to be a few system calls a GiB, small enough to reuse warm memory."""


TELL_EVERY = 1 << 18
"""Bytes between two reports of a section: an SDK reads 16 to 128 KiB at a time, which is too often to say so."""


class BodyRevoked(Exception):
    """The attempt was given up; raised by the next read so that nothing more is sent."""


class Section:
    """A piece of a body whose sum is known, to be sent, once or several times: a read-only binary file to whoever sends
    it. What is read of it counts as read of the body.

    For a backend that has to tell the sum of a piece before it sends it, or sends several at once: those may be read by
    several threads. Nothing is kept in memory: it is read again, which costs less than to keep it
    (0.38 s of a core for 512 MiB to S3 in parts of 16 MiB, against 0.49 s by way of buffers; what was read a moment ago
    is in the page cache). What reading it has raised once (``BodyRevoked``, say) it raises ever after.
    """

    def __init__(
        self, read_at: Callable[[int, int], bytes], start: int, length: int, crc32c: int, tell: Callable[[int], None]
    ) -> None:
        self._read_at = read_at
        self._start = start
        self._length = length
        self._tell = tell
        self._position = 0
        self._told = 0
        self._untold = 0
        self.crc32c = crc32c
        self.error: BaseException | None = None

    def revoke(self, error: BaseException) -> None:
        """Reads raise ``error`` from now on, unless they raise already."""
        self.error = self.error or error

    def __len__(self) -> int:
        return self._length

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.read(0)  # Whoever goes back is about to send it again; without bytes that would be by its headers alone.
        self._position = _sought(offset, whence, self._position, self._length)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes (all that is left when negative or ``None``); ``b""`` at the end."""
        if self.error is not None:
            raise self.error
        left = max(0, self._length - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        try:
            chunk = self._read_at(self._start + self._position, wanted)
            if chunk:
                self._position += len(chunk)
                self._untold += len(chunk)
                self._tell_now_and_then()
        except BaseException as error:
            self.revoke(error)
            raise
        return chunk

    def _tell_now_and_then(self) -> None:
        """How much further it is read; 0, a sign of life, for what is read again."""
        if self._untold >= TELL_EVERY or self._position == self._length:
            further = max(0, self._position - self._told)
            self._told += further
            self._untold = 0
            self._tell(further)


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
        # Sections are read by several threads.
        self._reading = threading.Lock()  # Guards the position of _file.
        self._telling = threading.Lock()  # Guards _sent, and keeps what is told in order.
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
        self._sum(chunk)
        if chunk and self._on_read is not None:
            self._on_read(self._summed)
        return chunk

    def section(self, size: int) -> Section:
        """The next ``size`` bytes, or what is left: read and summed now, and counted as read when the section is."""
        start = self._position
        crc = 0
        while (left := start + size - self._position) > 0 and (chunk := self._next(min(CHUNK, left))):
            crc = google_crc32c.extend(crc, chunk)
        length = self._position - start
        if start == self._summed and length:
            self._know(joined_crc32c(self._crc, crc, length), length)
        return Section(self._read_for_section, start, length, crc, self._section_read)

    def _next(self, most: int) -> bytes:
        self._refuse_if_revoked()
        wanted = min(most, max(0, self._length - self._position))
        if wanted == 0:
            return b""
        chunk = self._read_at(self._position, wanted)
        self._position += len(chunk)
        return chunk

    def _read_at(self, position: int, size: int) -> bytes:
        with self._reading:
            self._file.seek(self._offset + position)
            chunk = self._file.read(size)
        if not chunk:
            raise IntegrityError(f"the payload ends after {position} of {self._length} bytes")
        return chunk

    def _read_for_section(self, position: int, size: int) -> bytes:
        self._refuse_if_revoked()
        return self._read_at(position, size) if size else b""

    def _section_read(self, further: int) -> None:
        with self._telling:
            self._sent += further
            if self._on_read is not None:
                self._on_read(self._sent)

    def _refuse_if_revoked(self) -> None:
        if self._revoked is not None and self._revoked():
            raise BodyRevoked

    def _sum(self, chunk: bytes) -> None:
        known = self._summed + len(chunk) - self._position
        if 0 <= known < len(chunk):
            self._know(google_crc32c.extend(self._crc, chunk[known:]), len(chunk) - known)

    def _know(self, crc: int, further: int) -> None:
        """``crc`` is the sum of all so far, ``further`` bytes more than before."""
        self._crc = crc
        self._summed += further
        if self._summed == self._length and self._expected not in (None, self._crc):
            raise IntegrityError(f"the payload has CRC32C {self._crc:08x}, but {self._expected:08x} was accepted")

    @property
    def crc32c(self) -> int | None:
        """The sum of the whole body, once every byte was read in order; else ``None``."""
        return self._crc if self._summed == self._length else None


def _sought(offset: int, whence: int, position: int, length: int) -> int:
    return max(0, {io.SEEK_SET: 0, io.SEEK_CUR: position, io.SEEK_END: length}[whence] + offset)


def joined_crc32c(first: int, second: int, length: int) -> int:
    """The CRC32C of what has ``first``, followed by the ``length`` bytes that have ``second``.

    A CRC is linear: the bytes that follow multiply the sum before them by x^8 each, modulo the polynomial. So whoever
    has summed the parts need not sum the whole as well. No library that we know does it for CRC32C; it is 0.2 s of a
    core for each GiB.
    """
    return second ^ _times(_shift(length), first) if first else second


@functools.lru_cache(maxsize=16)
def _shift(length: int) -> int:
    """x^(8 × ``length``), by squaring."""
    power, square = _ONE, _ONE >> 8
    while length:
        if length & 1:
            power = _times(power, square)
        square = _times(square, square)
        length >>= 1
    return power


_ONE = 1 << 31
"""x^0: the sums are written with the lowest power first, in the highest bit."""

_CASTAGNOLI = 0x82F63B78
"""x^32 modulo the polynomial of CRC32C (RFC 3720, 12.1), written so."""


def _times(one: int, other: int) -> int:
    product = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            product ^= other
        other = other >> 1 ^ (_CASTAGNOLI if other & 1 else 0)
    return product


def crc32c_of(file: BinaryIO, length: int, *, offset: int = 0) -> int:
    """The CRC32C of ``length`` bytes of ``file`` from ``offset``; ``IntegrityError`` when it is shorter."""
    body = Body(file, length, offset=offset)
    while body.read(CHUNK):
        pass
    crc = body.crc32c
    assert crc is not None
    return crc
