"""The strict reference of a store: everything that ``rud.store.Backend`` promises, in a dictionary."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import google_crc32c

from rud._body import CHUNK
from rud._clock import SystemClock
from rud.errors import IntegrityError, ObjectExistsError, ObjectNotFoundError, StoreClosedError
from rud.store import Backend, Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Sink, Source, check_key

_CAPABILITIES = Capabilities(
    create=True,
    entry_ids=True,
    checksums=True,
    ranges=True,
    fsync=True,
    reads_body=True,
    ends_with_worker=True,
    processes="it lives in the memory of one process",
)


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    meta: ObjectMeta
    """Its ``key`` is the whole key, with the prefix of whoever stored it."""

    def seen_below(self, prefix: str) -> ObjectMeta:
        """The metadata for a store of that prefix."""
        return replace(self.meta, key=self.meta.key[len(prefix) :])


@dataclass(slots=True)
class _Bucket:
    """``lock`` guards ``objects``, by whole key."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    objects: dict[str, _Object] = field(default_factory=dict[str, _Object])


_buckets: dict[str, _Bucket] = {}
_versions = itertools.count(1)


class MemoryBackend(Backend):
    """Objects in the memory of this process: every instance with the same ``bucket`` sees the same ones.

    Misuse that a lenient store would forgive is refused: a source that ends early or goes on, other bytes than
    ``checksum`` says, a negative ``start``, any use after ``close``. ``forget`` empties a bucket.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._name = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._bucket = _buckets.setdefault(bucket, _Bucket())
        self._clock = SystemClock()
        self._closed = False

    @staticmethod
    def forget(bucket: str) -> None:
        """Remove every object of ``bucket``."""
        there = _buckets.setdefault(bucket, _Bucket())
        with there.lock:
            there.objects.clear()

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

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
        whole = self._whole("put", key)
        if mode is PutMode.CREATE:
            self._refuse_taken(key, whole)
        data = _read(key, source)
        crc = int(google_crc32c.value(data))
        if checksum not in (None, crc):
            raise IntegrityError.during("put", key, f"the bytes have CRC32C {crc:08x}, not {checksum:08x}")
        etag = f"{next(_versions):x}"
        meta = ObjectMeta(whole, len(data), etag, crc, self._clock.time_ns() / 1e9, entry_id)
        with self._bucket.lock:
            if mode is PutMode.CREATE:
                self._refuse_taken(key, whole)
            self._bucket.objects[whole] = _Object(data, meta)
        return PutResult(etag=etag)

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        found = self._found("get", key)
        for offset in range(start, len(found.data), CHUNK):
            sink.write(found.data[offset : offset + CHUNK])
        return found.seen_below(self._prefix)

    def head(self, key: str) -> ObjectMeta:
        return self._found("head", key).seen_below(self._prefix)

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        with self._bucket.lock:
            objects = list(self._bucket.objects.items())
        begins = self._prefix + prefix
        found = [at.seen_below(self._prefix) for whole, at in objects if whole.startswith(begins)]
        return iter(sorted(found, key=lambda meta: meta.key.encode()))

    def delete(self, key: str) -> None:
        whole = self._whole("delete", key)
        with self._bucket.lock:
            self._bucket.objects.pop(whole, None)

    def abort(self, key: str, upload_id: str | None) -> None:
        self._whole("abort", key)

    def probe(self) -> None:
        self._check_open("probe", "")

    def uri(self, key: str) -> str:
        from urllib.parse import quote

        return f"memory://{quote(self._name, safe='')}/{quote(self._whole('uri', key))}"

    def close(self) -> None:
        self._closed = True

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")

    def _whole(self, operation: str, key: str) -> str:
        self._check_open(operation, key)
        return self._prefix + check_key(key)

    def _found(self, operation: str, key: str) -> _Object:
        found = self._bucket.objects.get(self._whole(operation, key))
        if found is None:
            raise ObjectNotFoundError.during(operation, key, "there is no such object")
        return found

    def _refuse_taken(self, key: str, whole: str) -> None:
        if whole in self._bucket.objects:
            raise ObjectExistsError.during("put", key, "an object of that key exists")


def _read(key: str, source: Source) -> bytes:
    data = bytearray()
    while chunk := source.read(CHUNK):
        data += chunk
    if len(data) != len(source):
        raise IntegrityError.during("put", key, f"the source gave {len(data)} bytes, not {len(source)}")
    return bytes(data)
