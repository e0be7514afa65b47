"""Uploads in parts."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from rud_fakes._http.dialect import Reply
from rud_fakes.s3 import checksums
from rud_fakes.s3.documents import S3Error, document, parse, text
from rud_fakes.s3.objects import check_condition, kept_of, metadata_of
from rud_fakes.s3.state import Bucket, Call, StoredObject, StoredPart, Upload

MOST_PARTS = 10_000


def create_multipart_upload(call: Call) -> Reply:
    """Begin one."""
    algorithm, kind = _checksum_asked(call)
    state = call.state
    upload = Upload(
        key=call.target.key,
        upload_id=f"upload-{next(state.numbers):08d}",
        algorithm=algorithm,
        checksum_type=kind,
        metadata=metadata_of(call.head.headers),
        headers=kept_of(call.head.headers),
        initiated=state.now(),
    )
    with state.lock:
        call.bucket().uploads[upload.upload_id] = upload
    headers = {}
    if algorithm and kind:
        headers = {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": kind}
    inner = [text("Bucket", call.target.bucket), text("Key", upload.key), text("UploadId", upload.upload_id)]
    return document("InitiateMultipartUploadResult", inner, headers)


def _checksum_asked(call: Call) -> tuple[str | None, str | None]:
    """The algorithm and the type of an upload that is to begin."""
    given, kind = call.header("x-amz-checksum-algorithm"), call.header("x-amz-checksum-type")
    if given is None:
        if kind is not None:
            raise S3Error("InvalidRequest", "The x-amz-checksum-type header needs an x-amz-checksum-algorithm.")
        return None, None
    algorithm = given.lower()
    if algorithm not in checksums.ALGORITHMS:
        raise S3Error("NotImplemented", f"This server does not compute {given}.")
    kind = kind or "COMPOSITE"
    if kind not in ("COMPOSITE", "FULL_OBJECT") or (kind == "FULL_OBJECT" and algorithm not in checksums.LINEAR):
        raise S3Error(
            "InvalidRequest", f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
        )
    return algorithm, kind


def open_upload(call: Call, bucket: Bucket) -> Upload:
    """Under the lock: the upload that a request is about."""
    found = bucket.uploads.get(call.parameter("uploadId"))
    if found is None or found.key != call.target.key:
        raise S3Error(
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed.",
            UploadId=call.parameter("uploadId"),
        )
    return found


def check_part_number(call: Call) -> int:
    """1 to 10,000."""
    number = call.target.part
    if number is None or not 1 <= number <= MOST_PARTS:
        raise S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    return number


def upload_part(call: Call) -> Reply:
    """One part; sent again, it takes the place of the first."""
    received, number = call.received, check_part_number(call)
    with call.state.lock:
        bucket = call.bucket()
        upload = open_upload(call, bucket)
        _check_part_checksum(call, upload)
        part = StoredPart(
            data=received.data,
            size=received.size,
            etag=f'"{received.sums["md5"].hex()}"',
            crc32c=int.from_bytes(received.sums["crc32c"], "big"),
            checksum=received.sums.get(upload.algorithm) if upload.algorithm else None,
            declared=bool(received.declared),
            last_modified=call.state.now(),
        )
        bucket.uploads[upload.upload_id] = upload.with_part(number, part)
    told = {f"x-amz-checksum-{name}": value for name, value in received.declared.items()}
    return Reply(200, headers={"ETag": part.etag, **told})


def _check_part_checksum(call: Call, upload: Upload) -> None:
    """A part brings the sum that its upload was begun with."""
    given = next(iter(call.received.declared), None)
    may_lack = upload.checksum_type != "COMPOSITE"
    if upload.algorithm is not None and given != upload.algorithm and not (given is None and may_lack):
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm}, actual checksum Type: "
            f"{given or 'null'}",
        )


def complete_multipart_upload(call: Call) -> Reply:
    """Make the object of the parts, under the condition; a failed one leaves the upload open."""
    asked = parse(call.received.data or b"", "CompleteMultipartUpload")
    with call.state.lock:
        upload = open_upload(call, call.bucket())
    parts = _chosen(call, upload, asked)
    made = _assembled(call, upload, parts)
    with call.state.lock:
        bucket = call.bucket()
        open_upload(call, bucket)
        check_condition(call, bucket)
        bucket.objects[made.key] = made
        del bucket.uploads[upload.upload_id]
    inner = [text("Bucket", call.target.bucket), text("Key", made.key), text("ETag", made.etag)]
    inner += [text(f"Checksum{name.upper()}", value) for name, value in made.checksums.items()]
    if made.checksum_type:
        inner.append(text("ChecksumType", made.checksum_type))
    return document("CompleteMultipartUploadResult", inner)


def _chosen(call: Call, upload: Upload, asked: ET.Element) -> list[StoredPart]:
    """The parts that the document names, each of them checked."""
    chosen: list[StoredPart] = []
    last = 0
    for element in asked.iter("Part"):
        given = element.findtext("PartNumber") or ""
        if not given.isdecimal():
            raise S3Error("MalformedXML", f"A part has the number {given!r}.")
        number = int(given)
        if number <= last:
            raise S3Error("InvalidPartOrder", "The list of parts was not in ascending order.")
        chosen.append(_checked(upload, number, element))
        last = number
    if not chosen:
        raise S3Error("MalformedXML", "You must specify at least one part.")
    for number, part in enumerate(chosen[:-1], 1):
        if part.size < call.state.minimum_part:
            raise S3Error(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                ETag=part.etag.strip('"'),
                PartNumber=str(number),
                ProposedSize=str(part.size),
                MinSizeAllowed=str(call.state.minimum_part),
            )
    return chosen


def _checked(upload: Upload, number: int, element: ET.Element) -> StoredPart:
    part = upload.parts.get(number)
    etag = (element.findtext("ETag") or "").strip('"')
    is_right = part is not None and part.etag.strip('"') == etag
    for algorithm in checksums.ALGORITHMS:
        given = element.findtext(f"Checksum{algorithm.upper()}")
        if given is not None and part is not None:
            is_right &= algorithm == upload.algorithm and checksums.decode(algorithm, given) == part.checksum
        elif algorithm == upload.algorithm and upload.checksum_type == "COMPOSITE" and part is not None:
            raise S3Error(
                "InvalidRequest",
                f"The upload was created using a {algorithm} checksum. The complete request must include the checksum "
                f"for each part. It was missing for part {number} in the request.",
            )
    if part is None or not is_right:
        raise S3Error(
            "InvalidPart",
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
            "specified entity tag or checksum may not match the part's.",
            UploadId=upload.upload_id,
            PartNumber=str(number),
            ETag=etag,
        )
    return part


def _assembled(call: Call, upload: Upload, parts: list[StoredPart]) -> StoredObject:
    size = sum(part.size for part in parts)
    given = call.header("x-amz-mp-object-size")
    if given is not None and given != str(size):
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {given} does not match what was computed: {size}",
        )
    sums = _sums(upload, parts)
    _check_declared(call, upload, sums)
    hashes = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    crc32c = checksums.whole("crc32c", [(part.crc32c.to_bytes(4, "big"), part.size) for part in parts])
    return StoredObject(
        key=upload.key,
        data=b"".join(part.data or b"" for part in parts) if call.state.keep_bytes else None,
        size=size,
        etag=f'"{checksums.digest("md5", hashes).hex()}-{len(parts)}"',
        crc32c=int.from_bytes(crc32c, "big"),
        checksums=sums,
        checksum_type=upload.checksum_type,
        metadata=upload.metadata,
        headers=upload.headers,
        last_modified=call.state.now(),
    )


def _sums(upload: Upload, parts: list[StoredPart]) -> dict[str, str]:
    algorithm = upload.algorithm
    if algorithm is None:
        return {}
    values = [(part.checksum or b"", part.size) for part in parts]
    if upload.checksum_type == "FULL_OBJECT":
        return {algorithm: checksums.encode(checksums.whole(algorithm, values))}
    return {algorithm: checksums.composite(algorithm, [value for value, _ in values])}


def _check_declared(call: Call, upload: Upload, sums: dict[str, str]) -> None:
    """What the request says of the whole object."""
    kind = call.header("x-amz-checksum-type")
    if kind is not None and kind != upload.checksum_type:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {upload.checksum_type} checksum mode. The complete request must use the "
            "same checksum mode.",
        )
    for algorithm in checksums.ALGORITHMS:
        given = call.header(f"x-amz-checksum-{algorithm}")
        if given is not None and sums.get(algorithm) != given:
            raise S3Error("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")


def abort_multipart_upload(call: Call) -> Reply:
    """Give its parts up."""
    with call.state.lock:
        bucket = call.bucket()
        del bucket.uploads[open_upload(call, bucket).upload_id]
    return Reply(204)
