"""Addresses of services, as they are given by people."""

from __future__ import annotations

from urllib.parse import urlsplit

from rud.errors import ConfigurationError


def check_endpoint(url: str) -> None:
    """``ConfigurationError`` unless ``url`` is one of http or https, without a user or a password."""
    if not _is_address(url):
        raise ConfigurationError(f"the endpoint {url!r} is no URL such as https://storage.example.com:9000")
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("the endpoint has a user or a password in it; give credentials in backend_kwargs")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # also of a port that is none
        return False
