"""Threads of which one runs at a time, each from where it paused to where it pauses next: nothing is left to chance."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Dead(BaseException):
    """The simulated process was killed; it unwinds, and nothing that it does on the way has an effect."""


class Fiber:
    """``work`` on a thread of its own, which runs only inside ``resume`` and until ``pause``."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._raised: BaseException | None = None
        self._over = False
        self._started = False
        self._thread = threading.Thread(target=self._main, name="simulated", daemon=True)

    def _main(self) -> None:
        self._go.acquire()
        try:
            if self._error is None:
                self._work()
        except Dead:
            pass
        except BaseException as error:  # noqa: BLE001  # raised where it was resumed
            self._raised = error
        finally:
            self._over = True
            self._back.release()

    def is_over(self) -> bool:
        """It has come to its end, or was never to begin."""
        return self._over

    def resume(self, error: BaseException | None = None) -> None:
        """Run it until it pauses or is over; with ``error``, which is raised in it."""
        if self.is_over():
            return
        self._error = error
        if not self._started:
            self._started = True
            self._thread.start()
        self._go.release()
        self._back.acquire()
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised
        if self.is_over():
            self._thread.join()

    def pause(self) -> None:
        """Called inside: let whoever has resumed it go on."""
        self._back.release()
        self._go.acquire()
        if self._error is not None:
            raise self._error
