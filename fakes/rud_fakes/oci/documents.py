"""JSON as OCI writes it, and its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rud_fakes._http.dialect import RefusalError, Reply

CODE_OF = {
    400: "InvalidParameter",
    401: "NotAuthenticated",
    403: "NotAllowed",
    404: "NotAuthorizedOrNotFound",
    409: "IncorrectState",
    412: "IfNoneMatchFailed",
    429: "TooManyRequests",
    500: "InternalServerError",
    501: "MethodNotImplemented",
    503: "ServiceUnavailable",
}
"""Of a status for which nobody names another (OCI documentation, "API Errors")."""


class OCIError(RefusalError):
    """An error document."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(error_reply(status, code, message))


def error_reply(status: int, code: str | None, message: str) -> Reply:
    """The answer that says so."""
    return document({"code": code or CODE_OF.get(status, "InternalServerError"), "message": message}, status=status)


def document(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer with a document."""
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


def parse(data: bytes) -> dict[str, Any]:
    """The document of a request."""
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise OCIError(400, "InvalidParameter", "The body is no document.")
    return found


def iso_time(seconds: float) -> str:
    """As in documents."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
