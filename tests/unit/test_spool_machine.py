"""The spool against a dict, with death at every step.

A crash is the folder as it was at that instant: it is copied when a fault point is reached (or a write is torn), the
step is ended by an exception, and the copy is put in place of what the clean-up of that exception did.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from rud import _faultpoints
from rud._spool import Outcome, Spool, SpoolEntry, SpoolOptions, files, scan
from rud._spool import log as segment_log
from rud.errors import SpoolError

NO_ROOM = 28
DESTINATION = {"uri": "fake://bucket"}
POINTS = [point for point in sorted(_faultpoints.POINTS) if point.startswith(("fs.payload.", "fs.log.", "fs.failed."))]
ENDS = [Outcome.STORED, Outcome.SUPERSEDED, Outcome.CANCELLED]


class Crash(BaseException):
    """The process is dead."""


class StuckClock:
    """A clock that stands still and is sometimes set back: ids must not depend on it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000_000

    def time_ns(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return 0.0


@dataclass
class Known:
    """What the model knows of an upload. ``state`` is ``pending``, ``failed`` or an outcome's value."""

    id: int
    key: str
    payload: bytes
    overwrite: bool
    home: str
    state: str = "pending"
    began: bool = False


class World:
    """A staging folder, the spool of a living process, and a model of what it must hold."""

    def __init__(self, mode: str = "copy", *, fsync: bool = False) -> None:
        self.top = tempfile.mkdtemp(prefix="rud-machine-")
        self.staging = os.path.join(self.top, "staging")
        self.snapshot = os.path.join(self.top, "snapshot")
        self.mode = mode
        self.fsync = fsync
        self.clock = StuckClock()
        self.model: dict[int, Known] = {}
        self.entries: dict[int, SpoolEntry] = {}
        self.sources = 0
        self.room: int | None = None
        self.tear: int | None = None
        self.damage: list[str] = []
        self.crash_point = ""
        self.crash_after = 0
        self._real_write = files.write_at
        files.write_at = self._write_at
        self._real_reserve = segment_log.RESERVE
        segment_log.RESERVE = 512
        self.spool = self.new_spool()

    def close(self) -> None:
        files.write_at = self._real_write
        segment_log.RESERVE = self._real_reserve
        _faultpoints.active = None
        self.spool.abandon()
        shutil.rmtree(self.top)

    def new_spool(self) -> Spool:
        options = SpoolOptions(self.staging, mode=self.mode, fsync=self.fsync, inline_limit=64, segment_bytes=1500)
        return Spool(options, destination=DESTINATION, rank=0, clock=self.clock, run_job=lambda job: job())

    # The disk

    def _write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        if self.tear is not None:
            self._real_write(descriptor, data[: self.tear % len(data)], offset)
            self.tear = None
            self._die()
        if self.room is not None and len(data) > self.room:
            self._real_write(descriptor, data[: self.room], offset)
            raise OSError(NO_ROOM, os.strerror(NO_ROOM))
        if self.room is not None:
            self.room -= len(data)
        self._real_write(descriptor, data, offset)

    def _die(self) -> None:
        _faultpoints.active = None
        shutil.copytree(self.staging, self.snapshot)
        raise Crash

    def _hit(self, point: str, _: object) -> None:
        if point == self.crash_point:
            self.crash_after -= 1
            if self.crash_after <= 0:
                self._die()

    def arm(self, point: str, after: int = 1) -> None:
        self.crash_point, self.crash_after = point, after
        _faultpoints.active = self._hit

    def attempt(self, step: Callable[[], None]) -> bool:
        """Run a step; true when it crashed, and the folder is as it was then."""
        try:
            step()
        except Crash:
            self.spool.abandon()
            shutil.rmtree(self.staging)
            os.rename(self.snapshot, self.staging)
            return True
        finally:
            self.disarm()
        return False

    def disarm(self) -> None:
        _faultpoints.active = None
        self.tear = None

    # The steps

    def source(self, size: int) -> tuple[str, bytes]:
        self.sources += 1
        payload = (f"{self.sources}:".encode() * (size + 1))[:size]
        path = os.path.join(self.top, f"source-{self.sources}")
        with open(path, "wb") as file:
            file.write(payload)
        return path, payload

    def accept(self, key: str, size: int, *, overwrite: bool) -> None:
        path, payload = self.source(size)
        enlisted: list[SpoolEntry] = []
        maybe = Known(0, key, payload, overwrite, self.spool.folder)

        def step() -> None:
            with contextlib.suppress(SpoolError):
                staged = self.spool.stage(path)
                self.spool.accept(staged, key, overwrite=overwrite, check=lambda: None, enlist=enlisted.append)

        crashed = self.attempt(step)
        if enlisted:
            maybe.id = enlisted[0].id
            self.model[maybe.id] = maybe
            self.entries[maybe.id] = enlisted[0]
        if crashed:
            self.recover(maybe_new=maybe)
        if self.mode != "move":
            with open(path, "rb") as file:
                assert file.read() == payload  # I15
        elif os.path.exists(path):
            os.unlink(path)
        else:
            assert maybe.id  # I14: the source of a move goes only after its accept

    def end(self, one: int, outcome: Outcome) -> None:
        entry, known = self.entries[one], self.model[one]
        settled: list[bool] = []
        if self.attempt(lambda: settled.append(self.spool.settle(entry, outcome))):
            self.recover(maybe_ended=(one, outcome.value))
        elif settled[0]:
            known.state = outcome.value
            del self.entries[one]

    def start(self, one: int) -> None:
        entry = self.entries[one]
        self.model[
            one
        ].began = True  # when the record could not be written it may be superseded all the same: allowed below
        if self.attempt(lambda: self.spool.started(entry, kills=0)):
            self.recover(maybe_began=one)

    def fail(self, one: int) -> None:
        entry, known = self.entries[one], self.model[one]
        kept: list[str] = []
        if self.attempt(lambda: kept.append(self.spool.fail(entry, {"reason": "told to"}))):
            self.recover(maybe_ended=(one, "failed"))
        elif kept[0]:
            known.state = "failed"
            del self.entries[one]

    # Recovery

    def crash(self) -> None:
        self.disarm()
        self.spool.abandon()
        self.recover()

    def recover(
        self,
        *,
        maybe_new: Known | None = None,
        maybe_ended: tuple[int, str] | None = None,
        maybe_began: int | None = None,
    ) -> None:
        self.disarm()
        self.room = None
        self.clock.now -= 10**9
        self.spool = self.new_spool()
        adoption = self.spool.adopt()
        self.damage = adoption.damage
        found = {entry.id: entry for entry in adoption.entries}
        assert list(found) == sorted(found)
        assert not adoption.skipped
        self._settle_doubt(found, maybe_new, maybe_ended, maybe_began)
        self.entries = found
        self.check()

    def _settle_doubt(self, found: dict[int, SpoolEntry], new: Any, ended: Any, began: int | None) -> None:
        """Learn how the step that was cut off came out; either way is right, but only those two."""
        if new is not None and not new.id:
            unknown = set(found) - set(self.model)
            assert len(unknown) <= 1
            for new.id in unknown:
                self.model[new.id] = new
        if ended is not None:
            one, state = ended
            if one not in found and self.model[one].state == "pending" and not self._overtaken(self.model[one]):
                self.model[one].state = state
            elif state == "failed" and one not in found:
                self.model[one].state = "failed" if one in self.failed_ids() else "superseded"
            elif state != "failed" and one not in found:
                self.model[one].state = state
        if began is not None:
            key = self.model[began].key
            olders = [
                known for known in self.model.values() if known.key == key and known.id < began and known.overwrite
            ]
            self.model[began].began = any(
                known.id not in found and known.state == "pending" for known in olders
            ) or not [known for known in olders if known.state == "pending" and known.home == self.model[began].home]
        for known in self.model.values():
            if known.state == "pending" and self._overtaken(known):
                known.state = "superseded"

    def _overtaken(self, known: Known) -> bool:
        """The replay rule, from the model alone."""
        later = (
            other
            for other in self.model.values()
            if other.key == known.key and other.id > known.id and other.home == known.home
        )
        return known.overwrite and any(
            other.state == "stored" or (other.state == "pending" and other.began) for other in later
        )

    # What must hold

    def pending(self) -> list[int]:
        return [one for one, known in self.model.items() if known.state == "pending"]

    def failed_ids(self) -> set[int]:
        return {one.id for owner in scan(self.staging) for one in owner.failed}

    def check(self) -> None:
        assert not self.damage
        assert sorted(self.entries) == sorted(self.pending())  # I1, I2, I3
        for one, entry in self.entries.items():
            known = self.model[one]
            assert (entry.key, entry.overwrite, entry.size) == (known.key, known.overwrite, len(known.payload))
            assert files.read_at(entry.path, entry.offset, entry.size) == known.payload
        failed = {one.id: one.folder for owner in scan(self.staging) for one in owner.failed}
        assert set(failed) == {one for one, known in self.model.items() if known.state == "failed"}
        for one, folder in failed.items():
            assert files.read_at(os.path.join(folder, "payload"), 0, 1 << 20) == self.model[one].payload


class SpoolMachine(RuleBasedStateMachine):
    mode = "copy"
    fsync = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.mode, fsync=self.fsync)

    def teardown(self) -> None:
        self.world.close()

    def some(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.world.entries)))

    @rule(
        key=st.sampled_from("abc"),
        size=st.sampled_from([0, 1, 63, 64, 65, 300]),
        overwrite=st.booleans(),
    )
    def accept(self, *, key: str, size: int, overwrite: bool) -> None:
        self.world.accept(key, size, overwrite=overwrite)

    @precondition(lambda self: self.world.entries)
    @rule(data=st.data(), outcome=st.sampled_from(ENDS))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        self.world.end(self.some(data), outcome)

    @precondition(lambda self: self.world.entries and self.world.room is None)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.world.start(self.some(data))

    @precondition(lambda self: self.world.entries)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.world.fail(self.some(data))

    @rule(point=st.sampled_from(POINTS), after=st.integers(1, 2))
    def arm_a_crash(self, point: str, after: int) -> None:
        self.world.arm(point, after)

    @rule(tear=st.integers(0, 1 << 10))
    def arm_a_torn_write(self, tear: int) -> None:
        self.world.tear = tear

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule()
    def recover_twice(self) -> None:
        self.world.crash()
        before = dict(self.world.model)
        self.world.crash()
        assert self.world.model == before  # I19

    @rule(point=st.sampled_from(POINTS), after=st.integers(1, 3))
    def crash_in_recovery(self, point: str, after: int) -> None:
        world = self.world
        world.disarm()
        world.room = None
        world.spool.abandon()

        def step() -> None:
            world.spool = world.new_spool()
            world.spool.adopt()

        world.arm(point, after)
        if not world.attempt(step):
            world.spool.abandon()
        world.recover()

    @rule(room=st.integers(0, 900))
    def fill_the_disk(self, room: int) -> None:
        self.world.room = room

    @rule()
    def free_the_disk(self) -> None:
        self.world.room = None

    @precondition(lambda self: self.world.room is None)
    @rule()
    def second_owner(self) -> None:
        self.world.disarm()
        other = self.world.new_spool()
        adoption = other.adopt()
        assert not adoption.entries  # I20
        assert other.close() is None

    @precondition(lambda self: self.world.room is None)
    @rule()
    def close_cleanly(self) -> None:
        self.world.disarm()
        left = self.world.spool.close()
        assert (left is not None) == any(known.state in {"pending", "failed"} for known in self.world.model.values())
        self.world.recover()

    @invariant()
    def conserved(self) -> None:
        self.world.check()


