"""XML as S3 writes and reads it, and its errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from rud_fakes._http.dialect import RefusalError, Reply

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

STATUS_OF = {
    "AccessDenied": 403,
    "BucketAlreadyOwnedByYou": 409,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidRange": 416,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "PreconditionFailed": 412,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
}
"""Of the codes that this server uses; all others are 400."""

CODE_OF = {
    400: "InvalidRequest",
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    408: "RequestTimeout",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "SlowDown",
}
"""Of a status for which a test names no code."""


class S3Error(RefusalError):
    """An error document: ``code``, ``message`` and further elements; the status belongs to the code."""

    def __init__(self, code: str, message: str, *, headers: Mapping[str, str] | None = None, **elements: str) -> None:
        super().__init__(error_reply(STATUS_OF.get(code, 400), code, message, headers, elements))
        self.code = code
        self.message = message


def error_reply(
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    elements: Mapping[str, str] | None = None,
) -> Reply:
    """The answer that says so."""
    inner = [text("Code", code), text("Message", message)]
    inner += [text(name, value) for name, value in (elements or {}).items()]
    body = _declared(tag("Error", *inner, text("RequestId", "FAKE")))
    return Reply(status, body, {"Content-Type": "application/xml", **(headers or {})})


def text(name: str, value: object) -> str:
    """An element of text."""
    return f"<{name}>{escape(str(value), {chr(13): '&#13;'})}</{name}>"


def tag(name: str, *inner: str) -> str:
    """An element of elements."""
    return f"<{name}>{''.join(inner)}</{name}>"


def document(name: str, inner: Iterable[str], headers: Mapping[str, str] | None = None) -> Reply:
    """The answer 200 with a document of that root."""
    whole = f'<{name} xmlns="{NAMESPACE}">{"".join(inner)}</{name}>'
    return Reply(200, _declared(whole), {"Content-Type": "application/xml", **(headers or {})})


def _declared(whole: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}'.encode()


def parse(data: bytes, root: str) -> ET.Element:
    """The document of a request, its names without a namespace; ``MalformedXML`` if it is not one of ``root``."""
    try:
        found = ET.fromstring(data)
    except ET.ParseError as error:
        raise S3Error("MalformedXML", f"The XML you provided was not well-formed: {error}") from None
    for element in found.iter():
        element.tag = element.tag.rpartition("}")[2]
    if found.tag != root:
        raise S3Error("MalformedXML", f"The root of the document is {found.tag}, not {root}.")
    return found


def iso_time(seconds: float) -> str:
    """As in documents."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds % 1 * 1000):03d}Z"


def http_time(seconds: float) -> str:
    """As in headers."""
    return formatdate(seconds, usegmt=True)


def encoder(encoding_type: str | None) -> Encoder:
    """How names are written in a listing."""
    if encoding_type in (None, ""):
        return Encoder(is_url=False)
    if encoding_type == "url":
        return Encoder(is_url=True)
    raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request", ArgumentName="encoding-type")


class Encoder:
    """Writes a name as text or percent-encoded."""

    def __init__(self, *, is_url: bool) -> None:
        self._is_url = is_url

    def __call__(self, name: str, value: str) -> str:
        return text(name, quote(value, safe="/") if self._is_url else value)

    def note(self) -> str:
        """The element that tells of the encoding."""
        return text("EncodingType", "url") if self._is_url else ""
