"""What the ranks of a run tell each other, by a key-value store that they share already.

Words are put on a board and looked for there; nobody ever waits inside the board, and there is no collective call, so
that a rank that has died holds up nobody for longer than ``timeout``. Rank 0 counts who has come to a meeting; the
others watch rank 0 alone, so that a meeting costs each rank a few requests, however many ranks there are.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from rud import errors
from rud._clock import Clock
from rud.errors import PeerLostError, PoolError, RudError

BEAT = 10.0
"""Seconds between two signs of life of a rank; a fraction of ``timeout`` where that is short."""
LOOK = 0.5
"""Seconds between two looks of a rank that waits for the others."""
LINGER = 5.0
"""Seconds at most that rank 0 stays for the others to read its last word: the board may end with its process."""


class Board(Protocol):
    """A key-value store that all ranks share; no call waits for another rank."""

    def set(self, key: str, value: str) -> None: ...
    def has(self, keys: list[str]) -> bool:
        """Whether all of them are there."""
        ...

    def get(self, key: str) -> str:
        """The value of a key that is there."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of one rank, as the others are told of it."""

    rank: int
    node: str
    """The name of its machine; ``""`` where somebody else tells of it."""
    kind: str
    """The name of its class."""
    text: str
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: BaseException, rank: int) -> Failure:
        facts = {name: value for name, value in vars(error).items() if isinstance(value, str | int | float)}
        return cls(rank, socket.gethostname(), type(error).__name__, str(error), facts)

    def error(self) -> RudError:
        """The same error, for another rank to raise; of a class that is not ours, ``PoolError``."""
        found = getattr(errors, self.kind, None)
        kind = found if isinstance(found, type) and issubclass(found, RudError) else PoolError
        made = kind(f"rank {self.rank} on {self.node}: {self.text}" if self.node else self.text)
        vars(made).update(self.facts, rank=self.rank)
        return made

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Failure:
        return cls(**json.loads(text))


