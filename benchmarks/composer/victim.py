"""The program that uses one of the classes while things go wrong: ``python -m benchmarks.composer.victim PLAN``.

It does what it is told, a line of JSON each on stdin, and answers with a line each on what was its stdout: what was
raised, by step. As a ``Trainer`` does, it closes its uploader when the program ends, and leaves by ``sys.exit`` when it
is told to terminate, unless the plan says ``"closes": false``.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.composer.classes import Subject, prepare

Order = dict[str, Any]


class Victim:
    """Its uploader, and the steps that it is told to take."""

    def __init__(self, plan: dict[str, Any], say: Callable[[Order], None]) -> None:
        self._say = say
        self._subject = Subject(
            plan["who"],
            plan["endpoint"],
            Path(plan["staging"]),
            workers=plan["workers"],
            use_procs=True,
            credentials=plan["credentials"],
        )
        if plan["closes"]:
            atexit.register(self._subject.close)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def obey(self, order: Order) -> None:
        """Take one step, and say how it went."""
        began = time.monotonic()
        raised: list[str] = []
        try:
            self._step(order, raised)
        except KeyboardInterrupt:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the report is about
            raised.append(_named(error))
        self._say({"did": order["do"], "raised": raised, "s": round(time.monotonic() - began, 2)})

    def _step(self, order: Order, raised: list[str]) -> None:
        match order["do"]:
            case "init":
                self._subject.init()
            case "upload":
                for path, key in order["files"]:
                    try:
                        self._subject.upload(Path(path), key, overwrite=order["overwrite"])
                    except Exception as error:  # noqa: BLE001 - the next file is tried, as a training loop goes on
                        raised.append(_named(error))
            case "batch_end":
                self._subject.batch_end()
            case "wait":
                self._subject.wait()
            case "close":
                self._subject.close()
            case "exit":
                sys.exit(0)


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"


def main() -> None:
    """Until stdin ends."""
    plan = json.loads(sys.argv[1])
    # Workers and libraries print, too: the answers have a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    prepare(plan["who"])

    def say(answer: Order) -> None:
        answers.write(json.dumps(answer) + "\n")

    victim = Victim(plan, say)
    say({"did": "begin"})
    for line in iter(sys.stdin.readline, ""):
        victim.obey(json.loads(line))


if __name__ == "__main__":
    main()
