"""A folder with everything that a scenario needs: a slow store, a staging folder, files, programs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import rud
from rud import Uploader
from rud._spool import status
from tests.support.processes import Events, Program, is_running, wait_for_end

BACKEND = "tests.support.slow_store:SlowStore"


class Place:
    """Used as a context manager: everything that was started in it has ended when it is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.staging, self.objects, self.control = folder / "staging", folder / "objects", folder / "control"
        self.control.mkdir()
        for pipe in ("gate", "never"):
            os.mkfifo(self.control / pipe)
        self.events = Events(self.control / "events")
        self._gate: int | None = None
        self._programs: list[Program] = []
        self._uploaders: list[Uploader] = []
        self.plan({})
        rud.register_backend("slow", BACKEND)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.plan({})
        with self._released():
            for uploader in self._uploaders:
                uploader.close(0.0)
            for program in self._programs:
                if program.process.poll() is None:
                    program.process.kill()
            self._end_workers()
            for program in self._programs:
                program.end()
        self.close_gate()
        self.events.close()

    @contextlib.contextmanager
    def _released(self) -> Iterator[None]:
        """Threads that hang go on, and fail."""
        pipes = [os.open(self.control / name, os.O_RDWR) for name in ("gate", "never")]
        try:
            yield
        finally:
            for pipe in pipes:
                os.close(pipe)

    def _end_workers(self) -> None:
        for event in self.journal():
            if event["worker"] and event["pid"] != os.getpid() and is_running(event["pid"]):
                os.kill(event["pid"], signal.SIGKILL)
                wait_for_end(event["pid"])

    # What the store does

    def plan(self, plan: dict[str, list[str]]) -> None:
        """For a key, or ``"*"``, what its attempts do, in order; the last one repeats."""
        new = self.control / "new"
        new.write_text(json.dumps(plan))
        new.rename(self.control / "plan.json")

    def open_gate(self) -> None:
        """All that wait at the gate go on, and nobody waits there until ``close_gate``."""
        if self._gate is None:
            self._gate = os.open(self.control / "gate", os.O_RDWR)

    def close_gate(self) -> None:
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None

    def journal(self, what: str | None = None) -> list[dict[str, Any]]:
        """Everything that the store has done, or what of it was ``what``, in order."""
        path = self.control / "journal"
        events = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        return [event for event in events if what in (None, event["what"])]

    def stored(self) -> dict[str, str]:
        """What lies in the store, whatever its name; other than objects there is nothing."""
        files = [path for path in self.objects.rglob("*") if path.is_file()]
        return {path.relative_to(self.objects).as_posix(): path.read_text() for path in files}

    # Who uses it

    def config(self, **more: Any) -> dict[str, Any]:
        """Arguments of an ``Uploader`` for this place."""
        plain = {
            "uri": f"slow://here{self.objects}",
            "backend_kwargs": {"control": str(self.control)},
            "upload_staging_folder": str(self.staging),
        }
        return {**plain, **more}

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

    # What is left

    def owners(self) -> list[status.OwnerStatus]:
        return status.scan(str(self.staging))

    def spooled(self) -> int:
        return sum(owner.spooled for owner in self.owners())

    def leftovers(self) -> list[str]:
        """Everything in the staging folder but the folders that all uploaders share."""
        return sorted(str(path) for path in (self.staging / "rud-spool" / "v1").rglob("*"))
