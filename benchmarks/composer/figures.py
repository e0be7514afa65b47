"""From the sessions to figures: a median over rounds with the lowest and the highest, and what is to be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

Figures = dict[str, Any]
COMPOSER, RUD = "composer", "rud"


@dataclass(frozen=True, slots=True)
class Value:
    """The median over the rounds, and between what it lay."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: list[float]) -> Value | None:
        """``None`` of nothing."""
        return cls(median(values), min(values), max(values)) if values else None


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached: at most ``limit`` of what ``peer`` shows, or of a plain number (``peer=""``)."""

    work: str
    unit: str
    kind: str
    measure: Callable[[Figures], float]
    limit: float
    said: str
    peer: str = COMPOSER


@dataclass(frozen=True, slots=True)
class Reached:
    """One goal, what was measured, and the verdict; ``None`` where either side is missing."""

    goal: Goal
    ours: Value | None
    theirs: Value | None

    @property
    def ratio(self) -> float | None:
        """Ours to theirs."""
        return self.ours.median / self.theirs.median if self.ours and self.theirs else None

    @property
    def ok(self) -> bool | None:
        """Whether it is reached."""
        if not self.goal.peer:
            return self.ours.median <= self.goal.limit if self.ours else None
        return None if self.ratio is None else self.ratio <= self.goal.limit


def lost(figures: Figures) -> float:
    """Per cent of the steps that a loop makes alone."""
    alone: float = figures["loop, none"]["steps a second"]
    beside: float = figures["loop, large"]["steps a second"]
    return 100 * (1 - beside / alone)


def _median_of(name: str) -> Callable[[Figures], float]:
    return lambda figures: median(figures[name])


def _one(name: str, factor: float = 1.0) -> Callable[[Figures], float]:
    return lambda figures: figures[name] * factor


TUNED = "boto3 upload_file, tuned"
GOALS = (
    Goal("`upload_file` of 10 KB, idle", "ms", "1 process", _median_of("idle call ms"), 1 / 5, "≤ 1/5"),
    Goal("`upload_file` of 1 GiB, idle, by link", "ms", "1 process", _median_of("huge call ms"), 1 / 50, "≤ 1/50"),
    Goal("accepted → visible, 10 KB, idle, p50", "ms", "1 process", _median_of("latency ms"), 1 / 10, "≤ 1/10"),
    Goal("`init` → first upload stored", "s", "1 process", _one("first stored s"), 1 / 8, "≤ 1/8"),
    Goal("`init` → first upload stored", "s", "4 processes", _one("first stored s"), 1 / 8, "≤ 1/8"),
    Goal("last upload stored → closed", "s", "1 process", _one("stored to closed s"), 1 / 30, "≤ 1/30"),
    Goal("last upload stored → closed", "s", "4 processes", _one("stored to closed s"), 1 / 30, "≤ 1/30"),
    Goal("2,000 × 10 KB, all visible", "s", "4 processes", _one("small all visible s"), 1 / 3, "≤ 1/3"),
    Goal("2,000 × 10 KB, caller held", "s", "4 processes", _one("small caller held s"), 1 / 10, "≤ 1/10"),
    Goal("4 × 512 MiB by link, all visible", "s", "4 processes", _one("large all visible s"), 1 / 3, "≤ 1/3"),
    Goal("the same beside boto3 tuned", "s", "4 processes", _one("large all visible s"), 1.3, "≤ 1.3 ×", TUNED),
    Goal("steps lost beside 512 MiB every 2 s", "%", "1 process", lost, 10, "≤ 10 %", ""),
)


class Results:
    """What a run has found."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found

    def rows(self, who: str, kind: str) -> list[dict[str, Any]]:
        """Sessions of that class and kind that came to their end."""
        return [row for row in self.found["sessions"] if (row["who"], row["kind"]) == (who, kind) and "figures" in row]

    def value(self, who: str, kind: str, measure: Callable[[Figures], float]) -> Value | None:
        """``None`` when no session has it."""
        values = []
        for row in self.rows(who, kind):
            try:
                values.append(measure(row["figures"]))
            except KeyError:
                continue  # a session of other works
        return Value.of(values)

    def peer(self, work: str, name: str) -> Value | None:
        """Seconds of a peer at a work."""
        done = [row["figures"][work] for row in self.found["peers"] if "figures" in row]
        return Value.of([figures[name] for figures in done if name in figures])

    def peers(self) -> list[str]:
        """Their names, in order."""
        return [name for row in self.found["peers"][:1] for name in row.get("figures", {}).get("large", {})]

    def goals(self) -> list[Reached]:
        """All goals."""
        return [
            Reached(
                goal,
                self.value(RUD, goal.kind, goal.measure),
                self.peer("large", goal.peer) if goal.peer == TUNED else self.value(COMPOSER, goal.kind, goal.measure),
            )
            for goal in GOALS
        ]
