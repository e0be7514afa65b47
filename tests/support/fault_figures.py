"""How long things take when something fails: ``python -m tests.support.fault_figures`` (Linux).

Each figure with its limit; the exit status is 1 when one is over it. On a machine that does nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rud._clock import SystemClock
from tests.failures.test_preemption import start, until_said
from tests.support.place import Place
from tests.support.processes import wait_for_end

CLOCK = SystemClock()
STALL, GRACE, CLOSE = 0.5, 1.0, 0.5


def replaced(place: Place) -> float:
    """a worker dies → the next one has opened its store"""
    uploader = place.uploader()
    uploader.upload(place.file("a"), "a").result(20)
    (pid,) = uploader.worker_pids()
    place.events.wait_for("end")
    began = CLOCK.monotonic()
    os.kill(pid, signal.SIGKILL)
    place.events.wait_for("open")
    return CLOCK.monotonic() - began


def ended(place: Place) -> float:
    """a worker stalls → it has ended, over stall_timeout"""
    place.plan({"a": ["gil 3600", ""]})
    uploader = place.uploader(stall_timeout=STALL)
    uploader.upload(place.file("a"), "a")
    (begun,) = place.events.wait_for("begin")
    began = CLOCK.monotonic()
    wait_for_end(begun["pid"])
    return CLOCK.monotonic() - began - STALL


def orphans(place: Place) -> float:
    """SIGKILL of a parent with forked data loaders → its last worker has ended, over orphan_grace"""
    place.plan({"*": ["hang"]})
    files = {key: str(place.file(key)) for key in ("a", "b", "c")}
    program = place.program("leaves_a_fork", num_concurrent_uploads=2, orphan_grace=GRACE, files=files)
    program.expect("accepted")
    sibling = int(program.expect("forked"))
    begun = place.events.wait_for("begin", count=2)
    began = CLOCK.monotonic()
    program.signal(signal.SIGKILL, group=False)
    for event in begun:
        wait_for_end(event["pid"])
    took = CLOCK.monotonic() - began - GRACE
    os.kill(sibling, signal.SIGKILL)
    assert len(place.journal("begin")) == 2, "an orphan has begun another upload"
    return took


def closed(place: Place) -> float:
    """close(d) with every worker hung, over d"""
    place.plan({"*": ["hang"]})
    uploader = place.uploader(num_concurrent_uploads=2)
    for key in ("a", "b", "c"):
        uploader.upload(place.file(key), key)
    place.events.wait_for("begin", count=2)
    began = CLOCK.monotonic()
    uploader.close(CLOSE)
    return CLOCK.monotonic() - began - CLOSE


def sealed(place: Place) -> float:
    """the signal that seals, the main thread in a C call → it is said that nothing more is sent"""
    place.plan({"*": ["hang"]})
    program = start(place, "in_c", ["0", "1"], grace=60)
    program.expect("accepted")
    place.events.wait_for("begin", "0")
    program.signal(signal.SIGTERM)
    until_said(program, "newest uploads go first")
    began = CLOCK.monotonic()
    program.signal(signal.SIGTERM)
    until_said(program, "nothing more is sent")
    return CLOCK.monotonic() - began


FIGURES: dict[Callable[[Place], float], float] = {replaced: 1.0, ended: 1.0, orphans: 1.0, closed: 1.0, sealed: 0.5}


def main() -> int:
    over = 0
    for figure, limit in FIGURES.items():
        with tempfile.TemporaryDirectory(prefix="rud-figures-") as folder, Place(Path(folder)) as place:
            took = figure(place)
        over += took > limit
        print(f"{took:6.2f} s, at most {limit} s: {figure.__doc__}", flush=True)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
