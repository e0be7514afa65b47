"""Preemption: a signal says that the machine is about to be taken away, and some seconds are left.

What has to be prompt happens on a thread of its own, which hears of the signal by the descriptor that the interpreter's
own handler writes to: a Python handler runs only between two bytecodes of the main thread, which may be in a C call.
Where another has taken that descriptor, the handler says so as well.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import selectors
import signal
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from rud._clock import Clock, SystemClock
from rud._forks import no_fork
from rud._options import parse_seconds
from rud.errors import ConfigurationError

if TYPE_CHECKING:
    from rud._pool import WorkerPool

logger = logging.getLogger("rud")

MARGIN = 5.0
"""Seconds before the end of the grace at which nothing more is started."""

LAST = 2.0
"""Seconds before the end of the grace at which nothing is waited for any more."""

_POKE = b"\0"
_active: list[Preemption] = []


class Preemption:
    """In force while it is entered; ``Uploader.preemption`` says what that means."""

    def __init__(
        self,
        pool: WorkerPool,
        signals: tuple[int, ...],
        grace: float | None,
        clock: Clock | None = None,
    ) -> None:
        self._pool = pool
        self._signals = signals
        self._grace = grace
        self._clock = clock or SystemClock()
        self._old: dict[int, object] = {}
        self._heard = self._handled = 0
        self._first = 0
        self._over = False
        self._read = self._write = self._old_descriptor = -1
        self._thread = threading.Thread(target=self._watch, name="rud-preemption", daemon=True)

    @property
    def received(self) -> str:
        """The name of the first signal that came; ``""`` before. For a training loop that wants to save and end."""
        return signal.Signals(self._first).name if self._first else ""

    def __enter__(self) -> Self:
        self._grace = self._checked_grace()
        with no_fork() as descriptors:
            self._read, self._write = os.pipe()
            descriptors |= {self._read, self._write}
        os.set_blocking(self._write, False)
        self._thread.start()
        _active.append(self)
        self._old_descriptor = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self._signals:
            self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._over:
            return
        self._over = True
        self._poke()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        with contextlib.suppress(ValueError):  # not the main thread: the handler hands on what still comes
            self._give_back()
            with no_fork() as descriptors:
                for descriptor in (self._read, self._write):
                    os.close(descriptor)
                    descriptors.discard(descriptor)
        _active.remove(self)

    def forget(self) -> None:
        """In a forked child: nothing is handed on, and a signal to all processes does not count once for each."""
        self._over = True
        with contextlib.suppress(ValueError):
            self._give_back()

    def _checked_grace(self) -> float:
        if self._grace is None:
            raise ConfigurationError(
                "how long this program has after a signal is not known; give grace in seconds, or set RUD_GRACE"
            )
        if threading.current_thread() is not threading.main_thread():
            raise ConfigurationError("signals can only be handled from the main thread; enter preemption there")
        for number in self._signals:
            if signal.getsignal(number) is None:
                name = signal.Signals(number).name
                raise ConfigurationError(f"{name} is handled by code that is not Python and cannot be called from here")
        return parse_seconds(self._grace)

    def _give_back(self) -> None:
        """Put back what was there, unless somebody has taken our place since."""
        current = signal.set_wakeup_fd(self._old_descriptor)
        if current != self._write:
            signal.set_wakeup_fd(current)
        for number, old in self._old.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, old)  # type: ignore[arg-type]  # it came from there

    # On the main thread, between two bytecodes

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._first = self._first or number
        self._handled += 1
        self._poke()
        old = self._old.get(number)
        if callable(old):
            old(number, frame)
        elif self._over and old == signal.SIG_DFL:
            _die_of(number)

    def _poke(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._write, _POKE)

    # On the thread of its own

    def _watch(self) -> None:
        seal_at, sealed = math.inf, False
        with selectors.DefaultSelector() as selector:
            selector.register(self._read, selectors.EVENT_READ)
            while not self._over:
                left = None if sealed or seal_at == math.inf else max(0.0, seal_at - self._clock.monotonic())
                if selector.select(left):
                    self._take(os.read(self._read, 512))
                count = max(self._heard, self._handled)
                if count and seal_at == math.inf:
                    seal_at = self._begin()
                if not sealed and (count > 1 or self._clock.monotonic() >= seal_at):
                    sealed = True
                    self._seal(at_once=count > 1)

    def _take(self, data: bytes) -> None:
        """One byte a signal, of whichever kind; what others wait for is handed on."""
        for number in data:
            if number in self._signals:
                self._first = self._first or number
                self._heard += 1
        others = data.replace(_POKE, b"")
        if others and self._old_descriptor >= 0:
            with contextlib.suppress(OSError):
                os.write(self._old_descriptor, others)

    def _begin(self) -> float:
        assert self._grace is not None
        before_seal = max(0.0, self._grace - MARGIN)
        self._pool.hurry(max(before_seal, self._grace - LAST))
        logger.warning("%s: the newest uploads go first; nothing more is started in %.1f s", self.received, before_seal)
        return self._clock.monotonic() + before_seal

    def _seal(self, *, at_once: bool) -> None:
        why = f"after {self.received} nothing more is sent: the machine is about to be taken away"
        report = self._pool.hold(why)
        logger.warning("%s. %s", why, report.advice() or report)
        if self._nobody_else():
            if not at_once:
                self._pool.close(math.inf)  # which ends with the grace
            _die_of(self._first)

    def _nobody_else(self) -> bool:
        """The signal would have ended the program, had we not been there."""
        ours = signal.getsignal(self._first) == self._handle
        return ours and self._old[self._first] == signal.SIG_DFL and not self._over


def _die_of(number: int) -> None:
    """By its usual effect, so that whoever waits for this process sees the usual status."""
    import ctypes

    # ``signal.signal`` would need the main thread, which may be in a C call.
    ctypes.pythonapi.PyOS_setsig(number, None)
    os.kill(os.getpid(), number)
    # The first process of a container is spared signals that it does not handle.
    threading.Event().wait(1.0)
    os._exit(128 + number)


def _in_child() -> None:
    while _active:
        _active.pop().forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
