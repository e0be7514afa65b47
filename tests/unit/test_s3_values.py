"""Between botocore's values and errors and ours."""

from __future__ import annotations

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from rud.backends._s3_errors import translated
from rud.backends._s3_values import crc_in, header_of, result_of
from rud.errors import (
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
    ThrottledError,
)
from rud.store import PutResult


@pytest.mark.parametrize(
    ("answer", "crc"),
    [
        ({"ChecksumCRC32C": "4waSgw==", "ChecksumType": "FULL_OBJECT"}, 0xE3069283),
        ({"ChecksumCRC32C": "4waSgw=="}, 0xE3069283),
        ({"ChecksumCRC32C": "4waSgw==", "ChecksumType": "COMPOSITE"}, None),
        ({"ChecksumCRC32C": "4waSgw==-2"}, None),
        ({"ChecksumCRC32": "y/U5Jg=="}, None),
    ],
)
def test_only_a_sum_of_all_bytes_is_one(answer: dict[str, str], crc: int | None) -> None:
    """A sum of the sums of parts is of other bytes; 0xE3069283 is the CRC32C of "123456789"."""
    assert crc_in(answer) == crc
    if crc is not None:
        assert header_of(crc) == answer["ChecksumCRC32C"]


def test_a_service_that_has_summed_other_bytes() -> None:
    """A put is not believed to be stored when the answer's sum is another."""
    assert result_of({"ETag": '"tag"', "VersionId": "v1", "ChecksumCRC32C": "4waSgw=="}, "k", 0xE3069283) == PutResult(
        "tag", "v1"
    )
    with pytest.raises(IntegrityError, match=r"'k'.*e3069284.*e3069283"):
        result_of({"ChecksumCRC32C": "4waSgw=="}, "k", 0xE3069284)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="u"), ObjectStoreTransientError),
        (exceptions.ReadTimeoutError(endpoint_url="u"), ObjectStoreTransientError),
        (exceptions.HTTPClientError(error="e"), ObjectStoreTransientError),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), ObjectStoreTransientError),
        (ResponseParserError("no XML"), ObjectStoreTransientError),
        (exceptions.SSLError(endpoint_url="u", error="EOF"), ObjectStoreTransientError),
        (exceptions.FlexibleChecksumError(error_msg="e"), IntegrityError),
        (exceptions.CredentialRetrievalError(provider="p", error_msg="e"), CredentialsExpiredError),
        (exceptions.MetadataRetrievalError(error_msg="e"), CredentialsExpiredError),
        (exceptions.UnauthorizedSSOTokenError(), CredentialsExpiredError),
        (exceptions.TokenRetrievalError(provider="p", error_msg="e"), CredentialsExpiredError),
        (exceptions.NoCredentialsError(), ConfigurationError),
        (exceptions.PartialCredentialsError(provider="p", cred_var="v"), ConfigurationError),
        (exceptions.ParamValidationError(report="r"), StoreError),
        (RuntimeError("a bug"), StoreError),
        (ThrottledError("ours"), ThrottledError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_botocore_raises(error: Exception, expected: type[Exception]) -> None:
    """Each kind is of the class that says what to do about it; an error of ours stays what it is."""
    with pytest.raises(RudError) as caught, translated("put", "k"):
        raise error

    assert type(caught.value) is expected
    assert caught.value is error or caught.value.__cause__ is error


def test_an_answer_that_names_the_bucket() -> None:
    """So does the text: the endpoint of one may know nothing of another."""
    said = {"Code": "NoSuchBucket", "Message": "The specified bucket does not exist.", "BucketName": "mine"}
    answer = exceptions.ClientError(
        {"Error": said, "ResponseMetadata": {"HTTPStatusCode": 404, "HTTPHeaders": {"retry-after": "3"}}}, "PutObject"
    )

    with pytest.raises(BucketNotFoundError, match="does not exist: 'mine'"), translated("put", "k"):
        raise answer


def test_an_answer_that_asks_for_a_pause() -> None:
    """The seconds of ``Retry-After`` are kept."""
    answer = exceptions.ClientError(
        {
            "Error": {"Code": "SlowDown"},
            "ResponseMetadata": {"HTTPStatusCode": 503, "HTTPHeaders": {"retry-after": "3"}},
        },
        "PutObject",
    )

    with pytest.raises(ThrottledError) as caught, translated("put", "k"):
        raise answer
    assert caught.value.retry_after == 3.0
