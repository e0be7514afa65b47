"""Stores that keep nothing: one takes every upload, the other holds it until it is told to let go."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

from rud import register_backend
from rud.backends.local import LocalObjectStore
from rud.store import Backend, Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Sink, Source

_CHUNK = 1 << 20


class NullStore(Backend):
    """Reads what it is given and forgets it."""

    public_arguments: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._addresses = LocalObjectStore(f"/{bucket}", prefix)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            create=True, entry_ids="it keeps nothing", checksums="it keeps nothing", ranges="it keeps nothing",
            fsync="it keeps nothing", reads_body=True, ends_with_worker=True, processes=True,
        )  # fmt: skip

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
        while source.read(_CHUNK):
            pass
        return PutResult()

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        raise NotImplementedError

    def head(self, key: str) -> ObjectMeta:
        from rud import ObjectNotFoundError

        raise ObjectNotFoundError.during("head", key, "it keeps nothing")

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return iter(())

    def delete(self, key: str) -> None: ...

    def abort(self, key: str, upload_id: str | None) -> None: ...

    def probe(self) -> None: ...

    def uri(self, key: str) -> str:
        # What the folder store asks for an address is a part of what an accept costs.
        return self._addresses.uri(key)

    def close(self) -> None: ...


class GatedStore(NullStore):
    """Says by a datagram to ``gate`` that a put has begun, then holds it for as long as its process lives."""

    public_arguments: ClassVar[frozenset[str]] = frozenset({"gate"})

    def __init__(self, bucket: str, prefix: str = "", *, gate: str) -> None:
        super().__init__(bucket, prefix)
        self._gate = gate

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
        # The gate may be gone: then nobody counts, and the upload is held all the same.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.sendto(f"{os.getpid()} {key}".encode(), self._gate)
        select.select([], [], [])
        raise AssertionError("unreachable: nothing opens the gate")


class Gate:
    """The receiving end: ``wait`` returns at the next put that begins."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def wait(self, limit: float = 60.0) -> int:
        """The process id of the worker that has begun a put; ``TimeoutError`` after ``limit`` seconds."""
        self._socket.settimeout(limit)
        return int(self._socket.recv(4096).split()[0])


def register() -> None:
    """``null://bucket`` and ``gated://bucket`` in this process and in its workers."""
    register_backend("null", "benchmarks.gated_store:NullStore")
    register_backend("gated", "benchmarks.gated_store:GatedStore")
