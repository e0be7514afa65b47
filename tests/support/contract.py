"""Calls of a backend, with what most tests do not care about filled in. The contract itself is ``rud_conformance``."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rud._body import Body, Section
from rud.store import Backend, ObjectMeta, OnMultipart, PutMode, PutResult, Source


def put(
    backend: Backend,
    key: str,
    data: bytes | Source,
    *,
    mode: PutMode = PutMode.OVERWRITE,
    checksum: int | None = None,
    entry_id: str | None = None,
    durable: bool = False,
    on_multipart: OnMultipart = lambda _: None,
) -> PutResult:
    """A put of ``data``, with what most tests do not care about filled in."""
    return backend.put(
        key,
        Body(io.BytesIO(data), len(data)) if isinstance(data, bytes) else data,
        mode=mode,
        checksum=checksum,
        entry_id=entry_id,
        durable=durable,
        on_multipart=on_multipart,
    )


def get(backend: Backend, key: str, start: int = 0) -> tuple[bytes, ObjectMeta]:
    """The bytes of ``key`` from ``start``, and its metadata."""
    sink = io.BytesIO()
    meta = backend.get(key, sink, start=start)
    return sink.getvalue(), meta


def by_utf8(names: Iterator[str] | list[str]) -> list[str]:
    """``names`` in the order that a listing promises."""
    return sorted(names, key=str.encode)


class Failing(Body):
    """A source of three bytes whose reads raise ``error``."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(io.BytesIO(b"abc"), 3)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        raise self._error

    def section(self, size: int) -> Section:
        raise self._error
