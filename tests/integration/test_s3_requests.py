"""What the S3 store asks for, with which arguments, and how much memory that takes."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest
from rud_fakes.s3 import Fault, S3Server
from rud_fakes.servers import Versitygw

from rud import RemoteUploaderDownloader, State
from rud._body import Body
from rud.backends.s3 import S3ObjectStore
from rud.errors import (
    StoreError,
)
from rud.store import PutMode
from tests.support.contract import get, put
from tests.support.s3 import CREDENTIALS, ONE_TRY, PART, SMALL_PARTS, address_of, content, new_place


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server("bucket", credentials=CREDENTIALS) as made:
        yield made


@pytest.fixture
def store(server: S3Server) -> S3ObjectStore:
    """Asks once, so that what is seen is what one answer leads to."""
    return S3ObjectStore(
        "bucket", **address_of(server).backend_kwargs, client_config=ONE_TRY, transfer_config=SMALL_PARTS
    )


EXTRA = {
    "ACL": "bucket-owner-full-control",
    "ExpectedBucketOwner": "123456789012",
    "Metadata": {"team": "vision"},
    "RequestPayer": "requester",
    "SSEKMSKeyId": "key-1",
    "ServerSideEncryption": "aws:kms",
    "StorageClass": "STANDARD_IA",
    "Tagging": "a=b",
}
ALWAYS = {"x-amz-expected-bucket-owner": "123456789012", "x-amz-request-payer": "requester"}
WRITING = {
    **ALWAYS,
    "x-amz-acl": "bucket-owner-full-control",
    "x-amz-meta-team": "vision",
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
    "x-amz-storage-class": "STANDARD_IA",
    "x-amz-tagging": "a=b",
}
REACHES = {
    "PutObject": WRITING,
    "CreateMultipartUpload": WRITING,
    "UploadPart": ALWAYS,
    "CompleteMultipartUpload": ALWAYS,
    "AbortMultipartUpload": ALWAYS,
    "GetObject": ALWAYS,
    "HeadObject": ALWAYS,
    "DeleteObject": ALWAYS,
    "ListObjectsV2": ALWAYS,
    "ListMultipartUploads": ALWAYS,
}


def test_extra_args_reach_every_operation(server: S3Server) -> None:
    """Each of the user's arguments goes with every request that has it, with no other, beside the id of the upload."""
    arguments = address_of(server).backend_kwargs
    store = S3ObjectStore("bucket", **arguments, extra_args=EXTRA, transfer_config=SMALL_PARTS)
    put(store, "small", b"x", entry_id="id-1")
    put(store, "large", content(PART + 1), entry_id="id-2")
    get(store, "small")
    store.head("small")
    store.list("")
    store.abort("large", None)
    store.probe()
    store.delete("small")

    ours = {name for headers in REACHES.values() for name in headers}
    for operation, expected in REACHES.items():
        sent = [one for one in server.requests if one.operation == operation]
        assert sent, operation
        for one in sent:
            assert {name: value for name, value in one.headers.items() if name in ours} == expected, operation
    assert server.object("large").metadata == {"rud-entry-id": "id-2", "team": "vision"}


def test_the_acl_of_the_environment(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """``S3_CANNED_ACL`` is the ACL unless the arguments have one."""
    monkeypatch.setenv("S3_CANNED_ACL", "private")
    for extra, expected in ((None, "private"), ({"ACL": "public-read"}, "public-read")):
        store = S3ObjectStore("bucket", **address_of(server).backend_kwargs, extra_args=extra)
        put(store, "k", b"x")
        assert server.requests[-1].headers["x-amz-acl"] == expected


def test_init_leaves_nothing(server: S3Server, tmp_path: Path) -> None:
    """The logger's ``init`` has a worker begin a multipart upload and abort it: no other request is made, and neither
    an object nor an upload is left."""
    logger = RemoteUploaderDownloader(
        "s3://bucket/some/prefix", address_of(server).backend_kwargs, upload_staging_folder=tmp_path
    )
    logger.init(State(run_name="run"), None)
    logger.post_close()

    assert [one.operation for one in server.requests] == ["CreateMultipartUpload", "AbortMultipartUpload"]
    assert {str(one.key).rpartition("-")[0] for one in server.requests} == {"some/prefix/.rud-probe"}
    assert (server.objects, server.uploads) == ({}, {})


@pytest.mark.parametrize("transfer", [SMALL_PARTS, {"multipart_threshold": 1 << 30}], ids=["parts", "one request"])
def test_memory(rud_versitygw: Versitygw, transfer: dict[str, int]) -> None:
    """An upload of any size, in one request or in parts, takes no more memory for its bytes than the stated bound."""
    store = new_place(rud_versitygw.address).store(transfer_config=transfer)
    put(store, "first", content(PART + 1))  # whatever is imported and made once

    class Endless(io.RawIOBase):
        def seek(self, offset: int, whence: int = 0) -> int:
            return offset

        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    size = 64 << 20
    tracemalloc.start()
    try:
        put(store, "k", Body(Endless(), size))  # type: ignore[arg-type]  # as much of a binary file as a body uses
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert store.head("k").checksum == google_crc32c.value(bytes(size))
    under_way = transfer.get("max_concurrency", 4)
    # One MiB beside the bytes for the requests themselves; 2.3 and 2.0 MiB were seen in all.
    assert peak < (1 + under_way) * (1 << 20) + (1 << 20)


def test_every_put_has_its_sum(server: S3Server, store: S3ObjectStore) -> None:
    """Each put, each part and each completion carries a CRC32C as a header, so that the service can refuse other
    bytes; and a completion whether it may replace."""
    for size in (0, 1000, PART + 1000):
        put(store, f"{size}", content(size), mode=PutMode.CREATE)

    for one in server.requests:
        if one.operation in ("PutObject", "UploadPart", "CompleteMultipartUpload"):
            assert "x-amz-checksum-crc32c" in one.headers, one
            assert "aws-chunked" not in one.headers.get("content-encoding", ""), one
        if one.operation in ("PutObject", "CompleteMultipartUpload"):
            assert one.headers["if-none-match"] == "*", one
    assert server.object(f"{PART + 1000}").checksum_type == "FULL_OBJECT"
    assert server.object(f"{PART + 1000}").crc32c == google_crc32c.value(content(PART + 1000))


def test_one_try_is_one_request(server: S3Server) -> None:
    """``client_config`` reaches botocore: with one attempt a request is made once."""
    server.add(Fault("HeadObject", "status", times=None))
    store = S3ObjectStore("bucket", **address_of(server).backend_kwargs, client_config=ONE_TRY)
    with pytest.raises(StoreError):
        store.head("k")

    assert [one.operation for one in server.requests] == ["HeadObject"]
