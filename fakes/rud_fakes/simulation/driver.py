"""One seed: a machine, some runs of a program on it with everything that may go wrong, then none of that, and the end.

The library is the real one. Only what it takes from outside is not: threads, processes, pipes, time, chance, the disk
and the store.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from rud import register_backend
from rud_fakes.simulation.faults import Faults
from rud_fakes.simulation.ledger import Ledger
from rud_fakes.simulation.program import Machine, Plan, Program, where
from rud_fakes.simulation.stand_ins import in_place_of_the_system, wait
from rud_fakes.simulation.store import BUCKETS, Bucket, capabilities
from rud_fakes.simulation.verdict import judge
from rud_fakes.simulation.world import World

_SETTLED = 120.0
"""Seconds after the last fault: orphans are gone, what is late has arrived."""
_RESTARTS = 2
"""Runs until nothing is left: one may leave a folder to the next."""
_PATIENCE = 7200.0
"""Simulated seconds within which everything has to be stored once faults have ceased."""


def _nobody(line: str) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Outcome:
    """What has become of one seed. ``problems``: none, if the library keeps its word."""

    seed: int
    problems: list[str] = field(default_factory=list[str])
    trace: str = ""
    last: list[str] = field(default_factory=list[str])
    fired: Counter[str] = field(default_factory=Counter[str])
    rates: dict[str, float] = field(default_factory=dict[str, float])
    crashes: int = 0
    events: int = 0
    accepted: int = 0
    stored: int = 0
    duplicates: int = 0
    seconds: float = 0.0


def simulate(
    seed: int, *, without: Collection[str] = (), runs: int | None = None, tell: Callable[[str], object] = _nobody
) -> Outcome:
    """Run it; ``without`` some kinds of faults (see ``faults.KINDS``), with at most so many ``runs``; ``tell`` is told
    every event. Not in several threads at once: it stands in for calls of ``os``."""
    register_backend("simulated", "rud_fakes.simulation.store:SimulatedStore")
    place = "/dev/shm" if os.path.isdir("/dev/shm") else None
    root = os.path.realpath(tempfile.mkdtemp(prefix="rud-simulation-", dir=place))
    world = World(seed, root, Faults(seed, without), tell)
    name = f"seed-{seed}"
    bucket = BUCKETS[name] = Bucket(world, capabilities(world.chance))
    machine = Machine(world, _plan(world, name, root), Ledger(), bucket)
    try:
        with in_place_of_the_system(world), world.disk.mounted():
            history = _History(machine)
            try:
                history.play(runs)
            except Exception as error:  # noqa: BLE001  # whatever the library lets escape
                machine.problems.append(f"{type(error).__name__} escaped: {error} {where(error)}")
            world.end()
        return history.outcome()
    finally:
        del BUCKETS[name]
        shutil.rmtree(root)


def _plan(world: World, bucket: str, root: str) -> Plan:
    chance = world.chance
    for folder in ("staging", "sources"):
        world.disk.make_folder(folder)
    return Plan(
        uri=f"simulated://{bucket}",
        staging=os.path.join(root, "staging"),
        sources=os.path.join(root, "sources"),
        workers=chance.choice([1, 1, 2, 3]),
        attempts=chance.choice([2, 10, 100]),
        fsync=chance.random() < 0.5,
        mode=chance.choice(["auto", "copy", "link", "move"]),
        most=chance.choice([None, None, 300_000]),
        one_rank=chance.random() < 0.25,
    )


class _History:
    """The runs of a seed."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._world = machine.world
        self._chance = machine.world.chance
        self._programs: list[Program] = []
        self._serial = 0
        self._dark = False
        self._crashes = 0

    def play(self, most: int | None) -> None:
        runs = self._chance.randint(2, 5)
        for _ in range(runs if most is None else min(runs, most)):
            self._run()
            if self._machine.problems:
                return
        self._heal()

    def _begin(self, letter: str) -> Program:
        self._serial += 1
        program = Program(self._machine, f"{letter}{self._serial}")
        self._programs.append(program)
        program.do(program.build)
        return program

    # One run

    def _run(self) -> None:
        faults = self._world.faults
        if faults.strikes("clock"):
            jump = faults.chance("clock").choice([-86400.0, -3600.0, -30.0, 30.0, 3600.0])
            # A power cut may take the greatest id with it when nothing is synced: then the clock is all there is.
            if jump > 0 or self._machine.plan.fsync or "power" not in faults.rates:
                self._world.clock.jump += jump
        self._aim()
        if self._chance.random() < 0.2 and not self._programs:
            self._resume()
        program = self._begin("a")
        for _ in range(self._chance.choice([3, 10, 30])):
            self._trouble()
            program.do(self._step(program))
            self._visit()
        if self._chance.random() < 0.7:
            program.do(program.close)
        if not program.over and self._chance.random() < 0.5:
            program.do(program.drain)
        self._end_of_run(program)

    def _step(self, program: Program) -> Any:
        return self._chance.choice([*[program.upload] * 6, *[program.wait] * 3, program.drain_shortly, program.cancel])

    def _resume(self) -> None:
        self._serial += 1
        program = Program(self._machine, f"r{self._serial}")
        self._programs.append(program)
        program.do(program.resume)
        program.bury()
        self._programs.remove(program)

    def _trouble(self) -> None:
        """What goes wrong for a while: a disk that is full, a store that is away."""
        world, faults, disk = self._world, self._world.faults, self._world.disk
        if faults.strikes("space"):
            disk.capacity = disk.layers.used + faults.chance("space").choice([0, 100, 3000, 20_000])
            world.at(world.clock.monotonic() + faults.chance("space").uniform(0.1, 200.0), self._make_room)
        if faults.strikes("outage"):
            lasts = faults.chance("outage").choice([1.0, 30.0, 2000.0])
            self._machine.bucket.out_until = world.clock.monotonic() + lasts

    def _make_room(self) -> None:
        self._world.disk.capacity = None

    def _visit(self) -> None:
        """Another process with the same staging folder comes, does something, and may go."""
        others = [program for program in self._programs if program.name.startswith("b")]
        if not others and self._world.faults.strikes("second"):
            others = [self._begin("b")]
        for other in others:
            if not other.over:
                other.do(self._step(other))
            if other.over or self._chance.random() < 0.1:
                other.do(other.close)
                other.bury()
                self._programs.remove(other)

    # Crashes

    def _aim(self) -> None:
        """Choose which event of this run will be the last one of somebody."""
        world, faults = self._world, self._world.faults
        for kind, strike in (("kill", self._kill), ("power", self._power_cut)):
            if faults.strikes(kind):
                chance = faults.chance(kind)
                world.strike_at = world.events + 1 + int(chance.choice([30, 300, 3000]) * chance.random())
                world.strike = strike

    def _kill(self) -> None:
        self._crashes += 1
        living = [program for program in self._programs if not program.over]
        some = self._world.faults.chance("kill").choice(["one", "all"])
        for program in living if some == "all" else living[:1]:
            self._world.kill(program.process)

    def _power_cut(self) -> None:
        self._crashes += 1
        self._dark = True
        for process in list(self._world.processes):
            self._world.kill(process)

    def _end_of_run(self, program: Program) -> None:
        for one in [program, *(other for other in self._programs if other.over)]:
            if one in self._programs:
                one.bury()
                self._programs.remove(one)
        if self._dark:
            self._reboot()
        else:
            wait(self._world, self._chance.choice([0.0, 0.5, 8.0]))

    def _reboot(self) -> None:
        world = self._world
        for process in list(world.processes):
            world.kill(process)
        for program in self._programs:
            program.bury()
        self._programs.clear()
        self._dark = False
        self._machine.ledger.power_cut()
        world.disk.power_cut(world.faults.chance("power"))
        world.note("the power is back")
        wait(world, 15.0 + 60.0 * self._chance.random())

    # The end

    def _heal(self) -> None:
        """Nothing goes wrong any more: everything has to end (I21)."""
        world, machine, faults = self._world, self._machine, self._world.faults
        for program in self._programs:
            program.do(program.close)
            program.bury()
        self._programs.clear()
        world.note("healed")
        faults.healed = True
        world.disk.capacity = None
        wait(world, _SETTLED)
        for _ in range(_RESTARTS):
            self._finish(self._begin("a"))
            self._finish(self._begin("b"))
        root = os.path.join(machine.plan.staging, "rud-spool", "v1")
        # Where objects bear no ids, two clocks tell which is newer.
        told = machine.bucket.capabilities.entry_ids is True or not faults.fired["clock"]
        ordered = told and not (machine.plan.one_rank and faults.fired["second"])
        full = any(faults.fired[kind] for kind in ("space", "disk", "sync"))
        machine.problems += judge(machine.ledger, machine.bucket, root, ordered=ordered, full=full)
        machine.problems += self._left_in_spool()

    def _finish(self, program: Program) -> None:
        program.do(lambda: self._drain_all(program))
        program.do(lambda: program.close(60.0))
        program.bury()
        self._programs.remove(program)

    def _drain_all(self, program: Program) -> None:
        if not program.drain(_PATIENCE, adopted=True):
            assert program.uploader is not None
            self._machine.problems.append(f"not everything ends once faults have ceased: {program.uploader.counts()}")

    def _left_in_spool(self) -> Iterator[str]:
        from rud._spool import status

        for owner in status.scan(self._machine.plan.staging):
            if owner.spooled:
                yield f"{owner.spooled} uploads are left in the spool"
            if owner.damage and not self._world.faults.fired["power"] and not self._world.faults.fired["sync"]:
                yield f"a log is damaged, and no power was cut: {owner.damage[0].rpartition('/')[2]}"
            if not owner.failed and not owner.damage:
                yield "an owner folder is left in which there is nothing"

    def outcome(self) -> Outcome:
        world, machine = self._world, self._machine
        stored = len({put.content[:8] for put in machine.bucket.history})
        return Outcome(
            seed=world.seed,
            problems=machine.problems,
            trace=world.trace,
            last=list(world.last),
            fired=world.faults.fired,
            rates=world.faults.rates,
            crashes=self._crashes,
            events=world.events,
            accepted=machine.ledger.accepted,
            stored=stored,
            duplicates=len(machine.bucket.history) - stored,
            seconds=world.clock.monotonic(),
        )
