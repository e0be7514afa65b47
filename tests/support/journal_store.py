"""A folder store that keeps a journal of every put: what it was about to write, over what, and that it has.

An object of the kill test begins with a line ``key version crc size``; the rest is filling. Versions grow with every
upload of a test, whatever the key.
"""

from __future__ import annotations

import contextlib
import os
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rud.backends.local import LocalObjectStore
from rud.store import OnMultipart, PutMode, PutResult, Source
from tests.support.slow_store import append

NEVER = threading.Event()
HEAD = 200
"""Bytes that a first line fits into."""


@dataclass(frozen=True, slots=True)
class Content:
    """What the first line of an object says."""

    key: str
    version: int
    crc: int
    size: int

    @classmethod
    def of(cls, beginning: bytes) -> Content:
        key, version, crc, size = beginning.partition(b"\n")[0].decode().split()
        return cls(key, int(version), int(crc), int(size))

    def line(self) -> bytes:
        return f"{self.key} {self.version} {self.crc} {self.size}\n".encode()


def make(key: str, version: int, filling: bytes) -> bytes:
    """The bytes of an object."""
    return Content(key, version, zlib.crc32(filling), len(filling)).line() + filling


def check(path: Path) -> Content:
    """What an object says; ``ValueError`` when its bytes are not those that were made."""
    data = path.read_bytes()
    content = Content.of(data)
    filling = data.partition(b"\n")[2]
    if (len(filling), zlib.crc32(filling)) != (content.size, content.crc):
        raise ValueError(f"{path} has {len(filling)} bytes with other content than {content}")
    return content


class JournalStore(LocalObjectStore):
    """Objects in the folder ``/prefix``; the file ``journal`` gets two lines for each put.

    ``begin key version entry-id version-there`` (0: nothing is) before, and ``done key version entry-id`` after it.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset({"journal"})

    def __init__(self, bucket: str, prefix: str = "", *, journal: str) -> None:
        super().__init__(f"/{prefix}")
        self._journal = Path(journal)

    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        content = Content.of(source.read(HEAD))
        source.seek(0)
        there = 0
        with contextlib.suppress(FileNotFoundError), open(os.path.join(self._root, key), "rb") as file:
            there = Content.of(file.read(HEAD)).version
        append(self._journal, f"begin {key} {content.version} {entry_id} {there}\n".encode())
        # So slow that a kill finds puts at every stage, and a queue before them.
        NEVER.wait(content.version % 11 / 1000)
        result = super().put(
            key,
            source,
            mode=mode,
            checksum=checksum,
            entry_id=entry_id,
            durable=durable,
            on_multipart=on_multipart,
        )
        NEVER.wait(content.version % 7 / 1000)
        append(self._journal, f"done {key} {content.version} {entry_id}\n".encode())
        return result
