"""What a fault point costs where nobody asks for faults: its guarded line, in a loop beside the same loop without."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.report import Row
from rud import _faultpoints

_TIMES = 1_000_000
_TURNS = 9


def run(folder: Path) -> Iterator[Row]:
    _faultpoints.active = None
    pairs = [(_guarded(), _bare()) for _ in range(_TURNS)]
    cost = median(guarded - bare for guarded, bare in pairs)
    yield Row(
        "a fault point that is off", cost, "ns", 60, median(bare for _, bare in pairs), "an empty round of the loop"
    )


def _guarded() -> float:
    """Nanoseconds a round, with the line as it stands in the library."""
    key, began = "key", time.perf_counter_ns()
    for _ in range(_TIMES):
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.payload.read.after", key=key)
    return (time.perf_counter_ns() - began) / _TIMES


def _bare() -> float:
    began = time.perf_counter_ns()
    for _ in range(_TIMES):
        pass
    return (time.perf_counter_ns() - began) / _TIMES
