"""Mistakes written without a look at the cases, to see whether these find what they were not made for."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from rud._clock import SystemClock
from rud.errors import (
    InvalidKeyError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
)
from rud.store import ObjectMeta, OnMultipart, PutMode, PutResult, Sink, Source
from rud_conformance.mutants import mutant
from rud_conformance.mutants.errors import _Classes, _Errors
from rud_conformance.mutants.keys import _Changed
from rud_conformance.mutants.reads import _Filter
from rud_conformance.wired import AnswerError, Multipart, Page, Reply, Stored, WiredBackend, service


@mutant("fragment", "N17", "a key ends at its hash")
class Fragment(_Changed):
    def change(self, key: str) -> str:
        return key.split("#", maxsplit=1)[0]


@mutant("zero-width", "N10", "characters without width are dropped")
class ZeroWidth(_Changed):
    def change(self, key: str) -> str:
        return "".join(one for one in key if one not in "\u200b\u200c\u200d\ufeff")


@mutant("sharp-s", "N10", "keys that are not ASCII are case-folded")
class SharpS(_Changed):
    def change(self, key: str) -> str:
        return key if key.isascii() else key.casefold()


@mutant("latin-1", "N10", "what Latin-1 cannot write becomes a question mark")
class Latin1(_Changed):
    def change(self, key: str) -> str:
        return key.encode("latin-1", "replace").decode("latin-1")


@mutant("trailing-slash-empty", "N06", "an object whose key ends in a slash is stored without bytes")
class TrailingSlashEmpty(WiredBackend):
    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        return super()._put_whole(key, name, b"" if name.endswith("/") else data, entry_id, create=create)


@mutant("delete-trailing-slash", "N06", "delete drops a slash at the end of the key")
class DeleteTrailingSlash(WiredBackend):
    def delete(self, key: str) -> None:
        super().delete(key.rstrip("/") or key)


@mutant("dot-names-hidden", "N25", "names that begin with a dot are not listed")
class DotNamesHidden(_Filter):
    def chosen(self, key: str, prefix: str) -> bool:
        return key.startswith(prefix) and not key.rsplit("/", maxsplit=1)[-1].startswith(".")


@mutant("prefix-itself-hidden", "L02", "the object that is named as the prefix is not listed")
class PrefixItselfHidden(_Filter):
    def chosen(self, key: str, prefix: str) -> bool:
        return key.startswith(prefix) and key != prefix


@mutant("prefix-unquoted", "L02", "the prefix of a listing is percent-decoded")
class PrefixUnquoted(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return super().list(unquote(prefix))


@mutant("prefix-slash-dropped", "L04", "a slash in front of the prefix of a listing is dropped")
class PrefixSlashDropped(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return super().list(prefix.lstrip("/"))


@mutant("head-by-listing", "V06", "head tells the first object whose name begins as the key")
class HeadByListing(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        name = self._name("head", key)
        with self._translated("head", key):
            items = self._service.page(name, None).items
        if not items:
            raise ObjectNotFoundError.during("head", key, "nothing is listed")
        return self._meta(key, items[0][1])


@mutant("end-is-an-error", "D18", "a get from just behind the last byte is an error")
class EndIsAnError(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        if start and start == self.head(key).size:
            raise StoreError.during("get", key, "416")
        return super().get(key, sink, start=start)


@mutant("get-anew", "D02", "a get that breaks begins anew and writes all again")
class GetAnew(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        try:
            return super().get(key, sink, start=start)
        except ObjectStoreTransientError:
            return super().get(key, sink, start=start)


@mutant("put-anew", "P01", "a put that breaks is sent again from where the source is")
class PutAnew(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        try:
            return super().put(key, source, **given)
        except ObjectStoreTransientError:
            data = source.read()
            with self._translated("put", key):
                return PutResult(self._service.put(self._whole(key), data, None, None, create=False).etag)


@mutant("complete-anew", "O09 P09", "a completion whose answer was lost is sent again, and its upload not found")
class CompleteAnew(WiredBackend):
    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        try:
            return super()._complete(key, upload_id, numbers, crc, create=create)
        except ObjectStoreTransientError:
            try:
                return self._service.complete(upload_id, numbers, crc, create=create)
            except AnswerError as error:
                raise ObjectNotFoundError.during("put", key, str(error)) from error


@mutant("no-time", "S08", "the time of the last change is the time of asking")
class NoTime(WiredBackend):
    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        return replace(super()._meta(key, stored), last_modified=SystemClock().time_ns() / 1e9)


@mutant("local-time", "S08", "the time of the last change is that of another time zone")
class LocalTime(WiredBackend):
    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        return replace(super()._meta(key, stored), last_modified=stored.at + 7200)


@mutant("old-id-kept", "S11", "an overwrite without an id keeps the id of what was there")
class OldIdKept(WiredBackend):
    def put(self, key: str, source: Source, *, entry_id: str | None, **given: Any) -> PutResult:
        if entry_id is None:
            old = self._service._objects.get(self._name("put", key))
            entry_id = old.entry_id if old else None
        return super().put(key, source, entry_id=entry_id, **given)


@mutant("id-lower-case", "S11", "the id of an upload is lower-cased")
class IdLowerCase(WiredBackend):
    def put(self, key: str, source: Source, *, entry_id: str | None, **given: Any) -> PutResult:
        return super().put(key, source, entry_id=entry_id.lower() if entry_id else entry_id, **given)


@mutant("size-decides", "S09", "an overwrite with as many bytes is left undone")
class SizeDecides(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        old = self._service._objects.get(self._name("put", key))
        if old and len(old.data) == len(source) and given["mode"] is PutMode.OVERWRITE:
            return PutResult(old.etag)
        return super().put(key, source, **given)


@mutant("empty-overwrite-ignored", "O01", "an overwrite without bytes is left undone")
class EmptyOverwriteIgnored(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        old = self._service._objects.get(self._name("put", key))
        if old and not len(source) and given["mode"] is PutMode.OVERWRITE:
            return PutResult(old.etag)
        return super().put(key, source, **given)


@mutant("tombstone", "V12", "a key that was deleted cannot be created again")
class Tombstone(WiredBackend):
    def delete(self, key: str) -> None:
        super().delete(key)
        _gone.add((self._bucket, key))

    def put(self, key: str, source: Source, *, mode: PutMode, **given: Any) -> PutResult:
        if mode is PutMode.CREATE and (self._bucket, key) in _gone:
            raise ObjectExistsError.during("put", key, "it was deleted")
        return super().put(key, source, mode=mode, **given)


_gone: set[tuple[str, str]] = set()


@mutant("overwrites-only-its-own", "S11", "an overwrite of what somebody else has put is refused")
class OverwritesOnlyItsOwn(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._mine: dict[str, str | None] = {}

    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        name = self._name("put", key)
        old, mine = self._service._objects.get(name), self._mine
        if given["mode"] is PutMode.OVERWRITE and old and name in mine and mine[name] != old.etag:
            raise ObjectExistsError.during("put", key, "another version is there")
        result = super().put(key, source, **given)
        mine[name] = result.etag
        return result


@mutant("whole-parts-only", "R03", "a last part as large as the others is sent as one too many, and dropped")
class WholePartsOnly(WiredBackend):
    def _sum(self, data: bytes) -> int | None:
        return None

    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        parts = self._service._multiparts[upload_id].parts
        if len(numbers) > 1 and len(parts[numbers[-1]]) == self.part_size:
            del parts[numbers.pop()]
        return super()._complete(key, upload_id, numbers, crc, create=create)


@mutant("delete-of-the-impossible", "N11", "a delete of a key that cannot be says that it succeeded")
class DeleteOfTheImpossible(WiredBackend):
    def delete(self, key: str) -> None:
        try:
            super().delete(key)
        except InvalidKeyError:
            return


@mutant("address-without-prefix", "Z12", "an address lacks the prefix of the store")
class AddressWithoutPrefix(WiredBackend):
    def uri(self, key: str) -> str:
        return f"rud-wired://{self._bucket}/{self._whole(key)[len(self._prefix) :]}"


@mutant("address-asks", "N23 Z17", "an address is asked for from the service")
class AddressAsks(WiredBackend):
    def uri(self, key: str) -> str:
        found = super().uri(key)
        self._service.head(self._whole(key))
        return found


@mutant("wait-in-milliseconds", "E10", "how long the service asks us to wait is told in milliseconds")
class WaitInMilliseconds(_Errors):
    def _error(self, operation: str, key: str, error: Exception) -> Exception:
        made = super()._error(operation, key, error)
        if isinstance(made, ObjectStoreTransientError) and made.retry_after is not None:
            made.retry_after *= 1000
        return made


@mutant("errors-name-the-whole-key", "E07", "an error names the key with the prefix of the store, not the caller's")
class ErrorsNameTheWholeKey(_Errors):
    def _error(self, operation: str, key: str, error: Exception) -> Exception:
        return super()._error(operation, self._prefix + key, error)


@mutant("500-is-for-good", "E03", "an internal error of the service is for good")
class Status500IsForGood(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return StoreError if status == 500 else None


@mutant("408-is-for-good", "E03", "a request that took too long is for good")
class Status408IsForGood(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return StoreError if status == 408 else None


@mutant("401-is-404", "E02", "wrong credentials are taken for a missing object")
class Status401Is404(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return ObjectNotFoundError if status == 401 else None


@mutant("probe-takes-a-name", "X09", "a probe writes and deletes an object that may be somebody's")
class ProbeTakesAName(WiredBackend):
    def probe(self) -> None:
        self._check_open("probe", "")
        with self._translated("probe", ""):
            self._service.put(f"{self._prefix}.probe", b"", None, None, create=False)
            self._service.delete(f"{self._prefix}.probe")


@mutant("probe-leaves-parts", "X06", "a probe leaves an upload of parts")
class ProbeLeavesParts(WiredBackend):
    def probe(self) -> None:
        self._check_open("probe", "")
        with self._translated("probe", ""):
            self._service.begin(f"{self._prefix}.probe", None)


@mutant("close-aborts-all", "P12", "close aborts whatever is being sent")
class CloseAbortsAll(WiredBackend):
    def close(self) -> None:
        super().close()
        service(self._bucket)._multiparts.clear()


@mutant("abort-by-prefix", "P23", "an abort without an id ends the uploads of all keys that begin so")
class AbortByPrefix(WiredBackend):
    def abort(self, key: str, upload_id: str | None) -> None:
        if upload_id is not None:
            return super().abort(key, upload_id)
        name = self._name("abort", key)
        for one, multipart in list(self._service._multiparts.items()):
            if multipart.name.startswith(name):
                self._service.abort(one)
        return None


@mutant("told-for-nothing", "P13", "an id is told of a put that is one request")
class ToldForNothing(WiredBackend):
    def put(self, key: str, source: Source, *, on_multipart: OnMultipart, **given: Any) -> PutResult:
        if len(source) <= self.threshold:
            on_multipart("")
        return super().put(key, source, on_multipart=on_multipart, **given)


@mutant("told-the-key", "P13", "the key is told instead of the id of an upload")
class ToldTheKey(WiredBackend):
    def put(self, key: str, source: Source, *, on_multipart: OnMultipart, **given: Any) -> PutResult:
        return super().put(key, source, on_multipart=lambda _: on_multipart(key), **given)


@mutant("old-sum-kept", "S10", "an overwrite keeps the sum of what was there")
class OldSumKept(WiredBackend):
    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        first = _sums.setdefault((self._bucket, self._prefix, key), stored.crc)
        return replace(super()._meta(key, stored), checksum=first)


_sums: dict[tuple[str, str, str], int | None] = {}


@mutant("first-chunk-cut", "D15", "of an answer that did not heed the range only the first chunk is cut")
class FirstChunkCut(WiredBackend):
    def _chunks(self, key: str, reply: Reply) -> Iterator[bytes]:
        return super()._chunks(key, reply)

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        name = self._name("get", key)
        if start < 0:
            raise ValueError("start")
        with self._translated("get", key):
            reply = self._service.get(name, start)
        first = True
        for chunk in self._chunks(key, reply):
            sink.write(chunk[start - reply.start :] if first else chunk)
            first = False
        return self._meta(key, reply.stored)


@mutant("negative-from-the-end", "D18", "a get from a negative byte counts from the end")
class NegativeFromTheEnd(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        return super().get(key, sink, start=max(0, start + self.head(key).size) if start < 0 else start)


@mutant("etag-of-the-content", "L21", "the etag in a listing is quoted")
class EtagQuoted(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return iter([replace(meta, etag=f'"{meta.etag}"') for meta in super().list(prefix)])


@mutant("listing-gone-on-error", "E02", "an error of access in a listing is taken for nothing there")
class ListingGoneOnError(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        try:
            return super().list(prefix)
        except RudError as error:
            if isinstance(error, ObjectStoreTransientError):
                raise
            return iter(())


@mutant("complete-while-listed", "V08", "a listing completes what is being sent")
class MultipartsListed(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        for one in list(self._service._multiparts.values()):
            self._seen(one)
        return super().list(prefix)

    def _seen(self, one: Multipart) -> None:
        self._service._objects.setdefault(one.name, Stored(b"".join(one.parts.values()), "x", 0.0))


@mutant("brackets", "N19", "brackets in a key are taken for a pattern when it is read")
class Brackets(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        meta = super().head(key)
        if not fnmatch.fnmatchcase(key, key):
            raise ObjectNotFoundError.during("head", key, "no match")
        return meta


@mutant("page-of-one", "L08 L06", "a page with one object is taken for that object's folder and left out")
class PageOfOne(WiredBackend):
    def _pages(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        token: str | None = None
        while True:
            with self._translated("list", prefix):
                page: Page = self._service.page(self._prefix + prefix, token)
            if token is None or len(page.items) > 1:
                yield from page.items
            if not page.truncated:
                return
            if page.token == token or not page.token:
                raise ObjectStoreTransientError.during("list", prefix, "the listing does not go on")
            token = page.token
