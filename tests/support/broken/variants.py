"""The variants. Each takes ``put(target, name, value)``, which is ``monkeypatch.setattr``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from rud import _attempt
from rud._spool import ending, files, owner, records, replay
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.log import Log
from rud._spool.records import Kind, Record
from rud._supervisor import Supervisor

Patches = Callable[[Any, str, Any], None]
Variant = Callable[[Patches], None]


def payload_unlinked_first(put: Patches) -> None:
    """The payload is removed before the outcome is recorded."""
    real = ending.settle

    def settle(entry: SpoolEntry, outcome: Outcome, facts: Mapping[str, object] | None = None) -> bool:
        if entry.large:
            files.gone(entry.path)
        return real(entry, outcome, facts)

    put(ending, "settle", settle)


def no_sync(put: Patches) -> None:
    """``fsync=True`` syncs no log."""
    put(Log, "sync", lambda self, position: None)


def torn_tail_believed(put: Patches) -> None:
    """A record counts as soon as its fixed part is there."""

    def decode(data: bytes, at: int, size: int, nonce: int) -> Record | None:
        if at + records.HEADER_AT > size or data[at : at + 4] != b"RUD\xa7":
            return None
        _, kind, length, payload, crc, _, _ = records._RECORD.unpack_from(data, at)
        start = at + records.HEADER_AT
        header = records._decode(data[start : start + length].decode())[0]
        return Record(kind, header, start + length, payload, crc, records._end(at, length, payload))

    put(records, "_decode_record", decode)


def result_ignored_after_death(put: Patches) -> None:
    """What a worker has said before it died is not listened to."""
    real = Supervisor._take_messages

    def take(self: Supervisor) -> bool:
        for slot in self.slots:
            if slot.link is not None and slot.link.ended:
                slot.link.receive()
        return real(self)

    put(Supervisor, "_take_messages", take)


def adopted_without_the_lock(put: Patches) -> None:
    """An owner folder is taken over whoever holds its lock."""
    put(owner, "_take_lock", lambda path: owner._open_lock(path, os.O_CREAT))
    put(owner, "is_alive", owner.owned_here)


def newest_wins_forgotten(put: Patches) -> None:
    """What an earlier run has left is sent over what a later one has stored."""
    real = _attempt._look

    def look(backend: Any, job: _attempt.Job) -> _attempt.Verdict | None:
        verdict = real(backend, job)
        return None if verdict is not None and verdict.outcome == "superseded" else verdict

    put(_attempt, "_look", look)
    put(replay, "_find_overtaken", lambda state: None)


def retired_out_of_order(put: Patches) -> None:
    """Any segment is removed in which every entry has ended."""

    def spent(self: Log) -> list[int]:
        with self.lock:
            last = self.committed[0].number
            numbers = [number for number in self.live if number < last and not self.live[number]]
            if numbers:
                self.append(Kind.RETIRED, {"through": numbers[-1]})
            return numbers

    put(Log, "_spent", spent)


VARIANTS = (
    payload_unlinked_first,
    no_sync,
    torn_tail_believed,
    result_ignored_after_death,
    adopted_without_the_lock,
    newest_wins_forgotten,
    retired_out_of_order,
)
