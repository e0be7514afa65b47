"""Programs that are stopped, killed, forked from or left in a hurry: ``python -m tests.support.programs NAME CONFIG``.

CONFIG is JSON: arguments of an ``Uploader``, ``files`` (key to path) to upload, and what else the program reads from
it. What it has done, it says on stdout, a line each.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import rud
from rud import Upload, Uploader
from tests.support.place import BACKEND

Config = dict[str, Any]
FOR_EVER = threading.Event()


def say(*words: object) -> None:
    print(*words, flush=True)


def begin(config: Config) -> tuple[Uploader, list[Upload]]:
    """An uploader that has accepted all of ``files``."""
    files = config.pop("files", {})
    config.pop("then", None)
    uploader = Uploader(**config)
    uploads = [uploader.upload(path, key) for key, path in files.items()]
    say("accepted", uploader.staging_folder)
    return uploader, uploads


def wait(config: Config) -> None:
    """Accept, then wait for ever; the normal way out is an exit hook."""
    _ = begin(config)
    FOR_EVER.wait()


def exit_(config: Config) -> None:
    """Accept, then leave without a word."""
    _ = begin(config)
    sys.exit(0)


def with_block(config: Config) -> None:
    """Accept in a ``with`` block, and wait there for ever."""
    files = config.pop("files")
    with Uploader(**config) as uploader:
        for key, path in files.items():
            uploader.upload(path, key)
        say("accepted", uploader.staging_folder)
        FOR_EVER.wait()


def drain(config: Config) -> None:
    """Accept, drain, close, and say what it has come to."""
    uploader, _ = begin(config)
    uploader.drain()
    say("closed", uploader.close(10))


def upload_on_request(config: Config) -> None:
    """Whatever comes as a line of JSON on the pipe ``requests`` is uploaded."""
    requests = config.pop("requests")
    uploader, _ = begin(config)
    with open(requests, encoding="utf-8") as lines:
        for line in lines:
            key, path = json.loads(line)
            say("stored", uploader.upload(path, key).result(20))
    say("closed", uploader.close(10))


# Programs that fork


def _in_child(uploader: Uploader, path: str) -> None:
    """What a data loader might do by mistake."""
    try:
        uploader.upload(path, "from-the-child")
    except rud.PoolClosedError as error:
        say("refused", error)
    uploader.close()


def forks(config: Config) -> None:
    """``os.fork`` in the middle of uploads; the child tries to upload, and leaves by the normal way, exit hooks and
    all."""
    uploader, uploads = begin(config)
    child = os.fork()
    if child == 0:
        _in_child(uploader, __file__)
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    say("child", status)
    for upload in uploads:
        upload.result(20)
    say("closed", uploader.close(10))


def _data_loader(number: int) -> int:
    return number + 1


def loads_data(config: Config) -> None:
    """A ``multiprocessing`` pool by ``method`` comes and goes in the middle of uploads."""
    method = config.pop("method")
    uploader, uploads = begin(config)
    with multiprocessing.get_context(method).Pool(2) as pool:
        say("loaded", pool.map(_data_loader, range(4)))
        pool.close()
        pool.join()
    child = multiprocessing.get_context(method).Process(target=_data_loader, args=(1,))
    child.start()
    child.join()
    say("child", child.exitcode)
    for upload in uploads:
        upload.result(20)
    say("closed", uploader.close(10))


def leaves_a_fork(config: Config) -> None:
    """A forked child outlives its parent, and holds on to whatever it has inherited until its stdin ends."""
    _ = begin(config)
    child = os.fork()
    if child == 0:
        FOR_EVER.wait()
    say("forked", child)
    FOR_EVER.wait()


def forks_beside_popen(config: Config) -> None:
    """One thread forks without a break, children that hold what they inherit, while workers are started."""
    rounds, over = config.pop("rounds"), threading.Event()
    path = config.pop("files")["a"]
    keep_read, keep_write = os.pipe()

    def fork_on() -> None:
        while not over.is_set():
            child = os.fork()
            if child == 0:
                os.close(keep_write)
                os.read(keep_read, 1)
                os._exit(0)
            children.append(child)
            if len(children) > 20:
                over.wait(0.05)

    children: list[int] = []
    thread = threading.Thread(target=fork_on)
    thread.start()
    for number in range(rounds):
        with Uploader(**config) as uploader:
            uploader.upload(path, f"{number}").result(20)
    over.set()
    thread.join()
    os.close(keep_write)
    for child in children:
        os.waitpid(child, 0)
    say("done", len(children) > 0)


# Programs that are hard on their children


def reaps_all(config: Config) -> None:
    """A host program that reaps every child that it has, ours included."""
    uploader, uploads = begin(config)
    over = threading.Event()

    def reap() -> None:
        while not over.is_set():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)
                continue
            over.wait(0.01)

    threading.Thread(target=reap, daemon=True).start()
    say("reaping")
    for upload in uploads:
        upload.result(20)
    over.set()
    say("closed", uploader.close(10))


def ignores_children(config: Config) -> None:
    """A host program that lets the system reap its children."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    uploader, uploads = begin(config)
    for upload in uploads:
        upload.result(20)
    say("closed", uploader.close(10))


def starts_with_others(config: Config) -> None:
    """One of several that start together: when the line comes, build, upload, close."""
    with open(config.pop("start"), "rb", buffering=0) as start:
        start.read(1)
    drain(config)


def runs_a_command(config: Config) -> None:
    """``subprocess`` in the middle of uploads, with every descriptor handed on."""
    uploader, uploads = begin(config)
    done = subprocess.run([sys.executable, "-c", "pass"], check=True, close_fds=False)
    say("ran", done.returncode)
    for upload in uploads:
        upload.result(20)
    say("closed", uploader.close(10))


def main() -> NoReturn:
    name, config = sys.argv[1], json.loads(sys.argv[2])
    programs: list[Callable[[Config], None]] = [
        wait, exit_, with_block, drain, upload_on_request, forks, loads_data, leaves_a_fork, forks_beside_popen,
        reaps_all, ignores_children, starts_with_others, runs_a_command,
    ]  # fmt: skip
    rud.register_backend("slow", BACKEND)
    {program.__name__: program for program in programs}[name](config)
    sys.exit(0)


if __name__ == "__main__":
    main()
