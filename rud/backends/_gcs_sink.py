"""A sink as google-cloud-storage fills it."""

from __future__ import annotations

from typing import Self

from rud._body import CHUNK as READ
from rud.store import Sink


class SdkWriter:
    """A sink as the SDK wants it, which hands it 8 KiB at a time."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._kept: list[bytes] = []
        self._size = 0
        self.has_begun = False
        """Whether a byte has come."""
        self.error: Exception | None = None
        """What the sink has raised: a trouble of whoever downloads, not of the store."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What has come before a failure is worth keeping: the next attempt goes on from there."""
        self._flush()

    def write(self, chunk: bytes) -> int:
        self.has_begun = True
        self._kept.append(chunk)
        self._size += len(chunk)
        if self._size >= READ:
            self._flush()
        return len(chunk)

    def _flush(self) -> None:
        kept, self._kept, self._size = self._kept, [], 0
        try:
            if kept and self.error is None:
                self._sink.write(b"".join(kept))
        except Exception as error:
            self.error = error
            raise
