"""Multipart uploads."""

from __future__ import annotations

import uuid

from rud_fakes._http.dialect import Reply
from rud_fakes.oci.documents import OCIError, document, iso_time, parse
from rud_fakes.oci.objects import META, check_free, new_etag, stored, sum_of
from rud_fakes.s3 import checksums
from rud_fakes.s3.state import Bucket, Call, StoredPart, Upload


def create(call: Call) -> Reply:
    """Begin one; of an object that is there not, if it must not be."""
    asked = parse(call.received.data or b"")
    metadata = {str(name).removeprefix(META): str(text) for name, text in (asked.get("metadata") or {}).items()}
    upload = Upload(
        key=str(asked.get("object") or ""),
        upload_id=str(uuid.uuid4()),
        algorithm="crc32c",
        checksum_type="FULL_OBJECT",
        metadata=metadata,
        headers={},
        initiated=call.state.now(),
    )
    with call.state.lock:
        check_free(call, call.bucket(), upload.key)
        call.bucket().uploads[upload.upload_id] = upload
    told = {"namespace": "", "bucket": call.target.bucket, "object": upload.key, "uploadId": upload.upload_id}
    return document({**told, "timeCreated": iso_time(upload.initiated)})


def _open(call: Call, bucket: Bucket) -> Upload:
    """Under the lock."""
    found = bucket.uploads.get(call.parameter("uploadId"))
    if found is None or found.key != call.target.key:
        raise OCIError(404, "NoSuchUpload", "There is no such multipart upload")
    return found


def upload_part(call: Call) -> Reply:
    """Keep a part, instead of an earlier one of its number."""
    if call.target.part is None or not 1 <= call.target.part <= 10_000:
        raise OCIError(400, "InvalidUploadPart", "The number of the part is not between 1 and 10000")
    received = call.received
    crc32c = received.sums["crc32c"]
    now = call.state.now()
    part = StoredPart(
        received.data,
        received.size,
        new_etag(),
        int.from_bytes(crc32c, "big"),
        crc32c,
        declared=True,
        last_modified=now,
    )
    with call.state.lock:
        bucket = call.bucket()
        upload = _open(call, bucket)
        bucket.uploads[upload.upload_id] = upload.with_part(call.target.part, part)
    return Reply(200, headers={"ETag": part.etag, "opc-content-crc32c": sum_of(part.crc32c)})


def commit(call: Call) -> Reply:
    """Make the object of its parts."""
    asked = parse(call.received.data or b"")
    with call.state.lock:
        bucket = call.bucket()
        upload = _open(call, bucket)
        check_free(call, bucket, upload.key)
        parts = [_named(upload, one) for one in asked.get("partsToCommit") or []]
        if not parts:
            raise OCIError(400, "InvalidUploadPart", "No parts were named")
        whole = checksums.whole("crc32c", [(part.checksum or b"", part.size) for part in parts])
        data = b"".join(part.data or b"" for part in parts)
        made = stored(call, upload.key, data, int.from_bytes(whole, "big"), upload.metadata)
        bucket.objects[made.key] = made
        del bucket.uploads[upload.upload_id]
    return Reply(200, headers={"ETag": made.etag, "opc-content-crc32c": sum_of(made.crc32c)})


def _named(upload: Upload, asked: dict[str, object]) -> StoredPart:
    number = asked.get("partNum")
    part = upload.parts.get(number) if isinstance(number, int) else None
    if part is None or part.etag != asked.get("etag"):
        raise OCIError(400, "InvalidUploadPart", f"The part {number} is not as it was uploaded")
    return part


def abort(call: Call) -> Reply:
    """Give its parts up."""
    with call.state.lock:
        bucket = call.bucket()
        del bucket.uploads[_open(call, bucket).upload_id]
    return Reply(204)
