"""What a Cloud Storage server keeps."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import google_crc32c

from rud._clock import Clock
from rud_fakes._http.dialect import Head, Target
from rud_fakes.gcs.documents import GCSError, iso_time

QUANTUM = 256 << 10
"""Bytes of which each chunk but the last of a resumable upload is a multiple, as Cloud Storage documents."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object, whole."""

    key: str
    data: bytes
    generation: int
    md5: bytes
    crc32c: int
    metadata: Mapping[str, str]
    content_type: str
    last_modified: float
    """Seconds since the epoch."""

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def etag(self) -> str:
        """Of the generation, as Cloud Storage's is: two objects never have the same."""
        return base64.b64encode(b"\x08%d\x10\x01" % self.generation).decode()

    @property
    def sums(self) -> dict[str, str]:
        """In base64, by their names in an ``X-Goog-Hash``."""
        crc32c = self.crc32c.to_bytes(4, "big")
        return {"crc32c": base64.b64encode(crc32c).decode(), "md5": base64.b64encode(self.md5).decode()}

    def resource(self, bucket: str) -> dict[str, Any]:
        """As documents describe it."""
        told: dict[str, Any] = {
            "kind": "storage#object",
            "id": f"{bucket}/{self.key}/{self.generation}",
            "name": self.key,
            "bucket": bucket,
            "generation": str(self.generation),
            "metageneration": "1",
            "contentType": self.content_type,
            "storageClass": "STANDARD",
            "size": str(self.size),
            "md5Hash": self.sums["md5"],
            "crc32c": self.sums["crc32c"],
            "etag": self.etag,
            "timeCreated": iso_time(self.last_modified),
            "updated": iso_time(self.last_modified),
        }
        return {**told, "metadata": dict(self.metadata)} if self.metadata else told


@dataclass(slots=True)
class Session:
    """A resumable upload. Guarded by the lock of the state."""

    key: str
    bucket: str
    resource: Mapping[str, Any]
    """What the object is to be, as the client has said at the start."""
    conditions: Mapping[str, str]
    content_type: str
    size: int | None
    """As the client has said at the start."""
    data: bytearray = field(default_factory=bytearray)
    """What was persisted so far."""
    genuine: bytearray = field(default_factory=bytearray)
    """The same, as it was sent."""
    stored: StoredObject | None = None
    cancelled: bool = False

    @property
    def is_open(self) -> bool:
        return self.stored is None and not self.cancelled


@dataclass(slots=True)
class Bucket:
    """Guarded by the lock of the state."""

    created: float
    objects: dict[str, StoredObject] = field(default_factory=dict[str, StoredObject])


@dataclass(slots=True)
class State:
    """Everything; ``lock`` guards what may change."""

    clock: Clock
    scheme: str
    page: int
    takes: int | None
    token: str | None
    verifies: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    buckets: dict[str, Bucket] = field(default_factory=dict[str, Bucket])
    sessions: dict[str, Session] = field(default_factory=dict[str, Session])
    _last: int = 0

    def now(self) -> float:
        return self.clock.time_ns() / 1e9

    def bucket(self, name: str) -> Bucket:
        """Under the lock."""
        found = self.buckets.get(name)
        if found is None:
            raise GCSError(404, "The specified bucket does not exist.")
        return found

    def next_generation(self) -> int:
        """Under the lock: microseconds, and never the same twice."""
        self._last = max(self._last + 1, self.clock.time_ns() // 1000)
        return self._last


@dataclass(frozen=True, slots=True)
class Received:
    """A body that was read."""

    data: bytes
    resource: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What it says of the object to be."""
    content_type: str = ""
    spoilt_from: bytes | None = None
    """What ``data`` was before a fault."""

    @property
    def genuine(self) -> bytes:
        """What was sent."""
        return self.data if self.spoilt_from is None else self.spoilt_from


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an operation."""

    state: State
    head: Head
    target: Target
    received: Received

    def parameter(self, name: str, default: str = "") -> str:
        return self.head.parameters.get(name, default)

    def bucket(self) -> Bucket:
        """Under the lock."""
        return self.state.bucket(self.target.bucket)


def crc32c_of(data: bytes | bytearray) -> int:
    return int(google_crc32c.value(bytes(data)))
