"""The pool's lock and the waits on it: a change is never missed, and Ctrl-C leaves no lock taken."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from rud._monitor import Monitor


class Interrupted(Exception):
    """As ``KeyboardInterrupt``, and harmless if a test lets it out."""


@pytest.fixture
def interrupts() -> Iterator[Callable[[bool], None]]:
    """Switches a storm of interrupts of this thread on and off."""
    armed = [False]

    def strike(*_: object) -> None:
        if armed[0]:
            armed[0] = False
            raise Interrupted

    def switch(on: bool) -> None:  # noqa: FBT001 - a switch
        armed[0] = on

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    yield switch
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


def enter(monitor: Monitor) -> None:
    with monitor.lock:
        pass


def wait(monitor: Monitor) -> None:
    monitor.wait_for(lambda: True)


def wait_in_vain(monitor: Monitor) -> None:
    monitor.wait_for(lambda: False, iter([0.0001, 0.0]).__next__)


@pytest.mark.parametrize("use", [enter, wait, wait_in_vain])
def test_an_interrupt_leaves_no_lock_taken(interrupts: Callable[[bool], None], use: Callable[[Monitor], None]) -> None:
    """Half of them would with a ``Condition``; the program then never ended by itself."""
    monitor = Monitor()
    taken = 0
    for _ in range(100):
        try:
            interrupts(True)
            while True:
                use(monitor)
        except Interrupted:
            taken += monitor.lock.locked()

    assert taken == 0


def test_a_change_wakes_everybody_who_waits() -> None:
    """Each looks again, and ends when what it waits for is true."""
    monitor = Monitor()
    state = [0]
    woken: list[bool] = []
    threads = [
        threading.Thread(target=lambda goal=goal: woken.append(monitor.wait_for(lambda: state[0] >= goal)))
        for goal in (1, 2, 2, 3)
    ]
    for thread in threads:
        thread.start()
    for value in (1, 2, 3):
        with monitor.lock:
            state[0] = value
            monitor.notify_all()
    for thread in threads:
        thread.join(10)

    assert woken == [True] * 4


def test_a_wait_ends_when_no_time_is_left() -> None:
    """It says that what it waited for is not so, and what comes after it is not waited for."""
    monitor = Monitor()
    left = iter([0.001, 0.001, 0.0])

    assert not monitor.wait_for(lambda: False, left.__next__)
    with monitor.lock:
        monitor.notify_all()
