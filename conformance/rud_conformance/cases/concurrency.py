"""T: several at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from rud.errors import StoreClosedError
from rud_conformance.acts import Watched, coded, get, holds, large, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case


def at_once(acts: list[Callable[..., object]], seconds: float = 60) -> list[BaseException | None]:
    """Run each in a thread of its own; what each raised."""
    start = threading.Barrier(len(acts))
    ended: list[BaseException | None] = [None] * len(acts)

    def run(number: int) -> None:
        try:
            start.wait(30)
            acts[number]()
        except BaseException as error:  # noqa: BLE001 - told by whoever asked
            ended[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    same([], [thread.name for thread in threads if thread.is_alive()], f"threads that are not done after {seconds} s")
    return ended


@case("T01", profile="smoke")
def one_store(place: Place) -> None:
    """Threads that upload and download different objects by one ``ObjectStore`` get their own bytes."""
    store = place.store

    def work(number: int) -> None:
        source, copy = place.folder / f"s{number}", place.folder / f"c{number}"
        source.write_bytes(coded(2000, salt=number))
        for _ in range(3):
            store.upload_object(f"k{number}", source)
            store.download_object(f"k{number}", copy, overwrite=True)
            same(coded(2000, salt=number), copy.read_bytes(), "the bytes")

    ended = at_once([lambda number=number: work(number) for number in range(4)])
    same([], [repr(error) for error in ended if error is not None], "what went wrong")


@case("T02", profile="smoke")
def interleaved(place: Place) -> None:
    """Two puts of one key that take turns, byte by byte, end as the whole of one of them."""
    size = place.limits.threshold + place.limits.part // 2 + 5
    for at in {0, size // 2, size - 1}:
        other = place.another()
        first, second = coded(size, salt=1), coded(size, salt=2)
        put(place.backend, "k", Watched(first, lambda other=other, second=second: put(other, "k", second), at))
        same(first, get(place.backend, "k"), "the bytes of the put that ended last")


@case("T03")
def two_instances(place: Place) -> None:
    """Two instances, one in the middle of a put while the other puts another key, do not mix their bytes."""
    size = place.limits.threshold + place.limits.part // 2 + 5
    other = place.another()
    for at in {1, size // 2, size - 1}:
        put(place.backend, "a", Watched(coded(size, salt=1), lambda: put(other, "b", coded(size, salt=2)), at))
        holds(place.another(), {"a": coded(size, salt=1), "b": coded(size, salt=2)})


@case("T04")
def same_key(place: Place) -> None:
    """Of puts of one key at once the whole of one is there afterwards, and none of them fails."""
    payloads = [coded(place.limits.part // 2 + 50 if not place.limits.slow else 500, salt=n) for n in range(4)]
    backends = [place.another() for _ in payloads]
    for _ in range(5):
        ended = at_once([lambda b=b, p=p: put(b, "k", p) for b, p in zip(backends, payloads, strict=True)])
        same([], [repr(error) for error in ended if error is not None], "what went wrong")
        same(True, get(place.backend, "k") in payloads, "whether the bytes are of one of them")


@case("T05")
def readers(place: Place) -> None:
    """Readers during overwrites get the whole of some version, never one older than what they have seen."""
    versions = [coded(5000, salt=n) for n in range(12)]
    put(place.backend, "k", versions[0])
    writer, reader = place.another(), place.another()
    seen: list[int] = []
    done = threading.Event()

    def write() -> None:
        try:
            for data in versions:
                put(writer, "k", data)
        finally:
            done.set()

    def read() -> None:
        while not done.is_set():
            seen.append(versions.index(get(reader, "k")))

    ended = at_once([write, read])
    same([], [repr(error) for error in ended if error is not None], "what went wrong")
    same(sorted(seen), seen, "the versions that were seen, in order")


@case("T06")
def closed_meanwhile(place: Place) -> None:
    """A store that is closed during an upload lets it end, or fails cleanly; nothing hangs and nothing is half."""
    source = place.folder / "source"
    source.write_bytes(coded(large(place)))
    store = place.another_store()
    begun, moment = threading.Event(), threading.Event()

    def pause(done: int, total: int) -> None:
        if not begun.is_set():
            begun.set()
            moment.wait(0.05)

    def upload() -> None:
        try:
            store.upload_object("k", source, callback=pause)
        finally:
            begun.set()

    def close() -> None:
        begun.wait(20)
        store.close()

    upload_ended, close_ended = at_once([upload, close], seconds=30)
    same(None, close_ended and repr(close_ended), "what close raised")
    if upload_ended is None:
        same(source.read_bytes(), get(place.backend, "k"), "the bytes")
    elif not isinstance(upload_ended, StoreClosedError):
        raise AssertionError(f"an upload during which the store was closed raised {upload_ended!r}")


@case("T07")
def built_at_once(place: Place) -> None:
    """Instances that are built by several threads at once work."""
    ended = at_once([lambda number=number: put(place.another(), f"k{number}", b"x") for number in range(6)])
    same([], [repr(error) for error in ended if error is not None], "what went wrong")
    holds(place.backend, {f"k{number}": b"x" for number in range(6)})


@case("T08")
def forked(place: Place) -> None:
    """In a forked child the parent's ``ObjectStore`` raises ``StoreClosedError``; the parent's goes on working."""
    if not hasattr(os, "fork"):
        return
    put(place.backend, "k", b"x")
    store = place.store
    same(1, store.get_object_size("k"), "the size")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 2
        try:
            store.get_object_size("k")
        except StoreClosedError:
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    same(0, os.waitstatus_to_exitcode(status), "whether the child was refused")
    same(1, store.get_object_size("k"), "the size, asked by the parent")
