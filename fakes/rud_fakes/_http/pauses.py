"""Waiting that can be ended from outside."""

from __future__ import annotations

import enum
import selectors
import socket
import threading


class Ended(enum.Enum):
    """Why a pause ended."""

    IN_TIME = enum.auto()
    EARLY = enum.auto()
    """``end_all`` was called."""
    LEFT = enum.auto()
    """The client closed the connection, or the server stopped."""


class Pauses:
    """Everything that waits on purpose, so that all of it can be ended at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # Guards what follows.
        self._bells: set[socket.socket] = set()
        self._round = 0
        self._over = False

    def round(self) -> int:
        """How often all pauses were ended so far."""
        with self._lock:
            return self._round

    def pause(self, seconds: float | None, client: socket.socket | None, since: int) -> Ended:
        """Until ``seconds`` have passed (``None``: for ever), ``end_all``, or there is news from ``client``.

        ``client`` is to be one that owes nothing: its only news is that it has left. ``since``: the round in which the
        reason for the pause came up; an ``end_all`` since then has ended it before it began.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs, selectors.DefaultSelector() as selector:
            selector.register(ours, selectors.EVENT_READ, Ended.EARLY)
            if client is not None:
                selector.register(client, selectors.EVENT_READ, Ended.LEFT)
            with self._lock:
                if self._over or since != self._round:
                    return Ended.LEFT if self._over else Ended.EARLY
                self._bells.add(theirs)
            try:
                found = {key.data for key, _ in selector.select(seconds)}
            finally:
                with self._lock:
                    self._bells.discard(theirs)
        if self.are_over() or found == {Ended.LEFT}:
            return Ended.LEFT
        return Ended.EARLY if found else Ended.IN_TIME

    def are_over(self) -> bool:
        """Whether they were ended for good."""
        with self._lock:
            return self._over

    def end_all(self, *, for_good: bool = False) -> None:
        """End every pause that is under way; ``for_good``: and let there be no other."""
        with self._lock:
            self._over |= for_good
            self._round += 1
            for bell in self._bells:
                bell.send(b".")
            self._bells.clear()
