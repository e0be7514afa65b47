"""What accepting a small file costs the caller: alone, and in a loop while workers send."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import gated_store
from benchmarks.report import Row
from benchmarks.tools import SMALL, make_file, quantile, seconds
from rud import Uploader

_BLOCKS = 20
_BLOCK = 50
_SINGLE = 200
_PAUSE = 0.003
_MANY = 2_000
_ROUNDS = 5


def run(folder: Path) -> Iterator[Row]:
    gated_store.register()
    source = make_file(folder / "small", SMALL)
    yield _in_a_row(folder, source, fsync=False)
    yield _in_a_row(folder, source, fsync=True)
    yield _idle(folder, source)
    yield from _loops(folder, source)


def _in_a_row(folder: Path, source: Path, *, fsync: bool) -> Row:
    """The queue only grows, because the store holds its first upload; blocks of accepts and of copies take turns."""
    copy, call = (_copy_and_sync, "shutil.copy2 + fsync") if fsync else (shutil.copy2, "shutil.copy2")
    ours: list[float] = []
    peers: list[float] = []
    copies = folder / f"copies-{fsync}"
    copies.mkdir()
    with gated_store.Gate(folder / f"gate-{fsync}") as gate:
        uploader = Uploader(
            f"gated://{fsync}",
            backend_kwargs={"gate": gate.path},
            upload_staging_folder=folder / f"spool-{fsync}",
            fsync=fsync,
        )
        uploader.upload(source, "held.pt")
        gate.wait()
        for block in range(_BLOCKS):
            keys = [f"checkpoints/ep{block}/rank{turn}.pt" for turn in range(_BLOCK)]
            ours += [seconds(partial(uploader.upload, source, key)) * 1e3 for key in keys]
            targets = [copies / f"{block}-{turn}" for turn in range(_BLOCK)]
            peers += [seconds(partial(copy, source, target)) * 1e3 for target in targets]
        uploader.close(0)
    more = {"p90": quantile(ours, 0.9), "worst": max(ours), "peer p90": quantile(peers, 0.9), "uploads": len(ours)}
    work, limit = f"10 KB accepted, fsync {'on' if fsync else 'off'}", 0.6 if fsync else 0.05
    # A bare copy2 syncs nothing, so the half of it is to be reached without fsync only.
    return Row(work, median(ours), "ms", limit, median(peers), call, None if fsync else 0.5, more)


def _idle(folder: Path, source: Path) -> Row:
    """Every upload is stored before the next is made: no cache is warm, and the call has to wake the supervisor."""
    ours: list[float] = []
    peers: list[float] = []
    copies = folder / "copies-idle"
    copies.mkdir()
    with Uploader(folder / "store-idle", upload_staging_folder=folder / "spool-idle") as uploader:
        for turn in range(_SINGLE):
            began = time.perf_counter()
            upload = uploader.upload(source, f"{turn}.pt")
            ours.append((time.perf_counter() - began) * 1e3)
            upload.result()
            time.sleep(_PAUSE)
            peers.append(seconds(partial(shutil.copy2, source, copies / str(turn))) * 1e3)
            time.sleep(_PAUSE)
    more = {"p90": quantile(ours, 0.9), "worst": max(ours), "peer p90": quantile(peers, 0.9), "uploads": _SINGLE}
    return Row(
        "10 KB accepted, off, one at a time, idle", median(ours), "ms", None, median(peers), "shutil.copy2", more=more
    )


def _copy_and_sync(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _loops(folder: Path, source: Path) -> Iterator[Row]:
    """The kinds of worker take turns, so that a busy minute of the machine falls on all of them."""
    kinds = {"1 process sends": (1, True), "4 processes send": (4, True), "4 threads send": (4, False)}
    runs: dict[str, list[_Loop]] = {kind: [] for kind in kinds}
    copies: list[float] = []
    for turn in range(_ROUNDS):
        for kind, (workers, processes) in kinds.items():
            runs[kind].append(
                _loop(folder / f"loop-{turn}-{workers}-{processes}", source, workers, processes=processes)
            )
        copies.append(_copy_loop(folder / f"copies-{turn}", source))
    for kind, loops in runs.items():
        yield Row(
            f"2,000 × 10 KB accepted while {kind}",
            median(one.wall for one in loops),
            "s",
            0.2 if kind == "1 process sends" else None,
            median(copies),
            "2,000 × shutil.copy2",
            more={
                "processor s": median(one.processor for one in loops),
                "waited for a processor s": median(one.starved for one in loops),
                "all stored s": median(one.stored for one in loops),
                "each s": [one.wall for one in loops],
            },
        )


@dataclass(frozen=True, slots=True)
class _Loop:
    """Seconds: of the loop, of a processor for its thread, of that thread's wait for one, until all was stored."""

    wall: float
    processor: float
    starved: float
    stored: float


def _loop(folder: Path, source: Path, workers: int, *, processes: bool) -> _Loop:
    with Uploader(
        folder / "store", num_concurrent_uploads=workers, use_procs=processes, upload_staging_folder=folder / "spool"
    ) as uploader:
        uploader.upload(source, "first.pt").result()
        began, processor, starved = time.perf_counter(), time.thread_time(), _starved()
        for turn in range(_MANY):
            uploader.upload(source, f"{turn}.pt")
        wall, processor, starved = time.perf_counter() - began, time.thread_time() - processor, _starved() - starved
        uploader.drain()
        stored = time.perf_counter() - began
    shutil.rmtree(folder)
    return _Loop(wall, processor, starved, stored)


def _starved() -> float:
    """Seconds that this thread could have run but had no processor; 0 where the system does not say."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return 0.0


def _copy_loop(folder: Path, source: Path) -> float:
    folder.mkdir()

    def copy_all() -> None:
        for turn in range(_MANY):
            shutil.copy2(source, folder / str(turn))

    taken = seconds(copy_all)
    shutil.rmtree(folder)
    return taken
