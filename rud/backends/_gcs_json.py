"""Objects by the JSON API of Cloud Storage, through google-cloud-storage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from rud.backends import _sums
from rud.backends._gcs_client import credentials_from, new_client
from rud.backends._gcs_errors import sending, translated, was_replaced
from rud.backends._gcs_sink import SdkWriter
from rud.backends._gcs_upload import TIMEOUT, Session
from rud.errors import (
    BucketNotFoundError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
)
from rud.store import Backend, Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Section, Sink, Source

ENTRY_ID = "rud-entry-id"
"""The custom metadata of an object that names the upload which wrote it."""

RETRY_FOR = 8.0
"""Seconds in which one request is tried again: for one bad chunk of a long upload. The SDK's own default, 120 s,
outlasts every limit of ours."""

PAUSES = {"initial": 0.5, "multiplier": 2.0, "maximum": 4.0}
"""Seconds: each pause is drawn from 0 to twice its number, at most ``maximum``."""

WHOLE = 8 << 20
"""Bytes up to which an object is one request: the SDK's own border."""

CHUNK = 32 << 20
"""Bytes of one request of a resumable upload, which are in memory. The service recommends at least 8 MiB ("Resumable
uploads") and answers each; 64 MiB took 2.2 s in chunks of 8 MiB, 0.8 s of 32, 0.9 s in one (fake-gcs-server)."""

LOOKS = 5
"""How often an object that is replaced again and again is looked at before a get of it fails, as one that may pass."""

_FIELDS = "items(name,size,etag,crc32c,updated,metadata),nextPageToken"


