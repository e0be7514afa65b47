"""K: what a callback is told is true, in order, and no more than once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from rud.errors import ObjectNotFoundError, StoreError
from rud_conformance.acts import coded, expect, get, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.wire import Trouble

Calls = list[tuple[int, int]]
Transfer = Callable[[Callable[[int, int], None]], None]


def _size(place: Place) -> int:
    return 4 * place.limits.part + 3 if not place.limits.slow else 3 << 20


def _transfers(place: Place, size: int) -> Iterator[tuple[str, Transfer]]:
    """An upload and a download of ``size`` bytes."""
    source = place.folder / f"source{size}"
    source.write_bytes(coded(size))
    yield "upload", lambda callback: place.store.upload_object("k", source, callback=callback)
    put(place.another(), "k", coded(size))
    yield (
        "download",
        lambda callback: place.store.download_object("k", place.folder / "c", overwrite=True, callback=callback),
    )


def _calls(transfer: Transfer) -> Calls:
    calls: Calls = []
    transfer(lambda done, total: calls.append((done, total)))
    return calls


@case("K01", profile="smoke")
def never_falls(place: Place) -> None:
    """The first number never falls, and never exceeds the second."""
    for size in (1, 5, _size(place)):
        for name, transfer in _transfers(place, size):
            done = [one for one, _ in _calls(transfer)]
            same(sorted(done), done, f"the calls of an {name} of {size} bytes, in order")
            same(True, all(0 <= one <= size for one in done), f"whether they are within 0 and {size}: {done[:9]}")


@case("K02", profile="smoke")
def total(place: Place) -> None:
    """The second number is the size of the object, from the first call on."""
    for size in (1, 5, _size(place)):
        for name, transfer in _transfers(place, size):
            same({size}, {one for _, one in _calls(transfer)}, f"the totals of an {name}")


@case("K03", profile="smoke")
def last(place: Place) -> None:
    """The last call has both numbers equal, comes before the return, and once."""
    for size in (1, 5, _size(place)):
        for name, transfer in _transfers(place, size):
            calls = _calls(transfer)
            same((size, size), calls[-1] if calls else None, f"the last call of an {name}")
            same(1, calls.count((size, size)), f"how often an {name} was told to be done")


@case("K04")
def cumulative(place: Place) -> None:
    """Calls tell the bytes so far, not those of a part: each is more than the one before."""
    for name, transfer in _transfers(place, _size(place)):
        done = [one for one, _ in _calls(transfer)]
        same(sorted(set(done)), done, f"the calls of an {name}")


@case("K06", profile="smoke")
def empty(place: Place) -> None:
    """An object without bytes makes one call, ``(0, 0)``."""
    for name, transfer in _transfers(place, 0):
        same([(0, 0)], _calls(transfer), f"the calls of an {name}")


@case("K07", needs=("wire",))
def failure(place: Place) -> None:
    """A transfer that fails never tells that all is done."""
    size = 64 if not place.limits.slow else 3000
    for name, transfer in _transfers(place, size):
        for trouble in (Trouble("status", 503), Trouble("lost"), Trouble("short"), Trouble("flip")):
            if trouble.kind not in place.wire.kinds:
                continue
            calls: Calls = []

            def callback(done: int, total: int, calls: Calls = calls) -> None:
                calls.append((done, total))

            place.wire.plan({1: trouble} if name == "download" else {0: trouble})
            try:
                transfer(callback)
            except StoreError:
                same(0, calls.count((size, size)), f"how often a failed {name} ({trouble.kind}) was told to be done")
            place.troubles += place.wire.clear()


@case("K08", profile="smoke")
def raises(place: Place) -> None:
    """What a callback raises, at whichever call, ends the transfer and comes out; store and disk are as before."""
    size = _size(place)
    for nth in range(3):
        here = place.fresh()
        for name, transfer in _transfers(here, size):
            calls: Calls = []
            trouble = LookupError("of the callback")

            def callback(
                done: int, total: int, calls: Calls = calls, nth: int = nth, trouble: Exception = trouble
            ) -> None:
                calls.append((done, total))
                if len(calls) > nth:
                    raise trouble

            try:
                transfer(callback)
            except LookupError as error:
                same(True, error is trouble, "whether it is the very error of the callback")
                if name == "upload" and calls[-1][0] < size:
                    same([], names(here.another()), "the listing after an upload whose callback raised")
                if name == "download":
                    same(False, (here.folder / "c").exists(), "whether the destination is there")
            else:
                same(True, len(calls) <= nth, f"whether an {name} hid what its callback raised")
        if here.offers_unfinished():
            same(0, here.unfinished, "unfinished uploads")


@case("K09")
def one_at_a_time(place: Place) -> None:
    """Calls of one transfer never overlap."""
    inside, moment = threading.Lock(), threading.Event()
    overlaps: list[int] = []

    def callback(done: int, total: int) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(done)
            return
        moment.wait(0.001)
        inside.release()

    for _, transfer in _transfers(place, _size(place)):
        transfer(callback)
    same([], overlaps, "calls during a call")


@case("K10")
def asks_the_store(place: Place) -> None:
    """A callback may ask the store that is calling it."""
    put(place.backend, "other", b"abc")
    for name, transfer in _transfers(place, _size(place)):
        asked: list[int] = []

        def callback(done: int, total: int, asked: list[int] = asked) -> None:
            asked.append(place.store.get_object_size("other"))

        done = threading.Thread(target=transfer, args=(callback,), daemon=True)
        done.start()
        done.join(5)
        same(False, done.is_alive(), f"whether an {name} hangs whose callback asks the store")
        same({3}, set(asked), "what the store answered")


@case("K11")
def sums_are_not_progress(place: Place) -> None:
    """Reading a file to sum it is no progress: until the store was asked, no call is made."""
    put(place.backend, "k", b"x")
    source = place.folder / "source"
    source.write_bytes(coded(_size(place)))
    calls: Calls = []
    inner = place.another()

    def refuse(*_: object, **__: object) -> None:
        raise LookupError

    inner.put = refuse  # type: ignore[method-assign, assignment]  # of this instance alone
    store = place.harness.store(inner)
    expect(StoreError, lambda: store.upload_object("k", source, callback=lambda *call: calls.append(call)), "an upload")
    same([], calls, "the calls of an upload whose put did nothing")


@case("K12")
def missing(place: Place) -> None:
    """A transfer of what is not there makes no call."""
    calls: Calls = []

    def callback(done: int, total: int) -> None:
        calls.append((done, total))

    no = place.folder / "no"
    expect(ObjectNotFoundError, lambda: place.store.download_object("no", no, callback=callback), "a download")
    expect(FileNotFoundError, lambda: place.store.upload_object("k", no, callback=callback), "an upload")
    same([], calls, "the calls")


@case("K13")
def visible_when_done(place: Place) -> None:
    """When a callback is told that all is done, the object is there, for everybody."""
    other = place.another()
    seen: list[bytes] = []

    def callback(done: int, total: int) -> None:
        if done == total:
            seen.append(get(other, "k"))

    source = place.folder / "source"
    source.write_bytes(coded(50))
    place.store.upload_object("k", source, callback=callback)
    same([coded(50)], seen, "what was there when all was done")
