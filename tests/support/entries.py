"""Spool entries without a spool, for tests of what is pure."""

from __future__ import annotations

from typing import Any, cast

from rud._spool import SpoolEntry


def entry(number: int, key: str = "k", *, overwrite: bool = True, after: tuple[int, ...] = ()) -> SpoolEntry:
    """An accepted upload of no bytes, owned by nobody."""
    return SpoolEntry(
        id=number,
        key=key,
        size=0,
        overwrite=overwrite,
        crc=0,
        path="",
        offset=0,
        mtime_ns=0,
        after=after,
        owner=cast(Any, None),
    )
