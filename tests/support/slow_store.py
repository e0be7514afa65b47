"""A folder store that is slow, fails, hangs or ends its worker where a plan says so, and tells what it does.

Only ``control``, a folder, is an argument; what lies in it can be changed between and during runs:

- ``plan.json``: for a key, or ``"*"``, what its attempts do, in order; the last one repeats. See ``SlowStore._act``.
- ``down``: while it is there, every request fails for want of an answer.
- ``die``: while it is there, whatever opens the store as a worker ends.
- ``gate``, ``never``: pipes; a put that is to wait waits until somebody holds the pipe open for writing.
- ``events``: a pipe, and ``journal``, a file: one line of JSON for everything that happens.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any, ClassVar

from rud._links import MARK
from rud.backends.local import LocalObjectStore
from rud.errors import AccessDeniedError, ObjectStoreTransientError
from rud.store import ObjectMeta, OnMultipart, PutMode, PutResult, Source


class SlowStore(LocalObjectStore):
    """Ruled by the folder ``control``; the objects of ``slow://here/tmp/objects`` are in ``/tmp/objects``."""

    public_arguments: ClassVar[frozenset[str]] = frozenset({"control"})

    def __init__(self, bucket: str, prefix: str = "", *, control: str) -> None:
        super().__init__(f"/{prefix}")
        self._control = Path(control)
        self._tell("open")
        if _in_a_worker() and (self._control / "die").exists():
            _end_worker()

    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        attempt = self._count(key)
        # Before the word: once it has begun a test may end this thread at any step, and a file it had open would warn.
        action = self._action(key, attempt)
        self._tell("begin", key, attempt=attempt)
        self._fail_if_down("put", key)
        self._act(action, key, source)
        source.seek(0)
        result = super().put(
            key,
            source,
            mode=mode,
            checksum=checksum,
            entry_id=entry_id,
            durable=durable,
            on_multipart=on_multipart,
        )
        self._tell("end", key, attempt=attempt, entry_id=entry_id)
        return result

    def head(self, key: str) -> ObjectMeta:
        self._fail_if_down("head", key)
        return super().head(key)

    def probe(self) -> None:
        self._tell("probe")
        self._fail_if_down("probe", "")
        super().probe()

    def _act(self, action: str, key: str, source: Source) -> None:
        word, _, number = action.partition(" ")
        match word:
            case "503":
                raise ObjectStoreTransientError.during("put", key, "503 SlowDown")
            case "denied":
                raise AccessDeniedError.during("put", key, "403 AccessDenied")
            case "hang":
                self._wait_for("never")
            case "gate":
                self._wait_for("gate")
            case "end":
                _end_worker()
            case "eat":
                _ = b"x" * (int(number) << 20)
            case "gil":  # C code that never lets another thread run
                ctypes.PyDLL(None).poll(None, 0, int(float(number) * 1000))
            case "trickle":
                for _ in range(10):
                    source.read(max(1, len(source) // 10))
                    threading.Event().wait(float(number) / 10)
            case _:
                pass

    def _action(self, key: str, attempt: int) -> str:
        plan = json.loads((self._control / "plan.json").read_bytes())
        actions: list[str] = plan.get(key, plan.get("*", [""]))
        return actions[min(attempt, len(actions)) - 1]

    def _count(self, key: str) -> int:
        """The number of this attempt at ``key``, over all processes."""
        attempt = 1
        while True:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._control / f"attempt-{key.replace('/', '%')}-{attempt}", os.O_CREAT | os.O_EXCL))
                return attempt
            attempt += 1

    def _wait_for(self, pipe: str) -> None:
        os.close(os.open(self._control / pipe, os.O_RDONLY))

    def _fail_if_down(self, operation: str, key: str) -> None:
        if (self._control / "down").exists():
            self._tell("down", key)
            raise ObjectStoreTransientError.during(operation, key, "no answer")

    def _tell(self, what: str, key: str = "", **facts: Any) -> None:
        event = {"what": what, "key": key, "pid": os.getpid(), "worker": _in_a_worker(), **facts}
        line = json.dumps(event).encode() + b"\n"
        append(self._control / "journal", line)
        with contextlib.suppress(OSError):
            pipe = os.open(self._control / "events", os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(pipe, line)
            finally:
                os.close(pipe)


def append(path: Path, line: bytes) -> None:
    """One write of a whole line, at the end: several processes may do it at once."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def _in_a_process() -> bool:
    return os.environ.get(MARK) is not None and threading.current_thread() is threading.main_thread()


def _in_a_worker() -> bool:
    return _in_a_process() or threading.current_thread().name == "rud-worker"


def _end_worker() -> None:
    """A process is killed; of a thread this is the nearest thing."""
    if _in_a_process():
        os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit("this worker ends here")
