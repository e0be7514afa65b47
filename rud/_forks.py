"""Living beside code that forks.

Between ``pipe()`` and the child's ``exec`` a fork by another thread would inherit descriptors that are not its
business, and ``Popen`` would wait until that fork ended (measured: 18 of 150 calls hung). So one lock is held while a
worker is started and while the set of our descriptors changes, and a fork takes it first. The forked child closes what
is ours.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

PATIENCE = 5.0
"""Seconds that a fork waits at most: a lock that is never released must not keep the host program from forking."""


class _Forks:
    """``_lock`` guards ``_descriptors``, which every worker's ends of its pipes are in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptors: set[int] = set()
        self._held = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    @contextlib.contextmanager
    def kept_out(self) -> Iterator[set[int]]:
        with self._lock:
            yield self._descriptors

    def _before(self) -> None:
        self._held = self._lock.acquire(timeout=PATIENCE)

    def _in_parent(self) -> None:
        if self._held:
            self._lock.release()

    def _in_child(self) -> None:
        self._lock = threading.Lock()
        for descriptor in self._descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()


no_fork = _Forks().kept_out
"""``with no_fork() as descriptors``: no fork happens inside; ``descriptors`` is the set to change."""
