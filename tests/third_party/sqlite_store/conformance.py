"""How the conformance suite gets at the store: all that it asks of its author."""

from __future__ import annotations

import shutil
import tempfile

from rud_conformance import Harness


class SqliteStore(Harness):
    """A database in a temporary folder."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="sqlite-store-")

    def address(self, scope: str) -> tuple[str, dict[str, str]]:
        return f"sqlite://objects/{scope}", {"folder": self._folder}

    def close(self) -> None:
        shutil.rmtree(self._folder)
