"""What the author of a backend writes: how the suite gets at it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from rud._object_store import ObjectStore
from rud._registry import resolve
from rud._spec import StoreSpec
from rud.downloader import Downloader
from rud.store import Backend
from rud_conformance.verdict import HarnessError
from rud_conformance.wire import Wire

Address = tuple[str, Mapping[str, Any]]
"""A URI, and the ``backend_kwargs`` for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a backend changes its ways; the suite aims at these borders.

    ``part``: bytes of a part; ``threshold``: the most bytes that go in one request; ``page``: keys on one page of a
    listing. The less, the quicker the suite. ``slow``: each request takes more than a millisecond or so, so that fewer
    examples are tried.
    """

    part: int = 1024
    threshold: int = 1024
    page: int = 1000
    slow: bool = False
    widths: tuple[int, ...] = ()
    """Bits in which a number of bytes may have been kept, where the store has room for as many bytes: 31, say, and
    32. For the profile ``soak``."""
    keeps: Callable[[str], bool] | None = None
    """Keys that the *store* keeps as they are, where it is known not to keep others whatever the backend does: those
    are drawn by no generated case. The cases of families try them all the same; see ``ConformanceSuite.known``."""


class Raw(Protocol):
    """The store by another way than the backend."""

    def put(self, key: str, data: bytes) -> None: ...
    def read(self) -> dict[str, bytes]: ...


class Harness:
    """Derive from it and define ``open`` or ``address``; everything else adds power to the suite.

    A scope is text of letters, digits, ``-`` and ``/`` that begins and ends with neither: a prefix that nobody else
    uses. What is opened at one scope is one store, and shares no object with any other scope.
    """

    limits = Limits()
    ephemeral = False
    """Nothing outlives the process, so that nothing has to be cleaned up."""

    @property
    def again(self) -> str:
        """An expression that makes it once more, for the script of a failure; "" for its class without arguments. It
        may use ``os``, ``json`` and ``rud_conformance.at_uri``, and shows no secret."""
        return ""

    def open(self, scope: str) -> Backend:
        """A new, independent instance at ``scope``."""
        spec = self.spec(scope)
        if spec is None:
            raise HarnessError(f"{type(self).__name__} defines neither open() nor address()")
        return spec.open()

    def address(self, scope: str) -> Address | None:
        """The URI of ``scope``, and the arguments, by which another process can open it too."""
        return None

    def spec(self, scope: str) -> StoreSpec | None:
        """``address``, checked."""
        found = self.address(scope)
        return None if found is None else resolve(found[0], found[1])

    def store(self, backend: Backend) -> ObjectStore:
        """``backend`` as callers hold it."""
        return ObjectStore(backend)

    def downloader(self, scope: str) -> Downloader | None:
        """One that does not wait between its attempts."""
        found = self.address(scope)
        if found is None:
            return None
        return Downloader(found[0], backend_kwargs=found[1], wait=lambda seconds: None)

    def wire(self, scope: str) -> Wire | None:
        """A way to make trouble at ``scope``."""
        return None

    def raw(self, scope: str) -> Raw | None:
        """Another way to the objects of ``scope``."""
        return None

    def unfinished(self, scope: str) -> int | None:
        """How many uploads of ``scope`` are begun and neither completed nor aborted."""
        return None

    def stranger(self, scope: str) -> Backend | None:
        """An instance at ``scope`` with credentials that nobody knows."""
        return None

    def reader(self, scope: str) -> Backend | None:
        """An instance at ``scope`` with credentials that may only read."""
        return None

    def clean(self, scope: str) -> None:
        """Remove what is left at ``scope``; not called where nothing outlives the process."""
        backend = self.open(scope)
        for meta in list(backend.list("")):
            backend.delete(meta.key)
        backend.close()

    def alive(self) -> bool:
        """Whether the service answers at all; asked after a failure, so that an outage is not blamed on the backend."""
        return True

    def close(self) -> None:
        """The suite is done."""
        return


class _Opener(Harness):
    """A bare function as a harness."""

    def __init__(self, open_: Callable[[str], Backend]) -> None:
        self._open = open_

    def open(self, scope: str) -> Backend:
        return self._open(scope)


def harness_of(given: object) -> Harness:
    """``given`` as a harness: one, a class of one, a function of a scope, or ``"module:name"`` of any of these.

    ``HarnessError`` when it is none of them, cannot be imported, or raises.
    """
    if isinstance(given, Harness):
        return given
    if isinstance(given, str):
        return harness_of(_imported(given))
    if isinstance(given, type) and issubclass(given, Harness):
        try:
            return given()
        except Exception as error:
            raise HarnessError(f"{given.__name__}() raised {type(error).__name__}: {error}") from error
    if callable(given):
        return _Opener(cast("Callable[[str], Backend]", given))
    raise HarnessError(f"{given!r} is no harness: give a class derived from Harness, or a function of a scope")


def _imported(name: str) -> object:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise HarnessError(f"{name!r} cannot be imported as 'module:name': {type(error).__name__}: {error}") from error
