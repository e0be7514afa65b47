"""Objects wherever a store class of Composer's puts them, or another one with the same methods."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from rud._body import CHUNK
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    IntegrityError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreClosedError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import (
    Backend,
    Capabilities,
    ObjectMeta,
    OnMultipart,
    PutMode,
    PutResult,
    Sink,
    Source,
    check_key,
)

_MAY_PASS = frozenset({"ObjectStoreTransientError", "ConnectionError", "Timeout", "TimeoutError"})
"""Names of classes (Composer's, the builtin ones, those of requests) whose errors may pass. By name: nothing of them
has to be imported."""


class ComposerObjectStore(Backend):
    """Objects below ``prefix`` in a store of the class ``store`` (``"module:Class"``), built with ``arguments``: one
    that has the methods of Composer's ``ObjectStore``.

    ``bucket`` is a name for this destination, chosen by the caller: what was left by one run is taken up by later runs
    with the same name, so that two stores must not share one. The class is imported, and the store built, where it is
    first used.

    Only what such a store has is offered: an upload takes a copy of the file, below the temporary folder, and is over
    when the store says so; a whole object is fetched; nothing is deleted, unless the class has ``delete_object``.
    ``ObjectStoreTransientError``, broken connections and time-outs may pass; what else a store raises is for good.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset({"store"})

    def __init__(
        self, bucket: str, prefix: str = "", *, store: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        module, colon, name = str(store).partition(":")
        if not (module and colon and name.isidentifier()):
            raise ConfigurationError(
                f"store says where a class is, 'composer.utils.object_store:UCObjectStore' say, not {store!r}"
            )
        if not isinstance(arguments, Mapping | None):
            raise ConfigurationError(f"arguments are a dict, of the constructor of {name}, not {arguments!r}")
        self._module, self._name = module, name
        self._arguments = dict(arguments or {})
        self._place = f"{bucket}/{prefix}" if prefix else bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._closed = False

    def prepare(self) -> None:
        assert self._store is not None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            create="a store of Composer's cannot say 'only if there is none'",
            entry_ids="a store of Composer's keeps nothing beside the bytes",
            checksums="a store of Composer's tells no sums",
            ranges="a store of Composer's gives whole objects",
            fsync="a store of Composer's promises nothing about it",
            reads_body="a store of Composer's takes a file, and is over when it says so",
            ends_with_worker="a request that has arrived whole is carried out, though its sender is gone",
            processes=True,
        )

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
        name = self._key("put", key)
        if mode is PutMode.CREATE:
            raise UnsupportedOperationError.during("put", key, str(self.capabilities.create))
        with tempfile.TemporaryDirectory(prefix="rud-") as folder:
            path = os.path.join(folder, "content")
            with open(path, "wb") as copy:
                while chunk := source.read(CHUNK):
                    copy.write(chunk)
            if checksum not in (None, source.crc32c):
                raise IntegrityError.during("put", key, "what was read is not what was accepted: the sums differ")
            with self._translated("put", key):
                self._store.upload_object(name, path)
        return PutResult()

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        name = self._key("get", key)
        if start:
            raise UnsupportedOperationError.during("get", key, str(self.capabilities.ranges))
        with tempfile.TemporaryDirectory(prefix="rud-") as folder:
            path = os.path.join(folder, "content")
            with self._translated("get", key):
                self._store.download_object(name, path)
            with open(path, "rb") as file:
                while chunk := file.read(CHUNK):
                    sink.write(chunk)
                return ObjectMeta(key, file.tell())

    def head(self, key: str) -> ObjectMeta:
        name = self._key("head", key)
        with self._translated("head", key):
            return ObjectMeta(key, self._store.get_object_size(name))

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        whole = self._prefix + prefix
        with self._translated("list", prefix):
            names = [name for name in self._store.list_objects(whole) if name.startswith(whole)]
            found = [ObjectMeta(name[len(self._prefix) :], self._store.get_object_size(name)) for name in names]
        return iter(sorted(found, key=lambda meta: meta.key.encode()))

    def delete(self, key: str) -> None:
        name = self._key("delete", key)
        delete = getattr(self._store, "delete_object", None)
        if delete is None:
            raise UnsupportedOperationError.during("delete", key, f"{self._name} has no method to delete an object")
        with contextlib.suppress(ObjectNotFoundError), self._translated("delete", key):
            delete(name)

    def abort(self, key: str, upload_id: str | None) -> None:
        self._check_open("abort", key)

    def probe(self) -> None:
        """Asks for the size of an object that is not there: it says whether the store answers us, not whether we may
        write, since what it wrote could not be deleted."""
        import secrets

        with contextlib.suppress(ObjectNotFoundError):
            self.head(f".rud-probe-{secrets.token_hex(8)}")

    def uri(self, key: str) -> str:
        return f"composer://{self._place}/{check_key(key)}"

    def close(self) -> None:
        if not self._closed and "_store" in self.__dict__:
            close = getattr(self._store, "close", None)
            if close is not None:
                close()
        self._closed = True

    @cached_property
    def _store(self) -> Any:
        try:
            cls = getattr(importlib.import_module(self._module), self._name)
            return cls(**self._arguments)
        except Exception as error:
            # What the class says may have an argument in it that is a secret.
            raise ConfigurationError(
                f"the store {self._module}:{self._name} cannot be built: {type(error).__name__}"
            ) from error

    def _key(self, operation: str, key: str) -> str:
        self._check_open(operation, key)
        return self._prefix + check_key(key)

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")

    @contextlib.contextmanager
    def _translated(self, operation: str, key: str) -> Iterator[None]:
        try:
            yield
        except RudError:
            raise
        except Exception as error:
            raise _class_of(operation, error).during(operation, key, f"{type(error).__name__}: {error}") from error


def _class_of(operation: str, error: Exception) -> type[StoreError]:
    if isinstance(error, FileNotFoundError):
        # A file or a folder of the service's, say; nobody has asked for an object.
        return StoreError if operation in ("put", "list") else ObjectNotFoundError
    if isinstance(error, PermissionError):
        return AccessDeniedError
    classes = {cls.__name__ for one in (error, error.__cause__) if one is not None for cls in type(one).__mro__}
    return ObjectStoreTransientError if classes & _MAY_PASS else StoreError
