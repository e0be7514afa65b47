"""Harnesses of ``GCSObjectStore``."""

from __future__ import annotations

import os
import socket
import threading
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import urlsplit

from rud_fakes.gcs import GCSServer
from rud_fakes.servers import FakeGcs, GCSAddress, fake_gcs

from rud._registry import resolve
from rud.backends._gcs_hmac import HmacStore
from rud.backends._gcs_json import JsonStore
from rud.backends.gcs import GCSObjectStore
from rud.downloader import Downloader
from rud.store import Backend
from rud_conformance.harness import Address, Harness, Limits, Raw
from rud_conformance.harnesses._faulty import FaultyWire, Objects
from rud_conformance.harnesses._places import downloader_of, where
from rud_conformance.harnesses.s3 import FakeS3, with_small_parts
from rud_conformance.wire import Kind, Wire

CHUNK = 256 << 10
"""Bytes of the least chunk that Cloud Storage takes."""


class _GCS(Harness):
    """``GCSObjectStore`` by the JSON API of a server that speaks it; with chunks that are small, and one try."""

    limits = Limits(part=CHUNK, threshold=CHUNK, slow=True)
    nested: ClassVar[bool] = True

    def __init__(self, url: str) -> None:
        self._url = url

    def address(self, scope: str) -> Address:
        bucket, prefix = self._where(scope)
        return f"gs://{bucket}/{prefix}", GCSAddress(self._url).backend_kwargs

    def _where(self, scope: str) -> tuple[str, str]:
        raise NotImplementedError

    def open(self, scope: str) -> Backend:
        made = super().open(scope)
        assert isinstance(made, GCSObjectStore)
        assert isinstance(made._store, JsonStore)  # noqa: SLF001 - no user can
        # No user can: chunks of 32 MiB and pauses of seconds, for each case, would take hours.
        made._store.chunk = CHUNK  # noqa: SLF001 - no user can
        made._store._retry = _once()  # noqa: SLF001 - no user can
        return made

    def downloader(self, scope: str) -> Downloader:
        return downloader_of(self, scope)

    def alive(self) -> bool:
        url = urlsplit(self._url)
        try:
            socket.create_connection((url.hostname or "", url.port or 80), timeout=10).close()
        except OSError:
            return False
        return True


def _once() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    retry: Any = DEFAULT_RETRY
    return retry.with_predicate(lambda error: False)


class FakeGCS(_GCS):
    """On the faulty server of ``rud_fakes``."""

    limits = Limits(part=CHUNK, threshold=CHUNK, page=5, slow=True)
    kinds: ClassVar[frozenset[Kind]] = frozenset({"status", "reset", "lost", "short", "flip"})

    def __init__(self) -> None:
        self._server = GCSServer("bucket", page=5)
        self._server.start()
        super().__init__(self._server.url)

    def _where(self, scope: str) -> tuple[str, str]:
        bucket, prefix = where(scope, nested=self.nested)
        self._server.at(bucket)
        return bucket, prefix

    def open(self, scope: str) -> Backend:
        """With credentials, which do not go to an ``http`` endpoint otherwise: a 401 says something of them."""
        from google.oauth2.credentials import Credentials

        made = super().open(scope)
        store: Any = made
        make: Any = Credentials  # it has no types
        store._store._client._credentials = make("of-the-suite")  # noqa: SLF001 - no user can
        return made

    def wire(self, scope: str) -> Wire:
        return FaultyWire(self._server, self.kinds, _NAMES, flipped="GetMedia")

    def raw(self, scope: str) -> Raw:
        bucket, prefix = self._where(scope)
        return Objects(self._server.at(bucket), prefix)

    def close(self) -> None:
        self._server.close()


class FakeGCSAtRoot(FakeGCS):
    """The same without a prefix."""

    nested = False


_NAMES = {
    "UploadMedia": "put",
    "UploadMultipart": "put",
    "StartUpload": "begin",
    "UploadChunk": "part",
    "QueryUpload": "query",
    "CancelUpload": "abort",
    "GetObject": "head",
    "GetMedia": "get",
    "ListObjects": "page",
    "DeleteObject": "delete",
}


class GCSOnFakeGcsServer(_GCS):
    """On fake-gcs-server: ``server``, which runs, or one of its own."""

    def __init__(self, server: FakeGcs | None = None) -> None:
        self._is_ours = server is None
        self._server = server or fake_gcs()
        if self._is_ours:
            self._server.start()
        self._making = threading.Lock()
        self._made: set[str] = set()
        super().__init__(self._server.url)

    def _where(self, scope: str) -> tuple[str, str]:
        bucket, prefix = where(scope, nested=self.nested)
        with self._making:  # a case may open several instances at once
            if bucket not in self._made:
                GCSAddress(self._url).make_bucket(bucket)
                self._made.add(bucket)
        return bucket, prefix

    def raw(self, scope: str) -> Raw:
        return _BySdk(self._client, *self._where(scope))

    @cached_property
    def _client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        nobody: Any = AnonymousCredentials
        return Client(project="rud", credentials=nobody(), client_options={"api_endpoint": self._url})

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()
        if self._is_ours:
            self._server.stop()


class GCSOnFakeGcsServerAtRoot(GCSOnFakeGcsServer):
    """The same without a prefix."""

    nested = False


class _BySdk:
    """The objects of ``bucket`` below ``prefix``, by the SDK alone."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._bucket = client.bucket(bucket)
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, key: str, data: bytes) -> None:
        self._bucket.blob(self._prefix + key).upload_from_string(data, "application/octet-stream")

    def read(self) -> dict[str, bytes]:
        found = list(self._bucket.list_blobs(prefix=self._prefix))
        return {blob.name[len(self._prefix) :]: blob.download_as_bytes() for blob in found}


class GCSByHmac(FakeS3):
    """``GCSObjectStore`` by an HMAC key, on the faulty S3 server.

    No wire: the SDK's own pauses, which no argument of a ``gs`` URI shortens, would make each fault seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before = {name: os.environ.get(name) for name in ("GCS_KEY", "GCS_SECRET")}
        os.environ["GCS_KEY"] = self._arguments["aws_access_key_id"]
        os.environ["GCS_SECRET"] = self._arguments["aws_secret_access_key"]

    def address(self, scope: str) -> Address:
        uri, arguments = super().address(scope)
        return uri.replace("s3:", "gs:"), {"endpoint_url": arguments["endpoint_url"]}

    def open(self, scope: str) -> Backend:
        made = resolve(*self.address(scope)).open()
        assert isinstance(made, GCSObjectStore)
        assert isinstance(made._store, HmacStore)  # noqa: SLF001 - no user can
        with_small_parts(made._store)  # noqa: SLF001 - no user can
        return made

    def wire(self, scope: str) -> None:
        return None

    def stranger(self, scope: str) -> None:
        return None

    def close(self) -> None:
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        super().close()
