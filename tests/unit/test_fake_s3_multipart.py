"""The faulty S3 server without faults: uploads in parts."""

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
from rud_fakes.s3 import S3Server, checksums

from tests.support.fake_s3 import BUCKET, client, complete, multipart, refused

BODIES = [b"first part", b"second part", b"end"]
WHOLE = b"".join(BODIES)


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server(BUCKET, minimum_part=10, page=2) as made:
        yield made


@pytest.fixture
def s3(server: S3Server) -> Iterator[Any]:
    with client(server.url) as made:
        yield made


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_sum_of_a_whole(parts: list[bytes]) -> None:
    """The sum of a whole is computed from those of its parts, and from their sizes."""
    for algorithm in checksums.LINEAR:
        sums = [(checksums.digest(algorithm, part), len(part)) for part in parts]

        assert checksums.whole(algorithm, sums) == checksums.digest(algorithm, b"".join(parts))


@pytest.mark.parametrize("keep_bytes", [True, False])
def test_full_object_sum(keep_bytes: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A FULL_OBJECT upload has the sum of its bytes, which the completion may declare, and is refused a wrong one."""
    with S3Server(BUCKET, minimum_part=10, keep_bytes=keep_bytes) as server, client(server.url) as s3:
        upload_id, parts = multipart(s3, "k", BODIES, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
        right = b64(zlib.crc32(WHOLE).to_bytes(4, "big"))
        with refused("BadDigest", 400):
            complete(s3, "k", upload_id, parts, ChecksumCRC32=b64(bytes(4)))
        assert (server.objects, list(server.uploads)) == ({}, [upload_id])
        done = complete(s3, "k", upload_id, parts, ChecksumCRC32=right, ChecksumType="FULL_OBJECT")
        head = s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")

        assert (done["ChecksumCRC32"], done["ChecksumType"]) == (right, "FULL_OBJECT")
        assert (head["ChecksumCRC32"], head["ChecksumType"], head["ContentLength"]) == (
            right,
            "FULL_OBJECT",
            len(WHOLE),
        )
        assert server.object("k").crc32c == google_crc32c.value(WHOLE)
        assert server.object("k").data == (WHOLE if keep_bytes else None)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_composite_sum(server: S3Server, s3: Any, algorithm: str) -> None:
    """A COMPOSITE upload has the sum of the sums of its parts, and so has its ETag."""
    upload_id, parts = multipart(s3, "k", BODIES, ChecksumAlgorithm=algorithm, Metadata={"m": "1"}, ContentType="t/x")
    done = complete(s3, "k", upload_id, parts, MpuObjectSize=len(WHOLE))
    sums = b"".join(checksums.digest(algorithm.lower(), body) for body in BODIES)
    md5s = b"".join(hashlib.md5(body).digest() for body in BODIES)
    read = s3.get_object(Bucket=BUCKET, Key="k")

    assert done[f"Checksum{algorithm}"] == f"{b64(checksums.digest(algorithm.lower(), sums))}-3"
    assert (done["ChecksumType"], done["ETag"]) == ("COMPOSITE", f'"{hashlib.md5(md5s).hexdigest()}-3"')
    assert (read["Body"].read(), read["Metadata"], read["ContentType"]) == (WHOLE, {"m": "1"}, "t/x")
    assert (server.uploads, server.object("k").checksum_type) == ({}, "COMPOSITE")


def test_crc32c_by_hand(server: S3Server, s3: Any) -> None:
    """CRC32C values that the caller has computed are checked on each part, and on the whole."""
    begun = s3.create_multipart_upload(Bucket=BUCKET, Key="k", ChecksumAlgorithm="CRC32C", ChecksumType="FULL_OBJECT")
    upload_id = begun["UploadId"]
    sums = [b64(google_crc32c.value(body).to_bytes(4, "big")) for body in BODIES]
    about = {"Bucket": BUCKET, "Key": "k", "UploadId": upload_id}
    with refused("BadDigest", 400):
        s3.upload_part(**about, PartNumber=1, Body=BODIES[0], ChecksumCRC32C=sums[1])
    with refused("InvalidRequest", 400):
        s3.upload_part(**about, PartNumber=1, Body=BODIES[0], ChecksumAlgorithm="CRC32")
    assert server.uploads[upload_id].parts == {}
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**about, PartNumber=number, Body=body, ChecksumCRC32C=value)["ETag"],
            "ChecksumCRC32C": value,
        }
        for number, (body, value) in enumerate(zip(BODIES, sums, strict=True), 1)
    ]
    whole = b64(google_crc32c.value(WHOLE).to_bytes(4, "big"))

    assert (
        complete(s3, "k", upload_id, parts, ChecksumCRC32C=whole, ChecksumType="FULL_OBJECT")["ChecksumCRC32C"] == whole
    )


def test_without_algorithm(server: S3Server, s3: Any) -> None:
    """An upload that was begun without an algorithm needs no sums, and its object tells none."""
    upload_id = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    etag = s3.upload_part(Bucket=BUCKET, Key="k", UploadId=upload_id, PartNumber=1, Body=WHOLE)["ETag"]
    complete(s3, "k", upload_id, [{"PartNumber": 1, "ETag": etag}])

    assert (server.object("k").data, server.object("k").checksum_type) == (WHOLE, None)
    assert server.object("k").crc32c == google_crc32c.value(WHOLE)


def test_conditions(server: S3Server, s3: Any) -> None:
    """A completion that meets an object leaves it as it is and the upload open; later it may succeed."""
    server.put("k", b"there before")
    upload_id, parts = multipart(s3, "k", BODIES)
    with refused("PreconditionFailed", 412):
        complete(s3, "k", upload_id, parts, IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        complete(s3, "k", upload_id, parts, IfMatch='"stale"')
    assert (server.object("k").data, list(server.uploads)) == (b"there before", [upload_id])
    s3.delete_object(Bucket=BUCKET, Key="k")
    complete(s3, "k", upload_id, parts, IfNoneMatch="*")

    assert (server.object("k").data, server.uploads) == (WHOLE, {})
    with refused("NoSuchUpload", 404):
        complete(s3, "k", upload_id, parts)


def test_race_has_one_winner(server: S3Server) -> None:
    """Of 16 conditional completions of one key at once exactly one succeeds; the other uploads stay open."""
    start = threading.Barrier(16)
    won: list[bytes] = []
    codes: list[str] = []
    with client(server.url, max_pool_connections=16) as s3:
        begun = [(body, *multipart(s3, "k", [body])) for body in (b"%d" % number for number in range(16))]

        def finish(body: bytes, upload_id: str, parts: list[dict[str, Any]]) -> None:
            start.wait(10)
            try:
                complete(s3, "k", upload_id, parts, IfNoneMatch="*")
                won.append(body)
            except ClientError as error:
                codes.append(error.response["Error"]["Code"])

        threads = [threading.Thread(target=finish, args=one) for one in begun]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert codes == ["PreconditionFailed"] * 15
    assert [server.object("k").data] == won
    assert len(server.uploads) == 15


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda parts: parts[::-1], "InvalidPartOrder"),
        (lambda parts: parts[:1] * 2, "InvalidPartOrder"),
        (lambda parts: [{**parts[0], "ETag": '"00"'}], "InvalidPart"),
        (lambda parts: [{**parts[0], "PartNumber": 9}], "InvalidPart"),
        (lambda parts: [{**parts[0], "ChecksumCRC32": parts[1]["ChecksumCRC32"]}], "InvalidPart"),
        (lambda parts: [{"PartNumber": 1, "ETag": parts[0]["ETag"]}], "InvalidRequest"),
        (lambda parts: [], "MalformedXML"),
    ],
    ids=["descending", "twice", "another ETag", "a number that is not there", "another sum", "no sum", "none"],
)
def test_wrong_lists_of_parts(server: S3Server, s3: Any, change: Any, code: str) -> None:
    """A completion has to name the parts as they are; one that does not changes nothing."""
    upload_id, parts = multipart(s3, "k", BODIES)
    with refused(code, 400):
        complete(s3, "k", upload_id, change(parts))

    assert (server.objects, list(server.uploads)) == ({}, [upload_id])


def test_small_parts(server: S3Server, s3: Any) -> None:
    """Only the last part may be smaller than the least size, and the sum of the sizes is compared if it is told."""
    upload_id, parts = multipart(s3, "k", [b"too small", b"last"])
    with refused("EntityTooSmall", 400):
        complete(s3, "k", upload_id, parts)
    with refused("InvalidRequest", 400):
        complete(s3, "k", upload_id, parts[:1], MpuObjectSize=1)
    complete(s3, "k", upload_id, parts[:1], MpuObjectSize=9)

    assert server.object("k").data == b"too small"


def test_parts_of_no_upload(s3: Any) -> None:
    """Parts need an open upload of their key and a number from 1 to 10,000; an abort ends it."""
    upload_id, _ = multipart(s3, "k", [])
    about: dict[str, Any] = {"Bucket": BUCKET, "UploadId": upload_id, "Body": b"x"}
    for number in (0, 10_001):
        with refused("InvalidArgument", 400):
            s3.upload_part(**about, Key="k", PartNumber=number)
    with refused("NoSuchUpload", 404):
        s3.upload_part(**about, Key="other", PartNumber=1)
    s3.upload_part(**about, Key="k", PartNumber=10_000)
    s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload_id)
    with refused("NoSuchUpload", 404):
        s3.upload_part(**about, Key="k", PartNumber=1)
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload_id)
    with refused("InvalidRequest", 400):
        s3.create_multipart_upload(Bucket=BUCKET, Key="k", ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")


def test_part_sent_again(server: S3Server, s3: Any) -> None:
    """A part that is sent again takes the place of the first, and the ETag of the first is no longer right."""
    upload_id, parts = multipart(s3, "k", [b"one"])
    again = s3.upload_part(Bucket=BUCKET, Key="k", UploadId=upload_id, PartNumber=1, Body=b"two")
    with refused("InvalidPart", 400):
        complete(s3, "k", upload_id, parts)
    complete(s3, "k", upload_id, [{"PartNumber": 1, "ETag": again["ETag"], "ChecksumCRC32": again["ChecksumCRC32"]}])

    assert server.object("k").data == b"two"


def test_listings(server: S3Server, s3: Any) -> None:
    """Open uploads and their parts are listed, page by page, with what their checksums are."""
    ids = [multipart(s3, key, [])[0] for key in ("a/1", "a/1", "a/2", "b")]
    upload_id, _ = multipart(s3, "c", BODIES, ChecksumType="FULL_OBJECT", ChecksumAlgorithm="CRC32")
    found = [
        one for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET) for one in page["Uploads"]
    ]
    listed = s3.get_paginator("list_parts").paginate(Bucket=BUCKET, Key="c", UploadId=upload_id)
    parts = [part for page in listed for part in page["Parts"]]
    below = s3.list_multipart_uploads(Bucket=BUCKET, Prefix="a/2")["Uploads"]

    assert [one["UploadId"] for one in found] == [*ids, upload_id] == list(server.uploads)
    assert [one["Key"] for one in found] == ["a/1", "a/1", "a/2", "b", "c"]
    assert (found[-1]["ChecksumAlgorithm"], found[-1]["ChecksumType"]) == ("CRC32", "FULL_OBJECT")
    assert found[0]["Initiated"].timestamp() <= found[-1]["Initiated"].timestamp()
    assert [one["UploadId"] for one in below] == ids[2:3]
    assert [(part["PartNumber"], part["Size"]) for part in parts] == [(1, 10), (2, 11), (3, 3)]
    assert parts[0]["ChecksumCRC32"] == b64(zlib.crc32(BODIES[0]).to_bytes(4, "big"))
