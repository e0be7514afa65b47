"""L: a listing has every key that begins with the prefix, once, in order, or raises."""

from __future__ import annotations

from itertools import islice

from rud.errors import ObjectNotFoundError, ObjectStoreTransientError, StoreError
from rud_conformance import strategies
from rud_conformance.acts import Watched, by_utf8, coded, expect, get, keep, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.wire import Trouble


def _fill(place: Place, keys: list[str]) -> list[str]:
    """Those of ``keys`` that could be put, in order."""
    kept: list[str] = []
    for key in dict.fromkeys(keys):
        if keep(place.backend, key, b"x", kept):
            kept.append(key)
    return by_utf8(kept)


def _begins(kept: list[str], prefix: str) -> list[str]:
    return [key for key in kept if key.startswith(prefix)]


@case("L01", profile="smoke")
def after_every_step(place: Place) -> None:
    """After every put and delete the listing is what was put and not deleted."""
    there: list[str] = []
    for key in ("b", "a/b", "a/a", "c", "a.x", "é"):
        put(place.backend, key, b"x")
        there.append(key)
        same(by_utf8(there), names(place.backend), "the listing")
    for key in list(there):
        place.backend.delete(key)
        there.remove(key)
        same(by_utf8(there), names(place.backend), "the listing")


@case("L02", profile="smoke", given=strategies.keys_and_prefix, weight=2)
def any_prefix(place: Place, drawn: tuple[tuple[str, ...], str, int]) -> None:
    """A listing has exactly the keys that begin with the prefix, as text: no folder, no pattern, no part of a key."""
    keys, prefix, cut = drawn
    kept = _fill(place, list(keys))
    prefix = prefix[: max(0, len(prefix) - cut)]
    same(_begins(kept, prefix), names(place.backend, prefix), f"the listing of {prefix!a}")


@case("L03", profile="smoke")
def everything(place: Place) -> None:
    """``None``, the empty text and no prefix are the same to ``list_objects``: everything."""
    kept = _fill(place, ["a", "b/c", "é"])
    for found in (place.store.list_objects(), place.store.list_objects(None), place.store.list_objects("")):
        same(kept, found, "the listing")


@case("L04", profile="smoke")
def prefixes(place: Place) -> None:
    """A prefix may be a whole key, end within a name, in a slash or a blank, begin with one, or be longer than all."""
    kept = _fill(place, ["run1", "run1 a", "run1/a", "run1/b/c", "run10/a", "run", "x/run1/a", "ru", "RUN1/a"])
    for prefix in (
        "run1",
        "run1/",
        "run1 ",
        "run",
        "run10",
        "run1/a",
        "run1/b",
        "run1/b/",
        "/run1",
        "r",
        "un1",
        "run1/a/x",
        "x",
    ):
        same(_begins(kept, prefix), names(place.backend, prefix), f"the listing of {prefix!r}")


@case("L05")
def patterns(place: Place) -> None:
    """Characters of patterns in a prefix stand for themselves."""
    kept = _fill(place, ["a*b", "axb", "a?b", "a[x]b", "a.b", "ab", "a+b", "a%b", "a_b", "a\\b", "a^b", "a$b", "aab"])
    for prefix in ("a*", "a?", "a[x]", "a[", "a.", "a+", "a%", "a_", "a\\", "a^", "a$", "*", ".", "a"):
        same(_begins(kept, prefix), names(place.backend, prefix), f"the listing of {prefix!r}")


@case("L06", profile="smoke")
def a_list_of_ones_own(place: Place) -> None:
    """``list_objects`` returns a new list of text without repeats; changing it changes no other."""
    kept = _fill(place, [f"k{number}" for number in range(7)])
    first = place.store.list_objects()
    same((list, {str}), (type(first), {type(name) for name in first}), "the types")
    first.clear()
    same(kept, place.store.list_objects(), "the second listing")


@case("L07", profile="smoke")
def order(place: Place) -> None:
    """Keys come in the order of their UTF-8 bytes: not of UTF-16, of a language, or of letters without case."""
    kept = _fill(
        place, ["\uffee", "\U0001f600", "é", "f", "B", "a", "Z", "z", "a/b", "a.b", "a-b", "a b", "a0", "A", "e"]
    )
    same(kept, names(place.backend), "the listing")


def _counts(place: Place) -> list[int]:
    page = place.limits.page
    if page > 50:
        return [7]
    return [page - 1, page, page + 1, 2 * page, 2 * page + 1, 3 * page]


@case("L08", profile="smoke")
def pages(place: Place) -> None:
    """As many keys as fill a page, one less, one more, and several pages: each is listed once."""
    done = 0
    keys: list[str] = []
    for count in _counts(place):
        for number in range(done, count):
            put(place.backend, f"k{number:05}", b"")
            keys.append(f"k{number:05}")
        done = count
        same(keys, names(place.backend), f"the listing of {count} keys")
        same(keys, names(place.backend, "k"), f"the listing of {count} keys below 'k'")


@case("L19", profile="soak")
def many_keys(place: Place) -> None:
    """Around the borders of the real pages, and over ten of them, each key is listed once."""
    page, keys = place.limits.page, list[str]()
    for count in (page - 1, page, page + 1, 2 * page, 2 * page + 1, 10 * page + 1):
        for number in range(len(keys), count):
            put(place.backend, f"k{number:06}", b"")
            keys.append(f"k{number:06}")
        same(keys, names(place.backend), f"the listing of {count} keys")


