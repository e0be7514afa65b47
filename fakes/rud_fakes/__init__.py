"""In-process stand-ins that keep the same contracts as the real things; for your tests as well as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rud_fakes.clock import FakeClock as FakeClock
    from rud_fakes.faulty import Fault as Fault
    from rud_fakes.faulty import FaultyBackend as FaultyBackend
    from rud_fakes.gcs.server import GCSServer as GCSServer
    from rud_fakes.memory import MemoryBackend as MemoryBackend
    from rud_fakes.s3.server import S3Server as S3Server

_HOMES = {
    "FakeClock": "rud_fakes.clock",
    "Fault": "rud_fakes.faulty",
    "FaultyBackend": "rud_fakes.faulty",
    "GCSServer": "rud_fakes.gcs.server",
    "MemoryBackend": "rud_fakes.memory",
    "S3Server": "rud_fakes.s3.server",
}

__all__ = ["FakeClock", "Fault", "FaultyBackend", "GCSServer", "MemoryBackend", "S3Server"]


def __getattr__(name: str) -> object:
    import importlib

    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
