"""``Upload``: the handle of one accepted upload; behaves as ``concurrent.futures.Future`` does."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rud._pool import WorkerPool
from rud._transfer import Transfer, UploadState
from rud.errors import ConfigurationError, UploadTimeoutError

logger = logging.getLogger("rud")


class Upload:
    """One accepted upload. Dropping the handle changes nothing."""

    __slots__ = ("_pool", "_transfer", "_uri")

    def __init__(self, pool: WorkerPool, transfer: Transfer, uri: str) -> None:
        self._pool = pool
        self._transfer = transfer
        self._uri = uri

    def __repr__(self) -> str:
        return f"<Upload {self._uri} {self.state.value}>"

    @property
    def id(self) -> str:
        """As ``rud status`` prints it; greater for a later accept."""
        return self._transfer.entry.wire_id

    @property
    def key(self) -> str:
        return self._transfer.entry.key

    @property
    def uri(self) -> str:
        """Where the object will be found."""
        return self._uri

    @property
    def state(self) -> UploadState:
        """At this moment."""
        return self._transfer.state

    def done(self) -> bool:
        """It is stored, has failed or was cancelled; a superseded one is done when its successor is."""
        return self._transfer.final.ended

    def running(self) -> bool:
        """A worker holds it."""
        return self._transfer.state is UploadState.UPLOADING

    def cancelled(self) -> bool:
        return self._transfer.final.state is UploadState.CANCELLED

    def cancel(self) -> bool:
        """Withdraw it, unless a worker holds it or it has ended; whether it is cancelled now."""
        return self._pool.cancel(self._transfer)

    def result(self, timeout: float | None = None) -> str:
        """Wait until it is stored; its URI.

        Raises the ``UploadError`` it failed with, ``concurrent.futures.CancelledError``, ``UploadTimeoutError`` (a
        ``TimeoutError``) after ``timeout`` seconds, and ``OutageError`` as ``Uploader.drain`` does. A superseded upload
        answers with what has become of its successor.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        return self._uri

    def exception(self, timeout: float | None = None) -> Exception | None:
        """Wait until it has ended; the error it failed with, or ``None``. Raises as ``result`` does otherwise."""
        final = self._transfer.final
        if not final.ended:
            self._pool.wait_for(self._transfer, timeout)
            final = self._transfer.final
        if not final.ended:
            raise UploadTimeoutError(f"the uploader was closed before {self.key!r} was stored; it stays spooled")
        if final.state is UploadState.CANCELLED:
            from concurrent.futures import CancelledError

            raise CancelledError(f"the upload of {self.key!r} was cancelled")
        if final.error is not None:
            final.reported = True
        return final.error

    def add_done_callback(self, callback: Callable[[Upload], object]) -> None:
        """Call ``callback(self)`` when it is done: now, by ``cancel``, or on the supervisor's thread, which it must not
        hold up.

        What it raises is logged and ignored, as for a ``Future``.
        """

        def call() -> None:
            try:
                callback(self)
            except Exception:
                logger.exception("a done-callback of the upload of %r raised", self.key)

        self._pool.call_when_done(self._transfer, call)

    def transfer_of(self, pool: WorkerPool) -> Transfer:
        """The transfer behind the handle, for the uploader it belongs to."""
        if pool is not self._pool:
            raise ConfigurationError(f"after names {self!r}, an upload of another uploader")
        return self._transfer
