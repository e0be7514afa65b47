"""What ``import rud`` costs, in fresh interpreters that take turns, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.report import Row
from benchmarks.tools import run_python

_PEER = "import concurrent.futures, subprocess, json, logging, dataclasses"
_TURNS = 21
_UNWANTED = (
    "torch", "composer", "hypothesis", "pytest", "_pytest", "boto3", "botocore", "obstore", "fsspec", "azure",
    "google.cloud", "paramiko", "asyncssh", "requests", "httpx", "aiohttp", "numpy",
)  # fmt: skip


def run(folder: Path) -> Iterator[Row]:
    statements = ("import rud", "from rud import Uploader", _PEER)
    times: dict[str, list[float]] = {statement: [] for statement in statements}
    for _ in range(_TURNS + 1):
        for statement in statements:
            times[statement].append(_milliseconds(statement))
    taken = {statement: median(values[1:]) for statement, values in times.items()}  # the first may compile
    peer = "five modules of the standard library"
    yield Row("import rud", taken["import rud"], "ms", None, taken[_PEER], peer, 2.5)
    yield Row("from rud import Uploader", taken["from rud import Uploader"], "ms", None, taken[_PEER], peer)
    loaded = _unwanted()
    yield Row(
        "SDKs, torch, Composer, hypothesis, pytest loaded by it", float(len(loaded)), "modules", 0,
        more={"loaded": loaded},
    )  # fmt: skip


def _milliseconds(statement: str) -> float:
    code = f"import time; t = time.perf_counter(); {statement}; print((time.perf_counter() - t) * 1e3)"
    return float(run_python("-c", code))


def _unwanted() -> list[str]:
    """Names from the list that are loaded once the library is fully imported."""
    code = f"import sys; from rud import Uploader, Downloader; print(*({_UNWANTED!r} & sys.modules.keys()))"
    return run_python("-c", code.replace(repr(_UNWANTED), f"set({_UNWANTED!r})")).split()
