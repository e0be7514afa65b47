"""A disk that can lose what was not synced: real files below a folder, and beside them what of each is on the disk.

While it is ``mounted`` its calls stand in for those of ``os``, ``fcntl`` and ``open`` that change files below its
root. They belong to whichever simulated process runs; locks do, too. Everything else, and every other thread, passes
through.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from rud_fakes.simulation.layers import File, Folder, Layers
from rud_fakes.simulation.locks import Locks


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that fails with ``errno``, of a write after its first ``done`` bytes, of a sync with the pages lost."""

    errno: int
    done: int = 0


class Watch(Protocol):
    """Who is told of every call, and decides what becomes of it."""

    def pid(self) -> int | None:
        """The simulated process of this thread; ``None`` for one that is not simulated."""
        ...

    def before(self, call: str, path: str) -> None:
        """May raise: the process dies here."""
        ...

    def after(self, call: str, path: str) -> None: ...

    def failure(self, call: str, path: str, length: int) -> Failure | None: ...


@dataclass(slots=True)
class Opened:
    """A descriptor of a simulated process."""

    path: str
    node: File | Folder
    pid: int


@dataclass(eq=False)
class Disk:
    """``root``: an existing empty folder, better one in memory. ``capacity``: bytes of content; ``None``: no limit."""

    root: str
    watch: Watch
    capacity: int | None = None
    layers: Layers = field(default_factory=Layers)
    opened: dict[int, Opened] = field(default_factory=dict[int, Opened])
    locks: Locks = field(default_factory=Locks)

    def __post_init__(self) -> None:
        self.root = os.path.realpath(self.root)

    def inside(self, path: Any) -> str | None:
        """The path relative to the root; ``None`` for another one, or for a thread that is not simulated."""
        if not isinstance(path, str) or not path.startswith(self.root) or self.watch.pid() is None:
            return None
        return path[len(self.root) :].strip("/")

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        from rud_fakes.simulation.calls import Calls

        with Calls(self).installed():
            yield

    def put(self, path: str, content: bytes, mtime: int) -> None:
        """A file of somebody else, on the disk already."""
        whole = os.path.join(self.root, path)
        with open(whole, "wb") as file:
            file.write(content)
        os.utime(whole, ns=(mtime, mtime))
        self.adopt(path, content, mtime)

    def adopt(self, path: str, content: bytes, mtime: int) -> None:
        node = File(bytearray(content), size=len(content), mtime=mtime, synced_mtime=mtime)
        self.layers.give_name(path, node)
        parent = self.layers.find(path.rpartition("/")[0])
        assert isinstance(parent, Folder)
        parent.synced[path.rpartition("/")[2]] = node

    def make_folder(self, path: str) -> None:
        os.mkdir(os.path.join(self.root, path))
        self.layers.give_name(path, Folder())
        self.layers.root.sync()

    def note_open(self, fd: int, path: str, node: File | Folder, pid: int) -> None:
        self.opened[fd] = Opened(path, node, pid)

    def close_all(self, pid: int, close: Callable[[int], None]) -> None:
        """The descriptors of a process that has ended."""
        for fd in [fd for fd, opened in self.opened.items() if opened.pid == pid]:
            del self.opened[fd]
            close(fd)

    def power_cut(self, chance: random.Random) -> None:
        """Everything is as the disk has it; to be called when no simulated process has a file open."""
        self.layers = self.layers.power_cut(chance)
        for there in list(os.scandir(self.root)):
            if there.is_dir(follow_symlinks=False):
                shutil.rmtree(there.path)
            else:
                os.unlink(there.path)
        self._write_out(self.root, self.layers.root, {})

    def _write_out(self, path: str, folder: Folder, written: dict[File, str]) -> None:
        for name, node in folder.names.items():
            whole = os.path.join(path, name)
            if isinstance(node, Folder):
                os.mkdir(whole, 0o700)
                self._write_out(whole, node, written)
            elif node in written:
                os.link(written[node], whole)
            else:
                written[node] = whole
                with open(whole, "wb") as file:
                    file.write(node.synced)
                os.utime(whole, ns=(node.mtime, node.mtime))
