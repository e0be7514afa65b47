"""When to try again, and whose fault it is: pure, so every case is a few lines."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud._retry import MAX_RETRY_AFTER, Blame, Destination, RetryBudget, RetryPolicy
from rud.errors import (
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    ObjectStoreTransientError,
    ThrottledError,
)

POLICY = RetryPolicy()
NO_ANSWER = ObjectStoreTransientError.during("put", "k", "503")


def destination(*, answered: bool = True) -> Destination:
    return Destination(outage_timeout=100.0, policy=POLICY, answered=answered)


@given(st.integers(1, 200), st.integers())
def test_jitter_stays_between_nothing_and_the_doubled_base(attempt: int, seed: int) -> None:
    """Full jitter: from 0 to base × 2^(attempt-1), at most the cap (I17)."""
    delay = POLICY.delay(attempt, NO_ANSWER, random.Random(seed))

    assert 0.0 <= delay <= min(POLICY.cap, POLICY.base * 2.0 ** min(attempt - 1, 60))


@given(st.integers(1, 20), st.integers())
def test_throttling_has_a_floor(attempt: int, seed: int) -> None:
    """Jitter alone could spend all attempts within a moment (I17)."""
    assert POLICY.delay(attempt, ThrottledError("slow down"), random.Random(seed)) >= POLICY.floor


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (0.0, 0.0), (3600.0, MAX_RETRY_AFTER)])
def test_retry_after_is_honoured_up_to_a_limit(asked: float, waited: float) -> None:
    """What the service asks for is waited, an absurd time is not."""
    error = ObjectStoreTransientError("503", retry_after=asked)

    assert RetryPolicy(base=0.0).delay(1, error, random.Random(0)) == waited


@given(st.lists(st.floats(0.0, 1.0), min_size=200, max_size=200))
def test_the_budget_bounds_the_share_of_retries(gaps: list[float]) -> None:
    """In a storm in which everything fails, retries come to a small share of the first attempts, plus what time
    earns, however often they ask (I17)."""
    budget, now, retries = RetryBudget(), 0.0, 0
    for gap in gaps:
        now += gap
        budget.first_attempt()
        retries += sum(budget.take(now) for _ in range(3))

    assert retries <= budget.capacity + budget.share * len(gaps) + budget.rate * now


@given(st.lists(st.floats(0.0, 30.0), max_size=30))
def test_the_next_token_is_there_when_the_budget_says_so(gaps: list[float]) -> None:
    """Who waits until then gets one: nothing has to ask in between, and nobody waits for ever."""
    budget, now = RetryBudget(), 1e6
    for gap in gaps:
        now += gap
        if not budget.take(now):
            assert now < budget.next_token() <= now + 1.0 / budget.rate
            now = budget.next_token()
            assert budget.take(now)


def test_retries_are_free_while_a_third_of_all_attempts_succeeds() -> None:
    """A store that fails often, but works, is not made slower by the budget."""
    budget, taken = RetryBudget(), list[bool]()
    for _ in range(100):
        taken += [budget.take(0.0), budget.take(0.0)]
        budget.stored()

    assert all(taken)


def test_after_a_storm_the_retries_double_with_every_answer() -> None:
    """What waited is not sent one by one, nor all at once."""
    budget, rounds, flying = RetryBudget(), [], 0
    while budget.take(0.0):
        pass
    flying = 1
    for _ in range(4):
        for _ in range(flying):
            budget.stored()
        flying = 0
        while budget.take(0.0):
            flying += 1
        rounds.append(flying)

    assert rounds == [2, 4, 8, 10]


def test_before_the_first_answer_failures_are_the_keys_own() -> None:
    """A wrong address fails after the documented attempts."""
    assert destination(answered=False).blame(NO_ANSWER, began=0.0, now=1.0) is Blame.KEY


def test_a_failure_beside_an_answer_is_the_keys_own() -> None:
    """Some other request was answered since the attempt began: the destination is there."""
    other = destination()
    other.heard(5.0)

    assert other.blame(NO_ANSWER, began=4.0, now=6.0) is Blame.KEY
    assert other.open


def test_a_failure_without_an_answer_is_judged_by_a_probe() -> None:
    """Nothing else is known, so uploads pause and a probe is due at once."""
    other = destination()
    other.heard(1.0)

    blame = other.blame(NO_ANSWER, began=4.0, now=6.0)

    paused = not other.open
    due = other.probe_due(6.0)
    other.heard(7.0)

    assert blame is Blame.UNDECIDED
    assert (paused, due) == (True, True)
    assert other.open


def test_an_outage_pauses_and_is_probed_with_growing_delays_until_an_answer() -> None:
    """The first answer ends it, whatever it was."""
    other = destination()
    other.blame(NO_ANSWER, began=4.0, now=6.0)
    other.probe_started()
    chance = random.Random(1)
    other.probe_failed(NO_ANSWER, 6.0, chance)

    blame, paused, again = other.blame(NO_ANSWER, began=4.0, now=7.0), not other.open, other.next_time()
    other.heard(50.0)

    assert (blame, paused) == (Blame.DESTINATION, True)
    assert again is not None
    assert other.open
    assert other.error is None


def test_the_pauses_between_probes_grow_to_the_cap() -> None:
    """An outage of hours is asked about twice a minute."""

    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    other = Destination(outage_timeout=900.0, policy=POLICY, answered=True)
    pauses, now = [], 0.0
    for _ in range(8):
        other.probe_failed(NO_ANSWER, now, Longest())
        due = other.next_time()
        assert due is not None
        pauses.append(due - now)
        now = due

    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_trouble_comes_after_the_outage_timeout_and_goes_with_the_first_answer() -> None:
    """The waits raise then; training can go on without a restart."""
    other = destination()
    other.blame(NO_ANSWER, began=4.0, now=6.0)
    other.probe_started()
    other.probe_failed(NO_ANSWER, 6.0, random.Random(1))

    assert not other.tick(105.0)
    assert other.tick(106.0)
    assert other.trouble is NO_ANSWER
    assert not other.tick(107.0)
    other.heard(108.0)
    assert other.trouble is None


def test_expired_credentials_open_the_store_anew_and_spend_nothing() -> None:
    """The keys cannot help it."""
    other = destination()
    other.heard(5.0)

    assert other.blame(CredentialsExpiredError("expired"), began=4.0, now=6.0) is Blame.DESTINATION
    assert other.probe_due(6.0)
    reopen = [other.reopen]
    other.heard(7.0)
    reopen.append(other.reopen)
    other.probe_failed(CredentialsExpiredError("expired"), 8.0, random.Random(1))
    other.probe_failed(NO_ANSWER, 9.0, random.Random(1))
    reopen.append(other.reopen)

    assert reopen == [True, False, True]


def test_a_missing_bucket_is_trouble_at_once() -> None:
    """Nobody waits a quarter of an hour for a typing error."""
    other = destination()
    error = BucketNotFoundError("no such bucket")
    other.refuse(error, 1.0)

    assert other.trouble is error
    assert not other.open
    assert other.next_time() == 1.0 + POLICY.cap


def test_a_wrong_clock_is_an_outage_for_whom_was_answered_before() -> None:
    """What has worked was not set up wrongly: it is waited for, up to the limit."""
    other = destination()
    other.heard(0.0)
    other.refuse(ConfigurationError("the clock"), 1.0)

    assert other.trouble is None
    assert not other.open


def test_a_probe_whose_worker_died_is_due_again() -> None:
    """Nothing was learnt."""
    other = destination()
    other.blame(NO_ANSWER, began=4.0, now=6.0)
    other.probe_started()

    assert not other.probe_due(6.0)
    other.probe_lost(7.0)
    assert other.probe_due(7.0)


def test_the_answer_to_an_upload_is_none_to_an_inquiry() -> None:
    """That some upload was refused, or stored, does not say whether the probe is: it still has to say so itself."""
    other = destination()
    other.ask(1.0)
    other.heard(2.0)
    due = other.probe_due(2.0)
    other.probe_started()
    other.heard(3.0)

    assert (due, other.inquiry.over, other.probe_due(3.0)) == (True, False, False)
    other.inquiry.answered(NO_ANSWER)
    other.heard(4.0)
    other.inquiry.answered(None)
    assert (other.inquiry.over, other.inquiry.error, other.open) == (True, NO_ANSWER, True)


def test_who_asks_waits_for_no_pause() -> None:
    """A store that could not be opened is tried again after half a minute, but at once for somebody who waits."""
    other = destination(answered=False)
    other.refuse(ConfigurationError("the clock"), 1.0)
    other.ask(2.0)

    assert other.probe_due(2.0)


def test_an_inquiry_bears_as_many_failures_as_an_upload_has_attempts() -> None:
    """What may pass is tried that often, and the last failure is the answer."""
    other = destination(answered=False)
    other.ask(0.0)
    for _ in range(POLICY.attempts):
        assert not other.inquiry.over
        other.probe_failed(NO_ANSWER, 1.0, random.Random(1))

    assert (other.inquiry.over, other.inquiry.error) == (True, NO_ANSWER)
    other.ask(2.0)
    assert (other.inquiry.over, other.inquiry.error) == (False, None)
    other.refuse(BucketNotFoundError("no such bucket"), 3.0)
    assert isinstance(other.inquiry.error, BucketNotFoundError)
    other.inquiry.failed(NO_ANSWER)
    assert isinstance(other.inquiry.error, BucketNotFoundError)
