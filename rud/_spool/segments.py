"""The files of a log: its segments, and the reserve that outcomes may use when the disk is full."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from rud._spool import files
from rud._spool.records import Kind, SegmentHeader, encode_header, encode_record

RESERVE = 64 << 10
"""Bytes kept back so that outcomes can still be written when the disk is full."""


@dataclass(frozen=True, slots=True)
class Segment:
    number: int
    path: str
    nonce: int
    descriptor: int
    """-1 for one that is not written to: of a dead owner, or none at all."""


def new_segment(folder: str, number: int, header: SegmentHeader) -> Segment:
    """Make one, with a number of its own in ``header``.

    Its file may exist, left by an interrupt before this: nothing in it was ever accepted.
    """
    path = os.path.join(folder, f"log-{number}")
    nonce = int.from_bytes(os.urandom(8), "little")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        files.write_at(descriptor, [replace(header, nonce=nonce).encode()], 0)
    except BaseException:
        os.close(descriptor)
        files.gone(path)
        raise
    return Segment(number, path, nonce, descriptor)


def seal(old: Segment, end: int) -> None:
    """Say that another segment follows, beyond the end that the new one names.

    It matters only when the new one is lost.
    """
    try:
        files.cut(old.descriptor, end)
        files.write_at(old.descriptor, encode_record((old.nonce, end), Kind.SEALED, encode_header({})), end)
    except OSError:
        return


class Reserve:
    """A file that takes up room until the room is needed."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._held = False

    @property
    def _path(self) -> str:
        return os.path.join(self.folder, "reserve")

    def hold(self) -> None:
        """Have it; ``OSError`` when there is no room for it."""
        if not self._held:
            files.write_whole(self._path, bytes(RESERVE))
            self._held = True

    def release(self) -> bool:
        """Give its room up; false when there was none to give."""
        self._held = False
        return os.path.exists(self._path) and files.gone(self._path)
