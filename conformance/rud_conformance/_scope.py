"""The place where the command writes: is it empty, what stands beside it, and how it is emptied again."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from rud._spec import StoreSpec
from rud.errors import RudError, StoreError
from rud.store import Backend
from rud_conformance._journal import Written
from rud_conformance.acts import get, put
from rud_conformance.verdict import HarnessError

T = TypeVar("T")
_CANARY = b"This object was made by a conformance run, beside the place where it wrote, and should have gone with it."


def canaries(scopes: str) -> tuple[str, ...]:
    """Keys beside ``scopes`` that begin as it does."""
    return (f"{scopes}x", f"{scopes}-beside/canary")


def within(seconds: float, what: str, call: Callable[[], T]) -> T:
    """What ``call`` returns or raises; ``HarnessError`` if the store has not done ``what`` after ``seconds``."""
    outcome: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised below, on the thread that asked
            raised.append(error)

    thread = threading.Thread(target=run, name="rud-conformance-store", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not outcome:
        raise HarnessError(f"the store has not answered after {seconds:g} s when it was to {what}")
    return outcome[0]


class Scope:
    """What is ``written`` below one place. ``patience``: seconds for each thing that is asked of the store."""

    def __init__(self, spec: StoreSpec, written: Written, patience: float) -> None:
        self._spec = spec
        self.written = written
        self._patience = patience
        self._backend: Backend | None = None

    @property
    def backend(self) -> Backend:
        """At the whole place. ``HarnessError`` when it cannot be opened."""
        if self._backend is None:
            self._backend = within(self._patience, "open", self._open)
        return self._backend

    def _open(self) -> Backend:
        try:
            return self._spec.open()
        except RudError:
            raise
        except Exception as error:
            raise HarnessError(f"the store cannot be opened: {type(error).__name__}: {error}") from error

    def is_empty(self) -> bool:
        return within(self._patience, "list the place", lambda: not any(True for _ in self.backend.list("")))

    def answers(self) -> bool:
        """Whether a listing succeeds."""
        try:
            self.is_empty()
        except (RudError, HarnessError):
            return False
        return True

    def set_canaries(self) -> None:
        for key in self.written.keys:
            within(self._patience, "put an object", partial(put, self.backend, key, _CANARY))

    def touched(self) -> list[str]:
        """The canaries that are not any more what they were."""
        return within(self._patience, "read what is beside the place", self._touched)

    def _touched(self) -> list[str]:
        found = []
        for key in self.written.keys:
            try:
                if get(self.backend, key) != _CANARY:
                    found.append(key)
            except RudError:
                found.append(key)
        return found

    def remove(self) -> str:
        """Remove all that is written; why something may be left, or nothing."""
        try:
            left = within(4 * self._patience, "remove what was written", self._remove)
        except (RudError, HarnessError) as error:
            return str(error)
        return f"still there: {', '.join(map(ascii, left[:5]))}" if left else ""

    def _remove(self) -> list[str]:
        prefix = f"{self.written.scopes}/"
        _abort_unfinished(self.backend, prefix)
        for key in [*(meta.key for meta in self.backend.list(prefix)), *self.written.keys]:
            try:
                self.backend.delete(key)
            except RudError:
                continue  # what is left is seen below
        if self._spec.scheme == "file":
            shutil.rmtree(Path(self._spec.bucket, self._spec.prefix, self.written.scopes), ignore_errors=True)
        beside = {meta.key for key in self.written.keys for meta in self.backend.list(key)}
        return [meta.key for meta in self.backend.list(prefix)] + sorted(beside & set(self.written.keys))

    def close(self) -> None:
        if self._backend is not None:
            within(self._patience, "close", self._backend.close)


def _abort_unfinished(backend: Backend, prefix: str) -> None:
    from rud.backends._s3_errors import translated
    from rud.backends.s3 import S3ObjectStore

    if not isinstance(backend, S3ObjectStore):
        return  # no other store of rud keeps parts under a key
    # The contract has no call that lists them without their keys.
    whole = backend._prefix + prefix  # noqa: SLF001 - see above
    with suppress(StoreError), translated("abort", prefix):
        for page in backend._requests.pages("list_multipart_uploads", Prefix=whole):  # noqa: SLF001 - as above
            for one in page.get("Uploads", ()):
                backend.abort(prefix + one["Key"].removeprefix(whole), one["UploadId"])
