"""What every server that runs here offers to a test, whatever it speaks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from rud_fakes.servers._child import Child


class Address(Protocol):
    """Where a server is, and how to be let in."""

    @property
    def backend_kwargs(self) -> dict[str, Any]:
        """Arguments that lead a store of ours there."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead any client there."""
        ...

    def make_bucket(self, name: str) -> None:
        """Make the bucket, if it is not there."""
        ...


A = TypeVar("A", bound=Address)


class Server(Generic[A]):
    """A server that this process has started: running inside ``with``, or from ``start`` to ``stop``.

    It keeps its port, and where it keeps objects on disk those, over ``kill`` and ``start``.
    """

    def __init__(self, child: Child, address: Callable[[str], A], buckets: Sequence[str]) -> None:
        self._child = child
        self._address = address
        self.buckets = tuple(buckets)

    @property
    def pid(self) -> int:
        """Of the process that serves, or served last."""
        return self._child.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._child.port}"

    @property
    def address(self) -> A:
        return self._address(self.url)

    @property
    def backend_kwargs(self) -> dict[str, Any]:
        """Arguments that lead a store of ours here."""
        return self.address.backend_kwargs

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead any client here."""
        return self.address.environment

    def make_bucket(self, name: str) -> None:
        """Make the bucket, if it is not there."""
        self.address.make_bucket(name)

    def start(self) -> None:
        """Return when it answers and has its buckets; ``RuntimeError`` with what it printed if it does not come up."""
        self._child.start()
        for name in self.buckets:
            self.make_bucket(name)

    def kill(self) -> None:
        """End it by SIGKILL; ``start`` brings it back."""
        self._child.kill()

    def stop(self) -> None:
        """End it for good, and remove what it kept, unless the folder was the caller's."""
        self._child.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Folder:
    """Where a server keeps what it has: the caller's, or a temporary one that goes with it."""

    def __init__(self, name: str, given: str | os.PathLike[str] | None) -> None:
        self._name = name
        self._temporary = given is None
        self._path = "" if given is None else os.path.abspath(os.fspath(given))

    def make(self, *below: str) -> None:
        """See to it that it is there, with the folders ``below``."""
        self._path = self._path or tempfile.mkdtemp(prefix=f"rud-{self._name}-")
        for name in ("", *below):
            os.makedirs(os.path.join(self._path, name), exist_ok=True)

    def __truediv__(self, name: str) -> Path:
        return Path(self._path, name)

    def __fspath__(self) -> str:
        return self._path

    def remove(self) -> None:
        """All of it, unless it is the caller's."""
        if self._temporary and self._path:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = ""
