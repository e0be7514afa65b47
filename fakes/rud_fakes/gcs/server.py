"""The faulty Cloud Storage server."""

from __future__ import annotations

import copy
import ssl
from collections.abc import Mapping
from typing import Self

from rud._clock import SystemClock
from rud_fakes._http.server import FaultyServer
from rud_fakes.gcs.dialect import GCSDialect
from rud_fakes.gcs.intake import made
from rud_fakes.gcs.state import Bucket, Received, Session, State, StoredObject


class GCSServer(FaultyServer):
    """Cloud Storage by its JSON API on a free port of ``127.0.0.1``, in this process, in memory; and whatever faults it
    is given.

    It keeps what Cloud Storage documents of generations and conditions, of uploads in one request and by sessions, of
    checksums, ranges, pages and errors; there are no versions of an object, and what it does not offer it refuses with
    501. An object is visible only whole. A session takes what it is sent in multiples of 256 KiB but for the last
    bytes, does not take again what it has, says how far it has come when it is asked (308), and answers with the object
    once that is there.

    Operations: ``UploadMedia``, ``UploadMultipart``, ``StartUpload``, ``UploadChunk``, ``QueryUpload``,
    ``CancelUpload``, ``GetObject``, ``GetMedia``, ``ListObjects``, ``DeleteObject``, ``GetBucket``, ``CreateBucket``,
    ``Token``. The key of an ``UploadMultipart`` or ``StartUpload`` is empty where it is in the body only.

    ``bucket`` exists from the start; ``at`` makes others.
    ``tls``: a server's context; then it speaks https only.
    ``token``: what every request has to bear, as a session's own address does; ``POST /token`` hands it out. ``None``:
    nobody is asked.
    ``takes``: the most bytes that are persisted of one chunk, as a service may that is in trouble; ``None``: all.
    ``verifies=False``: sums that are declared are not looked at, and what a fault has spoilt is told with its own sum,
    as by a service that verifies nothing.
    ``page``: the most that a listing tells at once; 1,000 as Cloud Storage documents.
    """

    def __init__(
        self,
        bucket: str,
        *,
        tls: ssl.SSLContext | None = None,
        token: str | None = None,
        takes: int | None = None,
        verifies: bool = True,
        page: int = 1000,
    ) -> None:
        self._bucket = bucket
        scheme = "http" if tls is None else "https"
        self._state = State(clock=SystemClock(), scheme=scheme, page=page, takes=takes, token=token, verifies=verifies)
        self._state.buckets[bucket] = Bucket(self._state.now())
        super().__init__(GCSDialect(self._state), tls)

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
    def sessions(self) -> list[Session]:
        """The sessions that are neither complete nor cancelled."""
        with self._state.lock:
            return [session for session in self._state.sessions.values() if session.is_open]

    def put(self, key: str, data: bytes, metadata: Mapping[str, str] | None = None) -> StoredObject:
        """Store an object without a request."""
        received = Received(data, {"metadata": metadata or {}})
        with self._state.lock:
            stored = made(self._state, key, received)
            self._state.bucket(self._bucket).objects[key] = stored
        return stored

    def end_sessions(self) -> None:
        """Forget every session, as the service does after a week, or when it has lost one."""
        with self._state.lock:
            self._state.sessions.clear()

    def renew(self, token: str) -> None:
        """From now on another token is asked for."""
        with self._state.lock:
            self._state.token = token
