"""What a person is shown: of a failing seed its smallest set of faults and how to see it again, of many the sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rud_fakes.simulation.driver import Outcome, simulate
from rud_fakes.simulation.faults import MEANING


@dataclass(frozen=True, slots=True)
class Smallest:
    """A failing seed with as few kinds of faults and runs as still make it fail."""

    outcome: Outcome
    without: tuple[str, ...] = ()
    runs: int | None = None

    @property
    def command(self) -> str:
        """Shows it again, event by event."""
        left_out = f" --without {','.join(self.without)}" if self.without else ""
        runs = f" --runs {self.runs}" if self.runs is not None else ""
        return f"python -m rud_fakes.simulation --seed {self.outcome.seed}{left_out}{runs}"


def shrink(seed: int, run: Callable[..., Outcome] = simulate) -> Smallest:
    """Leave out one kind of faults after the other, then runs, as long as something is wrong."""
    smallest = Smallest(run(seed))
    for kind in smallest.outcome.rates:
        without = (*smallest.without, kind)
        outcome = run(seed, without=without)
        if outcome.problems:
            smallest = Smallest(outcome, without)
    for runs in range(1, 6):
        outcome = run(seed, without=smallest.without, runs=runs)
        if outcome.problems:
            return Smallest(outcome, smallest.without, runs)
    return smallest


def explain(smallest: Smallest) -> str:
    """A failing seed, in words."""
    outcome = smallest.outcome
    lines = [f"seed {outcome.seed}:", *(f"  {problem}" for problem in outcome.problems)]
    lines += ["with these faults:"]
    lines += [
        f"  {kind} {outcome.fired[kind]} times, rate {rate}: {MEANING[kind]}"
        for kind, rate in outcome.rates.items()
        if kind not in smallest.without
    ]
    lines += [f"the last {len(outcome.last)} events:", *(f"  {line}" for line in outcome.last)]
    return "\n".join([*lines, f"to see all of it: {smallest.command}"])


@dataclass(slots=True)
class Sums:
    """Of many seeds."""

    seeds: int = 0
    seconds: float = 0.0
    events: int = 0
    crashes: int = 0
    accepted: int = 0
    stored: int = 0
    duplicates: int = 0
    fired: Counter[str] = field(default_factory=Counter[str])
    failed: list[int] = field(default_factory=list[int])
    lost: int = 0

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.seconds += outcome.seconds
        self.events += outcome.events
        self.crashes += outcome.crashes
        self.accepted += outcome.accepted
        self.stored += outcome.stored
        self.duplicates += outcome.duplicates
        self.fired += outcome.fired
        self.lost += sum(problem.startswith("LOST") for problem in outcome.problems)
        if outcome.problems:
            self.failed.append(outcome.seed)

    def __str__(self) -> str:
        fired = ", ".join(f"{kind} {times}" for kind, times in self.fired.most_common())
        return (
            f"{self.seeds} seeds, {self.seconds / 3600:.1f} simulated hours, {self.events} events, "
            f"{self.crashes} crashes of runs or of the machine\n"
            f"faults: {sum(self.fired.values())} ({fired})\n"
            f"accepted {self.accepted}, stored {self.stored}, sent twice {self.duplicates}, lost {self.lost}, "
            f"seeds with any problem {len(self.failed)}"
        )


def sums_of(outcomes: Iterable[Outcome]) -> Sums:
    sums = Sums()
    for outcome in outcomes:
        sums.add(outcome)
    return sums
