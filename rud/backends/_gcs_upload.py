"""A resumable upload of Cloud Storage, from the first chunk to the object.

Not the SDK's own: that one sends a chunk again without asking what has arrived, gives up for good when only a part of
it has, and deletes the object of that name, whoever wrote it, when the sums differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rud.backends._gcs_errors import sending
from rud.errors import ObjectStoreTransientError
from rud.store import Arguments, Section

TIMEOUT = (10, 60)
"""Seconds to connect, and without a byte of the answer."""

_RANGE = re.compile(r"bytes=0-(\d+)")
_ENDED = (404, 410)


@dataclass(slots=True)
class Session:
    """One that was begun. ``address`` is a secret: whoever has it may write the object, without credentials.

    ``transport`` and ``retry`` are the SDK's: what sends requests, and what tries one again. A request that failed is
    followed by the question how far the service has come.
    """

    transport: Any
    retry: Any
    key: str
    address: str
    size: int
    reached: int = 0
    """Bytes that the service has."""
    _is_sure: bool = True

    def send(self, section: Section, start: int, headers: Arguments) -> Arguments | None:
        """The piece from ``start``; what the service tells of the object once it is whole, else ``None``."""
        end = start + len(section)
        while True:
            before = self.reached
            with sending(self.key, section):
                stored: Arguments | None = self.retry(self._advance)(section, start, headers)
            if stored is not None or self.reached == end < self.size:
                return stored
            if self.reached <= before:
                raise self._lost(f"it has {before} of {self.size} bytes and takes no more")

    def _advance(self, section: Section, start: int, headers: Arguments) -> Arguments | None:
        if not self._is_sure and (stored := self._ask()) is not None:
            return stored
        if not start <= self.reached <= start + len(section):
            raise self._lost(f"it has {self.reached} bytes, between {start} and {start + len(section)} were due")
        if self.reached == start + len(section):
            return None if self.reached < self.size else self._ask()
        section.seek(self.reached - start)  # raises if the upload was given up meanwhile
        data = _all(section)
        end = self.reached + len(data)
        return self._request(data, f"bytes {self.reached}-{end - 1}/{self.size}", headers if end == self.size else {})

    def _ask(self) -> Arguments | None:
        return self._request(b"", f"bytes */{self.size}", {})

    def _request(self, data: bytes, content_range: str, headers: Arguments) -> Arguments | None:
        self._is_sure = False
        response = self.transport.request(
            "PUT", self.address, data=data, headers={"Content-Range": content_range, **headers}, timeout=TIMEOUT
        )
        stored = self._outcome(response)
        self._is_sure = True
        return stored

    def _outcome(self, response: Any) -> Arguments | None:
        from google.api_core import exceptions

        if response.status_code in (200, 201):
            stored: Arguments = response.json()
            return stored
        if response.status_code in _ENDED:
            raise self._lost(f"it has ended the upload (HTTP {response.status_code})")
        if response.status_code != 308:
            error_of: Any = exceptions.from_http_response  # it has no types
            raise error_of(response)
        found = _RANGE.fullmatch(response.headers.get("Range", ""))
        self.reached = int(found[1]) + 1 if found else 0
        return None

    def _lost(self, why: str) -> ObjectStoreTransientError:
        return ObjectStoreTransientError.during("put", self.key, f"the service lost the resumable upload: {why}")


def _all(section: Section) -> bytes:
    """What is left of it."""
    chunks: list[bytes] = []
    while chunk := section.read():
        chunks.append(chunk)
    return b"".join(chunks)
