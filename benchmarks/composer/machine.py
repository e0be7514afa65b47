"""Processor time of ours and of others, from ``/proc``: these benchmarks are for Linux."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_BUSY = 0.15
"""A machine is quiet when its processors are busy for less than this part of half a second."""


def wait_until_quiet(seconds: float = 180.0) -> float:
    """How busy the processors are once they are quiet, or when ``seconds`` are over."""
    over = time.monotonic() + seconds
    while (busy := _busy_part(0.5)) > _BUSY and time.monotonic() < over:
        pass
    return busy


def _busy_part(seconds: float) -> float:
    before = _processor_ticks()
    time.sleep(seconds)
    after = _processor_ticks()
    total, idle = (now - then for now, then in zip(after, before, strict=True))
    return 1 - idle / total if total else 0.0


def _processor_ticks() -> tuple[int, int]:
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


class Others:
    """What other programs take of the processors, from its construction on; ``ours`` are processes beside our children.

    Of children, what has ended counts; the kernel's own work is with the others.
    """

    def __init__(self, ours: int) -> None:
        self._ours = ours
        self._began = time.monotonic()
        self._used = self._now()

    def part(self) -> float:
        """Of all processors, so far."""
        capacity = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return max(0.0, (self._now() - self._used) / capacity)

    def _now(self) -> float:
        total, idle = _processor_ticks()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        mine = time.process_time() + children.ru_utime + children.ru_stime + _seconds(self._ours)
        return (total - idle) / _TICK - mine


def family() -> list[int]:
    """This process and all that descend from it."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _fields(int(folder.name))):
            parents[int(folder.name)] = int(fields[1])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def processor_seconds() -> tuple[float, float]:
    """Of this process, and of all that descend from it and live, since their starts."""
    mine, *others = (_seconds(pid) for pid in family())
    return mine, sum(others)


def wait_until_idle(seconds: float = 120.0) -> None:
    """Until our own processes have nothing to do: the workers that were started are there."""
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        before = sum(processor_seconds())
        time.sleep(1.0)
        if sum(processor_seconds()) - before < 0.05:
            return
    raise TimeoutError("our own processes do not come to rest")


def _fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _seconds(pid: int) -> float:
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / _TICK if fields else 0.0


def versions(*names: str) -> dict[str, str]:
    """Of what is installed beside us."""
    return {name: importlib.metadata.version(name) for name in names}
