"""Where spools lie: the staging folder and ``rud-spool/v1`` in it, made and checked."""

from __future__ import annotations

import contextlib
import os
import stat

from rud.errors import ConfigurationError

ENVIRONMENT = "RUD_UPLOAD_STAGING_FOLDER"
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


def staging_folder(given: str | None) -> str:
    """The folder as given, else as in the environment, else one of this user under the system's temporary folder."""
    folder = given or os.environ.get(ENVIRONMENT)
    if not folder:
        import tempfile

        folder = os.path.join(tempfile.gettempdir(), f"rud-{os.getuid()}")
    return os.path.abspath(folder)


def spool_root(staging: str) -> str:
    return os.path.join(staging, "rud-spool", "v1")


def prepare(staging: str) -> list[str]:
    """Make the spool root; the folders made for it, of which ``ConfigurationError`` leaves none behind."""
    made: list[str] = []
    root = spool_root(staging)
    try:
        for folder in (staging, os.path.dirname(root), root):
            _make(folder, made)
            _check(folder)
        if not os.access(root, os.W_OK | os.X_OK):
            raise ConfigurationError(f"the staging folder {staging} cannot be written")
    except BaseException as error:
        undo(made)
        if isinstance(error, OSError):
            raise ConfigurationError(f"the staging folder {staging} cannot be used: {error.strerror}") from error
        raise
    return made


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
    if not os.path.lexists(folder):
        _make(os.path.dirname(folder), made)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
            made.append(folder)


def _check(folder: str) -> None:
    found = os.stat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"the staging folder {folder} is a file; give a folder")
    if found.st_uid not in {os.getuid(), 0}:
        raise ConfigurationError(f"the staging folder {folder} is owned by another user; choose one of your own")
    # A sticky folder, as /tmp, is open to others and still keeps them from what is ours.
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
        raise ConfigurationError(f"the staging folder {folder} can be written by others; run: chmod go-w {folder}")
