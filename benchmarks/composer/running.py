"""Every session, the classes in turn, and what came of them, as one list."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.composer.machine import Others, versions, wait_until_quiet
from benchmarks.composer.session import Plan
from benchmarks.composer.sink import BUCKET, Sink
from benchmarks.report import machine
from benchmarks.tools import SMALL, make_file

_MIB = 1 << 20
_ROOT = Path(__file__).resolve().parents[2]
_DISTURBED = 0.1
# Without bytecode every worker of Composer's would compile all of torch.
_NOT_PASSED_ON = ("AWS_", "RUD_", "S3_", "PYTHONDONTWRITEBYTECODE")
_TRIES = 3
_LINK = {"staging_mode": "link"}


@dataclass(frozen=True, slots=True)
class Work:
    """Sessions of one kind: which workers, which works, and which classes with which options."""

    workers: int
    use_procs: bool
    works: list[str]
    classes: dict[str, dict[str, Any]] = field(default_factory=lambda: {"composer": {}, "rud": _LINK})

    @property
    def name(self) -> str:
        """As in "4 processes"."""
        one, more = ("process", "processes") if self.use_procs else ("thread", "threads")
        return f"{self.workers} {one if self.workers == 1 else more}"


WORKS = (
    Work(4, True, ["idle", "small", "large"]),
    Work(1, True, ["idle", "huge", "small", "large"]),
    Work(1, False, ["idle", "small", "large"]),
    Work(4, False, ["idle", "small", "large"]),
    Work(4, True, ["huge", "large"], {"rud, default staging": {}}),
    Work(1, True, ["loop"]),
    Work(1, False, ["loop"]),
)


def make_sources(folder: Path) -> None:
    """The files that everybody uploads."""
    folder.mkdir()
    make_file(folder / "small", SMALL)
    make_file(folder / "huge", 1024 * _MIB)
    for number in range(2000):
        (folder / f"small-{number:04}").write_bytes(os.urandom(SMALL))
    for number in range(4):
        make_file(folder / f"large-{number}", 512 * _MIB)
    os.sync()


class Run:
    """Runs everything below ``folder``, and keeps what is found in ``results`` after every session."""

    def __init__(self, folder: Path, results: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._results = results
        self._say = say
        self._sink: Sink | None = None
        self._found: dict[str, Any] = {
            "machine": machine(str(folder)),
            "versions": versions("mosaicml", "torch", "boto3", "obstore", "numpy", "rud-uploader"),
            "rud commit": _commit(),
            "sessions": [],
            "peers": [],
            "correct": [],
        }

    def everything(self, rounds: int, names: list[str]) -> None:
        """``rounds`` rounds of all sessions, of the peers, and one of the real server; only ``names``, if any."""
        self._found["rounds"] = rounds
        make_sources(self._folder / "sources")
        with Sink(self._folder) as self._sink:
            for turn in range(rounds):
                for work in WORKS:
                    if not names or work.name in names or ("loop" in work.works and "loop" in names):
                        self._one_kind(self._sink, work, turn)
                if not names or "peers" in names:
                    self._peers(self._sink)
        self._sink = None
        if not names or "versitygw" in names:
            self._correct()
        self._found["machine"]["until"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._keep()

    def _one_kind(self, sink: Sink, work: Work, turn: int) -> None:
        classes = list(work.classes.items())
        for who, options in classes if turn % 2 == 0 else reversed(classes):
            plan = self._plan(who, options, work, sink.observer.endpoint)
            row = {"who": who, "workers": work.workers, "kind": work.name, "works": work.works, "options": options}
            self._say(f"round {turn + 1}: {who}, {work.name}: {', '.join(work.works)}")
            row |= self._child("session", json.dumps(asdict(plan)))
            row["requests"] = sink.observer.requests()
            self._found["sessions"].append(row)
            self._keep()

    def _plan(self, who: str, options: dict[str, Any], work: Work, endpoint: str) -> Plan:
        self._reset()
        return Plan(
            who=who.partition(",")[0],
            workers=work.workers,
            use_procs=work.use_procs,
            works=work.works,
            endpoint=endpoint,
            sources=str(self._folder / "sources"),
            staging=str(self._folder / "staging"),
            options=options,
        )

    def _peers(self, sink: Sink) -> None:
        self._say("peers")
        self._reset()
        scratch = self._folder / "scratch"
        scratch.mkdir(exist_ok=True)
        found = self._child("peers", sink.observer.endpoint, str(self._folder / "sources"), str(scratch))
        self._found["peers"].append(found)
        self._keep()

    def _correct(self) -> None:
        from rud_fakes.servers import versitygw

        work = Work(4, True, [])
        for who, options in work.classes.items():
            self._say(f"versitygw: {who}")
            kept = self._folder / "versitygw"
            with versitygw(folder=str(kept), buckets=(BUCKET,)) as server:
                plan = replace(self._plan(who, options, work, server.url), credentials=server.backend_kwargs)
                found = self._child("correct", json.dumps(asdict(plan)), str(server.folder_of(BUCKET)))
                self._found["correct"].append({"who": who} | found)
            shutil.rmtree(kept)
            self._keep()

    def _child(self, module: str, *arguments: str) -> dict[str, Any]:
        """Once more when others had too much of the processors; the least disturbed counts."""
        tries: list[dict[str, Any]] = []
        while len(tries) < _TRIES and not any(row["others"] <= _DISTURBED for row in tries):
            if tries:
                self._say(f"again: others had {tries[-1]['others']:.0%} of the processors")
                self._reset()
            tries.append(self._once(module, *arguments))
        return min(tries, key=lambda row: row["others"])

    def _once(self, module: str, *arguments: str) -> dict[str, Any]:
        os.sync()
        busy = wait_until_quiet()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)},
            **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
            "PYTHONPATH": str(_ROOT),
            "PYTHONWARNINGS": "ignore",
        }
        command = [sys.executable, "-m", f"benchmarks.composer.{module}", *arguments]
        others = Others(self._sink.pid if self._sink else 0)
        began = time.monotonic()
        done = subprocess.run(
            command, env=environment, cwd=self._folder, capture_output=True, text=True, timeout=900, check=False
        )
        row: dict[str, Any] = {"busy before": round(busy, 2), "took s": round(time.monotonic() - began, 1)}
        row["others"] = round(others.part(), 3)
        if done.returncode:
            self._say(done.stderr[-2000:])
            return {**row, "failed": done.stderr.strip().splitlines()[-1:]}
        return {**row, "figures": json.loads(done.stdout.splitlines()[-1])}

    def _reset(self) -> None:
        shutil.rmtree(self._folder / "staging", ignore_errors=True)
        if self._sink:
            self._sink.observer.clear()

    def _keep(self) -> None:
        self._results.parent.mkdir(parents=True, exist_ok=True)
        self._results.write_text(json.dumps(self._found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _commit() -> str:
    asked = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
