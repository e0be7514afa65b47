"""The report of a pool, from its bookkeeping. Read under the pool's lock."""

from __future__ import annotations

from collections.abc import Iterable

from rud._report import LeftUpload, Report
from rud._scheduler import Scheduler
from rud._settling import Settling
from rud._transfer import Order, Transfer, UploadState


def counts(scheduler: Scheduler, settling: Settling, folder: str) -> Report:
    """How many uploads are in which state; costs the same however much waits."""
    ended = {state: sum(scheduler.ended[order, state] for order in Order) for state in UploadState}
    unread = len(settling.unread)
    return Report(
        stored=ended[UploadState.STORED],
        superseded=ended[UploadState.SUPERSEDED],
        failed=ended[UploadState.FAILED] - unread,
        cancelled=ended[UploadState.CANCELLED],
        spooled=len(scheduler) + unread,
        folder=folder,
        verified_at_accept=settling.verified_at_accept,
        verified_while_sending=settling.verified_while_sending,
    )


def left(scheduler: Scheduler, settling: Settling, cancelled: Iterable[Transfer]) -> tuple[LeftUpload, ...]:
    """Everything that is not stored, by name; what was superseded is not: what stands for it is."""
    named: dict[str, Iterable[Transfer]] = {
        "spooled": [*scheduler, *settling.unread],
        "failed": settling.failed,
        "cancelled": cancelled,
        "stored, not recorded": [one for one in settling.unrecorded if one.state is UploadState.STORED],
    }
    return tuple(
        LeftUpload(transfer.entry.id, transfer.entry.key, state, str(transfer.error or ""))
        for state, transfers in named.items()
        for transfer in transfers
    )
