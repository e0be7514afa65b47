"""One life of one uploader, from its construction to its end, with everything that is measured in between.

``python -m benchmarks.composer.session PLAN``: runs in a process of its own, prints one line of JSON. Nothing heavy is
imported above: Composer's workers import this module once more.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.composer.classes import Subject, prepare
from benchmarks.composer.machine import processor_seconds, wait_until_idle
from benchmarks.composer.sink import Observer

_IDLE_UPLOADS = 20
_HUGE_UPLOADS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: ``who`` with which workers on which server, and which of the works below."""

    who: str
    workers: int
    use_procs: bool
    works: list[str]
    endpoint: str
    sources: str  # a folder that has small, huge, small-N and large-N
    staging: str
    options: dict[str, Any]
    credentials: dict[str, str] | None = None  # instead of those that a sink does not look at


def subject_of(plan: Plan) -> Subject:
    """The uploader that the plan asks for; not yet begun."""
    return Subject(
        plan.who,
        plan.endpoint,
        Path(plan.staging),
        workers=plan.workers,
        use_procs=plan.use_procs,
        credentials=plan.credentials,
        options=plan.options,
    )


class Session:
    """The uploader under measurement, and what has been measured."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sources = Path(plan.sources)
        self.sink = Observer(plan.endpoint)
        self.figures: dict[str, Any] = {}
        self.random = random.Random(4)
        self.subject: Subject

    def start(self) -> None:
        """``init`` to the first upload stored, from a process that has imported what a program imports."""
        prepare(self.plan.who)
        if "loop" in self.plan.works:
            from benchmarks.composer import loop

            self.figures["loop, none"] = loop.steps_alone()
        began = time.time_ns()
        self.subject = subject_of(self.plan)
        self.subject.init()
        self.figures["init s"] = (time.time_ns() - began) / 1e9
        self.subject.upload(self.sources / "small", "first/0")
        (arrival, *_) = self.sink.expect("first/", 1)
        self.figures["first stored s"] = (arrival.when - began) / 1e9
        wait_until_idle()
        self.figures["start cpu s"] = processor_seconds()[1]

    def idle(self) -> None:
        """10 KB, one at a time: what the call costs, and how long until it is visible."""
        from benchmarks.composer import loop

        calls, latencies = [], []
        for number in range(_IDLE_UPLOADS):
            # Whoever polls is met at any moment of its period, by a caller that has been computing.
            loop.compute(0.1 + 0.4 * self.random.random())
            began = time.perf_counter_ns()
            self.subject.upload(self.sources / "small", f"idle/{number}.pt")
            calls.append((time.perf_counter_ns() - began) / 1e6)
            returned = time.time_ns()
            (arrival,) = self.sink.expect(f"idle/{number}.pt", 1)
            latencies.append((arrival.when - returned) / 1e6)
        self.figures |= {"idle call ms": calls, "latency ms": latencies}

    def huge(self) -> None:
        """1 GiB, one at a time: what the call costs. The first is for warm memory, and does not count."""
        calls = []
        for number in range(_HUGE_UPLOADS + 1):
            os.sync()  # what was written before is not to be waited for in the call
            began = time.perf_counter_ns()
            self.subject.upload(self.sources / "huge", f"huge/{number}")
            calls.append((time.perf_counter_ns() - began) / 1e6)
            self.sink.expect(f"huge/{number}", 1)
            time.sleep(0.5)
        self.figures["huge call ms"] = calls[1:]

    def small(self) -> None:
        """2,000 × 10 KB in a row."""
        self._storm("small", sorted(self.sources.glob("small-*")))

    def large(self) -> None:
        """4 × 512 MiB in a row."""
        self._storm("large", sorted(self.sources.glob("large-*")))

    def _storm(self, name: str, files: list[Path]) -> None:
        os.sync()
        before = processor_seconds()
        calls = []
        began = time.time_ns()
        for path in files:
            start = time.perf_counter_ns()
            self.subject.upload(path, f"{name}/{path.name}")
            calls.append((time.perf_counter_ns() - start) / 1e6)
        held = (time.time_ns() - began) / 1e9
        self.subject.wait()
        waited = (time.time_ns() - began) / 1e9
        arrivals = self.sink.expect(f"{name}/", len(files))
        mine, others = (after - then for after, then in zip(processor_seconds(), before, strict=True))
        self.figures |= {
            f"{name} all visible s": (arrivals[-1].when - began) / 1e9,
            f"{name} caller held s": held,
            f"{name} wait returned s": waited,
            f"{name} visible when wait returned": sum(one.when <= began + waited * 1e9 for one in arrivals),
            f"{name} call ms": {"median": _part(calls, 0.5), "9 in 10": _part(calls, 0.9), "worst": max(calls)},
            f"{name} cpu s": {"caller": mine, "workers": others},
        }

    def loop(self) -> None:
        """A numpy loop, alone, beside an idle uploader, and beside one with 512 MiB every 2 s."""
        from benchmarks.composer import loop

        self.figures["loop, idle"] = loop.steps_alone()
        files = sorted(self.sources.glob("large-*"))
        self.figures["loop, large"] = loop.steps_beside(
            lambda number: self.subject.upload(files[number % len(files)], f"loop/{number}")
        )
        uploads = self.figures["loop, large"]["uploads"]
        self.sink.expect("loop/", uploads)

    def end(self) -> None:
        """The last upload stored to the uploader closed."""
        wait_until_idle()
        self.subject.upload(self.sources / "small", "last/0")
        (arrival,) = self.sink.expect("last/", 1)
        began = time.perf_counter()
        self.subject.close()
        self.figures["close s"] = time.perf_counter() - began
        self.figures["stored to closed s"] = (time.time_ns() - arrival.when) / 1e9


def _part(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def main() -> None:
    """Run the plan that is the argument."""
    plan = Plan(**json.loads(sys.argv[1]))
    session = Session(plan)
    session.start()
    for work in plan.works:
        getattr(session, work)()
        wait_until_idle()
    session.end()
    print(json.dumps(session.figures), flush=True)


if __name__ == "__main__":
    main()
