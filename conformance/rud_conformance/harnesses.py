"""Harnesses for the stores that come with rud: examples for authors, and what the suite is tested on.

``"rud_conformance.harnesses:Memory"`` names the first of them to ``--rud-backend``.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

from rud_fakes.s3 import Fault, S3Server

from rud._object_store import ObjectStore
from rud._registry import resolve
from rud.backends.s3 import S3ObjectStore
from rud.downloader import Downloader
from rud.store import Backend
from rud_conformance.harness import Address, Harness, Limits, Raw
from rud_conformance.wire import Trouble, Wire
from rud_conformance.wired import PAGE, AnswerError, Service, WiredBackend, service

NESTED = "some/prefix"


class Memory(Harness):
    """``MemoryBackend``: the reference."""

    ephemeral = True

    def address(self, scope: str) -> Address:
        # A bucket for each place, shared with what lies below it: a listing looks at the whole of it.
        seed, number, *below = scope.split("/")
        return f"memory://{seed}-{number}/{'/'.join([NESTED, *below])}", {}


class Folder(Harness):
    """``LocalObjectStore``, in a temporary folder."""

    limits = Limits(part=1 << 20, threshold=1 << 20)
    ephemeral = True

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="rud-conformance-store-")

    def address(self, scope: str) -> Address:
        return f"file://{self._folder}/{scope}", {}

    def raw(self, scope: str) -> Raw:
        return _Files(f"{self._folder}/{scope}")

    def unfinished(self, scope: str) -> int:
        here = os.walk(f"{self._folder}/{scope}")
        return sum(name.startswith(".rud-put-") for _, _, files in here for name in files)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class _Files:
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
    backend: type[WiredBackend] = WiredBackend
    caller: type[ObjectStore] = ObjectStore
    fetcher: type[Downloader] = Downloader

    def open(self, scope: str) -> Backend:
        bucket, _, prefix = self._where(scope)
        return self.backend(bucket, prefix)

    def _where(self, scope: str) -> tuple[str, str, str]:
        # A bucket for each place, shared with what lies below it.
        seed, number, *below = scope.split("/")
        prefix = "/".join([NESTED, *below])
        return f"{seed}-{number}", "", prefix

    def store(self, backend: Backend) -> ObjectStore:
        return self.caller(backend)

    def downloader(self, scope: str) -> Downloader:
        made = self.fetcher("memory://rud-conformance", wait=lambda seconds: None)
        made._spec = _Opens(self, scope)  # type: ignore[assignment]  # noqa: SLF001 - there is no URI of a faulty class
        return made

    def wire(self, scope: str) -> Service:
        return service(self._where(scope)[0])

    def stranger(self, scope: str) -> Backend:
        return self._let_in(scope, frozenset())

    def reader(self, scope: str) -> Backend:
        return self._let_in(scope, frozenset({"get", "head", "page"}))

    def _let_in(self, scope: str, may: frozenset[str]) -> Backend:
        bucket, _, prefix = self._where(scope)
        made = self.backend(bucket, prefix)
        made._service = cast(Service, _Guarded(service(bucket), may))  # noqa: SLF001 - as if by other credentials
        return made

    def raw(self, scope: str) -> Raw:
        bucket, _, prefix = self._where(scope)
        return _ByHand(service(bucket), f"{prefix}/")

    def unfinished(self, scope: str) -> int:
        return service(self._where(scope)[0]).open_multiparts()


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


class _Opens:
    def __init__(self, harness: Harness, scope: str) -> None:
        self._harness = harness
        self._scope = scope

    def open(self) -> Backend:
        return self._harness.open(self._scope)


class _ByHand:
    def __init__(self, there: Service, prefix: str) -> None:
        self._service = there
        self._prefix = prefix

    def put(self, key: str, data: bytes) -> None:
        self._service.by_hand(self._prefix + key, data)

    def read(self) -> dict[str, bytes]:
        there = self._service.whole()
        return {name[len(self._prefix) :]: data for name, data in there.items() if name.startswith(self._prefix)}


class S3(Harness):
    """``S3ObjectStore`` on a server that speaks S3; ``uri`` is where scopes begin."""

    limits = Limits(part=5 << 20, threshold=5 << 20, slow=True)

    def __init__(self, uri: str, backend_kwargs: Mapping[str, Any]) -> None:
        self._uri = uri.rstrip("/")
        config = {"retries": {"total_max_attempts": 1}}
        transfer = {"multipart_threshold": 5 << 20, "multipart_chunksize": 5 << 20}
        self._arguments = {"client_config": config, "transfer_config": transfer, **backend_kwargs}

    def address(self, scope: str) -> Address:
        return f"{self._uri}/{scope}", self._arguments

    def stranger(self, scope: str) -> Backend | None:
        if "aws_secret_access_key" not in self._arguments:
            return None
        return resolve(f"{self._uri}/{scope}", {**self._arguments, "aws_secret_access_key": "of-nobody"}).open()

    def alive(self) -> bool:
        url = urlsplit(str(self._arguments.get("endpoint_url", "")))
        if url.hostname is None:
            return True
        try:
            socket.create_connection((url.hostname, url.port or 443), timeout=10).close()
        except OSError:
            return False
        return True


class FakeS3(S3):
    """``S3ObjectStore`` on the faulty server of ``rud_fakes``, at the root of its bucket or ``nested``."""

    limits = Limits(part=1 << 20, threshold=1 << 20, page=5, slow=True)

    def __init__(self, *, nested: bool = True) -> None:
        keys = {"aws_access_key_id": "KEY", "aws_secret_access_key": "rud-conformance-secret"}
        self._server = S3Server("bucket", page=5, minimum_part=1, credentials={"KEY": keys["aws_secret_access_key"]})
        self._server.start()
        self._below = f"{NESTED}/" if nested else ""
        uri = f"s3://bucket/{self._below}"
        super().__init__(uri, {"endpoint_url": self._server.url, "region_name": "us-east-1", **keys})

    def open(self, scope: str) -> Backend:
        made = super().open(scope)
        assert isinstance(made, S3ObjectStore)
        # Smaller than S3 allows, which would be megabytes for each case; a planned part has at least 1 MiB.
        made._transfer = replace(made._transfer, threshold=1 << 20, chunk=1 << 20)  # noqa: SLF001 - no user can
        return made

    def wire(self, scope: str) -> Wire:
        return _S3Wire(self._server)

    def raw(self, scope: str) -> Raw:
        return _Objects(self._server, f"{self._below}{scope}/")

    def unfinished(self, scope: str) -> int:
        return sum(one.key.startswith(f"{self._below}{scope}/") for one in self._server.uploads.values())

    def close(self) -> None:
        self._server.close()


class _Objects:
    def __init__(self, server: S3Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def put(self, key: str, data: bytes) -> None:
        self._server.put(self._prefix + key, data)

    def read(self) -> dict[str, bytes]:
        there = self._server.objects.items()
        return {name[len(self._prefix) :]: one.data or b"" for name, one in there if name.startswith(self._prefix)}


class _S3Wire:
    kinds = frozenset({"status", "reset", "lost", "short", "flip", "error_in_200"})

    def __init__(self, server: S3Server) -> None:
        self._server = server
        self._before = 0

    def plan(self, troubles: Mapping[int, Trouble]) -> None:
        self._begin()
        for earlier, (n, trouble) in enumerate(sorted(troubles.items())):
            # A request that meets one fault is not counted by those that wait.
            self._server.add(_fault(trouble, skip=n - earlier, times=1))

    def plan_all(self, trouble: Trouble) -> None:
        self._begin()
        self._server.add(_fault(trouble, skip=0, times=None))

    def _begin(self) -> None:
        self._server.clear_faults()
        self._before = len(self._server.fired)

    def clear(self) -> int:
        self._server.clear_faults()
        met, self._before = len(self._server.fired) - self._before, len(self._server.fired)
        return met

    def requests(self) -> list[str]:
        return [_NAMES.get(one.operation, one.operation) for one in self._server.requests]


_NAMES = {
    "PutObject": "put",
    "CreateMultipartUpload": "begin",
    "UploadPart": "part",
    "CompleteMultipartUpload": "complete",
    "AbortMultipartUpload": "abort",
    "GetObject": "get",
    "HeadObject": "head",
    "ListObjectsV2": "page",
    "DeleteObject": "delete",
}


def _fault(trouble: Trouble, *, skip: int, times: int | None) -> Fault:
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
