"""Which server a place is on, and what that one is known to get wrong."""

from __future__ import annotations

import http.client
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from rud.backends.s3 import S3ObjectStore
from rud.store import Backend
from rud_conformance.quirks import SERVERS, Answer, Headers, Quirk

TIMEOUT = 30.0
"""Seconds for one request."""


@dataclass(frozen=True, slots=True)
class Signed:
    """``quirks.Asked`` in ``bucket``, below ``prefix`` (nothing, or a path with a slash in front), by the credentials
    of ``client``, which is one of botocore's."""

    client: Any
    bucket: str
    prefix: str

    def ask(self, method: str, path: str, body: bytes = b"", headers: Headers | None = None) -> Answer:
        return self._ask(method, f"/{self.bucket}{quote(self.prefix)}{path}", body, headers or {})

    def listed(self) -> list[str]:
        prefix = quote(self.prefix[1:], safe="")
        told = self._ask("GET", f"/{self.bucket}?encoding-type=url&list-type=2&prefix={prefix}", b"", {})[1]
        return [f"/{unquote(key)}".removeprefix(self.prefix) for key in re.findall("<Key>(.*?)</Key>", told)]

    def _ask(self, method: str, path: str, body: bytes, headers: Headers) -> Answer:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest

        # Not by the client: it would tidy the path, and ask again.
        request = AWSRequest(method=method, url=self.client.meta.endpoint_url + path, data=body, headers=dict(headers))
        credentials = self.client._request_signer._credentials  # noqa: SLF001 - there is no other way to them
        S3SigV4Auth(credentials, "s3", self.client.meta.region_name).add_auth(request)
        return asked(self.client.meta.endpoint_url, method, path, body, dict(request.headers.items()))


def asked(url: str, method: str, path: str, body: bytes = b"", headers: Headers | None = None) -> Answer:
    """One request to the server at ``url``: status, body and headers of the answer."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in reversed(answer.getheaders())}
        return answer.status, answer.read().decode(errors="replace"), told
    finally:
        connection.close()


def server_at(url: str) -> str | None:
    """The name of the server at ``url``, if it is one whose defects are known, by what it calls itself."""
    with suppress(OSError, http.client.HTTPException):
        header = asked(url, "HEAD", "/")[2].get("server", "")
        return next((name for name, one in SERVERS.items() if header.startswith(one.header)), None)
    return None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server ``name`` has just been seen to get wrong. ``mended``: what it is known for, and gets right."""

    name: str
    shown: tuple[Quirk, ...]
    mended: tuple[Quirk, ...]

    def __str__(self) -> str:
        said = [f"the server is {self.name}, which was just seen to get wrong:"]
        said += [f"  {quirk.told} (not tried: {', '.join(quirk.cases)})" for quirk in self.shown]
        said += [f"  {quirk.id} does not show here: its cases are tried" for quirk in self.mended]
        return "\n".join(said)


def seen(name: str, backend: Backend, below: str) -> Seen:
    """The defects of the server ``name`` that show at ``backend``, below its key ``below``, where nothing stays."""
    assert isinstance(backend, S3ObjectStore)  # those servers speak nothing else
    client = backend._requests._client  # noqa: SLF001 - the contract has no words for what is asked here
    whole = f"{backend._prefix}{below}"  # noqa: SLF001 - as above
    shown, mended = list[Quirk](), list[Quirk]()
    for quirk in SERVERS[name].quirks:
        place = Signed(client, backend._bucket, f"/{whole}/{quirk.id}")  # noqa: SLF001 - as above
        (shown if quirk.shows(place) else mended).append(quirk)
    return Seen(name, tuple(shown), tuple(mended))
