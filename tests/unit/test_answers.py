"""From a service's answer to the class of the error."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import requests
from botocore import exceptions
from hypothesis import given
from hypothesis import strategies as st

from rud.backends import _gcs_errors, _s3_errors
from rud.backends._answers import CODES, STATUSES, error_for, seconds_of
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    CredentialsExpiredError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
    ThrottledError,
)

statuses = st.integers(400, 599)


@given(st.sampled_from(sorted(CODES)), statuses)
def test_a_known_code_decides_whatever_the_status(code: str, status: int) -> None:
    """A gateway that sends its codes with other statuses changes nothing."""
    assert type(error_for("put", "k", code=code, status=status, text="")) is CODES[code]


@given(st.sampled_from(["", "Novel"]), statuses, st.text())
def test_without_a_known_code_the_status_decides_and_no_text_does(code: str, status: int, text: str) -> None:
    """Digits in a message or a key never do: "500 bytes" is no server error."""
    found = type(error_for("put", "500/503", code=code, status=status, text=text))
    expected = STATUSES.get(status) or (ObjectStoreTransientError if status >= 500 else StoreError)

    assert found is expected


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("", 403, AccessDeniedError),
        ("", 404, ObjectNotFoundError),
        ("", 412, ObjectExistsError),
        ("", 429, ThrottledError),
        ("", 418, StoreError),
        ("", 599, ObjectStoreTransientError),
        ("", 200, ObjectStoreTransientError),
        ("SlowDown", 503, ThrottledError),
        ("InternalError", 200, ObjectStoreTransientError),
        ("RequestTimeout", 400, ObjectStoreTransientError),
        ("ExpiredToken", 400, CredentialsExpiredError),
        ("RequestTimeTooSkewed", 403, ConfigurationError),
    ],
)
def test_the_table_of_the_contract(code: str, status: int, expected: type[Exception]) -> None:
    """A few rows as they stand in the contract."""
    assert type(error_for("put", "k", code=code, status=status, text="")) is expected


def test_the_sentence_names_operation_key_answer_and_what_to_do() -> None:
    """All that a person needs to go on."""
    error = error_for("put", "a/b", code="SignatureDoesNotMatch", status=403, text="The signature is wrong.")

    assert str(error) == (
        "put of 'a/b' failed: The signature is wrong (SignatureDoesNotMatch, HTTP 403); "
        "the secret does not belong to the access key, or a proxy alters the request"
    )
    assert (error.operation, error.key) == ("put", "a/b") if isinstance(error, StoreError) else False


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("-1", None), ("inf", None), ("nan", None), ("Fri, 01 Jan 2027", None), (None, None)],
)
def test_retry_after_in_seconds_only(header: str | None, seconds: float | None) -> None:
    """A date, or nonsense, is no number of seconds."""
    assert seconds_of(header) == seconds


@pytest.mark.parametrize(
    ("translated", "error"),
    [
        (_s3_errors.translated, exceptions.EndpointConnectionError(endpoint_url="u")),
        (_gcs_errors.translated, requests.ConnectionError("reset")),
    ],
    ids=["S3", "GCS"],
)
@pytest.mark.parametrize("handled", [FileNotFoundError("a file of the caller's"), ObjectNotFoundError("an object")])
def test_what_a_caller_handles_is_no_reason(translated: Any, error: Exception, handled: Exception) -> None:
    """A connection that breaks while somebody looks into a missing file or object may pass all the same: it is not a
    missing file of certificates."""

    def fail() -> None:
        with translated("put", "k"):
            raise error

    def look() -> None:
        try:
            raise handled
        except FileNotFoundError:
            fail()

    with pytest.raises(ObjectStoreTransientError):
        look()


@pytest.mark.parametrize("wrapped", [ssl.SSLCertVerificationError("self-signed"), FileNotFoundError("no such bundle")])
def test_what_is_about_the_certificate(wrapped: Exception) -> None:
    """It is found however deep it was wrapped: as a cause, a context, a reason or an argument."""
    for outer in (requests.ConnectionError(wrapped), requests.ConnectionError(requests.ConnectionError(wrapped))):
        with pytest.raises(ConfigurationError, match="REQUESTS_CA_BUNDLE"), _gcs_errors.translated("put", "k"):
            raise outer
    with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE"), _s3_errors.translated("put", "k"):
        raise exceptions.SSLError(endpoint_url="u", error=wrapped) from wrapped
