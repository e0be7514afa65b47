"""Requests about the objects of one container, by one driver of libcloud."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from libcloud.storage.base import Container, Object
from requests import Response

from rud.backends._libcloud_errors import refusal, translated
from rud.backends._libcloud_line import Line, fitted
from rud.errors import StoreError
from rud.store import ObjectMeta, OnMultipart

_BEHIND_THE_END = 416


class Session:
    """``operation`` and ``key`` are what errors say; ``name`` is the object's own."""

    def __init__(self, driver: Any, container: str) -> None:
        self._driver = driver
        self._line = fitted(driver)
        self._container: Any = Container(name=container, extra={}, driver=driver)
        # Every driver asks for the container before it asks for an object: two requests in the place of one.
        driver.get_container = lambda *_, **__: self._container

    def upload(
        self,
        key: str,
        name: str,
        body: Iterator[bytes],
        about: Mapping[str, str],
        on_multipart: OnMultipart,
        *,
        operation: str = "put",
    ) -> str | None:
        """Store ``body`` with the metadata ``about``; the ETag."""
        self._line.begin(on_multipart)
        extra = {"content_type": "application/octet-stream", "meta_data": dict(about)}
        with translated(operation, key, self._line):
            made = self._driver.upload_object_via_stream(body, self._container, name, extra=extra)
        etag: str | None = made.hash
        return (etag or "").strip('"') or None

    def download(self, key: str, name: str, start: int, chunk_size: int) -> Download:
        """The object from byte ``start``."""
        self._line.begin()
        target = self._object(name)
        try:
            with translated("get", key, self._line):
                if start:
                    chunks = self._driver.download_object_range_as_stream(target, start, chunk_size=chunk_size)
                else:
                    chunks = self._driver.download_object_as_stream(target, chunk_size=chunk_size)
                first = next(chunks, b"")
        except StoreError:
            if not _is_behind_the_end(self._line):
                raise
            chunks, first = iter(()), b""
        there = None if self._line.last is not None else self._driver.get_object(self._container.name, name)
        return Download(key, self._line, first, chunks, there)

    def head(self, key: str, name: str, kept: str) -> ObjectMeta:
        self._line.begin()
        with translated("head", key, self._line):
            found = self._driver.get_object(self._container.name, name)
        return meta_of(key, found, self._line.last, kept)

    def ask_with_a_body(self, operation: str, key: str, name: str) -> None:
        """Raise what is answered to a GET, if that is an error; returns when nothing is wrong."""
        self._line.begin()
        try:
            with translated(operation, key, self._line):
                next(self._driver.download_object_as_stream(self._object(name)), None)
        finally:
            if self._line.last is not None:
                self._line.last.close()

    def list(self, prefix: str, cut: int) -> Iterator[ObjectMeta]:
        """All whose names begin with ``prefix``, and perhaps others, without the first ``cut`` characters."""
        self._line.begin()
        with translated("list", prefix[cut:], self._line):
            for found in self._driver.iterate_container_objects(self._container, prefix=_asked(prefix) or None):
                yield meta_of(found.name[cut:], found, None, "")

    def delete(self, key: str, name: str) -> bool:
        """``False``: the driver says no more than that; ``ObjectNotFoundError``."""
        self._line.begin()
        with translated("delete", key, self._line):
            done: bool = self._driver.delete_object(self._object(name))
        if not done and isinstance(self._line.trouble, Response):
            raise refusal("delete", key, self._line.trouble)
        return done

    def abort(self, key: str, name: str, upload_id: str) -> None:
        """End a multipart upload; one that is not there any more is no error, nor a driver that knows none."""
        if not getattr(self._driver, "supports_s3_multipart_upload", False):
            return
        self._line.begin()
        with translated("abort", key, self._line):
            path = self._driver._get_object_path(self._container, name)  # noqa: SLF001  # it has no public name
            answer = self._driver.connection.request(path, params={"uploadId": upload_id}, method="DELETE")
        if answer.status not in (200, 204, 404) and isinstance(self._line.trouble, Response):
            raise refusal("abort", key, self._line.trouble)

    def abandon(self, name: str) -> None:
        """End what a put has begun and its driver has not ended, if it can be."""
        if (upload_id := self._line.unfinished) is not None:
            with contextlib.suppress(Exception):
                self.abort("", name, upload_id)

    def close(self) -> None:
        """Close the connections."""
        session = getattr(self._driver.connection.connection, "session", None)
        if session is not None:
            session.close()

    def _object(self, name: str) -> Any:
        return Object(
            name=name, size=0, hash="", extra={}, meta_data={}, container=self._container, driver=self._driver
        )


class Download:
    """Chunks of an object, and what is known of it; ``close`` it."""

    def __init__(self, key: str, line: Line, first: bytes, rest: Iterator[bytes], there: Any) -> None:
        self._key = key
        self._line = line
        self._answer = line.last
        self._first = first
        self._rest = rest
        self._there = there
        self.is_behind_the_end = _is_behind_the_end(line)

    def __iter__(self) -> Iterator[bytes]:
        chunk = self._first
        while chunk:
            yield chunk
            with translated("get", self._key, self._line):
                chunk = next(self._rest, b"")

    def meta(self, kept: str) -> ObjectMeta:
        """Of the version that is being read, as far as a driver without answers can tell."""
        return meta_of(self._key, self._there, self._answer, kept)

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()


def meta_of(key: str, found: Any, answer: Response | None, kept: str) -> ObjectMeta:
    """From what a driver has found, or an answer about the one object, or both."""
    headers: Mapping[str, str] = answer.headers if answer is not None else {}
    entry = next((value for name, value in headers.items() if kept and name.lower().endswith(f"-meta-{kept}")), None)
    said = headers.get("last-modified")
    if found is not None:
        size, etag = int(found.size), found.hash
        said = said or found.extra.get("last_modified") or found.extra.get("modify_time")
    else:
        size, etag = _size(headers), headers.get("etag")
    return ObjectMeta(key, size, (etag or "").strip('"') or None, last_modified=_seconds(said), entry_id=entry)


def _size(headers: Mapping[str, str]) -> int:
    _, _, whole = headers.get("content-range", "").rpartition("/")
    return int(whole) if whole.isdecimal() else int(headers.get("content-length", 0))


def _seconds(said: object) -> float | None:
    """Seconds since the epoch, of whatever form a driver gives."""
    if isinstance(said, int | float):
        return float(said)
    if not isinstance(said, str):
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with contextlib.suppress(ValueError):
            when = read(said)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return None


def _is_behind_the_end(line: Line) -> bool:
    return line.last is not None and line.last.status_code == _BEHIND_THE_END


def _asked(prefix: str) -> str:
    """What is asked for: libcloud signs parameters for Azure without the blanks around them, and sends them with."""
    return prefix.rstrip() if prefix[:1].strip() else ""
