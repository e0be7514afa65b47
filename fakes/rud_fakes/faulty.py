"""A store that fails where a script says so."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rud.store import Backend, Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Sink, Source

Operation = Literal["put", "get", "head", "list", "delete", "abort", "probe"]


@dataclass(frozen=True, slots=True)
class Fault:
    """``operation`` raises ``error`` the next ``times`` times that it meets this fault.

    ``key``: only of this key; ``None`` is any. ``after``: the operation takes place, and its reply is lost.
    ``bytes_first``: that many bytes of a ``get`` or ``put`` pass before the error.
    """

    operation: Operation
    error: BaseException
    key: str | None = None
    after: bool = False
    times: int = 1
    bytes_first: int = 0


class FaultyBackend(Backend):
    """``backend`` with ``faults``, met in the order in which they are given; without any it is ``backend``.

    ``verify_all_used`` is for the end of a test: a fault that was never met has tested nothing.
    """

    def __init__(self, backend: Backend, faults: Iterable[Fault] = ()) -> None:
        self._backend = backend
        self._lock = threading.Lock()  # Guards _left.
        self._left = [(fault, fault.times) for fault in faults]

    def verify_all_used(self) -> None:
        """Raise ``AssertionError`` that lists the faults which were not met as often as they should."""
        with self._lock:
            unused = [f"{fault} ({left} left)" for fault, left in self._left]
        if unused:
            raise AssertionError("faults that were never met: " + "; ".join(unused))

    @property
    def capabilities(self) -> Capabilities:
        return self._backend.capabilities

    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        with self._meeting("put", key) as fault:
            if fault is not None and fault.bytes_first:
                source.read(fault.bytes_first)
                raise fault.error
            return self._backend.put(
                key,
                source,
                mode=mode,
                checksum=checksum,
                entry_id=entry_id,
                durable=durable,
                on_multipart=on_multipart,
            )

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        with self._meeting("get", key) as fault:
            cut = sink if fault is None or not fault.bytes_first else _CutSink(sink, fault)
            return self._backend.get(key, cut, start=start)

    def head(self, key: str) -> ObjectMeta:
        with self._meeting("head", key):
            return self._backend.head(key)

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        with self._meeting("list", prefix):
            return self._backend.list(prefix)

    def delete(self, key: str) -> None:
        with self._meeting("delete", key):
            self._backend.delete(key)

    def abort(self, key: str, upload_id: str | None) -> None:
        with self._meeting("abort", key):
            self._backend.abort(key, upload_id)

    def probe(self) -> None:
        with self._meeting("probe", ""):
            self._backend.probe()

    def uri(self, key: str) -> str:
        return self._backend.uri(key)

    def close(self) -> None:
        self._backend.close()

    @contextmanager
    def _meeting(self, operation: str, key: str) -> Iterator[Fault | None]:
        fault = self._take(operation, key)
        if fault is not None and not fault.after and not fault.bytes_first:
            raise fault.error
        yield fault
        if fault is not None:
            raise fault.error

    def _take(self, operation: str, key: str) -> Fault | None:
        with self._lock:
            for index, (fault, left) in enumerate(self._left):
                if fault.operation == operation and fault.key in (None, key):
                    self._left[index : index + 1] = [(fault, left - 1)] if left > 1 else []
                    return fault
        return None


class _CutSink:
    """Passes on the first bytes, then fails."""

    def __init__(self, sink: Sink, fault: Fault) -> None:
        self._sink = sink
        self._fault = fault
        self._left = fault.bytes_first

    def write(self, chunk: bytes, /) -> object:
        passed = chunk[: self._left]
        self._left -= len(passed)
        self._sink.write(passed)
        if self._left == 0:
            raise self._fault.error
        return len(chunk)
