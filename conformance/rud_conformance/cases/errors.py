"""E: one table from troubles to classes, the same for every operation."""

from __future__ import annotations

import errno
import io
import pickle
from collections.abc import Callable

from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
    ThrottledError,
)
from rud_conformance.acts import Failing, coded, expect, for_good, get, holds, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.wire import Trouble


def _operations(place: Place, key: str = "k", *, parts: bool = True) -> dict[str, Callable[..., object]]:
    """What is asked of an object that is there."""
    backend = place.backend
    found: dict[str, Callable[..., object]] = {
        "put": lambda: put(backend, key, b"new"),
        "get": lambda: get(backend, key),
        "head": lambda: backend.head(key),
        "list": lambda: names(backend, key),
        "delete": lambda: backend.delete(key),
    }
    if parts and not place.limits.slow:
        found["put in parts"] = lambda: put(backend, key, coded(place.limits.threshold + 1))
    return found


def _under(
    place: Place, trouble: Trouble, act: Callable[..., object], error: type[StoreError], what: str
) -> StoreError:
    place.needs_kind(trouble.kind)
    place.all_fail(trouble)
    try:
        return expect(error, act, what)
    finally:
        place.met()


@case("E01", profile="smoke")
def missing(place: Place) -> None:
    """head and get of what is missing raise ``ObjectNotFoundError``, a ``FileNotFoundError``, not to be tried again."""
    put(place.backend, "other", b"x")
    for name, act in {"head": lambda: place.backend.head("no"), "get": lambda: get(place.backend, "no")}.items():
        error = expect(ObjectNotFoundError, act, f"{name} of a missing object")
        for_good(error, name)
        same(("no", True), (error.key, isinstance(error, FileNotFoundError)), "its key, and whether it is the built-in")


@case("E02", needs=("wire",), profile="smoke")
def denied(place: Place) -> None:
    """401 and 403 are ``AccessDeniedError`` for every operation: never "not found", never transient, never nothing."""
    put(place.backend, "k", b"old")
    for status, code in ((401, ""), (403, ""), (403, "AccessDenied")):
        for name, act in _operations(place).items():
            error = _under(place, Trouble("status", status, code), act, AccessDeniedError, f"{name} answered {status}")
            for_good(error, name)
    holds(place.backend, {"k": b"old"})


_STATUSES = {
    408: True, 425: True, 429: True, 500: True, 502: True, 503: True, 504: True, 507: True, 599: True,
    400: False, 402: False, 405: False, 410: False, 411: False, 413: False, 418: False, 422: False, 451: False,
    499: False, 501: False,
}  # fmt: skip
"""Whether what a service answers so may pass."""


@case("E03", needs=("wire",))
def statuses(place: Place) -> None:
    """Of every other status it is decided, for all operations alike, whether it may pass; what went well before is no
    answer to fall back on."""
    put(place.backend, "k", b"old")
    for name in ("get", "head", "list"):
        _operations(place)[name]()
    for status, may_pass in _STATUSES.items():
        for name, act in _operations(place, parts=status in (503, 400)).items():
            error = _under(place, Trouble("status", status), act, StoreError, f"{name} answered {status}")
            same(may_pass, isinstance(error, ObjectStoreTransientError), f"whether {name} answered {status} may pass")
            if isinstance(error, ObjectNotFoundError):
                raise AssertionError(f"{name} answered {status} was taken for a missing object")
    holds(place.backend, {"k": b"old"})


@case("E04", needs=("wire",), profile="smoke")
def broken_connections(place: Place) -> None:
    """A connection that breaks, before or after the request was carried out, is transient for every operation."""
    put(place.backend, "k", b"old")
    for trouble in (Trouble("reset"), Trouble("lost")):
        for name, act in _operations(place).items():
            _under(place, trouble, act, ObjectStoreTransientError, f"{name} whose connection broke ({trouble.kind})")
            put(place.backend, "k", b"old")


@case("E05", needs=("wire",))
def error_in_a_success(place: Place) -> None:
    """An answer of success with an error in its body is no success: transient, and the object is the old one."""
    put(place.backend, "k", b"old")
    place.needs_kind("error_in_200")
    put(place.backend, "k2", coded(place.limits.threshold + 1))
    sent = len(place.wire.requests())
    put(place.backend, "k2", coded(place.limits.threshold + 1))
    last = len(place.wire.requests()) - sent - 1
    place.wire.plan({last: Trouble("error_in_200")})
    expect(
        ObjectStoreTransientError, lambda: put(place.backend, "k", coded(place.limits.threshold + 1)), "the completion"
    )
    place.met()
    same(b"old", get(place.backend, "k"), "the bytes")


