"""``switched://any/PATH``: a folder store that can be taken out of service from outside, in every process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import rud
from rud import errors
from rud.backends.local import LocalObjectStore
from rud.store import ObjectMeta, OnMultipart, PutMode, PutResult, Source


class SwitchedStore(LocalObjectStore):
    """While there is a file ``PATH.down``, everything raises the error of ``rud.errors`` that it names, and leaves a
    file ``PATH.down.met``."""

    public_arguments: ClassVar[frozenset[str]] = frozenset({"region"})

    def __init__(self, bucket: str, prefix: str = "", *, region: str = "", token: str = "") -> None:
        super().__init__("/" + prefix)
        self._switch = f"/{prefix}.down"

    def _check(self, operation: str, key: str) -> None:
        try:
            name = Path(self._switch).read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        Path(f"{self._switch}.met").touch()
        raise getattr(errors, name).during(operation, key, "it is out of service")

    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        self._check("put", key)
        return super().put(
            key, source, mode=mode, checksum=checksum, entry_id=entry_id, durable=durable, on_multipart=on_multipart
        )

    def head(self, key: str) -> ObjectMeta:
        self._check("head", key)
        return super().head(key)

    def probe(self) -> None:
        self._check("probe", "")
        super().probe()


def register() -> None:
    """Let this process know the scheme; its workers learn it from it."""
    rud.register_backend("switched", f"{__name__}:SwitchedStore")


def uri_of(folder: Path) -> str:
    return f"switched://any{folder}"


def switch_off(folder: Path, error: str) -> None:
    Path(f"{folder}.down").write_text(error, encoding="utf-8")


def was_met(folder: Path) -> bool:
    """Whether a process has met it out of service."""
    return os.path.exists(f"{folder}.down.met")


def switch_on(folder: Path) -> None:
    os.unlink(f"{folder}.down")
