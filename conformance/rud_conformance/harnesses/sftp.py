"""Harnesses of ``SFTPObjectStore``."""

from __future__ import annotations

import os
from typing import Any

from rud_fakes.servers import Sshd, sshd

from rud_conformance.harness import Address, Harness, Limits, Raw
from rud_conformance.harnesses._places import where
from rud_conformance.harnesses.local import Files


class SFTPOnSshd(Harness):
    """On OpenSSH, below a folder: ``server``, which runs, or one of its own."""

    limits = Limits(part=1 << 18, threshold=1 << 18, slow=True)

    def __init__(self, server: Sshd | None = None) -> None:
        self._is_ours = server is None
        self._server = server or sshd()
        if self._is_ours:
            self._server.start()

    def address(self, scope: str) -> Address:
        there = self._server.address
        return f"sftp://{there.user}@127.0.0.1:{there.port}/{self._folder(scope)}", arguments_of(self._server)

    def _folder(self, scope: str) -> str:
        return "/".join(part for part in where(scope, nested=True) if part)

    def raw(self, scope: str) -> Raw:
        return Files(str(self._server.address.folder / self._folder(scope)))

    def unfinished(self, scope: str) -> int:
        here = os.walk(self._server.address.folder / self._folder(scope))
        return sum(name.startswith(".rud-put-") for _, _, files in here for name in files)

    def close(self) -> None:
        if self._is_ours:
            self._server.stop()


def arguments_of(server: Sshd) -> dict[str, Any]:
    """How to be let in to ``server``, and to know it."""
    there = server.address
    return {"key_filename": str(there.key_file), "known_hosts_filename": str(there.known_hosts)}
