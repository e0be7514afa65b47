"""X: what is declared is true, in both directions."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import fields

from rud.errors import ObjectExistsError, StoreError, UnsupportedOperationError
from rud.store import Capabilities
from rud_conformance.acts import Watched, coded, expect, get, got, holds, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.wire import Trouble


def refuses_create(place: Place) -> None:
    """Where create is a "no", a create raises ``UnsupportedOperationError`` before any request and reads nothing."""
    put(place.backend, "taken", b"x")
    for key in ("free", "taken"):
        for size in (3, place.limits.threshold + 5):
            read: list[int] = []
            source = Watched(coded(size), lambda read=read: read.append(1))
            before = _requests(place)
            error = expect(
                UnsupportedOperationError,
                lambda source=source, key=key: put(place.backend, key, source, create=True),
                "a create that is declared a 'no'",
            )
            same((before, []), (_requests(place), read), "requests and reads before it was refused")
            same(True, bool(str(error)), "whether the error says something")
    local = place.folder / "s"
    local.write_bytes(b"y")
    expect(
        UnsupportedOperationError,
        lambda: place.store.upload_object("free", local, overwrite=False),
        "an upload with overwrite=False",
    )
    holds(place.another(), {"taken": b"x"})


def refuses_ranges(place: Place) -> None:
    """Where ranges are a "no", a get from the middle raises ``UnsupportedOperationError`` and gives nothing."""
    put(place.backend, "k", b"0123456789")
    before = _requests(place)
    expect(UnsupportedOperationError, lambda: get(place.backend, "k", 3), "a get from the middle")
    same(before, _requests(place), "requests before it was refused")


def _requests(place: Place) -> int:
    return 0 if place.harness.wire(place.scope) is None else len(place.wire.requests())


REFUSALS = {"create": refuses_create, "ranges": refuses_ranges}
"""How a "no" of these is tested; of the others, that nothing is told."""


@case("X01", profile="smoke")
def declared(place: Place) -> None:
    """Every capability is ``True`` or a reason in words, and every instance says the same."""
    offers = place.capabilities
    if not isinstance(offers, Capabilities):
        raise AssertionError(f"capabilities are a rud.store.Capabilities, not {type(offers).__name__}")
    for field in fields(offers):
        value = getattr(offers, field.name)
        if value is not True and not (isinstance(value, str) and len(value.split()) >= 3):
            raise AssertionError(f"{field.name} is {value!r}: neither True nor a reason of a few words")
    same(offers, place.another().capabilities, "the capabilities of another instance")
    put(place.backend, "k", b"x")
    same(offers, place.backend.capabilities, "the capabilities after use")


@case("X02", profile="smoke")
def create(place: Place) -> None:
    """Create-only works where it is declared, and is refused before any request where it is not."""
    if place.capabilities.create is not True:
        refuses_create(place)
        return
    put(place.backend, "k", b"x", create=True)
    expect(ObjectExistsError, lambda: put(place.another(), "k", b"y", create=True), "a create of what is there")
    holds(place.another(), {"k": b"x"})


@case("X03", profile="smoke")
def ids(place: Place) -> None:
    """Ids are told where that is declared, and not where it is not."""
    put(place.backend, "k", b"x", entry_id="id")
    told = place.backend.head("k").entry_id
    if place.capabilities.entry_ids is True:
        same("id", told, "the id")
    elif told is not None:
        place.note("undeclared ability: entry_ids")


@case("X04", profile="smoke")
def sums(place: Place) -> None:
    """Checksums are told where that is declared, and not where it is not."""
    put(place.backend, "k", b"x")
    told = {place.backend.head("k").checksum, got(place.backend, "k")[1].checksum} - {None}
    if place.capabilities.checksums is True:
        same(1, len(told), "checksums that are told of one object")
    elif told:
        place.note("undeclared ability: checksums")


@case("X05", profile="smoke")
def from_the_middle(place: Place) -> None:
    """A get from the middle works where it is declared, and is refused where it is not."""
    if place.capabilities.ranges is not True:
        refuses_ranges(place)
        return
    put(place.backend, "k", b"0123456789")
    same(b"3456789", get(place.backend, "k", 3), "the bytes from 3")


@case("X06", profile="smoke")
def probing(place: Place) -> None:
    """A probe passes where we may write, in an empty store as in a full one, and leaves nothing."""
    place.backend.probe()
    same([], names(place.backend), "the listing after a probe")
    put(place.backend, "k", b"x")
    place.backend.probe()
    holds(place.another(), {"k": b"x"})
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("X07", profile="smoke")
def durable(place: Place) -> None:
    """A durable put stores as any other, where that is declared."""
    if place.capabilities.fsync is not True:
        return
    for size in (0, 5, place.limits.threshold + 5):
        put(place.backend, f"d/{size}", coded(size), durable=True)
        same(coded(size), get(place.another(), f"d/{size}"), "the bytes")


@case("X08", needs=("wire",))
def probing_without_leave(place: Place) -> None:
    """A probe raises when we may not write, when there is no bucket, and when nobody answers."""
    backend = place.backend  # built before there is trouble
    for trouble in (Trouble("status", 403, "AccessDenied"), Trouble("status", 404, "NoSuchBucket"), Trouble("reset")):
        place.all_fail(trouble)
        expect(StoreError, backend.probe, f"a probe under {trouble}")
        place.met()
    place.backend.probe()


@case("X09", needs=("wire",))
def probing_in_trouble(place: Place) -> None:
    """No object appears by a probe, or goes, whichever of its requests fails."""
    there = {"k": b"x", ".probe": b"y"}
    for key, data in there.items():
        put(place.another(), key, data)
    for n in range(10):
        backend = place.another()
        place.wire.plan({n: Trouble("reset")})
        # A backend may warn of what it could not take back.
        with warnings.catch_warnings(action="ignore"), suppress(StoreError):
            backend.probe()
        met = place.wire.clear()
        place.troubles += met
        holds(place.another(), there)
        if not met:
            return
