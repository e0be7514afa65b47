"""azurite, which speaks as Azure's blob storage does."""

from __future__ import annotations

import base64
import hmac
import http.client
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rud_fakes.servers._child import Child
from rud_fakes.servers._programs import AZURITE
from rud_fakes.servers._server import Server

ACCOUNT = "rudtest"
KEY = base64.b64encode(b"rudtestsecret").decode()


@dataclass(frozen=True, slots=True)
class AzureAddress:
    """A blob service by plain http, and how to be let in."""

    url: str
    account: str = ACCOUNT
    key: str = field(default=KEY, repr=False)
    """In base64, as Azure has them."""

    @property
    def connection_string(self) -> str:
        """What clients of Azure are built from."""
        where = f"BlobEndpoint={self.url}/{self.account}"
        return f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};{where};"

    @property
    def backend_kwargs(self) -> dict[str, Any]:
        """Arguments for a store; none that comes with rud speaks this."""
        return {"connection_string": self.connection_string}

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead many a client of Azure here."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection_string}

    def make_bucket(self, name: str) -> None:
        """Make the container, if it is not there."""
        status, answer = self.ask("PUT", f"/{name}?restype=container")
        if status != 201 and "ContainerAlreadyExists" not in answer:
            raise RuntimeError(f"{self.url} did not make the container {name!r}: {status} {answer}")

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """One request signed with the shared key, without a client; the status and the body of the answer.

        ``path`` is what comes behind the account; in names of ``headers`` an underscore stands for ``-``.
        """
        target = f"/{self.account}{path}"
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        given |= {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
        given["Authorization"] = f"SharedKey {self.account}:{self._signature(method, target, len(body), given)}"
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60.0)
        try:
            connection.request(method, target, body, given)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def _signature(self, method: str, target: str, length: int, headers: dict[str, str]) -> str:
        text = self._to_sign(method, target, length, headers)
        return base64.b64encode(hmac.digest(base64.b64decode(self.key), text.encode(), "sha256")).decode()

    def _to_sign(self, method: str, target: str, length: int, headers: dict[str, str]) -> str:
        """As "Authorize with Shared Key" of Azure's documentation: eleven standard headers, of which only the length
        is used here, then those of Azure's own, then what is asked for."""
        parts = urlsplit(target)
        standard = ["", "", str(length or ""), *[""] * 8]
        ours = [f"{name}:{text}" for name, text in sorted(headers.items()) if name.startswith("x-ms-")]
        asked = [f"{name}:{text}" for name, text in sorted(parse_qsl(parts.query))]
        return "\n".join([method, *standard, *ours, f"/{self.account}{parts.path}", *asked])


class Azurite(Server[AzureAddress]):
    """azurite's blob service, in memory; it forgets everything when it ends. Its "buckets" are containers."""

    def __init__(self, *, buckets: Sequence[str]) -> None:
        self._program = AZURITE.find()
        environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
        super().__init__(Child("azurite", self._command, environment), AzureAddress, buckets)

    def _command(self, port: int) -> list[str]:
        options = ["--silent", "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry"]
        return [self._program, *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)]


def azurite(*, buckets: Sequence[str] = ("bucket",)) -> Azurite:
    """azurite, in memory; it takes some 3 s to start.

    ``MissingServerError`` where the program is not to be found.
    """
    return Azurite(buckets=buckets)
