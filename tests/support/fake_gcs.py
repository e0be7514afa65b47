"""Plain requests to a Cloud Storage server: what a client's library would hide is seen."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import google_crc32c

QUANTUM = 256 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reached(self) -> int:
        """The bytes that a session says that it has."""
        return int(self.headers["range"].removeprefix("bytes=0-")) + 1 if "range" in self.headers else 0


class Client:
    """One connection to the server at ``url``, about the bucket ``bucket``."""

    def __init__(self, url: str, connection: http.client.HTTPConnection) -> None:
        self._url = url
        self._connection = connection

    def ask(self, method: str, path: str, body: bytes | str = b"", **headers: str) -> Answer:
        """``path``: may be a whole address. An underscore in the name of a header is a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path.removeprefix(self._url), body, named)
        answer = self._connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, told, answer.read())

    def media(self, name: str, data: bytes, query: str = "", **headers: str) -> Answer:
        """An upload without a document."""
        return self.ask("POST", f"/upload/storage/v1/b/bucket/o?uploadType=media&name={name}{query}", data, **headers)

    def multipart(self, document: Mapping[str, Any], data: bytes, query: str = "") -> Answer:
        """An upload with a document."""
        about = json.dumps(document).encode()
        body = b"--cut\r\nContent-Type: application/json\r\n\r\n" + about + b"\r\n"
        body += b"--cut\r\nContent-Type: text/plain\r\n\r\n" + data + b"\r\n--cut--\r\n"
        path = f"/upload/storage/v1/b/bucket/o?uploadType=multipart{query}"
        return self.ask("POST", path, body, Content_Type="multipart/related; boundary=cut")

    def start(self, document: Mapping[str, Any], query: str = "", **headers: str) -> Answer:
        """Of a resumable upload."""
        path = f"/upload/storage/v1/b/bucket/o?uploadType=resumable{query}"
        return self.ask("POST", path, json.dumps(document), Content_Type="application/json", **headers)

    def begin(self, document: Mapping[str, Any], query: str = "") -> str:
        """The address of a new session."""
        return self.start(document, query).headers["location"]

    def chunk(self, session: str, data: bytes, content_range: str, **headers: str) -> Answer:
        """A piece of a resumable upload."""
        return self.ask("PUT", session, data, Content_Range=content_range, **headers)

    def get(self, name: str, query: str = "", **headers: str) -> Answer:
        """What is known of an object, or with ``alt=media`` its bytes."""
        return self.ask("GET", f"/storage/v1/b/bucket/o/{name}?{query}", **headers)

    def delete(self, name: str, query: str = "") -> Answer:
        return self.ask("DELETE", f"/storage/v1/b/bucket/o/{name}?{query}")

    def list(self, query: str = "") -> Any:
        return self.ask("GET", f"/storage/v1/b/bucket/o?{query}").json


@contextmanager
def client(url: str) -> Iterator[Client]:
    """A client of the server at ``url``."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        yield Client(url, connection)
    finally:
        connection.close()


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
