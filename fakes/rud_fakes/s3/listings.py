"""Listings, a page at a time, in the order of the names' UTF-8 bytes."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from rud_fakes._http.dialect import Reply
from rud_fakes.s3.documents import S3Error, document, encoder, iso_time, tag, text
from rud_fakes.s3.multipart import open_upload
from rud_fakes.s3.state import Call, StoredObject

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """``last``: the name behind which the next page begins; ``None`` if there is none."""

    items: list[Item]
    prefixes: list[str]
    last: str | None


def page_of(items: Iterable[tuple[str, Item]], prefix: str, delimiter: str, after: str, size: int) -> Page[Item]:
    """The first ``size`` of the named items, and of what stands for several of them, behind ``after``."""
    entries = _entries(items, prefix, delimiter, after)
    taken = list(itertools.islice(entries, size))
    more = size > 0 and next(entries, None) is not None
    return Page(
        items=[item for _, item in taken if item is not None],
        prefixes=[name for name, item in taken if item is None],
        last=taken[-1][0] if more else None,
    )


def _entries(
    items: Iterable[tuple[str, Item]], prefix: str, delimiter: str, after: str
) -> Iterator[tuple[str, Item | None]]:
    """Names with their items; a common prefix once, and without one."""
    seen = after
    for name, item in sorted(items, key=lambda pair: pair[0].encode()):
        if not name.startswith(prefix) or name.encode() <= after.encode():
            continue
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            yield name, item
            continue
        common = name[: cut + len(delimiter)]
        if common != seen:
            seen = common
            yield common, None


def list_objects_v2(call: Call) -> Reply:
    """The way of today: with a token."""
    token = call.parameter("continuation-token")
    after = _from_token(token) if token else call.parameter("start-after")
    page, inner = _list(call, after)
    inner.append(text("KeyCount", len(page.items) + len(page.prefixes)))
    if token:
        inner.append(text("ContinuationToken", token))
    if page.last is not None:
        inner.append(text("NextContinuationToken", base64.urlsafe_b64encode(page.last.encode()).decode()))
    if call.parameter("start-after"):
        inner.append(encoder(call.parameter("encoding-type"))("StartAfter", call.parameter("start-after")))
    return document("ListBucketResult", inner)


def list_objects(call: Call) -> Reply:
    """The old way: with a marker."""
    page, inner = _list(call, call.parameter("marker"))
    encode = encoder(call.parameter("encoding-type"))
    inner.append(encode("Marker", call.parameter("marker")))
    if page.last is not None and call.parameter("delimiter"):
        inner.append(encode("NextMarker", page.last))
    return document("ListBucketResult", inner)


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from None


def _list(call: Call, after: str) -> tuple[Page[StoredObject], list[str]]:
    """A page and what both ways tell of it."""
    prefix, delimiter = call.parameter("prefix"), call.parameter("delimiter")
    size = call.number("max-keys", call.state.page, call.state.page)
    encode = encoder(call.parameter("encoding-type"))
    with call.state.lock:
        objects = list(call.bucket().objects.items())
    page = page_of(objects, prefix, delimiter, after, size)
    inner = [text("Name", call.target.bucket), encode("Prefix", prefix), text("MaxKeys", size), encode.note()]
    if delimiter:
        inner.append(encode("Delimiter", delimiter))
    inner.append(text("IsTruncated", str(page.last is not None).lower()))
    inner += [_contents(there, encode) for there in page.items]
    inner += [tag("CommonPrefixes", encode("Prefix", common)) for common in page.prefixes]
    return page, inner


def _contents(there: StoredObject, encode: Callable[[str, str], str]) -> str:
    inner = [
        encode("Key", there.key),
        text("LastModified", iso_time(there.last_modified)),
        text("ETag", there.etag),
        text("Size", there.size),
        text("StorageClass", there.headers.get("x-amz-storage-class", "STANDARD")),
    ]
    inner += [text("ChecksumAlgorithm", algorithm.upper()) for algorithm in there.checksums]
    if there.checksum_type:
        inner.append(text("ChecksumType", there.checksum_type))
    return tag("Contents", *inner)


def list_multipart_uploads(call: Call) -> Reply:
    """Those that are open; of one key, the oldest first."""
    prefix, most = call.parameter("prefix"), call.number("max-uploads", call.state.page, call.state.page)
    after = (call.parameter("key-marker"), call.parameter("upload-id-marker"))
    encode = encoder(call.parameter("encoding-type"))
    with call.state.lock:
        uploads = list(call.bucket().uploads.values())
    found = sorted(
        (upload for upload in uploads if upload.key.startswith(prefix)),
        key=lambda upload: (upload.key.encode(), upload.upload_id),
    )
    found = [upload for upload in found if _is_behind(upload.key, upload.upload_id, *after)]
    page = found[:most]
    inner = [text("Bucket", call.target.bucket), encode("Prefix", prefix), text("MaxUploads", most), encode.note()]
    inner += [encode("KeyMarker", after[0]), text("UploadIdMarker", after[1])]
    inner.append(text("IsTruncated", str(len(found) > most).lower()))
    if page and len(found) > most:
        inner += [encode("NextKeyMarker", page[-1].key), text("NextUploadIdMarker", page[-1].upload_id)]
    for upload in page:
        about = [encode("Key", upload.key), text("UploadId", upload.upload_id)]
        about += [text("StorageClass", upload.headers.get("x-amz-storage-class", "STANDARD"))]
        about += [text("Initiated", iso_time(upload.initiated))]
        if upload.algorithm:
            about += [text("ChecksumAlgorithm", upload.algorithm.upper()), text("ChecksumType", upload.checksum_type)]
        inner.append(tag("Upload", *about))
    return document("ListMultipartUploadsResult", inner)


def _is_behind(key: str, upload_id: str, key_marker: str, upload_id_marker: str) -> bool:
    if not key_marker:
        return True
    if key == key_marker:
        return bool(upload_id_marker) and upload_id > upload_id_marker
    return key.encode() > key_marker.encode()


def list_parts(call: Call) -> Reply:
    """Of one open upload."""
    most = call.number("max-parts", call.state.page, call.state.page)
    after = call.number("part-number-marker", 0, 10_000)
    with call.state.lock:
        upload = open_upload(call, call.bucket())
    numbers = sorted(number for number in upload.parts if number > after)
    page = numbers[:most]
    inner = [text("Bucket", call.target.bucket), text("Key", upload.key), text("UploadId", upload.upload_id)]
    inner += [text("PartNumberMarker", after), text("NextPartNumberMarker", page[-1] if page else 0)]
    inner += [text("MaxParts", most), text("IsTruncated", str(len(numbers) > most).lower())]
    if upload.algorithm:
        inner += [text("ChecksumAlgorithm", upload.algorithm.upper()), text("ChecksumType", upload.checksum_type)]
    for number in page:
        part = upload.parts[number]
        about = [text("PartNumber", number), text("ETag", part.etag), text("Size", part.size)]
        about.append(text("LastModified", iso_time(part.last_modified)))
        if upload.algorithm and part.checksum is not None and part.declared:
            from rud_fakes.s3.checksums import encode as encode_sum

            about.append(text(f"Checksum{upload.algorithm.upper()}", encode_sum(part.checksum)))
        inner.append(tag("Part", *about))
    return document("ListPartsResult", inner)
