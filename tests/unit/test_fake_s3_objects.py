"""The faulty S3 server without faults: objects, conditions, checksums, ranges, listings, as boto3 sees them."""

from __future__ import annotations

import base64
import hashlib
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import google_crc32c
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.s3 import S3Server
from rud_fakes.s3.listings import page_of

from tests.support.fake_s3 import BUCKET, client, refused

NAMES = ("a/ü b", "+%2F?&#=", "x//y", "/lead", "./d", "a/../b", "tab\there", "\U0001f600", "\ufffd", "quote'\"<>")


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server(BUCKET, page=7) as made:
        yield made


@pytest.fixture
def s3(server: S3Server) -> Iterator[Any]:
    with client(server.url) as made:
        yield made


def b64(value: int) -> str:
    return base64.b64encode(value.to_bytes(4, "big")).decode()


@pytest.mark.parametrize("key", [*NAMES, "k" * 1024])
def test_round_trip(server: S3Server, s3: Any, key: str) -> None:
    """What was put is what is read, listed, and seen from inside, whatever the key is."""
    data = b"content of " + key.encode()
    s3.put_object(
        Bucket=BUCKET, Key=key, Body=data, Metadata={"entry": "7"}, ContentType="text/x", StorageClass="GLACIER"
    )
    read = s3.get_object(Bucket=BUCKET, Key=key)
    kept = server.object(key)

    assert read["Body"].read() == kept.data == data
    assert (read["Metadata"], read["ContentType"], read["StorageClass"]) == ({"entry": "7"}, "text/x", "GLACIER")
    assert read["ETag"] == kept.etag == f'"{hashlib.md5(data).hexdigest()}"'
    assert (kept.crc32c, kept.size, dict(kept.metadata)) == (google_crc32c.value(data), len(data), {"entry": "7"})
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [key]
    for _ in range(2):
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert server.objects == {}


def test_what_is_not_there(s3: Any) -> None:
    """A missing object or bucket is told as S3 tells it, to a HEAD without a body."""
    for read in (s3.get_object, s3.head_object):
        with refused("NoSuchKey" if read == s3.get_object else "404", 404):
            read(Bucket=BUCKET, Key="k")
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="other", Key="k", Body=b"x")
    with refused("404", 404):
        s3.head_bucket(Bucket="other")
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=BUCKET, Key="ü" * 512 + "k", Body=b"")
    with refused("NotImplemented", 501):
        s3.get_object_acl(Bucket=BUCKET, Key="k")


def test_buckets(s3: Any) -> None:
    """Buckets are made once, found, and listed."""
    s3.create_bucket(Bucket="another")
    with refused("BucketAlreadyOwnedByYou", 409):
        s3.create_bucket(Bucket="another")

    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["another", BUCKET]
    assert s3.head_bucket(Bucket="another")["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket="another")["LocationConstraint"] is None


def test_conditions(server: S3Server, s3: Any) -> None:
    """A write happens only under the condition that it names; the object stays as it was otherwise."""
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"0", IfMatch='"x"')
    etag = s3.put_object(Bucket=BUCKET, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"3", IfMatch='"stale"')
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"4", IfNoneMatch=etag)

    assert server.object("k").data == b"1"
    with refused("304", 304):
        s3.get_object(Bucket=BUCKET, Key="k", IfNoneMatch=etag)
    with refused("PreconditionFailed", 412):
        s3.get_object(Bucket=BUCKET, Key="k", IfMatch='"stale"')
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"5", IfMatch=etag)
    assert server.object("k").data == b"5"


