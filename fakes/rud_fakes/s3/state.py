"""What an S3 server keeps."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rud._clock import Clock
from rud_fakes._http.dialect import Head, Target
from rud_fakes.s3.documents import S3Error


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object, whole."""

    key: str
    data: bytes | None
    """``None`` if the server keeps no bytes."""
    size: int
    etag: str
    """With its quotes, as clients are told."""
    crc32c: int
    """Of all its bytes, whatever the client declared."""
    checksums: Mapping[str, str]
    """What HEAD answers: by algorithm (``crc32c``, ...), in base64; only what the client declared."""
    checksum_type: str | None
    """``FULL_OBJECT``, ``COMPOSITE``, or ``None`` if nothing was declared."""
    metadata: Mapping[str, str]
    headers: Mapping[str, str]
    """Those of its creation that belong to it, by name in lower case: ``content-type``, ``x-amz-storage-class``, ..."""
    last_modified: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of an open upload."""

    data: bytes | None
    size: int
    etag: str
    crc32c: int
    checksum: bytes | None
    """By the algorithm of its upload, if that has one."""
    declared: bool
    """Whether the client has sent a checksum with it."""
    last_modified: float


@dataclass(frozen=True, slots=True)
class Upload:
    """An open multipart upload."""

    key: str
    upload_id: str
    algorithm: str | None
    checksum_type: str | None
    metadata: Mapping[str, str]
    headers: Mapping[str, str]
    initiated: float
    """Seconds since the epoch."""
    parts: Mapping[int, StoredPart] = field(default_factory=dict[int, StoredPart])

    def with_part(self, number: int, part: StoredPart) -> Upload:
        return replace(self, parts={**self.parts, number: part})


@dataclass(slots=True)
class Bucket:
    """Guarded by the lock of the state."""

    created: float
    objects: dict[str, StoredObject] = field(default_factory=dict[str, StoredObject])
    uploads: dict[str, Upload] = field(default_factory=dict[str, Upload])


@dataclass(slots=True)
class State:
    """Everything; ``lock`` guards ``buckets``, what is in them, and ``expired``."""

    clock: Clock
    region: str
    credentials: Mapping[str, str] | None
    keep_bytes: bool
    minimum_part: int
    page: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    buckets: dict[str, Bucket] = field(default_factory=dict[str, Bucket])
    expired: set[str] = field(default_factory=set[str])
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def now(self) -> float:
        return self.clock.time_ns() / 1e9

    def bucket(self, name: str) -> Bucket:
        """Under the lock."""
        found = self.buckets.get(name)
        if found is None:
            raise S3Error("NoSuchBucket", "The specified bucket does not exist", BucketName=name)
        return found


@dataclass(frozen=True, slots=True)
class Received:
    """A body that was read, and what its headers and trailers say of it."""

    data: bytes | None
    size: int
    sums: Mapping[str, bytes]
    """Computed: ``md5`` and ``crc32c`` always."""
    declared: Mapping[str, str]
    """By the client: at most one algorithm, in base64."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an operation."""

    state: State
    head: Head
    target: Target
    received: Received

    def header(self, name: str) -> str | None:
        return self.head.headers.get(name)

    def parameter(self, name: str, default: str = "") -> str:
        return self.head.parameters.get(name, default)

    def number(self, name: str, default: int, most: int) -> int:
        """The parameter ``name``, from 0 to ``most``."""
        given = self.parameter(name)
        if not given:
            return min(default, most)
        if not given.isdecimal():
            raise S3Error("InvalidArgument", f"Provided {name} not an integer or within integer range")
        return min(int(given), most)

    def bucket(self) -> Bucket:
        """Under the lock."""
        return self.state.bucket(self.target.bucket)
