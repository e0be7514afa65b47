"""The scheduler alone: a Hypothesis machine against a naive model, and the cases that were thought of one by one."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rud._scheduler import Effects, Scheduler
from rud._transfer import Order, Transfer, UploadState
from rud.errors import DependencyFailedError
from tests.support.entries import entry

WAITING = (UploadState.HELD, UploadState.QUEUED, UploadState.RETRYING)
KEYS = st.sampled_from(["a", "b", "c"])


class SchedulerMachine(RuleBasedStateMachine):
    """Accepts, attempts and endings in any order; after each step the rules of the scheduler hold over all
    transfers."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler()
        self.all: list[Transfer] = []
        self.after: dict[int, list[Transfer]] = {}
        self.flying: list[Transfer] = []
        self.stored: dict[str, int] = {}
        self.told: list[Transfer] = []
        self.now = 0.0

    def take(self, effects: Effects) -> None:
        self.told += effects.ended

    @rule(key=KEYS, data=st.data(), create=st.booleans(), order=st.sampled_from(Order))
    def submit(self, *, key: str, data: st.DataObject, create: bool, order: Order) -> None:
        if create and self.scheduler.pending(key):
            return
        after = data.draw(st.lists(st.sampled_from(self.all), max_size=2)) if self.all else []
        transfer = Transfer(entry(len(self.all) + 1, key, overwrite=not create), order)
        self.all.append(transfer)
        self.after[transfer.entry.id] = after
        self.take(self.scheduler.submit(transfer, after))

    @rule()
    def start(self) -> None:
        transfer = self.scheduler.start(self.now)
        if transfer is None:
            return
        key = transfer.entry.key
        assert not [other for other in self.flying if other.entry.key == key], "two in flight for a key (I6)"
        for dependency in self.after[transfer.entry.id]:
            assert dependency.final.state in (UploadState.STORED, UploadState.SUPERSEDED), (
                "sent before what it waits for (I8)"
            )
        assert transfer.entry.id > self.stored.get(key, 0), "older bytes after newer ones (I5)"
        older = [t for t in self.all if t.entry.key == key and t.entry.id < transfer.entry.id and not t.ended]
        assert not older, "an older one of the key was passed over"
        if transfer.order is Order.SUSPECT:
            assert not self.flying, "a suspect is tried alone"
        self.flying.append(transfer)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), how=st.sampled_from(["stored", "overtaken", "failed", "postpone", "lost"]))
    def end_attempt(self, data: st.DataObject, how: str) -> None:
        transfer = data.draw(st.sampled_from(self.flying))
        self.flying.remove(transfer)
        if how == "stored":
            self.stored[transfer.entry.key] = transfer.entry.id
            self.take(self.scheduler.stored(transfer))
        elif how == "overtaken":
            self.take(self.scheduler.overtaken(transfer))
        elif how == "failed":
            self.take(self.scheduler.failed(transfer, RuntimeError("no")))
        elif how == "postpone":
            self.take(self.scheduler.postpone(transfer, self.now + data.draw(st.floats(0, 10))))
        else:
            self.take(self.scheduler.lost(transfer))

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        transfer = data.draw(st.sampled_from(self.all))
        waits = transfer.state in WAITING
        effects = self.scheduler.cancel(transfer)
        assert waits == (effects is not None)
        if effects is not None:
            self.take(effects)

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def conserved(self) -> None:
        """Each accepted upload is live or has ended, never both; each end was told exactly once (I1, I3)."""
        live = {transfer.entry.id for transfer in self.scheduler}
        ended = {transfer.entry.id for transfer in self.all if transfer.ended}
        assert live.isdisjoint(ended)
        assert live | ended == {transfer.entry.id for transfer in self.all}
        assert sorted(ended) == sorted(transfer.entry.id for transfer in self.told)
        assert self.scheduler.uploading == len(self.flying)

    @invariant()
    def creates_are_never_superseded(self) -> None:
        for transfer in self.all:
            if not transfer.entry.overwrite and transfer.successor is not None:
                raise AssertionError(f"create {transfer.entry.id} was superseded")

    def teardown(self) -> None:
        """Once nothing fails any more, everything comes to an end (I21)."""
        for transfer in list(self.flying):
            self.take(self.scheduler.stored(transfer))
        for _ in range(10 * len(self.all) + 10):
            self.now += 1_000.0
            started = self.scheduler.start(self.now)
            if started is not None:
                self.take(self.scheduler.stored(started))
        assert [transfer for transfer in self.all if not transfer.ended] == []


TestSchedulerMachine = SchedulerMachine.TestCase


def submitted(
    scheduler: Scheduler, number: int, key: str = "k", *, after: list[Transfer] | None = None, create: bool = False
) -> Transfer:
    transfer = Transfer(entry(number, key, overwrite=not create))
    scheduler.submit(transfer, after or [])
    return transfer


