"""fake-gcs-server, as it runs here."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rud_fakes.servers._child import Child
from rud_fakes.servers._programs import FAKE_GCS_SERVER
from rud_fakes.servers._server import Server


@dataclass(frozen=True, slots=True)
class GCSAddress:
    """A Cloud Storage server by plain http that asks for no credentials."""

    url: str

    @property
    def backend_kwargs(self) -> dict[str, Any]:
        """Arguments that lead a ``GCSObjectStore`` here."""
        return {"endpoint_url": self.url}

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead any client of Cloud Storage here."""
        return {"STORAGE_EMULATOR_HOST": self.url}

    def make_bucket(self, name: str) -> None:
        """Make the bucket, if it is not there."""
        status, answer = self.ask("POST", "/storage/v1/b?project=rud", json.dumps({"name": name}).encode())
        if status not in (200, 409):
            raise RuntimeError(f"{self.url} did not make the bucket {name!r}: {status} {answer}")

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """One request, without a client's settings, retries and proxies; the status and the body of the answer."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60.0)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


class FakeGcs(Server[GCSAddress]):
    """fake-gcs-server with its objects in memory; it forgets everything when it ends.

    Conditions are decided atomically, the sums
    of an upload in one request are verified, every key is kept as it is; credentials are never asked for. Not to be
    believed about resumable uploads whose requests fail: a question how far one has come completes it, and a chunk
    that is sent twice is stored twice (fsouza/fake-gcs-server#2354); ``rud_fakes.gcs.GCSServer`` does that right.
    """

    def __init__(self, *, buckets: Sequence[str]) -> None:
        self._program = FAKE_GCS_SERVER.find()
        super().__init__(Child("fake-gcs-server", self._command, os.environ), GCSAddress, buckets)

    def _command(self, port: int) -> list[str]:
        address = f"127.0.0.1:{port}"
        where = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", address]
        what = ["-external-url", f"http://{address}", "-backend", "memory", "-log-level", "error"]
        return [self._program, *where, *what]


def fake_gcs(*, buckets: Sequence[str] = ("bucket",)) -> FakeGcs:
    """fake-gcs-server, in memory; it takes some 0.1 s to start.

    ``MissingServerError`` where the program is not to be found.
    """
    return FakeGcs(buckets=buckets)
