"""The options of an uploader: what each may be, and where its value comes from."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, TypeVar

from rud.errors import ConfigurationError

T = TypeVar("T")

UNITS = {"B": 1} | {
    f"{letter}{infix}B": base**power
    for power, letter in enumerate("KMGTP", start=1)
    for infix, base in (("", 1000), ("i", 1024))
}
LONGEST = 1e9
"""Seconds: more than thirty years; the system's own waits overflow a little beyond."""


def parse_size(value: object) -> int:
    """Bytes: an ``int``, or text such as ``"20GiB"`` (powers of 1024), ``"500MB"`` (of 1000) or ``"1048576"``.

    ``ConfigurationError`` for anything else, and for less than 1.
    """
    size = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if isinstance(value, str):
        size = _size_of_text(value.strip())
    if size < 1:
        raise ConfigurationError(f"{value!r} is no size; give a number of bytes, or text such as '20GiB' or '500MB'")
    return size


def _size_of_text(text: str) -> int:
    number = text.rstrip("BKMGTPibkmgtp")
    unit = {name.upper(): size for name, size in UNITS.items()}.get(text[len(number) :].upper() or "B", 0)
    whole, _, fraction = number.rstrip().partition(".")
    digits = whole + fraction
    return int(digits) * unit // 10 ** len(fraction) if whole and digits.isascii() and digits.isdigit() else 0


def parse_seconds(value: object) -> float:
    """Seconds: a number, or its text, above 0 and at most 1e9. ``ConfigurationError`` for anything else."""
    seconds = parse_patience(value)
    if seconds == 0:
        raise ConfigurationError(f"{value!r} is no time; give seconds as a number above 0")
    return seconds


def parse_patience(value: object) -> float:
    """As ``parse_seconds``, but 0 is allowed: what it limits is not waited for."""
    seconds = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            seconds = float(value)
    if not 0 <= seconds <= LONGEST:
        raise ConfigurationError(f"{value!r} is no time; give seconds as a number of 0 or more, at most {LONGEST:.0e}")
    return seconds


