"""100,000 uploads that wait: what one more costs, what each takes of the parent's memory, and how soon a new run has
adopted them.

Each part runs in an interpreter of its own: ``python -m benchmarks.queued fill|trace|adopt FOLDER``. The store holds
its first upload for ever, so that all others stay queued.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import gated_store
from benchmarks.report import Row
from benchmarks.tools import SMALL, make_file, no_warnings, run_python
from rud import Upload, Uploader

_FEW = 1_000
_MANY = 100_000
_TRACED = 20_000
_MORE = 1_000
"""Accepts timed on each of the two queues, in turns."""


def run(folder: Path) -> Iterator[Row]:
    make_file(folder / "small", SMALL)
    filled = _child("fill", folder)
    _await_death(filled["workers"])
    adopted = _child("adopt", folder)
    traced = _child("trace", folder)
    yield Row(
        "100,000 queued: one more accept", filled["many us"], "µs", None, filled["few us"], "at 1,000 queued", 1.5,
        {"filled in s": filled["seconds"], "mean, many": filled["many mean us"], "mean, few": filled["few mean us"]},
    )  # fmt: skip
    yield Row("100,000 queued: resident memory a file", filled["resident bytes"], "B", 1024)
    yield Row(
        "the same, the caller keeps every handle", traced["with handles"], "B", 1024,
        more={"without": traced["without handles"], "by": "tracemalloc", "files": _TRACED},
    )  # fmt: skip
    yield Row(
        "100,000 queued: adopted again", adopted["seconds"], "s", 2.0, more={"resident B a file": adopted["bytes"]}
    )


def _child(part: str, folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(run_python("-m", __name__, part, str(folder), killed=part == "fill"))
    return facts


def _await_death(pids: list[int]) -> None:
    """The workers of a killed run end by themselves; until then nobody may adopt what it left."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        select.select([descriptor], [], [], 30)
        os.close(descriptor)


def _uploader(folder: Path, name: str) -> Uploader:
    return Uploader(
        f"gated://{name}",
        backend_kwargs={"gate": str(folder / "no-gate")},
        upload_staging_folder=folder / f"spool-{name}",
        orphan_grace=0.1,
    )


def _resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _fill(uploader: Uploader, source: str, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        uploader.upload(source, f"checkpoints/ep{number // 1000}/rank{number % 1000}.pt")


def fill(folder: Path) -> None:
    """Two uploaders, a short queue and a long one; accepts on both in turns. Ends by SIGKILL, so that all is left."""
    source = str(folder / "small")
    few, many = _uploader(folder, "few"), _uploader(folder, "many")
    _fill(few, source, _FEW)
    _fill(many, source, _FEW)
    before = _resident()
    began = time.perf_counter()
    _fill(many, source, _MANY - _FEW, _FEW)
    taken = time.perf_counter() - began
    resident = (_resident() - before) / (_MANY - _FEW)
    os.sync()
    costs: dict[str, list[float]] = {"few": [], "many": []}
    for number in range(_MORE):
        for name, uploader in (("few", few), ("many", many)):
            start = time.perf_counter()
            uploader.upload(source, f"more/{number}")
            costs[name].append((time.perf_counter() - start) * 1e6)
    facts: dict[str, Any] = {f"{name} us": median(values) for name, values in costs.items()}
    facts |= {f"{name} mean us": sum(values) / len(values) for name, values in costs.items()}
    facts |= {"seconds": taken, "resident bytes": resident, "workers": [*few.worker_pids(), *many.worker_pids()]}
    _say(facts)
    few.close(0)
    _end_here(0 if many.counts().spooled == _MANY + _MORE else 1)


def trace(folder: Path) -> None:
    """The same memory, counted by tracemalloc: with the handles kept, and with none."""
    import tracemalloc

    source = str(folder / "small")
    uploader = _uploader(folder, "traced")
    _fill(uploader, source, _FEW)
    gc.collect()
    tracemalloc.start()
    handles: list[Upload] = [uploader.upload(source, f"checkpoints/rank{number}.pt") for number in range(_TRACED)]
    gc.collect()
    with_handles = tracemalloc.get_traced_memory()[0]
    handles.clear()
    gc.collect()
    without = tracemalloc.get_traced_memory()[0]
    _say({"with handles": with_handles / _TRACED, "without handles": without / _TRACED})
    uploader.close(0)


def adopt(folder: Path) -> None:
    """A new run of the same rank and destination."""
    before = _resident()
    began = time.perf_counter()
    uploader = _uploader(folder, "many")
    taken = time.perf_counter() - began
    found = uploader.counts().spooled
    if found != _MANY + _MORE:
        raise AssertionError(f"{found} of {_MANY + _MORE} uploads were adopted")
    _say({"seconds": taken, "bytes": (_resident() - before) / found})
    uploader.close(0)


def _say(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _end_here(status: int) -> None:
    """As a crash does; only a wrong result ends otherwise, so that it is seen."""
    if status:
        os._exit(status)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    no_warnings()
    gated_store.register()
    {"fill": fill, "trace": trace, "adopt": adopt}[sys.argv[1]](Path(sys.argv[2]))
