"""Objects in S3, or in whatever speaks its protocol, by boto3's own machinery (botocore)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from rud._body import CHUNK
from rud.backends import _s3_arguments as arguments_of
from rud.backends._s3_client import Access, configured_endpoint
from rud.backends._s3_errors import code_of, translated, was_repeated
from rud.backends._s3_multipart import Multipart, unfinished
from rud.backends._s3_requests import Requests
from rud.backends._s3_sums import Sums
from rud.backends._s3_values import ENTRY_ID, bare, meta_of, only_if, result_of, sending
from rud.backends._sums import same_as_declared
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    InvalidKeyError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreClosedError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import (
    Arguments,
    Backend,
    Capabilities,
    ObjectMeta,
    OnMultipart,
    PutMode,
    PutResult,
    Section,
    Sink,
    Source,
    check_key,
)

LONGEST_KEY = 1024
"""Bytes of a key in UTF-8 (S3 user guide, "Naming Amazon S3 objects")."""

_BUCKET = re.compile(r"arn:[\w.:/-]+|[A-Za-z0-9._-]{3,255}")
"""What botocore lets pass as well; the service knows better."""


class S3ObjectStore(Backend):
    """Objects below ``prefix`` in ``bucket``.

    ``region_name``, ``endpoint_url`` (then ``S3_ENDPOINT_URL``, then what botocore finds), ``aws_access_key_id``,
    ``aws_secret_access_key``, ``aws_session_token`` (else what botocore finds), ``client_config`` (arguments of
    ``botocore.config.Config``), ``transfer_config`` (``multipart_threshold``, ``multipart_chunksize``, both 16 MiB, and
    ``max_concurrency``, 4, of ``boto3.s3.transfer.TransferConfig``), ``extra_args`` (names as in boto3's ``ExtraArgs``,
    each given to every operation whose request knows it; ``S3_CANNED_ACL`` is the default of ``ACL``).

    Up to ``multipart_threshold`` bytes are one put, more are parts of ``max(multipart_chunksize, ⌈size / 10,000⌉)``
    bytes, ``max_concurrency`` at once. Of what is sent at most ``(1 + max_concurrency)`` MiB are in memory at a time,
    whatever the sizes: a part is summed in pieces of 1 MiB, then read again as it is sent. A CRC32C that
    we have computed goes as a header with every put, part and completion, and the id of the upload as
    ``x-amz-meta-rud-entry-id``. ``PutMode.CREATE`` is ``If-None-Match: *`` on the put or the completion. A put that
    fails aborts its multipart upload.

    The client is made by the first request; a wrong argument is a ``ConfigurationError`` of the constructor, and so is
    a lack of credentials.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset({"region_name", "endpoint_url"})
    sums: ClassVar[Sums] = Sums()
    """Not for callers: what a service that speaks almost the same protocol is told of sums."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        client_config: Mapping[str, Any] | None = None,
        transfer_config: Mapping[str, Any] | None = None,
        extra_args: Mapping[str, Any] | None = None,
    ) -> None:
        if not _BUCKET.fullmatch(bucket):
            raise ConfigurationError(
                f"{bucket!r} is no name of a bucket: letters, digits, '.', '-' and '_', at least 3"
            )
        arguments_of.need_boto3()
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._access = Access(
            region_name=region_name,
            endpoint_url=endpoint_url or configured_endpoint(),
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            client_config=dict(client_config or {}),
        )
        self._access.check()
        self._transfer = arguments_of.transfer_from(transfer_config)
        extra = arguments_of.extra_args_from(extra_args)
        self._requests = Requests(self._access, bucket, extra, self._transfer.concurrency, self.sums)
        self._closed = False

    @classmethod
    def resolve_arguments(cls, arguments: Arguments) -> Arguments:
        endpoint = arguments.get("endpoint_url") or configured_endpoint()
        return {**arguments, "endpoint_url": endpoint.rstrip("/")} if isinstance(endpoint, str) else arguments

    def prepare(self) -> None:
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

    def credentials_from(self) -> str:
        """Where the credentials come from, in words; no secret."""
        return self._access.credentials_from()

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
        about = {"Metadata": {ENTRY_ID: entry_id}} if entry_id is not None else {}
        if len(source) <= self._transfer.threshold:
            section = source.section(len(source))
            same_as_declared(key, section.crc32c, checksum)
            return self._put_whole(key, name, section, mode, about)
        if mode is PutMode.CREATE:
            self._refuse_taken(key)
        multipart = Multipart.begin(self._requests, key, name, about)
        try:
            on_multipart(multipart.upload_id)
            return self._put_parts(multipart, source, mode, checksum, about)
        except BaseException:
            multipart.abort_if_possible()
            raise

    def _put_whole(self, key: str, name: str, section: Section, mode: PutMode, about: Arguments) -> PutResult:
        crc = section.crc32c
        try:
            with sending(key, section):
                answer = self._requests.call(
                    "put_object", Key=name, Body=section, **self._requests.sums.of(crc), **about, **only_if(mode)
                )
        except ObjectExistsError as error:
            # Its first answer was lost, and botocore asked again: the second finds our own object.
            if was_repeated(error) and (there := self._stored_by(about, key, crc)):
                return PutResult(etag=there.etag)
            raise
        return result_of(answer, key, crc)

    def _put_parts(
        self, multipart: Multipart, source: Source, mode: PutMode, checksum: int | None, about: Arguments
    ) -> PutResult:
        parts = multipart.send(source, self._transfer.chunk, self._transfer.concurrency)
        crc = same_as_declared(multipart.key, source.crc32c, checksum)
        source.read(0)  # Raises if the upload was given up meanwhile.
        try:
            return multipart.complete(parts, crc, mode)
        except ObjectStoreTransientError as error:
            # Its first answer was lost, and botocore asked again: the second finds nothing to complete any more.
            if code_of(error) == "NoSuchUpload" and (there := self._stored_by(about, multipart.key, crc)):
                return PutResult(etag=there.etag)
            raise

    def _stored_by(self, about: Arguments, key: str, crc: int) -> ObjectMeta | None:
        """What is there, if it is ours: by its id, or by its sum where the put had none."""
        try:
            there = self.head(key)
        except (ObjectNotFoundError, AccessDeniedError):
            return None
        entry_id = about.get("Metadata", {}).get(ENTRY_ID)
        is_ours = there.entry_id == entry_id and (entry_id is not None or there.checksum == crc)
        return there if is_ours else None

    def _refuse_taken(self, key: str) -> None:
        """Before all the parts of it are sent; whether it is still free then is decided by the completion."""
        try:
            self.head(key)
        except (ObjectNotFoundError, AccessDeniedError):
            return
        raise ObjectExistsError.during("put", key, "an object of that key exists")

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        name = self._name("get", key)
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        part: Arguments = {"Range": f"bytes={start}-"} if start else {}
        try:
            with translated("get", key):
                answer = self._requests.call("get_object", Key=name, **part)
        except StoreError as error:
            if code_of(error) != "InvalidRange":
                raise
            return self.head(key)  # nothing lies behind its end
        body = answer["Body"]
        try:
            while chunk := self._read(key, body):
                sink.write(chunk)
        finally:
            body.close()
        return meta_of(key, answer)

    @staticmethod
    def _read(key: str, body: Any) -> bytes:
        with translated("get", key):
            chunk: bytes = body.read(CHUNK)
            return chunk

    def head(self, key: str) -> ObjectMeta:
        name = self._name("head", key)
        try:
            with translated("head", key):
                answer = self._requests.call("head_object", Key=name, **self._requests.sums.asked)
        except ObjectStoreTransientError:
            raise
        except StoreError:
            self._ask_with_a_body(key, name)
            raise
        return meta_of(key, answer)

    def _ask_with_a_body(self, key: str, name: str) -> None:
        """Raise what the service says to a GET: its answer to a HEAD has no code, so that a missing bucket looks as a
        missing object does, and a token that has expired (400) as a request that will never be any good."""
        with translated("head", key):
            self._requests.call("get_object", Key=name, Range="bytes=0-0")["Body"].close()

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        with translated("list", prefix):
            found = [
                ObjectMeta(
                    one["Key"][len(self._prefix) :],
                    one["Size"],
                    bare(one.get("ETag")),
                    last_modified=one["LastModified"].timestamp(),
                )
                for page in self._requests.pages("list_objects_v2", Prefix=self._prefix + prefix)
                for one in page.get("Contents", ())
                if one["Key"] != self._prefix  # which consoles make, as if it were a folder
            ]
        # Sorted by most services, not by all.
        return iter(sorted(found, key=lambda meta: meta.key.encode()))

    def delete(self, key: str) -> None:
        name = self._name("delete", key)
        try:
            with translated("delete", key):
                self._requests.call("delete_object", Key=name)
        except ObjectNotFoundError:
            return

    def abort(self, key: str, upload_id: str | None) -> None:
        name = self._name("abort", key)
        if upload_id is None:
            ours = unfinished(self._requests, key, name)
        else:
            ours = [Multipart(self._requests, key, name, upload_id)]
        for multipart in ours:
            multipart.abort()

    def probe(self) -> None:
        """Begins a multipart upload under a random name and aborts it: needs no more than the right to put."""
        import secrets

        name = self._name("probe", f".rud-probe-{secrets.token_hex(8)}")
        try:
            multipart = Multipart.begin(self._requests, "", name, {}, operation="probe")
        except UnsupportedOperationError:
            with translated("probe", ""):
                self._requests.call("head_bucket")
            return
        try:
            multipart.abort()
        except StoreError as error:
            import warnings

            warnings.warn(
                f"the probe's multipart upload {multipart.upload_id} of {name!r} in {self._bucket!r} could not be "
                f"aborted and stays there, empty: {error.reason}",
                RuntimeWarning,
                stacklevel=2,
            )

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._whole(key)}"

    def close(self) -> None:
        self._closed = True
        self._requests.close()

    def _name(self, operation: str, key: str) -> str:
        self._check_open(operation, key)
        return self._whole(key)

    def _whole(self, key: str) -> str:
        name = self._prefix + check_key(key)
        if (length := len(name.encode())) > LONGEST_KEY:
            raise InvalidKeyError(f"the key {key[:60]!r}… has {length} bytes with its prefix, S3 keeps {LONGEST_KEY}")
        return name

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")