def parse_flag(value: object) -> bool:
    """``True`` or ``False``, or in words (as the environment has them) 1, true, yes, on or 0, false, no, off."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    flag = value if isinstance(value, bool) else words.get(value.strip().lower()) if isinstance(value, str) else None
    if flag is None:
        raise ConfigurationError(f"{value!r} is neither yes nor no; give True or False, in the environment 1 or 0")
    return flag


def parse_folder(value: object) -> str:
    """A path as text. ``ConfigurationError`` when it is empty, has a NUL in it or is no path."""
    if isinstance(value, str | os.PathLike):
        path = os.fsdecode(value)
        if path and "\0" not in path:
            return path
    raise ConfigurationError(f"{value!r} is no folder; give the path of one")


def parse_signals(value: object) -> tuple[int, ...]:
    """Signals by name or number, as text with commas, alone, or in a sequence: ``"SIGTERM,SIGUSR1"``.

    ``ConfigurationError`` for what is no signal, cannot be handled, or an empty list.
    """
    given = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    signals = tuple(dict.fromkeys(_signal(one) for one in given))
    if not signals:
        raise ConfigurationError("no signal was given; give names of signals such as 'SIGTERM', or leave it out")
    return signals


def _signal(value: object) -> int:
    name = value.strip().upper() if isinstance(value, str) else value
    known = {one.name: one for one in signal.Signals} | {int(one): one for one in signal.Signals}
    found = known.get(name) if isinstance(name, str | int) and not isinstance(name, bool) else None
    if found is None or found in (signal.SIGKILL, signal.SIGSTOP):
        raise ConfigurationError(f"{value!r} is no signal that can be handled; give its name, such as 'SIGTERM'")
    return int(found)


def one_of(*words: str) -> Callable[[object], str]:
    """A parser that takes these words and no other."""

    def parse(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        raise ConfigurationError(f"{value!r} is not allowed; give one of {', '.join(map(repr, words))}")

    return parse


def variable(name: str) -> str:
    """The environment variable of the option ``name``."""
    return f"RUD_{name.upper()}"


def from_environment(name: str, parser: Callable[[object], T], environ: Mapping[str, str] = os.environ) -> T | None:
    """What ``RUD_<NAME>`` says of the option ``name``; ``None`` when it is not set.

    ``ConfigurationError`` names the variable when its value is wrong (an empty one is).
    """
    text = environ.get(variable(name))
    return None if text is None else _named(f"{variable(name)} in the environment", parser, text)


def _named(where: str, parser: Callable[[object], T], value: object) -> T:
    try:
        return parser(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


PARSERS: dict[str, Callable[[object], Any]] = {
    "upload_staging_folder": parse_folder,
    "staging_mode": one_of("auto", "reflink", "link", "move", "copy"),
    "fsync": parse_flag,
    "max_staged_bytes": parse_size,
    "when_full": one_of("raise", "block"),
    "stall_timeout": parse_seconds,
    "outage_timeout": parse_seconds,
    "close_timeout": parse_patience,
    "orphan_grace": parse_patience,
    "peer_timeout": parse_seconds,
    "on_failure": one_of("raise", "warn"),
    "preempt_on": parse_signals,
    "grace": parse_seconds,
}


class OtherOptions(TypedDict, total=False):
    """The options as keyword arguments, but the one that ``RemoteUploaderDownloader`` also takes by position."""

    staging_mode: Literal["auto", "reflink", "link", "move", "copy"] | None
    fsync: bool | None
    max_staged_bytes: int | str | None
    when_full: Literal["raise", "block"] | None
    stall_timeout: float | None
    outage_timeout: float | None
    close_timeout: float | None
    orphan_grace: float | None
    peer_timeout: float | None
    on_failure: Literal["raise", "warn"] | None
    preempt_on: str | int | Sequence[str | int] | None
    grace: float | None


class GivenOptions(OtherOptions, total=False):
    """The options as keyword arguments; ``Options`` says what each means. ``None`` is not given."""

    upload_staging_folder: str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True)
class Options:
    """How an uploader stages, waits and reports. Build it with ``Options.build``, which checks every value."""

    upload_staging_folder: str | None = None
    """Where accepted files lie until they are stored; ``None``: a folder per user under the system's temporary one."""
    staging_mode: str = "auto"
    """How large files get there: ``"auto"`` (reflink, else copy), ``"reflink"``, ``"link"``, ``"move"``, ``"copy"``."""
    fsync: bool = False
    """Accepted means synced to the disk."""
    max_staged_bytes: int | None = None
    """How much may lie there; ``None``: what the disk holds."""
    when_full: str = "raise"
    """Beyond that an upload is refused (``"raise"``) or waits for room (``"block"``)."""
    stall_timeout: float = 30.0
    """Seconds without progress after which an attempt is given up."""
    outage_timeout: float = 900.0
    """Seconds without an answer after which a destination is given up."""
    close_timeout: float = 60.0
    """Seconds that the end of the program waits for what is not stored yet; 0: none."""
    orphan_grace: float = 5.0
    """Seconds that a worker may go on with the upload it holds when its parent has died; 0: none."""
    peer_timeout: float = 60.0
    """Seconds without a sign of life after which another rank counts as lost."""
    on_failure: str = "raise"
    """A failed upload is raised, or only warned of (``"warn"``)."""
    preempt_on: tuple[int, ...] = ()
    """Signals that say that the machine is about to be taken away; none: no handler is installed."""
    grace: float | None = None
    """Seconds from such a signal until the process is killed; ``None``: not known."""

    @classmethod
    def build(cls, environ: Mapping[str, str] = os.environ, **explicit: object) -> Options:
        """The options given as arguments, then by ``RUD_<OPTION>`` in ``environ``, then the defaults.

        An argument that is ``None`` is not given. ``ConfigurationError``: a wrong value, in one sentence that names the
        option or the variable, what was given and what is allowed. ``TypeError``: an argument that is no option.
        """
        unknown = explicit.keys() - PARSERS.keys()
        if unknown:
            raise TypeError(f"unknown option {', '.join(sorted(unknown))}; known are {', '.join(PARSERS)}")
        values: dict[str, Any] = {}
        for option in fields(cls):
            parser = PARSERS[option.name]
            given = explicit.get(option.name)
            if given is not None:
                values[option.name] = _named(f"the option {option.name}", parser, given)
            elif variable(option.name) in environ:
                values[option.name] = from_environment(option.name, parser, environ)
        return cls(**values)


def at_least_one(name: str, value: object) -> int:
    """``value``, if it is a whole number of at least 1; ``ConfigurationError`` names it otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value
