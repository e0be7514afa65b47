"""From what libcloud, requests and the services behind them raise and answer to the errors of ``rud``."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from collections.abc import Iterator
from xml.sax.saxutils import unescape

from requests import Response
from requests.exceptions import RequestException

from rud.backends._answers import error_for, is_about_the_certificate, seconds_of
from rud.backends._folders import translated as translated_from_system
from rud.backends._libcloud_line import Line
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    IntegrityError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
)

_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")


@contextlib.contextmanager
def translated(operation: str, key: str, line: Line) -> Iterator[None]:
    """What a driver raises within, as one of ours; the first answer on ``line`` that was an error decides."""
    handled = sys.exception()
    try:
        yield
    except RudError:
        raise
    except Exception as error:
        raise _translation(error, handled, operation, key, line) from error


def refusal(operation: str, key: str, answer: Response) -> RudError:
    """The error that ``answer`` is."""
    text = ""
    with contextlib.suppress(RequestException):
        text = answer.text
    code = _CODE.search(text)
    message = _MESSAGE.search(text)
    return error_for(
        operation,
        key,
        code=code[1] if code else answer.headers.get("x-ms-error-code", ""),
        status=answer.status_code,
        text=unescape(message[1]) if message else answer.reason or "",
        retry_after=seconds_of(answer.headers.get("retry-after")),
    )


def _translation(error: Exception, handled: BaseException | None, operation: str, key: str, line: Line) -> RudError:
    cause = error if line.trouble is None else line.trouble
    if isinstance(cause, Response):
        return refusal(operation, key, cause)
    if isinstance(cause, RequestException) and is_about_the_certificate(cause, handled):
        return ConfigurationError(
            f"{cause}; if the certificate is of an authority of your own, set REQUESTS_CA_BUNDLE to its file"
        )
    if isinstance(cause, RequestException | ConnectionError | TimeoutError | socket.gaierror):
        return ObjectStoreTransientError.during(operation, key, f"{type(cause).__name__}: {cause}")
    if isinstance(cause, OSError):
        return _from_system(cause, operation, key)
    return _class_of(cause, line).during(operation, key, _said(cause))


def _from_system(error: OSError, operation: str, key: str) -> RudError:
    if isinstance(error, IsADirectoryError | NotADirectoryError) and operation == "put":
        return StoreError.during(operation, key, "a file cannot also be a folder, and there is one in its way")
    if isinstance(error, IsADirectoryError):
        return ObjectNotFoundError.during(operation, key, "there is a folder of that name, not an object")
    try:
        with translated_from_system(operation, key):
            raise error
    except RudError as ours:
        return ours


def _class_of(error: Exception, line: Line) -> type[StoreError]:
    from libcloud.common.types import InvalidCredsError, LibcloudError
    from libcloud.storage import types

    classes: dict[type[Exception], type[StoreError]] = {
        types.ContainerDoesNotExistError: BucketNotFoundError,
        types.ObjectDoesNotExistError: ObjectNotFoundError,
        types.ObjectHashMismatchError: IntegrityError,
        types.ObjectError: ObjectNotFoundError,  # of the provider "local": a folder
        InvalidCredsError: AccessDeniedError,
    }
    for theirs, ours in classes.items():
        if isinstance(error, theirs):
            return ours
    # A success that a driver can make nothing of has been cut short or altered on its way.
    is_answered = line.last is not None
    return ObjectStoreTransientError if is_answered and not isinstance(error, LibcloudError) else StoreError


def _said(error: Exception) -> str:
    """Not the whole of libcloud's text, which names an address in memory."""
    said = getattr(error, "value", None) or str(error)
    return f"{type(error).__name__}: {said}"
