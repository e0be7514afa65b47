"""Programs whose machine is taken away: ``python tests/support/preempted.py NAME CONFIG``.

As ``tests.support.programs``, with ``margins`` in CONFIG instead of the seconds of ``rud._preemption``.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import rud
from rud import Upload, Uploader, _preemption
from tests.support.place import BACKEND
from tests.support.programs import FOR_EVER, begin, say

Config = dict[str, Any]


def checkpoints(uploader: Uploader, files: dict[str, str]) -> None:
    """Each key that ends in ``latest`` comes after the three before it."""
    recent: list[Upload] = []
    for key, path in files.items():
        named = recent[-3:] if key.endswith("latest") else []
        recent.append(uploader.upload(path, key, after=named))
    say("accepted", uploader.staging_folder)


def plain(config: Config) -> None:
    """No handler of its own; it goes on until it is ended."""
    files = config.pop("files")
    uploader = Uploader(**config)
    checkpoints(uploader, files)
    FOR_EVER.wait()


def in_c(config: Config) -> None:
    """Its main thread is in a C call from which no signal calls it back."""
    _ = begin(config)
    signal.siginterrupt(signal.SIGTERM, False)
    reading, _ = os.pipe()
    ctypes.CDLL(None).read(reading, ctypes.create_string_buffer(1), 1)


def handles(config: Config) -> None:
    """A handler of its own, ``when`` "before" or "after", writes the last checkpoint and leaves with status 7."""
    when, last = config.pop("when"), config.pop("last")

    def on_signal(number: int, frame: FrameType | None) -> None:
        uploader.upload(last, "last")
        say("handled", signal.Signals(number).name)
        sys.exit(7)

    if when == "before":
        signal.signal(signal.SIGTERM, on_signal)
    uploader, _ = begin(config)
    if when == "after":
        signal.signal(signal.SIGTERM, on_signal)
    FOR_EVER.wait()


def ignores(config: Config) -> None:
    """A program that ignores the signal hears of it all the same, and uploads go to the spool."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    last = config.pop("last")
    uploader, _ = begin(config)
    try:
        uploader.drain()
    except rud.PreemptedError as error:
        say("refused", error)
    say("late", uploader.upload(last, "last").state.value)
    say("closed", uploader.close(1000))


def in_asyncio(config: Config) -> None:
    """An event loop has handlers of its own, ``when`` "before" or "after"."""
    when = config.pop("when")

    async def main() -> None:
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        if when == "before":
            loop.add_signal_handler(signal.SIGTERM, heard.set)
        uploader, _ = begin(config)
        if when == "after":
            loop.add_signal_handler(signal.SIGTERM, heard.set)
        await heard.wait()
        say("heard")
        await asyncio.to_thread(lambda: say("closed", uploader.close(1000)))

    asyncio.run(main())


def forks_loaders(config: Config) -> None:
    """Three forked children that ignore the signal, as a data loader's might."""
    _ = begin(config)
    for _ in range(3):
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, lambda *_: None)
            say("forked")
            FOR_EVER.wait()
    FOR_EVER.wait()


def main() -> NoReturn:
    name, config = sys.argv[1], json.loads(sys.argv[2])
    _preemption.MARGIN, _preemption.LAST = config.pop("margins", (_preemption.MARGIN, _preemption.LAST))
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    rud.register_backend("slow", BACKEND)
    programs: list[Callable[[Config], None]] = [plain, in_c, handles, ignores, in_asyncio, forks_loaders]
    {program.__name__: program for program in programs}[name](config)
    sys.exit(0)


if __name__ == "__main__":
    main()
