"""A second batch of mistakes written without a look at the cases, most of them from the trackers of such libraries."""

from __future__ import annotations

import html
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import unquote_plus

import google_crc32c

from rud._object_store import ObjectStore, StrPath
from rud.errors import (
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
)
from rud.store import ObjectMeta, PutMode, PutResult, Sink, Source
from rud_conformance.harnesses import Wired
from rud_conformance.mutants import mutant
from rud_conformance.mutants.errors import _Classes
from rud_conformance.mutants.keys import _Changed
from rud_conformance.wired import AnswerError, Stored, WiredBackend, service


class _Renamed(WiredBackend):
    """Lists other names than there are."""

    def shown(self, key: str) -> str:
        return key

    def _key(self, name: str) -> str:
        return self.shown(super()._key(name))


@mutant("list-unquoted-plus", "N01 N04", "a listing decodes plus signs and percent signs of its names once more")
class ListUnquotedPlus(_Renamed):
    def shown(self, key: str) -> str:
        return unquote_plus(key)


@mutant("percent-upper", "N03", "percent escapes in a key get capitals, as in canonical URLs")
class PercentUpper(_Changed):
    def change(self, key: str) -> str:
        return re.sub("%[0-9a-fA-F]{2}", lambda found: found[0].upper(), key)


@mutant("joined-as-a-path", "N07", "a key is joined to the prefix as a path, so that a slash in front leaves it")
class JoinedAsAPath(WiredBackend):
    def _whole(self, key: str) -> str:
        super()._whole(key)
        return posixpath.join(self._prefix, key)

    def _key(self, name: str) -> str:
        return name.removeprefix(self._prefix)


@mutant("list-unescaped", "N19", "a listing decodes entities of XML once more")
class ListUnescaped(_Renamed):
    def shown(self, key: str) -> str:
        return html.unescape(key)


@mutant("utf8mb3", "N10", "a key ends at its first character beyond 16 bits, as in some databases")
class Utf8mb3(_Changed):
    def change(self, key: str) -> str:
        return re.split("[\U00010000-\U0010ffff]", key, maxsplit=1)[0]


@mutant("accents", "N10", "letters with and without accents are one, as in a collation")
class Accents(_Changed):
    def change(self, key: str) -> str:
        return "".join(one for one in unicodedata.normalize("NFD", key) if not unicodedata.combining(one))


@mutant("blanks-collapse", "N18", "white space in a row is one blank in a listing")
class BlanksCollapse(_Renamed):
    def shown(self, key: str) -> str:
        return re.sub(r"\s+", " ", key)


