"""N: a key is kept exactly as it is, or refused in words."""

from __future__ import annotations

from collections.abc import Callable

from rud.errors import InvalidKeyError, StoreError
from rud_conformance import strategies
from rud_conformance.acts import by_utf8, expect, get, holds, keep, keep_apart, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case


@case("N01", profile="smoke", given=strategies.key_and_data, weight=2)
def round_trip(place: Place, drawn: tuple[str, bytes]) -> None:
    """Any key that is taken comes back by get, head and list, name for name and byte for byte, from every instance."""
    key, data = drawn
    if keep(place.backend, key, data):
        holds(place.backend, {key: data})
        holds(place.another(), {key: data})


@case("N02", given=strategies.family, weight=2)
def families(place: Place, drawn: tuple[str, ...]) -> None:
    """A key and what tidying would make of it are different objects, or refused."""
    keep_apart(place, drawn)


def _family(id: str, name: str, words: str) -> None:  # noqa: A002 - as in the registry
    def check(place: Place) -> None:
        keep_apart(place, strategies.FAMILIES[name])

    check.__doc__ = words
    case(id, profile="smoke")(check)


_family("N03", "percent", "Percent signs are neither decoded nor encoded twice, by any operation.")
_family("N04", "plus and space", "A space, a plus and their escapes are four different things.")
_family("N05", "dots", "Segments of dots are kept as they are, or refused; never resolved.")
_family("N06", "slashes", "Slashes in a row are kept as they are, or refused.")
_family("N07", "leading slash", "A slash in front is kept, or refused.")
_family("N08", "trailing slash", "A slash at the end is kept, with content and listed, or refused.")
_family("N09", "case", "Letters of different case are different.")
_family("N10", "Unicode", "Text is not normalised: forms that look alike are different.")
_family("N12", "control characters", "Control characters are kept and listed, or refused.")
_family("N17", "of URLs", "What has a meaning in URLs has none in a key.")
_family("N18", "blanks", "Blanks and dots around a key are part of it.")
_family("N19", "of shells and systems", "What has a meaning to a shell, a system or XML has none in a key.")
_family("N24", "backslashes", "Backslashes and drive letters are characters like others.")
_family(
    "N25", "of unfinished files", "Names that look like unfinished or hidden files are ordinary objects, or refused."
)
_family("N26", "digits", "Names that look like a status or an error are ordinary objects.")


@case("N11", profile="smoke")
def impossible(place: Place) -> None:
    """Empty keys, NUL, lone surrogates and what is no text are refused by every operation, and nothing is stored."""
    backend = place.backend
    for key in ("", "a\0b", "\ud800", "a/\udfff", b"bytes", None, 7):
        operations: dict[str, Callable[..., object]] = {
            "put": lambda key=key: put(backend, key, b"x"),
            "get": lambda key=key: get(backend, key),
            "head": lambda key=key: backend.head(key),
            "delete": lambda key=key: backend.delete(key),
            "uri": lambda key=key: backend.uri(key),
        }
        for name, act in operations.items():
            expect(_refusals(key), act, f"{name} of {key!a}")
    same([], names(backend), "the listing")


def _refusals(key: object) -> tuple[type[Exception], ...]:
    return (InvalidKeyError,) if isinstance(key, str) else (InvalidKeyError, TypeError, AttributeError)


