"""Which owner folders a person means, what lies in them, and whose they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

from rud._report import LeftUpload
from rud._spool import Owner, home
from rud._spool.failed import kept
from rud._spool.files import names_in
from rud._spool.owner import NotTakenError, read_facts
from rud._spool.replay import UNREADABLE, read_log
from rud.errors import ConfigurationError


def owner_folders(folder: str | None = None) -> list[str]:
    """The owner folders that ``folder`` means, the oldest first: itself, or all of a spool root or staging folder.

    ``None``: of the staging folder that an uploader would use. One that is gone from its spool root was emptied: an
    empty list. ``ConfigurationError`` when there is no such folder, no spool in it, or it may not be read.
    """
    given = home.staging_folder(folder)
    try:
        return _owners_at(given, named=folder is not None)
    except PermissionError as error:
        raise ConfigurationError(f"{error.filename} may not be read: ask as its owner, or as root") from error


def _owners_at(given: str, *, named: bool) -> list[str]:
    in_a_root = os.path.basename(os.path.dirname(given)) == "v1"
    if in_a_root and _is_folder(given):
        return [given]
    roots = [home.spool_root(given), os.path.join(given, "v1"), given]
    root = next((root for root in roots if os.path.basename(root) == "v1" and _is_folder(root)), None)
    if root is None:
        if in_a_root or not named:
            return []
        what = "there is no spool (rud-spool/v1) in it" if _is_folder(given) else "there is no such folder"
        raise ConfigurationError(f"{given}: {what}; give a staging folder, or an owner folder as `rud status` does")
    paths = [os.path.join(root, name) for name in names_in(root) if not name.startswith(".")]
    return [path for path in paths if _is_folder(path)]


def _is_folder(path: str) -> bool:
    """As ``os.path.isdir``, but what may not be seen is not taken for missing: ``PermissionError``."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def give_back(folder: str) -> None:
    """What root has made in a spool of another user becomes that user's: the next run of theirs can go on with it."""
    if os.geteuid() != 0 or not os.path.isdir(folder):
        return
    owner = os.stat(folder)
    if owner.st_uid == 0:
        return
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            try:
                os.chown(os.path.join(parent, name), owner.st_uid, owner.st_gid, follow_symlinks=False)
            except FileNotFoundError:
                continue


def waiting_in(folder: str) -> tuple[tuple[LeftUpload, ...], tuple[str, ...]]:
    try:
        state = read_log(Owner(folder))
    except UNREADABLE:
        return (), ()
    return tuple(LeftUpload(entry.id, entry.key, "spooled") for entry in state.pending.values()), tuple(state.damage)


def failed_in(folder: str) -> int:
    try:
        return sum(not name.startswith(".") for name in kept(folder))
    except OSError:
        return 0


def facts_of(folder: str) -> Mapping[str, Any]:
    try:
        return read_facts(folder)
    except NotTakenError:
        return {}