@mutant("natural-order", "L07", "a listing is sorted as people sort numbers")
class NaturalOrder(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        def order(meta: ObjectMeta) -> list[tuple[bool, int, str]]:
            pieces = re.findall("[0-9]+|[^0-9]+", meta.key)
            return [(False, int(one), "") if one.isdecimal() and one.isascii() else (True, 0, one) for one in pieces]

        return iter(sorted(super().list(prefix), key=order))


@mutant("list-prefix-stripped", "L04", "white space at the end of the prefix of a listing is dropped")
class ListPrefixStripped(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return super().list(prefix.rstrip())


class _Unchecked(WiredBackend):
    """Sends what it makes of the bytes."""

    def sent(self, data: bytes) -> bytes:
        return data

    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        return super()._put_whole(key, name, self.sent(data), entry_id, create=create)


@mutant("nul-padding", "R06", "NUL bytes at the end of an object are taken for padding")
class NulPadding(_Unchecked):
    def sent(self, data: bytes) -> bytes:
        return data.rstrip(b"\0")


class _First64Kib(_Unchecked):
    threshold: ClassVar[int] = 1 << 20

    def sent(self, data: bytes) -> bytes:
        return data[: 1 << 16]


@mutant("64-kib", "R03", "of an object that goes in one request only the first 64 KiB are sent")
class First64Kib(Wired):
    limits = replace(Wired.limits, threshold=1 << 20)
    backend = _First64Kib


@mutant("two-digit-parts", "T01", "parts are put together by names of two digits")
class TwoDigitParts(WiredBackend):
    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        multipart = self._service._multiparts[upload_id]
        order = sorted(multipart.parts, key=lambda number: f"{number:02}")
        multipart.parts = {n + 1: multipart.parts[old] for n, old in enumerate(order)}
        crc = self._sum(b"".join(multipart.parts.values()))
        return super()._complete(key, upload_id, numbers, crc, create=create)


class _Meta(WiredBackend):
    """Tells other metadata."""

    def told(self, meta: ObjectMeta) -> ObjectMeta:
        return meta

    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        return self.told(super()._meta(key, stored))


@mutant("sum-zero-is-none", "S10", "a checksum of 0 is taken for none")
class SumZeroIsNone(_Meta):
    def told(self, meta: ObjectMeta) -> ObjectMeta:
        return replace(meta, checksum=meta.checksum or None)


@mutant("sum-is-signed", "S10", "checksums are told as numbers with a sign")
class SumIsSigned(_Meta):
    def told(self, meta: ObjectMeta) -> ObjectMeta:
        crc = meta.checksum
        return replace(meta, checksum=crc - (1 << 32) if crc is not None and crc >= 1 << 31 else crc)


@mutant("short-sum", "S10", "a checksum with a leading zero byte is sent too short, and refused")
class ShortSum(WiredBackend):
    def _sum(self, data: bytes) -> int | None:
        crc = int(google_crc32c.value(data))
        return crc if crc >= 1 << 24 or not data else crc << 8


@mutant("sum-needed", "R01", "a put without a declared checksum fails")
class SumNeeded(WiredBackend):
    def _check_sum(self, key: str, data: bytes, checksum: int | None) -> None:
        if f"{checksum:08x}" != f"{google_crc32c.value(data):08x}":
            raise IntegrityError.during("put", key, "the bytes have another CRC32C than was declared")


@mutant("create-over-empty", "O06", "a create overwrites an object without bytes")
class CreateOverEmpty(WiredBackend):
    def put(self, key: str, source: Source, *, mode: PutMode, **given: Any) -> PutResult:
        if mode is PutMode.CREATE:
            with suppress(StoreError):
                mode = mode if self.head(key).size else PutMode.OVERWRITE
        return super().put(key, source, mode=mode, **given)


@mutant("create-ours-by-size", "O04", "a create that finds as many bytes takes the object for its own")
class CreateOursBySize(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        try:
            return super().put(key, source, **given)
        except ObjectExistsError:
            found = self.head(key)
            if found.size != len(source):
                raise
            return PutResult(etag=found.etag)


@mutant("exists-may-pass", "O08", "a create in parts that finds its key taken is to be tried again")
class ExistsMayPass(WiredBackend):
    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        try:
            return super()._complete(key, upload_id, numbers, crc, create=create)
        except ObjectExistsError as error:
            raise ObjectStoreTransientError.during("put", key, str(error)) from error


@mutant("id-lost-on-create", "O09", "the id is kept by overwrites and not by creates")
class IdLostOnCreate(WiredBackend):
    def put(self, key: str, source: Source, *, mode: PutMode, entry_id: str | None, **given: Any) -> PutResult:
        kept = entry_id if mode is PutMode.OVERWRITE else None
        return super().put(key, source, mode=mode, entry_id=kept, **given)


@mutant("id-cut", "S11", "ids are cut at 16 characters")
class IdCut(WiredBackend):
    def put(self, key: str, source: Source, *, entry_id: str | None, **given: Any) -> PutResult:
        return super().put(key, source, entry_id=entry_id and entry_id[:16], **given)


@mutant("old-etag", "R20", "a put returns the etag of what was there before")
class OldEtag(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        before = service(self._bucket)._objects.get(self._whole(key))
        result = super().put(key, source, **given)
        return PutResult(etag=before.etag) if before else result


@mutant("listing-shifted", "L21", "a listing has the etag of the object before")
class ListingShifted(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        before: ObjectMeta | None = None
        for meta in super().list(prefix):
            yield meta if before is None else replace(meta, etag=before.etag)
            before = meta


@mutant("abort-hides", "P03", "a put in parts whose abort fails as well returns as if it had succeeded")
class AbortHides(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        try:
            return super().put(key, source, **given)
        except StoreError as error:
            if getattr(error, "__notes__", ()):
                return PutResult()
            raise


@mutant("parts-anew", "P02", "when a part fails a new upload is begun, and the first left unfinished")
class PartsAnew(WiredBackend):
    def _give_up(self, key: str, upload_id: str, error: BaseException) -> None:
        if not isinstance(error, ObjectStoreTransientError):
            super()._give_up(key, upload_id, error)

    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        try:
            return super().put(key, source, **given)
        except ObjectStoreTransientError:
            if len(source) <= self.threshold:
                raise
            source.seek(0)
            return super().put(key, source, **given)


@mutant("complete-believed", "P01", "a completion that failed is believed if there is an object of that size")
class CompleteBelieved(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        try:
            return super().put(key, source, **given)
        except ObjectStoreTransientError:
            found: ObjectMeta | None = None
            with suppress(RudError):
                found = self.head(key)
            if found is None or found.size != len(source):
                raise
            return PutResult(etag=found.etag)


_versions: dict[tuple[str, str], list[Stored]] = {}


@mutant("delete-uncovers", "V06", "a delete of what was overwritten brings back what was there before")
class DeleteUncovers(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        before = self._service._objects.get(self._whole(key))
        result = super().put(key, source, **given)
        if before is not None:
            _versions.setdefault((self._bucket, self._whole(key)), []).append(before)
        return result

    def delete(self, key: str) -> None:
        super().delete(key)
        if versions := _versions.get((self._bucket, self._whole(key))):
            self._service._objects[self._whole(key)] = versions.pop()


@mutant("416", "R01", "a get of an object without bytes is an error")
class Status416(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        name = self._whole(key)
        if start == 0 and name in self._service._objects and not self._service._objects[name].data:
            with self._translated("get", key):
                raise AnswerError(416, "InvalidRange")
        return super().get(key, sink, start=start)


@mutant("all-behind-the-end", "D18", "a get from the end of an object gives all of it")
class AllBehindTheEnd(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        return super().get(key, sink, start=0 if start > 0 and start >= self.head(key).size else start)


class _Sink:
    def __init__(self, sink: Sink, limit: int) -> None:
        self._sink, self._left = sink, limit

    def write(self, chunk: bytes) -> None:
        self._sink.write(chunk[: self._left])
        self._left -= len(chunk[: self._left])


@mutant("last-byte-of-range", "D18", "a get from the middle lacks the last byte")
class LastByteOfRange(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        if start == 0:
            return super().get(key, sink)
        return super().get(key, _Sink(sink, self.head(key).size - start - 1), start=start)


@mutant("meta-by-head", "V09", "the metadata of a get are those of a head behind it")
class MetaByHead(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        super().get(key, sink, start=start)
        return self.head(key)


@mutant("page-anew", "L15", "after a page that fails the listing goes on from the first: keys are listed twice")
class PageAnew(WiredBackend):
    def _pages(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        try:
            yield from super()._pages(prefix)
        except ObjectStoreTransientError:
            yield from super()._pages(prefix)


@mutant("stale-if-error", "E03", "a head that meets trouble tells what an earlier one told")
class StaleIfError(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._told: dict[str, ObjectMeta] = {}

    def head(self, key: str) -> ObjectMeta:
        try:
            self._told[key] = super().head(key)
        except ObjectStoreTransientError:
            if key not in self._told:
                raise
        return self._told[key]


@mutant("sink-closed", "S12", "a get closes its sink")
class SinkClosed(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        meta = super().get(key, sink, start=start)
        getattr(sink, "close", lambda: None)()
        return meta


@mutant("expanded", "R09", "the name of a file is expanded as a shell does")
class Expanded(ObjectStore):
    def upload_object(self, object_name: str, filename: StrPath, **given: Any) -> None:
        super().upload_object(object_name, os.path.expandvars(os.path.expanduser(os.fspath(filename))), **given)


@mutant("copied-into-place", "D24", "a download is copied over what is there instead of renamed")
class CopiedIntoPlace(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        destination = os.fspath(filename)
        overwrite = given.get("overwrite", rest[0] if rest else False)
        if not os.path.lexists(destination) or not overwrite or os.path.isdir(destination):
            return super().download_object(object_name, filename, *rest, **given)
        aside = f"{destination}.{os.urandom(4).hex()}"
        super().download_object(object_name, aside, *rest, **given)
        try:
            with open(aside, "rb") as source, open(destination, "wb") as file:
                file.write(source.read())
        finally:
            os.unlink(aside)
        return None


@mutant("get-by-listing", "E15", "a get looks whether the object is listed, and any trouble there means that it is not")
class GetByListing(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        self._name("get", key)
        try:
            there = any(meta.key == key for meta in self.list(key))
        except ObjectStoreTransientError:
            there = False
        if not there:
            raise ObjectNotFoundError.during("get", key, "it is not listed")
        return super().get(key, sink, start=start)


@mutant("4xx-is-absent", "E03", "any refusal of a head means that there is nothing")
class Status4xxIsAbsent(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return ObjectNotFoundError if status in (400, 405, 409, 410, 416, 422) else None