@case("E06", needs=("wire",))
def digits(place: Place) -> None:
    """Digits and codes in a key or a message decide nothing: only the answer's own status and code do."""
    for key in ("500", "err503", "404/x", "NoSuchKey", "403", "AccessDenied", "SlowDown 429", "timeout"):
        put(place.backend, key, b"x")
        operations = _operations(place, key, parts=False)
        for name in ("put", "get", "head", "delete"):
            act = operations[name]
            error = _under(place, Trouble("status", 400, "InvalidRequest"), act, StoreError, f"{name} of {key!r}")
            for_good(error, f"{name} of {key!r} answered 400")
            if isinstance(error, ObjectNotFoundError | AccessDeniedError):
                raise AssertionError(f"{name} of {key!r}, answered 400, was taken for {type(error).__name__}")
            _under(place, Trouble("status", 503), act, ObjectStoreTransientError, f"{name} of {key!r} answered 503")


@case("E07", profile="smoke")
def facts(place: Place) -> None:
    """An error names its operation and key, and comes out of a pickle as it went in."""
    errors: dict[str, StoreError] = {
        "head": expect(ObjectNotFoundError, lambda: place.backend.head("no/é"), "head of a missing object"),
        "get": expect(ObjectNotFoundError, lambda: get(place.backend, "no/é"), "get of a missing object"),
    }
    for operation, error in errors.items():
        same((operation, "no/é"), (error.operation, error.key), "operation and key of the error")
        if "no/é" not in str(error):
            raise AssertionError(f"the text does not name the key: {error}")
        again = pickle.loads(pickle.dumps(error))  # ours, made two lines above
        same((type(error), str(error), error.key), (type(again), str(again), again.key), "the error out of a pickle")


@case("E08")
def mistakes(place: Place) -> None:
    """Mistakes of a program (``TypeError``, ``AttributeError``, ``KeyError`` of a source or sink) stay as they are."""
    put(place.backend, "k", b"content")
    for mistake in (TypeError("no"), AttributeError("no"), KeyError("no"), ZeroDivisionError("no")):
        for size in (3, place.limits.threshold + 3):
            found = expect(
                type(mistake),
                lambda mistake=mistake, size=size: put(place.backend, "new", Failing(coded(size), mistake, at=1)),
                "a put",
            )
            same(True, found is mistake, "whether it is the very one")
        same(True, expect(type(mistake), lambda: _into(place, mistake), "a get") is mistake, "whether it is the one")  # noqa: B023 - called at once
    holds(place.backend, {"k": b"content"})


def _into(place: Place, error: BaseException) -> None:
    class Broken:
        def write(self, chunk: bytes, /) -> int:
            raise error

    place.backend.get("k", Broken())


@case("E09")
def interrupts(place: Place) -> None:
    """``KeyboardInterrupt`` and ``SystemExit`` come out unchanged and leave nothing, whole or unfinished."""
    put(place.backend, "k", b"old")
    for error in (KeyboardInterrupt(), SystemExit(3)):
        for size in (3, place.limits.threshold + 5):
            for key in ("k", "new"):
                source = Failing(coded(size), error, at=size - 1)
                found = expect(type(error), lambda source=source, key=key: put(place.backend, key, source), "a put")
                same(True, found is error, "whether it is the very one")
        same(True, expect(type(error), lambda: _into(place, error), "a get") is error, "whether it is the one")  # noqa: B023 - called at once
    holds(place.backend, {"k": b"old"})
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("E10", needs=("wire",))
def asked_to_wait(place: Place) -> None:
    """What the service asks us to wait is in the error, in seconds."""
    put(place.backend, "k", b"x")
    for name, act in _operations(place, parts=False).items():
        trouble = Trouble("status", 503, "SlowDown", retry_after=7)
        error = _under(place, trouble, act, ObjectStoreTransientError, f"{name} answered 503")
        same(7.0, getattr(error, "retry_after", None), f"retry_after of {name}")


@case("E11", needs=("wire",), profile="smoke")
def no_bucket(place: Place) -> None:
    """A bucket that is missing is ``BucketNotFoundError`` for every operation: no missing object, and never nothing."""
    put(place.backend, "k", b"x")
    for name, act in _operations(place).items():
        error = _under(place, Trouble("status", 404, "NoSuchBucket"), act, StoreError, f"{name} without a bucket")
        same(BucketNotFoundError, type(error), f"the class for {name} without a bucket")


@case("E12")
def trouble_of_this_machine(place: Place) -> None:
    """A full or forbidden disk of this machine is its own ``OSError``: no error of the store, not to be tried again."""
    put(place.backend, "k", b"content")
    for code in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO):
        trouble = OSError(code, "of this machine")
        found = expect(OSError, lambda: _into(place, trouble), "a get to a broken disk")  # noqa: B023 - called at once
        same(True, found is trouble, f"whether {errno.errorcode[code]} of a sink comes out as it is")
        source = Failing(coded(5), trouble, at=2)
        found = expect(OSError, lambda source=source: put(place.backend, "new", source), "a put from a broken disk")
        same(True, found is trouble, f"whether {errno.errorcode[code]} of a source comes out as it is")


