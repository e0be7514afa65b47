"""What several benchmarks need."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SMALL = 10_240
"""Bytes of "10 KB", as in the figures to reach."""

_ROOT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def workspace(parent: str) -> Iterator[Path]:
    """A new folder below ``parent``, gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="rud-benchmark-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def make_file(path: Path, size: int) -> Path:
    """A file of ``size`` bytes that do not compress, in the page cache and on the disk."""
    block = os.urandom(min(size, 1 << 20))
    with path.open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
        file.flush()
        os.fsync(file.fileno())
    return path


def seconds(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def quantile(values: list[float], part: float) -> float:
    """The value that ``part`` of all lie below."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def run_python(*arguments: str, killed: bool = False) -> str:
    """A fresh interpreter on the same code; what it printed. Raises when it did not end as expected."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd="/",
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode != (-signal.SIGKILL if killed else 0):
        raise ChildProcessError(f"{arguments[:3]} ended with status {done.returncode}")
    return done.stdout


def no_warnings() -> None:
    """The library's own words do not belong into a table."""
    logging.getLogger("rud").setLevel(logging.CRITICAL)
