"""From what google-cloud-storage and google-auth raise to the errors of ``rud``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rud.backends._answers import error_for, is_about_the_certificate, seconds_of
from rud.backends._gcs_client import NO_CREDENTIALS
from rud.errors import (
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
)
from rud.store import Section

_SESSION = re.compile(r"(upload_id=)[^&\s'\")]+")
"""In the address that urllib3 tells when it finds nobody there."""

_REPLACED = (304, 412)
"""The answers to a get whose generation is not the one that was looked at."""

_MISMATCH = "doesn't match calculated"
"""In what the service says of a sum that is not that of the bytes: it has no reason of its own for it."""


@contextmanager
def translated(operation: str, key: str) -> Iterator[None]:
    """What the SDK raises within, as one of ours."""
    handled = sys.exception()
    try:
        yield
    except RudError:
        raise
    except Exception as error:
        raise _translation(error, handled, operation, key) from error


@contextmanager
def sending(key: str, section: Section) -> Iterator[None]:
    """Requests that send ``section``: when one fails for what a read of the section has raised, that is raised."""
    try:
        with translated("put", key):
            yield
    except RudError:
        if section.error is not None:
            raise section.error from None
        raise


def was_replaced(error: RudError) -> bool:
    """Whether a get failed because the object is another one by now."""
    response = getattr(error.__cause__, "response", None)
    return response is not None and response.status_code in _REPLACED


def _translation(error: Exception, handled: BaseException | None, operation: str, key: str) -> RudError:
    from google.api_core.exceptions import RetryError
    from google.auth.exceptions import DefaultCredentialsError, InvalidOperation

    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        return error.cause if isinstance(error.cause, RudError) else _translation(error.cause, handled, operation, key)
    if (response := getattr(error, "response", None)) is not None:
        return _answer(response, operation, key)
    if is_about_the_certificate(error, handled):
        return ConfigurationError(
            f"{_shown(error)}; if the endpoint's certificate is of an authority of your own, "
            "set REQUESTS_CA_BUNDLE to its file"
        )
    if isinstance(error, InvalidOperation):
        return ConfigurationError(
            f"{operation} of {key!r} failed: the service asks for credentials (HTTP 401), and none are sent "
            "to an http:// endpoint; give its https:// address"
        )
    if isinstance(error, DefaultCredentialsError):
        return ConfigurationError(NO_CREDENTIALS)
    return _class_of(error).during(operation, key, f"{type(error).__name__}: {_shown(error)}")


def _shown(error: Exception) -> str:
    """Its text without the id of a resumable upload: whoever has that may write the object, without credentials."""
    return _SESSION.sub(r"\1…", str(error))


def _class_of(error: Exception) -> type[StoreError]:
    import requests
    import urllib3.exceptions
    from google.auth.exceptions import GoogleAuthError, TransportError

    # The last is a page of somebody between us and the service, or one that was garbled.
    may_pass = (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.InvalidJSONError,
    )
    if isinstance(error, (*may_pass, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError, TransportError)):
        return ObjectStoreTransientError
    if isinstance(error, GoogleAuthError):
        return ObjectStoreTransientError if getattr(error, "retryable", False) else CredentialsExpiredError
    return StoreError


def _answer(response: Any, operation: str, key: str) -> RudError:
    status = response.status_code
    said, reason = _said(response)
    if status == 400 and _MISMATCH in said:
        return IntegrityError.during(operation, key, f"{said} (HTTP 400)")
    if status == 401:
        return CredentialsExpiredError.during(operation, key, f"{said} (HTTP 401)")
    if status == 404 and operation in ("put", "list", "probe"):
        # There is nothing else that these could have missed.
        return BucketNotFoundError.during(operation, key, f"{said} (HTTP 404)")
    if status in _REPLACED and operation == "get":
        return ObjectStoreTransientError.during(operation, key, "the object was replaced while it was read")
    return error_for(
        operation,
        key,
        code=reason,
        status=status,
        text=said,
        retry_after=seconds_of(response.headers.get("Retry-After")),
    )


def _said(response: Any) -> tuple[str, str]:
    """The service's sentence and its reason (Cloud Storage JSON API, "HTTP status and error codes for JSON")."""
    try:
        error = response.json()["error"]
        said = str(error["message"])
    except (ValueError, LookupError, TypeError):
        return "", ""
    try:
        return said, str(error["errors"][0]["reason"])
    except (LookupError, TypeError):
        return said, ""
