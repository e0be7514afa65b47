"""O: a put replaces all of an object; a create never does."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rud.errors import ObjectExistsError, ObjectStoreTransientError, StoreError
from rud.store import Backend
from rud_conformance import strategies
from rud_conformance.acts import Failing, Watched, coded, expect, get, holds, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.wire import Trouble


@case("O01", profile="smoke")
def replaced(place: Place) -> None:
    """A shorter, a longer and an empty object replace all of what was there."""
    for data in (b"0123456789", b"abc", b"", b"abcdefghijklmno", b"x"):
        put(place.backend, "k", data)
        holds(place.another(), {"k": data})


@case("O02")
def across_the_threshold(place: Place) -> None:
    """So do one request what several have stored, and several what one has."""
    threshold = place.limits.threshold
    for size in (threshold, 2 * threshold + 1, 1, threshold + 1, 0, threshold + 1):
        put(place.backend, "k", coded(size, salt=size))
        same(coded(size, salt=size), get(place.backend, "k"), f"the bytes after a put of {size}")
        same(["k"], names(place.backend), "the listing")


@case("O03", profile="smoke")
def replaced_by_another(place: Place) -> None:
    """What another instance stores is seen at once, whatever this one has seen before: nothing is cached."""
    put(place.backend, "k", b"old")
    same((3, b"old", ["k"]), _all(place.backend), "the object")
    put(place.another(), "k", b"newer")
    same((5, b"newer", ["k"]), _all(place.backend), "the object")


def _all(backend: Backend) -> tuple[int, bytes, list[str]]:
    return backend.head("k").size, get(backend, "k"), names(backend)


@case("O04", needs=("create",), profile="smoke")
def create(place: Place) -> None:
    """A create of a free key stores; of a taken one it raises ``ObjectExistsError`` and leaves bytes and metadata."""
    put(place.backend, "k", b"first", create=True, entry_id="0001")
    before = place.backend.head("k")
    for data in (b"second", b"first", b""):
        error = expect(ObjectExistsError, lambda data=data: put(place.backend, "k", data, create=True), "a create")
        same("k", error.key, "the key that the error names")
    same(before, place.backend.head("k"), "the metadata")
    holds(place.another(), {"k": b"first"})


@case("O05", needs=("create",))
def create_in_parts(place: Place) -> None:
    """A create of several parts is refused on a taken key as one of one request is, and leaves nothing unfinished."""
    data = coded(place.limits.threshold + 1)
    put(place.backend, "new", data, create=True)
    same(data, get(place.backend, "new"), "the bytes")
    put(place.backend, "k", b"first")
    expect(ObjectExistsError, lambda: put(place.backend, "k", data, create=True), "a create in parts")
    same(b"first", get(place.backend, "k"), "the bytes")
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("O06", needs=("create",))
def create_empty(place: Place) -> None:
    """A create without bytes, and one over an empty object, are creates like others."""
    put(place.backend, "k", b"", create=True)
    expect(ObjectExistsError, lambda: put(place.backend, "k", b"", create=True), "a create without bytes")
    expect(ObjectExistsError, lambda: put(place.backend, "k", b"x", create=True), "a create over an empty object")
    put(place.backend, "d/x", b"x")
    try:
        put(place.backend, "d", b"d", create=True)
    except ObjectExistsError as error:
        raise AssertionError("a create of 'd' was told that it exists, but only 'd/x' does") from error
    except StoreError:
        place.note("an object may not have a name that is a folder of others")


@case("O07", needs=("create",))
def race(place: Place) -> None:
    """Of creates of one key at once exactly one succeeds, the others are told so, and its bytes are what is there."""
    for turn in range(3 if place.limits.slow else 10):
        key = f"k{turn}"
        ended = _at_once([_creating(place, key, number) for number in range(6)])
        won = [number for number, error in enumerate(ended) if error is None]
        others = [error for error in ended if error is not None and not isinstance(error, ObjectExistsError)]
        same([], [repr(error) for error in others], "errors of the losers")
        same(1, len(won), "winners")
        same(bytes([won[0]]) * 40, get(place.backend, key), "the bytes")


def _creating(place: Place, key: str, number: int) -> Callable[..., object]:
    backend = place.another()
    return lambda: put(backend, key, bytes([number]) * 40, create=True)


def _at_once(acts: list[Callable[..., object]]) -> list[BaseException | None]:
    start = threading.Barrier(len(acts))
    ended: list[BaseException | None] = [None] * len(acts)

    def run(number: int) -> None:
        start.wait(30)
        try:
            acts[number]()
        except BaseException as error:  # noqa: BLE001 - told by whoever asked
            ended[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return ended


@case("O08", needs=("create",), profile="smoke")
def overtaken(place: Place) -> None:
    """A rival that stores the key while a create reads its body wins: the create raises and changes nothing."""
    for size in (4, place.limits.threshold + 5):
        for at in {0, size // 2, size - 1}:
            key, rival = f"k/{size}/{at}", place.another()
            late = Watched(coded(size), lambda key=key, rival=rival: put(rival, key, b"rival"), at)
            expect(
                ObjectExistsError,
                lambda late=late, key=key: put(place.backend, key, late, create=True),
                "a late create",
            )
            same(b"rival", get(place.backend, key), "the bytes")
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("O09", needs=("create", "entry_ids", "wire"))
def create_whose_reply_is_lost(place: Place) -> None:
    """A create whose answer is lost succeeds or is transient, never "exists", with an id, which says whose the object
    is, or without."""
    for size in (4, place.limits.threshold + 1):
        key = f"k{size}"
        put(place.backend, f"{key}-", coded(size), create=True)
        last = _requests_of(place, lambda size=size: put(place.backend, f"{size}?", coded(size), create=True)) - 1
        place.needs_kind("lost")
        place.wire.plan({last: Trouble("lost")})
        try:
            put(place.backend, key, coded(size), create=True, entry_id="mine")
        except ObjectStoreTransientError:
            pass
        except ObjectExistsError as error:
            raise AssertionError("a create whose answer was lost said that somebody else's object is there") from error
        place.met()
        same("mine", place.backend.head(key).entry_id, "the id of the object")
        _by_hand(place, coded(size), last)


def _by_hand(place: Place, data: bytes, last: int) -> None:
    """As ``upload_object`` does it: nobody is there to tell by an id whose the object is."""
    file, key = place.folder / "s", f"h{len(data)}"
    file.write_bytes(data)
    place.wire.plan({last: Trouble("lost")})
    try:
        place.store.upload_object(key, file, overwrite=False)
    except ObjectStoreTransientError:
        pass
    except ObjectExistsError as error:
        raise AssertionError("an upload whose answer was lost said that somebody else's object is there") from error
    place.met()
    same(data, get(place.backend, key), "the bytes of the upload")


def _requests_of(place: Place, act: Callable[..., object]) -> int:
    before = len(place.wire.requests())
    act()
    return len(place.wire.requests()) - before


@case("O10", needs=("create",))
def create_against_overwrite(place: Place) -> None:
    """A create and an overwrite at once leave the whole of one of them."""
    for turn in range(3 if place.limits.slow else 10):
        key, one, two = f"k{turn}", place.another(), place.another()
        first, second = b"a" * 40, b"b" * 30
        _at_once(
            [
                lambda one=one, key=key, first=first: put(one, key, first, create=True),
                lambda two=two, key=key, second=second: put(two, key, second),
            ]
        )
        same(second, get(place.backend, key), "the bytes: a create never replaces, an overwrite always does")
    size, other = place.limits.threshold + 5, place.another()
    for length in (9, size):
        during = Watched(
            coded(length), lambda length=length: put(other, f"d{length}", b"first", create=True), length - 1
        )
        put(place.backend, f"d{length}", during)
        same(coded(length), get(place.backend, f"d{length}"), "the bytes of an overwrite that a create has overtaken")


@case("O11", needs=("create",))
def losing_create_is_told_nothing(place: Place) -> None:
    """An upload with ``overwrite=False`` of a taken name raises, and its callback is not told that all is done."""
    put(place.backend, "k", b"first")
    source = place.folder / "source"
    source.write_bytes(coded(place.limits.threshold + 5 if not place.limits.slow else 300))
    calls: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        calls.append((done, total))

    expect(
        FileExistsError,
        lambda: place.store.upload_object("k", source, overwrite=False, callback=note),
        "an upload with overwrite=False",
    )
    same([], [done for done, total in calls if done == total], "calls that say that all is done")
    holds(place.backend, {"k": b"first"})


@case("O13")
def same_again(place: Place) -> None:
    """The same bytes put twice are one object, in one entry of the listing."""
    for _ in range(2):
        put(place.backend, "k", b"same")
        holds(place.another(), {"k": b"same"})


@case("O14", needs=("create",))
def failed_create_frees_the_key(place: Place) -> None:
    """A create that fails before it is done leaves the key free for the next."""
    for size in (5, place.limits.threshold + 5):
        key = f"k{size}"
        broken = Failing(coded(size), KeyError("no more"), at=size - 1)
        expect(KeyError, lambda key=key, broken=broken: put(place.backend, key, broken, create=True), "a broken source")
        put(place.backend, key, coded(size), create=True)
        same(coded(size), get(place.backend, key), "the bytes")


@case("O15", given=strategies.sizes)
def grid(place: Place, second: int) -> None:
    """Whatever size replaces whatever size, the object is the second and nothing of the first."""
    sizes = strategies.border_sizes(place.limits, most=1 << 14)
    for first in sizes[:: 4 if place.limits.slow else 1]:
        put(place.backend, "k", coded(first, salt=1))
        put(place.backend, "k", coded(second, salt=2))
        same(coded(second, salt=2), get(place.backend, "k"), f"an object of {second} bytes over one of {first}")
        same(second, place.backend.head("k").size, "its size")
