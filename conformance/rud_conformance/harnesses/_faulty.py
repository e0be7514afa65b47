"""The faulty servers of ``rud_fakes``, as a harness shows them to the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rud_fakes.gcs import GCSServer
from rud_fakes.s3 import Fault, S3Server

from rud_conformance.wire import Kind, Trouble


class FaultyWire:
    """``names``: what the suite calls the operations of ``server``. ``flipped``: the operation whose answer may have a
    wrong bit; where others answer with documents, of which nobody can tell."""

    def __init__(
        self,
        server: S3Server | GCSServer,
        kinds: frozenset[Kind],
        names: Mapping[str, str],
        *,
        flipped: str = "*",
    ) -> None:
        self.kinds: frozenset[str] = kinds
        self._server = server
        self._names = names
        self._flipped = flipped
        self._before = 0

    def plan(self, troubles: Mapping[int, Trouble]) -> None:
        self._begin()
        for earlier, (n, trouble) in enumerate(sorted(troubles.items())):
            # A request that meets one fault is not counted by those that wait.
            self._add(trouble, skip=n - earlier, times=1)

    def plan_all(self, trouble: Trouble) -> None:
        self._begin()
        self._add(trouble, skip=0, times=None)

    def _add(self, trouble: Trouble, *, skip: int, times: int | None) -> None:
        fault = fault_of(trouble, skip=skip, times=times)
        if fault.action == "flip" and self._flipped != "*":
            fault = replace(fault, operation=self._flipped, skip=0)
        self._server.add(fault)

    def _begin(self) -> None:
        self._server.clear_faults()
        self._before = len(self._server.fired)

    def clear(self) -> int:
        self._server.clear_faults()
        met, self._before = len(self._server.fired) - self._before, len(self._server.fired)
        return met

    def requests(self) -> list[str]:
        return [self._names.get(one.operation, one.operation) for one in self._server.requests]


def fault_of(trouble: Trouble, *, skip: int, times: int | None) -> Fault:
    """``trouble`` in the words of the servers."""
    if trouble.kind == "status":
        return Fault(
            "*",
            "status",
            skip=skip,
            times=times,
            status=trouble.status,
            # Or the server would choose one, and a code goes before the status.
            code=trouble.code or "Unnamed",
            retry_after=trouble.retry_after,
        )
    if trouble.kind == "short":
        return Fault("*", "truncate", skip=skip, times=times, bytes=1)
    if trouble.kind == "error_in_200":
        return Fault("*", "error_in_200", skip=skip, times=times, code=trouble.code or "InternalError")
    if trouble.kind == "reset":
        return Fault("*", "reset_before", skip=skip, times=times)
    if trouble.kind == "lost":
        return Fault("*", "lost_reply", skip=skip, times=times)
    return Fault("*", "flip", skip=skip, times=times)


class Objects:
    """What the server has in its bucket below ``prefix``, without a request."""

    def __init__(self, server: S3Server | GCSServer, prefix: str) -> None:
        self._server = server
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, key: str, data: bytes) -> None:
        self._server.put(self._prefix + key, data)

    def read(self) -> dict[str, bytes]:
        there = self._server.objects.items()
        return {name[len(self._prefix) :]: one.data or b"" for name, one in there if name.startswith(self._prefix)}
