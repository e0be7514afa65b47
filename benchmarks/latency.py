"""From accept to stored with an idle uploader, and from the last stored upload to the return of ``close``."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks.report import Row
from benchmarks.tools import SMALL, make_file, quantile, seconds
from rud import Uploader

_UPLOADS = 300
_CLOSES = 9


def run(folder: Path) -> Iterator[Row]:
    source = make_file(folder / "small", SMALL)
    yield _stored(folder, source)
    yield _closed(folder, source, 1)
    yield _closed(folder, source, 4)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _stored(folder: Path, source: Path) -> Row:
    ours: list[float] = []
    peers: list[float] = []
    copies = folder / "copies"
    copies.mkdir()
    with Uploader(folder / "store", upload_staging_folder=folder / "spool") as uploader, _pool(1) as pool:
        uploader.upload(source, "first.pt").result()
        pool.submit(shutil.copy2, source, copies / "first").result()
        for turn in range(_UPLOADS):
            began = time.perf_counter()
            uploader.upload(source, f"{turn}.pt").result()
            ours.append((time.perf_counter() - began) * 1e3)
            began = time.perf_counter()
            pool.submit(shutil.copy2, source, copies / str(turn)).result()
            peers.append((time.perf_counter() - began) * 1e3)
    more = {"p90": quantile(ours, 0.9), "worst": max(ours), "peer p90": quantile(peers, 0.9)}
    return Row(
        "10 KB accepted → stored, idle, process", median(ours), "ms", 8, median(peers),
        "copy2 in a ProcessPoolExecutor", more=more,
    )  # fmt: skip


def _closed(folder: Path, source: Path, workers: int) -> Row:
    ours: list[float] = []
    peers: list[float] = []
    for turn in range(_CLOSES):
        uploader = Uploader(
            folder / f"store-{workers}-{turn}", num_concurrent_uploads=workers, upload_staging_folder=folder / "spool"
        )
        for number in range(2 * workers):
            uploader.upload(source, f"{number}.pt")
        uploader.drain()
        ours.append(seconds(uploader.close) * 1e3)
        pool = _pool(workers)
        list(pool.map(abs, range(2 * workers)))
        peers.append(seconds(pool.shutdown) * 1e3)
    name = f"last stored → close returned, {workers} process{'es' * (workers > 1)}"
    return Row(name, median(ours), "ms", 50, median(peers), "ProcessPoolExecutor.shutdown", more={"worst": max(ours)})