@case("E15", needs=("wire",))
def alike(place: Place) -> None:
    """The same answer has the same class in every operation: there is one table."""
    put(place.backend, "k", b"x")
    for trouble in (
        Trouble("status", 503, "SlowDown"),
        Trouble("status", 403, "AccessDenied"),
        Trouble("status", 500),
        Trouble("status", 400, "InvalidRequest"),
        Trouble("status", 429),
    ):
        classes = {
            name: type(_under(place, trouble, act, StoreError, f"{name} under {trouble}"))
            for name, act in _operations(place).items()
            if not (name == "head" and trouble.code == "SlowDown")  # an answer to it may have no body, and so no code
        }
        same(1, len(set(classes.values())), f"different classes under {trouble}: {classes}")


@case("E16", needs=("wire",))
def nonsense(place: Place) -> None:
    """An answer that makes no sense is a ``StoreError``, never a ``KeyError`` and never a part of the truth."""
    put(place.backend, "k", b"x")
    for name, act in _operations(place).items():
        _under(place, Trouble("garbage"), act, StoreError, f"{name} whose answer makes no sense")


@case("E20", needs=("wire",))
def lazily(place: Place) -> None:
    """An error in the middle of a listing that is being read is one of ours, too."""
    for number in range(7):
        put(place.backend, f"k{number}", b"x")
    place.needs_kind("reset")
    listing = None
    place.wire.plan({(1 if place.limits.page < 7 else 0): Trouble("reset")})

    def read() -> None:
        nonlocal listing
        listing = place.backend.list("")
        list(listing)

    expect(ObjectStoreTransientError, read, "a listing that breaks in the middle")
    place.met()


@case("E21", needs=("wire",))
def expired(place: Place) -> None:
    """Credentials that have expired are ``CredentialsExpiredError``, so that the store is opened anew."""
    put(place.backend, "k", b"x")
    for name, act in _operations(place).items():
        trouble = Trouble("status", 400, "ExpiredToken")
        error = _under(place, trouble, act, StoreError, f"{name} with an expired token")
        same(CredentialsExpiredError, type(error), f"the class for {name} with an expired token")


@case("E22", needs=("wire",))
def throttled(place: Place) -> None:
    """ "Fewer requests" is ``ThrottledError``, a kind of transient."""
    put(place.backend, "k", b"x")
    for status, code in ((429, ""), (503, "SlowDown")):
        for name, act in _operations(place, parts=False).items():
            if name == "head" and code:
                continue  # an answer to it may have no body, and so no code
            error = _under(place, Trouble("status", status, code), act, StoreError, f"{name} answered {status} {code}")
            same(ThrottledError, type(error), f"the class for {name} answered {status} {code}")


@case("E23", needs=("wire",))
def bare_404(place: Place) -> None:
    """A 404 without a code is a missing object, and is not tried again."""
    put(place.backend, "k", b"x")
    for name in ("head", "get"):
        # Only the first: where objects and buckets are missing alike, another request has to tell which of them is.
        place.wire.plan({0: Trouble("status", 404)})
        error = expect(StoreError, _operations(place)[name], f"{name} answered 404")
        place.met()
        same(ObjectNotFoundError, type(error), f"the class for {name} answered 404")


@case("E24", needs=("wire",))
def one_try_for_good(place: Place) -> None:
    """What will never pass is asked once."""
    put(place.backend, "k", b"x")
    for name, act in _operations(place, parts=False).items():
        before = len(place.wire.requests())
        _under(place, Trouble("status", 403, "AccessDenied"), act, StoreError, f"{name} answered 403")
        asked = len(place.wire.requests()) - before
        if asked > (2 if name == "head" else 1):
            raise AssertionError(f"{name} answered 403 was asked {asked} times")


@case("E25", needs=("wire",))
def cause(place: Place) -> None:
    """An error keeps what the library below has raised as its cause."""
    put(place.backend, "k", b"x")
    for name, act in _operations(place, parts=False).items():
        error = _under(place, Trouble("status", 503), act, StoreError, f"{name} answered 503")
        if error.__cause__ is None:
            raise AssertionError(f"{name} answered 503 raised {type(error).__name__} without a cause")
        same(True, bool(error.reason), "whether the error has a reason")


@case("E26")
def sinks_are_not_stores(place: Place) -> None:
    """What a get raises because of its sink is never a ``StoreError``, and the instance works afterwards."""
    put(place.backend, "k", b"content")
    error = expect(ConnectionResetError, lambda: _into(place, ConnectionResetError("of the sink")), "a get")
    if isinstance(error, StoreError | ConfigurationError):
        raise AssertionError("trouble of the sink was taken for trouble of the store")
    sink = io.BytesIO()
    place.backend.get("k", sink)
    same(b"content", sink.getvalue(), "the bytes of the next get")
