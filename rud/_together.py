"""What a logger does on all ranks alike: begin, raise what has failed, wait. Without other ranks, each by itself."""

from __future__ import annotations

from collections.abc import Callable

from rud._peers import Failure, Peers
from rud.errors import PeerLostError, UploadTimeoutError
from rud.uploader import Uploader

SLICE = 1.0
"""Seconds of a wait for one's own uploads after which it is asked again whether another rank has failed."""


class Together:
    """``peers``: ``None`` when this rank decides alone."""

    def __init__(self, peers: Peers | None, rank: int) -> None:
        self._peers = peers
        self._rank = rank
        self._raised: set[str] = set()

    def begin(self, build: Callable[[], Uploader]) -> Uploader:
        """``build()``, which on rank 0 also looks whether the destination can be written to; raises what rank 0 raises,
        on all ranks, or what this rank's own ``build`` raises."""
        if self._peers is None:
            return build()
        self._peers.start()
        try:
            uploader = build()
        except BaseException as error:
            self._tell(error)
            if self._rank == 0:
                self._peers.agree("begun", Failure.of(error, self._rank))
            self._peers.leave()
            raise
        verdict = self._peers.agree("begun", None)
        if verdict is not None:
            uploader.close(0.0)
            self._peers.leave()
            raise verdict.error()
        return uploader

    def raise_if_failed(self, uploader: Uploader) -> None:
        """What has failed here, told to all ranks; else what another rank has told, once."""
        try:
            uploader.raise_if_failed()
        except Exception as error:
            self._tell(error)
            raise
        if self._peers is not None and (failure := self._peers.failure()) is not None:
            self._raise_once(failure)

    def wait(self, uploader: Uploader) -> None:
        """Return when all that was accepted before is stored, on all ranks; or raise on all of them.

        What this rank has raised before is not raised again.
        """
        if self._peers is None:
            uploader.drain()
            return
        own = self._drained(uploader)
        if own is not None:
            self._tell(own)
        found = self._peers.meet()
        if own is not None:
            raise own
        if found is not None and found.kind == PeerLostError.__name__:
            raise found.error()
        if found is not None:
            self._raise_once(found)

    def leave(self) -> None:
        """This rank waits for nobody any more."""
        if self._peers is not None:
            self._peers.leave()

    def _drained(self, uploader: Uploader) -> Exception | None:
        """Wait for one's own uploads, and no longer once another rank has failed: they go on, but nobody waits."""
        assert self._peers is not None
        while True:
            try:
                uploader.drain(SLICE)
            except UploadTimeoutError as error:
                if uploader.closed:
                    return error
                if self._peers.failure() is not None:
                    return None
            except Exception as error:  # noqa: BLE001 - raised by ``wait``, when the others know
                return error
            else:
                return None

    def _tell(self, error: BaseException) -> None:
        if self._peers is not None:
            failure = Failure.of(error, self._rank)
            self._raised.add(failure.text)
            self._peers.tell(failure)

    def _raise_once(self, failure: Failure) -> None:
        if failure.text not in self._raised:
            self._raised.add(failure.text)
            raise failure.error()
