"""The actions of a plan: what each takes, and how it is carried out in a process of ours.

Actions of a server (``status``, ``reset`` …) are named here and carried out by the fault server.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Value = int | float | str | bool | None | tuple[int | float | str, ...]
Facts = Mapping[str, object]

SERVER = frozenset({"status", "reset", "stall", "trickle", "duplicate", "lost", "error200"})
"""What only a server can do."""


@dataclass(frozen=True, slots=True)
class Action:
    """``takes``: what stands in its brackets, in words. ``right``: whether a value is such."""

    name: str
    takes: str
    right: Callable[[Value], bool]


def _is_errno(value: Value) -> bool:
    return isinstance(value, str) and hasattr(errno, value)


def _is_signal(value: Value) -> bool:
    return value in (None, True) or (isinstance(value, str) and value in signal.Signals.__members__)


def _is_exception(value: Value) -> bool:
    found = getattr(builtins, value, None) if isinstance(value, str) else None
    return isinstance(found, type) and issubclass(found, BaseException)


def _is_count(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_name(value: Value) -> bool:
    return isinstance(value, str) and value.replace("-", "").isalnum()


def _is_nothing(value: Value) -> bool:
    return value is None or value is True


def _is_bytes_or_nothing(value: Value) -> bool:
    return value in (None, True) or _is_count(value)


def _is_seconds_or_nothing(value: Value) -> bool:
    return value in (None, True) or _is_seconds(value)


def _is_status(value: Value) -> bool:
    first = value[0] if isinstance(value, tuple) and value else value
    return isinstance(first, int) and 300 <= first <= 599


ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        Action("errno", "the name of an error of the system, as ENOSPC", _is_errno),
        Action("raise", "the name of a built-in exception, as MemoryError", _is_exception),
        Action("kill", "the name of a signal; none: SIGKILL", _is_signal),
        Action("stop", "nothing: SIGSTOP, until somebody sends SIGCONT", _is_nothing),
        Action("exit", "an exit status, by SystemExit", _is_count),
        Action("_exit", "an exit status, at once", _is_count),
        Action("delay", "seconds", _is_seconds),
        Action("hang", "nothing", _is_nothing),
        Action("pause", "the name of a gate, a file whose appearance ends it", _is_name),
        Action("truncate", "bytes that stay", _is_count),
        Action("flip", "the number of a bit", _is_count),
        Action("status", "an HTTP status, the code of its error document, Retry-After in seconds", _is_status),
        Action("reset", "bytes of the body that are read before it; none: all", _is_bytes_or_nothing),
        Action("stall", "seconds; none: for ever", _is_seconds_or_nothing),
        Action("trickle", "bytes a second", lambda v: _is_seconds(v) and v != 0),
        Action("duplicate", "nothing", _is_nothing),
        Action("lost", "nothing: it is done, and no answer comes", _is_nothing),
        Action("error200", "the code of the error document in an answer of 200", lambda v: isinstance(v, str)),
    )
}


class Doer:
    """Carries actions out in this process. ``sleep`` is given seconds (``None``: for ever); ``gates`` is the folder in
    which the files of gates appear.
    """

    def __init__(self, gates: str, sleep: Callable[[float | None], object] | None = None) -> None:
        self._gates = gates
        self._sleep = sleep or threading.Event().wait

    def __call__(self, action: str, value: Value, facts: Facts) -> None:
        if action in ("truncate", "flip"):
            _spoil(action, int(str(value)), facts)
        elif action in ("errno", "raise", "exit"):
            self._raise(action, str(value))
        elif action in ("kill", "stop", "_exit"):
            self._die(action, value)
        elif action in ("delay", "hang", "pause"):
            self._wait(action, value)
        else:
            raise ValueError(f"{action} is for a server to do")

    def _raise(self, action: str, value: str) -> None:
        if action == "errno":
            number = int(getattr(errno, value))
            raise OSError(number, f"{os.strerror(number)} (by a fault plan)")
        if action == "exit":
            sys.exit(int(value))
        raise getattr(builtins, value)("by a fault plan")

    def _die(self, action: str, value: Value) -> None:
        if action == "_exit":
            os._exit(int(str(value)))
        name = "SIGSTOP" if action == "stop" else "SIGKILL" if value in (None, True) else str(value)
        os.kill(os.getpid(), signal.Signals[name])

    def _wait(self, action: str, value: Value) -> None:
        if action == "pause":
            while not os.path.exists(os.path.join(self._gates, f"gate-{value}")):
                self._sleep(0.01)
        else:
            self._sleep(None if action == "hang" else float(str(value)))


def _spoil(action: str, number: int, facts: Facts) -> None:
    """Damage the file of the facts, counted from where what they are about begins in it."""
    path, start = str(facts["path"]), int(str(facts.get("at", 0)))
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        if action == "truncate":
            file.truncate(start + number)
            return
        file.seek(start + number // 8)
        byte = file.read(1)
        if byte:
            file.seek(start + number // 8)
            file.write(bytes([byte[0] ^ 1 << number % 8]))
