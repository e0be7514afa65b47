"""P: whatever ends a put, the object is the old one or the new one, and nothing is left behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import google_crc32c

from rud._body import BodyRevoked
from rud.errors import IntegrityError, InvalidKeyError, ObjectNotFoundError, ObjectStoreTransientError, StoreError
from rud.store import Backend
from rud_conformance.acts import Failing, Watched, body, coded, expect, get, holds, ignore, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.wire import AFTER, BEFORE, Trouble


def _there(backend: Backend, key: str) -> bytes | None:
    try:
        return get(backend, key)
    except ObjectNotFoundError:
        return None


def _puts(place: Place) -> Iterator[tuple[int, bool, bool]]:
    """Sizes, whether something is there before, whether it is a create."""
    for size in (3, place.limits.threshold + 5):
        yield size, False, False
        yield size, True, False
        if place.capabilities.create is True:
            yield size, False, True


def _sweep(place: Place, size: int, trouble: Trouble, *, there: bool, create: bool) -> None:
    """Let request 0 of a put fail, then 1, and so on until the put is over before the trouble is met."""
    for n in range(40):
        backend, other = place.another(), place.another()
        key, old, new = f"k{size}{trouble.kind}{n}{there}{create}", b"old", coded(size)
        if there:
            put(other, key, old)
        place.wire.plan({n: trouble})
        error: StoreError | None = None
        try:
            put(backend, key, new, create=create)
        except StoreError as raised:
            error = raised
        met = place.wire.clear()
        place.troubles += met
        if not met:
            same(None, error and str(error), "the error of a put that met no trouble")
            return
        what = f"put of {size} bytes whose request {n} met {trouble.kind}"
        found, before = _there(other, key), old if there else None
        if error is None:
            same(new, found, f"the bytes after a successful {what}")
        elif (trouble in BEFORE and found not in (before, new)) or (trouble in AFTER and found not in (before, new)):
            raise AssertionError(f"{what}: the object is neither the old nor the new one")
        put(backend, key, new)
        same(new, get(other, key), f"the bytes after another put by the same instance, after a {what}")
    raise AssertionError("a put made more than 40 requests")


@case("P01", needs=("wire",), profile="smoke")
def sweep(place: Place) -> None:
    """Whichever request of a put fails, and however, the object is the old or the new one, and the instance works."""
    for size, there, create in _puts(place):
        troubles = [trouble for trouble in (*BEFORE, *AFTER) if trouble.kind in place.wire.kinds]
        # Parts of megabytes are dear.
        for trouble in troubles if size < 100 or not place.limits.slow else troubles[2:3]:
            if not (place.limits.slow and size > 100 and there):
                _sweep(place, size, trouble, there=there, create=create)


@case("P02", needs=("wire", "unfinished"), profile="smoke")
def nothing_unfinished(place: Place) -> None:
    """A put that fails leaves no unfinished upload of which it had learnt."""
    size = place.limits.threshold + 5
    for trouble in BEFORE:
        for n in range(1, 6):
            before = place.unfinished
            place.wire.plan({n: trouble})
            with contextlib.suppress(StoreError):
                put(place.another(), f"k{n}", coded(size))
            place.troubles += place.wire.clear()
            same(before, place.unfinished, f"unfinished uploads after request {n} of a put met {trouble.kind}")


@case("P03", needs=("wire",))
def cleaning_up_fails_too(place: Place) -> None:
    """When the abort fails as well, the first error is the one that comes out, as the class that it is."""
    size = place.limits.threshold + 5
    for first, second in ((Trouble("status", 403, "AccessDenied"), BEFORE[0]), (BEFORE[0], Trouble("status", 403))):
        place.wire.plan({1: first, 2: second})
        error = expect(StoreError, lambda: put(place.another(), "k", coded(size)), "a put whose abort fails")
        place.met()  # One, where what was begun needs no end.
        same(first.status == 503, isinstance(error, ObjectStoreTransientError), "whether the first error came out")
        expect(ObjectNotFoundError, lambda: place.backend.head("k"), "head after it")


@case("P04", profile="smoke")
def broken_source(place: Place) -> None:
    """A source that raises, at whatever byte, stores nothing and leaves the old object; its error comes out."""
    part = place.limits.part
    put(place.backend, "k", b"old")
    for size in (5, place.limits.threshold + part):
        for at in {0, 1, size // 2, min(part, size - 1), size - 1}:
            trouble = LookupError("the disk of the payload")
            for key in ("k", "new"):
                source = Failing(coded(size), trouble, at)
                found = expect(LookupError, lambda source=source, key=key: put(place.backend, key, source), "a put")
                same(True, found is trouble, "whether it is the very error of the source")
    holds(place.another(), {"k": b"old"})
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("P05", needs=("processes", "address", "ends_with_worker"))
def killed(place: Place) -> None:
    """A process that is killed in the middle of a put leaves the old object, or none."""
    import json

    put(place.backend, "k", b"old")
    spec = json.dumps(place.spec.to_wire())
    size = place.limits.threshold + 5 if not place.limits.slow else 1 << 16
    for key in ("k", "d/new"):
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, key, str(size)], input=spec, text=True, capture_output=True, check=False
        )
        same(-signal.SIGKILL, done.returncode, f"how the process ended; it said {done.stderr[-300:]!r}")
    holds(place.another(), {"k": b"old"})
    put(place.another(), "d/new", b"new")
    same(b"new", get(place.backend, "d/new"), "the bytes of the next put")


_KILLED = """
import io, json, os, signal, sys
from rud._body import Body
from rud._spec import StoreSpec
from rud.store import PutMode
class Killing(Body):
    def _next(self, most):
        if self.tell() >= len(self) - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._next(min(most, len(self) - 1 - self.tell()))
