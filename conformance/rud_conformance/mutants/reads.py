"""Mistakes of gets, heads and listings."""

from __future__ import annotations

import fnmatch
import gzip
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from rud.errors import ObjectNotFoundError, StoreError
from rud.store import Capabilities, ObjectMeta, PutResult, Sink, Source
from rud_conformance.mutants import mutant
from rud_conformance.wired import PAGE, Page, Reply, Stored, WiredBackend


@mutant("size-cached", "O03 V05 Q01", "the size of an object is remembered")
class SizeCached(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._sizes: dict[str, int] = {}

    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        return replace(super()._meta(key, stored), size=self._sizes.setdefault(key, len(stored.data)))


@mutant("size-constant", "S01 R01", "the size is always the same")
class SizeConstant(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        return replace(super().head(key), size=1_000_000)


@mutant("gunzip", "R07", "what is compressed is unpacked on its way")
class Gunzip(WiredBackend):
    def _chunks(self, key: str, reply: Reply) -> Iterator[bytes]:
        data = b"".join(super()._chunks(key, reply))
        yield gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@mutant("snapshot", "V01 V04", "an instance sees what was there when it was opened, and what it has put")
class Snapshot(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._known = set(self._service.whole())

    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        result = super().put(key, source, **given)
        self._known.add(self._whole(key))
        return result

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return (meta for meta in super().list(prefix) if self._whole(meta.key) in self._known)


@mutant("listing-cached", "V04 V07 L01", "a listing is remembered until the instance itself puts something")
class ListingCached(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._listed: dict[str, list[ObjectMeta]] = {}

    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        self._listed.clear()
        return super().put(key, source, **given)

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        if prefix not in self._listed:
            self._listed[prefix] = list(super().list(prefix))
        return iter(self._listed[prefix])


@mutant("misses-remembered", "V07", "a key that was missed once is missed for good")
class MissesRemembered(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._missed: set[str] = set()

    def head(self, key: str) -> ObjectMeta:
        if key in self._missed:
            raise ObjectNotFoundError.during("head", key, "as before")
        try:
            return super().head(key)
        except ObjectNotFoundError:
            self._missed.add(key)
            raise


@mutant("ranges-mixed", "V09", "a get is two requests, which may be of two versions")
class RangesMixed(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        if start or self.head(key).size < 10:
            return super().get(key, sink, start=start)
        with self._translated("get", key):
            reply = self._service.get(self._name("get", key), 0)
        first = next(self._chunks(key, reply))
        sink.write(first)
        super().get(key, sink, start=len(first))
        return self._meta(key, reply.stored)


@mutant("stale-reads", "T05", "every third get gives an older version")
class StaleReads(WiredBackend):
    seen: ClassVar[dict[str, list[Reply]]] = {}

    def _chunks(self, key: str, reply: Reply) -> Iterator[bytes]:
        seen = self.seen.setdefault(f"{self._bucket}{key}", [])
        seen.append(reply)
        yield from super()._chunks(key, seen[0] if len(seen) % 3 == 0 else reply)


@mutant("by-offset", "V11 L22", "pages are counted, so that what is put or deleted meanwhile shifts them")
class ByOffset(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        at = 0
        while page := tuple(super().list(prefix))[at : at + PAGE]:
            yield from page
            at += PAGE


@mutant("foreign-hidden", "V13", "objects that somebody else has stored are not listed")
class ForeignHidden(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return (meta for meta in super().list(prefix) if meta.checksum is not None)


@mutant("foreign-refused", "C04", "objects without a sum of ours are taken for damaged")
class ForeignRefused(WiredBackend):
    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        return replace(super()._meta(key, stored), checksum=stored.crc or 0)


@mutant("first-page", "L08 L01", "only the first page is listed")
class FirstPage(WiredBackend):
    def _pages(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        with self._translated("list", prefix):
            yield from self._service.page(self._prefix + prefix, None).items


class _Pages(WiredBackend):
    """Lists in a loop of its own, at most 99 pages long."""

    def next_token(self, page: Page) -> str | None:
        return page.token

    def items(self, page: Page) -> list[tuple[str, Stored]]:
        return page.items

    def is_last(self, page: Page) -> bool:
        return not page.truncated

    def _pages(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        token: str | None = None
        for _ in range(99):
            with self._translated("list", prefix):
                page = self._service.page(self._prefix + prefix, token)
            yield from self.items(page)
            if self.is_last(page):
                return
            token = self.next_token(page)


@mutant("empty-page-ends", "L10", "a page without keys is taken for the last")
class EmptyPageEnds(_Pages):
    def is_last(self, page: Page) -> bool:
        return super().is_last(page) or not page.items


@mutant("nine-pages", "L19", "a listing ends after nine pages")
class NinePages(_Pages):
    def _pages(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        yield from itertools.islice(super()._pages(prefix), 9 * PAGE)


@mutant("last-key-twice", "L06 L08", "the last key of a page is listed with the next one again")
class LastKeyTwice(_Pages):
    def items(self, page: Page) -> list[tuple[str, Stored]]:
        return page.items if self.is_last(page) else [*page.items, page.items[-1]]


@mutant("token-decoded", "L09", "what leads to the next page is decoded once too often")
class TokenDecoded(_Pages):
    def next_token(self, page: Page) -> str | None:
        return unquote_plus(page.token or "")


@mutant("no-end", "L20", "a page that leads to itself is asked for again and again")
class NoEnd(_Pages):
    pass


@mutant("keys-by-letters", "L09", "the next page begins behind the letters of the last key")
class KeysByLetters(_Pages):
    def next_token(self, page: Page) -> str | None:
        return (page.token or "").encode("ascii", "replace").decode()


class _Filter(WiredBackend):
    """Lists everything and chooses by itself."""

    def chosen(self, key: str, prefix: str) -> bool:
        return key.startswith(prefix)

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return (meta for meta in super().list("") if self.chosen(meta.key, prefix))


@mutant("prefix-anywhere", "L02 L04 M01", "the prefix is looked for anywhere in the key")
class PrefixAnywhere(_Filter):
    def chosen(self, key: str, prefix: str) -> bool:
        return prefix in key


@mutant("prefix-is-a-folder", "L04 L02", "the prefix is taken for a folder")
class PrefixIsAFolder(_Filter):
    def chosen(self, key: str, prefix: str) -> bool:
        return not prefix or key == prefix or key.startswith(prefix.rstrip("/") + "/")


@mutant("prefix-is-a-pattern", "L05", "the prefix is taken for a pattern")
class PrefixIsAPattern(_Filter):
    def chosen(self, key: str, prefix: str) -> bool:
        return fnmatch.fnmatchcase(key, f"{prefix}*")


@mutant("prefix-is-sql", "L05", "the prefix is taken for a pattern of SQL")
class PrefixIsSql(_Filter):
    def chosen(self, key: str, prefix: str) -> bool:
        pattern = prefix.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]").replace("%", "*").replace("_", "?")
        return fnmatch.fnmatchcase(key, f"{pattern}*")


@mutant("prefix-without-case", "L13 L04", "case does not count in a prefix")
class PrefixWithoutCase(_Filter):
    def chosen(self, key: str, prefix: str) -> bool:
        return key.lower().startswith(prefix.lower())


@mutant("one-level", "L18 L01 Q01", "a listing does not go into folders")
class OneLevel(_Filter):
    def chosen(self, key: str, prefix: str) -> bool:
        return key.startswith(prefix) and "/" not in key[len(prefix) :]


@mutant("utf-16", "L07", "keys are sorted by UTF-16")
class Utf16(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return iter(sorted(super().list(prefix), key=lambda meta: meta.key.encode("utf-16-be")))


@mutant("sorted-without-case", "L07", "keys are sorted without case")
class SortedWithoutCase(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return iter(sorted(super().list(prefix), key=lambda meta: meta.key.lower()))


@mutant("nothing-is-an-error", "L13", "a listing without match raises")
class NothingIsAnError(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        found = list(super().list(prefix))
        if not found:
            raise ObjectNotFoundError.during("list", prefix, "there is nothing")
        return iter(found)


@mutant("as-far-as-it-went", "L15 P24", "a page that fails ends the listing")
class AsFarAsItWent(WiredBackend):
    def _pages(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        try:
            yield from super()._pages(prefix)
        except StoreError:
            return


@mutant("lazy-and-raw", "L15 E20", "an error in the middle of a listing comes out as it is")
class LazyAndRaw(WiredBackend):
    def _pages(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        token: str | None = None
        while True:
            page = self._service.page(self._prefix + prefix, token)
            yield from page.items
            if not page.truncated:
                return
            token = page.token


@mutant("etag-of-the-listing", "L21", "a listing has other etags than head")
class EtagOfTheListing(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return (replace(meta, etag=f'"{meta.etag}"') for meta in super().list(prefix))


@mutant("sizes-of-the-listing", "V05 L21", "a listing has sizes of zero for small objects")
class SizesOfTheListing(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return (replace(meta, size=0 if meta.size < 8 else meta.size) for meta in super().list(prefix))


@mutant("head-by-get", "S02", "head is a get")
class HeadByGet(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        with self._translated("head", key):
            return self._meta(key, self._service.get(self._name("head", key), 0).stored)


@mutant("folders-are-objects", "S03", "a folder is answered as an object without bytes")
class FoldersAreObjects(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        try:
            return super().head(key)
        except ObjectNotFoundError:
            if any(name.startswith(f"{self._whole(key)}/") for name in self._service.whole()):
                return ObjectMeta(key, 0)
            raise


@mutant("milliseconds", "S08", "the time of the last change is in milliseconds")
class Milliseconds(WiredBackend):
    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        return replace(super()._meta(key, stored), last_modified=stored.at * 1000)


@mutant("etag-is-the-size", "S09", "the etag is the size, and there is no sum")
class EtagIsTheSize(WiredBackend):
    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        return replace(super()._meta(key, stored), etag=str(len(stored.data)), checksum=None)


@mutant("etag-of-get", "S12", "get tells no id and another etag than head")
class EtagOfGet(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        return replace(super().get(key, sink, start=start), entry_id=None)


@mutant("size-of-the-range", "S12 D18", "a get from the middle tells the size of what it gave")
class SizeOfTheRange(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        meta = super().get(key, sink, start=start)
        return replace(meta, size=max(0, meta.size - start))


@mutant("one-byte-late", "D18 X05 M05", "a get from the middle begins one byte late")
class OneByteLate(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        return super().get(key, sink, start=start + 1 if start > 0 else start)


@mutant("range-not-checked", "D15", "that a range was not heeded is not noticed")
class RangeNotChecked(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        with self._translated("get", key):
            reply = self._service.get(self._name("get", key), start)
        for chunk in self._chunks(key, reply):
            sink.write(chunk)
        return self._meta(key, reply.stored)


@mutant("declares-false", "X01", "a capability is False, without a reason")
class DeclaresFalse(WiredBackend):
    @property
    def capabilities(self) -> Capabilities:
        wrong: Any = False
        return replace(super().capabilities, fsync=wrong)


@mutant("declares-by-use", "X01", "what is offered depends on what was done")
class DeclaresByUse(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        self._used = True
        return super().head(key)

    @property
    def capabilities(self) -> Capabilities:
        taken = bool(self._service.whole())
        return replace(super().capabilities, fsync="only while it is empty" if taken else True)


@mutant("probe-stays", "X06", "a probe leaves an object")
class ProbeStays(WiredBackend):
    def probe(self) -> None:
        super().probe()
        self._service.by_hand(f"{self._prefix}.probe", b"")


@mutant("probe-says-yes", "X08 A02", "a probe always passes")
class ProbeSaysYes(WiredBackend):
    def probe(self) -> None:
        self._check_open("probe", "")