def _long(place: Place, letter: str) -> None:
    """Keys about 1,024 bytes long, in segments, that differ only in their last letter."""
    width = len(letter.encode())
    kept: dict[str, bytes] = {}
    refused_at = None
    for size in range(904, 1044, 10):
        for last in ("x", "y"):
            stem = _segmented(letter, (size - 1) // width)
            key = stem + last
            if keep(place.backend, key, last.encode(), kept):
                kept[key] = last.encode()
                if refused_at is not None and len(key.encode()) > refused_at:
                    raise AssertionError(f"a key of {refused_at} bytes was refused, one of {len(key.encode())} was not")
            else:
                refused_at = min(refused_at or len(key.encode()), len(key.encode()))
    holds(place.another(), kept)


def _segmented(letter: str, count: int) -> str:
    return "".join("/" if number % 60 == 59 else letter for number in range(count))


@case("N13")
def longest(place: Place) -> None:
    """Near 1,024 bytes keys are kept whole or refused, and none is cut: names that differ at their end differ."""
    _long(place, "k")


@case("N14")
def longest_in_bytes(place: Place) -> None:
    """What limits a key is its bytes: with characters of four bytes the same holds."""
    _long(place, "\U0001f600")


@case("N15")
def long_segments(place: Place) -> None:
    """Names of 255, 256 and 300 bytes that begin alike are different objects, or refused."""
    keep_apart(place, ["s" * 255, "s" * 256, "s" * 257, "s" * 300, "d/" + "s" * 255, "d/" + "s" * 256])


@case("N16", profile="smoke")
def plain(place: Place) -> None:
    """Keys of letters, digits, ``.``, ``-``, ``_`` and ``/`` are never refused."""
    for key in strategies.PLAIN:
        put(place.backend, key, key.encode())
    holds(place.another(), {key: key.encode() for key in strategies.PLAIN})


@case("N20")
def own_prefix(place: Place) -> None:
    """A key that begins with, equals or repeats the prefix of the store is a key like others."""
    scope = place.scope
    ends = ("some/prefix", "prefix", "some/some/prefix/x", "xxe", "emos/x", "fixrep")
    keys = [scope, f"{scope}/x", f"x/{scope}/x", f"{scope}/{scope}/x", *ends, *(f"{end}/some/prefix/y" for end in ends)]
    keep_apart(place, list(dict.fromkeys(keys)))


@case("N21")
def siblings(place: Place) -> None:
    """Objects of scopes beside this one, whose names begin alike, are neither listed nor touched."""
    inside, beside = place.another("in"), {name: place.another(name) for name in ("inn", "in-x", "i", "other")}
    for name, one in beside.items():
        put(one, "k", name.encode())
    put(inside, "k", b"inside")
    same(["k"], names(inside), "the listing")
    same(["k"], names(inside, "k"), "the listing of 'k'")
    inside.delete("k")
    for name, one in beside.items():
        same(name.encode(), get(one, "k"), f"the object of the scope {name!r}")


@case("N22")
def object_and_folder(place: Place) -> None:
    """``a`` and ``a/b``, in either order: both live, or the second is refused for good and the first is intact."""
    for first, second in (("a", "a/b"), ("c/d", "c"), ("e", "e/f/g")):
        put(place.backend, first, b"first")
        both = keep(place.backend, second, b"second", [first])
        put(place.backend, first, b"again")
        same(b"again", get(place.backend, first), f"the bytes of {first!r}")
        listed = names(place.backend, first[0])
        same(by_utf8([first, second]) if both else [first], listed, "the listing")
        if both:
            same(b"second", get(place.backend, second), f"the bytes of {second!r}")


@case("N23", profile="smoke")
def addresses(place: Place) -> None:
    """``uri`` is pure, the same for every instance, before a put and after it, and no two keys share one."""
    backend, other = place.backend, place.another()
    seen: dict[str, str] = {}
    for key in dict.fromkeys(key for family in strategies.FAMILIES.values() for key in family):
        try:
            address = backend.uri(key)
        except InvalidKeyError:
            continue
        if (first := seen.setdefault(address, key)) != key:
            raise AssertionError(f"{first!a} and {key!a} share the address {address!a}")
        same(address, other.uri(key), f"the address of {key!a} by another instance")
    before = backend.uri("k")
    put(backend, "k", b"x")
    same(before, backend.uri("k"), "the address after the put")


@case("N27", needs=("raw",))
def seen_from_outside(place: Place) -> None:
    """What is put under a key lies under that key for whoever looks by another way, and the other way round."""
    kept: dict[str, bytes] = {}
    for number, key in enumerate([*strategies.PLAIN, "a b", "a+b", "é", "100%", "x y/z"]):
        if keep(place.backend, key, b"%d" % number, kept):
            kept[key] = b"%d" % number
    same(kept, place.raw.read(), "the objects as seen from outside")
    place.raw.put("from outside", b"hello")
    kept["from outside"] = b"hello"
    holds(place.backend, kept)


@case("N28")
def refused_with_a_conflict(place: Place) -> None:
    """A refused key costs nothing: what was there before is there afterwards, and the instance works."""
    put(place.backend, "k", b"x")
    for key in ("k/", "k//x", "k/../y", "/k", "k/.", "\ud800", "k" * 2000):
        try:
            put(place.backend, key, b"y")
            place.backend.delete(key)
        except (InvalidKeyError, StoreError):
            continue
    holds(place.backend, {"k": b"x"})
