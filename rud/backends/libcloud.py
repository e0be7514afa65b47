"""The name that the documented examples import. The store itself is not built yet."""

from __future__ import annotations

from rud.errors import ConfigurationError


class LibcloudObjectStore:
    """Raises ``ConfigurationError`` when it is built."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise ConfigurationError(
            "rud has no store over libcloud yet; S3, and what speaks its protocol at an endpoint_url, is s3://bucket"
        )
