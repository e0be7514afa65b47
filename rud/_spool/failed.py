"""``failed/<id>/``: an upload taken out of the log, for people to look at: ``entry.json``, ``payload``,
``reason.json``.
"""

from __future__ import annotations

import json
import os
import string
from collections.abc import Mapping
from typing import Any

from rud._spool import files
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.replay import State

_CHUNK = 1 << 20
_WIDTH = 16
"""Digits in ``SpoolEntry.wire_id``."""


def folder_of(entry: SpoolEntry) -> str:
    return os.path.join(entry.owner.failed, entry.wire_id)


def hidden_of(entry: SpoolEntry) -> str:
    return os.path.join(entry.owner.failed, f".{entry.wire_id}")


def id_of(name: str) -> int | None:
    """The id that names a failed entry; ``None`` for anything else that lies there."""
    return int(name, 16) if len(name) == _WIDTH and all(digit in string.hexdigits for digit in name) else None


def write_hidden(entry: SpoolEntry, reason: Mapping[str, object], *, sync: bool) -> str:
    """Everything of a failed entry under its hidden name, which it returns; ``OSError`` leaves nothing."""
    hidden = hidden_of(entry)
    files.remove_tree(hidden)
    os.mkdir(hidden, 0o700)
    try:
        facts = {name: getattr(entry, name) for name in ("id", "key", "size", "overwrite", "crc", "mtime_ns", "after")}
        write_json(os.path.join(hidden, "entry.json"), facts, sync=sync)
        write_json(os.path.join(hidden, "reason.json"), reason, sync=sync)
        keep_payload(entry, os.path.join(hidden, "payload"), sync=sync)
        if sync:
            files.sync_folder(hidden)
    except BaseException:
        files.remove_tree(hidden)
        raise
    return hidden


def write_json(path: str, value: Mapping[str, object], *, sync: bool) -> None:
    files.write_whole(path, json.dumps(dict(value), indent=2, default=str).encode(), sync=sync)


def keep_payload(entry: SpoolEntry, target: str, *, sync: bool) -> None:
    """The payload at ``target``, the old place untouched; nothing when there is none left."""
    if not entry.large:
        files.write_whole(target, files.read_at(entry.path, entry.offset, entry.size), sync=sync)
        return
    try:
        place(entry.path, target)
    except FileNotFoundError:
        return


def place(source: str, target: str) -> None:
    """A second name for a file of ours, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        from rud._spool.payload import copy_bytes

        with open(source, "rb") as old, open(target, "xb") as new:
            copy_bytes(old.fileno(), new.fileno(), os.fstat(old.fileno()).st_size)


def finish(folder: str, state: State) -> None:
    """After a crash: rename what was recorded as failed, remove what was not, and what was accepted anew."""
    failed = os.path.join(folder, "failed")
    for name in files.names_in(failed):
        shown = name.removeprefix(".")
        number = id_of(shown)
        if number is None:
            continue
        path = os.path.join(failed, name)
        again = state.retaken.get(number)
        if again is not None and state.ended.get(again) is not Outcome.CANCELLED:
            files.remove_tree(path)
        elif name.startswith("."):
            if state.ended.get(number) is Outcome.FAILED:
                os.rename(path, os.path.join(failed, shown))
            elif number in state.pending or number in state.ended:  # nothing in it is needed
                files.remove_tree(path)


def keep_unreadable(folder: str, name: str) -> str:
    """A payload whose record is lost: to ``failed/``, under its own name. The sentence says so."""
    target = os.path.join(folder, "failed", f"unreadable-{name}")
    source = os.path.join(folder, "big", name)
    try:
        os.makedirs(target, 0o700, exist_ok=True)
        reason = {"reason": "record not readable: the log is damaged, so its key is not known", "payload": name}
        write_json(os.path.join(target, "reason.json"), reason, sync=False)
        os.rename(source, os.path.join(target, "payload"))
    except OSError as error:
        return f"{source} has no readable record and could not be moved to {target}: {error.strerror}"
    return f"{source} has no readable record; it is kept in {target}"


def read_entry(folder: str) -> dict[str, Any]:
    with open(os.path.join(folder, "entry.json"), "rb") as file:
        facts: dict[str, Any] = json.load(file)
    return facts


def kept(folder: str) -> list[str]:
    """The names of what lies in ``failed/`` of an owner folder."""
    return files.names_in(os.path.join(folder, "failed"))
