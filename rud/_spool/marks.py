"""What is left of owner folders that were emptied and removed: their greatest id, as the name of an empty folder.

A clock that is set back between two runs must not give the second one ids that are lower than those of the first: the
objects of the first, which bear theirs, would pass for the newer ones.
"""

from __future__ import annotations

import contextlib
import os
import re

from rud._spool import files


def leave(root: str, greatest_id: int, *, sync: bool) -> None:
    """Note an id beside a spool root; what lower ones have left goes."""
    place = os.path.dirname(root)
    older = _ids(place)
    if greatest_id <= max(older, default=0):
        return
    os.mkdir(_path(place, greatest_id), 0o700)
    if sync:
        files.sync_path(place)
    for one in older:
        with contextlib.suppress(OSError):
            os.rmdir(_path(place, one))


def greatest(root: str) -> int:
    """The greatest id that was noted; 0 when none was."""
    return max(_ids(os.path.dirname(root)), default=0)


def _path(place: str, one: int) -> str:
    return os.path.join(place, f"greatest-{one:016x}")


def _ids(place: str) -> list[int]:
    found = (re.fullmatch("greatest-([0-9a-f]{16})", name) for name in files.names_in(place))
    return [int(match[1], 16) for match in found if match]
