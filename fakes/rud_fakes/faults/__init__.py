"""Fault plans: what shall go wrong, where, and for whom; repeatable, and refused when they could do nothing.

For other projects: the pytest plugin ``rud_fakes.faults.plugin``, ``rud faults serve`` as a process, ``wrap`` for an
object, ``kill_at``, ``wait_fired``, ``stopped`` and ``signal_group`` for processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rud_fakes.faults.plan import Plan as Plan
    from rud_fakes.faults.plan import PlanError as PlanError
    from rud_fakes.faults.processes import kill_at as kill_at
    from rud_fakes.faults.processes import signal_group as signal_group
    from rud_fakes.faults.processes import stopped as stopped
    from rud_fakes.faults.processes import wait_fired as wait_fired
    from rud_fakes.faults.runtime import parse as parse
    from rud_fakes.faults.wrapped import StatusError as StatusError
    from rud_fakes.faults.wrapped import firings as firings
    from rud_fakes.faults.wrapped import unfired as unfired
    from rud_fakes.faults.wrapped import wrap as wrap

_HOMES = {
    "Plan": "plan",
    "PlanError": "plan",
    "kill_at": "processes",
    "signal_group": "processes",
    "stopped": "processes",
    "wait_fired": "processes",
    "parse": "runtime",
    "StatusError": "wrapped",
    "firings": "wrapped",
    "unfired": "wrapped",
    "wrap": "wrapped",
}

__all__ = [
    "Plan", "PlanError", "parse",
    "wrap", "firings", "unfired", "StatusError",
    "kill_at", "wait_fired", "stopped", "signal_group",
]  # fmt: skip


def __getattr__(name: str) -> object:
    import importlib

    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
