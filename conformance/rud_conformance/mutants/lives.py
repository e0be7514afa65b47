"""Mistakes of how instances come and go."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any, ClassVar

from rud.errors import StoreError
from rud.store import Capabilities, ObjectMeta, PutResult, Sink, Source
from rud_conformance.harnesses import Wired
from rud_conformance.mutants import mutant
from rud_conformance.wired import WiredBackend


@mutant("close-once", "Z04", "a second close raises")
class CloseOnce(WiredBackend):
    def close(self) -> None:
        if self._closed:
            raise RuntimeError("closed already")
        super().close()


@mutant("close-of-all", "Z04 Z12", "closing one instance closes all of them")
class CloseOfAll(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._others = _opened.setdefault(bucket, [])
        self._others.append(self)
        self._prefix = self._others[-1]._prefix
        for other in self._others:
            other._prefix = self._prefix

    def close(self) -> None:
        for other in self._others:
            other._closed = True


_opened: dict[str, list[Any]] = {}


@mutant("used-after-close", "Z05", "a closed instance goes on")
class UsedAfterClose(WiredBackend):
    def _check_open(self, operation: str, key: str) -> None:
        return


@mutant("files-left-open", "Z06", "each failed put leaves a file open")
class FilesLeftOpen(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        file = os.open(os.devnull, os.O_RDONLY)
        result = super().put(key, source, **given)
        os.close(file)
        return result


@mutant("threads-left", "Z07", "each put leaves a thread")
class ThreadsLeft(WiredBackend):
    over: ClassVar[threading.Event] = threading.Event()

    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        threading.Thread(target=self.over.wait, args=(20,), daemon=True).start()
        return super().put(key, source, **given)


@mutant("litter", "Z08", "each get leaves a temporary file")
class Litter(Wired):
    left: ClassVar[list[str]] = []

    class backend(WiredBackend):  # noqa: N801 - the attribute of the harness
        def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
            file, path = tempfile.mkstemp(prefix="rud-conformance-litter-")
            os.close(file)
            Litter.left.append(path)
            return super().get(key, sink, start=start)

    def close(self) -> None:
        while self.left:
            Path(self.left.pop()).unlink(missing_ok=True)


@mutant("environment-changed", "Z11", "a put sets a variable of the process")
class ChangesEnvironment(Wired):
    class backend(WiredBackend):  # noqa: N801 - the attribute of the harness
        def probe(self) -> None:
            super().probe()
            os.environ["RUD_CONFORMANCE_MUTANT"] = "1"

    def close(self) -> None:
        os.environ.pop("RUD_CONFORMANCE_MUTANT", None)


@mutant("kept-for-ever", "Z13", "instances are kept in a list")
class KeptForEver(WiredBackend):
    kept: ClassVar[list[object]] = []

    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self.kept.append(self)


@mutant("raises-at-its-end", "Z15", "an instance that nobody closed raises when it is collected")
class RaisesAtItsEnd(WiredBackend):
    def __del__(self) -> None:
        if not self._closed:
            raise RuntimeError("nobody closed me")


@mutant("of-one-thread", "Z16", "an instance works only in the thread that built it")
class OfOneThread(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._thread = threading.get_ident()

    def _check_open(self, operation: str, key: str) -> None:
        super()._check_open(operation, key)
        if threading.get_ident() != self._thread:
            raise StoreError.during(operation, key, "another thread")


@mutant("asks-when-built", "Z17 A03", "building an instance makes a request")
class AsksWhenBuilt(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        list(self.list(""))

    @property
    def capabilities(self) -> Capabilities:
        list(self.list(""))
        return super().capabilities


@mutant("built-one-at-a-time", "T07", "instances cannot be built by two threads at once")
class BuiltOneAtATime(WiredBackend):
    building: ClassVar[list[int]] = []

    def __init__(self, bucket: str, prefix: str = "") -> None:
        if self.building:
            raise RuntimeError("the session is being built")
        self.building.append(1)
        threading.Event().wait(0.01)
        self.building.pop()
        super().__init__(bucket, prefix)
