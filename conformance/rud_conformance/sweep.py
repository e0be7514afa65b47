"""Wrong answers, one at a time: the n-th call of each operation, whatever it is, until there is no n-th.

No mistake that anybody would make, but what shows of most assertions whether they can fail at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rud_fakes.clock import FakeClock

from rud._object_store import ObjectStore
from rud.errors import ObjectStoreTransientError
from rud.store import ObjectMeta, PutResult
from rud_conformance.harnesses import Wired
from rud_conformance.registry import Case, cases
from rud_conformance.run import Run
from rud_conformance.verdict import Verdict
from rud_conformance.wired import WiredBackend

MOST = 12
"""Calls of one operation that are tried in turn."""


@dataclass(slots=True)
class _Plan:
    """``call``: of ``operation`` goes wrong by ``way``. ``met``: it was made."""

    operation: str = ""
    way: str = ""
    call: int = 0
    met: bool = False

    def is_now(self, operation: str) -> bool:
        if operation != self.operation:
            return False
        self.call -= 1
        self.met = self.met or self.call < 0
        return self.call == -1


_PLAN = _Plan()


def _wrong(answer: Any) -> Any:
    """Another answer of that kind."""
    if isinstance(answer, ObjectMeta):
        return replace(answer, size=answer.size + 1, etag="wrong", checksum=1, last_modified=0.0, entry_id="wrong")
    if isinstance(answer, list):
        return answer[1:] if answer else ["wrong"]
    if isinstance(answer, int | str):
        return answer * 2
    return answer


def _bent(operation: str, plan: _Plan, right: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *given: Any, **named: Any) -> Any:
        if not plan.is_now(operation):
            return right(self, *given, **named)
        if plan.way == "undone":
            return {"put": PutResult(etag="wrong"), "list": iter(())}.get(operation)
        if plan.way == "fails":
            raise ObjectStoreTransientError.during(operation, "k", "wrong")
        try:
            answer = right(self, *given, **named)
        except Exception:
            if plan.way == "silent":
                return iter(()) if operation == "list" else ObjectMeta("k", 0)
            raise
        if operation == "get":
            given[1].write(b"?")
        if operation == "list":
            return iter([_wrong(one) for one in answer])
        return _wrong(answer)

    return call


_BACKEND = ("put", "get", "head", "list", "delete", "uri", "abort", "probe")
_CALLER = ("upload_object", "download_object", "get_object_size", "list_objects", "delete_object")
_WAYS = ("undone", "fails", "silent", "wrong")


class _Bent(Wired):
    """With what ``_PLAN`` says in the way."""

    backend = type("Bent", (WiredBackend,), {one: _bent(one, _PLAN, getattr(WiredBackend, one)) for one in _BACKEND})
    caller = type("Bent", (ObjectStore,), {one: _bent(one, _PLAN, getattr(ObjectStore, one)) for one in _CALLER})


class _BentBriefly(_Bent):
    """With few examples."""

    limits = replace(Wired.limits, slow=True)


def failures() -> Iterator[str]:
    """Where cases have failed, as ``Result.at`` has it."""
    before = threading.excepthook
    threading.excepthook = lambda *_: None  # of the cases that have threads of their own
    try:
        for case in cases("quick"):
            yield from _of(case)
    finally:
        threading.excepthook = before


def _of(case: Case) -> Iterator[str]:
    run = Run(_Bent if case.given is None else _BentBriefly, "smoke", shrink=False, clock=FakeClock())
    for operation in (*_BACKEND, *_CALLER):
        for way in _WAYS:
            yield from _in_turn(run, case, _PLAN, operation, way)


def _in_turn(run: Run, case: Case, plan: _Plan, operation: str, way: str) -> Iterator[str]:
    for call in range(MOST):
        plan.operation, plan.way, plan.call, plan.met = operation, way, call, False
        result = run.result(case)
        if not plan.met:
            return
        if result.verdict is Verdict.FAIL:
            yield result.at
