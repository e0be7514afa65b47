"""The processes of the kill sweep: a program that accepts and sends, one that only accepts and dies, and a resume.

All are forked from a process that has imported everything and started nothing (``serve``), so that a case does not
spend its time on importing. They obey the fault plan of their environment as any process of the library does.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn
from unittest import mock

from rud_fakes import FakeClock
from rud_fakes.faults.runtime import state_of
from rud_fakes.runtime import InlineRuntime

import rud
from rud import RudError, Upload, Uploader
from rud._clock import SystemClock
from rud._faultpoints import PLAN
from rud._runtime import ThreadedRuntime
from rud._slots import Limits
from rud._spool import SpoolOptions
from rud.cli import main
from tests.support.journal_store import make
from tests.support.kill_verdict import Folders
from tests.support.slow_store import append

SMALL, LARGE, PARTS = 700, 300 << 10, (1 << 20) + 5000
"""In the log; beside it; and of so many bytes that the store announces a multipart upload."""
GRACE = 2.0
STALL = 1.5
LONGEST = 20.0
"""Seconds after which what should have come to an end by itself is taken to hang."""

REFUSED = 3
"""The exit status of a run that an uploader was refused to."""

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Offer:
    """One upload of a scenario; ``after``: the places of those that it comes after."""

    key: str
    size: int = SMALL
    create: bool = False
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """``rules``: what fails in it whoever is killed, so that a point is reached."""

    offers: tuple[Offer, ...]
    mode: Literal["auto", "link", "move"] = "auto"
    fsync: bool = False
    rules: str = ""


SCENARIOS = {
    "small": Scenario((Offer("a"), Offer("b"), Offer("c"))),
    "parts": Scenario((Offer("parts/a", PARTS), Offer("b", LARGE), Offer("c")), fsync=True),
    "twice": Scenario((Offer("k"), Offer("k", LARGE), Offer("other"), Offer("k"))),
    "create": Scenario((Offer("unique", create=True), Offer("unique", LARGE, create=True), Offer("b")), mode="link"),
    "dependency": Scenario(
        (Offer("shard/0", LARGE), Offer("shard/1"), Offer("latest", after=(0, 1)), Offer("latest", after=(0, 1))),
        mode="move",
        fsync=True,
    ),
    "denied": Scenario((Offer("denied/a"), Offer("b"), Offer("denied/b", LARGE))),
    "done": Scenario((Offer("a"),)),
    "torn": Scenario((Offer("a"), Offer("b"), Offer("a")), rules="fs.log.append.written[kind=accepted]#2=errno(EIO)"),
}
"""``recovery running`` is any of them on what a dead run has left."""


def _limits(**more: float) -> Limits:
    return Limits(**{"late_window": 0.3, "reply": STALL, "opening": 2 * STALL, **more})


def _small_segments(*given: Any, **named: Any) -> SpoolOptions:
    return SpoolOptions(*given, **{"segment_bytes": 2048, **named})


def _threads(**_: bool) -> ThreadedRuntime:
    return ThreadedRuntime(use_procs=False)


def prepare(*, threads: bool) -> None:
    """In a process of its own: nothing is to be put back."""
    rud.register_backend("sweep", "tests.support.kill_sweep_store:SweepStore")
    for module in ("rud.uploader", "rud._resume.sending"):
        mock.patch(f"{module}.Limits", _limits).start()
    if threads:
        mock.patch("rud._resume.sending.ThreadedRuntime", _threads).start()
    for module in ("rud.uploader", "rud._spool.spool"):
        mock.patch(f"{module}.SpoolOptions", _small_segments).start()


class Run:
    """One program's share of a case; versions count from ``first``."""

    def __init__(self, folders: Folders, scenario: str, first: int) -> None:
        self.folders, self.first = folders, first
        self.scenario = SCENARIOS[scenario]

    def open(self, **more: Any) -> Uploader:
        return Uploader(
            f"sweep://here{self.folders.objects}",
            backend_kwargs={"journal": str(self.folders.journal)},
            upload_staging_folder=self.folders.staging,
            staging_mode=self.scenario.mode,
            fsync=self.scenario.fsync,
            on_failure="warn",
            stall_timeout=STALL,
            orphan_grace=GRACE,
            **more,
        )

    def accept(self, uploader: Uploader) -> list[str]:
        """Each with a line in the ledger once ``upload`` has returned; what was refused, in words."""
        accepted: dict[int, tuple[Upload, str]] = {}
        refused = list[str]()
        for place, offer in enumerate(self.scenario.offers):
            version = self.first + place
            key = f"{offer.key}/{version}" if offer.create else offer.key
            after = [accepted[one] for one in offer.after if one in accepted]
            source = self.folders.root / "sources" / f"{version}"
            source.write_bytes(make(key, version, random.Random(version).randbytes(offer.size)))
            append(self.folders.root / "offered", f"{version} {key}\n".encode())
            try:
                made = uploader.upload(source, key, overwrite=not offer.create, after=[one for one, _ in after])
            except (RudError, OSError) as error:
                refused.append(f"{key}: {error}")
                continue
            line = f"{version} {key} {' '.join(text for _, text in after)}".rstrip()
            append(self.folders.ledger, f"{line}\n".encode())
            accepted[place] = made, f"{key}@{version}"
        return refused


