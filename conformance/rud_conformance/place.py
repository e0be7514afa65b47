"""Where one example of a case takes place: a scope of its own, and what can be opened there."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from rud._object_store import ObjectStore
from rud._spec import StoreSpec
from rud.downloader import Downloader
from rud.errors import StoreError
from rud.store import Backend, Capabilities
from rud_conformance.harness import Harness, Limits, Raw
from rud_conformance.verdict import HarnessError, InconclusiveError, NotOfferedError
from rud_conformance.wire import Trouble, Wire

T = TypeVar("T")
Opened = TypeVar("Opened", Backend, ObjectStore, Downloader)
_CLOSED_WITHIN = 5.0
"""Seconds."""


class Place:
    """An empty scope of the store. ``seed``: the beginning of every scope of this run."""

    _numbers = itertools.count(1)

    def __init__(self, harness: Harness, seed: str) -> None:
        self.harness = harness
        self._seed = seed
        self.scope = f"{seed}/{next(self._numbers)}"
        self._opened: list[Backend | ObjectStore | Downloader] = []
        self._fresh: list[Place] = []
        self._making = threading.Lock()  # Guards _folder: threads of a case may ask for it at once.
        self._folder: str | None = None
        self.troubles = 0
        self.notes: list[str] = []

    @property
    def limits(self) -> Limits:
        return self.harness.limits

    def another(self, below: str = "") -> Backend:
        """A new, independent instance here, or at a scope ``below`` this one."""
        scope = f"{self.scope}/{below}" if below else self.scope
        return self._kept(self._asked(lambda: self.harness.open(scope)))

    @cached_property
    def backend(self) -> Backend:
        """The instance that most cases use."""
        return self.another()

    @cached_property
    def store(self) -> ObjectStore:
        """An instance of its own, as callers hold it."""
        return self.another_store()

    def another_store(self) -> ObjectStore:
        """A new one."""
        return self._kept(self.harness.store(self._asked(lambda: self.harness.open(self.scope))))

    @cached_property
    def downloader(self) -> Downloader:
        return self._kept(self._needed("downloader", lambda: self.harness.downloader(self.scope)))

    @cached_property
    def capabilities(self) -> Capabilities:
        return self.backend.capabilities

    @cached_property
    def wire(self) -> Wire:
        return self._needed("wire", lambda: self.harness.wire(self.scope))

    @cached_property
    def raw(self) -> Raw:
        return self._needed("raw", lambda: self.harness.raw(self.scope))

    @cached_property
    def stranger(self) -> Backend:
        """Nobody knows it."""
        return self._kept(self._needed("stranger", lambda: self.harness.stranger(self.scope)))

    @cached_property
    def reader(self) -> Backend:
        """It may only read."""
        return self._kept(self._needed("reader", lambda: self.harness.reader(self.scope)))

    @property
    def spec(self) -> StoreSpec:
        return self._needed("address", lambda: self.harness.spec(self.scope))

    @property
    def unfinished(self) -> int:
        return self._needed("unfinished", lambda: self.harness.unfinished(self.scope))

    def offers_unfinished(self) -> bool:
        return self._given("unfinished", lambda: self.harness.unfinished(self.scope)) is not None

    @property
    def folder(self) -> Path:
        """An empty folder of this machine."""
        with self._making:
            if self._folder is None:
                self._folder = tempfile.mkdtemp(prefix="rud-conformance-")
            return Path(self._folder)

    def fresh(self) -> Place:
        """Another place."""
        made = Place(self.harness, self._seed)
        self._fresh.append(made)
        return made

    def note(self, text: str) -> None:
        """Information for the report."""
        if text not in self.notes:
            self.notes.append(text)

    def needs_kind(self, *kinds: str) -> None:
        """End the case here unless trouble of these ``kinds`` can be made."""
        if missing := sorted(set(kinds) - self.wire.kinds):
            raise NotOfferedError(f"the harness cannot make trouble of the kind {', '.join(missing)}")

    def met(self, *, at_least: int = 1) -> int:
        """Plan no more trouble; how much was met. Inconclusive if that is less than ``at_least``."""
        met = self.wire.clear()
        self.troubles += met
        if met < at_least:
            raise InconclusiveError("the planned fault was never met: no request was made after it was planned")
        return met

    def all_fail(self, trouble: Trouble) -> None:
        """Every request meets ``trouble`` until ``met``."""
        self.wire.plan_all(trouble)

    def close(self) -> None:
        """Close what was opened, remove what was written."""
        for one in self._fresh:
            one.close()
            self.troubles += one.troubles
            self.notes += one.notes
        self._fresh = []
        if "wire" in self.__dict__:
            self.wire.clear()
        if not self.harness.ephemeral:
            self._clean()
        # A store that hangs must not keep the suite from going on.
        closer = threading.Thread(target=self._close_all, daemon=True)
        closer.start()
        closer.join(_CLOSED_WITHIN)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def check_clean(self) -> None:
        """``HarnessError`` if ``close`` has left an object of a store that outlives the process."""
        if self.harness.ephemeral:
            return
        with closing(self._asked(lambda: self.harness.open(self.scope))) as backend:
            left = [meta.key for meta in backend.list("")]
        if left:
            raise HarnessError(
                f"after clean({self.scope!r}) there is still {left[0]!a}: define clean() so that it goes"
            )

    def _close_all(self) -> None:
        while self._opened:
            with suppress(Exception):
                self._opened.pop().close()

    def _clean(self) -> None:
        if self._opened:
            with suppress(Exception):
                self.harness.clean(self.scope)

    def _kept(self, opened: Opened) -> Opened:
        self._opened.append(opened)
        return opened

    def _asked(self, ask: Callable[[], Backend]) -> Backend:
        try:
            made: object = ask()
        except HarnessError:
            raise
        except StoreError as error:
            # Only a request can raise it, and none may be made yet.
            raise AssertionError(f"open({self.scope!r}) has asked the service, and raised {error}") from error
        except Exception as error:
            raise HarnessError(f"open({self.scope!r}) raised {type(error).__name__}: {error}") from error
        if not isinstance(made, Backend):
            raise HarnessError(f"open({self.scope!r}) returned {type(made).__name__}, which is no rud.Backend")
        return made

    def _given(self, name: str, ask: Callable[[], T | None]) -> T | None:
        try:
            return ask()
        except Exception as error:
            said = f"{name}({self.scope!r}) raised {type(error).__name__}: {error}"
            raise HarnessError(said) from error

    def _needed(self, name: str, ask: Callable[[], T | None]) -> T:
        found = self._given(name, ask)
        if found is None:
            raise NotOfferedError(f"the harness has no {name}()")
        return found
