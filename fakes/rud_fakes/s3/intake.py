"""Reading a body: decoded, summed, kept, and compared with what it declares."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from rud_fakes._http.bodies import BadBodyError, ClientLeftError, as_stream, unchunk
from rud_fakes._http.exchange import flipped
from rud_fakes.s3 import checksums
from rud_fakes.s3.documents import S3Error
from rud_fakes.s3.state import Received

PREFIX = "x-amz-checksum-"
HASH = re.compile(r"[0-9a-f]{64}")
NOT_SUMS = frozenset({"algorithm", "mode", "type"})


def receive(headers: Mapping[str, str], chunks: Iterator[bytes], *, keep: bool, algorithm: str | None) -> Received:
    """The body, after every check that it can be put to; ``algorithm`` is summed whether it is declared or not."""
    trailers: dict[str, str] = {}
    framed = "aws-chunked" in headers.get("content-encoding", "") or _payload_hash(headers).startswith("STREAMING-")
    if framed:
        chunks = _unframed(chunks, trailers)
    wanted = {"md5", "crc32c"} | _announced(headers)
    if algorithm is not None:
        wanted.add(algorithm)
    if HASH.fullmatch(_payload_hash(headers)):
        wanted.add("sha256")
    data, size, sums = _read(chunks, wanted, keep=keep)
    decoded = headers.get("x-amz-decoded-content-length")
    if framed and decoded is not None and decoded != str(size):
        raise S3Error("IncompleteBody", f"The body has {size} bytes, not the {decoded} that its header says.")
    _check_hashes(headers, sums)
    return Received(data, size, sums, _check_sums(headers, trailers, sums))


def spoilt(received: Received) -> Received:
    """With one bit of the data wrong, and the sums as they were."""
    return received if received.data is None else replace(received, data=flipped(received.data))


def _payload_hash(headers: Mapping[str, str]) -> str:
    return headers.get("x-amz-content-sha256", "")


def _unframed(chunks: Iterator[bytes], trailers: dict[str, str]) -> Iterator[bytes]:
    is_whole = False

    def noted() -> Iterator[bytes]:
        nonlocal is_whole
        yield from chunks
        is_whole = True

    try:
        yield from unchunk(as_stream(noted()), trailers)
    except BadBodyError as error:
        raise S3Error("IncompleteBody", f"The aws-chunked body is not framed as such: {error}") from None
    except ClientLeftError as error:
        if not is_whole:
            raise
        raise S3Error("IncompleteBody", f"The aws-chunked body ends too early: {error}") from None


def _announced(headers: Mapping[str, str]) -> set[str]:
    """The algorithms of which a sum is in the headers, or is to come in the trailers."""
    names = [name for name in headers if name.startswith(PREFIX)]
    names += [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")]
    found = {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)} - NOT_SUMS
    for algorithm in found:
        if algorithm not in checksums.ALGORITHMS:
            raise S3Error("NotImplemented", f"This server does not compute {algorithm}.")
    return found


def _read(chunks: Iterator[bytes], wanted: set[str], *, keep: bool) -> tuple[bytes | None, int, dict[str, bytes]]:
    sums = {name: checksums.new(name) for name in sorted(wanted)}
    kept: list[bytes] = []
    size = 0
    for chunk in chunks:
        size += len(chunk)
        for growing in sums.values():
            growing.update(chunk)
        if keep:
            kept.append(chunk)
    return b"".join(kept) if keep else None, size, {name: growing.digest() for name, growing in sums.items()}


def _check_hashes(headers: Mapping[str, str], sums: Mapping[str, bytes]) -> None:
    given = _payload_hash(headers)
    if HASH.fullmatch(given) and given != sums["sha256"].hex():
        raise S3Error(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ClientComputedContentSHA256=given,
            S3ComputedContentSHA256=sums["sha256"].hex(),
        )
    md5 = headers.get("content-md5")
    if md5 is None:
        return
    try:
        expected = base64.b64decode(md5, validate=True)
    except (binascii.Error, ValueError):
        expected = b""
    if len(expected) != 16:
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    if expected != sums["md5"]:
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")


def _check_sums(headers: Mapping[str, str], trailers: Mapping[str, str], sums: Mapping[str, bytes]) -> dict[str, str]:
    declared = {
        name.removeprefix(PREFIX): value
        for name, value in {**headers, **trailers}.items()
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in NOT_SUMS
    }
    if len(declared) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    if not declared and _announced(headers):
        raise S3Error("MalformedTrailerError", "The trailer that was announced did not come.")
    if not declared and "x-amz-sdk-checksum-algorithm" in headers:
        raise S3Error(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers "
            "were found.",
        )
    for algorithm, value in declared.items():
        expected = checksums.decode(algorithm, value) if algorithm in sums else None
        if expected is None:
            raise S3Error("InvalidRequest", f"Value for {PREFIX}{algorithm} header is invalid.")
        if expected != sums[algorithm]:
            raise S3Error("BadDigest", f"The {algorithm.upper()} you specified did not match the calculated checksum.")
    return declared


def without_sums(headers: Mapping[str, str]) -> dict[str, str]:
    """``headers`` of a request whose checksum is not that of its body."""
    return {name: value for name, value in headers.items() if not name.startswith(PREFIX)}