def leave(config: Config) -> int:
    """Accept everything, send the first, and die with the rest; and half of a payload that was never accepted."""
    run = Run(Folders(Path(config["folder"])), config["scenario"], config["first"])
    runtime = InlineRuntime(FakeClock(time_ns=SystemClock().time_ns()), stepped=True)
    uploader = run.open(use_procs=False, _runtime=runtime)
    run.accept(uploader)
    runtime.settle()
    runtime.links[0].work()
    runtime.settle()
    (run.folders.root / "orphan").write_bytes(bytes(LARGE))
    uploader._spool.stage(str(run.folders.root / "orphan"))
    os._exit(0)


def send(config: Config) -> int:
    """Accept everything; then wait for it, or, ``hasty``, close as soon as the fault has come; how long ``close`` took
    more than it may is told."""
    run = Run(Folders(Path(config["folder"])), config["scenario"], config["first"])
    clock = SystemClock()
    try:
        uploader = run.open(use_procs=not config["threads"])
    except (RudError, OSError) as error:
        print(f"refused: {error}", flush=True)
        return REFUSED
    refused = run.accept(uploader)
    trouble = ""
    if config["hasty"]:
        _wait_for_the_fault(clock)
    else:
        try:
            uploader.drain(LONGEST / 2, adopted=True)
        except (RudError, OSError) as error:
            trouble = f"{type(error).__name__}: {error}"
    limit = 0.1 if config["hasty"] or trouble else LONGEST
    began = clock.monotonic()
    report = uploader.close(limit)
    over = clock.monotonic() - began - limit
    print(json.dumps({"over": over, "report": str(report), "refused": refused, "trouble": trouble}), flush=True)
    return 0


def _wait_for_the_fault(clock: SystemClock) -> None:
    end = clock.monotonic() + LONGEST / 2
    while not any((state_of(os.environ[PLAN]) / "fired").glob("r1.*")) and clock.monotonic() < end:
        threading.Event().wait(0.005)


def resume(config: Config) -> int:
    """What the command does, with our store registered."""
    folders = Folders(Path(config["folder"]))
    kwargs = json.dumps({"journal": str(folders.journal)})
    return int(main(["resume", "--failed", str(folders.staging), "--backend-kwargs", kwargs]) or 0)


PROGRAMS: dict[str, Callable[[Config], int]] = {one.__name__: one for one in (leave, send, resume)}


# The process that they are forked from


def serve() -> NoReturn:
    """For each line on stdin a child that does what it says; its pid, then its status, go to stdout."""
    for line in sys.stdin:
        config = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be(config)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    sys.exit(0)


def _be(config: Config) -> NoReturn:
    os.setsid()
    folders = Folders(Path(config["folder"]))
    for number, path in ((0, os.devnull), (1, folders.root / "said"), (2, folders.root / "stderr")):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.update(config["environment"])
    prepare(threads=config["threads"])
    try:
        code = PROGRAMS[config["program"]](config)
    except Exception:  # noqa: BLE001  # whoever has forked us is not to go on twice
        traceback.print_exc()
        code = 70
    sys.exit(code)


if __name__ == "__main__":
    serve()
