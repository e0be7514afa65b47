"""OCI's native API as a dialect of the faulty server, over what an S3 server keeps."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from rud_fakes._http.dialect import Head, Reply, Target
from rud_fakes._http.exchange import flipped
from rud_fakes.oci import multipart, objects, signatures
from rud_fakes.oci.documents import OCIError, document, error_reply
from rud_fakes.s3 import checksums
from rud_fakes.s3.state import Call, Received, State

_PATH = re.compile(r"/n(?:/(?P<namespace>[^/]+)/b/(?P<bucket>[^/]+)/(?P<kind>[ou])(?:/(?P<key>.+))?)?/?")
_OPERATIONS = {
    ("GET", "o", True): "GetObject",
    ("HEAD", "o", True): "HeadObject",
    ("PUT", "o", True): "PutObject",
    ("DELETE", "o", True): "DeleteObject",
    ("GET", "o", False): "ListObjects",
    ("POST", "u", False): "CreateMultipartUpload",
    ("PUT", "u", True): "UploadPart",
    ("POST", "u", True): "CommitMultipartUpload",
    ("DELETE", "u", True): "AbortMultipartUpload",
}
"""By method, kind, and whether an object is named."""

HANDLERS: dict[str, Callable[[Call], Reply]] = {
    "AbortMultipartUpload": multipart.abort,
    "CommitMultipartUpload": multipart.commit,
    "CreateMultipartUpload": multipart.create,
    "DeleteObject": objects.delete,
    "GetObject": objects.get,
    "HeadObject": objects.get,
    "ListObjects": objects.listing,
    "PutObject": objects.put,
    "UploadPart": multipart.upload_part,
}
_WITH_DATA = ("PutObject", "UploadPart")
_SUMS = {"opc-content-crc32c": ("crc32c", "UnmatchedContentCRC32C"), "content-md5": ("md5", "UnmatchedContentMD5")}


class OCIDialect:
    """Over ``state``. ``keys``: public ones by their ids."""

    def __init__(self, state: State, namespace: str, keys: Mapping[str, Any]) -> None:
        self._state = state
        self._namespace = namespace
        self._keys = dict(keys)

    def recognise(self, head: Head) -> Target:
        found = _PATH.fullmatch(head.path)
        if found is None:
            return Target("Unknown")
        if found["bucket"] is None:
            return Target("GetNamespace" if head.method == "GET" else "Unknown")
        operation = _OPERATIONS.get((head.method, found["kind"], found["key"] is not None), "Unknown")
        number = head.parameters.get("uploadPartNum", "")
        part = int(number) if number.isdecimal() else None
        bucket = unquote(found["bucket"]) if unquote(found["namespace"]) == self._namespace else ""
        return Target(operation, bucket, unquote(found["key"] or ""), part)

    def admit(self, head: Head, target: Target) -> None:
        """Who asks, and whether there can be an answer."""
        with_document = head.method == "POST"
        signatures.check(head, self._keys, self._state.now(), with_document=with_document)
        if target.operation == "GetNamespace":
            return
        if target.operation not in HANDLERS:
            raise OCIError(501, "MethodNotImplemented", "This server does not offer what was asked of it.")
        with self._state.lock:
            if target.bucket not in self._state.buckets:
                said = "Either the bucket does not exist or you are not authorized to access it"
                raise OCIError(404, "BucketNotFound", said)

    def receive(self, head: Head, target: Target, chunks: Iterator[bytes]) -> Received:
        data = b"".join(chunks)
        sums = {"crc32c": checksums.digest("crc32c", data), "md5": checksums.digest("md5", data)}
        if target.operation in _WITH_DATA:
            for header, (name, code) in _SUMS.items():
                declared = head.headers.get(header)
                if declared is not None and declared != checksums.encode(sums[name]):
                    raise OCIError(400, code, f"The computed {name} of the body does not match the header {header}")
        elif head.method == "POST":
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            if head.headers.get("x-content-sha256") != digest:
                raise OCIError(401, "NotAuthenticated", "The body is not the one that was signed.")
        return Received(data, len(data), sums, {})

    def spoil(self, received: Received) -> Received:
        return replace(received, data=flipped(received.data or b""))

    def answer(self, head: Head, target: Target, received: Received) -> Reply:
        if target.operation == "GetNamespace":
            return document(self._namespace)
        return HANDLERS[target.operation](Call(self._state, head, target, received))

    def failure(self, head: Head, status: int, code: str | None) -> Reply:
        return error_reply(status, code, "This failure was asked for by a test.")