@case("L09")
def odd_page_borders(place: Place) -> None:
    """Whatever characters the last key of a page has, the next page begins behind it."""
    odd = ("a+b", "a%2Bb", "a b", "a/b/", "é", "\U0001f600", "a&b=c", "a#b", "a\\b", "a%", '"a"', "<a>", "a\nb")
    for stem in odd if not place.limits.slow else odd[:6]:
        here = place.fresh()
        count = 2 * here.limits.page + 1 if here.limits.page < 20 else 5
        kept = _fill(here, [f"{stem}{number:03}" for number in range(count)])
        same(kept, names(here.backend), f"the listing of keys like {stem!a}")


@case("L10", needs=("wire",))
def empty_page(place: Place) -> None:
    """A page without keys that names another is not the end of the listing."""
    place.needs_kind("empty_page")
    kept = _fill(place, [f"k{number:03}" for number in range(2 * place.limits.page + 1)])
    for n in (0, 1, 2):
        place.wire.plan({n: Trouble("empty_page")})
        same(kept, names(place.backend), f"the listing when page {n} is empty")
        place.met()


@case("L12", profile="smoke")
def usable(place: Place) -> None:
    """Every name that is listed works as it is in every other operation, and its size is that of head."""
    _fill(place, ["a", "a/b", "some/prefix/c", "d e", "é/f", "prefix/g"])
    for meta in place.backend.list(""):
        same(meta.size, place.backend.head(meta.key).size, f"the size of {meta.key!a}")
        same(meta.size, len(get(place.backend, meta.key)), f"the bytes of {meta.key!a}")
        place.backend.uri(meta.key)
        place.backend.delete(meta.key)
    same([], names(place.backend), "the listing after all was deleted")


@case("L13", profile="smoke")
def nothing(place: Place) -> None:
    """No match is an empty listing, in an empty store and in one that has other keys."""
    same([], names(place.backend), "the listing of an empty store")
    same([], place.store.list_objects("no"), "a listing without match")
    put(place.backend, "a", b"x")
    for prefix in ("b", "a/", "aa", "A"):
        same([], names(place.backend, prefix), f"the listing of {prefix!r}")


@case("L15", needs=("wire",))
def failing_page(place: Place) -> None:
    """A page that cannot be had makes the listing raise: the pages before it are never taken for all."""
    if place.limits.page > 50:
        place.note("pages are large: only the first one fails")
    count = 2 * place.limits.page + 1 if place.limits.page < 50 else 3
    kept = _fill(place, [f"k{number:03}" for number in range(count)])
    troubles = (
        Trouble("status", 503),
        Trouble("status", 403),
        Trouble("reset"),
        Trouble("status", 404, "NoSuchBucket"),
    )
    for n in range(3 if place.limits.page < 50 else 1):
        for trouble in troubles:
            place.wire.plan({n: trouble})
            expect(StoreError, lambda: names(place.backend), f"a listing of which page {n} fails with {trouble}")
            place.met()
    same(kept, names(place.backend), "the listing without trouble")


@case("L17")
def unfinished_is_not_listed(place: Place) -> None:
    """What is being put is not listed, under whatever name, and nor is anything that a failed put has left."""
    size = place.limits.threshold + 5
    seen: list[list[str]] = []
    other = place.another()
    put(place.backend, "k", Watched(coded(size), lambda: seen.append(names(other)), size - 1))
    same([[]], seen, "the listing during the put")
    same(["k"], names(other), "the listing after it")


@case("L18", profile="smoke")
def deep(place: Place) -> None:
    """A listing goes all the way down."""
    deepest = "/".join(f"d{number}" for number in range(12))
    kept = _fill(place, [*(deepest[: 3 * depth + 1] for depth in range(1, 9)), f"{deepest}/x", "d0/y"])
    same(kept, names(place.backend), "the listing")
    same(_begins(kept, "d0/d1/d2/"), names(place.backend, "d0/d1/d2/"), "the listing from within")


@case("L20", needs=("wire",))
def no_end(place: Place) -> None:
    """A listing whose pages lead to themselves ends with an error or an end, and not never."""
    place.needs_kind("same_token")
    _fill(place, [f"k{number:03}" for number in range(2 * place.limits.page + 1)])
    place.all_fail(Trouble("same_token"))
    before = len(place.wire.requests())
    try:
        for _ in islice(place.backend.list(""), 1000):
            if len(place.wire.requests()) - before > 50:
                break
    except ObjectStoreTransientError:
        pass
    asked = len(place.wire.requests()) - before
    place.met()
    if asked > 50:
        raise AssertionError(f"a listing asked for the same page {asked} times")


@case("L21", profile="smoke")
def metadata_of_a_listing(place: Place) -> None:
    """Size and etag in a listing are those of head; what a listing does not know it does not tell."""
    for size in (0, 3, place.limits.threshold + 1):
        put(place.backend, f"k{size}", coded(size))
    for meta in place.backend.list(""):
        head = place.backend.head(meta.key)
        for name in ("size", "etag", "checksum", "entry_id"):
            if (told := getattr(meta, name)) is not None:
                same(getattr(head, name), told, f"{name} of {meta.key!r} in the listing")


@case("L22")
def deleted_while_listed(place: Place) -> None:
    """A caller may delete what a listing hands it, while it goes on: everything is deleted."""
    _fill(place, [f"k{number:03}" for number in range(2 * place.limits.page + 1 if place.limits.page < 20 else 9)])
    for meta in place.backend.list(""):
        place.backend.delete(meta.key)
    same([], names(place.backend), "the listing afterwards")
    expect(ObjectNotFoundError, lambda: place.backend.head("k000"), "head afterwards")
