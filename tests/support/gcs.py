"""Stores over the Cloud Storage servers of the tests."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

from rud_fakes.servers import GCSAddress

from rud.backends.gcs import GCSObjectStore

CHUNK = 8 << 20
"""Bytes up to which an object is one request."""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class GCSPlace:
    """A bucket of one test's own, and a prefix in it."""

    server: GCSAddress
    bucket: str
    prefix: str = ""

    def store(self) -> GCSObjectStore:
        """A new store there."""
        return GCSObjectStore(self.bucket, self.prefix, **self.server.backend_kwargs)


def new_gcs_place(server: GCSAddress, prefix: str = "") -> GCSPlace:
    """An empty bucket, and ``prefix`` in it."""
    name = f"rud-{os.getpid()}-{next(_numbers)}"
    server.make_bucket(name)
    return GCSPlace(server, name, prefix)
