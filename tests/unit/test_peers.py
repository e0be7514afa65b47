"""Ranks decide alike: what they tell each other, with ranks that fail, die and leave, on a clock of the test's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.clock import FakeClock

from rud._peers import LOOK, Failure, Peers
from rud.errors import PeerLostError, PoolError, RudError, UploadExistsError

T = TypeVar("T")
TIMEOUT = 60.0


class DictBoard:
    """A board in this process, which may break."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.requests = 0
        self.broken = False

    def _asked(self) -> None:
        self.requests += 1
        if self.broken:
            raise ConnectionError("the store is gone")

    def set(self, key: str, value: str) -> None:
        self._asked()
        self.words[key] = value

    def has(self, keys: list[str]) -> bool:
        self._asked()
        return all(key in self.words for key in keys)

    def get(self, key: str) -> str:
        self._asked()
        return self.words[key]


class Run:
    """Ranks, each on a thread of its own; time passes when all of them wait or have ended, and who is alive beats."""

    def __init__(self, world_size: int) -> None:
        self.board = DictBoard()
        self.clock = FakeClock()
        self.world_size = world_size
        self.peers = [self._rank(rank) for rank in range(world_size)]
        self.alive = set(range(world_size))
        self._changed = threading.Condition()
        self._waiting: list[threading.Event] = []
        self._running = 0
        for peer in self.peers:
            peer.beat()

    def _rank(self, rank: int) -> Peers:
        return Peers(self.board, rank, self.world_size, clock=self.clock, wait=self._wait, timeout=TIMEOUT)

    def _wait(self, seconds: float) -> None:
        turn = threading.Event()
        with self._changed:
            self._waiting.append(turn)
            self._changed.notify_all()
        assert turn.wait(20)

    def each(self, act: Callable[[int], T]) -> dict[int, T]:
        """What ``act(rank)`` returns on each rank that is alive."""
        results: dict[int, T] = {}

        def run(rank: int) -> None:
            try:
                results[rank] = act(rank)
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

        self._running = len(self.alive)
        threads = [threading.Thread(target=run, args=(rank,)) for rank in sorted(self.alive)]
        for thread in threads:
            thread.start()
        self._let_time_pass()
        for thread in threads:
            thread.join(20)
        return results

    def _let_time_pass(self) -> None:
        while True:
            with self._changed:
                assert self._changed.wait_for(lambda: len(self._waiting) == self._running, 20)
                if not self._running:
                    return
                turns, self._waiting = self._waiting, []
                self.clock.advance(LOOK)
                for rank in self.alive:
                    if not self.board.broken:
                        self.peers[rank].beat()
            for turn in turns:
                turn.set()


def failure(rank: int) -> Failure:
    return Failure(rank, f"node-{rank}", "UploadExistsError", f"the upload of 'f{rank}' failed", {"key": f"f{rank}"})


@given(
    world_size=st.integers(2, 6),
    failing=st.sets(st.integers(0, 5)),
    dead=st.sets(st.integers(0, 5), max_size=2),
    left=st.sets(st.integers(0, 5), max_size=1),
)
def test_all_come_to_the_same(world_size: int, failing: set[int], dead: set[int], left: set[int]) -> None:
    """All ranks return the same: nothing, what one of them has told, or who is lost; within the time limit and 1 s."""
    run = Run(world_size)
    missing = {rank for rank in dead | left if rank < world_size}
    for rank in left & missing:
        run.peers[rank].leave()
    run.alive -= missing
    began = run.clock.monotonic()

    def come(rank: int) -> Failure | None:
        if rank in failing:
            run.peers[rank].tell(failure(rank))
        return run.peers[rank].meet()

    results = run.each(come)
    took = run.clock.monotonic() - began

    assert set(results) == run.alive
    assert took <= TIMEOUT + 1.0
    told = [failure(rank) for rank in failing & run.alive]
    # Without rank 0 each has to see for itself, and what another has yet to tell it may not know.
    may_differ = 0 in left
    for verdict in results.values():
        if verdict is not None and verdict.kind == PeerLostError.__name__:
            assert verdict.rank in missing
            assert left & missing or not told  # who has left is noticed at once, before the others have told
        elif verdict is not None:
            assert verdict in told
        else:
            assert not missing
            assert not told
    assert may_differ or len({found.to_text() if found else "" for found in results.values()}) <= 1


def test_rank_0_decides_for_all() -> None:
    """What rank 0 has found is what each rank is told; a rank that comes late is told, too."""
    run = Run(3)
    found = run.each(lambda rank: run.peers[rank].agree("begun", failure(0) if rank == 0 else None))
    assert found == dict.fromkeys(range(3), failure(0))
    assert run.peers[2].agree("begun", None) == failure(0)
    run = Run(3)
    assert run.each(lambda rank: run.peers[rank].agree("begun", None)) == dict.fromkeys(range(3))


def test_a_slow_rank_is_waited_for() -> None:
    """The limit is on silence, not on duration: a rank that beats for ten times as long is waited for."""
    run = Run(2)

    def come(rank: int) -> Failure | None:
        if rank == 1:
            while run.clock.monotonic() < 10 * TIMEOUT:
                run._wait(LOOK)
        return run.peers[rank].meet()

    assert run.each(come) == {0: None, 1: None}
    assert run.clock.monotonic() >= 10 * TIMEOUT


def test_who_comes_last_costs_the_others_little() -> None:
    """A meeting of 64 ranks that are all there takes a few requests of each."""
    run = Run(64)
    before = run.board.requests
    run.each(lambda rank: run.peers[rank].meet())
    assert (run.board.requests - before) / 64 < 40


def test_a_look_at_each_batch_is_one_request() -> None:
    """Where nobody has failed a look costs one request."""
    run = Run(2)
    before = run.board.requests
    assert run.peers[1].failure() is None
    assert run.board.requests == before + 1


def test_the_board_is_gone() -> None:
    """When the board ends with rank 0's process the others say so, at once and without an error of the board's."""
    run = Run(3)
    run.alive = {1, 2}
    run.board.broken = True
    found = run.each(lambda rank: run.peers[rank].meet())
    for rank in (1, 2):
        lost = found[rank]
        assert lost is not None
        error = lost.error()
        assert isinstance(error, PeerLostError)
        assert error.rank == 0
        assert "ConnectionError: the store is gone" in str(error)
    run.peers[1].leave()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UploadExistsError("it is there", key="k", attempts=3, rank=3), UploadExistsError),
        (OSError("a disk"), PoolError),
    ],
)
def test_an_error_of_another_rank(error: Exception, kind: type[RudError]) -> None:
    """An error is raised elsewhere with its class, its facts and its rank; one of another library as a PoolError."""
    told = Failure.from_text(Failure.of(error, 3).to_text()).error()
    assert type(told) is kind
    assert "rank 3 on " in str(told)
    assert str(error) in str(told)
    assert vars(told)["rank"] == 3
    if isinstance(error, UploadExistsError) and isinstance(told, UploadExistsError):
        assert (told.key, told.attempts) == (error.key, error.attempts)


def test_signs_of_life_end_with_the_stay() -> None:
    """Until it leaves a rank beats by itself, on a thread that then ends."""
    board, clock = DictBoard(), FakeClock()
    peer = Peers(board, 0, 1, clock=clock, wait=lambda seconds: None, timeout=0.01)
    peer.start()
    thread = next(one for one in threading.enumerate() if one.name == "rud-peers")
    first = board.words["beat/0"]
    while board.words["beat/0"] == first:
        assert thread.is_alive()
    peer.leave()
    thread.join(10)
    assert not thread.is_alive()
