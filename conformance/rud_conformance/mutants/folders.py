"""Mistakes that only another process can see."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from rud._body import CHUNK
from rud._spec import StoreSpec
from rud.backends.local import LocalObjectStore
from rud.store import PutResult, Source
from rud_conformance.harness import Harness, Limits
from rud_conformance.mutants import mutant


class _InFolder(Harness):
    """A faulty class of stores in a folder, which another process can import."""

    limits = Limits(part=1 << 20, threshold=1 << 20)
    ephemeral = True
    backend: type[LocalObjectStore] = LocalObjectStore

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="rud-conformance-mutant-")

    def address(self, scope: str) -> tuple[str, dict[str, Any]]:
        return f"file://{self._folder}/{scope}", {}

    def spec(self, scope: str) -> StoreSpec:
        return StoreSpec("file", f"{__name__}:{self.backend.__name__}", f"{self._folder}/{scope}", "", self.arguments())

    def arguments(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class PerProcess(LocalObjectStore):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(f"{bucket}/{os.getpid()}", prefix)


@mutant("of-one-process", "V03", "each process has a store of its own")
class OfOneProcess(_InFolder):
    backend = PerProcess


class Direct(LocalObjectStore):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        path = os.path.join(self._root, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb", buffering=0) as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
        return PutResult()


@mutant("written-in-place", "P05", "a file is written in its place, so that a kill leaves half of it")
class WrittenInPlace(_InFolder):
    backend = Direct


class Chatty(LocalObjectStore):
    def __init__(self, bucket: str, prefix: str = "", *, token: str = "") -> None:
        super().__init__(bucket, prefix)
        self._token = token

    def __repr__(self) -> str:
        return f"Chatty({self._token!r})"


@mutant("secret-shown", "Z03", "a secret is in the text of an instance")
class SecretShown(_InFolder):
    backend = Chatty

    def arguments(self) -> dict[str, Any]:
        return {"token": "a-secret-of-some-length"}


class Restored(LocalObjectStore):
    pass


class _Forgetful(StoreSpec):
    def open(self) -> LocalObjectStore:
        return Restored(self.bucket, self.prefix)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Forgetful, (self.scheme, self.backend, os.path.dirname(self.bucket), self.prefix)


@mutant("pickled-without-prefix", "Z01", "a recipe forgets its prefix in a pickle")
class PickledWithoutPrefix(_InFolder):
    backend = Restored

    def spec(self, scope: str) -> StoreSpec:
        return _Forgetful("file", f"{__name__}:Restored", f"{self._folder}/{scope}", "")
