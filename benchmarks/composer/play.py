"""A scenario while it is played: a faulty S3 server, a program with one of the classes, and what has come of it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rud_fakes.s3 import S3Server

from benchmarks.composer.sink import BUCKET
from benchmarks.tools import SMALL

LIMIT = 25.0
"""Seconds after which a step hangs, unless the scenario says otherwise."""
_ROOT = Path(__file__).resolve().parents[2]
_HIDDEN = ("AWS_", "RUD_", "S3_", "PYTHONDONTWRITEBYTECODE")


class Play:
    """One scenario with one class. What it does is recorded by itself."""

    def __init__(self, folder: Path, server: S3Server, who: str, workers: int) -> None:
        self.folder = folder
        self.server = server
        self.who = who
        self.workers = workers
        self.closes = True
        self.credentials: dict[str, Any] = {}
        self.environment: dict[str, str] = {}
        self.accepted: dict[str, bytes] = {}
        self.raised: list[str] = []
        self.hung: list[str] = []
        self.notes: list[str] = []
        self._began = 0.0
        self._puts = 0
        self._process: subprocess.Popen[str]
        self._answers: queue.SimpleQueue[dict[str, Any] | None]
        (folder / "files").mkdir()

    # Steps

    def begin(self) -> None:
        """Start the program and the uploader, and wait until every worker is there."""
        plan = {
            "who": self.who,
            "endpoint": self.server.url,
            "staging": str(self.folder / "staging"),
            "workers": self.workers,
            "credentials": self.credentials,
            "closes": self.closes,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.composer.victim", json.dumps(plan)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=self.folder,
            env={**kept, **self.environment, "PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "ignore"},
            start_new_session=True,
        )  # fmt: skip
        self._answers = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(self._process, self._answers), daemon=True).start()
        self._answer("begin", 120)
        self.do("init", limit=60)
        self.upload(["first"])
        self.wait_stored(1, 120)
        _wait_for_rest(self.worker_pids)
        self._began = self._began or time.monotonic()
        self._puts = sum(request.operation == "PutObject" for request in self.server.requests)

    def upload(self, keys: Sequence[str], *, size: int = SMALL, overwrite: bool = True, limit: float = LIMIT) -> None:
        """Accept a file of its own content under each key."""
        files = []
        for key in keys:
            path = self.folder / "files" / key
            self.accepted[key] = os.urandom(size)
            path.write_bytes(self.accepted[key])
            files.append((str(path), key))
        self.do("upload", limit=limit, files=files, overwrite=overwrite)

    def do(self, step: str, *, limit: float = LIMIT, **more: Any) -> None:
        """Have a step taken, and wait for its end; after one that hangs nothing more is asked."""
        self.tell(step, **more)
        self._answer(step, limit)

    def tell(self, step: str, **more: Any) -> None:
        """Have a step taken."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": step, **more}) + "\n")
            self._process.stdin.flush()

    def finish(self, limit: float = LIMIT) -> None:
        """What a training program does at its end: a batch, the wait, the close."""
        for step in ("batch_end", "wait", "close"):
            if not self.hung:
                self.do(step, limit=limit)

    def signal(self, number: signal.Signals, *, group: bool = True) -> None:
        """To the program, or to its whole group."""
        (os.killpg if group else os.kill)(self._process.pid, number)

    def wait_for_end(self, limit: float = LIMIT) -> None:
        """Of the program."""
        try:
            self.notes.append(f"exit status {self._process.wait(limit)}")
        except subprocess.TimeoutExpired:
            self.hung.append("the program")

    def worker_pids(self) -> list[int]:
        """The processes that upload."""
        return [pid for pid in _descendants(self._process.pid) if "resource_tracker" not in _command(pid)]

    def wait_stored(self, count: int, limit: float = LIMIT) -> None:
        """Until so many objects are stored, or the seconds are over."""
        over = time.monotonic() + limit
        while len(self.stored()) < count and time.monotonic() < over:
            time.sleep(0.02)

    def wait_sent(self, count: int) -> None:
        """Until so many puts have begun since all was ready."""
        self.server.wait_for("PutObject", self._puts + count, 20)

    def stored(self) -> list[str]:
        """Keys of what was accepted and is there, right to the byte."""
        objects = self.server.objects
        return [key for key, data in self.accepted.items() if key in objects and objects[key].data == data]

    # Outcome

    def result(self) -> dict[str, Any]:
        """What has become of the uploads, once the program is ended; nothing of it is left."""
        seconds = time.monotonic() - self._began
        workers = self.worker_pids()
        self._process.kill()
        self._process.wait()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        staged = [path for path in (self.folder / "staging").rglob("*") if path.is_file()]
        return {
            "accepted": len(self.accepted),
            "stored": len(self.stored()),
            "raised": self.raised,
            "hung": self.hung,
            "notes": self.notes,
            "seconds": round(seconds, 1),
            "files left in staging": len(staged),
            "kept aside": sum(path.name == "reason.json" for path in staged),
            "open multipart uploads": len(self.server.uploads),
        }

    @staticmethod
    def _read(process: subprocess.Popen[str], answers: queue.SimpleQueue[dict[str, Any] | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            answers.put(json.loads(line))
        answers.put(None)

    def _answer(self, step: str, limit: float) -> None:
        try:
            answer = self._answers.get(timeout=limit)
        except queue.Empty:
            self.hung.append(step)
            return
        if answer is None:
            self.notes.append(f"the program ended in {step}")
        else:
            self.raised += [f"{step}: {text}" for text in answer.get("raised", ())]


def _descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            if fields[0] != "Z":
                parents[int(stat.parent.name)] = int(fields[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    return ""


def _wait_for_rest(pids: Any) -> None:
    """Until the workers have been idle for half a second: those that import are not there yet."""

    def ticks() -> int:
        total = 0
        for pid in pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total

    for _ in range(120):
        before = ticks()
        time.sleep(0.5)
        if ticks() - before <= 1:
            return


@contextlib.contextmanager
def stage(parent: Path, who: str, workers: int) -> Iterator[Play]:
    """A play in a folder and with a server of its own."""
    folder = parent / "play"
    folder.mkdir()
    try:
        with S3Server(BUCKET) as server:
            yield Play(folder, server, who, workers)
    finally:
        shutil.rmtree(folder)
