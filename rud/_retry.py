"""When to try again, and whose fault a failure is. Pure: time and chance come in as arguments.

A whole upload is retried here and nowhere else; an SDK below retries single requests, few times. The product of the
two is the most that a service can see of one upload.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass, field

from rud.errors import ConfigurationError, CredentialsExpiredError, ObjectStoreTransientError, ThrottledError

MAX_RETRY_AFTER = 120.0
"""Seconds: the longest ``Retry-After`` that is honoured to the letter. Services have been seen to send 3,600."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full jitter: a delay is drawn evenly from 0 to ``base`` × 2^(attempt-1), at most ``cap`` (AWS Architecture Blog,
    "Exponential Backoff And Jitter"). Only ``ObjectStoreTransientError`` is retried: every other class says that the
    same request would fail again.

    ``attempts``: all of them, the first included. ``base``, ``cap``, ``floor``: seconds. ``floor`` lies under the
    delays of ``ThrottledError``, since full jitter alone can spend every attempt at once. A ``retry_after`` is a floor
    too.
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 30.0
    floor: float = 1.0

    def delay(self, attempt: int, error: BaseException | None, chance: random.Random) -> float:
        """Seconds to wait after the ``attempt``-th (from 1) failure."""
        ceiling = min(self.cap, self.base * 2.0 ** min(attempt - 1, 60))
        floor = self.floor if isinstance(error, ThrottledError) else 0.0
        asked = error.retry_after if isinstance(error, ObjectStoreTransientError) else None
        return max(chance.uniform(0.0, ceiling), floor, min(asked or 0.0, MAX_RETRY_AFTER))


@dataclass(slots=True)
class RetryBudget:
    """Keeps retries from multiplying the load on a service that is already in trouble.

    A retry takes a token, and waits while there is none. Every first attempt earns ``share`` of one, every second
    ``rate``, every upload that is stored ``reward``. So while nothing is stored, retries are at most ``share`` of the
    first attempts plus ``rate`` a second, after the ``capacity`` saved up is spent; when the service is back, they
    double with every answer; and as long as a third of all attempts succeeds, none waits.
    """

    capacity: float = 10.0
    share: float = 0.05
    rate: float = 0.1
    reward: float = 2.0
    _tokens: float = field(default=10.0, init=False)
    _at: float = field(default=0.0, init=False)

    def first_attempt(self) -> None:
        self._earn(self.share)

    def stored(self) -> None:
        self._earn(self.reward)

    def take(self, now: float) -> bool:
        """Whether a retry may start now; then its token is spent."""
        self._earn((now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True

    def next_token(self) -> float:
        """When time alone will have earned a token."""
        return self._at + (1.0 - self._tokens) / self.rate

    def _earn(self, tokens: float) -> None:
        self._tokens = min(self.capacity, self._tokens + tokens)


class Blame(enum.Enum):
    """Whom a failed attempt is charged to."""

    KEY = "the upload: one attempt is spent"
    UNDECIDED = "a probe decides"
    DESTINATION = "the destination: nothing is spent, it pauses"


@dataclass(slots=True)
class Inquiry:
    """Somebody waits to hear whether the destination can be written to."""

    tries: int = 0
    """Failures that may pass which are still borne; 0: nobody asks."""
    error: Exception | None = None

    @property
    def over(self) -> bool:
        return self.tries == 0

    def begin(self, tries: int) -> None:
        self.tries, self.error = tries, None

    def failed(self, error: Exception) -> None:
        """An error that may pass."""
        if self.tries:
            self.tries -= 1
            self.error = error

    def answered(self, error: Exception | None) -> None:
        if self.tries:
            self.tries, self.error = 0, error


@dataclass(slots=True)
class Destination:
    """What is known of the other side: open, in doubt (a probe is under way or due), or out.

    A transient failure is the key's own when some other request got an answer since the attempt began. Otherwise a
    probe decides: answered, it was the key; not answered, the destination is out, pauses, and is probed with growing
    delays. Until it has answered once, failures are the keys' own, so that a wrong address fails after the documented
    attempts. After ``outage_timeout`` seconds without an answer ``trouble`` is set, which the waits raise; probing
    goes on, and the first answer clears it.
    """

    outage_timeout: float
    policy: RetryPolicy
    answered: bool = False
    trouble: Exception | None = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    """The last failure of an outage."""
    reopen: bool = field(default=False, init=False)
    """The next probe has to open the store anew: the credentials have expired."""
    inquiry: Inquiry = field(default_factory=Inquiry, init=False)
    _last_answer: float = field(default=float("-inf"), init=False)
    _out_since: float | None = field(default=None, init=False)
    _probe_at: float | None = field(default=None, init=False)
    _probing: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)

    @property
    def open(self) -> bool:
        """Uploads may start."""
        return self._probe_at is None

    def ask(self, now: float) -> None:
        """Let a worker find out now whether we may write there; ``inquiry`` has the answer."""
        self.inquiry.begin(self.policy.attempts)
        self._probe_at = now

    def heard(self, now: float) -> None:
        """Any answer that is not transient, of any request. It is none to an inquiry: that is for a probe to give."""
        self.answered = True
        self._last_answer = now
        self.trouble = self.error = self._out_since = None
        self._failures = 0
        if self.inquiry.over:
            self._probe_at = None
            self.reopen = self._probing = False

    def blame(self, error: Exception, began: float, now: float) -> Blame:
        """Who is charged for an attempt that began at ``began`` and has failed for a reason that may pass."""
        if isinstance(error, CredentialsExpiredError):
            self._out(error, now, probe_at=now)
            self.reopen = True
            return Blame.DESTINATION
        if not self.answered or self._last_answer >= began:
            return Blame.KEY
        if self._out_since is not None:
            return Blame.DESTINATION
        if self._probe_at is None:
            self._probe_at = now
        return Blame.UNDECIDED

    def refuse(self, error: Exception, now: float) -> None:
        """The destination itself is missing or cannot be opened: stopped at once, probed all the same.

        One that has answered before has not been set up wrongly: then a wrong clock or certificate is an outage.
        """
        self.inquiry.answered(error)
        self._out(error, now, probe_at=now + self.policy.cap)
        if not (self.answered and isinstance(error, ConfigurationError)):
            self.trouble = error

    def probe_due(self, now: float) -> bool:
        return not self._probing and self._probe_at is not None and self._probe_at <= now

    def probe_started(self) -> None:
        self._probing = True

    def probe_failed(self, error: Exception, now: float, chance: random.Random) -> None:
        self.inquiry.failed(error)
        self.reopen = self.reopen or isinstance(error, CredentialsExpiredError)
        self._failures += 1
        self._out(error, now, probe_at=now + self.policy.delay(self._failures + 1, error, chance))

    def probe_lost(self, now: float) -> None:
        """The worker that probed has died: nothing was learnt."""
        self._probing, self._probe_at = False, now

    def tick(self, now: float) -> bool:
        """Whether the outage has just outlasted its limit; sets ``trouble``."""
        if self._out_since is None or self.trouble is not None or now - self._out_since < self.outage_timeout:
            return False
        self.trouble = self.error
        return True

    def next_time(self) -> float | None:
        """When this has to be looked at again."""
        times = [] if self._probing or self._probe_at is None else [self._probe_at]
        if self._out_since is not None and self.trouble is None:
            times.append(self._out_since + self.outage_timeout)
        return min(times, default=None)

    def _out(self, error: Exception, now: float, *, probe_at: float) -> None:
        self.error = error
        self._probing = False
        self._probe_at = probe_at
        if self._out_since is None:
            self._out_since = now
