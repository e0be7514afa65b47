"""Mistakes with errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rud.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
    ThrottledError,
)
from rud.store import ObjectMeta, PutResult, Sink, Source
from rud_conformance.mutants import mutant
from rud_conformance.wired import AnswerError, WiredBackend


class _Classes(WiredBackend):
    """Has a table of its own; ``None`` leaves it to the right one."""

    def other(self, status: int, code: str) -> type[StoreError] | None:
        return None

    def _class(self, status: int, code: str) -> type[StoreError]:
        return self.other(status, code) or super()._class(status, code)


@mutant("403-is-404", "E02 A01", "what is forbidden is taken for missing")
class Status403Is404(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return ObjectNotFoundError if status == 403 else None


@mutant("404-may-pass", "E01 E23", "what is missing is tried again")
class Status404MayPass(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return ObjectStoreTransientError if status == 404 else None


@mutant("all-may-pass", "E02 E03 E06", "everything but a missing object is tried again")
class AllMayPass(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return None if status == 404 else ObjectStoreTransientError


@mutant("429-is-for-good", "E03 E22", "being throttled is for good")
class Status429IsForGood(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return StoreError if status == 429 else None


@mutant("slow-down-is-any", "E22", "being throttled is any trouble")
class SlowDownIsAny(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return ObjectStoreTransientError if code == "SlowDown" or status == 429 else None


@mutant("bucket-is-object", "E11", "a missing bucket is taken for a missing object")
class BucketIsObject(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return ObjectNotFoundError if code == "NoSuchBucket" else None


@mutant("expired-is-denied", "E21", "credentials that have expired are taken for wrong ones")
class ExpiredIsDenied(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return AccessDeniedError if code == "ExpiredToken" else None


@mutant("507-is-for-good", "E03", "statuses that are not in the table are for good")
class Status507IsForGood(_Classes):
    def other(self, status: int, code: str) -> type[StoreError] | None:
        return StoreError if status in (507, 599) else None


class _Errors(WiredBackend):
    """Makes errors of its own; ``None`` leaves it to the right one."""

    def made(self, operation: str, key: str, error: Exception) -> Exception | None:
        return None

    def _error(self, operation: str, key: str, error: Exception) -> Exception:
        return self.made(operation, key, error) or super()._error(operation, key, error)


@mutant("503-raw", "E03", "an answer of 503 comes out as the error of the library")
class Status503Raw(_Errors):
    def made(self, operation: str, key: str, error: Exception) -> Exception | None:
        return RuntimeError(str(error)) if isinstance(error, AnswerError) and error.status == 503 else None


@mutant("reset-raw", "E04 E20", "a broken connection comes out as the error of the system")
class ResetRaw(_Errors):
    def made(self, operation: str, key: str, error: Exception) -> Exception | None:
        return error if isinstance(error, ConnectionError) else None


@mutant("digits-decide", "E06", "digits in the text of an error decide")
class DigitsDecide(_Errors):
    def made(self, operation: str, key: str, error: Exception) -> Exception | None:
        text = f"{operation} of {key}: {error}"
        return ObjectStoreTransientError.during(operation, key, "") if "50" in text else None


@mutant("nameless", "E07", "an error names neither operation nor key")
class Nameless(_Errors):
    def made(self, operation: str, key: str, error: Exception) -> Exception | None:
        return ObjectNotFoundError("not found") if isinstance(error, AnswerError) and error.status == 404 else None


@mutant("waits-ignored", "E10", "how long the service asks us to wait is not told")
class WaitsIgnored(_Errors):
    def made(self, operation: str, key: str, error: Exception) -> Exception | None:
        if isinstance(error, AnswerError) and error.retry_after is not None:
            return ThrottledError.during(operation, key, str(error))
        return None


@mutant("own-table-of-delete", "E15", "delete has a table of its own")
class OwnTableOfDelete(_Errors):
    def made(self, operation: str, key: str, error: Exception) -> Exception | None:
        if operation == "delete" and isinstance(error, AnswerError) and error.status == 403:
            return StoreError.during(operation, key, str(error))
        return None


@mutant("nonsense-raw", "E16", "an answer that makes no sense comes out as a ValueError")
class NonsenseRaw(_Errors):
    def made(self, operation: str, key: str, error: Exception) -> Exception | None:
        return error if type(error) is ValueError else None


@mutant("no-cause", "E25", "what the library below has raised is lost")
class NoCause(WiredBackend):
    @contextmanager
    def _translated(self, operation: str, key: str) -> Iterator[None]:
        try:
            yield
        except RudError:
            raise
        except Exception as error:
            made = self._error(operation, key, error)
        else:
            return
        raise made


@mutant("catch-all", "E08 E12", "whatever is raised during a put is trouble of the store")
class CatchAll(WiredBackend):
    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        try:
            return super().put(key, source, **given)
        except RudError:
            raise
        except Exception as error:
            raise ObjectStoreTransientError.during("put", key, str(error)) from error


@mutant("sinks-are-stores", "E08 E12 E26", "whatever is raised during a get is trouble of the store")
class SinksAreStores(WiredBackend):
    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        with self._translated("get", key):
            return super().get(key, sink, start=start)


@mutant("asked-again", "E24", "what is for good is asked three times")
class AskedAgain(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        for _ in range(2):
            with contextlib.suppress(StoreError):
                return super().head(key)
        return super().head(key)
