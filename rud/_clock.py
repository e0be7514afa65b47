"""Time and chance, as parameters. The only module that may ask the system for either."""

from __future__ import annotations

import random
import time
from typing import Protocol


class Clock(Protocol):
    """What the library knows of time."""

    def monotonic(self) -> float:
        """Seconds from a fixed point; never falls."""
        ...

    def time_ns(self) -> int:
        """Nanoseconds since the epoch; may jump."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time_ns(self) -> int:
        return time.time_ns()


def new_random() -> random.Random:
    """A generator seeded by the system."""
    return random.Random()
