"""V: what has been done is seen, by everybody and at once; what has not been done is not."""

from __future__ import annotations

import subprocess
import sys

from rud.errors import ObjectNotFoundError, ObjectStoreTransientError
from rud.store import Backend
from rud_conformance.acts import Watched, coded, expect, get, holds, large, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case


@case("V01", profile="smoke")
def after_a_put(place: Place) -> None:
    """What was put is there for get, head and list, for instances that were opened before it and after it."""
    before = place.another()
    put(place.backend, "k", b"content")
    for reader in (place.backend, before, place.another()):
        holds(reader, {"k": b"content"})


@case("V03", needs=("processes", "address"))
def in_another_process(place: Place) -> None:
    """Another process that opens the store from its URI reads what this one has put, and the other way round."""
    import json

    put(place.backend, "from here", b"hello")
    spec = json.dumps(place.spec.to_wire())
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], input=spec, capture_output=True, text=True, check=False, timeout=60
    )
    same(
        (0, "hello"),
        (done.returncode, done.stdout.strip()),
        f"what the other process read; it said {done.stderr[-300:]!r}",
    )
    same(b"hi", get(place.backend, "from there"), "what the other process put")


_CHILD = """
import io, json, sys
from rud._body import Body
from rud._spec import StoreSpec
from rud.store import PutMode
backend = StoreSpec.from_wire(json.load(sys.stdin)).open()
sink = io.BytesIO()
backend.get("from here", sink)
print(sink.getvalue().decode())
backend.put("from there", Body(io.BytesIO(b"hi"), 2), mode=PutMode.OVERWRITE, checksum=None, entry_id=None,
            durable=False, on_multipart=lambda _: None)
"""


@case("V04", profile="smoke")
def listed_at_once(place: Place) -> None:
    """A listing shows every put and every delete that came before it."""
    put(place.backend, "a", b"1")
    same(["a"], names(place.backend), "the listing")
    put(place.another(), "b", b"2")
    same(["a", "b"], names(place.backend), "the listing after another's put")
    place.another().delete("a")
    same(["b"], names(place.backend), "the listing after another's delete")


@case("V05")
def size_at_once(place: Place) -> None:
    """head tells the new size after every overwrite, by whoever it was."""
    other = place.another()
    for size in (5, 50, 0, 7):
        put(place.backend if size % 2 else other, "k", b"x" * size)
        for reader in (place.backend, other):
            same(size, reader.head("k").size, "the size")
            same([size], [meta.size for meta in reader.list("")], "the size in the listing")


@case("V06", profile="smoke")
def after_a_delete(place: Place) -> None:
    """What was deleted is found by nobody and not listed, nor what it had replaced; what is beside it is."""
    put(place.backend, "a", b"old")
    for key in ("a", "ab", "a.b", "b/a"):
        put(place.backend, key, key.encode())
    before = place.another()
    place.backend.delete("a")
    for reader in (place.backend, before, place.another()):
        expect(ObjectNotFoundError, lambda reader=reader: reader.head("a"), "head of what was deleted")
        expect(ObjectNotFoundError, lambda reader=reader: get(reader, "a"), "get of what was deleted")
        holds(reader, {"ab": b"ab", "a.b": b"a.b", "b/a": b"b/a"})


@case("V07", profile="smoke")
def nothing_is_remembered_of_nothing(place: Place) -> None:
    """A key that was looked for and missed is found as soon as somebody else has put it."""
    backend = place.backend
    expect(ObjectNotFoundError, lambda: backend.head("k"), "head of a missing object")
    expect(ObjectNotFoundError, lambda: get(backend, "k"), "get of a missing object")
    same([], names(backend), "the listing")
    put(place.another(), "k", b"x")
    holds(backend, {"k": b"x"})


@case("V08")
def unfinished_is_invisible(place: Place) -> None:
    """While a put is under way its object is found by nobody and not listed; an old one is still whole."""
    other = place.another()
    put(other, "old", b"old")
    for size in (4, place.limits.threshold + 5):
        for at in {0, size // 2, size - 1}:

            def look() -> None:
                holds(other, {"old": b"old"})

            put(place.backend, "old", Watched(coded(size), look, at))
            same(coded(size), get(other, "old"), "the bytes after the put")
            other.delete("old")
            put(place.backend, "new", Watched(coded(size), lambda: _nowhere(other), at))
            place.backend.delete("new")
            put(other, "old", b"old")


def _nowhere(backend: Backend) -> None:
    same([], names(backend), "the listing during a put")
    expect(ObjectNotFoundError, lambda: backend.head("new"), "head during a put")


@case("V09")
def replaced_while_read(place: Place) -> None:
    """A get during which the object is replaced gives all of one of them, or says that it may be tried again."""
    old, new = coded(large(place), salt=1), coded(large(place) - 5, salt=2)
    put(place.backend, "k", old)
    other = place.another()
    received = bytearray()

    class Replacing:
        replaced = False

        def write(self, chunk: bytes, /) -> int:
            received.extend(chunk)
            if not self.replaced:
                self.replaced = True
                put(other, "k", new)
            return len(chunk)

    try:
        meta = place.backend.get("k", Replacing())
    except ObjectStoreTransientError:
        return
    if bytes(received) not in (old, new):
        raise AssertionError("a get during which the object was replaced gave bytes of neither, or of both")
    same(len(received), meta.size, "the size that came with the bytes")


@case("V11")
def listed_though_others_write(place: Place) -> None:
    """A listing has everything that was there when it began, whatever is put or deleted beside it meanwhile."""
    count = 2 * place.limits.page + 1 if place.limits.page < 20 else 12
    kept = [f"k{number:03}" for number in range(count)]
    for key in kept:
        put(place.backend, key, b"x")
        put(place.backend, f"{key}-gone", b"x")
    other = place.another()
    seen: list[str] = []
    for number, meta in enumerate(place.backend.list("")):
        seen.append(meta.key)
        if number < count:
            put(other, f"a{number:03}", b"x")
            other.delete(f"{kept[-1 - number]}-gone")
    found = [key for key in seen if key in kept]
    same(kept, found, "what was there all the time")


@case("V12", profile="smoke")
def deletes(place: Place) -> None:
    """Deleting what is not there, or what is only the beginning of other keys, is no error and removes nothing; what
    was deleted can be created again."""
    put(place.backend, "d/x", b"x")
    for key in ("no", "d", "d/x/y", "d/", "D/x"):
        try:
            place.backend.delete(key)
        except ValueError:
            place.note(f"{key!r} is refused as a key")
    place.backend.delete("no")
    holds(place.another(), {"d/x": b"x"})
    place.backend.delete("d/x")
    put(place.backend, "d/x", b"again", create=place.capabilities.create is True)
    holds(place.another(), {"d/x": b"again"})


@case("V13", needs=("raw",))
def changed_from_outside(place: Place) -> None:
    """What somebody else stores by other means is listed and read, and replaced like anything else."""
    place.raw.put("k", b"theirs")
    holds(place.backend, {"k": b"theirs"})
    put(place.backend, "k", b"ours")
    same({"k": b"ours"}, place.raw.read(), "the objects as seen from outside")
