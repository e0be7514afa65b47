"""A small, correct backend with a wire in the middle, all in memory: what the suite proves itself on.

``Service`` is the far end: it speaks in requests, pages and parts, and makes every trouble that a ``Wire`` can. The
faulty backends of ``rud_conformance.mutants`` derive from ``WiredBackend``.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar, get_args

import google_crc32c

from rud._clock import SystemClock
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsExpiredError,
    IntegrityError,
    InvalidKeyError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreClosedError,
    StoreError,
    ThrottledError,
    UnsupportedOperationError,
)
from rud.store import Backend, Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Sink, Source, check_key
from rud_conformance.wire import Kind, Trouble

T = TypeVar("T")
PAGE = 3


class AnswerError(Exception):
    """An answer of the service that is no success."""

    def __init__(self, status: int, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"HTTP {status} {code}")
        self.status = status
        self.code = code
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Stored:
    data: bytes
    etag: str
    at: float
    entry_id: str | None = None
    crc: int | None = None


@dataclass(slots=True)
class Multipart:
    name: str
    entry_id: str | None
    parts: dict[int, bytes] = field(default_factory=dict[int, bytes])


@dataclass(frozen=True, slots=True)
class Page:
    items: list[tuple[str, Stored]]
    token: str | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """To a get: what is announced, and the body as it really comes."""

    stored: Stored
    start: int
    chunks: list[bytes | Exception]


class Service:
    """One bucket. It is its own ``Wire``."""

    kinds: frozenset[str] = frozenset(get_args(Kind))

    def __init__(self) -> None:
        self._lock = threading.RLock()  # Guards everything here.
        self._objects: dict[str, Stored] = {}
        self._multiparts: dict[str, Multipart] = {}
        self._ids = itertools.count(1)
        self._clock = SystemClock()
        self._log: list[str] = []
        self._planned: dict[int, Trouble] = {}
        self._all: Trouble | None = None
        self._met = 0

    # As a wire.

    def plan(self, troubles: Mapping[int, Trouble]) -> None:
        with self._lock:
            self._met = 0
            self._planned = {len(self._log) + n: trouble for n, trouble in troubles.items()}

    def plan_all(self, trouble: Trouble) -> None:
        with self._lock:
            self._met = 0
            self._all = trouble

    def clear(self) -> int:
        with self._lock:
            self._planned, self._all = {}, None
            met, self._met = self._met, 0
            return met

    def requests(self) -> list[str]:
        with self._lock:
            return list(self._log)

    # By hand.

    def by_hand(self, name: str, data: bytes) -> None:
        with self._lock:
            self._objects[name] = self._made(data, None, None)

    def whole(self) -> dict[str, bytes]:
        with self._lock:
            return {name: stored.data for name, stored in self._objects.items()}

    def open_multiparts(self) -> int:
        with self._lock:
            return len(self._multiparts)

    # Requests.

    def put(self, name: str, data: bytes, crc: int | None, entry_id: str | None, *, create: bool) -> Stored:
        return self._request("put", lambda sent: self._store(name, sent, crc, entry_id, create=create), data)

    def begin(self, name: str, entry_id: str | None) -> str:
        def act(_: bytes) -> str:
            upload_id = f"upload-{next(self._ids)}"
            self._multiparts[upload_id] = Multipart(name, entry_id)
            return upload_id

        return self._request("begin", act)

    def part(self, upload_id: str, number: int, data: bytes, crc: int | None) -> int:
        def act(sent: bytes) -> int:
            _verify(sent, crc)
            self._multipart(upload_id).parts[number] = sent
            return number

        return self._request("part", act, data)

    def complete(self, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        def act(_: bytes) -> Stored:
            multipart = self._multipart(upload_id)
            if numbers != sorted(multipart.parts):
                raise AnswerError(400, "InvalidPart")
            data = b"".join(multipart.parts[number] for number in numbers)
            stored = self._store(multipart.name, data, crc, multipart.entry_id, create=create)
            del self._multiparts[upload_id]
            return stored

        return self._request("complete", act)

    def abort(self, upload_id: str) -> None:
        def act(_: bytes) -> None:
            self._multiparts.pop(upload_id, None)

        self._request("abort", act)

    def multiparts(self, name: str) -> list[str]:
        def act(_: bytes) -> list[str]:
            return [upload_id for upload_id, one in self._multiparts.items() if one.name == name]

        return self._request("multiparts", act)

    def get(self, name: str, start: int) -> Reply:
        def act(_: bytes) -> Reply:
            stored = self._stored(name)
            half = start + (len(stored.data) - start) // 2
            pieces = [stored.data[start:half], stored.data[half:]]
            return Reply(stored, start, [piece for piece in pieces if piece])

        return self._request("get", act)

    def head(self, name: str) -> Stored:
        return self._request("head", lambda _: self._stored(name))

    def page(self, prefix: str, token: str | None) -> Page:
        def act(_: bytes) -> Page:
            found = sorted(name for name in self._objects if name.startswith(prefix) and name > (token or ""))
            items = [(name, self._objects[name]) for name in found[:PAGE]]
            more = len(found) > PAGE
            return Page(items, items[-1][0] if more else None, more)

        return self._request("page", act, token=token)

    def delete(self, name: str) -> None:
        def act(_: bytes) -> None:
            self._objects.pop(name, None)

        self._request("delete", act)

    def _request(self, name: str, act: Callable[[bytes], T], data: bytes = b"", token: str | None = None) -> T:
        with self._lock:
            trouble = self._planned.pop(len(self._log), self._all)
            self._log.append(name)
            if trouble is None:
                return act(data)
            self._met += 1
            _before(trouble)
            if trouble.kind == "flip_in":
                return act(_flipped(data))
            answer: Any = act(data)
            if trouble.kind == "lost":
                raise ConnectionResetError("the reply was lost")
            if trouble.kind == "status_after":
                raise AnswerError(trouble.status, trouble.code)
            altered = _altered(trouble, answer, token)
            if altered is answer:
                self._met -= 1
            same_kind: T = altered
            return same_kind

    def _store(self, name: str, data: bytes, crc: int | None, entry_id: str | None, *, create: bool) -> Stored:
        _verify(data, crc)
        if create and name in self._objects:
            raise AnswerError(412, "PreconditionFailed")
        self._objects[name] = stored = self._made(data, entry_id, crc)
        return stored

    def _made(self, data: bytes, entry_id: str | None, crc: int | None) -> Stored:
        return Stored(data, f"etag-{next(self._ids)}", self._clock.time_ns() / 1e9, entry_id, crc)

    def _stored(self, name: str) -> Stored:
        if name not in self._objects:
            raise AnswerError(404, "NoSuchKey")
        return self._objects[name]

    def _multipart(self, upload_id: str) -> Multipart:
        if upload_id not in self._multiparts:
            raise AnswerError(404, "NoSuchUpload")
        return self._multiparts[upload_id]


def _verify(data: bytes, crc: int | None) -> None:
    if crc is not None and google_crc32c.value(data) != crc:
        raise AnswerError(400, "BadDigest")


def _before(trouble: Trouble) -> None:
    if trouble.kind == "status":
        raise AnswerError(trouble.status, trouble.code, trouble.retry_after)
    if trouble.kind == "reset":
        raise ConnectionResetError("the connection was reset")
    if trouble.kind == "error_in_200":
        raise AnswerError(200, trouble.code or "InternalError")
    if trouble.kind == "garbage":
        raise ValueError("the answer makes no sense")


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else data


def _altered(trouble: Trouble, answer: Any, token: str | None) -> Any:
    if isinstance(answer, Reply):
        return _altered_reply(trouble, answer)
    if isinstance(answer, Page):
        if trouble.kind == "empty_page":
            return Page([], f"{token or ''}\0", truncated=True)  # no name has a NUL: it leads to the same place
        if trouble.kind == "same_token":
            return replace(answer, token=token or "", truncated=True)
    return answer


def _altered_reply(trouble: Trouble, reply: Reply) -> Reply:
    if not reply.chunks:
        return reply
    if trouble.kind == "short":
        return replace(reply, chunks=[*reply.chunks[:-1], ConnectionResetError("in the middle of the body")])
    if trouble.kind == "short_clean":
        return replace(reply, chunks=reply.chunks[:-1])
    if trouble.kind == "flip":
        return replace(reply, chunks=[_flipped(reply.chunks[0]), *reply.chunks[1:]])  # type: ignore[arg-type]  # bytes yet
    if trouble.kind == "whole" and reply.start:
        data = reply.stored.data
        return replace(reply, chunks=[data[at : at + 2] for at in range(0, len(data), 2)], start=0)
    return reply


_services: dict[str, Service] = {}


def service(bucket: str) -> Service:
    """The service that every instance of ``bucket`` speaks to."""
    return _services.setdefault(bucket, Service())


class WiredBackend(Backend):
    """Small methods, so that a faulty one replaces few lines."""

    part_size: ClassVar[int] = 8
    threshold: ClassVar[int] = 16
    longest_key: ClassVar[int] = 1024

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket = bucket
        self._service = service(bucket)
        self._prefix = f"{prefix}/" if prefix else ""
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            create=True,
            entry_ids=True,
            checksums=True,
            ranges=True,
            fsync=True,
            reads_body=True,
            ends_with_worker=True,
            processes="it lives in the memory of one process",
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
        name = self._name("put", key)
        create = mode is PutMode.CREATE
        if len(source) <= self.threshold:
            data = self._read(source, len(source))
            self._check_whole(key, source, data)
            self._check_sum(key, data, checksum)
            stored = self._put_whole(key, name, data, entry_id, create=create)
        else:
            stored = self._put_parts(key, name, source, checksum, entry_id, on_multipart, create=create)
        return PutResult(etag=stored.etag)

    def _put_whole(self, key: str, name: str, data: bytes, entry_id: str | None, *, create: bool) -> Stored:
        with self._translated("put", key):
            return self._service.put(name, data, self._sum(data), entry_id, create=create)

    def _put_parts(  # noqa: PLR0917 - what a put takes, but by position
        self,
        key: str,
        name: str,
        source: Source,
        checksum: int | None,
        entry_id: str | None,
        on_multipart: OnMultipart,
        *,
        create: bool,
    ) -> Stored:
        with self._translated("put", key):
            upload_id = self._service.begin(name, entry_id)
        try:
            on_multipart(upload_id)
            numbers, data = self._send_parts(key, upload_id, source)
            self._check_whole(key, source, data)
            self._check_sum(key, data, checksum)
            return self._complete(key, upload_id, numbers, self._sum(data), create=create)
        except BaseException as error:
            self._give_up(key, upload_id, error)
            raise

    def _send_parts(self, key: str, upload_id: str, source: Source) -> tuple[list[int], bytes]:
        sent = b""
        numbers: list[int] = []
        while chunk := self._read(source, self.part_size):
            numbers.append(len(numbers) + 1)
            sent += chunk
            with self._translated("put", key):
                self._service.part(upload_id, numbers[-1], chunk, self._sum(chunk))
        return numbers, sent

    def _complete(self, key: str, upload_id: str, numbers: list[int], crc: int | None, *, create: bool) -> Stored:
        with self._translated("put", key):
            return self._service.complete(upload_id, numbers, crc, create=create)

    def _give_up(self, key: str, upload_id: str, error: BaseException) -> None:
        try:
            with self._translated("abort", key):
                self._service.abort(upload_id)
        except StoreError as second:
            error.add_note(f"and its parts may be left: {second}")

    def _read(self, source: Source, size: int) -> bytes:
        """Exactly ``size`` bytes, unless it ends."""
        data = b""
        while len(data) < size and (chunk := source.read(size - len(data))):
            data += chunk
        return data

    def _check_whole(self, key: str, source: Source, data: bytes) -> None:
        if len(data) != len(source):
            raise IntegrityError.during("put", key, f"the source gave {len(data)} of {len(source)} bytes")

    def _check_sum(self, key: str, data: bytes, checksum: int | None) -> None:
        if checksum not in (None, google_crc32c.value(data)):
            raise IntegrityError.during("put", key, "the bytes have another CRC32C than was declared")

    def _sum(self, data: bytes) -> int | None:
        return int(google_crc32c.value(data))

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        name = self._name("get", key)
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        with self._translated("get", key):
            reply = self._service.get(name, start)
        ahead = start - reply.start
        for chunk in self._chunks(key, reply):
            if fresh := chunk[ahead:]:
                sink.write(fresh)
            ahead = max(0, ahead - len(chunk))
        return self._meta(key, reply.stored)

    def _chunks(self, key: str, reply: Reply) -> Iterator[bytes]:
        for chunk in reply.chunks:
            if isinstance(chunk, Exception):
                with self._translated("get", key):
                    raise chunk
            else:
                yield chunk

    def head(self, key: str) -> ObjectMeta:
        name = self._name("head", key)
        with self._translated("head", key):
            return self._meta(key, self._service.head(name))

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        found = [self._meta(self._key(name), stored) for name, stored in self._pages(prefix)]
        return iter(sorted(found, key=lambda meta: meta.key.encode()))

    def _pages(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        token: str | None = None
        while True:
            with self._translated("list", prefix):
                page = self._service.page(self._prefix + prefix, token)
            yield from page.items
            if not page.truncated:
                return
            if page.token == token or not page.token:
                raise ObjectStoreTransientError.during("list", prefix, "the listing does not go on")
            token = page.token

    def delete(self, key: str) -> None:
        name = self._name("delete", key)
        with self._translated("delete", key):
            self._service.delete(name)

    def abort(self, key: str, upload_id: str | None) -> None:
        name = self._name("abort", key)
        with self._translated("abort", key):
            for one in [upload_id] if upload_id is not None else self._service.multiparts(name):
                self._service.abort(one)

    def probe(self) -> None:
        self._check_open("probe", "")
        with self._translated("probe", ""):
            self._service.abort(self._service.begin(f"{self._prefix}.probe", None))

    def uri(self, key: str) -> str:
        return f"rud-wired://{self._bucket}/{self._whole(key)}"

    def close(self) -> None:
        self._closed = True

    def _name(self, operation: str, key: str) -> str:
        self._check_open(operation, key)
        return self._whole(key)

    def _whole(self, key: str) -> str:
        name = self._prefix + check_key(key)
        if len(name.encode()) > self.longest_key:
            raise InvalidKeyError(f"the key {key[:60]!r}… is longer than {self.longest_key} bytes with its prefix")
        return name

    def _key(self, name: str) -> str:
        return name[len(self._prefix) :]

    def _meta(self, key: str, stored: Stored) -> ObjectMeta:
        return ObjectMeta(key, len(stored.data), stored.etag, stored.crc, stored.at, stored.entry_id)

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")

    @contextmanager
    def _translated(self, operation: str, key: str) -> Iterator[None]:
        try:
            yield
        except RudError:
            raise
        except Exception as error:
            raise self._error(operation, key, error) from error

    def _error(self, operation: str, key: str, error: Exception) -> Exception:
        if not isinstance(error, AnswerError):
            return ObjectStoreTransientError.during(operation, key, f"{type(error).__name__}: {error}")
        made = self._class(error.status, error.code).during(operation, key, str(error))
        if isinstance(made, ObjectStoreTransientError):
            made.retry_after = error.retry_after
        return made

    def _class(self, status: int, code: str) -> type[StoreError]:
        by_code = CODES.get(code) or STATUSES.get(status)
        return by_code or (ObjectStoreTransientError if status >= 500 or status < 300 else StoreError)


CODES: dict[str, type[StoreError]] = {
    "NoSuchBucket": BucketNotFoundError,
    "NoSuchKey": ObjectNotFoundError,
    "NoSuchUpload": ObjectStoreTransientError,
    "AccessDenied": AccessDeniedError,
    "ExpiredToken": CredentialsExpiredError,
    "SlowDown": ThrottledError,
    "PreconditionFailed": ObjectExistsError,
    "BadDigest": IntegrityError,
}
STATUSES: dict[int, type[StoreError]] = {
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: ObjectNotFoundError,
    405: UnsupportedOperationError,
    408: ObjectStoreTransientError,
    412: ObjectExistsError,
    425: ObjectStoreTransientError,
    429: ThrottledError,
    501: UnsupportedOperationError,
}
