"""What the tests of the spool share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rud._clock import SystemClock
from rud._spool import Spool, SpoolEntry, SpoolOptions, files

DESTINATION = {"uri": "fake://bucket"}


def open_spool(folder: Path, *, rank: int = 0, destination: dict[str, str] | None = None, **options: Any) -> Spool:
    """A spool in ``folder`` whose background jobs run at once."""
    return Spool(
        SpoolOptions(str(folder), **options),
        destination=destination or DESTINATION,
        rank=rank,
        clock=SystemClock(),
        run_job=lambda job: job(),
    )


def accept(spool: Spool, source: Path, key: str = "k", *, overwrite: bool = True, **more: Any) -> SpoolEntry:
    return spool.accept(
        spool.stage(source),
        key,
        overwrite=overwrite,
        check=more.pop("check", lambda: None),
        enlist=more.pop("enlist", lambda entry: None),
        **more,
    )


def payload_of(entry: SpoolEntry) -> bytes:
    return files.read_at(entry.path, entry.offset, entry.size)


def segments(spool: Spool) -> list[str]:
    return sorted(name for name in os.listdir(spool.folder) if name.startswith("log-"))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def failing(error: int, *, after: int = 0) -> Callable[..., Any]:
    """A system call that fails with ``error``, once ``after`` calls were let through without effect."""
    calls = 0

    def call(*_: Any, **__: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(error, os.strerror(error))

    return call
