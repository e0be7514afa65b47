"""What a person sees while a command works: one line that is rewritten on a terminal, a line at times elsewhere."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rud._clock import Clock, SystemClock

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

REDRAW = 0.1
"""Seconds between two states of the line on a terminal."""

_BAR = 20


class Screen(logging.Handler):
    """Progress and the warnings of the library, on stderr, without one writing into the other. No colours.

    ``quiet``: no progress. A terminal is one that can go back to the start of its line (``TERM`` is not ``dumb``).
    """

    def __init__(self, *, quiet: bool = False, clock: Clock | None = None) -> None:
        super().__init__(logging.WARNING)
        self._quiet = quiet
        self._clock = clock or SystemClock()
        self._shown = 0
        self.terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._every = REDRAW if self.terminal else EVERY
        self._next = self._clock.monotonic() + (0.0 if self.terminal else EVERY)

    def __enter__(self) -> Self:
        logging.getLogger("rud").addHandler(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clear()
        logging.getLogger("rud").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.say(record.getMessage())

    def say(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        print(f"rud: {printable(text)}", file=sys.stderr, flush=True)

    def progress(self, text: str, share: float | None = None) -> None:
        """How far it is, in words, and as a bar of ``share`` (0 to 1)."""
        now = self._clock.monotonic()
        if self._quiet or now < self._next:
            return
        self._next = now + self._every
        if not self.terminal:
            print(printable(text), file=sys.stderr, flush=True)
            return
        full = -1 if share is None else round(_BAR * min(1.0, share))
        line = text if full < 0 else f"[{'#' * full}{'.' * (_BAR - full)}] {text}"
        line = printable(line)[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + line + " " * (self._shown - len(line)))
        sys.stderr.flush()
        self._shown = len(line)

    def clear(self) -> None:
        """Nothing of the line that is rewritten is left."""
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown = 0


def printable(text: str) -> str:
    """``text`` with nothing in it that a terminal would obey, or that it could not encode."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def size_in_words(size: float) -> str:
    """Bytes, for a person."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def time_in_words(seconds: float) -> str:
    """A moment since the epoch, as local time."""
    import datetime as dt

    return dt.datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def print_json(value: Mapping[str, object]) -> None:
    print(json.dumps(value, default=str))
