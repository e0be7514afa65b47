"""Objects wherever Apache Libcloud has a driver for: S3 and its relatives, Google by HMAC keys, Azure, others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from rud._body import CHUNK
from rud.backends._libcloud_driver import Access
from rud.backends._libcloud_providers import place_of, provider_of, whole_name
from rud.errors import (
    ConfigurationError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreClosedError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import (
    Arguments,
    Backend,
    Capabilities,
    ObjectMeta,
    OnMultipart,
    PutMode,
    PutResult,
    Sink,
    Source,
)

if TYPE_CHECKING:
    from rud.backends._libcloud_session import Session


class LibcloudObjectStore(Backend):
    """Objects below ``prefix`` in the container ``bucket`` (or ``container``, which is the same) of ``provider``.

    ``provider``: libcloud's name of it. ``provider_kwargs``: arguments of its driver (``key``, ``secret``, ``region``,
    ``host``, ``port``, ``secure`` and others). ``key_environ`` and ``secret_environ``: variables that hold the key and
    the secret, unless ``provider_kwargs`` do; they are read where they are used, in the worker, and copied nowhere.
    ``chunk_size`` (1 MiB): bytes that are read and handed to the driver at a time. ``place`` is not for callers: what
    the other arguments say of where it is, without secrets, so that runs can be told apart.

    A put goes through the driver's stream: to S3 in parts of 5 MiB, each verified by its MD5, of which one is in
    memory; elsewhere as the driver does it. Create-only is not offered: no driver can ask for a condition. The id of
    the upload is the metadata ``rud-entry-id`` where metadata is known to be kept. Requests are not repeated here, and
    wait 60 s for an answer (600 s for completing a multipart upload). A put that fails aborts its multipart upload.

    The provider ``local`` writes in place: who reads meanwhile sees a part. ``file`` URIs do better.

    The driver is made by the first request; a wrong argument is a ``ConfigurationError`` of the constructor, and so is
    a variable that is not set.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset(
        {"provider", "chunk_size", "key_environ", "secret_environ", "place"}
    )

    def __init__(
        self,
        bucket: str = "",
        prefix: str = "",
        *,
        provider: str,
        container: str = "",
        chunk_size: int = CHUNK,
        key_environ: str | None = None,
        secret_environ: str | None = None,
        provider_kwargs: Mapping[str, Any] | None = None,
        place: str = "",
    ) -> None:
        if bucket and container and bucket != container:
            raise ConfigurationError(
                f"the URI says container {bucket!r}, backend_kwargs say {container!r}; say it once"
            )
        if not (bucket or container):
            raise ConfigurationError("a libcloud store needs a container: libcloud://my-container, or container=…")
        if type(chunk_size) is not int or chunk_size < 1:
            raise ConfigurationError(f"chunk_size is a number of bytes of at least 1, not {chunk_size!r}")
        self._container = bucket or container
        self._prefix = f"{prefix}/" if prefix else ""
        self._chunk_size = chunk_size
        self._provider = provider_of(provider)
        self._access = Access(provider, key_environ, secret_environ, dict(provider_kwargs or {}))
        self._access.check()
        self._closed = False

    @classmethod
    def resolve_arguments(cls, arguments: Arguments) -> Arguments:
        given = arguments.get("provider_kwargs") or {}
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"provider_kwargs are a dict, not {type(given).__name__}")
        key = given.get("key") or os.environ.get(arguments.get("key_environ") or "")
        place = place_of(provider_of(str(arguments.get("provider"))), given, key)
        return {**arguments, "place": place} if place else arguments

    def prepare(self) -> None:
        assert self._session is not None

    @property
    def capabilities(self) -> Capabilities:
        return self._provider.capabilities

    def credentials_from(self) -> str:
        """Where the credentials come from, in words; no secret."""
        return self._access.credentials_from()

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
        name = self._name("put", key)
        if mode is PutMode.CREATE:
            raise UnsupportedOperationError.during("put", key, str(self.capabilities.create))
        from rud.backends._libcloud_feed import Feed

        feed = Feed(key, source, self._chunk_size, checksum)
        about = {self._provider.kept: entry_id} if entry_id is not None and self._provider.kept else {}
        try:
            return PutResult(etag=self._session.upload(key, name, feed, about, on_multipart))
        except BaseException as error:
            self._session.abandon(name)
            if feed.error is not None and feed.error is not error:
                raise feed.error from None
            raise

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        name = self._name("get", key)
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        if start and (offer := self.capabilities.ranges) is not True:
            raise UnsupportedOperationError.during("get", key, offer)
        with contextlib.closing(self._session.download(key, name, start, self._chunk_size)) as download:
            if download.is_behind_the_end:
                return self.head(key)
            for chunk in download:
                sink.write(chunk)
            return download.meta(self._provider.kept)

    def head(self, key: str) -> ObjectMeta:
        name = self._name("head", key)
        try:
            return self._session.head(key, name, self._provider.kept)
        except ObjectStoreTransientError:
            raise
        except StoreError:
            # An answer to a HEAD has no code: a missing container looks as a missing object does.
            self._session.ask_with_a_body("head", key, name)
            raise

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        whole = self._prefix + prefix
        cut = len(self._prefix)
        found = [
            meta
            for meta in self._session.list(whole if self._provider.filters else "", cut)
            if meta.key and (self._prefix + meta.key).startswith(whole)
        ]
        return iter(sorted(found, key=lambda meta: meta.key.encode()))

    def delete(self, key: str) -> None:
        name = self._name("delete", key)
        with contextlib.suppress(ObjectNotFoundError):
            if not self._session.delete(key, name):
                self._session.head(key, name, "")
                raise StoreError.during("delete", key, "libcloud did not delete it, and does not say why")

    def abort(self, key: str, upload_id: str | None) -> None:
        name = self._name("abort", key)
        if upload_id is not None:
            self._session.abort(key, name, upload_id)

    def probe(self) -> None:
        """Writes an empty object under a random name and deletes it: it needs the right to put, and warns without the
        right to delete."""
        import secrets

        from rud.backends._libcloud_feed import Nothing

        name = self._name("probe", f".rud-probe-{secrets.token_hex(8)}")
        self._session.upload("", name, Nothing(), {}, lambda _: None, operation="probe")
        try:
            self._session.delete("", name)
        except RudError as error:
            import warnings

            warnings.warn(
                f"the probe's object {name!r} in {self._container!r} could not be deleted and stays there, empty: "
                f"{error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def uri(self, key: str) -> str:
        return f"libcloud://{self._container}/{whole_name(self._provider, self._prefix, key)}"

    def close(self) -> None:
        self._closed = True
        if "_session" in self.__dict__:
            self._session.close()

    @cached_property
    def _session(self) -> Session:
        from rud.backends._libcloud_session import Session

        return Session(self._access.driver(), self._container)

    def _name(self, operation: str, key: str) -> str:
        self._check_open(operation, key)
        return whole_name(self._provider, self._prefix, key)

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")
