"""Between the values of S3's requests and answers and ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rud.backends import _sums
from rud.backends._s3_errors import translated
from rud.errors import IntegrityError, RudError
from rud.store import Arguments, ObjectMeta, PutMode, PutResult, Section

ENTRY_ID = "rud-entry-id"
"""The user metadata of an object (``x-amz-meta-rud-entry-id``) that names the upload which wrote it."""


@contextmanager
def sending(key: str, section: Section) -> Iterator[None]:
    """One request that sends ``section``: when it fails for what a read of the section has raised, that is raised."""
    try:
        with translated("put", key):
            yield
    except RudError:
        if section.error is not None:
            raise section.error from None
        raise


def crc_in(answer: Mapping[str, Any]) -> int | None:
    """The CRC32C of a whole object in an answer; ``None`` without one, or when it is of the parts' sums."""
    value = answer.get("ChecksumCRC32C")
    if value is None or "-" in value or answer.get("ChecksumType") == "COMPOSITE":
        return None
    return _sums.read(value)


def only_if(mode: PutMode) -> Arguments:
    """The condition under which a put or a completion is carried out."""
    return {"IfNoneMatch": "*"} if mode is PutMode.CREATE else {}


def result_of(answer: Mapping[str, Any], key: str, crc: int) -> PutResult:
    """What a put has answered; ``IntegrityError`` when the service has summed other bytes than we have."""
    there = crc_in(answer)
    if there is not None and there != crc:
        raise IntegrityError.during("put", key, f"we sent CRC32C {crc:08x}, the service received {there:08x}")
    return PutResult(etag=bare(answer.get("ETag")), version=answer.get("VersionId"))


def meta_of(key: str, answer: Mapping[str, Any]) -> ObjectMeta:
    """What an answer to HEAD or GET says of the object."""
    return ObjectMeta(
        key,
        _size_in(answer),
        bare(answer.get("ETag")),
        crc_in(answer),
        answer["LastModified"].timestamp(),
        answer.get("Metadata", {}).get(ENTRY_ID),
    )


def _size_in(answer: Mapping[str, Any]) -> int:
    """Of the object, not of the range that was asked for: ``bytes 5-9/10``."""
    if "ContentRange" in answer:
        return int(answer["ContentRange"].rpartition("/")[2])
    size: int = answer["ContentLength"]
    return size


def bare(etag: str | None) -> str | None:
    """Without the quotes that HTTP puts around it."""
    return etag.strip('"') if etag is not None else None