class JsonStore(Backend):
    """Objects below ``prefix`` (with its slash) in ``bucket``; for a caller who has checked the keys."""

    chunk = CHUNK
    """Not for callers."""

    def __init__(self, bucket: str, prefix: str, endpoint: str | None) -> None:
        self._name = bucket
        self._prefix = prefix
        self._endpoint = endpoint
        self._made: list[Any] = []

    @cached_property
    def _client(self) -> Any:
        client = new_client(self._endpoint)
        self._made.append(client)
        return client

    @cached_property
    def _bucket(self) -> Any:
        return self._client.bucket(self._name)

    @cached_property
    def _retry(self) -> Any:
        from google.cloud.storage.retry import DEFAULT_RETRY

        return DEFAULT_RETRY.with_delay(**PAUSES).with_timeout(RETRY_FOR)

    def prepare(self) -> None:
        assert self._bucket is not None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            create=True,
            entry_ids=True,
            checksums=True,
            ranges=True,
            fsync=True,
            reads_body=True,
            ends_with_worker="a request that has arrived whole is carried out, though its sender is gone",
            processes=True,
        )

    def credentials_from(self) -> str:
        return credentials_from(self._endpoint)

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
        if len(source) <= min(WHOLE, self.chunk):
            section = source.section(len(source))
            _sums.same_as_declared(key, section.crc32c, checksum)
            return self._put_section(key, section, mode, entry_id)
        stored, crc = self._put_chunks(key, source, mode, checksum, entry_id)
        return self._result(key, stored, len(source), crc)

    def _put_section(self, key: str, section: Section, mode: PutMode, entry_id: str | None) -> PutResult:
        """All of an object, tried again for a while."""
        tries = 0

        def once() -> dict[str, Any]:
            nonlocal tries
            tries += 1
            return self._put_whole(key, section, mode, entry_id)

        try:
            with sending(key, section):
                stored = self._retry(once)()
        except ObjectExistsError:
            # The answer to an earlier try may have been lost: what is there may be ours.
            if tries > 1 and (there := self.head(key)).entry_id == entry_id and there.checksum == section.crc32c:
                return PutResult(etag=there.etag)
            raise
        return self._result(key, stored, len(section), section.crc32c)

    def _put_whole(self, key: str, section: Section, mode: PutMode, entry_id: str | None) -> dict[str, Any]:
        """One request, tried once: a try begins with a look whether the upload was given up meanwhile."""
        section.seek(0)
        blob = self._new_blob(key, entry_id, section.crc32c)
        blob.upload_from_file(
            section,
            size=len(section),
            content_type=_TYPE,
            checksum=None,
            timeout=TIMEOUT,
            retry=None,
            **_only_if(mode),
        )
        return {"etag": blob.etag, "generation": blob.generation, "size": blob.size, "crc32c": blob.crc32c}

    def _put_chunks(
        self, key: str, source: Source, mode: PutMode, checksum: int | None, entry_id: str | None
    ) -> tuple[dict[str, Any], int]:
        blob = self._new_blob(key, entry_id, checksum)
        size = len(source)
        with translated("put", key):
            address = blob.create_resumable_upload_session(
                content_type=_TYPE, size=size, checksum=None, timeout=TIMEOUT, retry=self._retry, **_only_if(mode)
            )
        session = Session(self._client._http, self._retry, key, address, size)  # noqa: SLF001  # the SDK has no other name for it
        crc, start, headers = 0, 0, dict[str, Any]()
        while True:
            section = source.section(self.chunk)
            if start + len(section) == size:
                crc = _sums.same_as_declared(key, source.crc32c, checksum)
                headers = {"X-Goog-Hash": f"crc32c={_sums.written(crc)}"}
            stored = session.send(section, start, headers)
            if stored is not None:
                return stored, crc
            start += len(section)

    def _new_blob(self, key: str, entry_id: str | None, crc: int | None) -> Any:
        """What is sent of it is checked by the service; the SDK's own checks are off, see ``_gcs_upload``."""
        blob = self._bucket.blob(self._prefix + key)
        if entry_id is not None:
            blob.metadata = {ENTRY_ID: entry_id}
        if crc is not None:
            blob.crc32c = _sums.written(crc)
        return blob

    def _result(self, key: str, stored: dict[str, Any], size: int, crc: int) -> PutResult:
        """``IntegrityError`` when the service tells of other bytes than were sent. It has refused them already, unless
        it checks nothing: then what it has stored, and nothing newer, is removed again."""
        generation = stored["generation"]
        there = stored.get("crc32c")
        if (int(stored["size"]), there) == (size, _sums.written(crc)):
            return PutResult(etag=stored.get("etag"), version=str(generation))
        with contextlib.suppress(Exception):
            self._bucket.blob(self._prefix + key).delete(if_generation_match=generation, timeout=TIMEOUT, retry=None)
        raise IntegrityError.during(
            "put",
            key,
            f"we sent {size} bytes of CRC32C {_sums.written(crc)}, the service has {stored['size']} of {there}",
        )

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        """An object that is replaced between the look and the first byte is looked at again."""
        writer = SdkWriter(sink)
        looks = 0
        while True:
            meta, generation = self._found("get", key)
            if start >= meta.size:
                return meta
            looks += 1
            try:
                self._download(key, writer, start, generation)
            except ObjectStoreTransientError as error:
                if looks == LOOKS or writer.has_begun or not was_replaced(error):
                    raise
            else:
                return meta

    def _download(self, key: str, writer: SdkWriter, start: int, generation: int) -> None:
        # Not the one that was looked at: of that the SDK would ask for the old generation, which is not there any more.
        blob = self._bucket.blob(self._prefix + key)
        try:
            with translated("get", key), writer:
                blob.download_to_file(
                    writer,
                    start=start or None,
                    raw_download=True,
                    checksum=None,
                    if_generation_match=generation,
                    timeout=TIMEOUT,
                    retry=None,
                )
        except RudError:
            if writer.error is not None:
                raise writer.error from None
            raise

    def head(self, key: str) -> ObjectMeta:
        return self._found("head", key)[0]

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        with translated("list", prefix):
            blobs = self._client.list_blobs(
                self._bucket,
                prefix=self._prefix + prefix,
                fields=_FIELDS,
                page_size=1000,
                timeout=TIMEOUT,
                retry=self._retry,
            )
            found = [_meta_of(blob.name[len(self._prefix) :], blob) for blob in blobs if blob.name != self._prefix]
        return iter(sorted(found, key=lambda meta: meta.key.encode()))

    def delete(self, key: str) -> None:
        try:
            with translated("delete", key):
                self._bucket.blob(self._prefix + key).delete(timeout=TIMEOUT, retry=self._retry)
        except ObjectNotFoundError:
            self._raise_if_the_bucket_is_missing("delete", key)

    def abort(self, key: str, upload_id: str | None) -> None:
        return

    def probe(self) -> None:
        import secrets

        name = f"{self._prefix}.rud-probe-{secrets.token_hex(8)}"
        with translated("probe", ""):
            session = self._bucket.blob(name).create_resumable_upload_session(
                timeout=TIMEOUT, retry=self._retry, checksum=None
            )
        # Answered with 499 ("Cancel an upload"). Whether it succeeds or not: what is unfinished is no object, costs
        # nothing, and ends by itself within a week.
        with contextlib.suppress(Exception):
            self._client._http.delete(session, timeout=TIMEOUT, headers={"Content-Length": "0"})  # noqa: SLF001  # as above

    def uri(self, key: str) -> str:
        return f"gs://{self._name}/{self._prefix}{key}"

    def close(self) -> None:
        while self._made:
            self._made.pop().close()

    def _found(self, operation: str, key: str) -> tuple[ObjectMeta, int]:
        """What is known of the object, and its generation."""
        blob = self._bucket.blob(self._prefix + key)
        try:
            with translated(operation, key):
                blob.reload(timeout=TIMEOUT, retry=self._retry)
        except ObjectNotFoundError:
            self._raise_if_the_bucket_is_missing(operation, key)
            raise
        return _meta_of(key, blob), blob.generation

    def _raise_if_the_bucket_is_missing(self, operation: str, key: str) -> None:
        """Both are a 404 whose reason is ``notFound``; a listing can miss nothing but the bucket."""
        try:
            with translated("list", ""):
                next(iter(self._client.list_blobs(self._bucket, max_results=1, timeout=TIMEOUT, retry=None)), None)
        except BucketNotFoundError as error:
            raise BucketNotFoundError.during(operation, key, f"there is no bucket {self._name!r}") from error
        except StoreError:
            return


_TYPE = "application/octet-stream"


def _only_if(mode: PutMode) -> dict[str, Any]:
    """The condition under which an object is made: that there is none, which has generation 0."""
    return {"if_generation_match": 0} if mode is PutMode.CREATE else {}


def _meta_of(key: str, blob: Any) -> ObjectMeta:
    crc = None if blob.crc32c is None else _sums.read(blob.crc32c)
    entry_id = (blob.metadata or {}).get(ENTRY_ID)
    return ObjectMeta(key, blob.size, blob.etag, crc, blob.updated.timestamp(), entry_id)
