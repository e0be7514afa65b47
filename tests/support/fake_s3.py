"""boto3 against the faulty S3 server: one try, no settings of anybody else."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = "bucket"


@functools.cache
def _session() -> Any:
    """One, because it keeps what it has read of the API."""
    return boto3.Session()


@contextmanager
def client(url: str, *, secret: str = "SECRET", verify: str | None = None, **given: Any) -> Iterator[Any]:
    """A client of the server at ``url`` that tries once; ``given``: more of its ``Config``."""
    config = Config(**{"retries": {"total_max_attempts": 1}, "proxies": {}, **given})
    made = _session().client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="KEY",
        aws_secret_access_key=secret,
        verify=verify,
        config=config,
    )
    try:
        yield made
    finally:
        made.close()


@contextmanager
def refused(code: str, status: int | None = None) -> Iterator[None]:
    """The block raises a ``ClientError`` of that code (and status)."""
    with pytest.raises(ClientError) as caught:
        yield
    answer: Any = caught.value.response
    assert answer["Error"]["Code"] == code
    assert status in (None, answer["ResponseMetadata"]["HTTPStatusCode"])


def multipart(s3: Any, key: str, bodies: list[bytes], **begin: Any) -> tuple[str, list[dict[str, Any]]]:
    """Begin an upload and send its parts: its id, and what its completion has to say of them."""
    algorithm = begin.setdefault("ChecksumAlgorithm", "CRC32")
    upload_id = s3.create_multipart_upload(Bucket=BUCKET, Key=key, **begin)["UploadId"]
    parts = []
    for number, body in enumerate(bodies, 1):
        sent = s3.upload_part(
            Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm
        )
        sums = {name: value for name, value in sent.items() if name == f"Checksum{algorithm}"}
        parts.append({"PartNumber": number, "ETag": sent["ETag"], **sums})
    return upload_id, parts


def complete(s3: Any, key: str, upload_id: str, parts: list[dict[str, Any]], **given: Any) -> Any:
    """Complete an upload."""
    return s3.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **given
    )
