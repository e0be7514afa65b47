"""Reading a body: taken apart, and compared with what its headers declare."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from rud_fakes._http.dialect import Head, Target
from rud_fakes._http.exchange import flipped
from rud_fakes.gcs.documents import GCSError, parse
from rud_fakes.gcs.state import Received, State, StoredObject, crc32c_of


def receive(head: Head, target: Target, chunks: Iterator[bytes]) -> Received:
    """The body, as the operation reads it."""
    data = b"".join(chunks)
    if target.operation == "UploadMultipart":
        return _multipart(head, data)
    if target.operation in ("StartUpload", "CreateBucket"):
        return Received(b"", parse(data), head.headers.get("x-upload-content-type", ""))
    return Received(data, {}, head.headers.get("content-type", ""))


def _multipart(head: Head, data: bytes) -> Received:
    """``multipart/related``: the document, then the data."""
    kind = head.headers.get("content-type", "")
    _, _, boundary = kind.partition("boundary=")
    marker = b"--" + boundary.strip('"').encode()
    pieces = data.split(marker) if boundary else []
    if not kind.startswith("multipart/related") or len(pieces) < 4 or not pieces[-1].startswith(b"--"):
        raise GCSError(400, "Malformed multipart body.")
    # The data may have the marker in it, but for the line break before it.
    _, first, rest = data.split(marker, 2)
    second, _, _ = rest.rpartition(b"\r\n" + marker + b"--")
    about, document = _part(first)
    told, content = _part(second + b"\r\n")
    if not about.get("content-type", "").startswith("application/json"):
        raise GCSError(400, "The first part of the body is no document.")
    return Received(content, parse(document), told.get("content-type", ""))


def _part(piece: bytes) -> tuple[Mapping[str, str], bytes]:
    headers, found, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not found:
        raise GCSError(400, "A part of the multipart body has no end of its headers.")
    parsed = BytesParser(policy=HTTP).parsebytes(headers + b"\r\n\r\n", headersonly=True)
    return {name.lower(): str(value) for name, value in parsed.items()}, content.removesuffix(b"\r\n")


def spoilt(received: Received) -> Received:
    """With one bit of the data wrong, and the sums as they were."""
    return replace(received, data=flipped(received.data), spoilt_from=received.data)


def check_sums(state: State, data: bytes | bytearray, headers: Mapping[str, str], resource: Mapping[str, Any]) -> None:
    """Refuse data whose sums are not those that were declared: by ``X-Goog-Hash``, or with the object to be."""
    if not state.verifies:
        return
    computed = {
        "crc32c": base64.b64encode(crc32c_of(data).to_bytes(4, "big")).decode(),
        "md5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
    }
    declared = [one.strip().partition("=") for one in headers.get("x-goog-hash", "").split(",") if one.strip()]
    wanted = [(name.lower(), value) for name, _, value in declared]
    wanted += [(name, str(resource[field])) for name, field in _FIELDS.items() if field in resource]
    for name, value in wanted:
        if name not in computed:
            raise GCSError(400, f"Invalid value for X-Goog-Hash: there is no {name}.")
        if value != computed[name]:
            raise GCSError(
                400, f"Provided {name.upper()} hash {value} doesn't match calculated {name.upper()} {computed[name]}."
            )


_FIELDS = {"crc32c": "crc32c", "md5": "md5Hash"}


def made(state: State, key: str, received: Received) -> StoredObject:
    """The object of what was received, of a generation of its own. Under the lock."""
    resource = received.resource
    summed = received.genuine if state.verifies else received.data
    return StoredObject(
        key=key,
        data=received.data,
        generation=state.next_generation(),
        md5=hashlib.md5(summed, usedforsecurity=False).digest(),
        crc32c=crc32c_of(summed),
        metadata={str(name): str(value) for name, value in (resource.get("metadata") or {}).items()},
        content_type=str(resource.get("contentType") or received.content_type or "application/octet-stream"),
        last_modified=state.now(),
    )
