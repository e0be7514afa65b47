"""What lies in a staging folder, for people to look at: nothing is taken, locked or changed by looking."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rud._clock import SystemClock
from rud._spool import adoption, failed, files, home, owner
from rud._spool.entry import Outcome
from rud._spool.ids import Ids
from rud._spool.owner import NotTakenError, Owner
from rud._spool.replay import State
from rud._spool.settling import Settling
from rud.errors import SpoolError


@dataclass(frozen=True, slots=True)
class FailedUpload:
    """One folder in ``failed/``. ``id`` is 0 and ``key`` empty where the record was lost."""

    folder: str
    id: int
    key: str
    reason: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OwnerStatus:
    """One owner folder. ``spooled`` uploads of ``spooled_bytes`` in all have no outcome; ``damage`` is one line
    each.
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
        _, state, damage = adoption.read(_unlocked(folder, facts))
    except (NotTakenError, OSError) as error:
        damage.append(f"{folder}: {error}")
    waiting = list(state.pending.values())
    return OwnerStatus(
        folder=folder,
        host=str(facts.get("host", "")),
        pid=int(facts.get("pid", 0)),
        alive=_is_alive(folder),
        rank=int(facts.get("rank", 0)),
        created=int(facts.get("created", 0)),
        destination=facts.get("destination", {}),
        spooled=len(waiting),
        spooled_bytes=sum(entry.size for entry in waiting),
        failed=tuple(
            _failed_upload(os.path.join(folder, "failed", name)) for name in failed.kept(folder) if name[0] != "."
        ),
        damage=tuple(damage),
    )


def _is_alive(folder: str) -> bool:
    try:
        return owner.is_alive(folder)
    except PermissionError:
        return True  # unknown: nobody is to take it for dead


def _unlocked(folder: str, facts: Mapping[str, Any]) -> Owner:
    return Owner(folder, facts, -1, -1)


def _failed_upload(folder: str) -> FailedUpload:
    facts, reason = _read_json(os.path.join(folder, "entry.json")), _read_json(os.path.join(folder, "reason.json"))
    return FailedUpload(folder, int(facts.get("id", 0)), str(facts.get("key", "")), reason)


def _read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def discard(owner_folder: str, ids: Collection[int] | None) -> int:
    """Give up uploads for good: those of ``ids``, spooled or failed, or with ``None`` the whole folder. How many
    they were.

    ``SpoolError`` when the folder is in use: a running uploader's spool is not touched.
    """
    folder = os.path.abspath(owner_folder)
    try:
        taken = owner.take(folder)
    except NotTakenError as error:
        raise SpoolError(f"{folder} was left as it is: {error}") from error
    try:
        settling = Settling(lambda _: None, fsync=False)
        found = adoption.recover(taken, segment_bytes=1 << 20, fsync=False, ids=Ids(SystemClock()), settling=settling)
        count = _discard_spooled(found, ids, settling) + _discard_failed(folder, ids)
        if ids is None or adoption.is_empty(taken):
            taken.end()
    finally:
        taken.abandon()
    return count


def _discard_spooled(found: adoption.Adoption, ids: Collection[int] | None, settling: Settling) -> int:
    given_up = [entry for entry in found.entries if ids is None or entry.id in ids]
    settling.settle_all(given_up, Outcome.CANCELLED)
    return len(given_up)


def _discard_failed(folder: str, ids: Collection[int] | None) -> int:
    count = 0
    for name in failed.kept(folder):
        if ids is None or failed.id_of(name) in ids:
            files.remove_tree(os.path.join(folder, "failed", name))
            count += 1
    return count
