"""Time that passes when a test says so."""

from __future__ import annotations

import threading


class FakeClock:
    """A ``Clock`` that stands still between calls of ``advance``; safe to use from several threads."""

    def __init__(self, *, monotonic: float = 0.0, time_ns: int = 1_700_000_000_000_000_000) -> None:
        self._lock = threading.Lock()  # Guards _passed_ns.
        self._passed_ns = 0
        self._monotonic = monotonic
        self._time_ns = time_ns

    def monotonic(self) -> float:
        """Seconds; starts at ``monotonic``."""
        return self._monotonic + self._passed_ns / 1e9

    def time_ns(self) -> int:
        """Nanoseconds since the epoch; starts at ``time_ns``."""
        return self._time_ns + self._passed_ns

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass; ``ValueError`` if they are negative."""
        if seconds < 0:
            raise ValueError(f"time does not go back, so not by {seconds} s either")
        with self._lock:
            self._passed_ns += round(seconds * 1e9)
