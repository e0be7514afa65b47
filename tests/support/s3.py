"""Stores over the S3 servers of the tests."""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import dataclass
from typing import Any

from rud_fakes.s3 import S3Server
from rud_fakes.servers import S3Address

from rud.backends.s3 import S3ObjectStore

PART = 5 << 20
"""Bytes of the least part that S3 takes."""
_numbers = itertools.count(1)
SMALL_PARTS = {"multipart_threshold": PART, "multipart_chunksize": PART, "max_concurrency": 2}
OUTSIDE = ["outside"] if "RUD_S3_SERVER" in os.environ else []
"""A server that somebody else has started (``docker/README.md``), as one more to run the contract on."""
CREDENTIALS = {"rudtest": "rudtestsecret"}
"""Of fakes that check signatures."""
ONE_TRY: dict[str, Any] = {"retries": {"total_max_attempts": 1}}
"""A ``client_config`` without which each answer that may pass is asked for three times, with pauses."""


def address_of(server: S3Server, region: str = "us-east-1") -> S3Address:
    """How to be let in to a fake with ``CREDENTIALS``."""
    ((access_key, secret_key),) = CREDENTIALS.items()
    return S3Address(server.url, access_key, secret_key, region)


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket of one test's own, and a prefix in it."""

    server: S3Address
    bucket: str
    prefix: str = ""

    def store(self, **arguments: Any) -> S3ObjectStore:
        """A new store there."""
        return S3ObjectStore(self.bucket, self.prefix, **{**self.server.backend_kwargs, **arguments})

    def client(self) -> Any:
        """boto3 itself, for what a store of ours does not do."""
        import boto3
        from botocore.config import Config

        config = Config(retries={"total_max_attempts": 1})
        return boto3.client("s3", config=config, **self.server.backend_kwargs)

    def unfinished(self) -> int:
        """How many multipart uploads of the bucket have neither been completed nor aborted."""
        return self.server.ask("GET", f"/{self.bucket}?uploads=")[1].count("<UploadId>")


def new_place(server: S3Address, prefix: str = "") -> Place:
    """An empty bucket, and ``prefix`` in it."""
    # Random, too: a server that somebody else has started may remember other sessions.
    name = f"rud-{random.SystemRandom().getrandbits(32):08x}-{next(_numbers)}"
    server.make_bucket(name)
    return Place(server, name, prefix)


def content(size: int) -> bytes:
    """``size`` bytes of which no two stretches are alike, the same each time."""
    return random.Random(size).randbytes(size)