backend = StoreSpec.from_wire(json.load(sys.stdin)).open()
size = int(sys.argv[2])
backend.put(sys.argv[1], Killing(io.BytesIO(b"x" * size), size), mode=PutMode.OVERWRITE, checksum=None, entry_id=None,
            durable=False, on_multipart=lambda _: None)
"""


@case("P06", profile="smoke")
def the_old_one_stays(place: Place) -> None:
    """A put that fails never removes, empties or changes the object that was there, nor its metadata."""
    put(place.backend, "k", b"old", entry_id="old")
    before = place.backend.head("k")
    size = place.limits.threshold + 5
    attempts: list[Callable[..., object]] = [
        lambda: put(place.backend, "k", b"evil", checksum=google_crc32c.value(b"good")),
        lambda: put(place.backend, "k", coded(size), checksum=1),
        lambda: put(place.backend, "k", Failing(coded(size), KeyError("x"), at=size // 2)),
        lambda: put(place.backend, "k", Failing(b"abc", KeyError("x"))),
    ]
    for attempt in attempts:
        expect((IntegrityError, KeyError), attempt, "a put")
        same(before, place.another().head("k"), "the metadata")
    holds(place.backend, {"k": b"old"})


@case("P07")
def usable_after_a_failure(place: Place) -> None:
    """After a failure, whichever, the same instance does what it is asked."""
    backend = place.backend
    for size in (3, place.limits.threshold + 5):
        expect(KeyError, lambda size=size: put(backend, "k", Failing(coded(size), KeyError("x"), at=1)), "a put")
        expect(ObjectNotFoundError, lambda: backend.head("no"), "head of a missing object")
        put(backend, "k", coded(size))
        same(coded(size), get(backend, "k"), "the bytes")
    same(["k"], names(backend), "the listing")


@case("P09", needs=("wire",))
def lost_replies(place: Place) -> None:
    """A put whose answer is lost is transient; the object is the old or the new one, and stays what it is."""
    place.needs_kind("lost")
    for size in (3, place.limits.threshold + 5):
        put(place.backend, f"count{size}", coded(size))
        before = len(place.wire.requests())
        put(place.backend, f"count{size}", coded(size))
        last = len(place.wire.requests()) - before - 1
        put(place.backend, "k", b"old")
        place.wire.plan({last: Trouble("lost")})
        with contextlib.suppress(ObjectStoreTransientError):
            put(place.backend, "k", coded(size))
        place.met()
        first = get(place.backend, "k")
        same(True, first in (b"old", coded(size)), "whether it is the old or the new one")
        for _ in range(3):
            same(first, get(place.another(), "k"), "the bytes, read again")


@case("P12", needs=("unfinished",))
def abort_of_others(place: Place) -> None:
    """Aborting unknown ids, or all of a key, ends no upload of another key, and one of ours by its id."""
    size = place.limits.threshold + 5
    told: list[str] = []
    other = place.another()

    def while_it_runs() -> None:
        same(1, place.unfinished, "unfinished uploads during a put")
        for key, upload_id in (("k2", None), ("k", "nobody"), ("k2", "x"), ("k-", None), ("d/k", None)):
            try:
                other.abort(key, upload_id)
            except StoreError as error:
                raise AssertionError(f"abort of what nobody knows raised {error!r}") from error
        same(1, place.unfinished, "unfinished uploads after others were aborted")

    put(place.backend, "k", Watched(coded(size), while_it_runs, size - 1), on_multipart=told.append)
    same(coded(size), get(place.backend, "k"), "the bytes")


@case("P13", needs=("unfinished",))
def announced(place: Place) -> None:
    """The id of a put in parts is told before the first part is read, and by it another instance can end the put."""
    size = place.limits.threshold + 5
    told: list[str] = []

    def abort() -> None:
        if not told:
            raise AssertionError("the first byte was read before the id was told")
        place.another().abort("k", told[0])
        same(0, place.unfinished, "unfinished uploads after the abort")

    error = expect(
        StoreError,
        lambda: put(place.backend, "k", Watched(coded(size), abort, 0), on_multipart=told.append),
        "a put that was aborted meanwhile",
    )
    same(True, isinstance(error, ObjectStoreTransientError), "whether it may be tried again")
    same([], names(place.backend), "the listing")


@case("P14")
def announcing_fails(place: Place) -> None:
    """What ``on_multipart`` raises ends the put, which stores nothing and leaves nothing unfinished."""
    size = place.limits.threshold + 5
    told: list[str] = []

    def refuse(upload_id: str) -> None:
        told.append(upload_id)
        raise LookupError("the journal is full")

    try:
        put(place.backend, "k", coded(size), on_multipart=refuse)
    except LookupError:
        same([], names(place.backend), "the listing")
    else:
        same([], told, "ids that were told")
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("P15", profile="smoke")
def wrong_sum(place: Place) -> None:
    """Other bytes than the declared sum says are refused with ``IntegrityError``, the right ones are taken."""
    for size in (4, place.limits.threshold + 5):
        data = coded(size)
        expect(
            IntegrityError, lambda data=data: put(place.backend, "k", data, checksum=12345), "a put with a wrong sum"
        )
        same([], names(place.backend), "the listing")
        put(place.backend, "k", data, checksum=google_crc32c.value(data))
        same(data, get(place.backend, "k"), "the bytes")
        place.backend.delete("k")
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("P16")
def given_up(place: Place) -> None:
    """A put whose body was revoked raises and stores nothing."""
    from io import BytesIO

    from rud._body import Body

    for size in (4, place.limits.threshold + 5):
        source = Body(BytesIO(coded(size)), size, revoked=lambda: True)
        expect(
            (BodyRevoked, StoreError), lambda source=source: put(place.backend, "k", source), "a put that was revoked"
        )
        same([], names(place.backend), "the listing")
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("P18", needs=("wire",))
def pairs(place: Place) -> None:
    """Nor do two troubles, of which the second meets what the first has set going, leave half an object."""
    size, old = place.limits.threshold + 5, b"old"
    other = place.another()
    for first in range(5):
        for second in (first + 1,) if place.limits.slow else (first + 1, first + 2):
            both = (BEFORE[0], BEFORE[1]), (AFTER[0], BEFORE[0]), (BEFORE[1], AFTER[0])
            for one, two in both[1:2] if place.limits.slow else both:
                put(other, "k", old)
                place.wire.plan({first: one, second: two})
                with contextlib.suppress(StoreError):
                    put(place.another(), "k", coded(size))
                place.troubles += place.wire.clear()
                found = get(other, "k")
                if found not in (old, coded(size)):
                    raise AssertionError(f"after troubles {one.kind}, {two.kind} at {first}, {second}: half an object")


@case("P20", profile="smoke")
def abort_of_nothing(place: Place) -> None:
    """Aborting what nobody knows is no error, and removes no object."""
    put(place.backend, "k", b"x")
    for key in ("k", "no", "d/k"):
        for upload_id in ("nobody", key, "../k", "", None):
            try:
                place.backend.abort(key, upload_id)
            except InvalidKeyError:
                place.note("an id is refused as a key")
    holds(place.another(), {"k": b"x"})


@case("P21", needs=("reads_body",))
def read_through(place: Place) -> None:
    """A put reads its whole body, and counts each byte once, so that progress is seen while it sends."""
    from io import BytesIO

    from rud._body import Body

    for size in (5, place.limits.threshold + 5):
        told: list[int] = []
        put(place.backend, "k", Body(BytesIO(coded(size)), size, on_read=told.append))
        same(size, max(told, default=0), "bytes that were read")
        same(sorted(told), told, "what was told, in order")


@case("P22", needs=("wire",))
def deleting_fails(place: Place) -> None:
    """A delete that fails leaves the object, or has deleted it; it never reports success for what is still there."""
    for trouble in (BEFORE[0], BEFORE[1], Trouble("status", 403)):
        put(place.backend, "k", b"x")
        place.wire.plan({0: trouble})
        expect(StoreError, lambda: place.backend.delete("k"), f"a delete that met {trouble}")
        place.met()
        same(b"x", get(place.backend, "k"), "the bytes")


@case("P24", needs=("wire",))
def sweep_of_reads(place: Place) -> None:
    """Whichever request of a get, head or list fails, the answer is an error or the truth; the next is right."""
    for number in range(2 * place.limits.page + 1 if place.limits.page < 20 else 3):
        put(place.backend, f"k{number:03}", b"x%d" % number)
    truth = names(place.backend)
    acts: list[tuple[str, Callable[..., object], object]] = [
        ("get", lambda: get(place.backend, "k001"), b"x1"),
        ("head", lambda: place.backend.head("k001").size, 2),
        ("list", lambda: names(place.backend), truth),
    ]
    kinds = (*BEFORE, *AFTER, Trouble("short"))
    for name, act, expected in acts:
        for trouble in (one for one in kinds if one.kind in place.wire.kinds):
            for n in range(40):
                place.wire.plan({n: trouble})
                with contextlib.suppress(StoreError):
                    same(expected, act(), f"the answer of a {name} whose request {n} met {trouble.kind}")
                met = place.wire.clear()
                place.troubles += met
                if not met:
                    break
                same(expected, act(), f"the answer of the next {name}")


@case("P23", needs=("wire", "unfinished"))
def strays_of_a_key(place: Place) -> None:
    """``abort`` of a key without an id ends what dead puts of that key have left, and nothing else."""
    size = place.limits.threshold + 5
    for key in ("k", "other"):
        place.wire.plan({2: BEFORE[1], 3: BEFORE[1], 4: BEFORE[1], 5: BEFORE[1], 6: BEFORE[1]})
        with contextlib.suppress(StoreError):
            put(place.another(), key, body(coded(size)), on_multipart=ignore)
        place.met()
    left = place.unfinished
    if left < 2:
        place.note("a put whose abort fails left nothing")
        return
    place.backend.abort("k", None)
    same(left - 1, place.unfinished, "unfinished uploads after those of one key were aborted")
