"""The body of an upload as a libcloud driver takes it: an iterator of chunks."""

from __future__ import annotations

import google_crc32c

from rud.backends._sums import same_as_declared
from rud.errors import IntegrityError
from rud.store import Source


class Feed:
    """Chunks of ``source``; the last is handed out only if all of it has the ``checksum`` that was declared.

    ``error`` is what reading it has raised: the reason of the failure, whatever a driver makes of it.
    """

    def __init__(self, key: str, source: Source, chunk_size: int, checksum: int | None) -> None:
        self._key = key
        self._source = source
        self._chunk_size = chunk_size
        self._checksum = checksum
        self._crc = 0
        self._given = 0
        self.error: BaseException | None = None
        if not len(source):
            same_as_declared(key, 0, checksum)

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> bytes:
        try:
            return self._next()
        except StopIteration:
            raise
        except BaseException as error:
            self.error = self.error or error
            raise

    def _next(self) -> bytes:
        chunk = self._source.read(self._chunk_size)
        self._given += len(chunk)
        if not chunk:
            if self._given != len(self._source):
                raise IntegrityError.during("put", self._key, f"the source gave {self._given} bytes of its length")
            raise StopIteration
        self._crc = google_crc32c.extend(self._crc, chunk)
        if self._given == len(self._source):
            same_as_declared(self._key, self._crc, self._checksum)
        return chunk


class Nothing:
    """The body of an empty object."""

    def __iter__(self) -> Nothing:
        return self

    def __next__(self) -> bytes:
        raise StopIteration
