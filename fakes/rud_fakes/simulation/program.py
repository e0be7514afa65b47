"""One run of a training program in the simulated world: it uploads, waits, cancels, closes, or dies."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from unittest import mock

from rud import Upload, Uploader
from rud.errors import (
    ConfigurationError,
    OutageError,
    PoolClosedError,
    PoolError,
    RudError,
    SpoolError,
    UploadError,
    UploadExistsError,
    UploadTimeoutError,
)
from rud_fakes.simulation.fibers import Dead
from rud_fakes.simulation.ledger import Ledger, Offer
from rud_fakes.simulation.store import Bucket
from rud_fakes.simulation.workers import SimulatedRuntime
from rud_fakes.simulation.world import Process, World

OVERSHOOT = 1.0
"""Seconds that ``close`` may take beyond its limit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How every run of one seed is set up."""

    uri: str
    staging: str
    sources: str
    workers: int
    attempts: int
    fsync: bool
    mode: Literal["auto", "copy", "link", "move"]
    most: int | None
    one_rank: bool
    """A second process takes over what the first has left, and the other way round: no order between the two."""


@dataclass(eq=False)
class Machine:
    """What all programs of a seed share."""

    world: World
    plan: Plan
    ledger: Ledger
    bucket: Bucket
    problems: list[str] = field(default_factory=list[str])
    """What must not happen, in words."""


class Program:
    """Every method but ``bury`` may raise ``Dead``; the process is over then."""

    def __init__(self, machine: Machine, name: str) -> None:
        self._machine = machine
        self._world = machine.world
        self._chance = machine.world.chance
        self.name = name
        self.process: Process = self._world.spawn(name)
        self.uploader: Uploader | None = None
        self.closed = False
        self._handles: list[tuple[Upload, Offer]] = []

    @property
    def over(self) -> bool:
        return self.closed or self.process.dead

    def do(self, step: Callable[[], object]) -> None:
        """Make a step as this process; its death is no error."""
        if self.over:
            return
        try:
            with self._world.running(self.process):
                step()
        except Dead:
            if not self.process.dead:
                raise
        except Exception as error:  # noqa: BLE001  # whatever the library lets escape
            self._problem(f"{type(error).__name__} escaped: {error}", error)
            self._world.kill(self.process)

    def _problem(self, text: str, error: BaseException | None = None) -> None:
        self._machine.problems.append(f"{self.name}: {text}")
        self._world.note(f"PROBLEM {type(error).__name__ if error else text}")
        if error is not None:
            self._machine.problems[-1] += f" {where(error)}"

    def build(self) -> None:
        plan = self._machine.plan
        options: dict[str, Any] = {"max_staged_bytes": plan.most} if plan.most else {}
        self._world.event("builds an uploader")
        rank = "1" if self.name.startswith("b") and not plan.one_rank else "0"
        try:
            with mock.patch.dict(os.environ, {"RANK": rank, "WORLD_SIZE": "2"}):
                self.uploader = self._uploader(options)
        except ConfigurationError as error:
            if not any(self._world.faults.fired[kind] for kind in ("disk", "space", "sync")):
                self._problem("the uploader cannot be built", error)
            self.closed = True

    def _uploader(self, options: dict[str, Any]) -> Uploader:
        plan = self._machine.plan
        return Uploader(
            plan.uri,
            num_concurrent_uploads=plan.workers,
            num_attempts=plan.attempts,
            upload_staging_folder=plan.staging,
            fsync=plan.fsync,
            staging_mode=plan.mode,
            _runtime=SimulatedRuntime(self._world),
            **options,
        )

    # What it does

    def upload(self) -> None:
        """Offer one file of some kind."""
        plan, chance = self._machine.plan, self._chance
        kind = chance.choice(["own", "own", "own", "latest", "latest", "create"])
        serial = len(self._machine.ledger.offers)
        key = {
            "own": f"{self.name}/own-{serial}",
            "latest": f"{self.name[0]}/latest-{chance.randrange(2)}",
            "create": f"{self.name[0]}/create-{chance.randrange(6)}",
        }[kind]
        size = chance.choice([12, 400, 900, 3000, 6000, 30_000])
        after = [one for _, one in chance.sample(self._handles, min(len(self._handles), chance.choice([0, 0, 1, 2])))]
        overwrite = kind != "create" or chance.random() < 0.1
        source = f"{plan.sources}/{serial}"
        one = self._machine.ledger.offer(
            key, size, overwrite=overwrite, after=tuple(after), fsync=plan.fsync, source=source
        )
        with self._world.running(None):  # somebody else has written it
            self._world.disk.put(f"sources/{serial}", one.content, self._world.clock.time_ns())
        self._offer(one)

    def _offer(self, one: Offer) -> None:
        assert self.uploader is not None
        after = [handle for handle, other in self._handles if other in one.after]
        self._world.event(f"uploads {one.number} {one.key}")
        one.answer = "unknown"
        try:
            handle = self.uploader.upload(one.source, one.key, overwrite=one.overwrite, after=after)
        except SpoolError as error:
            synced = "could not be synced" in str(error)
            one.answer = "unknown" if synced else "refused"
        except UploadExistsError:
            one.answer = "refused"
            if one.overwrite:
                self._problem(f"{one.number} was refused as a second create")
        except PoolClosedError:
            one.answer = "refused"
        else:
            one.answer, one.entry_id = "accepted", handle.id
            self._handles.append((handle, one))
        self._check_source(one)
        self._world.event(f"{one.number} is {one.answer}")

    def _check_source(self, one: Offer) -> None:
        """The file is untouched, unless it was to be moved (I15)."""
        gone = not os.path.exists(one.source)
        if gone and (self._machine.plan.mode != "move" or one.answer == "refused"):
            self._problem(f"the source of {one.number} ({one.answer}) is gone")

    def cancel(self) -> None:
        if self._handles:
            handle, one = self._chance.choice(self._handles)
            self._world.event(f"cancels {one.number}")
            one.unsure = not one.cancelled
            done = handle.cancel()
            one.unsure = False
            if done and not one.cancelled:
                one.cancelled, one.cancelled_at = True, self._world.clock.monotonic()
                self._world.event(f"{one.number} is cancelled")

    def wait(self) -> None:
        """Let time pass without calling the library."""
        end = self._world.clock.monotonic() + self._chance.choice([0.0, 0.05, 1.0, 20.0])
        assert self.process.runtime is not None
        self.process.runtime.settle()
        while self._world.hop(end):
            self.process.runtime.settle()

    def drain(self, timeout: float | None = None, *, adopted: bool = False) -> bool:
        """Whether everything is stored."""
        assert self.uploader is not None
        self._world.event("drains")
        try:
            self.uploader.drain(timeout, adopted=adopted)
        except UploadTimeoutError:
            if timeout is None:
                self._problem("drain without a limit has given up")
            return False
        except OutageError:
            return False
        except UploadError:
            return True
        except PoolError as error:
            self._problem("the machinery has died", error)
            return False
        return True

    def drain_shortly(self) -> None:
        self.drain(self._chance.choice([0.1, 5.0, 60.0]))

    # Its end

    def close(self, timeout: float | None = None) -> None:
        """Close with a limit; the report has to know everything that is not stored (I9)."""
        assert self.uploader is not None
        limit = self._chance.choice([0.0, 0.5, 10.0, 60.0]) if timeout is None else timeout
        began = self._world.clock.monotonic()
        self._world.event(f"closes within {limit}")
        report = self.uploader.close(limit)
        late = self._world.clock.monotonic() - began - limit
        self.closed = True
        if late > OVERSHOOT:
            self._problem(f"close took {late:.2f} s more than its {limit} s")
        named = {left.id for left in report.left}
        for handle, one in self._handles:
            state = handle.state.value
            if state not in ("stored", "superseded") and int(handle.id, 16) not in named:
                self._problem(f"the report of close does not name {one.number}, which is {state}")

    def resume(self) -> None:
        """Be ``rud resume`` instead."""
        from rud._resume import owner_folders, resume

        self._world.event("resumes")
        if not os.path.isdir(os.path.join(self._machine.plan.staging, "rud-spool", "v1")):
            return
        folders = owner_folders(self._machine.plan.staging)
        timeout = self._chance.choice([5.0, 600.0])
        try:
            resume(folders, timeout=timeout, interval=5.0, workers=self._machine.plan.workers)
        except RudError as error:
            self._problem("resume failed", error)
        self.closed = True

    def bury(self) -> None:
        """When its process has ended, by itself or by force."""
        for handle, one in self._handles:
            if handle._transfer.entry.outcome is None:
                one.unsure |= one.cancelled
                self._machine.ledger.excuse(one)
        self._world.kill(self.process)
        self._world.bury(self.process)


def where(error: BaseException) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
