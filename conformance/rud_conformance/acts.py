"""What the cases do to a backend, and how they say what they expected."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TypeVar

from rud._body import Body
from rud.errors import InvalidKeyError, ObjectStoreTransientError, StoreError
from rud.store import Backend, ObjectMeta, OnMultipart, PutMode, PutResult, Source
from rud_conformance.place import Place

T = TypeVar("T", bound=BaseException)


def ignore(_: str) -> None:
    """Nobody wants to know the id of a multipart upload."""


def body(data: bytes) -> Body:
    return Body(io.BytesIO(data), len(data))


def put(
    backend: Backend,
    key: str,
    data: bytes | Source,
    *,
    create: bool = False,
    checksum: int | None = None,
    entry_id: str | None = None,
    durable: bool = False,
    on_multipart: OnMultipart = ignore,
) -> PutResult:
    """``backend.put``, with what most cases do not care about filled in."""
    return backend.put(
        key,
        body(data) if isinstance(data, bytes) else data,
        mode=PutMode.CREATE if create else PutMode.OVERWRITE,
        checksum=checksum,
        entry_id=entry_id,
        durable=durable,
        on_multipart=on_multipart,
    )


def get(backend: Backend, key: str, start: int = 0) -> bytes:
    """The bytes of ``key`` from ``start``."""
    return got(backend, key, start)[0]


def got(backend: Backend, key: str, start: int = 0) -> tuple[bytes, ObjectMeta]:
    """``get``, and the metadata that came with it."""
    sink = io.BytesIO()
    meta = backend.get(key, sink, start=start)
    return sink.getvalue(), meta


def names(backend: Backend, prefix: str = "") -> list[str]:
    """The keys of a listing."""
    return [meta.key for meta in backend.list(prefix)]


def by_utf8(keys: Iterable[str]) -> list[str]:
    return sorted(keys, key=str.encode)


def same(expected: object, found: object, what: str) -> None:
    """``AssertionError`` unless the two are equal; long bytes are told by their first difference."""
    if expected == found:
        return
    if isinstance(expected, bytes) and isinstance(found, bytes) and max(len(expected), len(found)) > 60:
        at = next((i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), None)
        where = f"differ first at byte {at}" if at is not None else "are equal as far as the shorter goes"
        raise AssertionError(f"{what}: expected {len(expected)} bytes, found {len(found)}, which {where}")
    raise AssertionError(f"{what}: expected {expected!a}, found {found!a}")


def expect(error: type[T] | tuple[type[T], ...], act: Callable[..., object], what: str) -> T:
    """The ``error`` that ``act`` raised; ``AssertionError`` when it raised none or another."""
    classes = error if isinstance(error, tuple) else (error,)
    wanted = " or ".join(one.__name__ for one in classes)
    try:
        value = act()
    except classes as raised:
        return raised
    except BaseException as raised:
        said = f"{what}: expected {wanted}, but {type(raised).__name__} was raised: {str(raised)!a}"
        raise AssertionError(said) from raised
    raise AssertionError(f"{what}: expected {wanted}, but nothing was raised; it returned {ascii(value)[:200]}")


def for_good(error: BaseException, what: str) -> None:
    """``AssertionError`` if ``error`` is one that is tried again."""
    if isinstance(error, ObjectStoreTransientError):
        raise AssertionError(f"{what}: it will never pass, but {type(error).__name__} says that it may: {error}")


def keep(backend: Backend, key: str, data: bytes, there: Iterable[str] = ()) -> bool:
    """Put ``data``; false when the backend has refused ``key`` in words, by every operation and leaving nothing.

    A key that is a path to, or below, one of those that are ``there`` may also be refused with a plain ``StoreError``.
    """
    try:
        put(backend, key, data)
    except InvalidKeyError:
        for name in ("head", "delete", "uri"):
            expect(InvalidKeyError, lambda name=name: getattr(backend, name)(key), f"{name} of the refused {key!a}")
        expect(InvalidKeyError, lambda: get(backend, key), f"get of the refused {key!a}")
        if key in names(backend):
            raise AssertionError(f"the key {key!a} was refused, and is listed") from None
        return False
    except StoreError as error:
        in_the_way = any(one.startswith(f"{key}/") or key.startswith(f"{one}/") for one in there)
        if type(error) is StoreError and in_the_way:
            return False
        raise
    return True


def keep_apart(place: Place, family: Iterable[str]) -> None:
    """Check that each of ``family`` is an object of its own, or refused."""
    backend, other = place.backend, place.another()
    kept: dict[str, bytes] = {}
    for number, key in enumerate(family):
        data = b"%d:" % number + b"x" * number
        if keep(backend, key, data, kept):
            kept[key] = data
    for reader in (backend, other):
        holds(reader, kept)
    same(len(kept), len({backend.uri(key) for key in kept}), f"different addresses of {sorted(kept)!a}")
    for key in list(kept):
        other.delete(key)
        del kept[key]
        same(by_utf8(kept), names(backend), f"the listing after {key!a} was deleted")


def holds(backend: Backend, model: dict[str, bytes]) -> None:
    """Check that ``backend`` has exactly the objects of ``model``, by every operation that tells."""
    found = list(backend.list(""))
    same(by_utf8(model), [meta.key for meta in found], "the listing")
    for meta in found:
        same(len(model[meta.key]), meta.size, f"the size of {meta.key!a} in the listing")
    for key, data in model.items():
        same(len(data), backend.head(key).size, f"the size of {key!a}")
        same(data, get(backend, key), f"the bytes of {key!a}")


def coded(size: int, salt: int = 0) -> bytes:
    """``size`` bytes of which no aligned block of four is like another, so that a swap, a repeat and a gap show."""
    return b"".join((block * 2654435761 + salt & 0xFFFFFFFF).to_bytes(4, "big") for block in range(size // 4 + 1))[
        :size
    ]


def large(place: Place) -> int:
    """Bytes that no backend moves at one go, if that can be had cheaply."""
    if place.limits.slow:
        return 300
    return 3 << 20 if place.limits.part >= 1024 else 20 * place.limits.part + 3


class Failing(Body):
    """A source of ``data`` that raises ``error`` instead of the byte ``at``."""

    def __init__(self, data: bytes, error: BaseException, at: int = 0) -> None:
        super().__init__(io.BytesIO(data), len(data))
        self._error = error
        self._at = at

    def _next(self, most: int) -> bytes:
        if self.tell() >= self._at:
            raise self._error
        return super()._next(min(most, self._at - self.tell()))


class Watched(Body):
    """A source that calls ``act`` once, when the byte ``at`` is about to be read."""

    def __init__(self, data: bytes, act: Callable[..., object], at: int = 0) -> None:
        super().__init__(io.BytesIO(data), len(data))
        self._act: Callable[..., object] | None = act
        self._at = at

    def _next(self, most: int) -> bytes:
        if self._act is not None:
            if self.tell() >= self._at:
                act, self._act = self._act, None
                act()
            else:
                most = min(most, self._at - self.tell())
        return super()._next(most)


class Trickling(Body):
    """A source of which each read gives a byte or, of a long one, a few; whatever was asked for."""

    def _next(self, most: int) -> bytes:
        return super()._next(min(most, 1 + len(self) // 3000))
