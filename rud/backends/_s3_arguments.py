"""The arguments of the S3 store that boto3 knows best: checked by boto3 when they are given."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rud._spec import nearest
from rud.backends._parts import MEBIBYTE
from rud.errors import ConfigurationError

LEAST_PART = 5 * MEBIBYTE
"""Bytes of a part that is not the last (S3 API reference, "Multipart upload limits")."""

LARGEST_PUT = 5 << 30
"""Bytes of one put, and of a part (S3 user guide, "Uploading objects")."""

_OURS = ("Checksum", "Mpu")
"""What names of ``ExtraArgs`` begin with that are for us to set."""

_WITHOUT_EFFECT = frozenset({"num_download_attempts", "max_io_queue", "io_chunksize", "preferred_transfer_client"})
"""Of boto3's transfers alone; accepted, because configurations that people have carry them."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes up to which an object is one put, bytes of a part, parts under way at once."""

    threshold: int = 16 * MEBIBYTE
    chunk: int = 16 * MEBIBYTE
    concurrency: int = 4


def need_boto3() -> None:
    """``ConfigurationError`` unless boto3 can be imported; it is not imported yet."""
    if importlib.util.find_spec("boto3") is None:
        raise ConfigurationError("the store of 's3' URIs needs boto3, which is not installed: pip install boto3")


def transfer_from(given: Mapping[str, Any] | None) -> Transfer:
    """What ``transfer_config`` asks for; ``ConfigurationError`` when boto3 refuses it, or we cannot do it."""
    if not given:
        return Transfer()
    from boto3.s3.transfer import TransferConfig

    try:
        TransferConfig(**given)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"boto3 refuses the transfer_config: {error}") from error
    known = {"multipart_threshold", "multipart_chunksize", "max_concurrency", "use_threads"}
    if unknown := sorted(set(given) - known - _WITHOUT_EFFECT):
        raise ConfigurationError(
            f"transfer_config has {unknown[0]!r}, which rud cannot honour; it honours {', '.join(sorted(known))}"
        )
    ours = Transfer()
    threshold = _whole(given, "multipart_threshold", ours.threshold)
    chunk = _whole(given, "multipart_chunksize", ours.chunk)
    concurrency = _whole(given, "max_concurrency", ours.concurrency)
    if not LEAST_PART <= chunk <= LARGEST_PUT:
        raise ConfigurationError(
            f"multipart_chunksize is {chunk}, but a part of S3 has {LEAST_PART} to {LARGEST_PUT} bytes"
        )
    if threshold > LARGEST_PUT:
        raise ConfigurationError(f"multipart_threshold is {threshold}, but one put has at most {LARGEST_PUT} bytes")
    return Transfer(threshold, chunk, concurrency if given.get("use_threads") in (True, None) else 1)


def _whole(given: Mapping[str, Any], name: str, default: int) -> int:
    """boto3 takes ``8e6`` as well, and ``None`` for its default."""
    value = given.get(name)
    if value is None:
        return default
    if value != int(value):
        raise ConfigurationError(f"{name} is a whole number, not {value!r}")
    return int(value)


def extra_args_from(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """``extra_args``, with ``S3_CANNED_ACL`` for the ``ACL``; ``ConfigurationError`` for a name that boto3 does not
    know."""
    acl = os.environ.get("S3_CANNED_ACL")
    arguments = {**({"ACL": acl} if acl else {}), **(given or {})}
    if not arguments:
        return {}
    from boto3.s3.transfer import S3Transfer

    known = [name for name in S3Transfer.ALLOWED_UPLOAD_ARGS if not name.startswith(_OURS)]
    for name in arguments:
        if name not in known:
            raise ConfigurationError(
                f"extra_args has {name!r}, which no upload takes{nearest(name, known)}; it takes: {', '.join(known)}"
            )
    return arguments
