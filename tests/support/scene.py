"""What a scenario needs, whatever the store: a staging folder, files, uploaders and programs, and an end to all of
them."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

from rud import Uploader
from rud._spool import status
from tests.support.processes import Program, is_running, wait_for_end, workers_of

WORKER_THREAD = "rud-worker"


class Scene(ABC):
    """Used as a context manager: everything that was started in it has ended when it is left."""

    may_arrive_late: ClassVar[int] = 0
    """Of two uploads whose senders have died, how many the store may carry out all the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.staging = folder / "staging"
        self._programs: list[Program] = []
        self._uploaders: list[Uploader] = []
        self._threads_before = _worker_threads()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_all()

    def _end_all(self) -> None:
        for uploader in self._uploaders:
            uploader.close(0.0)
        for program in self._programs:
            if program.process.poll() is None:
                program.process.kill()
        for pid in self._worker_processes():
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
                wait_for_end(pid)
        for program in self._programs:
            program.end()

    def _worker_processes(self) -> set[int]:
        """Of programs, as far as they can be told."""
        return {pid for program in self._programs for pid in workers_of(program.pid)}

    # What the store does

    @abstractmethod
    def plan(self, plan: dict[str, list[str]]) -> None:
        """For a key, or ``"*"``, what its attempts do, in order; the last one repeats. ``"gate"``: waits until the gate
        is opened; ``"hang"``: never returns; ``"503"``: fails so; ``""``: nothing of the kind."""

    @abstractmethod
    def open_gate(self) -> None:
        """All that wait at the gate go on, and nobody waits there any more."""

    @abstractmethod
    def wait_until_begun(self, count: int) -> None:
        """Until so many puts have begun."""

    @abstractmethod
    def begun(self) -> list[str]:
        """The keys of the puts that have begun, in order."""

    @abstractmethod
    def finished(self) -> list[str]:
        """The keys of the puts that have succeeded, in order."""

    @abstractmethod
    def stored(self) -> dict[str, str]:
        """What lies in the store, half or whole."""

    # Who uses it

    @abstractmethod
    def config(self, **more: Any) -> dict[str, Any]:
        """Arguments of an ``Uploader`` for this place."""

    @abstractmethod
    def impatient_uploader(self, **more: Any) -> Uploader:
        """In this process; it gives a call that does not return up before long."""

    def uploader(self, **more: Any) -> Uploader:
        """In this process."""
        made = Uploader(**self.config(**more))
        self._uploaders.append(made)
        return made

    def program(self, name: str, *, script: Path | None = None, cwd: Path | None = None, **config: Any) -> Program:
        """``tests.support.programs`` in a process, with ``config`` over that of this place."""
        program = Program(name, self.config(**config), cwd=cwd or self.folder, script=script)
        self._programs.append(program)
        return program

    def file(self, name: str, text: str | None = None) -> Path:
        """A file to upload."""
        path = self.folder / "sources" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name if text is None else text)
        return path

    def binary_file(self, name: str, data: bytes) -> Path:
        """A file to upload that is no text."""
        path = self.file(name, "")
        path.write_bytes(data)
        return path

    def kill_a_worker(self, uploader: Uploader) -> None:
        """A process is killed. A thread cannot be; the nearest is one that ends at its next step, whatever it does."""
        pids = uploader.worker_pids()
        if pids:
            os.kill(pids[0], signal.SIGKILL)
            wait_for_end(pids[0])
            return
        ours = [thread for thread in _worker_threads() if thread not in self._threads_before]
        _end_thread(ours[0])

    # What is left

    def owners(self) -> list[status.OwnerStatus]:
        return status.scan(str(self.staging))

    def spooled(self) -> int:
        return sum(owner.spooled for owner in self.owners())

    def leftovers(self) -> list[str]:
        """Everything in the staging folder but the folders that all uploaders share."""
        return sorted(str(path) for path in (self.staging / "rud-spool" / "v1").rglob("*"))


def _worker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == WORKER_THREAD]


def _end_thread(thread: threading.Thread) -> None:
    assert thread.ident is not None
    ended = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    assert ended == 1
