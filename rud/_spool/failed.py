"""``failed/<id>/``: an upload taken out of the log, for people to look at: ``entry.json``, ``payload``,
``reason.json``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rud._spool import files
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.replay import State

if TYPE_CHECKING:
    from rud._spool.owner import Owner


def folder_of(entry: SpoolEntry, *, hidden: bool = False) -> str:
    return os.path.join(entry.owner.failed, "." * hidden + entry.wire_id)


def id_of(name: str) -> int | None:
    """The id that names a failed entry; ``None`` for anything else that lies there."""
    return int(name, 16) if re.fullmatch("[0-9a-f]{16}", name) else None


def kept(folder: str) -> list[str]:
    """The names of what lies in ``failed/`` of an owner folder."""
    return files.names_in(os.path.join(folder, "failed"))


def write_hidden(entry: SpoolEntry, reason: Mapping[str, object]) -> None:
    """Everything of a failed entry under its hidden name; ``OSError`` leaves nothing. Its payload stays where it lies,
    too, and may be gone already.
    """
    hidden, sync = folder_of(entry, hidden=True), entry.owner.log.fsync
    files.remove_tree(hidden)
    os.mkdir(hidden, 0o700)
    try:
        files.write_json(os.path.join(hidden, "entry.json"), {**entry.header(), "crc": entry.crc}, sync=sync)
        files.write_json(os.path.join(hidden, "reason.json"), reason, sync=sync)
        payload = os.path.join(hidden, "payload")
        if not entry.large:
            files.write_whole(payload, files.read_at(entry.path, entry.offset, entry.size), sync=sync)
        elif os.path.exists(entry.path):
            place(entry.path, payload, sync=sync)
        if sync:
            files.sync_path(hidden)
            files.sync_path(entry.owner.failed)
    except BaseException:
        files.remove_tree(hidden)
        raise


def show(entry: SpoolEntry) -> str:
    """Give the folder its name, and return it."""
    hidden, visible = folder_of(entry, hidden=True), folder_of(entry)
    try:
        os.rename(hidden, visible)
        if entry.owner.log.fsync:
            files.sync_path(entry.owner.failed)
    except OSError:
        return visible if os.path.isdir(visible) else hidden
    return visible


def place(source: str, target: str, *, sync: bool) -> None:
    """A second name for a file of ours, or a copy (with ``sync`` on the disk) where the file system has no links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        from rud._spool.payload import copy_bytes

        with open(source, "rb") as old, open(target, "xb") as new:
            copy_bytes(old.fileno(), new.fileno(), os.fstat(old.fileno()).st_size)
            if sync:
                files.sync_data(new.fileno())


def finish(owner: Owner, state: State) -> None:
    """After a crash: rename what was recorded as failed, remove what was not, and what was accepted anew."""
    for name in kept(owner.folder):
        shown = name.removeprefix(".")
        number = id_of(shown)
        if number is None:
            continue
        path, visible = (os.path.join(owner.failed, one) for one in (name, shown))
        if number in state.retaken and state.ended.get(state.retaken[number]) is not Outcome.CANCELLED:
            files.remove_tree(path)
        elif name != shown:
            # What the log knows nothing of has failed, too: its records are gone, as those of what has ended are.
            unknown = number not in state.keys and number not in state.ended
            if (unknown or state.ended.get(number) is Outcome.FAILED) and not os.path.isdir(visible):
                os.rename(path, visible)
                if owner.log.fsync:
                    files.sync_path(owner.failed)
            else:
                files.remove_tree(path)


def keep_unreadable(source: str, folder: str) -> str:
    """A payload whose record is lost: to ``failed/``, under its own name. The sentence says so."""
    name = os.path.basename(source)
    target = os.path.join(folder, "failed", f"unreadable-{name}")
    reason = {"reason": "record not readable: the log is damaged, so its key is not known", "payload": name}
    try:
        os.makedirs(target, 0o700, exist_ok=True)
        files.write_json(os.path.join(target, "reason.json"), reason)
        os.rename(source, os.path.join(target, "payload"))
    except OSError as error:
        return f"{source} has no readable record and could not be moved to {target}: {error.strerror}"
    return f"{source} has no readable record; it is kept in {target}"
