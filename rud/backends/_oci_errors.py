"""From what the OCI SDK raises to the errors of ``rud``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rud.backends._answers import error_for, is_about_the_certificate, seconds_of
from rud.errors import ConfigurationError, ObjectStoreTransientError, RudError, StoreError
from rud.store import Section


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
    """One request that sends ``section``: when it fails for what a read of the section has raised, that is raised."""
    try:
        with translated("put", key):
            yield
    except RudError:
        if section.error is not None:
            raise section.error from None
        raise


def code_of(error: RudError) -> str:
    """The service's code for it, or ``""``."""
    return getattr(error.__cause__, "code", None) or ""


def status_of(error: RudError) -> int | None:
    """The HTTP status of the answer, if there was one."""
    return getattr(error.__cause__, "status", None)


def _translation(error: Exception, handled: BaseException | None, operation: str, key: str) -> RudError:
    import urllib3.exceptions
    from oci.exceptions import BaseConnectTimeout, BaseRequestException, ClientError, ServiceError

    if isinstance(error, ServiceError):
        return error_for(
            operation,
            key,
            code=error.code or "",
            status=error.status,
            text=error.message or "",
            retry_after=seconds_of(error.headers.get("retry-after")),
        )
    if is_about_the_certificate(error, handled):
        return ConfigurationError(
            f"{error}; if the endpoint's certificate is of an authority of your own, set REQUESTS_CA_BUNDLE to its file"
        )
    if isinstance(error, ClientError):
        return ConfigurationError(f"the OCI SDK says: {error}")
    may_pass = (BaseRequestException, BaseConnectTimeout, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError)
    cls = ObjectStoreTransientError if isinstance(error, may_pass) else StoreError
    return cls.during(operation, key, f"{type(error).__name__}: {error}")
