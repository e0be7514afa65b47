"""An owner folder: its birth, its locks, its end, and the table of those that this process owns.

A POSIX record lock dies with its process and is not kept by forks, but it does not exclude within a process and any
``close`` of the file drops it. So the table is asked before a lock file is opened, and a lock file is opened once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from rud._spool import files
from rud._spool.log import Log

_HELD = frozenset({errno.EACCES, errno.EAGAIN})
_STALE_AFTER_NS = 24 * 3600 * 10**9
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
    """A locked owner folder. ``log`` is set once its segments are known; ``facts`` is what ``owner.json`` says."""

    def __init__(self, folder: str, facts: Mapping[str, Any], lock: int, guard: int) -> None:
        self.folder = folder
        self.facts = facts
        self.log: Log
        self._lock = lock
        self._guard = guard

    def __repr__(self) -> str:
        return f"<Owner {self.folder}>"

    @property
    def big(self) -> str:
        return os.path.join(self.folder, "big")

    @property
    def failed(self) -> str:
        return os.path.join(self.folder, "failed")

    def abandon(self) -> None:
        """Let go of everything as death would: nothing is written or removed."""
        if hasattr(self, "log"):
            self.log.close()
        with _owned_lock:
            _owned.pop(os.path.realpath(self.folder), None)
        for descriptor in (self._lock, self._guard):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._guard = -1

    def end(self) -> None:
        """Remove the folder: hidden first, so that nobody adopts what is half gone."""
        hidden = os.path.join(os.path.dirname(self.folder), "." + os.path.basename(self.folder))
        try:
            os.rename(self.folder, hidden)
        except OSError:
            hidden = ""
        self.abandon()
        if hidden:
            files.remove_tree(hidden)


def born(root: str, name: str, facts: Mapping[str, Any], new_log: Callable[[str], Log], *, sync: bool) -> Owner:
    """A new owner folder in ``root``: built, with its first segment, and locked under a hidden name, then renamed."""
    hidden, folder = os.path.join(root, "." + name), os.path.join(root, name)
    os.mkdir(hidden, 0o700)
    lock = guard = -1
    log: Log | None = None
    try:
        for inner in ("big", "failed"):
            os.mkdir(os.path.join(hidden, inner), 0o700)
        content = json.dumps(dict(facts), indent=2).encode()
        files.write_whole(os.path.join(hidden, "owner.json"), content, sync=sync)
        lock = _open_lock(os.path.join(hidden, "owner.lock"), os.O_CREAT)
        _lock_own(lock)
        guard = _guard(hidden)
        log = new_log(hidden)
        log.begin()
        with _owned_lock:
            _owned[os.path.realpath(folder)] = os.getpid()
        os.rename(hidden, folder)
        log.moved(folder)
    except BaseException:
        if log is not None:
            log.close()
        for descriptor in (lock, guard):
            if descriptor >= 0:
                os.close(descriptor)
        with _owned_lock:
            _owned.pop(os.path.realpath(folder), None)
        files.remove_tree(hidden)
        raise
    own = Owner(folder, facts, lock, guard)
    own.log = log
    return own


def take(folder: str) -> Owner:
    """A dead owner's folder, locked by us; ``NotTakenError`` when it lives, is gone, or one of its workers still
    runs.
    """
    with _owned_lock:
        if owned_here(folder):
            raise NotTakenError("it is in use by this process")
        _owned[os.path.realpath(folder)] = os.getpid()
    lock = -1
    try:
        lock = _take_lock(os.path.join(folder, "owner.lock"))
        for path in worker_locks(folder):
            os.close(_take_lock(path))
        facts = read_facts(folder)
        return Owner(folder, facts, lock, _guard(folder))
    except BaseException:
        if lock >= 0:
            os.close(lock)
        with _owned_lock:
            _owned.pop(os.path.realpath(folder), None)
        raise


def worker_locks(folder: str) -> list[str]:
    names = [name for name in files.names_in(folder) if name.startswith("worker-") and name.endswith(".lock")]
    return [os.path.join(folder, name) for name in names]


def wait_for_workers(folder: str, seconds: float) -> None:
    """Until the workers of a run that has just died have ended too, at most ``seconds``."""

    def wait() -> None:
        for path in worker_locks(folder):
            try:
                descriptor = _open_lock(path, 0)
            except OSError:
                continue
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX)
            except OSError:
                pass
            finally:
                os.close(descriptor)

    if not owned_here(folder):
        waiter = threading.Thread(target=wait, name="rud-spool-wait", daemon=True)
        waiter.start()
        waiter.join(seconds)


def read_facts(folder: str) -> dict[str, Any]:
    try:
        with open(os.path.join(folder, "owner.json"), "rb") as file:
            facts = json.load(file)
    except (OSError, ValueError) as error:
        raise NotTakenError(f"its owner.json cannot be read ({error})") from error
    if not isinstance(facts, dict):
        raise NotTakenError("its owner.json is not an object")
    return facts


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


def _lock_own(descriptor: int) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # No locks on this file system: nobody else can take it either, so nothing is ever adopted here.
        if error.errno in _HELD:
            raise


def _take_lock(path: str) -> int:
    try:
        descriptor = _open_lock(path, 0)
    except FileNotFoundError as error:
        raise NotTakenError(f"{os.path.basename(path)} is gone") from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
            raise NotTakenError("it was replaced meanwhile")
    except OSError as error:
        os.close(descriptor)
        if error.errno in _HELD:
            raise NotTakenError(f"{os.path.basename(path)} is held: a process of it still runs") from error
        if isinstance(error, FileNotFoundError):
            raise NotTakenError("it was removed meanwhile") from error
        raise NotTakenError(f"{os.path.basename(path)} cannot be locked ({error.strerror})") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _guard(folder: str) -> int:
    """A lock on the folder itself keeps cleaners of temporary folders away; where there is none, nothing else
    changes.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor
