"""SFTP stores on the tests' own server."""

from __future__ import annotations

import io
from typing import Any

from rud_conformance.harnesses.sftp import arguments_of
from rud_fakes.servers import Sshd

from rud._body import Body
from rud.backends.sftp import SFTPObjectStore
from rud.store import PutMode


def opened(server: Sshd, prefix: str, **others: Any) -> SFTPObjectStore:
    """A store there."""
    there = server.address
    given: dict[str, Any] = {**arguments_of(server), "username": there.user, "port": there.port, **others}
    return SFTPObjectStore("127.0.0.1", prefix, **given)


def put(store: SFTPObjectStore, key: str, data: bytes, mode: PutMode = PutMode.OVERWRITE, **others: Any) -> list[str]:
    """``data`` under ``key``; what was announced."""
    announced: list[str] = []
    given = {"durable": False, "checksum": None, **others}
    body = Body(io.BytesIO(data), len(data))
    store.put(key, body, mode=mode, entry_id=None, on_multipart=announced.append, **given)
    return announced


def got(store: SFTPObjectStore, key: str, start: int = 0) -> bytes:
    """What is under ``key``."""
    sink = io.BytesIO()
    store.get(key, sink, start=start)
    return sink.getvalue()
