"""The contract of a store: ``Backend`` for those who write one, ``ObjectStore`` for those who call one.

What these docstrings promise is what the conformance suite checks.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from rud.errors import InvalidKeyError

Offer = Literal[True] | str
"""``True``: offered. A text: not offered, and this is why."""


Arguments = dict[str, Any]
"""Of a constructor or a request, by name."""


class PutMode(enum.Enum):
    """What a put does when the key is taken."""

    OVERWRITE = "overwrite"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend offers: declared, never sniffed. Every "no" is a text that gives its reason."""

    create: Offer
    """``put`` with ``PutMode.CREATE`` decides atomically whether the key is free."""
    entry_ids: Offer
    """``put`` keeps ``entry_id`` with the object and ``head`` returns it."""
    checksums: Offer
    """``head`` and ``list`` or ``get`` return the CRC32C of an object."""
    ranges: Offer
    """``get`` honours ``start`` greater than 0."""
    fsync: Offer
    """``put`` with ``durable=True`` returns only when the object would survive a loss of power."""
    reads_body: Offer
    """``put`` reads through the body it was given, so that progress is seen while it sends."""
    ends_with_worker: Offer
    """Nothing of a put becomes visible after the process that made it was killed."""
    processes: Offer
    """A store built in another process from the same arguments is the same store."""


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What a store knows of an object. ``last_modified`` in seconds since the epoch; ``None`` where it cannot tell."""

    key: str
    size: int
    etag: str | None = None
    checksum: int | None = None
    """CRC32C of the content."""
    last_modified: float | None = None
    entry_id: str | None = None
    """The id of the upload that wrote it, where the store keeps one."""


@dataclass(frozen=True, slots=True)
class PutResult:
    """What a store said of a put that succeeded."""

    etag: str | None = None
    version: str | None = None


def check_key(key: object) -> str:
    """``key``, if some store could keep it: text with at least one character, without NUL, encodable in UTF-8."""
    if not isinstance(key, str):
        raise InvalidKeyError(f"a key is text (str), not {type(key).__name__}")
    if not key:
        raise InvalidKeyError("a key has at least one character")
    if "\0" in key:
        raise InvalidKeyError(f"the key {key!r} has a NUL character, which no store keeps")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidKeyError(f"the key {key!r} cannot be written as UTF-8: {error.reason}") from None
    return key


class Section(Protocol):
    """A piece of a body whose sum is known, to be sent once or several times: binary and seekable.

    ``crc32c`` is of the piece. ``error`` is what a read of it has raised: a trouble of the upload, not of the store,
    however an SDK wraps it. After ``revoke`` reads raise its argument.
    """

    @property
    def crc32c(self) -> int: ...
    @property
    def error(self) -> BaseException | None: ...
    def revoke(self, error: BaseException, /) -> None: ...
    def __len__(self) -> int: ...
    def read(self, size: int | None = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


class Source(Protocol):
    """A body to send: binary, seekable, of known size. ``rud._body.Body`` is one.

    A backend reads it in order, by ``read``, or by ``section``, which sums the next ``size`` bytes and counts them as
    read only when the section is: for whoever tells the sum of a piece before it is sent, or sends several at once.
    ``crc32c`` is the sum of the whole, once all was read or summed.
    """

    @property
    def crc32c(self) -> int | None: ...
    def __len__(self) -> int: ...
    def read(self, size: int | None = -1, /) -> bytes: ...
    def section(self, size: int, /) -> Section: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


class Sink(Protocol):
    """Where a download goes."""

    def write(self, chunk: bytes, /) -> object: ...


class OnMultipart(Protocol):
    """Told the id of a multipart upload before its first part is sent."""

    def __call__(self, upload_id: str, /) -> None: ...


class Backend(ABC):
    """What the author of a store implements: move bytes. Built in the worker as ``cls(bucket, prefix,
    **backend_kwargs)``.

    An instance is used by one thread at a time and need not be thread-safe. It never retries a whole object, never
    logs, never sleeps; it raises the errors of ``rud.errors`` (a foreign error that escapes is taken for a failure for
    good). Keys are text, relative to ``prefix``; a key that the store cannot keep as it is raises ``InvalidKeyError``
    before any request, and is never normalised.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset()
    """Arguments that may be written to disk and shown; of all others only the name ever is."""

    @classmethod
    def resolve_arguments(cls, arguments: Arguments) -> Arguments:
        """``arguments``, with what the environment adds to where they lead (an endpoint, say), so that workers and
        later runs are led to the same place. No request. As they are, unless an author says otherwise."""
        return arguments

    def prepare(self) -> None:
        """Do now what the first request would have to do before it: import an SDK, say. No request.

        Called in a worker before it is ready, and nowhere else: who only builds a store does not pay for it. Nothing,
        unless an author says otherwise.
        """
        return

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """The same answer from every instance built with the same arguments; no request."""

    @abstractmethod
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
        """Store the ``len(source)`` bytes of ``source`` under ``key``: all of them or none, visible at once or not at
        all.

        ``checksum`` (CRC32C), where it is known, lets the service refuse other bytes. ``CREATE`` on a taken key raises
        ``ObjectExistsError`` and changes nothing; where ``capabilities.create`` is a "no" it raises
        ``UnsupportedOperationError`` before any request. ``entry_id`` is kept with the object where that is offered.
        """

    @abstractmethod
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        """Write the object from byte ``start`` to ``sink``; its metadata (of the very version that was read)."""

    @abstractmethod
    def head(self, key: str) -> ObjectMeta:
        """Metadata by one request without a body, never from a cache; ``ObjectNotFoundError``."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        """Every object whose key begins with ``prefix``, over all pages, sorted by the UTF-8 bytes of the key."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""

    @abstractmethod
    def abort(self, key: str, upload_id: str | None) -> None:
        """End an unfinished multipart upload of ours, of this process or of a dead one; unknown ids are no error.

        ``None``: every one of ``key`` that bears the mark of ours, where the store can tell: a put that died may have
        begun one whose id nobody has learnt.
        """

    @abstractmethod
    def probe(self) -> None:
        """Raise unless we may write here; cheap, and leaves nothing behind."""

    @abstractmethod
    def uri(self, key: str) -> str:
        """The object's address; pure, injective, no request. The one method that any thread may call at any time."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held; idempotent."""


BackendClass = type[Backend]
