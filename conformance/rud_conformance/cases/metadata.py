"""S: what head tells."""

from __future__ import annotations

import google_crc32c

from rud._clock import SystemClock
from rud.errors import ObjectNotFoundError
from rud_conformance import strategies
from rud_conformance.acts import coded, expect, got, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case

_SKEW = 900.0
"""Seconds that clocks may be apart; S3 refuses requests beyond it."""


@case("S01", profile="smoke", given=strategies.sizes)
def sizes(place: Place, size: int) -> None:
    """The size is the number of bytes, and an ``int``, by head, by list and by ``get_object_size``."""
    put(place.backend, "k", coded(size))
    found = place.backend.head("k").size
    same((size, int), (found, type(found)), "the size")
    same(size, place.store.get_object_size("k"), "the size by get_object_size")
    same([size], [meta.size for meta in place.backend.list("")], "the size in the listing")


@case("S02", needs=("wire",))
def one_request(place: Place) -> None:
    """head makes one request, and reads no body."""
    put(place.backend, "k", coded(300))
    before = len(place.wire.requests())
    place.backend.head("k")
    same(["head"], place.wire.requests()[before:], "the requests of a head")


@case("S03", profile="smoke")
def beginnings(place: Place) -> None:
    """The beginning of a key, and what would be a folder of it, are no objects."""
    put(place.backend, "dir/name", b"x")
    for key in ("dir", "di", "dir/na", "dir/nam", "dir/name2", "name", "DIR/NAME"):
        expect(ObjectNotFoundError, lambda key=key: place.backend.head(key), f"head of {key!r}")
        expect(ObjectNotFoundError, lambda key=key: got(place.backend, key), f"get of {key!r}")


@case("S04", given=strategies.family)
def one_mapping(place: Place, family: tuple[str, ...]) -> None:
    """head and get find what put has stored and nothing that it has not: all operations mean the same by a key."""
    first, *others = family
    try:
        put(place.backend, first, b"x")
    except ValueError:
        return
    same(1, place.backend.head(first).size, f"the size of {first!a}")
    for key in others:
        for act in (place.backend.head, lambda key: got(place.backend, key)):
            expect((ObjectNotFoundError, ValueError), lambda act=act, key=key: act(key), f"a look at {key!a}")


@case("S08")
def modified(place: Place) -> None:
    """The time of the last change is in seconds since 1970, by a clock that is right, and does not go back."""
    put(place.backend, "k", b"1")
    first = place.backend.head("k").last_modified
    put(place.backend, "k", b"2")
    second = place.backend.head("k").last_modified
    if first is None or second is None:
        place.note("the time of the last change is not told")
        return
    now = SystemClock().time_ns() / 1e9
    if abs(first - now) > _SKEW:
        raise AssertionError(f"last_modified is {first}, and {now} is now: these are no seconds since 1970, UTC")
    if second < first - 1:
        raise AssertionError(f"last_modified went back from {first} to {second}")
    same(second, place.backend.head("k").last_modified, "the time, asked again")
    (listed,) = (meta.last_modified for meta in place.backend.list(""))
    if listed is not None and abs(listed - second) > 1:
        raise AssertionError(f"head says {second}, the listing {listed}")


@case("S09", profile="smoke")
def etags(place: Place) -> None:
    """Another content of the same size has another etag, where etags are told, or another checksum."""
    for size in (5, place.limits.threshold + 5):
        seen: set[object] = set()
        for salt in range(3):
            put(place.backend, "k", coded(size, salt=salt))
            meta = place.backend.head("k")
            seen.add((meta.etag, meta.checksum))
            if meta.etag is None and meta.checksum is None:
                place.note("nothing tells one version of an object from another")
                return
        same(3, len(seen), "different etags or checksums of three contents")


@case("S10", needs=("checksums",), profile="smoke")
def checksums(place: Place) -> None:
    """The checksum that is told is the CRC32C of the whole object, whether it went in one request or several."""
    sizes = (0, 5, place.limits.threshold, place.limits.threshold + 1, 2 * place.limits.part + 3)
    for data in (b"93130", *map(coded, sizes)):  # the sum of the first is 0x00000d48
        put(place.backend, "k", data)
        told = {place.backend.head("k").checksum, got(place.backend, "k")[1].checksum} - {None}
        same({int(google_crc32c.value(data))}, told, f"the checksums that are told of {len(data)} bytes")


@case("S11", needs=("entry_ids",), profile="smoke")
def entry_ids(place: Place) -> None:
    """The id of an upload is kept with the object, in one request or several, and goes when another put replaces it."""
    for size in (3, place.limits.threshold + 1):
        name = f"Id-{size}_b.C-{'0123456789abcdef' * 4}"
        put(place.backend, "k", coded(size), entry_id=name)
        same(name, place.backend.head("k").entry_id, "the id")
        put(place.another(), "k", coded(size + 1), entry_id="other")
        same("other", place.backend.head("k").entry_id, "the id after another put")
        put(place.backend, "k", coded(size))
        same(None, place.backend.head("k").entry_id, "the id after a put without one")


@case("S12", profile="smoke")
def of_the_version_that_was_read(place: Place) -> None:
    """get returns the metadata of head: the key as it was asked for, size, etag and id; also from the middle on."""
    for size in (0, 7, place.limits.threshold + 3):
        put(place.backend, "d/k", coded(size), entry_id="id")
        head = place.backend.head("d/k")
        for start in {0, size // 2 if place.capabilities.ranges is True else 0}:
            meta = got(place.backend, "d/k", start)[1]
            for name in ("key", "size", "etag", "entry_id"):
                same(getattr(head, name), getattr(meta, name), f"{name} of a get from {start} of {size}")


@case("S13", profile="smoke")
def key_as_asked(place: Place) -> None:
    """The key that head and list tell is the one that was asked for, without the prefix of the store."""
    for key in ("k", "d/k", "some/prefix/k"):
        put(place.backend, key, b"x")
        same(key, place.backend.head(key).key, "the key")
        same([key], [meta.key for meta in place.backend.list(key)], "the keys in the listing")
