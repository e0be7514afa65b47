"""M: laws that need no model of the store."""

from __future__ import annotations

from rud_conformance import strategies
from rud_conformance.acts import by_utf8, coded, get, keep, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case

Drawn = tuple[tuple[str, ...], str, int]


def _fill(place: Place, keys: tuple[str, ...]) -> list[str]:
    kept: list[str] = []
    for key in keys:
        if keep(place.backend, key, key.encode(), kept):
            kept.append(key)
    return kept


@case("M01", given=strategies.keys_and_prefix)
def narrower(place: Place, drawn: Drawn) -> None:
    """A longer prefix lists part of what a shorter one does, and the empty one lists all."""
    keys, prefix, _ = drawn
    _fill(place, keys)
    wider = names(place.backend)
    for cut in range(len(prefix) + 1):
        narrower = names(place.backend, prefix[:cut])
        same([key for key in wider if key.startswith(prefix[:cut])], narrower, f"the listing of {prefix[:cut]!a}")
        wider = narrower


@case("M02", given=strategies.family)
def below(place: Place, family: tuple[str, ...]) -> None:
    """A store at ``scope/b`` is the one at ``scope`` with keys that begin with ``b/``."""
    nested = place.another("b")
    kept: list[str] = []
    for key in family:
        if keep(nested, key, key.encode(), kept):
            kept.append(key)
    same([f"b/{key}" for key in by_utf8(kept)], names(place.backend), "the listing from above")
    for key in kept:
        same(key.encode(), get(place.backend, f"b/{key}"), f"the bytes of {key!a} from above")
    if kept:
        place.backend.delete(f"b/{kept[0]}")
        same(by_utf8(kept[1:]), names(nested), "the listing from below after a delete from above")


@case("M03", given=strategies.family)
def any_order(place: Place, family: tuple[str, ...]) -> None:
    """Puts of different keys in another order end in the same store."""
    other = place.fresh()
    kept = _fill(place, family)
    for key in reversed(kept):
        put(other.backend, key, key.encode())
    same(names(place.backend), names(other.backend), "the listings")
    same([get(place.backend, key) for key in kept], [get(other.backend, key) for key in kept], "the bytes")


@case("M04", profile="smoke", given=strategies.sizes)
def identity(place: Place, size: int) -> None:
    """Upload and download by different stores is the identity, and the size is the length."""
    source, copy = place.folder / "source", place.folder / "copy"
    source.write_bytes(coded(size))
    place.another_store().upload_object("k", source)
    place.another_store().download_object("k", copy, overwrite=True)
    same(source.read_bytes(), copy.read_bytes(), "the bytes")
    same(size, place.store.get_object_size("k"), "the size")


@case("M05", needs=("ranges",), given=strategies.ranges)
def halves(place: Place, drawn: tuple[int, int]) -> None:
    """The first bytes of a get, and a get from there on, are the whole."""
    size, start = drawn
    put(place.backend, "k", coded(size))
    whole = get(place.backend, "k")
    same(whole, whole[:start] + get(place.backend, "k", start), f"the halves at {start} of {size}")
