"""Harnesses for the stores that need no server."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from typing import ClassVar, cast

from rud._object_store import ObjectStore
from rud.downloader import Downloader
from rud.store import Backend
from rud_conformance.harness import Address, Harness, Limits, Raw
from rud_conformance.harnesses._places import downloader_of, where
from rud_conformance.wired import PAGE, AnswerError, Service, WiredBackend, service


class Memory(Harness):
    """``MemoryBackend``: the reference."""

    ephemeral = True
    nested: ClassVar[bool] = True

    def address(self, scope: str) -> Address:
        # A listing looks at the whole of a bucket.
        bucket, prefix = where(scope, nested=self.nested)
        return f"memory://{bucket}/{prefix}", {}


class MemoryAtRoot(Memory):
    """The same without a prefix."""

    nested = False


ROOM = 12 << 30
"""Bytes that are free where objects of 4 GiB may be tried."""


class Folder(Harness):
    """``LocalObjectStore``, in a temporary folder."""

    limits = Limits(part=1 << 20, threshold=1 << 20)
    ephemeral = True

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="rud-conformance-store-")
        if shutil.disk_usage(self._folder).free > ROOM:
            self.limits = replace(self.limits, widths=(31, 32))

    def address(self, scope: str) -> Address:
        return f"file://{self._folder}/{scope}", {}

    def raw(self, scope: str) -> Raw:
        return Files(f"{self._folder}/{scope}")

    def unfinished(self, scope: str) -> int:
        here = os.walk(f"{self._folder}/{scope}")
        return sum(name.startswith(".rud-put-") for _, _, files in here for name in files)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class Files:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def put(self, key: str, data: bytes) -> None:
        path = os.path.join(self._folder, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)

    def read(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for folder, _, files in os.walk(self._folder):
            for name in files:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self._folder)] = file.read()
        return found


class Wired(Harness):
    """``WiredBackend``, or a faulty one in its place: everything that a harness can offer."""

    limits = Limits(part=WiredBackend.part_size, threshold=WiredBackend.threshold, page=PAGE)
    ephemeral = True
    nested: ClassVar[bool] = True
    backend: type[WiredBackend] = WiredBackend
    caller: type[ObjectStore] = ObjectStore
    fetcher: type[Downloader] = Downloader

    def _where(self, scope: str) -> tuple[str, str]:
        return where(scope, nested=self.nested)

    def open(self, scope: str) -> Backend:
        return self.backend(*self._where(scope))

    def store(self, backend: Backend) -> ObjectStore:
        return self.caller(backend)

    def downloader(self, scope: str) -> Downloader:
        return downloader_of(self, scope, self.fetcher)

    def wire(self, scope: str) -> Service:
        return service(self._where(scope)[0])

    def stranger(self, scope: str) -> Backend:
        return self._let_in(scope, frozenset())

    def reader(self, scope: str) -> Backend:
        return self._let_in(scope, frozenset({"get", "head", "page"}))

    def _let_in(self, scope: str, may: frozenset[str]) -> Backend:
        bucket, prefix = self._where(scope)
        made = self.backend(bucket, prefix)
        made._service = cast(Service, _Guarded(service(bucket), may))  # noqa: SLF001 - as if by other credentials
        return made

    def raw(self, scope: str) -> Raw:
        bucket, prefix = self._where(scope)
        return _ByHand(service(bucket), f"{prefix}/" if prefix else "")

    def unfinished(self, scope: str) -> int:
        return service(self._where(scope)[0]).open_multiparts()


class WiredAtRoot(Wired):
    """The same without a prefix."""

    nested = False


class _Guarded:
    """A service that lets in only some requests."""

    def __init__(self, there: Service, may: frozenset[str]) -> None:
        self._service = there
        self._may = may

    def __getattr__(self, name: str) -> object:
        if name in self._may:
            return getattr(self._service, name)

        def refuse(*_: object, **__: object) -> None:
            raise AnswerError(403, "AccessDenied")

        return refuse


class _ByHand:
    def __init__(self, there: Service, prefix: str) -> None:
        self._service = there
        self._prefix = prefix

    def put(self, key: str, data: bytes) -> None:
        self._service.by_hand(self._prefix + key, data)

    def read(self) -> dict[str, bytes]:
        there = self._service.whole()
        return {name[len(self._prefix) :]: data for name, data in there.items() if name.startswith(self._prefix)}
