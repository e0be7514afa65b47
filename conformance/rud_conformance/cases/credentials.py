"""A: who may not, is told so."""

from __future__ import annotations

from collections.abc import Callable

from rud.errors import AccessDeniedError
from rud.store import Backend
from rud_conformance.acts import coded, expect, for_good, get, holds, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case


def _writes(backend: Backend, place: Place) -> dict[str, Callable[..., object]]:
    return {
        "put": lambda: put(backend, "k", b"theirs"),
        "put of a new key": lambda: put(backend, "new", b"theirs"),
        "put in parts": lambda: put(backend, "k", coded(place.limits.threshold + 5)),
        "delete": lambda: backend.delete("k"),
        "probe": backend.probe,
    }


def _reads(backend: Backend) -> dict[str, Callable[..., object]]:
    return {
        "get": lambda: get(backend, "k"),
        "get of what is missing": lambda: get(backend, "no"),
        "head": lambda: backend.head("k"),
        "head of what is missing": lambda: backend.head("no"),
        "list": lambda: names(backend),
    }


@case("A01", needs=("stranger",))
def strangers(place: Place) -> None:
    """Credentials that nobody knows are ``AccessDeniedError`` for every operation, for good, and change nothing."""
    put(place.backend, "k", b"ours")
    stranger = place.stranger
    for name, act in (_writes(stranger, place) | _reads(stranger)).items():
        for_good(expect(AccessDeniedError, act, f"{name} by a stranger"), name)
    holds(place.another(), {"k": b"ours"})


@case("A02", needs=("reader",))
def readers(place: Place) -> None:
    """Who may only read, reads; writing, deleting and probing are ``AccessDeniedError`` and change nothing."""
    put(place.backend, "k", b"ours")
    reader = place.reader
    same(b"ours", get(reader, "k"), "the bytes")
    same((4, ["k"]), (reader.head("k").size, names(reader)), "size and listing")
    for name, act in _writes(reader, place).items():
        for_good(expect(AccessDeniedError, act, f"{name} by who may only read"), name)
    holds(place.another(), {"k": b"ours"})


@case("A03", needs=("stranger",))
def opening(place: Place) -> None:
    """Building an instance needs no leave: a stranger's can be built, asked what it offers, and closed."""
    stranger = place.stranger
    same(place.backend.capabilities, stranger.capabilities, "the capabilities")
    same(place.backend.uri("k"), stranger.uri("k"), "the address")
    stranger.close()
