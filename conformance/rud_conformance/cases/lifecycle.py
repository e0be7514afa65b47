"""Z: how instances come, go, and what they leave."""

from __future__ import annotations

import contextlib
import gc
import locale
import os
import pickle
import signal
import socket
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rud._spec import StoreSpec
from rud.errors import StoreClosedError, StoreError
from rud.store import Backend
from rud_conformance.acts import Failing, coded, expect, get, holds, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case


def _use(backend: Backend, size: int = 50) -> None:
    put(backend, "k", coded(size))
    get(backend, "k")
    backend.head("k")
    names(backend)
    backend.delete("k")


@case("Z01", needs=("address", "processes"))
def pickled(place: Place) -> None:
    """A store's recipe, through a pickle or as it goes to a worker, opens the same store, also after use and close."""
    put(place.backend, "k", b"x")
    place.backend.close()
    spec = place.spec
    for again in (pickle.loads(pickle.dumps(spec)), StoreSpec.from_wire(spec.to_wire())):  # ours, made above
        other = again.open()
        try:
            holds(other, {"k": b"x"})
            same(place.another().uri("k"), other.uri("k"), "the address")
            same(place.another().capabilities, other.capabilities, "the capabilities")
        finally:
            other.close()


@case("Z03", needs=("address",))
def no_secrets(place: Place) -> None:
    """Neither the text of a recipe nor what is written to disk of it has an argument that is not public."""
    spec = place.spec
    shown = f"{spec!r} {spec.destination} {spec.uri} {place.backend!r} {place.store!r} {place.backend.uri('k')}"
    for secret in spec.secrets:
        if len(secret) > 8 and secret in shown:
            raise AssertionError(f"an argument that is not public is shown ({len(secret)} characters of it)")
    try:
        place.backend.head("no")
    except StoreError as error:
        for secret in spec.secrets:
            if len(secret) > 8 and secret in f"{error} {error!r} {error.__cause__}":
                raise AssertionError("an argument that is not public is in the text of an error") from None


@case("Z04", profile="smoke")
def closing(place: Place) -> None:
    """Closing twice is no error, nor is closing what was never used; closing one instance closes no other."""
    unused, used, other = place.another(), place.another(), place.another()
    _use(used)
    for backend in (unused, used):
        backend.close()
        backend.close()
    _use(other)
    with place.another_store() as store:
        put(other, "k", b"x")
        same(1, store.get_object_size("k"), "the size")
    store.close()


@case("Z05", profile="smoke")
def after_close(place: Place) -> None:
    """Whatever is asked of a closed instance, but ``uri``, raises ``StoreClosedError`` and does nothing."""
    put(place.another(), "k", b"x")
    backend = place.another()
    _use_only_reads(backend)
    backend.close()
    operations: dict[str, Callable[..., object]] = {
        "put": lambda: put(backend, "k", b"new"),
        "get": lambda: get(backend, "k"),
        "head": lambda: backend.head("k"),
        "list": lambda: names(backend),
        "delete": lambda: backend.delete("k"),
        "probe": backend.probe,
        "abort": lambda: backend.abort("k", "id"),
    }
    for name, act in operations.items():
        expect(StoreClosedError, act, f"{name} after close")
    holds(place.backend, {"k": b"x"})


def _use_only_reads(backend: Backend) -> None:
    get(backend, "k")
    names(backend)


def _open_files() -> int:
    gc.collect()
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return len(os.listdir("/dev/fd"))


def _repeat(place: Place, times: int) -> None:
    for number in range(times):
        backend = place.another()
        _use(backend, 50)
        for size in (5, place.limits.threshold + 5 if not place.limits.slow else 50):
            with contextlib.suppress(KeyError):
                put(backend, "k", Failing(coded(size), KeyError("x"), at=2))
        with contextlib.suppress(StoreError):
            backend.head(f"no{number}")
        backend.close()


@case("Z06")
def open_files(place: Place) -> None:
    """Open files do not grow with operations, failed ones included, once an instance is closed."""
    _repeat(place, 2)
    before = _open_files()
    _repeat(place, 12)
    grown = _open_files() - before
    if grown >= 12:
        raise AssertionError(f"12 rounds left {grown} more files open")


@case("Z07")
def threads(place: Place) -> None:
    """Threads do not grow with operations once an instance is closed."""
    _repeat(place, 2)
    before = threading.active_count()
    _repeat(place, 12)
    grown = threading.active_count() - before
    if grown >= 12:
        raise AssertionError(f"12 rounds left {grown} more threads")


@case("Z08")
def no_litter(place: Place) -> None:
    """Operations leave nothing in the folder of temporary files, in the current one or at home."""
    import tempfile

    source, copy = place.folder / "s", place.folder / "c"
    source.write_bytes(coded(place.limits.threshold + 3 if not place.limits.slow else 99))
    # Of our own, since other programs use the machine's.
    temporary = place.folder / "temporary"
    temporary.mkdir()
    before_us, tempfile.tempdir = tempfile.tempdir, str(temporary)
    try:
        _use_and_watch(place, source, copy, {str(temporary), os.getcwd(), os.path.expanduser("~")})
    finally:
        tempfile.tempdir = before_us


