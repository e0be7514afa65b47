"""From what botocore raises to the errors of ``rud``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rud.backends._answers import error_for, is_about_the_certificate, seconds_of
from rud.errors import (
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
)

NO_CREDENTIALS = (
    "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give "
    "aws_access_key_id and aws_secret_access_key in backend_kwargs"
)

_REFRESHED_IN_VAIN = "refreshed credentials are still expired"
"""In the text of a ``RuntimeError``: botocore has no class for it."""


@contextmanager
def translated(operation: str, key: str) -> Iterator[None]:
    """What botocore raises within, as one of ours."""
    handled = sys.exception()
    try:
        yield
    except RudError:
        raise
    except Exception as error:
        raise _translation(error, handled, operation, key) from error


def code_of(error: BaseException | None) -> str:
    """The service's code in an error that ``translated`` has raised, or in botocore's own; ``""`` without one."""
    if isinstance(error, RudError):
        error = error.__cause__
    # Errors of the connection have a response, too, which is None.
    code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code", "")
    # An answer to HEAD has no body: botocore puts the status in the place of the code.
    return "" if code.isdigit() else code


def was_repeated(error: RudError) -> bool:
    """Whether botocore had asked before without an answer to go by; of an error that ``translated`` has raised."""
    response = getattr(error.__cause__, "response", None) or {}
    return bool(response.get("ResponseMetadata", {}).get("RetryAttempts"))


def _translation(error: Exception, handled: BaseException | None, operation: str, key: str) -> RudError:
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return _answer(error, operation, key)
    if is_about_the_certificate(error, handled):
        return ConfigurationError(
            f"{error}; if the endpoint's certificate is of an authority of your own, set AWS_CA_BUNDLE to its file"
        )
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return ConfigurationError(NO_CREDENTIALS)
    return _class_of(error).during(operation, key, f"{type(error).__name__}: {error}")


def _class_of(error: Exception) -> type[StoreError]:
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    may_pass = exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError
    no_credentials_now = (
        exceptions.CredentialRetrievalError,
        exceptions.MetadataRetrievalError,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
    )
    if isinstance(error, exceptions.FlexibleChecksumError):
        return IntegrityError
    if isinstance(error, (*may_pass, ResponseParserError)):
        return ObjectStoreTransientError
    if isinstance(error, no_credentials_now) or _REFRESHED_IN_VAIN in str(error):
        return CredentialsExpiredError
    return StoreError


def _answer(error: Any, operation: str, key: str) -> RudError:
    metadata = error.response.get("ResponseMetadata", {})
    said = error.response.get("Error", {})
    bucket = f": {said['BucketName']!r}" if "BucketName" in said else ""
    return error_for(
        operation,
        key,
        code=code_of(error),
        status=metadata.get("HTTPStatusCode", 0),
        text=said.get("Message", "").rstrip(".") + bucket,
        retry_after=seconds_of(metadata.get("HTTPHeaders", {}).get("retry-after")),
    )
