"""Harnesses of ``SFTPObjectStore``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, ClassVar

from rud_fakes.servers import Sshd, sshd

from rud.downloader import Downloader
from rud.store import Backend
from rud_conformance.harness import Address, Harness, Limits, Raw
from rud_conformance.harnesses._places import downloader_of, where
from rud_conformance.harnesses.local import Files


class SFTPOnSshd(Harness):
    """On OpenSSH, below a folder: ``server``, which runs, or one of its own."""

    nested: ClassVar[bool] = True
    limits = Limits(part=1 << 18, threshold=1 << 18, slow=True)

    def __init__(self, server: Sshd | None = None) -> None:
        self._is_ours = server is None
        self._server = server or sshd()
        if self._is_ours:
            self._server.start()

    def address(self, scope: str) -> Address:
        there = self._server.address
        folder = self._folder(scope) if self.nested else f"/{self._path(scope)}"
        return f"sftp://{there.user}@127.0.0.1:{there.port}/{folder}", arguments_of(self._server)

    def _folder(self, scope: str) -> str:
        return "/".join(part for part in where(scope, nested=self.nested) if part)

    def _path(self, scope: str) -> Path:
        return self._server.address.folder / self._folder(scope)

    def raw(self, scope: str) -> Raw:
        return Files(str(self._path(scope)))

    def unfinished(self, scope: str) -> int:
        return sum(name.startswith(".rud-put-") for _, _, files in os.walk(self._path(scope)) for name in files)

    def close(self) -> None:
        if self._is_ours:
            self._server.stop()


class SFTPOnSshdAtRoot(SFTPOnSshd):
    """The same in an absolute folder, with nothing between it and the keys."""

    nested = False


class SFTPByKeptConnections(SFTPOnSshd):
    """The same, where a store that is closed leaves its connection to the next: to make one takes the most time."""

    def __init__(self, server: Sshd | None = None) -> None:
        super().__init__(server)
        self._kept: list[Any] = []

    def open(self, scope: str) -> Backend:
        store: Any = super().open(scope)
        with contextlib.suppress(IndexError):
            store.__dict__["_connection"] = self._kept.pop()
        end = store.close

        def close() -> None:
            if connection := store.__dict__.pop("_connection", None):
                self._kept.append(connection)
            end()

        store.close = close
        opened: Backend = store
        return opened

    def downloader(self, scope: str) -> Downloader:
        return downloader_of(self, scope)

    def close(self) -> None:
        for connection in self._kept:
            connection.close()
        super().close()


def arguments_of(server: Sshd) -> dict[str, Any]:
    """How to be let in to ``server``, and to know it."""
    there = server.address
    return {"key_filename": str(there.key_file), "known_hosts_filename": str(there.known_hosts)}
