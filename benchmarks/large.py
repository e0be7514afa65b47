"""How long one upload of a large file holds the caller, by staging mode."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Literal

from benchmarks import gated_store
from benchmarks.report import Row
from benchmarks.tools import make_file, seconds
from rud import SpoolError, Upload, Uploader

_SIZE = 1 << 30
_PAIRS = 9

Mode = Literal["copy", "link", "reflink"]


def run(folder: Path) -> Iterator[Row]:
    gated_store.register()
    source = make_file(folder / "large", _SIZE)
    yield _copy(folder, source)
    yield _at_once(folder, source, "link")
    yield _at_once(folder, source, "reflink")


def _uploader(folder: Path, mode: Mode) -> Uploader:
    return Uploader("null://bucket", staging_mode=mode, upload_staging_folder=folder / f"spool-{mode}")


def _copy(folder: Path, source: Path) -> Row:
    ours: list[float] = []
    peers: list[float] = []
    target = folder / "cp"
    with _uploader(folder, "copy") as uploader:
        for turn in range(_PAIRS + 1):
            if turn % 2:
                ours.append(_held(uploader, source))
            peers.append(_cp(source, target))
            if not turn % 2:
                ours.append(_held(uploader, source))
    del ours[0], peers[0]  # the first warms the page cache and the worker
    ratios = [mine / peer for mine, peer in zip(ours, peers, strict=True)]
    more = {"median ratio of the pairs": median(ratios), "each s": ours, "cp each s": peers}
    return Row("caller held by 1 GiB, copy", median(ours), "s", None, median(peers), "cp", 1.05, more)


def _warm(source: Path) -> None:
    """An untimed copy, removed at once.

    Free memory that a hypervisor has taken back costs as much to touch again as the copy itself, and would fall on
    whoever comes next.
    """
    target = source.with_name("warm")
    subprocess.run(["cp", str(source), str(target)], check=True)
    target.unlink()


def _cp(source: Path, target: Path) -> float:
    _warm(source)
    taken = seconds(lambda: subprocess.run(["cp", str(source), str(target)], check=True))
    target.unlink()
    os.sync()
    return taken


def _held(uploader: Uploader, source: Path) -> float:
    """Seconds of the call; then waits until nothing of it goes on, so that the next one has the machine to itself."""
    uploads: list[Upload] = []
    _warm(source)
    taken = seconds(lambda: uploads.append(uploader.upload(source, "large.pt")))
    uploads[0].result()
    for thread in threading.enumerate():
        if thread.name == "rud-sums":
            thread.join()
    os.sync()
    return taken


def _at_once(folder: Path, source: Path, mode: Mode) -> Row:
    work = f"caller held by 1 GiB, {mode}"
    with _uploader(folder, mode) as uploader:
        try:
            taken = [_held(uploader, source) * 1e3 for _ in range(_PAIRS)]
        except SpoolError:
            return Row(work, None, "ms", 5, why="the file system cannot share blocks")
    return Row(work, median(taken), "ms", 5, more={"worst": max(taken)})
