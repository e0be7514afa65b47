"""Blunt mistakes that any test would find: they are here for assertions that nothing finer has made fail."""

from __future__ import annotations

import os
import shutil
from typing import Any

from rud._object_store import ObjectStore, StrPath
from rud.errors import AccessDeniedError, ObjectStoreTransientError, RudError
from rud.store import ObjectMeta, PutMode, PutResult, Sink, Source
from rud_conformance.mutants import mutant
from rud_conformance.wired import WiredBackend


@mutant("refused-create-replaces", "O04 X02", "a create of a taken key is refused, and has replaced what was there")
class RefusedCreateReplaces(WiredBackend):
    def put(self, key: str, source: Source, *, mode: PutMode, **given: Any) -> PutResult:
        try:
            return super().put(key, source, mode=mode, **given)
        except RudError:
            if mode is PutMode.CREATE:
                self._service.by_hand(self._whole(key), b"?")
            raise


@mutant("forbidden-may-pass", "A01 A02", "what is forbidden is to be tried again")
class ForbiddenMayPass(WiredBackend):
    def _error(self, operation: str, key: str, error: Exception) -> Exception:
        made = super()._error(operation, key, error)
        return ObjectStoreTransientError.during(operation, key, "403") if isinstance(made, AccessDeniedError) else made


@mutant("size-by-get-too-large", "S01", "get_object_size counts one byte too many")
class SizeTooLarge(ObjectStore):
    def get_object_size(self, object_name: str) -> int:
        return super().get_object_size(object_name) + 1


@mutant("file-deleted", "R10", "an uploaded file is moved away")
class FileDeleted(ObjectStore):
    def upload_object(self, object_name: str, filename: StrPath, **given: Any) -> None:
        super().upload_object(object_name, filename, **given)
        os.rename(filename, f"{os.fspath(filename)}.done")


@mutant("missing-is-empty", "E01 V07 V06 S03", "a get of what is missing gives nothing, and no error")
class MissingIsEmpty(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        name = self._name("get", key)
        if name not in self._service.whole() and start == 0:
            return ObjectMeta(key, 0)
        return super().get(key, sink, start=start)


@mutant("reader-reads-nothing", "A02", "who may only read, may not")
class ReaderReadsNothing(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        self._service.delete("nothing of ours")
        return super().get(key, sink, start=start)


@mutant("downloads-beside", "D03 R14 D04", "a download leaves a copy beside the file")
class DownloadsBeside(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        super().download_object(object_name, filename, *rest, **given)
        shutil.copyfile(filename, f"{os.fspath(filename)}.copy")


@mutant("downloads-empty", "D05 R14", "a download of an object makes an empty file")
class DownloadsEmpty(ObjectStore):
    def download_object(self, object_name: str, filename: StrPath, *rest: Any, **given: Any) -> None:
        super().download_object(object_name, filename, *rest, **given)
        with open(filename, "wb"):
            return
