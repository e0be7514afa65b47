"""The faulty servers under Composer's stores: how the conformance suite gets at them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rud_conformance import Harness, Limits
from rud_conformance.harness import Raw
from rud_conformance.wire import Trouble, Wire
from rud_fakes._http.faults import Fault
from rud_fakes.gcs import GCSServer
from rud_fakes.s3 import S3Server

from benchmarks.composer.stores import ComposerGCS, ComposerS3
from rud.store import Backend

SECRET = "rud-conformance-secret"
PAGE = 5


class _Wire:
    """Faults by the server's own list of them."""

    kinds = frozenset({"status", "reset", "lost", "short"})

    def __init__(self, server: Any, names: Mapping[str, str]) -> None:
        self._server = server
        self._names = names
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
        return [self._names.get(one.operation, one.operation) for one in self._server.requests]


def _fault(trouble: Trouble, *, skip: int, times: int | None) -> Fault:
    if trouble.kind == "status":
        # Or the server would choose a code, and a code goes before the status.
        code = trouble.code or "Unnamed"
        return Fault("*", "status", skip=skip, times=times, status=trouble.status, code=code)
    if trouble.kind == "short":
        return Fault("*", "truncate", skip=skip, times=times, bytes=1)
    return Fault("*", "reset_before" if trouble.kind == "reset" else "lost_reply", skip=skip, times=times)


class _Objects:
    def __init__(self, server: Any, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def put(self, key: str, data: bytes) -> None:
        self._server.put(self._prefix + key, data)

    def read(self) -> dict[str, bytes]:
        there = self._server.objects.items()
        return {name[len(self._prefix) :]: one.data or b"" for name, one in there if name.startswith(self._prefix)}


class OnS3(Harness):
    """``composer.utils.S3ObjectStore`` under a prefix; its SDK tries each request once, so that what is seen is what
    one answer leads to."""

    limits = Limits(part=5 << 20, threshold=5 << 20, page=PAGE, slow=True)
    ephemeral = True
    cuts = True
    names: Mapping[str, str] = {
        "PutObject": "put",
        "GetObject": "get",
        "HeadObject": "head",
        "ListObjectsV2": "page",
        "DeleteObject": "delete",
    }

    def __init__(self) -> None:
        self.server: Any = S3Server("bucket", page=PAGE, credentials={"KEY": SECRET})
        self.server.start()

    def arguments(self, secret: str = SECRET) -> dict[str, Any]:
        return {
            "endpoint_url": self.server.url,
            "region_name": "us-east-1",
            "aws_access_key_id": "KEY",
            "aws_secret_access_key": secret,
            "client_config": {"retries": {"total_max_attempts": 1}},
            "transfer_config": {"multipart_threshold": 5 << 20, "multipart_chunksize": 5 << 20},
        }

    def open(self, scope: str) -> Backend:
        made = ComposerS3("bucket", scope, **self.arguments())
        made.cuts = self.cuts
        return made

    def stranger(self, scope: str) -> Backend | None:
        return ComposerS3("bucket", scope, **self.arguments("of-nobody"))

    def unfinished(self, scope: str) -> int | None:
        return sum(one.key.startswith(f"{scope}/") for one in self.server.uploads.values())

    def wire(self, scope: str) -> Wire:
        return _Wire(self.server, self.names)

    def raw(self, scope: str) -> Raw:
        return _Objects(self.server, f"{scope}/")

    def close(self) -> None:
        self.server.close()


class OnGCS(OnS3):
    """``composer.utils.GCSObjectStore`` under a prefix; its SDK goes on trying for half a second, and not for 120."""

    limits = Limits(part=8 << 20, threshold=8 << 20, page=PAGE, slow=True)
    names: Mapping[str, str] = {
        "UploadMultipart": "put",
        "GetMedia": "get",
        "GetObject": "head",
        "ListObjects": "page",
        "DeleteObject": "delete",
    }

    def __init__(self) -> None:
        self.server = GCSServer("bucket", page=PAGE)
        self.server.start()
        let_in(self.server.url)
        from google.cloud.storage.retry import DEFAULT_RETRY

        DEFAULT_RETRY._timeout, DEFAULT_RETRY._initial = 0.5, 0.01  # noqa: SLF001 - Composer has no argument for it

    def open(self, scope: str) -> Backend:
        made = ComposerGCS("bucket", scope)
        made.cuts = self.cuts
        return made

    def stranger(self, scope: str) -> Backend | None:
        return None

    def unfinished(self, scope: str) -> int | None:
        return None


class OnS3AsItIs(OnS3):
    """Listed names with the prefix that every other call adds."""

    cuts = False


class OnGCSAsItIs(OnGCS):
    """Listed names with the prefix that every other call adds."""

    cuts = False


def let_in(url: str) -> None:
    """Lead Composer's store to ``url``: it has no argument for an address, and takes the credentials that it finds."""
    import google.auth
    from google.auth.credentials import Credentials

    class Known(Credentials):
        def refresh(self, request: object) -> None:
            self.token = "token"

    os.environ["STORAGE_EMULATOR_HOST"] = url
    google.auth.default = lambda *_, **__: (Known(), "rud")
