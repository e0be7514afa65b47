"""What tests do to processes: kill one at a point, stop and continue one, signal a group."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen

from rud._clock import SystemClock
from rud_fakes.faults.check import check
from rud_fakes.faults.plan import Pick, Plan, Rule, to_json
from rud_fakes.faults.runtime import Firing, environment, fired, state_of

_LOOK = 0.01
"""Seconds between two looks at a process or a file, which tell nobody when they change."""


def kill_at(point: str, folder: Path, *, nth: int = 1, key: str | None = None) -> dict[str, str]:
    """The environment of a process which SIGKILL ends at ``point`` the ``nth`` time that it, or a process of rud's
    below it, gets there (with uploads whose key is like ``key``); once, however often it is started anew.

    The plan and what has fired are kept in ``folder``. ``PlanError`` for a point at which nothing can be killed.
    """
    where = () if key is None else (("key", key),)
    rule = Rule("kill", point, (("kill", True),), where, Pick(nth=(nth,)), once=True)
    file = folder / "kill.json"
    file.write_text(to_json(check(Plan((rule,)))), encoding="utf-8")
    (state_of(file) / "fired").mkdir(parents=True, exist_ok=True)
    return {**os.environ, **environment(file)}


def wait_fired(environ: dict[str, str], timeout: float) -> Firing:
    """The first firing of the plan that ``environ`` names; ``TimeoutError`` after ``timeout`` seconds without one."""
    state = state_of(environ["RUD_FAULTS"])
    _until(lambda: bool(fired(state)), timeout, f"nothing of the plan {environ['RUD_FAULTS']} has fired")
    return fired(state)[0]


@contextmanager
def stopped(pid: int, *, timeout: float = 10.0) -> Iterator[None]:
    """The process does nothing within the ``with`` block, and goes on after it; ``ProcessLookupError`` if it has ended,
    ``TimeoutError`` if it does not stop within ``timeout`` seconds.
    """
    os.kill(pid, signal.SIGSTOP)
    try:
        _until(lambda: _is_stopped(pid), timeout, f"process {pid} did not stop")
        yield
    finally:
        with suppress(ProcessLookupError):  # It was killed meanwhile, as tests do.
            os.kill(pid, signal.SIGCONT)


def signal_group(process: Popen[bytes] | Popen[str], number: signal.Signals) -> None:
    """To the process and everything below it, as a job scheduler does. ``ValueError`` if that would be us, too: start
    it with ``start_new_session=True``.
    """
    group = os.getpgid(process.pid)
    if group == os.getpgrp():
        raise ValueError(f"process {process.pid} is of our own group: start it with start_new_session=True")
    os.killpg(group, number)


def _is_stopped(pid: int) -> bool:
    """Where there is no ``/proc``, the signal is taken to have arrived."""
    if not os.path.exists("/proc/self/stat"):
        return True
    state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    return state in ("T", "t")


def _until(true: Callable[[], bool], timeout: float, otherwise: str) -> None:
    clock, bell = SystemClock(), threading.Event()
    end = clock.monotonic() + timeout
    while not true():
        if clock.monotonic() > end:
            raise TimeoutError(f"{otherwise} within {timeout:g} s")
        bell.wait(_LOOK)
