"""The normal way out of a program: what is still open is closed, once, and only by the process that built it.

No signal handler is installed: SIGTERM's default ends the process, the spool is whole, workers finish what they hold.
SIGINT and ``sys.exit`` come through here.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable

_open: dict[int, tuple[int, Callable[[], None]]] = {}
_hooked: set[int] = set()


def at_exit(close: Callable[[], None]) -> None:
    """Call the bound method ``close`` at the end of this process, unless ``no_longer`` is called before.

    Its object lives until then: a program that leaves ``main`` has dropped its uploader before the exit hooks run.
    Forked children of ``multiprocessing`` run no ``atexit`` on 3.11 and 3.12, their finalizers they do."""
    pid = os.getpid()
    _open[id(close.__self__)] = (pid, close)  # type: ignore[attr-defined]  # a bound method has it
    if pid in _hooked:
        return
    _hooked.add(pid)
    atexit.register(_close_all)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _close_all, exitpriority=100)


def no_longer(owner: object) -> None:
    """The object has been closed already."""
    _open.pop(id(owner), None)


def _close_all() -> None:
    while _open:
        _, (pid, close) = _open.popitem()
        if pid == os.getpid():
            # One that fails must not keep the others from being closed; it has said why itself.
            with contextlib.suppress(Exception):
                close()
