"""Stores, and what they say of themselves, on which ``rud conformance`` has to end in words."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rud_fakes.memory import MemoryBackend

from rud import register_backend
from rud.backends.local import LocalObjectStore
from rud.errors import AccessDeniedError, ObjectStoreTransientError
from rud.store import Capabilities, ObjectMeta, PutMode, PutResult

HANGS = threading.Event()
"""Set: what hangs goes on."""


class SaysYes(MemoryBackend):
    """Says that it creates, and overwrites."""

    def put(self, key: str, source: Any, *, mode: PutMode, **given: Any) -> PutResult:
        return super().put(key, source, mode=PutMode.OVERWRITE, **given)


class SaysNo(MemoryBackend):
    """Says that it does not create, and does."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, create="the gateway ignores the condition")


class Raises(MemoryBackend):
    """Cannot be made."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        raise RuntimeError("no such gateway")


class HangsAlways(MemoryBackend):
    """Answers nothing."""

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        HANGS.wait(60)
        return super().list(prefix)


class HangsOnce(MemoryBackend):
    """Never answers one kind of request."""

    def head(self, key: str) -> ObjectMeta:
        HANGS.wait(60)
        return super().head(key)


class ReadsOnly(MemoryBackend):
    """Lets nobody write."""

    def put(self, key: str, source: Any, **given: Any) -> PutResult:
        raise AccessDeniedError.during("put", key, "these credentials may only read")


class Dies(MemoryBackend):
    """Answers so many requests to list, and then none of any kind."""

    left = 3

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._live()
        Dies.left -= 1
        return super().list(prefix)

    def put(self, key: str, source: Any, **given: Any) -> PutResult:
        self._live()
        return super().put(key, source, **given)

    def _live(self) -> None:
        if Dies.left <= 0:
            raise ObjectStoreTransientError.during("list", "", "connection refused")


class Tramples(MemoryBackend):
    """Deletes whatever begins as a key does."""

    def delete(self, key: str) -> None:
        if begin := self._prefix.partition("/")[0]:
            with self._bucket.lock:
                self._bucket.objects.pop(f"{begin}x", None)
        super().delete(key)


class Tells(LocalObjectStore):
    """A folder that says on standard error when the first object of a case is there, and then stands still."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(os.path.abspath(bucket), prefix)

    def put(self, key: str, source: Any, **given: Any) -> PutResult:
        result = super().put(key, source, **given)
        if "rud-conf" not in key:  # no canary
            sys.stderr.write("written\n")
            sys.stderr.flush()
            HANGS.wait(60)
        return result


def register() -> None:
    """Schemes for all of them."""
    for name in ("SaysYes", "SaysNo", "Raises", "HangsAlways", "HangsOnce", "ReadsOnly", "Dies", "Tramples", "Tells"):
        register_backend(name.lower(), f"{__name__}:{name}")
