"""Mistakes of what callers hold: uploads and downloads of files, and their callbacks."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rud._body import Body
from rud._destination import PartFile
from rud._object_store import ObjectStore, StrPath, same_version
from rud._retry import RetryPolicy
from rud._source import ProgressCallback, SourceFile
from rud.downloader import Downloader
from rud.errors import ObjectNotFoundError, ObjectStoreTransientError, StoreError
from rud.store import ObjectMeta, PutMode
from rud_conformance.acts import put
from rud_conformance.mutants import mutant

Told = Callable[[int, int], None]


@mutant("links-refused", "R09", "a link to a file cannot be uploaded")
class LinksRefused(ObjectStore):
    def upload_object(self, object_name: str, filename: StrPath, **given: Any) -> None:
        if os.path.islink(filename):
            raise ValueError("a link")
        super().upload_object(object_name, filename, **given)


@mutant("source-touched", "R10", "an uploaded file gets another time")
class SourceTouched(ObjectStore):
    def upload_object(self, object_name: str, filename: StrPath, **given: Any) -> None:
        super().upload_object(object_name, filename, **given)
        os.utime(filename)


@mutant("source-is-object", "R11", "a missing file is told as a missing object")
class SourceIsObject(ObjectStore):
    def upload_object(self, object_name: str, filename: StrPath, **given: Any) -> None:
        try:
            super().upload_object(object_name, filename, **given)
        except FileNotFoundError as error:
            raise ObjectNotFoundError.during("put", object_name, str(error)) from error


@mutant("source-not-watched", "R12", "a file is sent without a look whether it changes meanwhile")
class SourceNotWatched(ObjectStore):
    def upload_object(
        self, object_name: str, filename: StrPath, *, overwrite: bool = True, callback: ProgressCallback | None = None
    ) -> None:
        size = os.path.getsize(filename)
        with open(filename, "rb", buffering=0) as file:
            told = None if callback is None else lambda done: callback(done, size)
            put(self.backend, object_name, Body(file, size, on_read=told), create=not overwrite)


@mutant("same-again-deletes", "R17", "an upload of what is there already removes it")
class SameAgainDeletes(ObjectStore):
    def upload_object(self, object_name: str, filename: StrPath, **given: Any) -> None:
        if object_name in self.list_objects():
            self.delete_object(object_name)
        else:
            super().upload_object(object_name, filename, **given)


@mutant("none-is-nothing", "L03", "a listing of None is empty")
class NoneIsNothing(ObjectStore):
    def list_objects(self, prefix: str | None = None) -> list[str]:
        return [] if prefix is None else super().list_objects(prefix)


@mutant("one-list", "L06", "a listing hands out the list that it keeps")
class OneList(ObjectStore):
    kept: list[str] | None = None

    def list_objects(self, prefix: str | None = None) -> list[str]:
        if self.kept is None:
            self.kept = super().list_objects(prefix)
        return self.kept


_meeting = threading.Barrier(2)


def _meet() -> None:
    """Wait for another that is as far, so that no luck is needed."""
    try:
        _meeting.wait(0.5)
    except threading.BrokenBarrierError:
        _meeting.reset()


class _Simple(ObjectStore):
    """Downloads in a simple way."""

    def name(self, destination: str) -> str:
        return f"{destination}.{os.getpid()}.{threading.get_ident()}"

    def publish(self, name: str, destination: str, *, overwrite: bool) -> None:
        os.replace(name, destination)

    def tidy(self, name: str, error: BaseException) -> None:
        with suppress(OSError):
            os.unlink(name)

    def download_object(
        self,
        object_name: str,
        filename: StrPath,
        overwrite: bool = False,  # noqa: FBT001, FBT002 - Composer's signature
        callback: ProgressCallback | None = None,
    ) -> None:
        destination = os.fspath(filename)
        if os.path.lexists(destination) and not overwrite:
            raise FileExistsError(destination)
        size = self.get_object_size(object_name)
        os.makedirs(os.path.dirname(destination), exist_ok=True)
        name = self.name(destination)
        try:
            with open(name, "wb") as file:
                self.backend.get(object_name, file)
            if callback is not None:
                callback(size, size)
            self.publish(name, destination, overwrite=overwrite)
        except BaseException as error:
            self.tidy(name, error)
            raise


@mutant("no-temporary", "D01 D02 D03 D24", "a download is written to its destination directly")
class NoTemporary(_Simple):
    def name(self, destination: str) -> str:
        return destination

    def publish(self, name: str, destination: str, *, overwrite: bool) -> None:
        return

    def tidy(self, name: str, error: BaseException) -> None:
        return


@mutant("temporary-left", "D03", "the temporary file of a download that failed stays")
class TemporaryLeft(_Simple):
    def tidy(self, name: str, error: BaseException) -> None:
        return


@mutant("temporary-left-by-interrupt", "D03", "an interrupt leaves the temporary file")
class TemporaryLeftByInterrupt(_Simple):
    def tidy(self, name: str, error: BaseException) -> None:
        if isinstance(error, Exception):
            super().tidy(name, error)


@mutant("fixed-temporary", "D10", "the temporary file has a fixed name")
class FixedTemporary(_Simple):
    def name(self, destination: str) -> str:
        return f"{destination}.tmp"

    def publish(self, name: str, destination: str, *, overwrite: bool) -> None:
        _meet()
        super().publish(name, destination, overwrite=overwrite)


@mutant("newcomer-replaced", "D06", "a file that appeared during the download is replaced")
class NewcomerReplaced(_Simple):
    pass


@mutant("folders-left", "D04", "folders that were made for nothing stay")
class FoldersLeft(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        os.makedirs(os.path.dirname(os.fspath(filename)), exist_ok=True)
        super().download_object(object_name, filename, *rest, **given)


@mutant("folders-not-made", "D04 R14", "missing folders are not made")
class FoldersNotMade(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        if not os.path.isdir(os.path.dirname(os.fspath(filename))):
            raise FileNotFoundError(filename)
        super().download_object(object_name, filename, *rest, **given)


@mutant("overwrite-ignored", "D05", "overwrite=False is not heeded")
class OverwriteIgnored(ObjectStore):
    def download_object(
        self,
        object_name: str,
        filename: StrPath,
        overwrite: bool = False,  # noqa: FBT001, FBT002 - Composer's signature
        callback: ProgressCallback | None = None,
    ) -> None:
        super().download_object(object_name, filename, overwrite=True, callback=callback)


@mutant("missing-makes-a-file", "D17", "a missing object leaves an empty file")
class MissingMakesAFile(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        try:
            super().download_object(object_name, filename, *rest, **given)
        except ObjectNotFoundError:
            with open(filename, "wb"):
                raise


class _Receives(ObjectStore):
    """Takes what comes."""

    def receive(self, key: str, part: PartFile, expected: ObjectMeta) -> ObjectMeta:
        with suppress(ObjectStoreTransientError):
            self.backend.get(key, part, start=part.written)
        return expected


@mutant("short-body-taken", "D07 D19", "a body that ends early is taken for whole")
class ShortBodyTaken(_Receives):
    pass


@mutant("not-verified", "D08", "the sum of what was received is not compared")
class NotVerified(ObjectStore):
    def receive(self, key: str, part: PartFile, expected: ObjectMeta) -> ObjectMeta:
        meta = self.backend.get(key, part, start=part.written)
        if not same_version(meta, expected) or part.written != meta.size:
            raise ObjectStoreTransientError.during("get", key, "not whole")
        return meta


@mutant("versions-mixed", "D09", "as many bytes are taken of a new version as the old one had")
class VersionsMixed(ObjectStore):
    def receive(self, key: str, part: PartFile, expected: ObjectMeta) -> ObjectMeta:
        import io

        sink = io.BytesIO()
        self.backend.get(key, sink)
        part.write(sink.getvalue()[: expected.size])
        return expected


@mutant("links-followed", "D11", "a link at the destination is written through")
class LinksFollowed(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        super().download_object(object_name, os.path.realpath(filename), *rest, **given)


@mutant("into-folders", "D12", "a download to a folder is put into it")
class IntoFolders(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        if os.path.isdir(filename):
            filename = os.path.join(filename, os.path.basename(object_name))
        super().download_object(object_name, filename, *rest, **given)


@mutant("empty-not-made", "D16", "the download of an empty object makes no file")
class EmptyNotMade(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        if self.get_object_size(object_name):
            super().download_object(object_name, filename, *rest, **given)


@mutant("private-mode", "D22", "a file has the mode of a temporary one")
class PrivateMode(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        super().download_object(object_name, filename, *rest, **given)
        os.chmod(filename, 0o600)


@mutant("key-is-the-path", "D23", "a file is named as the key is")
class KeyIsThePath(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        super().download_object(object_name, filename, *rest, **given)
        folder, name = os.path.split(os.fspath(filename))
        shutil.move(filename, os.path.join(folder, os.path.basename(object_name) if "/" in object_name else name))


@mutant("one-attempt", "D14 D15 D20", "a download is tried once")
class OneAttempt(Downloader):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._policy = RetryPolicy(attempts=1)


@mutant("goes-on-with-wrong-bytes", "D20", "after a wrong byte the download is not begun anew")
class GoesOnWithWrongBytes(Downloader):
    def _prepare_next(self, download: Any, store: ObjectStore, error: StoreError) -> None:
        return


@mutant("never-gives-up", "D21", "a download is tried far too often")
class NeverGivesUp(Downloader):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._policy = RetryPolicy(attempts=12)


class _Calls(ObjectStore):
    """Tells callbacks something else."""

    def told(self, callback: Told) -> Told:
        return callback

    def _told(self, callback: ProgressCallback | None) -> ProgressCallback | None:
        return None if callback is None else self.told(callback)

    def upload_object(
        self, object_name: str, filename: StrPath, *, overwrite: bool = True, callback: ProgressCallback | None = None
    ) -> None:
        super().upload_object(object_name, filename, overwrite=overwrite, callback=self._told(callback))

    def download_object(
        self,
        object_name: str,
        filename: StrPath,
        overwrite: bool = False,  # noqa: FBT001, FBT002 - Composer's signature
        callback: ProgressCallback | None = None,
    ) -> None:
        super().download_object(object_name, filename, overwrite=overwrite, callback=self._told(callback))


@mutant("deltas", "K01 K03", "a callback is told the bytes since the last call")
class Deltas(_Calls):
    def told(self, callback: Told) -> Told:
        before = 0

        def delta(done: int, total: int) -> None:
            nonlocal before
            since, before = done - before, done
            callback(since, total)

        return delta


@mutant("told-twice", "K04 K03", "a callback is told everything twice")
class ToldTwice(_Calls):
    def told(self, callback: Told) -> Told:
        def twice(done: int, total: int) -> None:
            callback(done, total)
            callback(done, total)

        return twice


@mutant("no-last-call", "K03 K06", "a callback is not told that all is done")
class NoLastCall(_Calls):
    def told(self, callback: Told) -> Told:
        return lambda done, total: callback(done, total) if done < total else None


@mutant("no-total", "K02", "the total is told as 0")
class NoTotal(_Calls):
    def told(self, callback: Told) -> Told:
        return lambda done, total: callback(done, 0)


@mutant("no-call-for-nothing", "K06", "an object without bytes makes no call")
class NoCallForNothing(_Calls):
    def told(self, callback: Told) -> Told:
        return lambda done, total: callback(done, total) if total else None


@mutant("callback-errors-hidden", "K08", "what a callback raises is dropped")
class CallbackErrorsHidden(_Calls):
    def told(self, callback: Told) -> Told:
        def quiet(done: int, total: int) -> None:
            with suppress(Exception):
                callback(done, total)

        return quiet


@mutant("two-calls-at-once", "K09", "calls of one transfer overlap")
class TwoCallsAtOnce(_Calls):
    def told(self, callback: Told) -> Told:
        def both(done: int, total: int) -> None:
            other = threading.Thread(target=callback, args=(done, total), daemon=True)
            other.start()
            callback(done, total)
            other.join()

        return both


@mutant("not-reentrant", "K10", "a callback that asks the store waits for ever")
class NotReentrant(ObjectStore):
    def __init__(self, backend: Any) -> None:
        super().__init__(backend)
        setattr(self, "_lock", threading.Lock())  # noqa: B010  # which is the mistake


@mutant("done-before-begun", "O11 K07 K11 K13", "a callback is told that all is done before the put")
class DoneBeforeBegun(ObjectStore):
    def _send(self, key: str, source: SourceFile, mode: PutMode) -> None:
        source.progress.finish()
        super()._send(key, source, mode)


@mutant("a-call-at-once", "K12", "a callback is called before anybody has looked")
class ACallAtOnce(_Calls):
    def told(self, callback: Told) -> Told:
        callback(0, 0)
        return callback


@mutant("one-temporary-for-all", "T01", "all uploads go by way of one temporary file")
class OneTemporaryForAll(ObjectStore):
    def upload_object(
        self, object_name: str, filename: StrPath, *, overwrite: bool = True, callback: ProgressCallback | None = None
    ) -> None:
        staged = os.path.join(os.path.dirname(os.fspath(filename)), "staged")
        shutil.copyfile(filename, staged)
        _meet()
        super().upload_object(object_name, staged, overwrite=overwrite, callback=callback)


@mutant("closed-at-once", "T06", "close does not wait for the operation that is under way")
class ClosedAtOnce(ObjectStore):
    def close(self) -> None:
        self._closed = True
        self.backend._service = None  # type: ignore[attr-defined]  # a WiredBackend has it


@mutant("fork-not-noticed", "T08", "a forked child goes on with the parent's connections")
class ForkNotNoticed(ObjectStore):
    def _check_open(self, operation: str, key: str) -> None:
        return
