"""The ids of accepted uploads: they order the accepts of a machine, even if its clock was set back."""

from __future__ import annotations

import os
import threading

from rud._clock import Clock
from rud._spool import files
from rud._spool.records import Kind
from rud._spool.replay import read_segment, segment_numbers


class Ids:
    """Each id is the greater of the clock and one more than the greatest seen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._greatest = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        with self._lock:
            self._greatest = max(self._clock.time_ns(), self._greatest + 1)
            return self._greatest

    def newest(self) -> int:
        return self._greatest

    def see(self, one: int) -> None:
        with self._lock:
            self._greatest = max(self._greatest, one)

    def see_folder(self, root: str) -> None:
        """Every owner in the spool folder: the newest segment of each has its greatest id."""
        for name in files.names_in(root):
            folder = os.path.join(root, name)
            for number in segment_numbers(folder)[-1:] if os.path.isdir(folder) else []:
                try:
                    read = read_segment(os.path.join(folder, f"log-{number}"))
                except (OSError, ValueError):
                    continue
                self.see(read.header.floor if read.header else 0)
                self.see(
                    max((record.header["id"] for record in read.records if record.kind == Kind.ACCEPTED), default=0)
                )