@pytest.mark.parametrize(("mode", "fsync"), [("copy", False), ("copy", True), ("link", False), ("move", False)])
def test_nothing_is_lost_whatever_dies_when(mode: str, *, fsync: bool) -> None:
    """Each accepted upload is in exactly one state, with its bytes, after any history with crashes at any step."""
    machine = type("Machine", (SpoolMachine,), {"mode": mode, "fsync": fsync})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, settings().max_examples // 4),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )


STEPS = st.lists(
    st.tuples(st.sampled_from(["small", "large", "stored", "failed"]), st.sampled_from("ab"), st.integers(0, 5)),
    min_size=2,
    max_size=20,
)


def build(world: World, steps: list[tuple[str, str, int]]) -> None:
    for what, key, which in steps:
        if what in {"small", "large"}:
            world.accept(key, 40 if what == "small" else 100, overwrite=False)
        elif world.entries:
            one = sorted(world.entries)[which % len(world.entries)]
            if what == "stored":
                world.end(one, Outcome.STORED)
            else:
                world.fail(one)
    world.spool.abandon()


def segments(world: World) -> list[str]:
    found = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(world.staging)
        for name in names
        if name.startswith("log-")
    ]
    return sorted(found)


def everything(world: World) -> bytes:
    parts = [
        files.read_at(os.path.join(folder, name), 0, 1 << 20)
        for folder, _, names in os.walk(world.staging)
        for name in names
    ]
    return b"|".join(parts)


