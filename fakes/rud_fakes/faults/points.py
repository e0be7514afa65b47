"""All points that a plan may name: those of the library, and those of the fault server with what it does there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rud import _faultpoints
from rud._faultpoints import Point
from rud_fakes._http.faults import Action, Fault
from rud_fakes._http.log import Request
from rud_fakes.faults.actions import Value
from rud_fakes.faults.plan import Rule

FACTS = ("op", "key", "part", "attempt", "method", "bytes")
"""What is told at a point of the server: the operation (as ``PutObject``; a filter may name its verb, too), the key,
the number of a part, how many requests of this operation on this key there were (this one is counted), the HTTP method,
and the length of the body."""

_VERBS = {
    "put": (
        "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload",
        "UploadMedia", "UploadMultipart", "StartUpload", "UploadChunk", "QueryUpload",
    ),
    "get": ("GetObject", "GetMedia"),
    "head": ("HeadObject",),
    "list": ("ListObjects", "ListObjectsV2"),
    "delete": ("DeleteObject", "DeleteObjects"),
}  # fmt: skip
VERB_OF = {operation: verb for verb, operations in _VERBS.items() for operation in operations}
"""What an operation of S3 or Cloud Storage is to the objects; the others of ``OPERATIONS`` are nothing to them."""
OPERATIONS = frozenset(VERB_OF) | {
    "AbortMultipartUpload", "CancelUpload", "CreateBucket", "GetBucket", "GetBucketLocation", "HeadBucket",
    "ListBuckets", "ListMultipartUploads", "ListParts", "Token", "Unknown",
}  # fmt: skip
METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})
KNOWN = {"op": OPERATIONS | frozenset(_VERBS), "method": METHODS}
"""All that these facts may be at a point of the server."""

Make = Callable[[str, Value], Fault]


@dataclass(frozen=True, slots=True)
class ServerPoint:
    point: Point
    make: Mapping[str, Make]


def _status(operation: str, value: Value) -> Fault:
    status, *more = value if isinstance(value, tuple) else (value,)
    code = str(more[0]) if more and more[0] else None
    after = float(more[1]) if len(more) > 1 else None
    return Fault(operation, "status", times=None, status=int(str(status)), code=code, retry_after=after)


def _refuse_unread(operation: str, value: Value) -> Fault:
    fault = _status(operation, value)
    return Fault(operation, "status", times=None, status=fault.status, code=fault.code, read_body=False)


def _reset_in_body(operation: str, value: Value) -> Fault:
    return Fault(operation, "reset_in_body", times=None, bytes=0 if value is True else int(str(value)))


def _pause(operation: str, value: Value) -> Fault:
    if value is True:
        return Fault(operation, "never", times=None)
    return Fault(operation, "delay", times=None, seconds=float(str(value)))


def _trickle_in(operation: str, value: Value) -> Fault:
    return Fault(operation, "trickle_in", times=None, rate=float(str(value)))


def _trickle_out(operation: str, value: Value) -> Fault:
    return Fault(operation, "trickle_out", times=None, rate=float(str(value)))


def _truncate(operation: str, value: Value) -> Fault:
    return Fault(operation, "truncate", times=None, bytes=int(str(value)))


def _error_in_200(operation: str, value: Value) -> Fault:
    return Fault(operation, "error_in_200", times=None, code=str(value))


def _plain(action: Action) -> Make:
    return lambda operation, _: Fault(operation, action, times=None)


_DECLARED: tuple[tuple[str, str, dict[str, Make]], ...] = (
    ("http.request.head", "the head of a request is read", {"reset": _plain("reset_before"), "status": _refuse_unread}),
    (
        "http.request.body",
        "the body of a request is being read",
        {"reset": _reset_in_body, "stall": _pause, "trickle": _trickle_in},
    ),
    ("http.response.none", "a request is carried out", {"lost": _plain("lost_reply")}),
    ("http.response.none_not_stored", "a request is read and not carried out", {"reset": _plain("reset_after")}),
    ("http.response", "a request is about to be answered", {"status": _status, "delay": _pause, "stall": _pause}),
    ("http.response.200error", "a request is about to be answered with 200", {"error200": _error_in_200}),
    ("http.response.truncated", "an answer is being sent", {"truncate": _truncate}),
    ("http.response.trickle", "an answer is being sent", {"trickle": _trickle_out}),
    ("http.response.duplicate", "an answer was sent", {"duplicate": _plain("duplicate")}),
    ("auth.expired", "credentials are looked at", {"status": _status}),
    ("auth.skew", "the time of a signature is looked at", {"status": _status}),
    ("auth.denied_read", "the right to read is looked at", {"status": _status}),
    ("store.checksum", "bytes are about to be stored, or given", {"flip": _plain("flip")}),
    ("store.part", "a part, or the end of a multipart upload, is about to be carried out", {"status": _status}),
    ("store.stale_head", "a look or a listing is about to be answered", {"status": _status}),
    ("store.late_put", "a request is about to be carried out, and its sender may have left", {"delay": _pause}),
    ("store.precondition", "a condition is looked at", {"status": _status}),
    ("store.quota", "room for an object is looked for", {"status": _status}),
    ("store.redirect", "the region of a bucket is looked at", {"status": _status}),
    ("store.gone", "a bucket is looked for", {"status": _status}),
    ("store.slow", "a request is about to be carried out", {"delay": _pause}),
)
SERVER_POINTS: dict[str, ServerPoint] = {
    name: ServerPoint(Point(name, contract, tuple(make), FACTS), make) for name, contract, make in _DECLARED
}
POINTS: dict[str, Point] = {**_faultpoints.POINTS, **{name: one.point for name, one in SERVER_POINTS.items()}}


def faults_of(rule: Rule, request: Request) -> list[Fault]:
    """What the fault server does to ``request`` when ``rule`` fires for it."""
    make = SERVER_POINTS[rule.at].make
    return [replace(make[action](request.operation, value), rule=rule.id) for action, value in rule.actions]
