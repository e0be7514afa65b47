"""One table of exit codes for every command, and what each error means in it."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from rud._report import Report
from rud.cli.screen import Screen, print_json
from rud.errors import (
    ConfigurationError,
    InvalidKeyError,
    ObjectStoreTransientError,
    PoolError,
    RudError,
    UploadTimeoutError,
)

DONE = 0
BUG = 1
USAGE = 2
LEFT = 3
FAILED = 4

TABLE = """\
exit codes of every command:
  0  done
  1  a bug in rud
  2  usage: an argument, option, URI or setting is wrong; nothing was done
  3  left for later: trouble, a time limit or an interrupt; nothing is lost
  4  failed for good
"""

_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((ConfigurationError, InvalidKeyError), USAGE),
    ((ObjectStoreTransientError, PoolError, UploadTimeoutError), LEFT),
    ((RudError, OSError), FAILED),
)


def code_of(error: Exception) -> int:
    """The exit code that an error stands for; ``BUG`` for what rud never raises on purpose."""
    return next((code for classes, code in _CODES if isinstance(error, classes)), BUG)


def code_for(report: Report, *, why: str = "") -> int:
    """The exit code for what uploads have come to; ``why``: something kept the command from its end."""
    if report.failed:
        return FAILED
    return LEFT if report.spooled or why else DONE


def guarded(command: Callable[[], int], *, json: bool, screen: Screen) -> int:
    """Run a command; an error becomes one sentence on stderr and its exit code."""
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _ended(LEFT, "interrupted; run the same command again to go on", json=json, screen=screen)
    except BrokenPipeError:
        # Whoever read our output has seen enough; without this the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # noqa: BLE001  # the last resort: the table has a code for it
        code = code_of(error)
        if code == BUG:
            screen.clear()
            traceback.print_exc()
            text = "this is a bug in rud, not in what you did; please report it with the lines above"
            return _ended(BUG, text, json=json, screen=screen)
        return _ended(code, _sentence(error), json=json, screen=screen)
    return code


def finish(args: Any, code: int, text: str, **facts: object) -> int:
    """The end of a command: its last line, or with ``--json`` its one object, which has the exit code too."""
    args.screen.clear()
    if args.json:
        print_json({"exit": code, **facts})
    elif text:
        print(text)
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, RudError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "; ".join([str(error), *getattr(error, "__notes__", ())])


def _ended(code: int, text: str, *, json: bool, screen: Screen) -> int:
    screen.say(text)
    if json:
        print_json({"exit": code, "error": text})
    return code