def test_the_newest_waiting_upload_of_a_key_wins() -> None:
    """Of three overwriting uploads that wait, the last is sent and stands for the others."""
    scheduler = Scheduler()
    first, second, third = (submitted(scheduler, i) for i in (1, 2, 3))

    started = scheduler.start(0.0)

    assert third is started
    assert [first.state, second.state] == [UploadState.SUPERSEDED] * 2
    assert third is first.final


def test_one_that_cannot_start_does_not_supersede() -> None:
    """A "latest" that waits for its shards must not keep an earlier "latest" from being written."""
    scheduler = Scheduler()
    shard = submitted(scheduler, 1, "shard")
    older = submitted(scheduler, 2, "latest")
    newer = submitted(scheduler, 3, "latest", after=[shard])

    assert shard is scheduler.start(0.0)
    assert older is scheduler.start(0.0)
    scheduler.stored(older)
    scheduler.stored(shard)

    assert newer is scheduler.start(0.0)


def test_a_failed_dependency_fails_its_dependents_each_with_its_own_error() -> None:
    """What comes after a failed upload is not sent, and says which one it was waiting for."""
    scheduler = Scheduler()
    shard = submitted(scheduler, 1, "shard")
    pointer = submitted(scheduler, 2, "latest", after=[shard])
    beyond = submitted(scheduler, 3, "beyond", after=[pointer])
    scheduler.start(0.0)

    effects = scheduler.failed(shard, RuntimeError("no"))

    assert {1, 2, 3} == {transfer.entry.id for transfer in effects.ended}
    assert isinstance(pointer.error, DependencyFailedError)
    assert isinstance(beyond.error, DependencyFailedError)
    assert "'shard'" in str(pointer.error)


def test_a_superseded_dependency_passes_to_its_successor() -> None:
    """Waiting for an upload that was replaced means waiting for what replaced it (I8)."""
    scheduler = Scheduler()
    first = submitted(scheduler, 1, "shard")
    pointer = submitted(scheduler, 2, "latest", after=[first])
    second = submitted(scheduler, 3, "shard")

    assert second is scheduler.start(0.0)
    assert scheduler.start(0.0) is None
    scheduler.stored(second)

    assert pointer is scheduler.start(0.0)


def test_a_key_is_quiet_after_an_attempt_that_may_still_arrive() -> None:
    """Other bytes of the key wait; the same upload may be tried again at once (I5)."""
    scheduler = Scheduler()
    first = submitted(scheduler, 1)
    scheduler.start(0.0)
    second = submitted(scheduler, 2)
    scheduler.quiet(first, 10.0)
    scheduler.lost(first)

    assert first.state is UploadState.SUPERSEDED
    assert scheduler.start(5.0) is None
    assert scheduler.next_due() == 10.0
    assert second is scheduler.start(10.0)


def test_the_upload_that_was_lost_may_start_in_its_own_quiet_time() -> None:
    """The same bytes cannot overtake themselves; other bytes wait on when those are stored: what was sent first may
    still arrive (I5)."""
    scheduler = Scheduler()
    transfer = submitted(scheduler, 1)
    scheduler.start(0.0)
    scheduler.quiet(transfer, 10.0)
    scheduler.lost(transfer)

    assert transfer is scheduler.start(0.0)
    scheduler.stored(transfer)
    other = submitted(scheduler, 2)
    assert scheduler.start(9.0) is None
    assert scheduler.next_due() == 10.0
    assert other is scheduler.start(10.0)


def test_a_frozen_key_starts_nothing_until_it_is_thawed() -> None:
    """No newer upload starts while the outcome of the one before it is not recorded."""
    scheduler = Scheduler()
    first = submitted(scheduler, 1)
    scheduler.start(0.0)
    second = submitted(scheduler, 2)
    scheduler.stored(first)
    scheduler.freeze("k")

    assert scheduler.start(0.0) is None
    scheduler.thaw("k")
    assert second is scheduler.start(0.0)


def test_a_retried_key_goes_behind_those_that_wait() -> None:
    """A failure does not hold up the other keys."""
    scheduler = Scheduler()
    first = submitted(scheduler, 1, "a")
    scheduler.start(0.0)
    submitted(scheduler, 2, "b")
    scheduler.postpone(first, 0.0)

    assert [t.entry.key for t in (scheduler.start(0.0), scheduler.start(0.0)) if t is not None] == ["b", "a"]


@pytest.mark.parametrize("count", [1_000])
def test_hundreds_of_dependents_are_released_one_by_one(count: int) -> None:
    """Wide fans of ``after`` cost no recursion."""
    scheduler = Scheduler()
    root = submitted(scheduler, 1, "root")
    fan = [submitted(scheduler, i + 2, f"k{i}", after=[root]) for i in range(count)]
    scheduler.start(0.0)
    scheduler.stored(root)

    assert {UploadState.QUEUED} == {transfer.state for transfer in fan}
