"""How soon a worker process is ready, and how soon one that was killed is replaced and its upload under way again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import gated_store
from benchmarks.report import Row
from benchmarks.tools import SMALL, make_file, seconds
from rud import Uploader
from rud._links import Link
from rud._registry import resolve
from rud._runtime import ThreadedRuntime

_STARTS = 15
_KILLS = 9


def run(folder: Path) -> Iterator[Row]:
    gated_store.register()
    yield _ready(folder)
    yield _replaced(folder)


def _ready(folder: Path) -> Row:
    ours: list[float] = []
    peers: list[float] = []
    spec = resolve(folder / "store")
    for turn in range(_STARTS):
        runtime = ThreadedRuntime(use_procs=True)
        began = time.perf_counter()
        link = runtime.hire(spec, lock_paths=[str(folder / f"worker-{turn}.lock")], orphan_grace=1.0)
        _wait_ready(runtime, link)
        ours.append((time.perf_counter() - began) * 1e3)
        link.send({"do": "quit"})
        while not link.ended:
            runtime.wait(None)
            link.receive()
        runtime.close()
        peers.append(seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) * 1e3)
    return Row(
        "worker without a cloud SDK ready", median(ours), "ms", 250, median(peers), "python -c pass",
        more={"worst": max(ours)},
    )  # fmt: skip


def _wait_ready(runtime: ThreadedRuntime, link: Link) -> None:
    while not any(message["re"] == "ready" for message in link.receive()):
        if link.ended:
            raise ChildProcessError(link.obituary())
        runtime.wait(None)


def _replaced(folder: Path) -> Row:
    """The store says when an upload is under way; nobody ever ends it, so each worker is killed while it holds one."""
    source = make_file(folder / "small", SMALL)
    taken: list[float] = []
    for turn in range(_KILLS):
        with gated_store.Gate(folder / f"gate-{turn}") as gate:
            uploader = Uploader(
                "gated://bucket", backend_kwargs={"gate": gate.path}, upload_staging_folder=folder / f"spool-{turn}"
            )
            uploader.upload(source, "held.pt")
            first = gate.wait()
            began = time.perf_counter()
            os.kill(first, signal.SIGKILL)
            if gate.wait() == first:
                raise AssertionError("the worker was not replaced")
            taken.append(time.perf_counter() - began)
            uploader.close(0)
    name = "killed worker replaced, its upload under way"
    return Row(name, median(taken), "s", 1.0, more={"worst": max(taken)})
