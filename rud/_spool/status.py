"""What lies in a staging folder, for people to look at: nothing is taken, locked or changed by looking."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rud._clock import SystemClock
from rud._spool import ending, failed, files, home, owner
from rud._spool.adoption import Adopter, is_empty
from rud._spool.entry import Ids, Outcome, SpoolEntry
from rud._spool.owner import NotTakenError, Owner
from rud._spool.replay import UNREADABLE, State, read_log
from rud.errors import SpoolError


@dataclass(frozen=True, slots=True)
class FailedUpload:
    """One folder in ``failed/``. ``id`` is 0 and ``key`` empty where the record was lost."""

    folder: str
    id: int
    key: str
    reason: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WaitingUpload:
    """An upload that waits for its next attempt, which comes no earlier than ``due`` (nanoseconds since the epoch).
    ``reason`` has ``class`` and ``text`` of the last of its ``tries``."""

    id: int
    key: str
    tries: int
    due: int
    reason: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OwnerStatus:
    """One owner folder. ``spooled`` uploads of ``spooled_bytes`` in all have no outcome; ``in_flight`` of them were
    given to a worker that has not answered; ``waiting`` have failed and are tried again; the ``oldest`` was accepted at
    that time (nanoseconds since the epoch, 0: there is none). ``damage`` is one line each.
    """

    folder: str
    host: str
    pid: int
    alive: bool
    rank: int
    created: int
    destination: Mapping[str, str]
    spooled: int
    spooled_bytes: int
    in_flight: int
    oldest: int
    waiting: tuple[WaitingUpload, ...]
    failed: tuple[FailedUpload, ...]
    damage: tuple[str, ...]


def scan(staging_folder: str | None = None) -> list[OwnerStatus]:
    """Every owner folder of a staging folder (by default the one that an uploader would use), the oldest first."""
    root = home.spool_root(home.staging_folder(staging_folder))
    folders = [os.path.join(root, name) for name in files.names_in(root) if not name.startswith(".")]
    return [_status(folder) for folder in folders if os.path.isdir(folder)]


def _status(folder: str) -> OwnerStatus:
    damage: list[str] = []
    facts: Mapping[str, Any] = {}
    state = State()
    try:
        facts = owner.read_facts(folder)
        state = read_log(Owner(folder))
    except (NotTakenError, *UNREADABLE) as error:
        damage = [f"{folder} cannot be read ({type(error).__name__}: {error})"]
    return OwnerStatus(
        folder=folder,
        host=str(facts.get("host", "")),
        pid=int(facts.get("pid", 0)),
        alive=owner.is_alive(folder),
        rank=int(facts.get("rank", 0)),
        created=int(facts.get("created", 0)),
        destination=facts.get("destination", {}),
        spooled=len(state.pending),
        spooled_bytes=sum(entry.size for entry in state.pending.values()),
        in_flight=sum(entry.in_flight and entry.postponed is None for entry in state.pending.values()),
        oldest=min(state.pending, default=0),
        waiting=tuple(_waiting_upload(entry) for entry in state.pending.values() if entry.postponed is not None),
        failed=tuple(
            _failed_upload(os.path.join(folder, "failed", name)) for name in failed.kept(folder) if name[0] != "."
        ),
        damage=(*damage, *state.damage),
    )


def _waiting_upload(entry: SpoolEntry) -> WaitingUpload:
    said = entry.postponed or {}
    reason = {"class": said["class"], "text": said["text"]}
    return WaitingUpload(entry.id, entry.key, said["tries"], said["due"], reason)


def _failed_upload(folder: str) -> FailedUpload:
    facts, reason = _read(os.path.join(folder, "entry.json")), _read(os.path.join(folder, "reason.json"))
    return FailedUpload(folder, int(facts.get("id", 0)), str(facts.get("key", "")), reason)


def _read(path: str) -> dict[str, Any]:
    try:
        return files.read_json(path)
    except (OSError, ValueError):
        return {}


def discard(owner_folder: str, ids: Collection[int] | None) -> int:
    """Give up uploads for good: those of ``ids``, spooled or failed, or with ``None`` the whole folder. How many
    they were.

    ``SpoolError`` when the folder is in use: a running uploader's spool is not touched.
    """
    folder = os.path.abspath(owner_folder)
    try:
        taken = Owner(folder).be_taken()
    except NotTakenError as error:
        raise SpoolError(f"{folder} was left as it is: {error}") from error
    try:
        found = Adopter(Ids(SystemClock()), segment_bytes=1 << 20, fsync=False).recover(taken)
        given_up = [entry for entry in found.entries if ids is None or entry.id in ids]
        for entry in given_up:
            ending.settle(entry, Outcome.CANCELLED)
        failures = [name for name in failed.kept(folder) if ids is None or failed.id_of(name) in ids]
        for name in failures:
            files.remove_tree(os.path.join(folder, "failed", name))
        if ids is None or is_empty(taken):
            taken.end()
    finally:
        taken.abandon()
    return len(given_up) + len(failures)
