"""The faulty S3 server."""

from __future__ import annotations

import copy
import ssl
from collections.abc import Mapping
from typing import Self

from rud._clock import SystemClock
from rud_fakes._http.server import FaultyServer
from rud_fakes.s3 import checksums
from rud_fakes.s3.dialect import S3Dialect
from rud_fakes.s3.state import Bucket, State, StoredObject, Upload


class S3Server(FaultyServer):
    """S3 on a free port of ``127.0.0.1``, in this process, in memory; and whatever faults it is given.

    It keeps what S3 documents of conditions, checksums, multipart uploads, ranges, listings and errors, path style
    only; what it does not offer it refuses with 501. An object is visible only whole. A request line with a whole
    address is answered too, so that it can be named as the proxy of an ``http://`` endpoint.

    ``bucket`` exists from the start; ``at`` makes others.
    ``region``: where the buckets are; a signature for another is refused.
    ``tls``: a server's context; then it speaks https only.
    ``credentials``: secrets by access key id; every request has to be signed with one of them (the header of Signature
    Version 4; the signatures of single chunks are not looked at). ``None``: nobody is asked.
    ``keep_bytes=False``: objects are summed and counted, and cannot be read back.
    ``minimum_part``: bytes below which only the last part may be; 5 MiB as S3 documents.
    ``page``: the most that a listing tells at once; 1,000 as S3 documents.
    """

    def __init__(
        self,
        bucket: str,
        *,
        region: str = "us-east-1",
        tls: ssl.SSLContext | None = None,
        credentials: Mapping[str, str] | None = None,
        keep_bytes: bool = True,
        minimum_part: int = 5 << 20,
        page: int = 1000,
    ) -> None:
        self._bucket = bucket
        self._state = State(
            clock=SystemClock(),
            region=region,
            credentials=None if credentials is None else dict(credentials),
            keep_bytes=keep_bytes,
            minimum_part=minimum_part,
            page=page,
        )
        self._state.buckets[bucket] = Bucket(self._state.now())
        super().__init__(S3Dialect(self._state), tls)

    def at(self, bucket: str) -> Self:
        """The same server, looked at from another bucket, which is made if it is not there; not to be started, stopped
        or closed."""
        with self._state.lock:
            self._state.buckets.setdefault(bucket, Bucket(self._state.now()))
        view = copy.copy(self)
        view._bucket = bucket  # noqa: SLF001 - of its own class
        return view

    @property
    def objects(self) -> dict[str, StoredObject]:
        """What is stored in ``bucket`` now, by key."""
        with self._state.lock:
            return dict(self._state.bucket(self._bucket).objects)

    def object(self, key: str) -> StoredObject:
        """The object ``key``; ``KeyError`` if there is none."""
        return self.objects[key]

    @property
    def uploads(self) -> dict[str, Upload]:
        """The multipart uploads that are open in ``bucket`` now, by id."""
        with self._state.lock:
            return dict(self._state.bucket(self._bucket).uploads)

    def put(self, key: str, data: bytes, metadata: Mapping[str, str] | None = None) -> StoredObject:
        """Store an object without a request."""
        crc32c = checksums.digest("crc32c", data)
        made = StoredObject(
            key=key,
            data=data if self._state.keep_bytes else None,
            size=len(data),
            etag=f'"{checksums.digest("md5", data).hex()}"',
            crc32c=int.from_bytes(crc32c, "big"),
            checksums={"crc32c": checksums.encode(crc32c)},
            checksum_type="FULL_OBJECT",
            metadata=dict(metadata or {}),
            headers={},
            last_modified=self._state.now(),
        )
        with self._state.lock:
            self._state.bucket(self._bucket).objects[key] = made
        return made

    def expire(self, name: str) -> None:
        """From now on requests that are signed by the access key id, or carry the session token, ``name`` are answered
        400 ``ExpiredToken``."""
        with self._state.lock:
            self._state.expired.add(name)

    def revive(self, name: str) -> None:
        """Take ``expire`` back."""
        with self._state.lock:
            self._state.expired.discard(name)
