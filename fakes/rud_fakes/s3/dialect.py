"""S3 as a dialect of the faulty server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rud_fakes._http.dialect import Head, Reply, Target
from rud_fakes.s3 import buckets, intake, listings, multipart, objects, operations, signatures
from rud_fakes.s3.documents import CODE_OF, S3Error, error_reply
from rud_fakes.s3.state import Call, Received, State

LONGEST_KEY = 1024
"""Bytes of UTF-8, as S3 documents."""

HANDLERS: dict[str, Callable[[Call], Reply]] = {
    "AbortMultipartUpload": multipart.abort_multipart_upload,
    "CompleteMultipartUpload": multipart.complete_multipart_upload,
    "CreateBucket": buckets.create_bucket,
    "CreateMultipartUpload": multipart.create_multipart_upload,
    "DeleteObject": objects.delete_object,
    "DeleteObjects": objects.delete_objects,
    "GetBucketLocation": buckets.get_bucket_location,
    "GetObject": objects.get_object,
    "HeadBucket": buckets.head_bucket,
    "HeadObject": objects.head_object,
    "ListBuckets": buckets.list_buckets,
    "ListMultipartUploads": listings.list_multipart_uploads,
    "ListObjects": listings.list_objects,
    "ListObjectsV2": listings.list_objects_v2,
    "ListParts": listings.list_parts,
    "PutObject": objects.put_object,
    "UploadPart": multipart.upload_part,
}
WITH_DATA = ("PutObject", "UploadPart")
"""Their bodies are data; those of all others are documents."""
WITHOUT_BUCKET = ("ListBuckets", "CreateBucket")


class S3Dialect:
    """Over ``state``."""

    def __init__(self, state: State) -> None:
        self._state = state

    def recognise(self, head: Head) -> Target:
        return operations.recognise(head)

    def admit(self, head: Head, target: Target) -> None:
        """Who asks, whether it may, and whether there can be such an object."""
        self._check_caller(head)
        if target.operation not in HANDLERS:
            raise S3Error("NotImplemented", "This server does not offer what was asked of it.")
        if target.operation not in WITHOUT_BUCKET:
            with self._state.lock:
                self._state.bucket(target.bucket)
        if (length := len(target.key.encode())) > LONGEST_KEY:
            raise S3Error("KeyTooLongError", "Your key is too long", Size=str(length), MaxSizeAllowed=str(LONGEST_KEY))
        if target.operation in WITH_DATA and not {"content-length", "transfer-encoding"} & head.headers.keys():
            raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")

    def _check_caller(self, head: Head) -> None:
        claim = signatures.claim_of(head)
        names = {claim.access_key if claim else "", head.headers.get("x-amz-security-token", "")}
        with self._state.lock:
            is_expired = bool(names & self._state.expired)
        if is_expired:
            raise S3Error("ExpiredToken", "The provided token has expired.")
        if self._state.credentials is not None:
            signatures.check(head, claim, self._state.credentials, self._state.region)

    def receive(self, head: Head, target: Target, chunks: Iterator[bytes]) -> Received:
        headers = head.headers
        if target.operation == "CompleteMultipartUpload":
            headers = intake.without_sums(headers)
        keep = self._state.keep_bytes or target.operation not in WITH_DATA
        return intake.receive(headers, chunks, keep=keep, algorithm=self._algorithm(head, target))

    def _algorithm(self, head: Head, target: Target) -> str | None:
        """Of the upload that a part belongs to."""
        with self._state.lock:
            bucket = self._state.buckets.get(target.bucket)
            upload = bucket.uploads.get(head.parameters.get("uploadId", "")) if bucket else None
        return upload.algorithm if upload else None

    def spoil(self, received: Received) -> Received:
        return intake.spoilt(received)

    def answer(self, head: Head, target: Target, received: Received) -> Reply:
        return HANDLERS[target.operation](Call(self._state, head, target, received))

    def failure(self, head: Head, status: int, code: str | None) -> Reply:
        code = code or CODE_OF.get(status, "InternalError")
        return error_reply(status, code, "This failure was asked for by a test.")
