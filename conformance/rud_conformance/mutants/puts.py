"""Mistakes of puts and deletes."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from rud._body import BodyRevoked
from rud.errors import (
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Source
from rud_conformance.harnesses import Wired
from rud_conformance.mutants import mutant
from rud_conformance.wired import AnswerError, Stored, WiredBackend


def _pause() -> None:
    """Let others in."""
    threading.Event().wait(0.004)


class _Whole(WiredBackend):
    """Changes what one request stores."""

    def alter(self, name: str, data: bytes) -> bytes:
        return data

    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        return super()._put_whole(key, name, self.alter(name, data), entry_id, create=create)

    def _old(self, name: str) -> bytes:
        return self._service.whole().get(name, b"")


@mutant("threshold-empty", "R03", "an object of just the size of the threshold is stored empty")
class ThresholdEmpty(_Whole):
    def alter(self, name: str, data: bytes) -> bytes:
        return b"" if len(data) == self.threshold else data


@mutant("text", "R06", "a source is read as text")
class Text(_Whole):
    def alter(self, name: str, data: bytes) -> bytes:
        return data.replace(b"\r\n", b"\n")


@mutant("no-truncate", "O01 O15 Q01", "a shorter object keeps the tail of a longer one")
class NoTruncate(_Whole):
    def alter(self, name: str, data: bytes) -> bytes:
        return data + self._old(name)[len(data) :]


@mutant("tail-of-parts", "O02", "a small object keeps the tail of one that went in parts")
class TailOfParts(_Whole):
    def alter(self, name: str, data: bytes) -> bytes:
        old = self._old(name)
        return data + old[len(data) :] if len(old) > self.threshold else data


@mutant("same-deletes", "O13", "an object that is put again with the same bytes is deleted as superfluous")
class SameDeletes(_Whole):
    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        if not create and self._old(name) == data:
            self._service.delete(name)
            return Stored(data, "etag", 0.0)
        return super()._put_whole(key, name, data, entry_id, create=create)


@mutant("empty-skipped", "R01", "an object without bytes is not stored")
class EmptySkipped(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        return super().put(key, source, **given) if len(source) else PutResult()


class _Unsummed(WiredBackend):
    """Sends no sums, so that the service does not find out."""

    def _sum(self, data: bytes) -> int | None:
        return None


@mutant("no-sums", "C01 X04 S10", "no checksum is sent")
class NoSums(_Unsummed):
    pass


class _SizeInTwoBytes(WiredBackend):
    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        meta = super()._meta(key, stored)
        return replace(meta, size=meta.size & 0xFFFF)


@mutant("size-in-two-bytes", "R13", "the size of an object is kept in 16 bits")
class SizeInTwoBytes(Wired):
    limits = replace(Wired.limits, widths=(16,))
    backend = _SizeInTwoBytes


@mutant("last-byte", "R02 M04", "a last part of one byte is dropped")
class LastByte(_Unsummed):
    def _send_parts(self, key: str, upload_id: str, source: Source) -> tuple[list[int], bytes]:
        numbers, data = super()._send_parts(key, upload_id, source)
        if len(data) % self.part_size == 1:
            del self._service._multiparts[upload_id].parts[numbers.pop()]
        return numbers, data


@mutant("parts-as-text", "R04 R05", "parts are put together in the order of their numbers as text")
class PartsAsText(_Unsummed):
    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        multipart = self._service._multiparts[upload_id]
        order = sorted(multipart.parts, key=str)
        multipart.parts = {n + 1: multipart.parts[old] for n, old in enumerate(order)}
        return super()._complete(key, upload_id, numbers, crc, create=create)


@mutant("part-repeated", "R08", "the second part is sent as the first again")
class PartRepeated(_Unsummed):
    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        parts = self._service._multiparts[upload_id].parts
        parts[2] = parts[1][: len(parts[2])]
        return super()._complete(key, upload_id, numbers, crc, create=create)


@mutant("short-read-is-the-end", "R19", "a read that gives less than was asked for is taken for the end")
class ShortReadIsTheEnd(WiredBackend):
    def _read(self, source: Source, size: int) -> bytes:
        return source.read(size)

    def _check_whole(self, key: str, source: Source, data: bytes) -> None:
        return


@mutant("short-source", "R21", "a source that ends early is stored as far as it went")
class ShortSource(WiredBackend):
    def _read(self, source: Source, size: int) -> bytes:
        try:
            return super()._read(source, size)
        except IntegrityError:
            return b""

    def _check_whole(self, key: str, source: Source, data: bytes) -> None:
        return


@mutant("etag-of-its-own", "R20", "a put returns another etag than head tells")
class EtagOfItsOwn(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        super().put(key, source, **given)
        return PutResult(etag="sent")


class _Create(WiredBackend):
    """Changes what a create is."""

    def is_create(self, name: str, source: Source) -> bool:
        return True

    def put(self, key: str, source: Source, *, mode: PutMode, **given: Any) -> PutResult:
        if mode is PutMode.CREATE and not self.is_create(self._name("put", key), source):
            mode = PutMode.OVERWRITE
        return super().put(key, source, mode=mode, **given)


@mutant("check-then-write", "O07 O08", "a create looks first and then overwrites")
class CheckThenWrite(_Create):
    def is_create(self, name: str, source: Source) -> bool:
        if name in self._service.whole():
            return True
        _pause()
        return False


@mutant("create-ignored", "O04 O06 X02", "a create overwrites")
class CreateIgnored(_Create):
    def is_create(self, name: str, source: Source) -> bool:
        return False


@mutant("create-ignored-in-parts", "O05", "a create in parts overwrites")
class CreateIgnoredInParts(_Create):
    def is_create(self, name: str, source: Source) -> bool:
        return len(source) <= self.threshold


@mutant("create-ignored-when-empty", "O06", "a create without bytes overwrites")
class CreateIgnoredWhenEmpty(_Create):
    def is_create(self, name: str, source: Source) -> bool:
        return len(source) > 0


@mutant("create-claims", "O14", "a create first makes an empty object to claim the key")
class CreateClaims(_Create):
    def is_create(self, name: str, source: Source) -> bool:
        if name in self._service.whole():
            return True
        self._service.by_hand(name, b"")
        return False


@mutant("create-tried-again", "O09", "a create whose answer was lost is sent again, and finds its own object")
class CreateTriedAgain(WiredBackend):
    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        try:
            return super()._put_whole(key, name, data, entry_id, create=create)
        except ObjectStoreTransientError:
            return super()._put_whole(key, name, data, entry_id, create=create)


@mutant("overwrite-loses", "O10", "an overwrite of what is there is left undone")
class OverwriteLoses(WiredBackend):
    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        try:
            return super()._put_whole(key, name, data, entry_id, create=True)
        except ObjectExistsError:
            if create:
                raise
            return Stored(data, "etag", 0.0)


@mutant("create-declared-no", "X02", "create is declared a 'no', and tried all the same")
class CreateDeclaredNo(WiredBackend):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, create="the gateway ignores the condition")


@mutant("no-abort", "P02 P04 Z09", "a put in parts that fails is not aborted")
class NoAbort(WiredBackend):
    def _give_up(self, key: str, upload_id: str, error: BaseException) -> None:
        return


@mutant("no-abort-on-interrupt", "E09", "an interrupt leaves a put in parts unfinished")
class NoAbortOnInterrupt(WiredBackend):
    def _give_up(self, key: str, upload_id: str, error: BaseException) -> None:
        if isinstance(error, Exception):
            super()._give_up(key, upload_id, error)


@mutant("abort-error-wins", "P03", "the error of the abort takes the place of the first")
class AbortErrorWins(WiredBackend):
    def _give_up(self, key: str, upload_id: str, error: BaseException) -> None:
        with self._translated("abort", key):
            self._service.abort(upload_id)


@mutant("part-skipped", "P01 Q02", "a part that fails is left out and the rest completed")
class PartSkipped(_Unsummed):
    def _send_parts(self, key: str, upload_id: str, source: Source) -> tuple[list[int], bytes]:
        sent = b""
        numbers: list[int] = []
        while chunk := self._read(source, self.part_size):
            sent += chunk
            with suppress(StoreError), self._translated("put", key):
                numbers.append(self._service.part(upload_id, len(sent), chunk, None))
        return numbers, sent


@mutant("delete-on-failure", "P06 P18", "a put that fails deletes what was there")
class DeleteOnFailure(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        try:
            return super().put(key, source, **given)
        except Exception:
            with suppress(Exception):
                self._service.delete(self._whole(key))
            raise


@mutant("delete-first", "P01", "an overwrite deletes first and then stores")
class DeleteFirst(WiredBackend):
    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        if not create:
            with self._translated("put", key):
                self._service.delete(name)
        return super()._put_whole(key, name, data, entry_id, create=create)


@mutant("roll-back", "P09", "a put whose answer is lost deletes the object, to be sure")
class RollBack(WiredBackend):
    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        try:
            return super()._put_whole(key, name, data, entry_id, create=create)
        except ObjectStoreTransientError:
            self._service.delete(name)
            raise


@mutant("published-as-far-as-it-went", "P04", "what was read before a source broke is stored")
class PublishedAsFarAsItWent(WiredBackend):
    def _read(self, source: Source, size: int) -> bytes:
        data = b""
        try:
            while len(data) < size and (chunk := source.read(1)):
                data += chunk
        except LookupError:
            self._broken = True
        return data

    def _check_whole(self, key: str, source: Source, data: bytes) -> None:
        return


@mutant("broken-by-a-failure", "P07", "an instance of which a put has failed fails ever after")
class BrokenByAFailure(WiredBackend):
    def _give_up(self, key: str, upload_id: str, error: BaseException) -> None:
        super()._give_up(key, upload_id, error)
        self._closed = True


@mutant("broken-by-a-refused-sum", "C06", "after a sum was refused every put is")
class BrokenByARefusedSum(WiredBackend):
    def _error(self, operation: str, key: str, error: Exception) -> Exception:
        if isinstance(error, AnswerError) and error.code == "BadDigest":
            self._closed = True
        return super()._error(operation, key, error)


@mutant("abort-of-all", "P12 P23", "aborting the uploads of a key aborts all")
class AbortOfAll(WiredBackend):
    def abort(self, key: str, upload_id: str | None) -> None:
        if upload_id is not None:
            super().abort(key, upload_id)
            return
        self._name("abort", key)
        for one in list(self._service._multiparts):
            self._service.abort(one)


@mutant("abort-of-the-unknown", "P20", "aborting what nobody knows is an error")
class AbortOfTheUnknown(WiredBackend):
    def abort(self, key: str, upload_id: str | None) -> None:
        if upload_id not in self._service._multiparts:
            raise ObjectNotFoundError.during("abort", key, "no such upload")
        super().abort(key, upload_id)


@mutant("abort-removes-object", "P20", "an abort removes the object of that key as well")
class AbortRemovesObject(WiredBackend):
    def abort(self, key: str, upload_id: str | None) -> None:
        super().abort(key, upload_id)
        self.delete(key)


@mutant("abort-without-id", "P23", "an abort without an id does nothing")
class AbortWithoutId(WiredBackend):
    def abort(self, key: str, upload_id: str | None) -> None:
        if upload_id is not None:
            super().abort(key, upload_id)


@mutant("told-too-late", "P13", "the id of a put in parts is told when it is over")
class ToldTooLate(WiredBackend):
    def put(self, key: str, source: Source, *, on_multipart: OnMultipart, **given: Any) -> PutResult:
        told: list[str] = []
        result = super().put(key, source, on_multipart=told.append, **given)
        for one in told:
            on_multipart(one)
        return result


@mutant("left-by-the-announcement", "P14", "what the announcement raises leaves the upload unfinished")
class LeftByTheAnnouncement(WiredBackend):
    def put(self, key: str, source: Source, *, on_multipart: OnMultipart, **given: Any) -> PutResult:
        if len(source) > self.threshold:
            on_multipart(self._service.begin(self._name("put", key), None))
        return super().put(key, source, on_multipart=on_multipart, **given)


@mutant("declared-sum-ignored", "P15", "the declared sum is not compared")
class DeclaredSumIgnored(WiredBackend):
    def _check_sum(self, key: str, data: bytes, checksum: int | None) -> None:
        return


@mutant("revoked-is-the-end", "P16", "a body that was revoked is taken for one that has ended")
class RevokedIsTheEnd(WiredBackend):
    def _read(self, source: Source, size: int) -> bytes:
        try:
            return super()._read(source, size)
        except BodyRevoked:
            return b""

    def _check_whole(self, key: str, source: Source, data: bytes) -> None:
        return


@mutant("around-the-body", "P21", "the file behind the body is read instead of the body")
class AroundTheBody(WiredBackend):
    def _read(self, source: Source, size: int) -> bytes:
        file = getattr(source, "_file", source)
        return file.read(size)


@mutant("delete-says-yes", "P22", "a delete that fails says that it succeeded")
class DeleteSaysYes(WiredBackend):
    def delete(self, key: str) -> None:
        with suppress(StoreError):
            super().delete(key)


@mutant("delete-below", "V06 V12", "a delete removes all that begins with the key")
class DeleteBelow(WiredBackend):
    def delete(self, key: str) -> None:
        name = self._name("delete", key)
        for one in self._service.whole():
            if one.startswith(name):
                self._service.delete(one)


@mutant("delete-of-nothing", "V12", "deleting what is not there is an error")
class DeleteOfNothing(WiredBackend):
    def delete(self, key: str) -> None:
        self.head(key)
        super().delete(key)


@mutant("placeholder", "V08 L17", "a put in parts begins by making an empty object")
class Placeholder(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        if len(source) > self.threshold:
            self._service.by_hand(self._name("put", key), b"")
        return super().put(key, source, **given)


@mutant("listed-while-sent", "L17", "what is being sent is listed under its hidden name")
class ListedWhileSent(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        hidden = f"{self._name('put', key)}.part"
        self._service.by_hand(hidden, b"")
        try:
            return super().put(key, source, **given)
        finally:
            self._service.delete(hidden)


@mutant("shared-buffer", "T02 T03", "parts are gathered in a buffer that all instances share")
class SharedBuffer(_Unsummed):
    buffer: ClassVar[bytearray] = bytearray()

    def _read(self, source: Source, size: int) -> bytes:
        self.buffer.clear()
        while len(self.buffer) < size and (chunk := source.read(1)):
            self.buffer.extend(chunk)
        return bytes(self.buffer[:size])

    def _check_whole(self, key: str, source: Source, data: bytes) -> None:
        return


@mutant("shared-upload", "T02 T04", "two puts of one key share the upload of parts")
class SharedUpload(WiredBackend):
    def _send_parts(self, key: str, upload_id: str, source: Source) -> tuple[list[int], bytes]:
        open_ones = self._service.multiparts(self._whole(key))
        _pause()
        return super()._send_parts(key, open_ones[0], source)


@mutant("durable-unknown", "X07", "a durable put is refused, though it is declared")
class DurableUnknown(WiredBackend):
    def put(self, key: str, source: Source, *, durable: bool, **given: Any) -> PutResult:
        if durable:
            raise UnsupportedOperationError.during("put", key, "durable")
        return super().put(key, source, durable=durable, **given)


@mutant("ids-dropped", "S11 X03", "the id of an upload is not kept")
class IdsDropped(WiredBackend):
    def put(self, key: str, source: Source, *, entry_id: str | None, **given: Any) -> PutResult:
        return super().put(key, source, entry_id=None, **given)


@mutant("ids-dropped-in-parts", "S11", "the id of an upload in parts is not kept")
class IdsDroppedInParts(WiredBackend):
    def put(self, key: str, source: Source, *, entry_id: str | None, **given: Any) -> PutResult:
        return super().put(key, source, entry_id=entry_id if len(source) <= self.threshold else None, **given)


@mutant("sum-of-the-last-part", "S10 C03", "the sum of an object in parts is that of its last part")
class SumOfTheLastPart(WiredBackend):
    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        stored = super()._complete(key, upload_id, numbers, crc, create=create)
        wrong = replace(stored, crc=self._sum(stored.data[-self.part_size :]))
        self._service._objects[self._whole(key)] = wrong
        return wrong


@mutant("success-with-an-error", "E05", "an error in an answer of success is taken for success")
class SuccessWithAnError(WiredBackend):
    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        try:
            return self._service.complete(upload_id, numbers, crc, create=create)
        except AnswerError as error:
            if error.status == 200:
                return Stored(b"", "etag", 0.0)
            raise self._error("put", key, error) from error


@mutant("interrupts-wrapped", "E09", "an interrupt of a source becomes an error of the store")
class InterruptsWrapped(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        try:
            return super().put(key, source, **given)
        except (KeyboardInterrupt, SystemExit) as error:
            raise ObjectStoreTransientError.during("put", key, "interrupted") from error
