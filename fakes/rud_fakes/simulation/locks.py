"""POSIX record locks of whole files among simulated processes: a real process cannot lock itself out.

As in life a lock is dropped by any ``close`` of its file in the process that holds it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from dataclasses import dataclass, field

from rud_fakes.simulation.layers import Node

_FLOCK = "@hhqqi4x"  # Linux


@dataclass(slots=True)
class Locks:
    """``_holders``: file to pid."""

    _holders: dict[Node, int] = field(default_factory=dict[Node, int])

    def lock(self, node: Node, pid: int) -> None:
        """``OSError`` (EAGAIN) when another process holds it."""
        if self._holders.setdefault(node, pid) != pid:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def ask(self, node: Node, pid: int) -> bytes:
        """What F_GETLK answers."""
        holder = self._holders.get(node)
        if holder in (None, pid):
            return struct.pack(_FLOCK, fcntl.F_UNLCK, 0, 0, 0, 0)
        return struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 0, holder)

    def closed(self, node: Node, pid: int) -> None:
        if self._holders.get(node) == pid:
            del self._holders[node]

    def died(self, pid: int) -> None:
        self._holders = {node: holder for node, holder in self._holders.items() if holder != pid}

    def is_held(self, node: Node) -> bool:
        return node in self._holders
