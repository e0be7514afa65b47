"""A folder with everything that a scenario needs: a slow store, a staging folder, files, programs."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rud
from rud import Uploader
from tests.support.processes import Events
from tests.support.scene import Scene

BACKEND = "tests.support.slow_store:SlowStore"


class Place(Scene):
    """Its store is a folder; what its worker processes do is told by their events."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.objects, self.control = folder / "objects", folder / "control"
        self.control.mkdir()
        for pipe in ("gate", "never"):
            os.mkfifo(self.control / pipe)
        self.events = Events(self.control / "events")
        self._gate: int | None = None
        self.plan({})
        rud.register_backend("slow", BACKEND)

    def _end_all(self) -> None:
        self.plan({})
        with self._released():
            super()._end_all()
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

    def _worker_processes(self) -> set[int]:
        return {event["pid"] for event in self.journal() if event["worker"] and event["pid"] != os.getpid()}

    # What the store does

    def plan(self, plan: dict[str, list[str]]) -> None:
        """See ``SlowStore._act`` for all that may be planned."""
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

    def wait_until_begun(self, count: int) -> None:
        self.events.wait_for("begin", count=count)

    def begun(self) -> list[str]:
        return [event["key"] for event in self.journal("begin")]

    def finished(self) -> list[str]:
        return [event["key"] for event in self.journal("end")]

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
        plain = {
            "uri": f"slow://here{self.objects}",
            "backend_kwargs": {"control": str(self.control)},
            "upload_staging_folder": str(self.staging),
        }
        return {**plain, **more}

    def impatient_uploader(self, **more: Any) -> Uploader:
        return self.uploader(stall_timeout=0.3, **more)
