"""Faulty backends: the proof that the suite can fail. ``python -m rud_conformance.mutants`` prints the score.

Each mutant names the cases that have to kill it, each by itself. Most derive from ``WiredBackend``, or from rud's own
``ObjectStore`` and ``Downloader``; all of them make mistakes that somebody has made.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rud._object_store import ObjectStore
from rud.downloader import Downloader
from rud_conformance.harness import Harness
from rud_conformance.harnesses import Wired
from rud_conformance.wired import WiredBackend

T = TypeVar("T", bound=type[Any])


@dataclass(frozen=True, slots=True)
class Mutant:
    """``bug`` in words; ``killers``: ids of the cases each of which has to fail on it."""

    id: str
    bug: str
    killers: tuple[str, ...]
    harness: type[Harness]


_mutants: dict[str, Mutant] = {}


def mutant(id: str, killers: str, bug: str) -> Callable[[T], T]:  # noqa: A002 - as it is called everywhere else
    """Enter the decorated class: a backend, a store of callers, a downloader, or a whole harness."""

    def enter(cls: T) -> T:
        if id in _mutants:
            raise ValueError(f"there are two mutants {id!r}")
        _mutants[id] = Mutant(id, bug, tuple(killers.split()), _harness(id, cls))
        return cls

    return enter


def _harness(name: str, cls: type[Any]) -> type[Harness]:
    if issubclass(cls, Harness):
        return cls
    for base, attribute in ((WiredBackend, "backend"), (ObjectStore, "caller"), (Downloader, "fetcher")):
        if issubclass(cls, base):
            return type(name, (Wired,), {attribute: cls})
    raise TypeError(f"{cls!r} is nothing that a mutant can be")


def mutants() -> list[Mutant]:
    """All of them."""
    for module in (
        "blunt",
        "callers",
        "errors",
        "folders",
        "keys",
        "lives",
        "puts",
        "reads",
        "servers",
        "unseen",
        "unseen2",
    ):
        importlib.import_module(f"rud_conformance.mutants.{module}")  # which enters them
    return list(_mutants.values())


def killed_by(case: str) -> list[str]:
    """The ids of the mutants that ``case`` has to kill."""
    return [one.id for one in mutants() if case in one.killers]
