"""Objects in Google Cloud Storage, by google-cloud-storage, or by its S3-compatible interface."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from rud.backends import _gcs_client as clients
from rud.backends._endpoints import check_endpoint
from rud.backends._gcs_hmac import HmacStore, hmac_key
from rud.backends._gcs_json import JsonStore
from rud.errors import ConfigurationError, InvalidKeyError, StoreClosedError, UnsupportedOperationError
from rud.store import (
    Arguments,
    Backend,
    Capabilities,
    ObjectMeta,
    OnMultipart,
    PutMode,
    PutResult,
    Sink,
    Source,
    check_key,
)

LONGEST_NAME = 1024
"""Bytes in UTF-8 (Cloud Storage, "Object name requirements"; so are the other rules for names)."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
_RESERVED = ".well-known/acme-challenge/"


class GCSObjectStore(Backend):
    """Objects below ``prefix`` in ``bucket``.

    ``endpoint_url``: where the service is, then ``STORAGE_EMULATOR_HOST``, then Google's own. To an ``http`` endpoint
    no credentials are sent; elsewhere they are the application default credentials, or, where ``GCS_KEY`` and
    ``GCS_SECRET`` are in the environment, that HMAC key.

    By the JSON API up to 8 MiB are one request, more are a resumable upload in chunks of 32 MiB, of which one is in
    memory. The CRC32C goes with the object, and the answer is compared with it. The id of the upload is the custom
    metadata ``rud-entry-id``. ``PutMode.CREATE`` is the condition that the generation be 0. After a failure that may
    pass, the service is asked how far it has come, for up to 8 s; a chunk that has arrived is not sent again. The
    session of a resumable upload is not announced, since its address is a capability that must not be written down:
    what an upload that failed has sent is no object, costs nothing, and is gone within a week.

    By an HMAC key everything goes through the S3-compatible interface as an ``S3ObjectStore`` would do it, which then
    needs boto3: create-only and checksums are not offered there.

    The client is made by the first request; a wrong argument is a ``ConfigurationError`` of the constructor, and so is
    a lack of credentials where no request is needed to tell, otherwise of the first request.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset({"endpoint_url"})

    def __init__(self, bucket: str, prefix: str = "", *, endpoint_url: str | None = None) -> None:
        if not _BUCKET.fullmatch(bucket):
            raise ConfigurationError(
                f"{bucket!r} is no name of a bucket: letters, digits, and between them '.', '-' and '_', at least 3"
            )
        endpoint = endpoint_url or clients.configured_endpoint()
        if endpoint is not None:
            check_endpoint(endpoint)
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._store = _way_to(bucket, self._prefix, endpoint and endpoint.rstrip("/"))
        self._closed = False

    @classmethod
    def resolve_arguments(cls, arguments: Arguments) -> Arguments:
        endpoint = arguments.get("endpoint_url") or clients.configured_endpoint()
        return {**arguments, "endpoint_url": endpoint.rstrip("/")} if isinstance(endpoint, str) else arguments

    def prepare(self) -> None:
        self._store.prepare()

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities

    def credentials_from(self) -> str:
        """Where the credentials come from, in words; no secret."""
        return self._store.credentials_from()

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
        self._check("put", key)
        if mode is PutMode.CREATE and (offer := self.capabilities.create) is not True:
            raise UnsupportedOperationError.during("put", key, offer)
        return self._store.put(
            key,
            source,
            mode=mode,
            checksum=checksum,
            entry_id=entry_id,
            durable=durable,
            on_multipart=on_multipart,
        )

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        self._check("get", key)
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        return self._store.get(key, sink, start=start)

    def head(self, key: str) -> ObjectMeta:
        self._check("head", key)
        return self._store.head(key)

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._check("delete", key)
        self._store.delete(key)

    def abort(self, key: str, upload_id: str | None) -> None:
        self._check("abort", key)
        self._store.abort(key, upload_id)

    def probe(self) -> None:
        """Begins a resumable upload under a random name and cancels it: needs no more than the right to put."""
        self._check_open("probe", "")
        self._store.probe()

    def uri(self, key: str) -> str:
        return f"gs://{self._bucket}/{self._name(key)}"

    def close(self) -> None:
        self._closed = True
        self._store.close()

    def _check(self, operation: str, key: str) -> None:
        self._check_open(operation, key)
        self._name(key)

    def _name(self, key: str) -> str:
        name = self._prefix + check_key(key)
        if (length := len(name.encode())) > LONGEST_NAME:
            raise InvalidKeyError(
                f"the key {key[:60]!r}… has {length} bytes with its prefix, Cloud Storage keeps {LONGEST_NAME}"
            )
        if "\r" in name or "\n" in name:
            raise InvalidKeyError(f"the key {key!r} has a line break, which Cloud Storage does not keep")
        if name in (".", "..") or name.startswith(_RESERVED):
            raise InvalidKeyError(
                f"the key {key!r} would be the object {name[:60]!r}, a name that Cloud Storage reserves"
            )
        return name

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")


def _way_to(bucket: str, prefix: str, endpoint: str | None) -> HmacStore | JsonStore:
    if (key := hmac_key()) is not None:
        return HmacStore(bucket, prefix, endpoint, key)
    clients.need_library()
    clients.check_credentials(endpoint)
    return JsonStore(bucket, prefix, endpoint)
