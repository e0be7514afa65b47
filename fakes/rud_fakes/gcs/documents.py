"""JSON as Cloud Storage writes it, and its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rud_fakes._http.dialect import Head, RefusalError, Reply

REASON_OF = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    408: "requestTimeout",
    409: "conflict",
    410: "uploadBrokenConnection",
    412: "conditionNotMet",
    416: "requestedRangeNotSatisfiable",
    429: "rateLimitExceeded",
    500: "backendError",
    501: "notImplemented",
    502: "badGateway",
    503: "backendError",
    504: "gatewayTimeout",
}
"""Of a status for which nobody names another."""


class GCSError(RefusalError):
    """An error document."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error_reply(status, message, headers=headers))


def error_reply(
    status: int, message: str, reason: str | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """The answer that says so."""
    reason = reason or REASON_OF.get(status, "invalid")
    error = {"message": message, "domain": "global", "reason": reason}
    return document({"error": {"code": status, "message": message, "errors": [error]}}, status=status, headers=headers)


def document(value: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer with a document."""
    body = json.dumps(value).encode()
    return Reply(status, body, {"Content-Type": "application/json; charset=UTF-8", **(headers or {})})


def chosen(head: Head, value: Mapping[str, Any]) -> Reply:
    """An answer with what the parameter ``fields`` leaves of a document: names of its own fields, however deep."""
    fields = head.parameters.get("fields")
    if not fields:
        return document(value)
    names = set(fields.replace("(", ",").replace(")", ",").replace("/", ",").split(","))
    return document({name: _inner(names, item) for name, item in value.items() if name in names})


def _inner(names: set[str], value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [{name: inner for name, inner in item.items() if name in names} for item in value]


def parse(data: bytes) -> dict[str, Any]:
    """The document of a request; nothing is an empty one."""
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise GCSError(400, "Parse Error")
    return found


def iso_time(seconds: float) -> str:
    """As in documents."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
