"""Who may start now. Pure bookkeeping: no threads, no clock of its own, no files, no store.

- One attempt in flight a key; a key's uploads in the order of their accepts.
- The newest overwriting upload of a key that could start itself supersedes those before it that wait. A create is never
  superseded, and nothing but an overwriting upload may stand behind another of its key.
- ``after`` holds an upload back until those it names are stored. A superseded one passes its dependents to its
  successor;
  a failed or cancelled one fails them.
- A retry that was charged to its upload waits for a token of the budget, the first that was due first.
- In a hurry the newest accepted goes first, and before it what it comes after, and no retry waits for a token.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rud._retry import RetryBudget
from rud._transfer import TERMINAL, Event, Order, Transfer, UploadState
from rud.errors import DependencyFailedError


@dataclass(slots=True)
class Effects:
    """What a decision has ended, for the caller to record and announce, in order."""

    ended: list[Transfer] = field(default_factory=list)


_STARTABLE = (UploadState.QUEUED, UploadState.RETRYING)
_WAITING = (UploadState.HELD, *_STARTABLE)


class Scheduler:
    """The queues. Not thread-safe: its owner holds one lock around every call."""

    def __init__(self) -> None:
        self._live: dict[int, Transfer] = {}
        self._keys: dict[str, list[Transfer]] = {}
        self._ready: list[tuple[Order, int, int, Transfer]] = []
        self._due: list[tuple[float, int, Transfer]] = []
        self._rationed: deque[Transfer] = deque()
        self._budget = RetryBudget()
        self._quiet: dict[str, tuple[float, int]] = {}
        self._frozen: set[str] = set()
        self._turn = itertools.count()
        self._hurried = False
        self._urgency: dict[int, int] = {}
        self.held = False
        """Nothing starts any more."""
        self.uploading = 0
        self.ended: Counter[tuple[Order, UploadState]] = Counter()

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, entry_id: int) -> bool:
        return entry_id in self._live

    def __iter__(self) -> Iterator[Transfer]:
        return iter(self._live.values())

    def pending(self, key: str) -> bool:
        """Whether an upload of ``key`` has not ended yet."""
        return key in self._keys

    def submit(self, transfer: Transfer, after: Iterable[Transfer] = ()) -> Effects:
        """Take an accepted upload; what it supersedes, or its own failure when a dependency has failed already."""
        effects = Effects()
        self._live[transfer.entry.id] = transfer
        self._keys.setdefault(transfer.entry.key, []).append(transfer)
        for dependency in (named.final for named in after):
            if dependency.state in (UploadState.FAILED, UploadState.CANCELLED):
                self._fail(transfer, _dependency_failed(transfer, dependency), effects)
                return effects
            if not dependency.ended:
                transfer.waits_for += 1
                _hold_back(transfer, dependency)
        transfer.waits_for += transfer.unsynced
        if transfer.waits_for == 0:
            self._release(transfer, effects)
        elif self._hurried:
            self.hurry()
        return effects

    def synced(self, entry_id: int) -> Effects:
        """The record of an upload that was ``unsynced`` is on the disk; more than once changes nothing."""
        effects = Effects()
        transfer = self._live.get(entry_id)
        if transfer is not None and transfer.unsynced:
            transfer.unsynced = False
            transfer.waits_for -= 1
            if transfer.waits_for == 0:
                self._release(transfer, effects)
        return effects

    def hurry(self) -> None:
        """From now on the newest accepted goes first, and before it what it comes after."""
        self._hurried = True
        self._urgency.clear()
        # What an upload comes after was accepted before it, so its own urgency is known by then.
        for one in sorted(self._live, reverse=True):
            dependents = [dependent.entry.id for dependent in self._live[one].dependents or ()]
            self._urgency[one] = max([one, *(self._urgency.get(dependent, dependent) for dependent in dependents)])
        self._ready = [
            (queue[0].order, -self._urgency[queue[0].entry.id], next(self._turn), queue[0])
            for queue in self._keys.values()
            if queue[0].state is UploadState.QUEUED
        ]
        heapq.heapify(self._ready)

    def forget(self, entry_id: int) -> Transfer | None:
        """Undo a ``submit`` of that id that was broken off; its transfer, if a worker holds that by now."""
        transfer = self._live.get(entry_id)
        if transfer is None or transfer.state not in _WAITING:
            return transfer
        transfer.apply(Event.WITHDRAWN)
        del self._live[entry_id]
        if transfer in self._keys.get(transfer.entry.key, ()):
            self._leave_queue(transfer)
        return None

    def start(self, now: float) -> Transfer | None:
        """The next upload to hand to a worker, now marked as uploading; ``None`` when none may start."""
        if self.held:
            return None
        self._wake_due(now)
        while self._ready:
            order, _, _, transfer = self._ready[0]
            if order is Order.SUSPECT and self.uploading:
                return None
            heapq.heappop(self._ready)
            if not self._may_start(transfer, now):
                continue
            transfer.apply(Event.STARTED)
            if transfer.tries == 0:
                self._budget.first_attempt()
            transfer.tries += 1
            self.uploading += 1
            return transfer
        return None

    def next_due(self) -> float | None:
        """When a waiting upload may start next, as far as time decides it."""
        if self.held:
            return None
        times = [self._due[0][0]] if self._due else []
        if self._rationed:
            times.append(self._budget.next_token())
        return min(times, default=None)

    def stored(self, transfer: Transfer) -> Effects:
        """The store has it."""
        self._budget.stored()
        return self._end_of_attempt(transfer, Event.SUCCEEDED)

    def freeze(self, key: str) -> None:
        """An outcome of ``key`` could not be recorded: no other upload of it starts before ``thaw``."""
        self._frozen.add(key)

    def thaw(self, key: str) -> None:
        """The missing outcome of ``key`` is recorded after all."""
        self._frozen.discard(key)
        self._push_head(key)

    def overtaken(self, transfer: Transfer) -> Effects:
        """The store holds a later upload of ours."""
        return self._end_of_attempt(transfer, Event.REPLACED)

    def failed(self, transfer: Transfer, error: Exception) -> Effects:
        """It failed for good, during an attempt or while it waited for the next."""
        effects = Effects()
        if transfer.state is UploadState.UPLOADING:
            self.uploading -= 1
        self._fail(transfer, error, effects)
        return effects

    def postpone(self, transfer: Transfer, until: float) -> Effects:
        """Another attempt no earlier than ``until``, behind the keys that wait by then; later, when ``attempts`` says
        that it is a retry and the budget has none left."""
        effects = Effects()
        self.uploading -= 1
        transfer.apply(Event.POSTPONED)
        heapq.heappush(self._due, (until, next(self._turn), transfer))
        self._supersede(transfer.entry.key, effects)
        return effects

    def lost(self, transfer: Transfer) -> Effects:
        """Its worker died: back to the head of its key's queue."""
        effects = Effects()
        self.uploading -= 1
        transfer.apply(Event.LOST)
        self._supersede(transfer.entry.key, effects)
        if not transfer.ended:
            self._push_head(transfer.entry.key)
        return effects

    def quiet(self, transfer: Transfer, until: float) -> None:
        """No other bytes for its key before ``until``: what a killed sender has sent may still arrive, also when the
        same upload, sent again, is stored by then."""
        self._quiet[transfer.entry.key] = (until, transfer.entry.id)

    def cancel(self, transfer: Transfer) -> Effects | None:
        """Withdraw an upload that is not in flight; ``None`` when it is, or has ended."""
        if transfer.state not in _WAITING:
            return None
        effects = Effects()
        self._end(transfer, Event.WITHDRAWN, effects)
        return effects

    def _wake_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            transfer = heapq.heappop(self._due)[2]
            if transfer.attempts and transfer.state is UploadState.RETRYING:
                self._rationed.append(transfer)
            else:
                self._wake(transfer)
        while self._rationed:
            waits = self._rationed[0].state is UploadState.RETRYING
            if waits and not self._hurried and not self._budget.take(now):
                return
            self._wake(self._rationed.popleft())

    def _wake(self, transfer: Transfer) -> None:
        if transfer.state is UploadState.RETRYING:
            transfer.apply(Event.DUE)
        self._push_head(transfer.entry.key)

    def _push_head(self, key: str) -> None:
        """Offer the head of a key's queue for its turn; a stale offer is dropped when it comes up."""
        queue = self._keys.get(key)
        if queue and queue[0].state is UploadState.QUEUED:
            one = queue[0].entry.id
            rank = -self._urgency.get(one, one) if self._hurried else 0
            heapq.heappush(self._ready, (queue[0].order, rank, next(self._turn), queue[0]))

    def _may_start(self, transfer: Transfer, now: float) -> bool:
        key = transfer.entry.key
        queue = self._keys.get(key)
        if not queue or queue[0] is not transfer or transfer.state is not UploadState.QUEUED or key in self._frozen:
            return False
        until, allowed = self._quiet.get(key, (now, transfer.entry.id))
        if until > now and allowed != transfer.entry.id:
            heapq.heappush(self._due, (until, next(self._turn), transfer))
            return False
        if until <= now:
            self._quiet.pop(key, None)
        return True

    def _release(self, transfer: Transfer, effects: Effects) -> None:
        transfer.apply(Event.RELEASED)
        self._supersede(transfer.entry.key, effects)
        if not transfer.ended and self._keys[transfer.entry.key][0] is transfer:
            self._push_head(transfer.entry.key)

    def _supersede(self, key: str, effects: Effects) -> None:
        """The newest upload of ``key`` that could start now replaces those before it that only wait."""
        queue = self._keys[key]
        if len(queue) == 1:
            return
        newest = next((i for i in range(len(queue) - 1, 0, -1) if queue[i].state in _STARTABLE), 0)
        successor = queue[newest]
        for older in queue[:newest]:
            if older.entry.overwrite and older.state in _WAITING:
                older.successor = successor
                self._end(older, Event.REPLACED, effects)

    def _end_of_attempt(self, transfer: Transfer, event: Event) -> Effects:
        effects = Effects()
        self.uploading -= 1
        self._end(transfer, event, effects)
        return effects

    def _end(self, transfer: Transfer, event: Event, effects: Effects) -> None:
        transfer.apply(event)
        assert transfer.state in TERMINAL
        self.ended[transfer.order, transfer.state] += 1
        effects.ended.append(transfer)
        del self._live[transfer.entry.id]
        self._leave_queue(transfer)
        dependents, transfer.dependents = transfer.dependents or [], None
        final = transfer.final
        for dependent in dependents:
            if final is not transfer and not final.ended:
                _hold_back(dependent, final)
            elif dependent.ended:
                continue
            elif final.state in (UploadState.STORED, UploadState.SUPERSEDED):
                dependent.waits_for -= 1
                if dependent.waits_for == 0:
                    self._release(dependent, effects)
            else:
                self._fail(dependent, _dependency_failed(dependent, final), effects)

    def _fail(self, transfer: Transfer, error: Exception, effects: Effects) -> None:
        transfer.error = error
        self._end(transfer, Event.GAVE_UP, effects)

    def _leave_queue(self, transfer: Transfer) -> None:
        key = transfer.entry.key
        queue = self._keys[key]
        was_head = queue[0] is transfer
        queue.remove(transfer)
        if not queue:
            del self._keys[key]
        elif was_head:
            self._push_head(key)


def _hold_back(transfer: Transfer, dependency: Transfer) -> None:
    if dependency.dependents is None:
        dependency.dependents = []
    dependency.dependents.append(transfer)


def _dependency_failed(transfer: Transfer, dependency: Transfer) -> DependencyFailedError:
    return DependencyFailedError(
        f"upload of {transfer.entry.key!r} was not sent: it comes after {dependency.entry.key!r}, "
        f"which was {dependency.state.value}",
        key=transfer.entry.key,
    )
