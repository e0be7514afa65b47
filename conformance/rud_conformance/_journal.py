"""What a run is about to write, on disk before it writes: so that another one can remove what a killed one left."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rud_conformance.verdict import HarnessError


@dataclass(frozen=True, slots=True)
class Written:
    """Where a run writes. ``uri``: the place; ``scopes``: the prefix below it; ``keys``: the objects beside that one.

    The arguments of the store are not kept: they may be secrets.
    """

    uri: str
    scopes: str
    keys: tuple[str, ...]


def state_folder() -> Path:
    """``$XDG_STATE_HOME/rud/conformance``, or the same below ``~/.local/state``."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home, "rud", "conformance")


class Journal:
    """One file, locked as long as its run lives, and removed when nothing of the run is left in the store."""

    def __init__(self, path: Path, descriptor: int, written: Written) -> None:
        self.path = path
        self.written = written
        self._descriptor = descriptor

    @classmethod
    def begin(cls, written: Written, folder: Path) -> Journal:
        """A new one, which survives a loss of power when this returns. ``HarnessError`` where no file can be made."""
        path = folder / f"{written.scopes}.json"
        text = json.dumps({"uri": written.uri, "scopes": written.scopes, "keys": list(written.keys)})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
            _sync(folder)
        except OSError as error:
            raise HarnessError(f"the journal {path} cannot be written: {error.strerror}; set XDG_STATE_HOME") from error
        return cls(path, descriptor, written)

    @classmethod
    def of_dead_run(cls, path: Path) -> Journal:
        """The one at ``path``. ``HarnessError`` if it is none, or if its run still lives."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise HarnessError(f"the journal {path} cannot be read: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(path, descriptor, _parsed(path))
        except BlockingIOError:
            os.close(descriptor)
            raise HarnessError(f"the run of the journal {path} is not over yet: wait for it, or end it") from None
        except HarnessError:
            os.close(descriptor)
            raise

    def close(self, *, done: bool) -> None:
        """Let go of it; ``done``: nothing is left in the store, so that it goes."""
        if done:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def dead_runs(uri: str, folder: Path) -> Iterator[Journal]:
    """The journals that earlier runs at ``uri`` have left in ``folder``, and that no run holds."""
    for path in sorted(folder.glob("*.json")):
        with suppress(HarnessError):
            journal = Journal.of_dead_run(path)
            if journal.written.uri == uri:
                yield journal
            else:
                journal.close(done=False)


def _parsed(path: Path) -> Written:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        written = Written(str(facts["uri"]), str(facts["scopes"]), tuple(str(key) for key in facts["keys"]))
    except (ValueError, KeyError, TypeError):
        raise HarnessError(f"{path} is no journal of a conformance run, or was cut short before anything ran") from None
    if not written.scopes.startswith("rud-conf-") or not all(key.startswith(written.scopes) for key in written.keys):
        raise HarnessError(f"{path} names what no conformance run writes: nothing is removed by it")
    return written


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
