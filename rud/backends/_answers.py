"""From a service's answer to the class of the error: one table for every service that speaks HTTP.

The service's own code decides; the status only where there is no code, or none that is known; digits in a message or a
key never do.
"""

from __future__ import annotations

import ssl
from typing import Any

from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
    ThrottledError,
    UnsupportedOperationError,
)

CODES: dict[str, type[StoreError | ConfigurationError]] = {
    # May pass (S3 API reference, "Error responses"; Azure and GCS share the names).
    "RequestTimeout": ObjectStoreTransientError,
    "OperationAborted": ObjectStoreTransientError,
    "ConditionalRequestConflict": ObjectStoreTransientError,
    "InternalError": ObjectStoreTransientError,
    "ConcurrentObjectUpdate": ObjectStoreTransientError,  # OCI, as are those below that S3 does not have
    "IncorrectState": ObjectStoreTransientError,
    "NoSuchUpload": ObjectStoreTransientError,  # ended by a rule of the bucket, or by somebody else: begun anew
    "ServiceUnavailable": ObjectStoreTransientError,
    # Fewer requests.
    "SlowDown": ThrottledError,
    "Throttling": ThrottledError,
    "ThrottlingException": ThrottledError,
    "RequestLimitExceeded": ThrottledError,
    "TooManyRequests": ThrottledError,
    "TooManyRequestsException": ThrottledError,
    "BandwidthLimitExceeded": ThrottledError,
    # Who we are.
    "ExpiredToken": CredentialsExpiredError,
    "ExpiredTokenException": CredentialsExpiredError,
    "RequestExpired": CredentialsExpiredError,
    "TokenRefreshRequired": CredentialsExpiredError,
    "AccessDenied": AccessDeniedError,
    "AllAccessDisabled": AccessDeniedError,
    "InvalidAccessKeyId": AccessDeniedError,
    "InvalidToken": AccessDeniedError,
    "SignatureDoesNotMatch": AccessDeniedError,
    "XAdminUserNotFound": AccessDeniedError,  # versitygw 1.8: an unknown access key, answered with 404
    # Where we are.
    "NoSuchBucket": BucketNotFoundError,
    "BucketNotFound": BucketNotFoundError,
    "NotAuthorizedOrNotFound": BucketNotFoundError,
    "NoSuchKey": ObjectNotFoundError,
    "RequestTimeTooSkewed": ConfigurationError,
    "PermanentRedirect": ConfigurationError,
    "AuthorizationHeaderMalformed": ConfigurationError,
    "IllegalLocationConstraintException": ConfigurationError,
    # What is there, and what we sent.
    "PreconditionFailed": ObjectExistsError,
    "BadDigest": IntegrityError,
    "UnmatchedContentCRC32C": IntegrityError,
    "UnmatchedContentMD5": IntegrityError,
    "InvalidDigest": IntegrityError,
    "XAmzContentChecksumMismatch": IntegrityError,
    "XAmzContentSHA256Mismatch": IntegrityError,
    "NotImplemented": UnsupportedOperationError,
}
"""Codes whose class the status would not give, or not surely."""

STATUSES: dict[int, type[StoreError]] = {
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: ObjectNotFoundError,
    405: UnsupportedOperationError,
    408: ObjectStoreTransientError,
    412: ObjectExistsError,
    425: ObjectStoreTransientError,
    429: ThrottledError,
    501: UnsupportedOperationError,
}
"""Statuses of an answer without a code that is known. Every other 5xx may pass, every other 4xx will not."""

ADVICE = {
    "RequestTimeTooSkewed": "set the clock of this machine",
    "PermanentRedirect": "the bucket is in another region, or behind another endpoint: set region_name or endpoint_url",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set region_name",
    "IllegalLocationConstraintException": "the bucket is in another region: set region_name",
    "NotAuthorizedOrNotFound": "the bucket is not there, or these credentials may not see it",
    "NotAuthenticated": "check the user, the fingerprint and the key of the OCI profile, and the clock of this machine",
    "InvalidAccessKeyId": "check which credentials are used: `rud check` says where they come from",
    "SignatureDoesNotMatch": "the secret does not belong to the access key, or a proxy alters the request",
}


def error_for(
    operation: str, key: str, *, code: str, status: int, text: str, retry_after: float | None = None
) -> StoreError | ConfigurationError:
    """The error that says what a service answered. ``code`` is ``""`` when the answer had none."""
    cls = CODES.get(code) or _by_status(status)
    said = f"{text.rstrip('.') or 'the service said no'} ({code or 'no code'}, HTTP {status})"
    if advice := ADVICE.get(code):
        said += f"; {advice}"
    if issubclass(cls, ConfigurationError):
        return cls(f"{operation} of {key!r} failed: {said}" if key else f"{operation} failed: {said}")
    facts: dict[str, Any] = {"operation": operation, "key": key, "reason": said}
    if issubclass(cls, ObjectStoreTransientError):
        facts["retry_after"] = retry_after
    where = f"{operation} of {key!r}" if key else operation
    return cls(f"{where} failed: {said}", **facts)


def _by_status(status: int) -> type[StoreError]:
    if status in STATUSES:
        return STATUSES[status]
    return ObjectStoreTransientError if status >= 500 or status < 300 else StoreError


def seconds_of(retry_after: str | None) -> float | None:
    """The seconds of a ``Retry-After`` header; ``None`` for a date or nonsense (RFC 9110, 10.2.3, allows a date)."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def is_about_the_certificate(error: BaseException, handled: BaseException | None) -> bool:
    """Whether a certificate that does not verify is at the bottom of it, or a file of certificates that is not there:
    urllib3 wraps it up to three times.

    ``handled``: what the caller was handling when the operation began. It is a context of ``error``, and no reason; nor
    is an error of ours, such as one that says that an object is not there.
    """
    seen: list[object] = [error]
    for one in seen:
        if one is handled or isinstance(one, RudError):
            continue
        if isinstance(one, ssl.SSLCertVerificationError | FileNotFoundError):
            return True
        if isinstance(one, BaseException) and len(seen) < 50:
            seen += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return False
