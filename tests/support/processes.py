"""Waiting for what other processes do: events on a pipe, lines on stdout, their end. Nothing here polls."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rud._links import MARK

PATIENCE = 30.0
"""Seconds: ten times what anything waited for here takes on a busy machine."""

Event = dict[str, Any]


class Events:
    """The reading end of the pipe of a ``SlowStore``."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Open for writing, too: no end of file when the last writer goes, and writers find a reader.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._rest = b""
        self.seen: list[Event] = []
        self._unread = 0

    def wait_for(self, what: str, key: str | None = None, *, count: int = 1) -> list[Event]:
        """The next ``count`` events ``what`` (of ``key``) that no earlier call has returned or passed over."""
        found: list[Event] = []
        while len(found) < count:
            while self._unread == len(self.seen):
                self._read(f"{count} × {what} {key or ''}")
            event = self.seen[self._unread]
            self._unread += 1
            if event["what"] == what and key in (None, event["key"]):
                found.append(event)
        return found

    def worker_pids(self) -> set[int]:
        """Of every process that has opened the store as a worker, as far as its events were read."""
        return {event["pid"] for event in self.seen if event["worker"] and event["pid"] != os.getpid()}

    def _read(self, waiting_for: str) -> None:
        if not select.select([self._fd], [], [], PATIENCE)[0]:
            raise AssertionError(f"{waiting_for} never came; what came: {self.seen}")
        *lines, self._rest = (self._rest + os.read(self._fd, 1 << 16)).split(b"\n")
        self.seen += map(json.loads, lines)

    def close(self) -> None:
        os.close(self._fd)


def wait_for_end(pid: int, seconds: float = PATIENCE) -> None:
    """Until process ``pid``, ours or not, has ended; fails the test when it has not after ``seconds``."""
    with contextlib.suppress(ProcessLookupError), _end_of(pid) as ended:
        assert ended(seconds), f"process {pid} is still there after {seconds} s"


def is_running(pid: int) -> bool:
    """Whether it has not ended; one that has and was not reaped by its parent is not running."""
    try:
        with _end_of(pid) as ended:
            return not ended(0)
    except ProcessLookupError:
        return False


@contextlib.contextmanager
def _end_of(pid: int) -> Iterator[Callable[[float], bool]]:
    if hasattr(os, "pidfd_open"):
        fd = os.pidfd_open(pid)
        try:
            yield lambda seconds: bool(select.select([fd], [], [], seconds)[0])
        finally:
            os.close(fd)
        return
    if not hasattr(select, "kqueue"):
        pytest.skip("this system tells nobody but its parent of a process's end")
    queue = select.kqueue()  # type: ignore[attr-defined,unused-ignore]  # these: macOS only
    try:
        wanted = select.kevent(  # type: ignore[attr-defined,unused-ignore]
            pid,
            select.KQ_FILTER_PROC,  # type: ignore[attr-defined,unused-ignore]
            select.KQ_EV_ADD,  # type: ignore[attr-defined,unused-ignore]
            select.KQ_NOTE_EXIT,  # type: ignore[attr-defined,unused-ignore]
        )
        yield lambda seconds: bool(queue.control([wanted], 1, seconds))
    finally:
        queue.close()


class Program:
    """A program of ``tests.support.programs`` in a session of its own, and what it says."""

    def __init__(self, name: str, config: dict[str, Any], *, cwd: Path, script: Path | None = None) -> None:
        start = ["-m", "tests.support.programs"] if script is None else [str(script)]
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, *start, name, json.dumps(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
            text=True,
        )
        self.pid = self.process.pid
        self._said = b""
        self._errors: list[str] = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def _read_errors(self) -> None:
        # A full pipe would stop the program; workers that outlive it hold the other end, so this may take longer.
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)

    def expect(self, word: str) -> str:
        """The next line it says, which begins with ``word``; what follows that."""
        # Read here, not by the file object: what it holds in a buffer of its own, select does not see.
        assert self.process.stdout is not None
        while b"\n" not in self._said:
            ready = select.select([self.process.stdout], [], [], PATIENCE)[0]
            more = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not ready:
                raise AssertionError(f"the program did not say {word!r} in {PATIENCE} s; on stderr:\n{self.errors()}")
            if not more:
                break
            self._said += more
        said, _, self._said = self._said.partition(b"\n")
        line = said.decode()
        assert line.startswith(word), f"{word!r} was expected, {line!r} came; on stderr:\n{self.errors(2.0)}"
        return line.removeprefix(word).strip()

    def signal(self, number: signal.Signals, *, group: bool = True) -> None:
        (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit status; fails the test when it has not ended after ``seconds``."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {seconds} s; on stderr:\n{self.errors()}") from None

    def errors(self, seconds: float = 0.1) -> str:
        """What is on stderr when its last writer has ended, or after ``seconds``."""
        self._reader.join(seconds)
        return "".join(self._errors)

    def end(self) -> None:
        """Whatever is left of it ends now."""
        # Also when it has ended itself: a forked child of it may live on, and hold our pipes.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def workers_of(pid: int) -> list[int]:
    """Worker processes of ``pid``, alive or not, by the mark in their environment; where that cannot be read (macOS),
    all processes whose parent it still is."""
    if not Path("/proc/self/environ").exists():
        return _children_of(pid)
    mark, found = f"{MARK}={pid}".encode(), list[int]()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
    return found


def _children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(child) for child, parent in map(str.split, listed.splitlines()) if int(parent) == pid]
