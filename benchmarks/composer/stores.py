"""Composer's own stores for S3 and Cloud Storage, as backends of ours: nothing added but what the contract asks for.

A store of theirs uploads and downloads files, tells sizes, and lists names. Whatever it raises is handed on as it is,
but for the classes that Composer itself documents. It has no delete: the adapter sends that request by the store's own
client, so that the cases which delete on their way to something else can be tried.
"""

from __future__ import annotations

import os
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rud import errors
from rud.store import Backend, Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Sink, Source

_NONE = "Composer's interface has no such thing"
_CAPABILITIES = Capabilities(
    create="Composer looks for the object and then uploads it, in two requests",
    entry_ids=_NONE,
    checksums=_NONE,
    ranges=_NONE,
    fsync=_NONE,
    reads_body="Composer's stores read the file themselves",
    ends_with_worker=True,
    processes=True,
)


class ComposerStore(Backend):
    """``theirs`` is a ``composer.utils.ObjectStore``. ``cuts``: the prefix is cut off the names that it lists, which it
    adds again in every other call: that one defect would hide most others.
    """

    cuts = True

    def __init__(self, bucket: str, prefix: str = "", **arguments: Any) -> None:
        self.theirs = self.open(bucket, prefix, arguments)

    @abstractmethod
    def open(self, bucket: str, prefix: str, arguments: dict[str, Any]) -> Any:
        """The store."""

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        if mode is PutMode.CREATE:
            raise errors.UnsupportedOperationError.during("put", key, str(_CAPABILITIES.create))
        with _a_file() as path, documented("put", key):
            with open(path, "wb") as file:
                while chunk := source.read(1 << 20):
                    file.write(chunk)
            self.theirs.upload_object(key, path)
        return PutResult()

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        if start:
            raise errors.UnsupportedOperationError.during("get", key, _NONE)
        with _a_file() as path:
            with documented("get", key):
                self.theirs.download_object(key, path, overwrite=True)
            size = os.path.getsize(path)
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    sink.write(chunk)
        return ObjectMeta(key, size)

    def head(self, key: str) -> ObjectMeta:
        with documented("head", key):
            return ObjectMeta(key, self.theirs.get_object_size(key))

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        with documented("list", prefix):
            names: list[str] = self.theirs.list_objects(prefix)
        cut = len(self.theirs.prefix) if self.cuts else 0
        return (self._listed(name[cut:]) for name in names)

    def _listed(self, name: str) -> ObjectMeta:
        # A listing of theirs has names only.
        try:
            return self.head(name)
        except errors.ObjectNotFoundError:
            return ObjectMeta(name, -1)

    @abstractmethod
    def delete(self, key: str) -> None: ...

    def abort(self, key: str, upload_id: str | None) -> None:
        return

    def probe(self) -> None:
        # As Composer's uploader does it when it starts.
        with _a_file() as path, documented("probe", ""):
            self.theirs.upload_object(".credentials_validated_successfully", path)

    def uri(self, key: str) -> str:
        return str(self.theirs.get_uri(key))

    def close(self) -> None:
        self.theirs.close()


class ComposerS3(ComposerStore):
    """``composer.utils.S3ObjectStore``."""

    def open(self, bucket: str, prefix: str, arguments: dict[str, Any]) -> Any:
        from composer.utils.object_store.s3_object_store import S3ObjectStore

        return S3ObjectStore(bucket, prefix, **arguments)

    def delete(self, key: str) -> None:
        self.theirs.client.delete_object(Bucket=self.theirs.bucket, Key=self.theirs.get_key(key))


class ComposerGCS(ComposerStore):
    """``composer.utils.GCSObjectStore``."""

    def open(self, bucket: str, prefix: str, arguments: dict[str, Any]) -> Any:
        from composer.utils.object_store.gcs_object_store import GCSObjectStore

        return GCSObjectStore(bucket, prefix, **arguments)

    def delete(self, key: str) -> None:
        from google.api_core.exceptions import NotFound

        try:
            self.theirs.bucket.blob(self.theirs.get_key(key)).delete()
        except NotFound:
            return


@contextmanager
def _a_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="composer-store-") as folder:
        path = os.path.join(folder, "object")
        open(path, "wb").close()
        yield path


@contextmanager
def documented(operation: str, key: str) -> Iterator[None]:
    """The classes that Composer's interface names, as those that ours does; whatever else comes out as it is."""
    from composer.utils.object_store import ObjectStoreTransientError

    try:
        yield
    except errors.RudError:
        raise
    except ObjectStoreTransientError as error:
        raise errors.ObjectStoreTransientError.during(operation, key, str(error)) from error
    except FileNotFoundError as error:
        raise errors.ObjectNotFoundError.during(operation, key, str(error)) from error
