"""From what a run without faults has reached to a plan for each way in which it might have failed there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rud import _faultpoints
from rud_fakes.faults.actions import Value
from rud_fakes.faults.line import format_line
from rud_fakes.faults.plan import Pick, Plan, Rule
from rud_fakes.faults.points import SERVER_POINTS, VERB_OF

_DELAY = 0.2
"""Seconds: what a client waits for without noticing."""
_LIBRARY: dict[str, Value] = {
    "errno": "EIO", "raise": "RuntimeError", "kill": True, "exit": 1, "_exit": 1,
    "delay": _DELAY, "flip": 0, "truncate": 0,
}  # fmt: skip
"""What is tried of an action of the library. Not tried: ``stop``, ``pause`` and ``hang``, which somebody has to end."""
_SERVER: dict[str, Value] = {"delay": _DELAY, "truncate": 1, "flip": 0, "error200": "InternalError"}
_OF_WIRE = frozenset({"stall", "trickle", "duplicate"})
_DEADLY = frozenset({"kill", "exit", "_exit"})
_DATA = frozenset({"PutObject", "UploadPart", "UploadMedia", "UploadMultipart", "UploadChunk", "put"})
_PARTS = frozenset({"UploadPart", "CompleteMultipartUpload", "UploadChunk"})
_READS = frozenset({"get", "head", "list"})

_STATUS: dict[str, tuple[Value, ...]] = {
    "http.request.head": ((503, "SlowDown"),),
    "http.response": ((500, "InternalError"), (503, "SlowDown")),
    "auth.expired": ((400, "ExpiredToken"),),
    "auth.skew": ((403, "RequestTimeTooSkewed"),),
    "auth.denied_read": ((403, "AccessDenied"),),
    "store.part": ((404, "NoSuchUpload"),),
    "store.stale_head": ((404, "NoSuchKey"),),
    "store.precondition": ((412, "PreconditionFailed"),),
    "store.quota": ((400, "EntityTooLarge"),),
    "store.redirect": ((301, "PermanentRedirect"),),
    "store.gone": ((404, "NoSuchBucket"),),
}
"""Answers as S3 documents them."""


@dataclass(frozen=True, slots=True)
class Reached:
    """``points``: of the library, and whether only other processes than the test's have reached them. ``requests``: by
    operation the bytes of the longest body.
    """

    points: Mapping[str, bool]
    requests: Mapping[str, int]


_ONLY: dict[str, frozenset[str]] = {
    "http.response.200error": frozenset({"CompleteMultipartUpload"}),
    "http.response.truncated": frozenset({"get"}),
    "http.response.trickle": frozenset({"get"}),
    "auth.denied_read": _READS,
    "store.checksum": _DATA | {"get"},
    "store.part": _PARTS,
    "store.stale_head": frozenset({"head", "list"}),
    "store.late_put": frozenset({"put"}),
    "store.precondition": frozenset({"put"}),
    "store.quota": frozenset({"put"}),
}
"""Points that only these operations, by their names or verbs, can meet."""


def plans(reached: Reached) -> Iterator[Plan]:
    """A plan of one rule, which fires once, for each action at each point that was reached."""
    for operation, size in reached.requests.items():
        for name, point in SERVER_POINTS.items():
            if _fits(name, operation, size):
                for action in point.make:
                    for value in _values(name, action, size) if _is_tried(action, operation) else ():
                        yield _plan(name, action, value, ("op", operation))
    for name, elsewhere in reached.points.items():
        for action in _faultpoints.POINTS[name].actions:
            if action in _LIBRARY and (elsewhere or action not in _DEADLY):
                yield _plan(name, action, _LIBRARY[action])


def left_out(reached: Reached) -> list[str]:
    """Actions at points that were reached and are not tried: what somebody has to end, and what would end the test."""
    return [
        f"{name}={action}"
        for name, elsewhere in reached.points.items()
        for action in _faultpoints.POINTS[name].actions
        if action not in _LIBRARY or (action in _DEADLY and not elsewhere)
    ]


def line_of(plan: Plan) -> str:
    """The plan for a command line."""
    return format_line(plan)


def _fits(point: str, operation: str, size: int) -> bool:
    verb = VERB_OF.get(operation, operation)
    if point == "http.request.body":
        return size > 0
    return point not in _ONLY or bool({operation, verb} & _ONLY[point])


def _is_tried(action: str, operation: str) -> bool:
    """The operation of a wrapped object is a verb; it has no wire, and no time limit that could be tried."""
    return action not in _OF_WIRE or operation not in VERB_OF.values()


def _values(point: str, action: str, size: int) -> tuple[Value, ...]:
    if action == "status":
        return _STATUS[point]
    if action == "reset" and point == "http.request.body":
        return (size // 2,)
    if action == "trickle":
        return (max(1, 4 * size) if point == "http.request.body" else 1 << 16,)
    return (_SERVER.get(action, True),)


def _plan(point: str, action: str, value: Value, *where: tuple[str, str]) -> Plan:
    return Plan((Rule("r1", point, ((action, value),), where, Pick(nth=(1,))),))