class Peers:
    """One rank's end. Every rank that calls ``agree`` or ``meet`` has to, in the same order.

    ``timeout``: seconds without a sign of life after which a rank that is waited for counts as lost. ``wait``: lets
    seconds pass.
    """

    def __init__(
        self, board: Board, rank: int, world_size: int, *, clock: Clock, wait: Callable[[float], object], timeout: float
    ) -> None:
        self._board = board
        self._rank = rank
        self._world_size = world_size
        self._clock = clock
        self._wait = wait
        self._timeout = timeout
        self._beats = 0
        self._meetings = 0
        self._stop = threading.Event()

    @property
    def is_first(self) -> bool:
        """This is rank 0, which decides."""
        return self._rank == 0

    def start(self) -> None:
        """Give signs of life from now on, on a thread, until ``leave``."""
        self.beat()
        threading.Thread(target=self._go_on, name="rud-peers", daemon=True).start()

    def _go_on(self) -> None:
        while not self._stop.wait(min(BEAT, self._timeout / 4)):
            try:
                self.beat()
            except Exception:  # noqa: BLE001 - the board is gone; whoever waits for us says so
                return

    def beat(self) -> None:
        """One sign of life."""
        self._beats += 1
        self._board.set(f"beat/{self._rank}", str(self._beats))

    def leave(self) -> None:
        """No more signs of life: this rank waits for nobody any more, and nobody shall wait for it.

        Rank 0 stays a little when a failure was told, so that the others learn of it.
        """
        self._stop.set()
        self._put(f"left/{self._rank}", "")
        if self._is_there("failed"):
            self._linger("left", range(self._world_size))

    def tell(self, failure: Failure) -> None:
        """Let all ranks know; of several failures the last one told is what they learn."""
        self._put("failed", failure.to_text())

    def failure(self) -> Failure | None:
        """What a rank, this one perhaps, has told: one request where nobody has."""
        return self._read("failed")

    def agree(self, name: str, verdict: Failure | None) -> Failure | None:
        """The verdict of rank 0, on all ranks; when it is lost what any has told, or that."""
        if self._rank == 0:
            self._put(name, verdict.to_text() if verdict else "")
            if verdict is not None:
                # Who is lost will not read it.
                gone = verdict.rank if verdict.kind == PeerLostError.__name__ else 0
                self._linger(f"{name}/read", [rank for rank in range(self._world_size) if rank != gone])
            return verdict
        lost = self._wait_for({0: name})
        found = self._read(name) if lost is None else self.failure() or lost
        self._put(f"{name}/read/{self._rank}", "")
        return found

    def gather(self, name: str, word: str) -> list[str] | Failure:
        """On rank 0 the word of each rank, once all are there, or that one is lost; on the others nothing, at once."""
        self._put(f"{name}/{self._rank}", word)
        if self._rank != 0:
            return []
        words = {rank: f"{name}/{rank}" for rank in range(self._world_size)}
        lost = self._wait_for(words)
        return lost or [self._board.get(one) for one in words.values()]

    def meet(self) -> Failure | None:
        """Return when all ranks have come, on all of them the same: what any has told, who is lost, or ``None``."""
        self._meetings += 1
        name = f"meeting/{self._meetings}"
        found = self.gather(name, "")
        if self._rank != 0:
            return self.agree(name, None)
        # Who has failed may have left, for that reason.
        verdict = self.failure() or (found if isinstance(found, Failure) else None)
        self._put(name, verdict.to_text() if verdict else "")
        self._linger(f"{name}/read", [rank for rank in range(self._world_size) if self._is_there(f"{name}/{rank}")])
        return verdict

    def _wait_for(self, words: dict[int, str]) -> Failure | None:
        """Until the word of each of these ranks is there; the failure that one of them is lost."""
        watch = _Watch(self._board, self._clock, self._timeout)
        try:
            while not self._board.has(list(words.values())):
                for rank, word in words.items():
                    if not self._board.has([word]) and (why := watch.missing(rank)) and not self._board.has([word]):
                        return self._lost(rank, why)
                self._wait(LOOK)
        except Exception as error:  # noqa: BLE001 - each library's stores have errors of their own
            return self._unreachable(error)
        return None

    def _linger(self, word: str, ranks: Iterable[int]) -> None:
        """Stay until all of ``ranks`` have put their ``word``, or for so long."""
        words = [f"{word}/{rank}" for rank in ranks if rank != 0]
        end = self._clock.monotonic() + (LINGER if self._rank == 0 else 0.0)
        while words and self._clock.monotonic() < end and not all(map(self._is_there, words)):
            self._wait(LOOK / 10)

    def _is_there(self, word: str) -> bool:
        with contextlib.suppress(Exception):
            return self._board.has([word])
        return False

    def _read(self, key: str) -> Failure | None:
        try:
            text = self._board.get(key) if self._board.has([key]) else ""
        except Exception as error:  # noqa: BLE001 - as above
            return self._unreachable(error)
        return Failure.from_text(text) if text else None

    def _put(self, key: str, value: str) -> None:
        try:
            self._board.set(key, value)
        except Exception:  # noqa: BLE001 - that the board is gone is told by whoever looks at it next
            return

    def _lost(self, rank: int, why: str) -> Failure:
        text = f"{why}; what it has accepted lies in its staging folder, and `rud resume` sends it"
        return Failure(rank, "", PeerLostError.__name__, f"rank {rank} {text}")

    def _unreachable(self, error: Exception) -> Failure:
        text = (
            "rank 0 holds the key-value store of the run, which does not answer any more "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'})"
        )
        return Failure(0, "", PeerLostError.__name__, text)


class _Watch:
    """Since when which rank has been silent."""

    def __init__(self, board: Board, clock: Clock, timeout: float) -> None:
        self._board = board
        self._clock = clock
        self._timeout = timeout
        self._began = clock.monotonic()
        self._seen: dict[int, tuple[str, float]] = {}

    def missing(self, rank: int) -> str:
        """Why ``rank`` is not to be waited for; ``""`` while it is."""
        if self._board.has([f"left/{rank}"]):
            return "has left without waiting for the others"
        now = self._clock.monotonic()
        beat = self._board.get(f"beat/{rank}") if self._board.has([f"beat/{rank}"]) else ""
        last, since = self._seen.get(rank, ("", self._began))
        if beat != last:
            self._seen[rank] = (beat, now)
        elif now - since >= self._timeout:
            return f"has given no sign of life for {self._timeout:g} s: it is lost"
        return ""
