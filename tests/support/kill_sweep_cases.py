"""The cases of the kill sweep: which fault strikes which process at which point of which scenario."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from rud._faultpoints import POINTS, Point
from tests.support.kill_sweep_programs import SCENARIOS

PHASES = ("send", "adopt", "resume")
"""Who obeys the plan: a run that starts with nothing, one that starts beside what a dead run has left, or the command
that sends that."""
NEVER = 10**6
OF_PROCESSES = ("ipc.", "worker.spawn", "worker.start", "worker.idle")
"""Points that workers that are threads do not come by."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point is reached, and how often in a run without faults."""

    phase: str
    scenario: str
    point: str
    hits: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """One fault. ``where``: a filter of its rule. ``threads``: of the run or command that obeys. ``hasty``: it closes
    as soon as the fault has come. ``second``: a place where the resume that comes after it is killed, too; it may not
    be reached any more.
    """

    place: Place
    action: str = "kill"
    nth: int = 1
    where: str = ""
    threads: bool = False
    hasty: bool = False
    second: Place | None = None

    @property
    def plan(self) -> str:
        """For the process that obeys, in one line."""
        return _line(self.place, self.where, self.nth, self.action)

    @property
    def plan_of_resume(self) -> str:
        return _line(self.second, "", 1, "kill") if self.second else ""

    def __str__(self) -> str:
        how = ", threads" * self.threads + ", hasty" * self.hasty
        then = f", then {self.second.point}" if self.second else ""
        at = f"{self.place.point}{self.where}#{self.nth}"
        return f"{self.place.phase} of {self.place.scenario}{how}: {at}={self.action}{then}"


def _line(place: Place, where: str, nth: int, action: str) -> str:
    rules = SCENARIOS[place.scenario].rules
    return f"{place.point}{where}#{nth}={action}{'; ' * bool(rules)}{rules}; expect(r1=1)"


def census(phase: str, scenario: str) -> str:
    """A plan that does nothing but count who comes by."""
    rules = SCENARIOS[scenario].rules
    return "; ".join([*(f"{point}#{NEVER}=kill" for point in POINTS), *([rules] if rules else [])])


_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "raise": ("MemoryError",),
    "exit": ("0",),
    "_exit": ("0",),
    "delay": ("0.3",),
    "pause": ("gate",),
    "truncate": ("9",),
    "flip": ("77",),
}
_ERRNOS = {
    "fs.payload.create": ("EACCES", "ENOSPC", "EMFILE", "EROFS"),
    "fs.payload.write": ("ENOSPC", "EDQUOT", "EFBIG", "EIO"),
    "fs.payload.fsync": ("EIO", "ENOSPC"),
    "fs.payload.link": ("EXDEV", "EMLINK", "EPERM"),
    "fs.payload.read": ("EIO", "ENOENT"),
    "fs.log.create": ("EEXIST", "ENOSPC", "EMFILE"),
    "fs.log.append": ("ENOSPC", "EDQUOT", "EIO"),
    "fs.log.rollback": ("EIO", "EROFS"),
    "fs.dir.fsync": ("EIO", "EINVAL"),
    "fs.log.outcome": ("ENOSPC", "EIO"),
    "fs.log.retire": ("EACCES", "EBUSY"),
    "fs.scan": ("EIO", "EACCES"),
    "fs.lock": ("ENOLCK", "EAGAIN"),
    "accept.unlink": ("EACCES",),
    "worker.spawn": ("ENOENT", "EAGAIN", "ENOMEM"),
}
"""What a system says there, as the list of faults has it; elsewhere EIO."""


def actions_of(point: Point) -> list[str]:
    """Every action that it allows, but to be killed, with every argument that is worth a case."""
    found = list[str]()
    for action in point.actions:
        errnos = _ERRNOS.get(point.name.rpartition(".")[0], ("EIO",))
        values = errnos if action == "errno" else _ARGUMENTS.get(action, ())
        if action != "kill":
            found += [f"{action}({value})" for value in values] or [action]
    if "truncate" in point.actions and "flip" not in point.actions:
        found = [f"{one}+kill" if one.startswith("truncate") else one for one in found]  # a torn tail needs a death
    return found


_HOMES = {
    "fs.payload.link": ("send", "create"),
    "fs.payload.unlink": ("send", "twice"),
    "fs.payload": ("send", "parts"),
    "fs.log.rollback": ("send", "torn"),
    "fs.log.fsync": ("send", "dependency"),
    "fs.log": ("send", "twice"),
    "fs.dir": ("send", "dependency"),
    "fs.failed": ("send", "denied"),
    "fs.scan": ("adopt", "twice"),
    "fs.lock": ("adopt", "twice"),
    "ipc.cmd": ("send", "twice"),
    "ipc.result": ("send", "dependency"),
    "worker.upload": ("send", "dependency"),
    "worker.result": ("send", "dependency"),
    "worker.part": ("send", "parts"),
    "worker": ("send", "small"),
    "accept.unlink": ("send", "dependency"),
    "accept": ("send", "create"),
    "recover.end": ("adopt", "done"),
    "recover.retake": ("resume", "denied"),
    "recover": ("adopt", "dependency"),
}


def home_of(point: str) -> Place:
    """The one place that stands for a point on every change."""
    name = point
    while name not in _HOMES:
        name = name.rpartition(".")[0]
    return Place(*_HOMES[name], point)


def kills() -> list[Case]:
    """One at each point, the first time that it is reached."""
    return [Case(home_of(point)) for point in POINTS]


def particular() -> list[Case]:
    """What the list of faults has beside: other signals, a torn outcome, a death after more of the body."""
    idle, storing = home_of("worker.idle"), home_of("worker.upload.stored")
    return [
        Case(idle, "kill(SIGTERM)"),
        Case(idle, "kill(SIGINT)"),
        Case(storing, "kill(SIGSEGV)"),
        Case(storing, "kill(SIGABRT)", hasty=True),
        Case(home_of("worker.part.sent"), nth=2),
        Case(home_of("fs.log.append.written"), "truncate(9)+kill", where="[kind=outcome]"),
        Case(home_of("fs.log.append.written"), "errno(EIO)", where="[kind=outcome]"),
    ]


def others() -> list[Case]:
    """Every other action, once at each point that allows it; half of the runs close in the middle of it."""
    return [
        Case(home_of(name), action, hasty=number % 2 == 1)
        for name, point in POINTS.items()
        for number, action in enumerate(actions_of(point))
    ]


def drawn(places: list[Place], count: int, seed: int) -> list[Case]:
    """So many kills at any place, any of the times that it is reached, with processes or threads, patient or not."""
    chance = random.Random(seed)
    cases = list[Case]()
    while len(cases) < count:
        place = chance.choice(places)
        cases.append(
            Case(
                place,
                nth=chance.randint(1, place.hits),
                threads=chance.random() < 0.2 and not place.point.startswith(OF_PROCESSES),
                hasty=chance.random() < 0.3,
            )
        )
    return cases


def pairs(places: Iterable[Place]) -> list[Case]:
    """A death at every point, and one more at every point of the resume after it."""
    resumed = list(dict.fromkeys(place.point for place in places if place.phase == "resume"))
    return [
        Case(home_of(point), second=Place("resume", home_of(point).scenario, second))
        for point in POINTS
        for second in resumed
    ]
