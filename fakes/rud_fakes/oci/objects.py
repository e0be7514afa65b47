"""Operations on objects."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from email.utils import formatdate

from rud_fakes._http.dialect import Reply
from rud_fakes.oci.documents import OCIError, document, iso_time
from rud_fakes.s3 import checksums
from rud_fakes.s3.state import Bucket, Call, StoredObject

META = "opc-meta-"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def new_etag() -> str:
    """Of each write another."""
    return str(uuid.uuid4())


def sum_of(crc32c: int) -> str:
    """As headers tell it."""
    return checksums.encode(crc32c.to_bytes(4, "big"))


def check_free(call: Call, bucket: Bucket, key: str) -> None:
    """Under the lock: refuse a write whose condition does not hold."""
    if call.header("if-none-match") == "*" and key in bucket.objects:
        raise OCIError(412, "IfNoneMatchFailed", "The If-None-Match header is '*' and the object exists")


def put(call: Call) -> Reply:
    """Store it, whole and under the condition."""
    received = call.received
    headers = call.head.headers
    made = stored(
        call,
        call.target.key,
        received.data or b"",
        int.from_bytes(received.sums["crc32c"], "big"),
        {name.removeprefix(META): text for name, text in headers.items() if name.startswith(META)},
    )
    with call.state.lock:
        check_free(call, call.bucket(), made.key)
        call.bucket().objects[made.key] = made
    return Reply(200, headers={"ETag": made.etag, "opc-content-crc32c": sum_of(made.crc32c)})


def stored(call: Call, key: str, data: bytes, crc32c: int, metadata: Mapping[str, str]) -> StoredObject:
    """The object to be."""
    return StoredObject(
        key=key,
        data=data,
        size=len(data),
        etag=new_etag(),
        crc32c=crc32c,
        checksums={},
        checksum_type=None,
        metadata=metadata,
        headers={},
        last_modified=call.state.now(),
    )


def get(call: Call) -> Reply:
    """What is known of it, and, to GET, its bytes or a range of them."""
    with call.state.lock:
        there = call.bucket().objects.get(call.target.key)
    if there is None:
        said = f"The object '{call.target.key}' was not found in the bucket '{call.target.bucket}'"
        raise OCIError(404, "ObjectNotFound", said)
    begin, end = _span(call.header("range"), there.size)
    headers = {
        "ETag": there.etag,
        "Last-Modified": formatdate(there.last_modified, usegmt=True),
        "Content-Type": "application/octet-stream",
        "opc-content-crc32c": sum_of(there.crc32c),
        **{f"{META}{name}": text for name, text in there.metadata.items()},
    }
    if call.header("range"):
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{there.size}"
    return Reply(206 if call.header("range") else 200, memoryview(there.data or b"")[begin:end], headers, end - begin)


def _span(given: str | None, size: int) -> tuple[int, int]:
    found = _RANGE.fullmatch(given) if given else None
    if found is None:
        return 0, size
    begin, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    if begin >= end:
        raise OCIError(416, "InvalidRange", "The range is not within the object")
    return begin, end


def listing(call: Call) -> Reply:
    """A page of the objects, by their names' bytes."""
    prefix, start = call.parameter("prefix"), call.parameter("start").encode()
    limit = min(int(call.parameter("limit") or call.state.page), call.state.page)
    with call.state.lock:
        found = [one for one in call.bucket().objects.values() if one.key.startswith(prefix)]
    found = sorted((one for one in found if one.key.encode() >= start), key=lambda one: one.key.encode())
    told = [
        {"name": one.key, "size": one.size, "etag": one.etag, "timeModified": iso_time(one.last_modified)}
        for one in found[:limit]
    ]
    rest = {"nextStartWith": found[limit].key} if found[limit:] else {}
    return document({"objects": told, "prefixes": [], **rest})


def delete(call: Call) -> Reply:
    """404 for one that is not there."""
    with call.state.lock:
        if call.bucket().objects.pop(call.target.key, None) is None:
            raise OCIError(404, "ObjectNotFound", f"The object '{call.target.key}' was not found")
    return Reply(204)