def test_race_has_one_winner(server: S3Server) -> None:
    """Of 16 creates of one key at once exactly one succeeds, and its bytes are stored."""
    start = threading.Barrier(16)
    won: list[bytes] = []
    refusals: list[str] = []

    def create(s3: Any, body: bytes) -> None:
        start.wait(10)
        try:
            s3.put_object(Bucket=BUCKET, Key="k", Body=body, IfNoneMatch="*")
            won.append(body)
        except ClientError as error:
            refusals.append(error.response["Error"]["Code"])

    with client(server.url, max_pool_connections=16) as s3:
        threads = [threading.Thread(target=create, args=(s3, b"%d" % number)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert refusals == ["PreconditionFailed"] * 15
    assert [server.object("k").data] == won


@pytest.mark.parametrize(
    "sent",
    [
        {"ChecksumCRC32": b64(1)},
        {"ChecksumCRC32C": b64(1)},
        {"ChecksumSHA1": base64.b64encode(bytes(20)).decode()},
        {"ChecksumSHA256": base64.b64encode(bytes(32)).decode()},
        {"ContentMD5": base64.b64encode(bytes(16)).decode()},
    ],
    ids=lambda sent: next(iter(sent)),
)
def test_wrong_sum(server: S3Server, s3: Any, sent: dict[str, str]) -> None:
    """Bytes that are not those which were summed are refused, and nothing is stored."""
    with refused("BadDigest", 400):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"content", **sent)

    assert server.objects == {}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"ChecksumCRC32": "no sum"}, "InvalidRequest"),
        ({"ChecksumCRC32": b64(zlib.crc32(b"content")), "ChecksumCRC32C": b64(0)}, "InvalidRequest"),
        ({"ContentMD5": "no sum"}, "InvalidDigest"),
        ({"ChecksumCRC64NVME": "AAAAAAAAAAA="}, "NotImplemented"),
        ({"Metadata": {"m": "x" * 2048}}, "MetadataTooLarge"),
    ],
    ids=["no sum", "two sums", "no MD5", "another algorithm", "metadata"],
)
def test_what_no_request_may_say(server: S3Server, s3: Any, sent: dict[str, Any], code: str) -> None:
    """What cannot be checked is refused, not stored unchecked."""
    with refused(code):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"content", **sent)

    assert server.objects == {}


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_sum_is_given_back(s3: Any, algorithm: str) -> None:
    """The checksum of a put is answered, and told again to whoever asks for it."""
    put = s3.put_object(Bucket=BUCKET, Key="k", Body=b"content", ChecksumAlgorithm=algorithm)
    silent = s3.head_object(Bucket=BUCKET, Key="k")
    told = s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"][0]
    name = f"Checksum{algorithm}"

    assert (put[name], put["ChecksumType"]) == (told[name], told["ChecksumType"]) == (put[name], "FULL_OBJECT")
    assert name not in silent
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == ([algorithm], "FULL_OBJECT")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("bytes=0-3", (206, b"0123", "bytes 0-3/10")),
        ("bytes=8-", (206, b"89", "bytes 8-9/10")),
        ("bytes=8-99", (206, b"89", "bytes 8-9/10")),
        ("bytes=-3", (206, b"789", "bytes 7-9/10")),
        ("bytes=-99", (206, b"0123456789", "bytes 0-9/10")),
        ("bytes=junk", (200, b"0123456789", None)),
        ("bytes=3-2", (200, b"0123456789", None)),
    ],
)
def test_ranges(server: S3Server, s3: Any, asked: str, answer: tuple[int, bytes, str | None]) -> None:
    """A range is answered with its bytes, and one that cannot be read with all of them."""
    server.put("k", b"0123456789")
    found = s3.get_object(Bucket=BUCKET, Key="k", Range=asked)

    assert (found["ResponseMetadata"]["HTTPStatusCode"], found["Body"].read(), found.get("ContentRange")) == answer


@pytest.mark.parametrize(("data", "asked"), [(b"0123", "bytes=4-"), (b"", "bytes=0-"), (b"0123", "bytes=-0")])
def test_range_outside(server: S3Server, s3: Any, data: bytes, asked: str) -> None:
    """A range of which the object has nothing is refused."""
    server.put("k", data)
    with refused("InvalidRange", 416):
        s3.get_object(Bucket=BUCKET, Key="k", Range=asked)


def test_listing_over_pages(server: S3Server, s3: Any) -> None:
    """Every key comes once, in the order of UTF-8 bytes, over as many pages as it takes, by both ways."""
    keys = sorted([*NAMES, *(f"p/{number}" for number in range(20))], key=str.encode)
    for key in keys:
        server.put(key, b"x")
    for way in ("list_objects_v2", "list_objects"):
        pages = list(s3.get_paginator(way).paginate(Bucket=BUCKET))

        assert [one["Key"] for page in pages for one in page["Contents"]] == keys
        assert [len(page["Contents"]) for page in pages] == [7, 7, 7, 7, 2]
    two = s3.list_objects_v2(Bucket=BUCKET, Prefix="p/", MaxKeys=2, StartAfter="p/1")
    assert [one["Key"] for one in two["Contents"]] == ["p/10", "p/11"]
    with refused("InvalidArgument"):
        s3.list_objects_v2(Bucket=BUCKET, ContinuationToken="!")


def test_listing_by_folder(server: S3Server, s3: Any) -> None:
    """With a delimiter each folder comes once, also over pages."""
    for key in ["a/1", "a/2", "b", "c/d/1", "c/e", "d"]:
        server.put(key, b"x")
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": 1})
    )

    assert [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])] == ["a/", "c/"]
    assert [one["Key"] for page in pages for one in page.get("Contents", [])] == ["b", "d"]


@given(
    st.sets(st.text("ab/é\U0001f600", max_size=4)),
    st.text("a/", max_size=2),
    st.sampled_from(["", "/"]),
    st.integers(1, 4),
)
def test_pages_make_up_the_listing(names: set[str], prefix: str, delimiter: str, size: int) -> None:
    """Page after page is the whole listing, whatever the size of a page."""
    items = [(name, name) for name in names if name]
    whole = page_of(items, prefix, delimiter, "", 10_000)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = page_of(items, prefix, delimiter, after, size)
        found += sorted([*page.items, *page.prefixes], key=str.encode)
        after = page.last

    assert found == sorted([*whole.items, *whole.prefixes], key=str.encode)
    assert len(found) == len(set(found))


def test_many_are_deleted_at_once(server: S3Server, s3: Any) -> None:
    """DeleteObjects deletes what is named, also what is not there."""
    server.put("a", b"x")
    server.put("b", b"x")
    done = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a"}, {"Key": "none"}]})

    assert ([one["Key"] for one in done["Deleted"]], list(server.objects)) == (["a", "none"], ["b"])


def test_bytes_that_are_not_kept() -> None:
    """With ``keep_bytes=False`` an object is summed and counted, and reading it is refused."""
    with S3Server(BUCKET, keep_bytes=False) as server, client(server.url) as s3:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"content")
        kept = server.object("k")

        assert (kept.data, kept.size, kept.crc32c) == (None, 7, google_crc32c.value(b"content"))
        assert s3.head_object(Bucket=BUCKET, Key="k")["ContentLength"] == 7
        with refused("NotImplemented"):
            s3.get_object(Bucket=BUCKET, Key="k")
