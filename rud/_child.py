"""The worker process: two pipes, no lock shared with anyone, and a watch on its parent.

The main thread works; one thread reads commands. What it prints goes to stderr, never into the protocol. It ignores
the signals that ask a program to end: the parent decides, through the pipe. When the parent ends, it finishes at most
the upload it holds, within ``orphan_grace`` seconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import signal
import threading
from typing import NoReturn

from rud import _faultpoints
from rud._clock import SystemClock
from rud._frames import PROTOCOL, Decoder, Message, encode
from rud._registry import StoreSpec
from rud._worker import Worker

LOOK_EVERY = 0.5
"""Seconds between looks at the parent where the system has no descriptor for a process (macOS)."""

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What terminals and batch systems send to every process of a job."""

_READ = 1 << 16
_PIPE_BUF = 4096
"""POSIX: a write of at most this many bytes to a pipe that is ready does not block."""


class Outbox:
    """The pipe to the parent. Messages that may be dropped are, when it is full; results wait for room.

    A parent that is gone reads nothing, which is no reason to break off the upload in hand: whoever watches the parent
    sees to the end.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._dropped = 0

    def send(self, message: Message) -> None:
        optional = message["re"] in ("progress", "log")
        frame = encode(message)
        if message["re"] == "result" and _faultpoints.active is not None:
            _faultpoints.hit("ipc.result.write.before")
        with self._lock:
            if optional and (len(frame) > _PIPE_BUF or not select.select([], [self._fd], [], 0)[1]):
                self._dropped += 1
                return
            if not optional and self._dropped:
                message = {**message, "dropped": self._dropped}
                frame, self._dropped = encode(message), 0
            view = memoryview(frame)
            with contextlib.suppress(BrokenPipeError):
                while view:
                    view = view[os.write(self._fd, view) :]
        if message["re"] == "result" and _faultpoints.active is not None:
            _faultpoints.hit("ipc.result.write.after")


class _ToParent(logging.Handler):
    """Log records of the worker reach the parent's logging."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)[:2000]
        self._outbox.send({"re": "log", "level": record.levelno, "name": record.name, "text": text})


class Child:
    """Reads the first message, opens the store, and serves until it is told to quit or its parent is gone."""

    def __init__(self, commands: int, outbox: Outbox) -> None:
        self._commands_fd = commands
        self._outbox = outbox
        self._decoder = Decoder()
        self._commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._busy = threading.Lock()
        self._revoked = threading.Event()

    def run(self, parent: int) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("worker.start")
        hello = self._first_message()
        if hello["protocol"] != PROTOCOL:
            text = (
                f"this worker speaks protocol {PROTOCOL}, its parent {hello['protocol']}: two versions of rud are mixed"
            )
            self._outbox.send({"re": "ready", "error": {"class": "ConfigurationError", "text": text}})
            return
        for path in hello["locks"]:
            _hold(path)
        spec = StoreSpec.from_wire(hello["spec"])
        worker = Worker(spec.open, spec.secrets, self._outbox.send, SystemClock(), self._revoked.is_set)
        threading.Thread(target=self._listen, args=(parent, hello["orphan_grace"]), daemon=True).start()
        worker.handle({"do": "open"})
        going = True
        while going:
            if _faultpoints.active is not None:
                _faultpoints.hit("worker.idle")
            command = self._commands.get()
            with self._busy:
                going = worker.handle(command)

    def _first_message(self) -> Message:
        while True:
            data = os.read(self._commands_fd, _READ)
            if not data:
                raise EOFError("the parent is gone")
            messages = self._decoder.feed(data)
            for message in messages[1:]:
                self._commands.put(message)
            if messages:
                return messages[0]

    def _listen(self, parent: int, grace: float) -> None:
        watch = _open_pidfd(parent)
        readable = [self._commands_fd] if watch is None else [self._commands_fd, watch]
        while True:
            ready = select.select(readable, [], [], LOOK_EVERY if watch is None else None)[0]
            if watch in ready or (watch is None and os.getppid() != parent):
                self._orphaned(grace)
            if self._commands_fd in ready:
                data = os.read(self._commands_fd, _READ)
                if not data:
                    self._orphaned(grace)
                for message in self._decoder.feed(data):
                    if message["do"] == "cancel":
                        self._revoked.set()
                    else:
                        self._commands.put(message)

    def _orphaned(self, grace: float) -> NoReturn:
        self._busy.acquire(timeout=grace)
        os._exit(0)


def _open_pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when ``pid`` ends; ``None`` where the system has none.

    The pid was our parent's when we were started; if it is not any more, the parent is gone and the pid may be
    another's.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        os._exit(0)
    except OSError:
        return None
    if os.getppid() != pid:
        os._exit(0)
    return fd


def _hold(path: str) -> None:
    """Lock the worker's file for as long as this process lives: an adopter waits for it."""
    import fcntl

    # A folder that was adopted may have been emptied and removed since.
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.lockf(fd, fcntl.LOCK_EX)


def main(parent: int) -> NoReturn:
    """Run as a worker of process ``parent``; ends the process."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    commands, results = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    _faultpoints.load()
    outbox = Outbox(results)
    logging.getLogger().addHandler(_ToParent(outbox))
    with contextlib.suppress(EOFError, BrokenPipeError):
        Child(commands, outbox).run(parent)
    os._exit(0)
