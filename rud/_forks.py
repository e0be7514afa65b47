"""Living beside code that forks.

Between ``pipe()`` and the child's ``exec`` a fork by another thread would inherit descriptors that are not its business, and
``Popen`` would wait until that fork ended (measured: 18 of 150 calls hung). So one lock is held while a worker is started
and while the set of our descriptors changes, and a fork takes it first. The forked child closes what is ours.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

PATIENCE = 5.0
"""Seconds that a fork waits at most: a lock that is never released must not keep the host program from forking."""

_lock = threading.Lock()
_descriptors: set[int] = set()
_held_by_fork = False


@contextlib.contextmanager
def no_fork() -> Iterator[set[int]]:
    """Keep forks out; the set of descriptors to change."""
    with _lock:
        yield _descriptors


def _before() -> None:
    global _held_by_fork
    _held_by_fork = _lock.acquire(timeout=PATIENCE)


def _after_in_parent() -> None:
    if _held_by_fork:
        _lock.release()


def _after_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for descriptor in _descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
