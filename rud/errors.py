"""Every error that rud raises on purpose.

Each is also the built-in that a Python person would catch, takes one positional argument (the sentence), keeps its
facts as attributes, and survives pickling with both. No error carries a secret: keys, paths, sizes and reasons only.
"""

from __future__ import annotations

from typing import Any, Self


def _restore(cls: type[RudError], args: tuple[object, ...], facts: dict[str, Any]) -> RudError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class RudError(Exception):
    """The root of all of them."""

    def __init__(self, message: str = "") -> None:
        # Not super().__init__: with a built-in beside us in the bases, its signature would decide.
        self.args = (message,)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class ConfigurationError(RudError, ValueError):
    """A wrong URI, template, option, credential or missing extra; raised when the object is built."""


class InvalidKeyError(RudError, ValueError):
    """A key that the store cannot keep exactly as it is; raised before any request."""


class StoreError(RudError):
    """A store refused or failed one operation; ``__cause__`` is the SDK's own error.

    Attributes: ``operation`` (``"put"``, ``"get"``, ``"head"``, ``"list"``, ``"delete"``, ``"abort"``, ``"probe"``,
    ``"open"``), ``key`` (or ``""`` where the operation has none), ``reason`` (the service's code or a short text).
    """

    def __init__(self, message: str = "", *, operation: str = "", key: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.operation = operation
        self.key = key
        self.reason = reason

    @classmethod
    def during(cls, operation: str, key: str, reason: str) -> Self:
        """The error with its sentence made from the facts."""
        where = f"{operation} of {key!r}" if key else operation
        return cls(f"{where} failed: {reason}", operation=operation, key=key, reason=reason)


class ObjectNotFoundError(StoreError, FileNotFoundError):
    """There is no such object."""


class ObjectExistsError(StoreError, FileExistsError):
    """A create found an object of that key that is not ours; it was left as it was."""


class AccessDeniedError(StoreError, PermissionError):
    """The credentials do not allow the operation. Never "not found"."""


class CredentialsExpiredError(AccessDeniedError):
    """The credentials were good and have expired: the store is opened anew, no attempt is spent."""


class BucketNotFoundError(StoreError, FileNotFoundError):
    """The bucket, container or folder itself is missing."""


class IntegrityError(StoreError):
    """The bytes are not those that were accepted, sent or declared."""


class UnsupportedOperationError(StoreError, NotImplementedError):
    """The store declares that it does not offer this; ``reason`` says why."""


class StoreClosedError(StoreError, ValueError):
    """The store was closed, or is used in a forked child."""


class ObjectStoreTransientError(StoreError, RuntimeError):
    """A fault that may pass: the only class that is retried.

    ``retry_after``: seconds that the service asked us to wait, or ``None``.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str = "",
        key: str = "",
        reason: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, operation=operation, key=key, reason=reason)
        self.retry_after = retry_after


class ThrottledError(ObjectStoreTransientError):
    """The service asked for fewer requests; has a floor under its backoff."""


class SpoolError(RudError, OSError):
    """The file could not be staged: nothing was accepted. Sizes stand in the text; ``errno`` is the system's."""

    def __init__(self, message: str = "", *, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class UploadError(RudError):
    """An accepted upload failed for good. It is kept, with its reason, at ``kept_at``.

    Attributes: ``key``, ``uri``, ``attempts`` (made), ``elapsed`` (seconds since it was accepted), ``rank`` (global),
    ``kept_at`` (a path, or ``""`` when nothing is kept). Further failures reported with it are its notes (PEP 678).
    """

    def __init__(
        self,
        message: str = "",
        *,
        key: str = "",
        uri: str = "",
        attempts: int = 0,
        elapsed: float = 0.0,
        rank: int = 0,
        kept_at: str = "",
    ) -> None:
        super().__init__(message)
        self.key = key
        self.uri = uri
        self.attempts = attempts
        self.elapsed = elapsed
        self.rank = rank
        self.kept_at = kept_at


class UploadExistsError(UploadError, FileExistsError):
    """``overwrite=False`` and the store holds another object of that key."""


class UploadDeniedError(UploadError, PermissionError):
    """The store does not allow this upload."""


class UploadNotFoundError(UploadError, FileNotFoundError):
    """What the upload needs (its payload, its bucket) is not there."""


class DependencyFailedError(UploadError):
    """An upload named in ``after`` failed or was cancelled; nothing was sent."""


class UploadTimeoutError(RudError, TimeoutError):
    """A wait reached its own limit. Nothing is lost: what is not stored stays spooled and goes on."""


class PoolError(RudError):
    """The machinery, not one upload."""


class OutageError(PoolError, RuntimeError):
    """The destination has not answered, or has refused us, for longer than ``outage_timeout``; what waits stays
    spooled."""


class PreemptedError(PoolError, RuntimeError):
    """The machine is about to be taken away, and nothing more is sent; what was accepted stays spooled."""


class WorkerDiedError(PoolError, RuntimeError):
    """Workers die before they can work; the text has their exits, what they did, and likely causes."""


class PeerLostError(PoolError, RuntimeError):
    """Another rank, named in ``rank``, cannot be waited for: it gave no sign of life for ``peer_timeout``, or left."""

    def __init__(self, message: str = "", *, rank: int = 0) -> None:
        super().__init__(message)
        self.rank = rank


class PoolClosedError(PoolError, ValueError):
    """An upload was offered after ``close`` had begun, or in a forked child; nothing was accepted."""