def _use_and_watch(place: Place, source: Path, copy: Path, watched: set[str]) -> None:
    place.store.upload_object("warm", source)
    before = {folder: set(os.listdir(folder)) for folder in watched if os.path.isdir(folder)}
    for _ in range(3):
        place.store.upload_object("k", source)
        place.store.download_object("k", copy, overwrite=True)
        expect(StoreError, lambda: place.store.download_object("no", place.folder / "no"), "a download")
    for folder, there in before.items():
        ours = [n for n in set(os.listdir(folder)) - there if _is_ours(os.path.join(folder, n))]
        # Somebody else may have made one meanwhile; we cannot have made three.
        if len(ours) >= 3:
            raise AssertionError(f"operations left {sorted(ours)[:5]} in {folder}")


def _is_ours(path: str) -> bool:
    try:
        return os.lstat(path).st_uid == os.getuid()
    except OSError:
        return False


@case("Z09", needs=("unfinished",))
def nothing_unfinished(place: Place) -> None:
    """After puts that succeed and puts that fail, no upload is unfinished."""
    size = place.limits.threshold + 5
    for number in range(3):
        put(place.backend, f"k{number}", coded(size))
        expect(
            KeyError,
            lambda number=number: put(place.backend, f"x{number}", Failing(coded(size), KeyError("x"), at=size - 1)),
            "a put",
        )
    same(0, place.unfinished, "unfinished uploads")


def _state() -> dict[str, Any]:
    mask = os.umask(0)
    os.umask(mask)
    return {
        "current folder": os.getcwd(),
        "umask": mask,
        "environment": dict(os.environ),
        "socket time-out": socket.getdefaulttimeout(),
        "signal handlers": [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "locale": locale.setlocale(locale.LC_ALL),
        "warning filters": len(warnings.filters),
        "handlers of the root logger": _root_handlers(),
    }


def _root_handlers() -> int:
    import logging

    return len(logging.getLogger().handlers)


@case("Z11", profile="smoke")
def the_process(place: Place) -> None:
    """Nothing of the process is changed: folder, umask, environment, time-outs, signals, locale, warnings, logging."""
    _use(place.backend)
    before = _state()
    backend = place.another()
    backend.prepare()
    _use(backend, place.limits.threshold + 3 if not place.limits.slow else 50)
    backend.probe()
    backend.close()
    after = _state()
    for name, value in before.items():
        same(value, after[name], name)


@case("Z12")
def instances_apart(place: Place) -> None:
    """Instances at different scopes never meet, whatever the order in which they are opened and used."""
    first, second = place.another("one"), place.another("two")
    put(first, "k", b"first")
    put(second, "k", b"second")
    same((b"first", b"second"), (get(first, "k"), get(second, "k")), "the bytes")
    first.delete("k")
    same((["k"], []), (names(second), names(first)), "the listings")
    same(False, first.uri("k") == second.uri("k"), "whether they share an address")


@case("Z13")
def let_go(place: Place) -> None:
    """Instances that are closed and dropped are gone: nothing of the library keeps them."""
    gone: list[weakref.ref[Backend]] = []
    for _ in range(20 if not place.limits.slow else 5):
        backend = place.harness.open(place.scope)
        _use(backend)
        backend.close()
        gone.append(weakref.ref(backend))
        del backend
    gc.collect()
    left = sum(ref() is not None for ref in gone)
    if left > 1:
        raise AssertionError(f"{left} of {len(gone)} closed instances are still kept")


@case("Z15")
def never_closed(place: Place) -> None:
    """An instance that nobody closes is collected without a hang and without an exception."""
    seen: list[object] = []
    import sys

    hook, sys.unraisablehook = sys.unraisablehook, seen.append
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            backend = place.harness.open(place.scope)
            _use(backend)
            del backend
            gc.collect()
    finally:
        sys.unraisablehook = hook
    same([], [str(one) for one in seen], "exceptions that nobody could catch")


@case("Z16")
def used_by_another_thread(place: Place) -> None:
    """An instance built by one thread works in another, one at a time."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            _use(place.backend)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    _use(place.backend)
    for _ in range(2):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(60)
    same([], [repr(error) for error in failed], "what went wrong")


@case("Z17")
def errors_of_opening(place: Place) -> None:
    """Building an instance and asking what it offers makes no request."""
    try:
        wire = place.wire
    except Exception:  # noqa: BLE001 - without it there is only this to see
        same(place.another().capabilities, place.another().capabilities, "the capabilities")
        return
    before = len(wire.requests())
    backend = place.another()
    _ = backend.capabilities
    backend.prepare()
    backend.uri("k")
    backend.close()
    same([], wire.requests()[before:], "requests before the first operation")
