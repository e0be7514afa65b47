"""Bodies as they come from the connection."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

CHUNK = 256 << 10
"""Bytes read at once."""


class ClientLeftError(Exception):
    """The connection ended in the middle of a request."""


class BadBodyError(Exception):
    """The framing of a body is not what its headers say."""


class Body:
    """The body of one request, read once.

    ``announce`` is called before the first byte is asked for: the client may wait for leave to send it.
    """

    def __init__(self, stream: BinaryIO, headers: Mapping[str, str], announce: Callable[[], None]) -> None:
        self._stream = stream
        self._announce = announce
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self._length = 0 if self._chunked else _length(headers)
        self._pieces: Iterator[bytes] | None = None
        self.read = 0
        """Bytes read so far, without the framing."""
        self.finished = not self._chunked and self._length == 0

    @property
    def begun(self) -> bool:
        """Whether any of it was asked for."""
        return self._pieces is not None

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """What has not been read yet, at most ``size`` bytes at a time; ``ClientLeftError`` if it ends too early."""
        if self._pieces is None:
            self._pieces = unchunk(self._stream, {}, size) if self._chunked else self._counted(size)
            if not self.finished:
                self._announce()
        # Whoever goes on where another has stopped goes on within the same chunk.
        for chunk in self._pieces:
            self.read += len(chunk)
            yield chunk
        self.finished = True

    def _counted(self, size: int) -> Iterator[bytes]:
        while self.read < self._length:
            yield _exactly(self._stream, min(size, self._length - self.read))


def _length(headers: Mapping[str, str]) -> int:
    given = headers.get("content-length", "0")
    if not given.isdecimal():
        raise BadBodyError(f"Content-Length is {given!r}")
    return int(given)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ClientLeftError(f"{size} bytes were due, {len(data)} came")
    return data


def unchunk(stream: BinaryIO, trailers: dict[str, str], size: int = CHUNK) -> Iterator[bytes]:
    """The data of a chunked ``stream``, at most ``size`` bytes at a time; what follows the last chunk to ``trailers``.

    HTTP's own chunks and those of ``aws-chunked`` are framed alike; extensions of a chunk are skipped.
    """
    while left := _chunk_size(stream):
        while left:
            piece = _exactly(stream, min(size, left))
            left -= len(piece)
            yield piece
        if _line(stream):
            raise BadBodyError("a chunk is longer than its size says")
    while line := _line(stream):
        name, _, value = line.partition(":")
        trailers[name.strip().lower()] = value.strip()


def _chunk_size(stream: BinaryIO) -> int:
    line = _line(stream)
    try:
        return int(line.partition(";")[0].strip(), 16)
    except ValueError:
        raise BadBodyError(f"where the size of a chunk belongs there is {line[:40]!r}") from None


def _line(stream: BinaryIO) -> str:
    line = stream.readline(65_536)
    if not line.endswith(b"\n"):
        raise ClientLeftError("the connection ended within a line")
    return line.decode("latin-1").strip("\r\n")


class _Joined(io.RawIOBase):
    """Chunks as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview, /) -> int:  # type: ignore[override]  # any buffer; a reader gives a view
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        taken = min(len(target), len(self._left))
        target[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken


def as_stream(chunks: Iterator[bytes]) -> BinaryIO:
    """``chunks`` to be read as from a file."""
    return io.BufferedReader(_Joined(chunks), 1 << 16)
