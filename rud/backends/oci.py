"""Objects in Oracle's cloud (OCI Object Storage), by its SDK."""

from __future__ import annotations

import os
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from rud._body import CHUNK
from rud.backends import _sums
from rud.backends._oci_access import access_of
from rud.backends._oci_errors import sending, status_of, translated
from rud.backends._oci_multipart import Multipart
from rud.backends._oci_requests import ENTRY_ID, Requests, only_if, result_of, sum_of
from rud.backends._parts import MEBIBYTE
from rud.backends._sums import same_as_declared
from rud.errors import (
    ConfigurationError,
    InvalidKeyError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreClosedError,
    StoreError,
)
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

LONGEST_KEY = 1024
"""Bytes of a key in UTF-8 (OCI documentation, "Object Names")."""


class OCIObjectStore(Backend):
    """Objects below ``prefix`` in ``bucket``.

    ``config_file`` (then ``OCI_CONFIG_FILE``, then ``~/.oci/config``) and its ``profile`` (``DEFAULT``) say who we are;
    ``region`` and ``endpoint_url`` come before theirs; ``tenancy``, if it is given, has to be theirs. ``namespace``:
    else the service is asked for ours. ``part_size``: bytes (16 MiB) up to which an object is one put; more are parts
    of that size, or more for more than 10,000 of them, four at once and streamed.

    A CRC32C that we have computed goes with every put and part, and is compared with what the service says of the
    whole; the id of the upload is kept as ``opc-meta-rud-entry-id``. ``PutMode.CREATE`` is ``If-None-Match: *`` on the
    put or the commit. A put that fails aborts its multipart upload. The client is made by the first request; a wrong
    argument or configuration is a ``ConfigurationError`` of the constructor.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset({"region", "endpoint_url", "tenancy", "namespace"})

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        config_file: str | os.PathLike[str] | None = None,
        profile: str = "DEFAULT",
        region: str | None = None,
        endpoint_url: str | None = None,
        tenancy: str | None = None,
        namespace: str | None = None,
        part_size: int = 16 * MEBIBYTE,
    ) -> None:
        if part_size < 1:
            raise ConfigurationError(f"part_size is a number of bytes, not {part_size}")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        access = access_of(config_file, profile, region=region, endpoint_url=endpoint_url, tenancy=tenancy)
        access.check()
        self._requests = Requests(access, bucket, namespace)
        self._part_size = part_size
        self._closed = False

    @classmethod
    def resolve_arguments(cls, arguments: Arguments) -> Arguments:
        """With the region, the endpoint and the tenancy of the configuration: they are part of the destination."""
        wanted = {name: arguments.get(name) for name in ("region", "endpoint_url", "tenancy")}
        found = access_of(arguments.get("config_file"), arguments.get("profile", "DEFAULT"), **wanted)
        places = {"region": found.region, "endpoint_url": found.endpoint_url, "tenancy": found.tenancy}
        return {**arguments, **{name: value for name, value in places.items() if value}}

    def prepare(self) -> None:
        """Imports the SDK and makes the client."""
        self._requests.prepare()

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
        name = self._name("put", key)
        if len(source) > self._part_size:
            multipart = Multipart.begin(self._requests, key, name, entry_id, mode)
            return self._put_parts(multipart, source, mode, checksum, on_multipart)
        section = source.section(len(source))
        crc = same_as_declared(key, section.crc32c, checksum)
        about: Arguments = {"opc_meta": {ENTRY_ID: entry_id}} if entry_id is not None else {}
        with sending(key, section):
            answer = self._requests.call("put_object", name, section, **about, **sum_of(crc), **only_if(mode))
        return result_of(key, answer, crc)

    def _put_parts(
        self, multipart: Multipart, source: Source, mode: PutMode, checksum: int | None, on_multipart: OnMultipart
    ) -> PutResult:
        try:
            on_multipart(multipart.upload_id)
            parts = multipart.send(source, self._part_size)
            crc = same_as_declared(multipart.key, source.crc32c, checksum)
            source.read(0)  # Raises if the upload was given up meanwhile.
            return multipart.commit(parts, crc, mode)
        except BaseException:
            multipart.abort_if_possible()
            raise

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        name = self._name("get", key)
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        part: Arguments = {"range": f"bytes={start}-"} if start else {}
        try:
            with translated("get", key):
                answer = self._requests.call("get_object", name, **part)
        except StoreError as error:
            if status_of(error) != 416:
                raise
            return self.head(key)  # nothing lies behind its end
        meta = _meta(key, answer.headers)
        body = answer.data.raw
        try:
            while start < meta.size:
                chunk = self._read(key, body)
                if not chunk:
                    said = f"it ends after {start} of {meta.size} bytes"
                    raise ObjectStoreTransientError.during("get", key, said)
                start += len(chunk)
                sink.write(chunk)
        finally:
            answer.data.close()
        return meta

    @staticmethod
    def _read(key: str, body: Any) -> bytes:
        with translated("get", key):
            chunk: bytes = body.read(CHUNK)
            return chunk

    def head(self, key: str) -> ObjectMeta:
        name = self._name("head", key)
        try:
            with translated("head", key):
                return _meta(key, self._requests.call("head_object", name).headers)
        except ObjectStoreTransientError:
            raise
        except StoreError:
            # The answer to a HEAD has no code, so that a missing bucket looks as a missing object does.
            with translated("head", key):
                self._requests.call("get_object", name, range="bytes=0-0").data.close()
            raise

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        found: list[ObjectMeta] = []
        start: Arguments = {}
        while True:
            with translated("list", prefix):
                page = self._requests.call(
                    "list_objects", prefix=self._prefix + prefix, fields="name,size,etag,timeModified", **start
                ).data
                found += [
                    ObjectMeta(one.name[len(self._prefix) :], one.size, one.etag, None, one.time_modified.timestamp())
                    for one in page.objects
                    if one.name != self._prefix  # which consoles make, as if it were a folder
                ]
            if not page.next_start_with:
                return iter(sorted(found, key=lambda meta: meta.key.encode()))
            if start.get("start") == page.next_start_with:
                raise StoreError.during("list", prefix, "the service names one page as the next one after itself")
            start = {"start": page.next_start_with}

    def delete(self, key: str) -> None:
        name = self._name("delete", key)
        try:
            with translated("delete", key):
                self._requests.call("delete_object", name)
        except ObjectNotFoundError:
            return

    def abort(self, key: str, upload_id: str | None) -> None:
        name = self._name("abort", key)
        if upload_id is not None:
            Multipart(self._requests, key, name, upload_id).abort()

    def probe(self) -> None:
        """Begins a multipart upload under a random name and aborts it."""
        import secrets

        name = self._name("probe", f".rud-probe-{secrets.token_hex(8)}")
        Multipart.begin(self._requests, "", name, None, PutMode.OVERWRITE, operation="probe").abort()

    def uri(self, key: str) -> str:
        return f"oci://{self._bucket}/{self._whole(key)}"

    def close(self) -> None:
        self._closed = True
        self._requests.close()

    def _name(self, operation: str, key: str) -> str:
        self._check_open(operation, key)
        return self._whole(key)

    def _whole(self, key: str) -> str:
        name = self._prefix + check_key(key)
        if (length := len(name.encode())) > LONGEST_KEY:
            raise InvalidKeyError(f"the key {key[:60]!r}… has {length} bytes with its prefix, OCI keeps {LONGEST_KEY}")
        if not name.strip():
            raise InvalidKeyError(f"the key {key!r} is nothing but blanks, which the OCI SDK does not send")
        if "\n" in name or "\r" in name:
            raise InvalidKeyError(f"the key {key!r} has a line break, which OCI does not keep")
        if name in (".", ".."):
            raise InvalidKeyError(f"{key!r} cannot be asked for: in an address it means a folder")
        return name

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")


def _meta(key: str, headers: Any) -> ObjectMeta:
    span = headers.get("content-range")  # bytes 5-9/10
    crc = headers.get("opc-content-crc32c")
    return ObjectMeta(
        key,
        int(span.rpartition("/")[2] if span else headers["content-length"]),
        headers.get("etag"),
        _sums.read(crc) if crc is not None and span is None else None,
        parsedate_to_datetime(headers["last-modified"]).timestamp(),
        headers.get(f"opc-meta-{ENTRY_ID}"),
    )
