"""Operations on one object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from rud_fakes._http.dialect import Reply
from rud_fakes.s3.documents import S3Error, document, http_time, parse, tag, text
from rud_fakes.s3.state import Bucket, Call, StoredObject

META = "x-amz-meta-"
METADATA_LIMIT = 2048
"""Bytes of names and values together, as S3 documents."""
KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
)
"""Headers that belong to an object, and are told by HEAD and GET."""
KEPT_SILENTLY = ("x-amz-acl", "x-amz-tagging")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def put_object(call: Call) -> Reply:
    """Store it, whole and under the condition."""
    received = call.received
    made = StoredObject(
        key=call.target.key,
        data=received.data,
        size=received.size,
        etag=f'"{received.sums["md5"].hex()}"',
        crc32c=int.from_bytes(received.sums["crc32c"], "big"),
        checksums=received.declared,
        checksum_type="FULL_OBJECT" if received.declared else None,
        metadata=metadata_of(call.head.headers),
        headers=kept_of(call.head.headers),
        last_modified=call.state.now(),
    )
    with call.state.lock:
        bucket = call.bucket()
        check_condition(call, bucket)
        bucket.objects[made.key] = made
    return Reply(200, headers={"ETag": made.etag, **checksum_headers(made)})


def check_condition(call: Call, bucket: Bucket) -> None:
    """Under the lock: refuse a write whose condition the stored object does not meet."""
    there = bucket.objects.get(call.target.key)
    none_match, match = call.header("if-none-match"), call.header("if-match")
    if none_match not in (None, "*"):
        raise S3Error(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            Header="If-None-Match",
        )
    if match is not None and there is None:
        raise no_such_key(call)
    if (none_match and there is not None) or (match is not None and there is not None and not _same(match, there)):
        raise S3Error(
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
            Condition="If-None-Match" if none_match else "If-Match",
        )


def _same(given: str, there: StoredObject) -> bool:
    return any(one.strip().strip('"') in ("*", there.etag.strip('"')) for one in given.split(","))


def no_such_key(call: Call) -> S3Error:
    """The error of an object that is not there."""
    return S3Error("NoSuchKey", "The specified key does not exist.", Key=call.target.key)


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The user's own."""
    found = {name.removeprefix(META): value for name, value in headers.items() if name.startswith(META)}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in found.items())
    if size > METADATA_LIMIT:
        raise S3Error(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            Size=str(size),
            MaxSizeAllowed=str(METADATA_LIMIT),
        )
    return found


def kept_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that belong to the object; the framing of the body does not."""
    found = {name: headers[name] for name in (*KEPT, *KEPT_SILENTLY) if name in headers}
    encodings = [one.strip() for one in found.pop("content-encoding", "").split(",")]
    left = ",".join(one for one in encodings if one and one != "aws-chunked")
    return {**found, "content-encoding": left} if left else found


def checksum_headers(there: StoredObject) -> dict[str, str]:
    """What an answer tells of the sums of an object."""
    found = {f"x-amz-checksum-{algorithm}": value for algorithm, value in there.checksums.items()}
    return {**found, "x-amz-checksum-type": there.checksum_type} if there.checksum_type else found


def head_object(call: Call) -> Reply:
    """GET without the body."""
    reply = get_object(call)
    return Reply(reply.status, b"", reply.headers, reply.length)


def get_object(call: Call) -> Reply:
    """The object, or a range of it."""
    with call.state.lock:
        there = call.bucket().objects.get(call.target.key)
    if there is None:
        raise no_such_key(call)
    _check_read(call, there)
    span = _range_of(call.header("range"), there.size)
    begin, end = span or (0, there.size)
    headers = _headers(there)
    if span is not None:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{there.size}"
    elif call.header("x-amz-checksum-mode") == "ENABLED":
        headers.update(checksum_headers(there))
    if there.data is None and call.head.method == "GET":
        raise S3Error("NotImplemented", "This server was told to keep no bytes (keep_bytes=False).")
    body = memoryview(there.data or b"")[begin:end]
    return Reply(200 if span is None else 206, body, headers, end - begin)


def _headers(there: StoredObject) -> dict[str, str]:
    """What GET and HEAD tell of an object."""
    found = {
        "ETag": there.etag,
        "Last-Modified": http_time(there.last_modified),
        "Accept-Ranges": "bytes",
        "Content-Type": "binary/octet-stream",
    }
    found |= {name.title(): there.headers[name] for name in KEPT if name in there.headers}
    if found.get("X-Amz-Storage-Class") == "STANDARD":
        del found["X-Amz-Storage-Class"]  # S3 tells any other class only.
    return found | {f"{META}{name}": value for name, value in there.metadata.items()}


def _check_read(call: Call, there: StoredObject) -> None:
    match, none_match = call.header("if-match"), call.header("if-none-match")
    if match is not None and not _same(match, there):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    if none_match is not None and _same(none_match, there):
        raise S3Error("NotModified", "Not Modified")


def _range_of(given: str | None, size: int) -> tuple[int, int] | None:
    """From, and before; ``None`` for all of it, also where the header says nothing that can be read."""
    found = RANGE.fullmatch(given.strip()) if given else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if first == "":
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return None
    if begin >= end:
        raise S3Error(
            "InvalidRange",
            "The requested range is not satisfiable",
            RangeRequested=given or "",
            ActualObjectSize=str(size),
            headers={"Content-Range": f"bytes */{size}"},
        )
    return begin, end


def delete_object(call: Call) -> Reply:
    """Also of one that is not there."""
    with call.state.lock:
        bucket = call.bucket()
        if call.header("if-match") is not None:
            check_condition(call, bucket)
        bucket.objects.pop(call.target.key, None)
    return Reply(204)


def delete_objects(call: Call) -> Reply:
    """Many at once."""
    asked = parse(call.received.data or b"", "Delete")
    keys = [element.findtext("Key") or "" for element in asked.iter("Object")]
    if not 0 < len(keys) <= 1000:
        raise S3Error("MalformedXML", f"1 to 1,000 objects may be deleted at once, not {len(keys)}.")
    with call.state.lock:
        objects = call.bucket().objects
        for key in keys:
            objects.pop(key, None)
    told = () if _is_true(asked, "Quiet") else [tag("Deleted", text("Key", key)) for key in keys]
    return document("DeleteResult", told)


def _is_true(asked: ET.Element, name: str) -> bool:
    return (asked.findtext(name) or "").lower() == "true"
