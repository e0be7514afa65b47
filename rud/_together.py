"""What a logger does on all ranks alike: begin, raise what has failed, wait. Without other ranks, each by itself."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from rud._clock import SystemClock
from rud._peers import Failure, Peers, of_torch
from rud._ranks import RankInfo
from rud.errors import PeerLostError, UploadTimeoutError
from rud.uploader import Uploader

SLICE = 1.0
"""Seconds of a wait for one's own uploads after which it is asked again whether another rank has failed."""
_joined = 0


def peers_of(rank: RankInfo, *, timeout: float, modules: Any = sys.modules) -> Peers | None:
    """The other ranks of this run, by the store of an initialised ``torch.distributed``; ``None`` without one.

    Each call speaks under a name of its own, so that two loggers of a run do not meet: all ranks have to begin theirs
    in the same order.
    """
    global _joined  # noqa: PLW0603 - the order of the loggers of this process is the process's
    _joined += 1
    board = of_torch(modules, f"rud/{_joined}") if rank.world_size > 1 else None
    if board is None:
        return None
    clock, wait = SystemClock(), threading.Event().wait
    return Peers(board, rank.rank, rank.world_size, clock=clock, wait=wait, timeout=timeout)


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
