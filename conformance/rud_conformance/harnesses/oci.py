"""Harnesses of ``OCIObjectStore``: no server but the faulty one of ``rud_fakes`` speaks its API."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from rud_fakes.oci import ApiKey, OCIServer

from rud._registry import resolve
from rud.downloader import Downloader
from rud.store import Backend
from rud_conformance.harness import Address, Harness, Limits, Raw
from rud_conformance.harnesses._faulty import FaultyWire, Objects
from rud_conformance.harnesses._places import downloader_of, where
from rud_conformance.wire import Kind, Wire

_PART = 1 << 20


def _keeps(key: str) -> bool:
    return not set("\r\n") & set(key)


class FakeOCI(Harness):
    """Below a prefix."""

    nested: ClassVar[bool] = True
    limits = Limits(part=_PART, threshold=_PART, page=5, slow=True, keeps=_keeps)
    kinds: ClassVar[frozenset[Kind]] = frozenset({"status", "reset", "lost", "short", "flip"})

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rud-conformance-oci-"))
        (self._folder / "stranger").mkdir()
        key = ApiKey.make(self._folder, bits=1024)
        self._server = OCIServer("bucket", keys=[key], page=5)
        self._server.start()
        key.write_config(self._server.url)
        ApiKey.make(self._folder / "stranger", bits=1024).write_config(self._server.url)

    def address(self, scope: str) -> Address:
        return self._by(scope, self._folder)

    def _by(self, scope: str, folder: Path) -> Address:
        bucket, prefix = where(scope, nested=self.nested)
        self._server.at(bucket)
        arguments: dict[str, Any] = {"config_file": str(folder / "config"), "namespace": "rud", "part_size": _PART}
        return f"oci://{bucket}/{prefix}", arguments

    def stranger(self, scope: str) -> Backend:
        return resolve(*self._by(scope, self._folder / "stranger")).open()

    def downloader(self, scope: str) -> Downloader:
        return downloader_of(self, scope)

    def wire(self, scope: str) -> Wire:
        return FaultyWire(self._server, self.kinds, _NAMES, flipped="GetObject")

    def raw(self, scope: str) -> Raw:
        bucket, prefix = where(scope, nested=self.nested)
        return Objects(self._server.at(bucket), prefix)

    def unfinished(self, scope: str) -> int:
        bucket, prefix = where(scope, nested=self.nested)
        return sum(one.key.startswith(prefix) for one in self._server.at(bucket).uploads.values())

    def close(self) -> None:
        self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class FakeOCIAtRoot(FakeOCI):
    """The same without a prefix."""

    nested = False


_NAMES = {
    "PutObject": "put",
    "CreateMultipartUpload": "begin",
    "UploadPart": "part",
    "CommitMultipartUpload": "complete",
    "AbortMultipartUpload": "abort",
    "GetObject": "get",
    "HeadObject": "head",
    "ListObjects": "page",
    "DeleteObject": "delete",
}
