"""What a published pointer says: the objects of one save, each by key, size and checksum."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from rud.errors import ConfigurationError

SCHEMA = "rud.manifest/1"


@dataclass(frozen=True, slots=True)
class Shard:
    """One stored object. ``size`` in bytes; ``crc32c`` in eight hexadecimal digits; ``upload`` is the id of the upload
    that stored it, as ``Upload.id``, ``rank`` the rank that did."""

    key: str
    size: int
    crc32c: str
    rank: int
    upload: str


def to_bytes(shards: Iterable[Shard]) -> bytes:
    """The manifest of ``shards``, sorted by key."""
    rows = [asdict(shard) for shard in sorted(shards, key=lambda shard: (shard.key, shard.rank))]
    return json.dumps({"schema": SCHEMA, "objects": rows}, indent=1).encode() + b"\n"


def from_bytes(data: bytes) -> list[Shard]:
    """The shards of a manifest. ``ConfigurationError`` when it is none, or of another version."""
    try:
        found = json.loads(data)
        schema = found["schema"]
        if schema != SCHEMA:
            raise ConfigurationError(f"the manifest is of the schema {schema!r}; this version of rud reads {SCHEMA!r}")
        return [
            Shard(str(row["key"]), int(row["size"]), f"{int(row['crc32c'], 16):08x}", int(row["rank"]), row["upload"])
            for row in found["objects"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"this is no manifest of rud ({type(error).__name__}: {error})") from None
