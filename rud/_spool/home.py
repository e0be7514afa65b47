"""Where spools lie: the staging folder and ``rud-spool/v1`` in it, made and checked."""

from __future__ import annotations

import os
import stat

from rud.errors import ConfigurationError

ENVIRONMENT = "RUD_UPLOAD_STAGING_FOLDER"
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_INNER = ("rud-spool", "v1")


def staging_folder(given: str | None) -> str:
    """The folder as given, else as in the environment, else one of this user under the system's temporary folder."""
    folder = given or os.environ.get(ENVIRONMENT)
    if not folder:
        import tempfile

        folder = os.path.join(tempfile.gettempdir(), f"rud-{os.getuid()}")
    return os.path.abspath(folder)


def spool_root(staging: str) -> str:
    return os.path.join(staging, *_INNER)


def prepare(staging: str) -> tuple[str, list[str]]:
    """The spool root, and the folders that had to be made for it; ``ConfigurationError`` leaves none of them behind."""
    made: list[str] = []
    try:
        _make(staging, made)
        folder = staging
        for name in _INNER:
            folder = os.path.join(folder, name)
            _make(folder, made)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigurationError(f"the staging folder {staging} cannot be written")
    except BaseException as error:
        undo(made)
        if isinstance(error, OSError):
            raise ConfigurationError(f"the staging folder {staging} cannot be used: {error.strerror}") from error
        raise
    return folder, made


def file_system(folder: str) -> str:
    """The type of the file system that ``folder`` lies on, where the system tells (Linux); else ``""``."""
    device = os.stat(folder).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return ""
    return next((row[row.index("-") + 1] for row in rows if row[2] == number), "")


def undo(made: list[str]) -> None:
    for folder in reversed(made):
        try:
            os.rmdir(folder)
        except OSError:
            return


def _make(folder: str, made: list[str]) -> None:
    parent = os.path.dirname(folder)
    if not os.path.isdir(parent) and parent != folder:
        _make(parent, made)
    try:
        os.mkdir(folder, 0o700)
        made.append(folder)
    except FileExistsError:
        _check(folder)


def _check(folder: str) -> None:
    found = os.stat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"the staging folder {folder} is a file; give a folder")
    if found.st_uid not in {os.getuid(), 0}:
        raise ConfigurationError(f"the staging folder {folder} is owned by another user; choose one of your own")
    # A sticky folder, as /tmp, is open to others and still keeps them from what is ours.
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        raise ConfigurationError(f"the staging folder {folder} can be written by others; run: chmod go-w {folder}")
