"""What stands in for the system while a simulation runs, but the disk."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import random
from collections.abc import Iterator
from typing import Any
from unittest import mock

from rud._spool.options import SpoolOptions
from rud_fakes.simulation.verdict import INLINE
from rud_fakes.simulation.workers import SimulatedRuntime
from rud_fakes.simulation.world import World


@contextlib.contextmanager
def in_place_of_the_system(world: World) -> Iterator[None]:
    """Pids, chance and small sizes, so that segments end and large files are many; no word of the library's log."""
    urandom = random.Random(f"{world.seed}/urandom")
    getpid = os.getpid
    small = functools.partial(SpoolOptions, inline_limit=INLINE, segment_bytes=world.chance.choice([2048, 16384]))
    stand_ins: dict[str, Any] = {
        "os.getpid": lambda: world.pid() or getpid(),
        "os.urandom": urandom.randbytes,
        "rud._spool.log.RESERVE": 2048,
        "rud.uploader.SpoolOptions": small,
        "rud.uploader.at_exit": lambda _: None,
        "rud._spool.spool.SpoolOptions": small,
        "rud._spool.owner.wait_for_workers": lambda _, seconds: wait(world, seconds),
        "rud._resume.SystemClock": lambda: world.clock,
        "rud._resume.sending.ThreadedRuntime": lambda **_: SimulatedRuntime(world),
    }
    logger = logging.getLogger("rud")
    disabled, logger.disabled = logger.disabled, True
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, logger, "disabled", disabled)
        for where, stand_in in stand_ins.items():
            stack.enter_context(mock.patch(where, stand_in))
        yield


def wait(world: World, seconds: float) -> None:
    """Let time pass, whatever happens in it."""
    end = world.clock.monotonic() + seconds
    while world.hop(end):
        pass