def check_after_damage(world: World, *, most_missing: int) -> None:
    """Whatever is no longer pending is still there for people to look at, and somebody was told."""
    world.spool = world.new_spool()
    adoption = world.spool.adopt()
    found = {entry.id: entry for entry in adoption.entries}
    missing = []
    for one in world.pending():
        known = world.model[one]
        if one in found:
            assert files.read_at(found[one].path, found[one].offset, found[one].size) == known.payload
        elif one not in world.failed_ids():
            missing.append(known)
    assert len(missing) <= most_missing
    assert not missing or adoption.damage
    for entry in adoption.entries:
        assert world.spool.settle(entry, Outcome.STORED)
    left = world.spool.close()
    assert not adoption.damage or left
    kept = everything(world)
    for known in missing:
        if len(known.payload) > 64 or most_missing == 1:
            assert known.payload in kept


@settings(deadline=None)
@given(steps=STEPS, where=st.integers(0, 1 << 30), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_at_most_one_record(steps: list[tuple[str, str, int]], where: int, bit: int) -> None:
    """After one flipped bit in a log every other upload is adopted, and the one that it hit is kept and named."""
    world = World()
    try:
        build(world, steps)
        path = segments(world)[where % len(segments(world))]
        with open(path, "r+b") as file:
            content = bytearray(file.read())
            at = where // 7 % len(content)
            flipped = bytes(content[:at]) + bytes([content[at] ^ (1 << bit)]) + bytes(content[at + 1 :])
            file.seek(0)
            file.write(flipped)
        check_after_damage(world, most_missing=1)
    finally:
        world.close()


@settings(deadline=None)
@given(steps=STEPS, which=st.integers(0, 100))
def test_a_lost_segment_costs_no_large_payload(steps: list[tuple[str, str, int]], which: int) -> None:
    """When a whole segment is gone somebody is told, and large payloads whose record was in it are kept."""
    world = World()
    try:
        build(world, steps)
        os.unlink(segments(world)[which % len(segments(world))])
        check_after_damage(world, most_missing=100)
    finally:
        world.close()
