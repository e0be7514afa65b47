"""The kill sweep: ``python -m tests.support.kill_sweep`` (Linux).

At each point where a step of the library begins or ends one of its processes is killed, just there, by a fault plan;
or made to do what else the point allows. Then everything is resumed, and judged by what is no word of the library: the
ledger of accepts that have returned, the spool's files, the store's journal and its objects. A plan that has not fired
is a failure.

Without arguments: every point once. ``--all``: every point in every phase and scenario that reaches it, and 200 kills
drawn by ``--seed``. ``--pairs``: a second death in the resume that comes after the first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rud_fakes.faults.runtime import environment, fired, missed, read, state_of

from rud._clock import SystemClock
from rud._faultpoints import POINTS
from tests.support import kill_sweep_cases as cases_of
from tests.support.journal_store import check
from tests.support.kill_harness import Harness
from tests.support.kill_stores import FolderKillStore
from tests.support.kill_sweep_cases import PHASES, Case, Place, census
from tests.support.kill_sweep_programs import GRACE, LONGEST, SCENARIOS
from tests.support.kill_sweep_store import REFUSES
from tests.support.kill_verdict import Folders, violations
from tests.support.processes import wait_for_end, workers_of

LATE = 1.0
"""Seconds that ``close(d)`` may take more than ``d``, and workers more than their grace."""
EXPECTED = 10
"""Greater exit statuses are not of a command that says what went wrong."""
LOOK = 0.05
"""Seconds between looks at whether somebody is stopped, or waits at a gate."""


class Programs:
    """Starts programs by forking them from one that has imported everything; used by one thread."""

    def __enter__(self) -> Self:
        paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.kill_sweep_programs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            bufsize=0,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def run(self, config: dict[str, Any], meanwhile: Callable[[], object]) -> tuple[int, int | None]:
        """The program's pid and exit status, negative for a signal; ``None`` when it had to be killed. ``meanwhile`` is
        called again and again until it ends."""
        assert self._server.stdin
        self._server.stdin.write(json.dumps(config).encode() + b"\n")
        pid = self._read(LONGEST)
        assert pid is not None
        clock = SystemClock()
        end = clock.monotonic() + 2 * LONGEST
        while (status := self._read(LOOK)) is None:
            meanwhile()
            if clock.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                self._read(LONGEST)
                return pid, None
        return pid, status

    def _read(self, seconds: float) -> int | None:
        assert self._server.stdout
        if not select.select([self._server.stdout], [], [], seconds)[0]:
            return None
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self._server.stdout.fileno(), 1)
        return int(line)


@dataclass(slots=True)
class Result:
    """What one case has come to."""

    case: Case
    problems: list[str]
    killed: int = 0
    restarts: int = 0
    accepted: int = 0
    duplicates: int = 0
    over: float = 0.0
    """Seconds that ``close(d)`` has taken more than ``d``."""
    second: bool = False
    """The resume was killed, too."""


class Sweep:
    """One case at a time, each in an empty folder."""

    def __init__(self, programs: Programs, root: Path) -> None:
        self._programs = programs
        self.folders = Folders(root)
        (root / "sources").mkdir()
        (root / REFUSES).touch()
        self._victims = list[int]()
        self.problems = list[str]()
        self._clock = SystemClock()

    def reach(self, phase: str, scenario: str) -> list[Place]:
        """Every point that is reached there, and how often, by a run that must end well."""
        state = self._obey(phase, scenario, census(phase, scenario))
        self._last_resume()
        found = list[Place]()
        for number, point in enumerate(POINTS, 1):
            counts = list((state / "counts").glob(f"r{number}.*"))
            if counts:
                found.append(Place(phase, scenario, point, int(counts[0].read_text())))
        return found

    def judge(self, case: Case) -> Result:
        """Have it happen, resume what is left, and look."""
        state = self._obey(case.place.phase, case.place.scenario, case.plan, case)
        self.problems += [line for line in missed(read(self.folders.root / "plan"), fired(state)) if "r1 " in line]
        second, restarts, killed = False, 0, len(self._victims)
        if case.second and self._left():
            second = bool(fired(self._start("resume", case, plan=case.plan_of_resume, name="second")))
            restarts += 1
        restarts += self._last_resume()
        return self.conclude(case, killed=killed, restarts=restarts, second=second)

    def _obey(self, phase: str, scenario: str, plan: str, case: Case | None = None) -> Path:
        case = case or Case(Place(phase, scenario, ""))
        if phase != "send":
            self._start("leave", case)
        if phase == "resume":
            (self.folders.root / REFUSES).unlink()
        return self._start("resume" if phase == "resume" else "send", case, plan=plan, name="plan")

    def _start(self, program: str, case: Case, *, plan: str = "", name: str = "") -> Path:
        """Run a program to its end, whoever's that is; the state of its plan."""
        root = self.folders.root
        path, state = root / name, state_of(root / name)
        if plan:
            path.write_text(plan)
        config = {
            "program": program,
            "folder": str(root),
            "scenario": case.place.scenario,
            "first": 1 if program == "leave" or case.place.phase == "send" else 101,
            "threads": case.threads if plan else True,
            "hasty": case.hasty,
            "environment": environment(path) if plan else {},
        }
        pid, status = self._programs.run(config, lambda: self._let_go_on(state))
        began = self._clock.monotonic()
        self._note_end(program if name != "last" else "the last resume", status, plan)
        for worker in workers_of(pid):
            self._let_go_on(state)
            wait_for_end(worker, LONGEST)
        if self._clock.monotonic() - began > GRACE + LATE:
            self.problems.append(f"a worker lived {self._clock.monotonic() - began:.1f} s longer than its parent")
        return state

    def _note_end(self, program: str, status: int | None, plan: str) -> None:
        if status is None:
            self.problems.append(f"{program} did not end")
        elif status == -signal.SIGKILL and plan:
            self._victims.append(status)
        elif not (0 <= status <= EXPECTED if plan else status == 0):
            self.problems.append(f"{program} ended with status {status}")

    def _let_go_on(self, state: Path) -> None:
        """Whoever was stopped by the plan goes on, and whoever waits at its gate."""
        if not (state / "fired").exists():
            return
        for one in fired(state):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                    os.kill(one.pid, signal.SIGCONT)
        (state / "gate-gate").touch()

    def _left(self) -> bool:
        spool = self.folders.spool
        return spool.exists() and any(not path.name.startswith(".") for path in spool.iterdir())

    def _last_resume(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            (self.folders.root / REFUSES).unlink()
        if not self._left():
            return 0
        self._start("resume", Case(Place("resume", "small", "")), name="last")
        return 1

    def conclude(self, case: Case, *, killed: int = 0, restarts: int = 0, second: bool = False) -> Result:
        """What ``case`` has come to, now that nobody sends any more."""
        result = Result(case, self.problems, killed, restarts, second=second)
        root = self.folders.root
        for path in (self.folders.ledger, self.folders.journal):
            path.touch()
        self.folders.spool.mkdir(parents=True, exist_ok=True)
        harness = Harness(FolderKillStore(self.folders), 0)
        verdict = harness.judge()
        spoilt = verdict.failed if case.action.startswith(("flip", "truncate")) and "+" not in case.action else 0
        if spoilt == 1:  # its bytes are gone; it is kept with the reason, and nothing else is wrong
            verdict.failed -= 1
            verdict.lost = max(0, verdict.lost - 1)
            verdict.left_in_staging -= 1
            result.problems = [one for one in result.problems if not one.startswith("the last resume ended with")]
        visible = harness.visible()
        result.problems += violations(harness.tally, verdict)
        result.accepted, result.duplicates = verdict.accepted, verdict.duplicates
        faults = len(fired(state_of(root / "plan"))) + result.second
        if verdict.duplicates > faults:
            result.problems.append(f"{verdict.duplicates} sent twice after {faults} faults")
        self._look_at_sources(case, visible, result)
        self._look_at_close(result)
        if hidden := [path.name for path in self.folders.objects.glob("parts/.*")]:
            result.problems.append(f"unfinished uploads are left in the store: {hidden}")
        return result

    def _look_at_sources(self, case: Case, visible: dict[str, int], result: Result) -> None:
        """A caller's file is as it was; or gone, when it was to be moved and is stored."""
        moves = SCENARIOS[case.place.scenario].mode == "move"
        offered = self.folders.root / "offered"
        for line in offered.read_text().splitlines() if offered.exists() else ():
            version, key = line.split()
            source = self.folders.root / "sources" / version
            if source.exists():
                check(source)
            elif not moves or visible.get(key, 0) < int(version):
                result.problems.append(f"the source of {key}@{version} is gone")

    def _look_at_close(self, result: Result) -> None:
        said = self.folders.root / "said"
        for line in said.read_text().splitlines() if said.exists() else ():
            if line.startswith("{"):
                result.over = max(result.over, json.loads(line)["over"])
        if result.over > LATE:
            result.problems.append(f"close took {result.over:.1f} s more than it may")


# Many cases


def survey(root: Path) -> list[Place]:
    """Every place where any point is reached, by runs without a fault that end well."""
    found = list[Place]()
    with Programs() as programs:
        for phase in PHASES:
            for scenario in SCENARIOS:
                folder = root / f"{phase}-{scenario}"
                folder.mkdir(parents=True)
                sweep = Sweep(programs, folder)
                found += sweep.reach(phase, scenario)
                if sweep.problems:
                    raise AssertionError(f"{phase} of {scenario} without a fault: {sweep.problems}")
    return found


def sweep_all(cases: Iterable[Case], root: Path, *, jobs: int = 3) -> list[Result]:
    """Every case, in so many threads, each in a folder of its own that goes when nothing was wrong."""
    waiting, results = iter(list(enumerate(cases))), list[Result]()
    lock = threading.Lock()

    def work() -> None:
        with Programs() as programs:
            while True:
                with lock:
                    number, case = next(waiting, (0, None))
                if case is None:
                    return
                result = _judged(case, programs, root / str(number))
                with lock:
                    results.append(result)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _judged(case: Case, programs: Programs, folder: Path) -> Result:
    folder.mkdir()
    result = Sweep(programs, folder).judge(case)
    if not result.problems:
        shutil.rmtree(folder)
    elif case.nth > 1 and all("has fired 0 times" in line for line in result.problems):
        # How often a point is passed hangs on who is faster; that it is passed does not.
        return _judged(replace(case, nth=1), programs, folder / "again")
    return result


def summary(results: list[Result], seconds: float) -> str:
    """The figures, and what was wrong, a line each."""

    def total(name: str) -> int:
        return sum(getattr(one, name) for one in results)

    kills = sum(one.case.action.endswith("kill") for one in results) + total("second")
    points = len({one.case.place.point for one in results})
    late = max((one.over for one in results), default=0.0)
    figures = (
        f"{len(results)} cases at {points} of {len(POINTS)} points, {seconds:.0f} s: {kills} SIGKILLs "
        f"({total('killed')} of them of a whole run), {total('restarts')} restarts, {total('accepted')} accepted, "
        f"{total('duplicates')} sent twice, close at most {late:.2f} s late; "
        f"lost or wrong in {sum(bool(one.problems) for one in results)}"
    )
    return "\n".join([figures, *(f"{one.case}: {problem}" for one in results for problem in one.problems)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every place, and 200 kills drawn by the seed")
    parser.add_argument("--pairs", action="store_true", help="two deaths, one after the other")
    parser.add_argument("--survey", action="store_true", help="say where each point is reached, and how often")
    parser.add_argument("--only", metavar="TEXT", default="", help="those cases in whose line this stands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="an empty folder that keeps what went wrong")
    given = parser.parse_args()
    clock = SystemClock()
    with contextlib.ExitStack() as stack:
        root = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rud-kill-sweep-")))
        began = clock.monotonic()
        places = survey(root / "survey") if given.all or given.pairs or given.survey else []
        if given.survey:
            print(*places, sep="\n")
            return 0
        results = sweep_all(_wanted(given, places), root, jobs=given.jobs)
        print(summary(results, clock.monotonic() - began))
    return 1 if any(one.problems for one in results) else 0


def every_change() -> list[Case]:
    """Every point, and every action that it allows, once."""
    return cases_of.kills() + cases_of.others() + cases_of.particular()


def _wanted(given: argparse.Namespace, places: list[Place]) -> list[Case]:
    cases = cases_of.pairs(places) if given.pairs else every_change()
    if given.all:
        cases += [Case(place) for place in places] + cases_of.drawn(places, 200, given.seed)
    return [case for case in dict.fromkeys(cases) if given.only in str(case)]


if __name__ == "__main__":
    sys.exit(main())
