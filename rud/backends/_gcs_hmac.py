"""Objects by the S3-compatible interface of Cloud Storage ("Interoperability"): for who has an HMAC key only."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import ClassVar

from rud.backends._s3_sums import Sums
from rud.backends.s3 import S3ObjectStore
from rud.errors import ConfigurationError
from rud.store import Capabilities

ENDPOINT = "https://storage.googleapis.com"


def hmac_key() -> tuple[str, str] | None:
    """``GCS_KEY`` and ``GCS_SECRET``; ``ConfigurationError`` if there is only one of them."""
    key, secret = os.environ.get("GCS_KEY"), os.environ.get("GCS_SECRET")
    if bool(key) != bool(secret):
        there, missing = ("GCS_KEY", "GCS_SECRET") if key else ("GCS_SECRET", "GCS_KEY")
        raise ConfigurationError(f"{there} is set and {missing} is not: an HMAC key is both of them")
    return (key, secret) if key and secret else None


class HmacStore(S3ObjectStore):
    """Objects below ``prefix`` (with its slash) in ``bucket``; for a caller who has checked the keys."""

    sums: ClassVar[Sums] = Sums(told=False)

    def __init__(self, bucket: str, prefix: str, endpoint: str | None, key: tuple[str, str]) -> None:
        super().__init__(
            bucket,
            prefix.removesuffix("/"),
            region_name="auto",
            endpoint_url=endpoint or ENDPOINT,
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
        )

    @property
    def capabilities(self) -> Capabilities:
        return replace(
            super().capabilities,
            create="the S3-compatible interface of Cloud Storage has no condition that an object be absent; "
            "use application default credentials instead of GCS_KEY and GCS_SECRET",
            checksums="the S3-compatible interface of Cloud Storage knows no CRC32C of S3",
        )

    def credentials_from(self) -> str:
        return super().credentials_from().replace("backend_kwargs", "GCS_KEY and GCS_SECRET")
