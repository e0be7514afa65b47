"""Faulty harnesses: what the author of one may get wrong. None may end in a green run, whatever the backend is like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from rud._object_store import ObjectStore
from rud.downloader import Downloader
from rud.store import Backend
from rud_conformance.harness import Harness, Raw
from rud_conformance.harnesses import Wired
from rud_conformance.wire import Trouble
from rud_conformance.wired import Service


@dataclass(frozen=True, slots=True)
class Lie:
    """``lie`` in words; ``case``: the id of one that must end in "fail", "inconclusive" or "error in harness"."""

    id: str
    lie: str
    case: str
    harness: type[Harness]


_lies: list[Lie] = []


def lies() -> list[Lie]:
    """All of them."""
    return list(_lies)


def lie(id: str, case: str, told: str) -> Callable[[type[Harness]], type[Harness]]:  # noqa: A002 - as for mutants
    """Enter the decorated harness."""

    def enter(cls: type[Harness]) -> type[Harness]:
        _lies.append(Lie(id, told, case, cls))
        return cls

    return enter


def _elsewhere(scope: str) -> str:
    seed, number, *_ = scope.split("/")
    return f"{seed}/{number}elsewhere"


class _Wire:
    """A wire that is not quite the one of ``scope``."""

    def __init__(self, there: Service) -> None:
        self._there = there

    @property
    def kinds(self) -> frozenset[str]:
        return self._there.kinds

    def plan(self, troubles: Mapping[int, Trouble]) -> None:
        return

    def plan_all(self, trouble: Trouble) -> None:
        return

    def clear(self) -> int:
        return 0

    def requests(self) -> list[str]:
        return self._there.requests()


class _Claims(_Wire):
    def clear(self) -> int:
        return 1


@lie("wire-makes-none", "E02", "the trouble that is planned is never made")
class WireMakesNone(Wired):
    def wire(self, scope: str) -> Service:
        return cast(Service, _Wire(super().wire(scope)))


@lie("wire-claims", "E02", "the trouble that is planned is never made, and told as met")
class WireClaims(Wired):
    def wire(self, scope: str) -> Service:
        return cast(Service, _Claims(super().wire(scope)))


@lie("wire-elsewhere", "E02", "trouble is made for another scope")
class WireElsewhere(Wired):
    def wire(self, scope: str) -> Service:
        return super().wire(_elsewhere(scope))


@lie("raw-elsewhere", "V13", "the other way leads to another scope")
class RawElsewhere(Wired):
    def raw(self, scope: str) -> Raw:
        return super().raw(_elsewhere(scope))


class _Mute:
    def __init__(self, there: Raw) -> None:
        self._there = there

    def put(self, key: str, data: bytes) -> None:
        return

    def read(self) -> dict[str, bytes]:
        return self._there.read()


class _Blind:
    def __init__(self, there: Raw) -> None:
        self._there = there

    def put(self, key: str, data: bytes) -> None:
        self._there.put(key, data)

    def read(self) -> dict[str, bytes]:
        return {}


@lie("raw-reads-nothing", "V13", "the other way never sees an object")
class RawReadsNothing(Wired):
    def raw(self, scope: str) -> Raw:
        return _Blind(super().raw(scope))


@lie("raw-writes-nothing", "V13", "the other way stores nothing")
class RawWritesNothing(Wired):
    def raw(self, scope: str) -> Raw:
        return _Mute(super().raw(scope))


@lie("unfinished-is-zero", "P12", "nothing is ever unfinished")
class UnfinishedIsZero(Wired):
    def unfinished(self, scope: str) -> int:
        return 0


@lie("unfinished-is-one", "R03", "something is always unfinished")
class UnfinishedIsOne(Wired):
    def unfinished(self, scope: str) -> int:
        return 1


@lie("one-scope", "N01", "all scopes are one")
class OneScope(Wired):
    def _where(self, scope: str) -> tuple[str, str]:
        return scope.split("/", maxsplit=1)[0], "one"


@lie("scopes-by-number", "N01", "ten scopes share one")
class ScopesShared(Wired):
    def _where(self, scope: str) -> tuple[str, str]:
        seed, number, *below = scope.split("/")
        return super()._where("/".join([seed, str(int(number) // 10), *below]))


@lie("other-store-each-time", "N02", "each instance is a store of its own")
class OtherEachTime(Wired):
    opened = 0

    def open(self, scope: str) -> Backend:
        self.opened += 1
        seed, number, *below = scope.split("/")
        return super().open("/".join([f"{seed}x{self.opened}", number, *below]))


@lie("one-instance", "Z04", "the same instance is handed out again")
class OneInstance(Wired):
    def __init__(self) -> None:
        self._made: dict[str, Backend] = {}

    def open(self, scope: str) -> Backend:
        if scope not in self._made:
            self._made[scope] = super().open(scope)
        return self._made[scope]


@lie("clean-removes-nothing", "N13", "what a place has left stays")
class CleanRemovesNothing(Wired):
    ephemeral = False

    def clean(self, scope: str) -> None:
        return


@lie("clean-raises", "N13", "cleaning fails")
class CleanRaises(Wired):
    ephemeral = False

    def clean(self, scope: str) -> None:
        raise RuntimeError("no")


@lie("downloader-elsewhere", "D14", "downloads come from another scope")
class DownloaderElsewhere(Wired):
    def downloader(self, scope: str) -> Downloader:
        return super().downloader(_elsewhere(scope))


@lie("store-elsewhere", "R09", "callers hold another store")
class StoreElsewhere(Wired):
    def store(self, backend: Backend) -> ObjectStore:
        return super().store(self.open("another/store"))


@lie("stranger-is-known", "A01", "the credentials that nobody knows are let in")
class StrangerIsKnown(Wired):
    def stranger(self, scope: str) -> Backend:
        return self.open(scope)


@lie("reader-may-write", "A02", "the credentials that may only read may write")
class ReaderMayWrite(Wired):
    def reader(self, scope: str) -> Backend:
        return self.open(scope)


@lie("keeps-nothing", "N01", "the store is said to keep no key at all")
class KeepsNothing(Wired):
    limits = replace(Wired.limits, keeps=lambda key: False)
