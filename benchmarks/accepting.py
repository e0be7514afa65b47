"""What accepting a small file costs the caller: alone, and in a loop while workers send."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmarks.report import Row
from benchmarks.tools import SMALL, make_file, quantile, seconds
from rud import Uploader

_SINGLE = 300
_MANY = 2_000
_ROUNDS = 5


def run(folder: Path) -> Iterator[Row]:
    source = make_file(folder / "small", SMALL)
    yield _one(folder, source, fsync=False)
    yield _one(folder, source, fsync=True)
    yield from _loops(folder, source)


def _one(folder: Path, source: Path, *, fsync: bool) -> Row:
    """Every upload is stored before the next is made: the uploader is idle, as between two checkpoints."""
    name = "on" if fsync else "off"
    copy, call = _copy_and_sync if fsync else shutil.copy2, f"shutil.copy2{' + fsync' * fsync}"
    ours: list[float] = []
    peers: list[float] = []
    copies = folder / f"copies-{name}"
    copies.mkdir()
    with Uploader(folder / f"store-{name}", upload_staging_folder=folder / f"spool-{name}", fsync=fsync) as uploader:
        for turn in range(_SINGLE):
            began = time.perf_counter()
            upload = uploader.upload(source, f"{turn}.pt")
            ours.append((time.perf_counter() - began) * 1e3)
            upload.result()
            began = time.perf_counter()
            copy(source, copies / str(turn))
            peers.append((time.perf_counter() - began) * 1e3)
    more = {"p90": quantile(ours, 0.9), "worst": max(ours), "peer p90": quantile(peers, 0.9), "uploads": _SINGLE}
    limit = 0.6 if fsync else 0.05
    return Row(f"10 KB accepted, fsync {name}", median(ours), "ms", limit, median(peers), call, 0.5, more)


def _copy_and_sync(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _loops(folder: Path, source: Path) -> Iterator[Row]:
    """The kinds of worker take turns, so that a busy minute of the machine falls on all of them."""
    kinds = [(1, True), (4, True), (4, False)]
    runs: dict[tuple[int, bool], list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    copies: list[float] = []
    for turn in range(_ROUNDS):
        for kind in kinds:
            runs[kind].append(_loop(folder / f"loop-{turn}-{kind[0]}-{kind[1]}", source, *kind))
        copies.append(_copy_loop(folder / f"copies-{turn}", source))
    for (workers, processes), taken in runs.items():
        loops, processor, stored = ([one[part] for one in taken] for part in range(3))
        yield Row(
            f"2,000 × 10 KB accepted while {workers} {'process' if processes else 'thread'}"
            f"{('es' if processes else 's') * (workers > 1)} send",
            median(loops), "s", 0.2, median(copies), "2,000 × shutil.copy2",
            more={"processor s of the caller": median(processor), "all stored s": median(stored), "each s": loops},
        )  # fmt: skip


def _loop(folder: Path, source: Path, workers: int, processes: bool) -> tuple[float, float, float]:  # noqa: FBT001
    """Seconds of the loop, processor seconds of its thread, and seconds until all was stored."""
    with Uploader(
        folder / "store", num_concurrent_uploads=workers, use_procs=processes, upload_staging_folder=folder / "spool"
    ) as uploader:
        uploader.upload(source, "first.pt").result()
        began, processor = time.perf_counter(), time.thread_time()
        for turn in range(_MANY):
            uploader.upload(source, f"{turn}.pt")
        taken, used = time.perf_counter() - began, time.thread_time() - processor
        uploader.drain()
        stored = time.perf_counter() - began
    shutil.rmtree(folder)
    return taken, used, stored


def _copy_loop(folder: Path, source: Path) -> float:
    folder.mkdir()

    def copy_all() -> None:
        for turn in range(_MANY):
            shutil.copy2(source, folder / str(turn))

    taken = seconds(copy_all)
    shutil.rmtree(folder)
    return taken
