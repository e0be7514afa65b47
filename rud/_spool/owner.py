"""An owner folder: its birth, its locks, its end, and the table of those that this process owns.

A POSIX record lock dies with its process and is not kept by forks, but it does not exclude within a process and any
``close`` of the file drops it. So the table is asked before a lock file is opened, and a lock file is opened once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import struct
import sys
import threading
from collections.abc import Mapping
from typing import Any, Self

from rud import _faultpoints
from rud._spool import files, marks
from rud._spool.limit import Limit
from rud._spool.log import Log

_HELD = frozenset({errno.EACCES, errno.EAGAIN})
_STALE_AFTER_NS = 24 * 3600 * 10**9
_OURS = re.compile(r"owner\.(json|lock)|worker-[\d-]+\.lock|log-\d+|big|failed|answered|reserve")
_owned: dict[str, int] = {}
_owned_lock = threading.Lock()


class NotTakenError(Exception):
    """An owner folder cannot be taken; the text says why."""


def owned_here(folder: str) -> bool:
    """This process owns the folder (a forked child does not own what its parent does)."""
    return _owned.get(os.path.realpath(folder)) == os.getpid()


def host_name() -> str:
    return os.uname().nodename


def process_facts() -> dict[str, Any]:
    """Who this process is, so that a person can tell what became of it."""
    return {
        "host": host_name(),
        "boot_id": _first_words("/proc/sys/kernel/random/boot_id"),
        "pid": os.getpid(),
        "pid_started": "".join(_first_words("/proc/self/stat").rpartition(")")[2].split()[19:20]),
    }


def _first_words(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


class Owner:
    """An owner folder; locked by this process, unless it is only looked at. ``facts`` is what ``owner.json`` says;
    ``log`` is set once its segments are known. That a file ``answered`` is there says that its destination has.
    """

    log: Log
    limit: Limit | None = None
    """Of the owner that takes new uploads."""

    def __init__(self, folder: str, facts: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.facts = facts or {}
        self.big = os.path.join(folder, "big")
        self.failed = os.path.join(folder, "failed")
        self.answered = os.path.join(folder, "answered")
        self._descriptors: list[int] = []

    def abandon(self) -> None:
        """Let go of everything as death would: nothing is written or removed."""
        if hasattr(self, "log"):
            self.log.close()
        _owned.pop(os.path.realpath(self.folder), None)
        while self._descriptors:
            os.close(self._descriptors.pop())

    def end(self) -> None:
        """Remove the folder: hidden first, so that nobody adopts what is half gone. Its greatest id stays behind."""
        with contextlib.suppress(OSError):
            marks.leave(os.path.dirname(self.folder), self.log.greatest, sync=self.log.fsync)
        hidden = os.path.join(os.path.dirname(self.folder), "." + os.path.basename(self.folder))
        try:
            os.rename(self.folder, hidden)
            if self.log.fsync:
                # Else a loss of power could bring back the folder without some of what was in it.
                files.sync_path(os.path.dirname(hidden))
        except OSError:
            hidden = ""
        self.abandon()
        if hidden:
            files.remove_tree(hidden)

    def _guard(self, folder: str) -> None:
        """A lock on the folder itself keeps cleaners of temporary folders away; where there is none, nothing else
        changes.
        """
        with contextlib.suppress(OSError):
            self._descriptors.append(os.open(folder, os.O_RDONLY | os.O_CLOEXEC))
            fcntl.flock(self._descriptors[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)

    def be_taken(self) -> Self:
        """Lock a dead owner's folder; ``NotTakenError`` when it lives, is gone, or one of its workers still runs."""
        with _owned_lock:
            if owned_here(self.folder):
                raise NotTakenError("it is in use by this process")
            _owned[os.path.realpath(self.folder)] = os.getpid()
        try:
            self._descriptors.append(_take_lock(os.path.join(self.folder, "owner.lock")))
            for path in worker_locks(self.folder):
                os.close(_take_lock(path))
            self.facts = read_facts(self.folder)
            self._guard(self.folder)
        except BaseException:
            self.abandon()
            raise
        return self

    def be_born(self, log: Log) -> None:
        """Build the folder, with its first segment, and lock it under a hidden name; then rename it."""
        hidden = os.path.join(os.path.dirname(self.folder), "." + os.path.basename(self.folder))
        self.log = log
        os.mkdir(hidden, 0o700)
        try:
            for inner in ("big", "failed"):
                os.mkdir(os.path.join(hidden, inner), 0o700)
            files.write_json(os.path.join(hidden, "owner.json"), self.facts, sync=log.fsync)
            self._descriptors.append(_open_lock(os.path.join(hidden, "owner.lock"), os.O_CREAT))
            try:
                fcntl.lockf(self._descriptors[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                # No locks on this file system: nobody else can take it either, so nothing is ever adopted here.
                if error.errno in _HELD:
                    raise
            self._guard(hidden)
            log.begin(hidden)
            _owned[os.path.realpath(self.folder)] = os.getpid()
            os.rename(hidden, self.folder)
        except BaseException:
            self.abandon()
            files.remove_tree(hidden)
            raise


def worker_locks(folder: str) -> list[str]:
    names = [name for name in files.names_in(folder) if name.startswith("worker-") and name.endswith(".lock")]
    return [os.path.join(folder, name) for name in names]


def strangers(folder: str) -> list[str]:
    """Names in an owner folder that this version of rud gives to nothing: not ours to remove."""
    names = [name for name in files.names_in(folder) if not _OURS.fullmatch(name)]
    return names + [name for name in files.names_in(os.path.join(folder, "big")) if not name.isdecimal()]


def wait_for_workers(folder: str, seconds: float) -> None:
    """Until the workers of a run that has just died have ended too, at most ``seconds``."""

    def wait() -> None:
        for path in worker_locks(folder):
            with contextlib.suppress(OSError), open(path, "r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX)

    if not owned_here(folder):
        waiter = threading.Thread(target=wait, name="rud-spool-wait", daemon=True)
        waiter.start()
        waiter.join(seconds)


def read_facts(folder: str) -> dict[str, Any]:
    try:
        return files.read_json(os.path.join(folder, "owner.json"))
    except (OSError, ValueError) as error:
        raise NotTakenError(f"its owner.json cannot be read ({error})") from error


def is_alive(folder: str) -> bool:
    """Whether some process holds the owner's lock, or it cannot be asked; nothing is taken by asking (F_GETLK)."""
    if owned_here(folder):
        return True
    try:
        descriptor = _open_lock(os.path.join(folder, "owner.lock"), 0)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    layout, kind = ("=qqihh", 3) if sys.platform == "darwin" else ("@hhqqi4x", 0)
    asked = (0, 0, 0, fcntl.F_WRLCK, 0) if kind else (fcntl.F_WRLCK, 0, 0, 0, 0)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *asked))
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return bool(struct.unpack(layout, answer)[kind] != fcntl.F_UNLCK)


def clean_hidden(root: str, now_ns: int) -> None:
    """Remove hidden folders left by a death in birth or in removal a day ago or more: neither holds anything
    accepted.
    """
    for name in files.names_in(root):
        try:
            stale = name.startswith(".") and int(name[1:].partition("-")[0], 16) < now_ns - _STALE_AFTER_NS
        except ValueError:
            continue
        if stale and not owned_here(os.path.join(root, name[1:])) and not is_alive(os.path.join(root, name)):
            files.remove_tree(os.path.join(root, name))


def _open_lock(path: str, flags: int) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)


def _take_lock(path: str) -> int:
    name = os.path.basename(path)
    try:
        descriptor = _open_lock(path, 0)
    except FileNotFoundError as error:
        raise NotTakenError(f"{name} is gone") from error
    try:
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.lock.before")
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _faultpoints.active is not None:
            _faultpoints.hit("fs.lock.after")
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
        why = "it was replaced meanwhile"
    except FileNotFoundError:
        why = "it was removed meanwhile"
    except OSError as error:
        held = error.errno in _HELD
        why = f"{name} is held: a process of it still runs" if held else f"{name} cannot be locked ({error.strerror})"
    os.close(descriptor)
    raise NotTakenError(why)
