"""Commands that only try a store leave no folder of it behind that was not there before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rud._registry import StoreSpec


@contextmanager
def left_as_found(spec: StoreSpec) -> Iterator[None]:
    """Folders of a ``file`` store that come to be within are removed again at the end, if they are empty."""
    missing: list[str] = []
    folder = os.path.join(spec.bucket, spec.prefix) if spec.scheme == "file" else "/"
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    try:
        yield
    finally:
        for made in missing:
            with suppress(OSError):
                os.rmdir(made)
