"""Q: sequences of operations against a dictionary. A sequence is plain data, so that it shrinks and can be replayed."""

from __future__ import annotations

from typing import Any

from rud.errors import InvalidKeyError, ObjectExistsError, ObjectNotFoundError, ObjectStoreTransientError, StoreError
from rud.store import Backend
from rud_conformance import strategies
from rud_conformance.acts import by_utf8, coded, expect, get, holds, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.wire import Trouble

Steps = tuple[tuple[Any, ...], ...]


class Semantics:
    """Does each step to the store and to ``model``; every other time to another instance."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._backend: Backend = place.backend
        self._other: Backend = place.another()
        self._creates = place.capabilities.create is True
        self._ranges = place.capabilities.ranges is True
        self.model: dict[str, bytes] = {}
        self._salt = 0

    def put(self, key: str, size: int) -> None:
        self._write(key, size, create=False)

    def create(self, key: str, size: int) -> None:
        if not self._creates:
            return
        if key in self.model:
            act = lambda: put(self._backend, key, coded(size), create=True)  # noqa: E731 - for expect
            expect(ObjectExistsError, act, f"a create of {key!a}, which is there")
        else:
            self._write(key, size, create=True)

    def _write(self, key: str, size: int, *, create: bool) -> None:
        self._salt += 1
        data = coded(size, salt=self._salt)
        try:
            put(self._backend, key, data, create=create)
        except InvalidKeyError:
            return
        except StoreError as error:
            if type(error) is StoreError and self._in_the_way(key):
                return
            raise
        self.model[key] = data
        for reader in (self._backend, self._other):
            same(size, reader.head(key).size, f"the size of {key!a} after a put")

    def _in_the_way(self, key: str) -> bool:
        return any(one.startswith(f"{key}/") or key.startswith(f"{one}/") for one in self.model)

    def delete(self, key: str) -> None:
        try:
            self._backend.delete(key)
        except InvalidKeyError:
            same(False, key in self.model, f"whether {key!a} is there, which delete refuses")
        self.model.pop(key, None)

    def read(self, key: str, start: int) -> None:
        if key in self.model:
            same(self.model[key], get(self._backend, key), f"the bytes of {key!a}")
            same(len(self.model[key]), self._backend.head(key).size, f"the size of {key!a}")
            if self._ranges:
                same(self.model[key][start:], get(self._backend, key, start), f"the bytes of {key!a} from {start}")
            return
        missing = (ObjectNotFoundError, InvalidKeyError)
        expect(missing, lambda: get(self._backend, key), f"get of {key!a}, which is not there")
        expect(missing, lambda: self._backend.head(key), f"head of {key!a}, which is not there")

    def list(self, key: str, cut: int) -> None:
        prefix = key[: max(0, len(key) - cut)]
        expected = by_utf8(one for one in self.model if one.startswith(prefix))
        same(expected, names(self._backend, prefix), f"the listing of {prefix!a}")

    def swap(self) -> None:
        self._backend, self._other = self._other, self._backend

    def upload(self, key: str, size: int) -> None:
        source = self._place.folder / "source"
        self._salt += 1
        source.write_bytes(coded(size, salt=self._salt))
        try:
            self._place.store.upload_object(key, source)
        except InvalidKeyError:
            return
        except StoreError as error:
            if type(error) is StoreError and self._in_the_way(key):
                return
            raise
        self.model[key] = source.read_bytes()

    def download(self, key: str) -> None:
        copy = self._place.folder / "copy"
        if key in self.model:
            self._place.store.download_object(key, copy, overwrite=True)
            same(self.model[key], copy.read_bytes(), f"the download of {key!a}")
        else:
            act = lambda: self._place.store.download_object(key, copy, overwrite=True)  # noqa: E731 - for expect
            expect((ObjectNotFoundError, InvalidKeyError), act, f"the download of {key!a}, which is not there")


@case("Q01", profile="smoke", given=strategies.steps, weight=2)
def semantics(place: Place, steps: Steps) -> None:
    """Whatever is done, in whatever order and by whichever instance, the store holds what a dictionary would."""
    machine = Semantics(place)
    for rule, *arguments in steps:
        getattr(machine, rule)(*arguments)
        same(by_utf8(machine.model), names(place.backend), f"the listing after {rule} {arguments!a}")
    holds(place.another(), machine.model)


_TROUBLES = {
    "status": Trouble("status", 503),
    "reset": Trouble("reset"),
    "lost": Trouble("lost"),
    "status_after": Trouble("status_after", 500),
}


class Faults:
    """What each key may hold: more than one thing after an answer was lost, until a read has settled it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._may: dict[str, set[bytes | None]] = {}
        self._salt = 0

    def step(self, rule: str, key: str, size: int, n: int, kind: str) -> None:
        trouble = _TROUBLES.get(kind)
        if trouble is not None and kind in self._place.wire.kinds:
            self._place.wire.plan({n: trouble})
        try:
            getattr(self, rule)(key, size)
        finally:
            self._place.troubles += self._place.wire.clear()

    def _known(self, key: str) -> set[bytes | None]:
        return self._may.setdefault(key, {None})

    def put(self, key: str, size: int, *, create: bool = False) -> None:
        self._salt += 1
        data = coded(size, salt=self._salt)
        try:
            put(self._place.backend, key, data, create=create)
        except ObjectExistsError:
            if not create or self._known(key) == {None}:
                raise
            self._known(key).discard(None)
        except ObjectStoreTransientError:
            self._known(key).add(data)
        else:
            if create and None not in self._known(key):
                raise AssertionError(f"a create of {key!a} succeeded, though it was there")
            self._may[key] = {data}

    def create(self, key: str, size: int) -> None:
        if self._place.capabilities.create is True:
            self.put(key, size, create=True)

    def delete(self, key: str, _: int) -> None:
        try:
            self._place.backend.delete(key)
        except ObjectStoreTransientError:
            self._known(key).add(None)
        else:
            self._may[key] = {None}

    def read(self, key: str, _: int) -> None:
        found: bytes | None
        try:
            found = get(self._place.backend, key)
        except ObjectNotFoundError:
            found = None
        except ObjectStoreTransientError:
            return
        self._settle(key, found)

    def _settle(self, key: str, found: bytes | None) -> None:
        if found not in self._known(key):
            raise AssertionError(f"{key!a} holds what it never can: {'nothing' if found is None else len(found)}")
        self._may[key] = {found}

    def list(self, key: str, _: int) -> None:
        try:
            listed = names(self._place.backend)
        except ObjectStoreTransientError:
            return
        for one, may in self._may.items():
            if (one in listed and may == {None}) or (one not in listed and None not in may):
                raise AssertionError(f"the listing {'has' if one in listed else 'lacks'} {one!a}")

    def end(self) -> None:
        for key in list(self._may):
            self.read(key, 0)
        self.list("", 0)


@case("Q02", needs=("wire",), profile="smoke", given=strategies.troubled_steps, weight=2)
def faults(place: Place, steps: Steps) -> None:
    """Under whatever troubles, what is there is what was put, or may have been; what was settled stays so."""
    machine = Faults(place)
    for rule, key, size, n, kind in steps:
        try:
            machine.step(rule, key, size, n, kind)
        except InvalidKeyError:
            continue
        except StoreError as error:
            # A folder cannot keep an object under another.
            if type(error) is StoreError:
                continue
            raise
    machine.end()
