"""The supervisor's ends of its workers: a process behind two pipes, or a thread behind two queues; and what wakes
it."""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from rud import _faultpoints
from rud._clock import Clock
from rud._forks import no_fork
from rud._frames import PROTOCOL, Decoder, FrameError, Message, encode
from rud._registry import StoreSpec
from rud._worker import Worker

MARK = "RUD_WORKER_OF"
"""In the environment of a worker process: the pid of its parent. An uploader refuses to be built where it stands."""

_READ = 1 << 18
_CGROUP_EVENTS = "/sys/fs/cgroup/memory.events"


class Link(Protocol):
    """One worker, seen from the supervisor's thread."""

    def send(self, message: Message) -> None:
        """Never blocks, never raises for a dead worker: that is seen by ``ended``."""
        ...

    def receive(self) -> list[Message]:
        """All messages that have come; also those of a worker that has ended since."""
        ...

    @property
    def ended(self) -> bool:
        """No message will come any more but those that ``receive`` gives now."""
        ...

    def kill(self) -> None:
        """End it without its consent. A thread cannot be: what it reads is revoked, and it is left alone."""
        ...

    def obituary(self) -> str:
        """Of an ended worker: how, and what is likely to have been the cause."""
        ...


class Mux:
    """What the supervisor waits on: the descriptors of its workers and a wake-up that any thread may poke."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self.watch(self._wake_read.fileno(), selectors.EVENT_READ, self._drain)

    def watch(self, fd: int, events: int, callback: Callable[[], None]) -> None:
        self._selector.register(fd, events, callback)

    def unwatch(self, fd: int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)

    def wake(self) -> None:
        # A full socket is as good as one more byte in it; a closed one has nobody left to wake.
        with contextlib.suppress(OSError):
            self._wake_write.send(b"\0")

    def wait(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            key.data()

    def close(self) -> None:
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass


class ProcessLink:
    """A worker process. It shares no lock with anyone; its death is seen on its own descriptor, and signals go
    there."""

    def __init__(self, spec: StoreSpec, mux: Mux, *, lock_paths: list[str], orphan_grace: float) -> None:
        self._mux = mux
        self._decoder = Decoder()
        self._outgoing = bytearray()
        self._messages: list[Message] = []
        self._garbled = ""
        self._watched_for_room = False
        self._exited = threading.Event()
        self._oom_kills = _oom_kills()
        self.ended = False
        self._start()
        self.send(
            {
                "protocol": PROTOCOL,
                "spec": spec.to_wire(),
                "locks": lock_paths,
                "orphan_grace": orphan_grace,
            }
        )

    def _start(self) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("worker.spawn.before")
        with no_fork() as descriptors:
            commands_read, self._commands = os.pipe()
            self._results, results_write = os.pipe()
            try:
                self._process = _popen(commands_read, results_write)
            except BaseException:
                os.close(self._commands)
                os.close(self._results)
                raise
            finally:
                os.close(commands_read)
                os.close(results_write)
            descriptors |= {self._commands, self._results}
        if _faultpoints.active is not None:
            _faultpoints.hit("worker.spawn.after")
        os.set_blocking(self._commands, False)
        os.set_blocking(self._results, False)
        self._mux.watch(self._results, selectors.EVENT_READ, self._read)
        self._pidfd: int | None = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(self._process.pid)
        if self._pidfd is not None:
            self._mux.watch(self._pidfd, selectors.EVENT_READ, self._end)
        else:
            threading.Thread(target=self._await_end, name="rud-waits-for-worker", daemon=True).start()

    def send(self, message: Message) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("ipc.cmd.write.before", op=message.get("do", "hello"))
        self._outgoing += encode(message)
        self._write()
        if _faultpoints.active is not None:
            _faultpoints.hit("ipc.cmd.write.after", op=message.get("do", "hello"))

    def _write(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: os.write(self._commands, self._outgoing)]
        except BlockingIOError:
            if not self._watched_for_room:
                self._mux.watch(self._commands, selectors.EVENT_WRITE, self._write)
                self._watched_for_room = True
            return
        except OSError:
            self._outgoing.clear()
        if self._watched_for_room:
            self._mux.unwatch(self._commands)
            self._watched_for_room = False

    def _read(self) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("ipc.result.read.before")
        try:
            while data := os.read(self._results, _READ):
                self._messages += self._decoder.feed(data)
            self._mux.unwatch(self._results)
        except BlockingIOError:
            pass
        except FrameError as error:
            self._garbled = f"it sent {error}"
            self._mux.unwatch(self._results)
            self.kill()

    def receive(self) -> list[Message]:
        if self._exited.is_set():
            self._end()
        messages, self._messages = self._messages, []
        if messages and _faultpoints.active is not None and any(one["re"] == "result" for one in messages):
            _faultpoints.hit("ipc.result.read.after")
        return messages

    def _await_end(self) -> None:
        self._process.wait()
        self._exited.set()
        self._mux.wake()

    def _end(self) -> None:
        """It has ended: take what still lies in its pipe, then forget its descriptors."""
        if self.ended:
            return
        self.ended = True
        if not self._garbled:
            self._read()
        self._process.poll()
        for fd in (self._commands, self._results, self._pidfd):
            if fd is not None:
                self._mux.unwatch(fd)
        with no_fork() as descriptors:
            for fd in (self._commands, self._results, self._pidfd):
                if fd is not None:
                    os.close(fd)
            descriptors -= {self._commands, self._results}

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            if self._pidfd is not None and not self.ended:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            elif self._pidfd is None:
                self._process.kill()

    @property
    def pid(self) -> int:
        """Of the process, also when it has ended."""
        return self._process.pid

    def obituary(self) -> str:
        status = self._process.returncode
        if self._garbled:
            return f"{self._garbled} and was killed"
        if status is not None and status < 0:
            name = signal.Signals(-status).name
            causes = "out of memory, or killed from outside" if name == "SIGKILL" else "a crash in native code"
            if name in ("SIGKILL", "SIGTERM") and _oom_kills() > self._oom_kills:
                causes = "the kernel's out-of-memory killer has struck in this container since it was started"
            return f"{name} (likely: {causes})"
        if status:
            return f"exit status {status} (its last words are on stderr)"
        return "it ended by itself, or the program has reaped it"


class ThreadLink:
    """A worker thread of this process. A hung one is abandoned: what it reads next raises."""

    def __init__(self, spec: StoreSpec, mux: Mux, clock: Clock) -> None:
        self._mux = mux
        self._commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._revoked = threading.Event()
        self._last_words = ""
        self._over = False
        self._worker = Worker(spec.open, spec.secrets, self._deliver, clock, self._revoked.is_set)
        threading.Thread(target=self._serve, name="rud-worker", daemon=True).start()
        self.send({"do": "open"})

    def _serve(self) -> None:
        try:
            while self._worker.handle(self._commands.get()):
                pass
        except BaseException as error:  # noqa: BLE001  # SystemExit of a backend ends the worker, not the program
            self._last_words = f"{type(error).__name__}: {error}"
        finally:
            # Not told by is_alive(): the thread lives for a moment after its last wake-up.
            self._over = True
            self._mux.wake()

    def _deliver(self, message: Message) -> None:
        self._messages.put(message)
        self._mux.wake()

    def send(self, message: Message) -> None:
        self._commands.put(message)

    def receive(self) -> list[Message]:
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            while True:
                messages.append(self._messages.get_nowait())
        return messages

    @property
    def ended(self) -> bool:
        return self._over and self._messages.empty()

    def kill(self) -> None:
        self._revoked.set()
        self.send({"do": "quit"})

    def obituary(self) -> str:
        return self._last_words or "its thread ended"


def _popen(stdin: int, stdout: int) -> subprocess.Popen[bytes]:
    """A bare interpreter with our flags and our path, in a session of its own; it imports nothing of the program's."""
    path = [os.path.abspath(entry or os.curdir) for entry in sys.path]
    boot = f"import sys; sys.path[:] = {path!r}; from rud._child import main; main({os.getpid()})"
    flags: list[str] = vars(subprocess)["_args_from_interpreter_flags"]()  # what multiprocessing uses, too
    return subprocess.Popen(
        [sys.executable, *flags, "-P", "-c", boot],
        stdin=stdin,
        stdout=stdout,
        bufsize=0,
        close_fds=True,
        start_new_session=True,
        env={**os.environ, MARK: str(os.getpid())},
    )


def _oom_kills() -> int:
    """How often the kernel has killed in this container; 0 where it does not say."""
    try:
        with open(_CGROUP_EVENTS, encoding="ascii") as file:
            counts = dict(line.split() for line in file)
        return int(counts["oom_kill"])
    except (OSError, ValueError, KeyError):
        return 0
