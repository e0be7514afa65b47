"""``docs/stores.md``, from what the stores declare: ``python -m tests.support.store_table``."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from rud_fakes.memory import MemoryBackend
from rud_fakes.oci import ApiKey

from rud.backends.gcs import GCSObjectStore
from rud.backends.libcloud import LibcloudObjectStore
from rud.backends.local import LocalObjectStore
from rud.backends.oci import OCIObjectStore
from rud.backends.s3 import S3ObjectStore
from rud.backends.sftp import SFTPObjectStore
from rud.store import Capabilities

PAGE = Path(__file__).parents[2] / "docs/stores.md"

PROMISES = {
    "create": "`overwrite=False` is decided by the store, atomically",
    "entry_ids": "an object keeps the id of its upload",
    "checksums": "the store tells the CRC32C of an object",
    "ranges": "a download can go on in the middle",
    "fsync": "with `fsync`, stored is on the disk",
    "reads_body": "progress is seen while it sends",
    "ends_with_worker": "a killed upload cannot appear afterwards",
    "processes": "worker processes may use it",
}
"""What each capability is for a reader."""

_HEAD = """# What each store promises

Made from what the stores declare (`Backend.capabilities`) by `python -m tests.support.store_table`. That it is true is
tried by [the conformance suite](conformance.md), in both directions: what is declared is tried, and a "no" has to be
refused.

"""

_NOTES = """
Without an id of the upload and without a checksum, a run that resumes cannot tell its own object from somebody else's:
an upload that finds an object newer than itself is set aside. `rud resume --overwrite-newer` sends it all the same.
Without create-only, `overwrite=False` looks first and then writes: somebody may still come in between.

Each in its own words: [s3](stores/s3.md), [gs](stores/gs.md), [file](stores/file.md), [libcloud](stores/libcloud.md),
[oci](stores/oci.md), [sftp](stores/sftp.md), [your own](backends.md).
"""


def stores() -> Iterator[tuple[str, Capabilities]]:
    """Each by the name of its column."""
    keys: dict[str, Any] = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    folder = LocalObjectStore("/folder")
    folder._offer = True  # On a file system that has extended attributes, as most have.
    yield "file (1)", folder.capabilities
    yield "s3", S3ObjectStore("bucket", **keys).capabilities
    yield "gs", GCSObjectStore("bucket", endpoint_url="http://127.0.0.1:1").capabilities
    with mock.patch.dict(os.environ, {"GCS_KEY": "key", "GCS_SECRET": "secret"}):
        yield "gs by HMAC key", GCSObjectStore("bucket").capabilities
    for provider in ("s3", "google_storage", "azure_blobs", "local"):
        given: dict[str, Any] = {"provider": provider, "provider_kwargs": {"key": "GOOG"}}
        yield f"libcloud {provider}", LibcloudObjectStore("container", **given).capabilities
    with tempfile.TemporaryDirectory() as name:
        ApiKey.make(Path(name)).write_config("http://127.0.0.1:1")
        yield "oci", OCIObjectStore("bucket", config_file=f"{name}/config").capabilities
    yield "sftp", SFTPObjectStore("host").capabilities
    yield "memory", MemoryBackend("bucket").capabilities


def page() -> str:
    """The whole of it."""
    columns = dict(stores())
    lines = [f"| promise | {' | '.join(columns)} |", "|" + " --- |" * (len(columns) + 1)]
    reasons: dict[str, list[str]] = {}
    for field in dataclasses.fields(Capabilities):
        offers = {name: getattr(found, field.name) for name, found in columns.items()}
        marks = ["yes" if offer is True else "–" for offer in offers.values()]
        lines.append(f"| {PROMISES[field.name]} | {' | '.join(marks)} |")
        for name, offer in offers.items():
            if offer is not True:
                reasons.setdefault(f"{PROMISES[field.name]}: {offer}", []).append(name)
    lines += ["", "(1) On a file system with extended attributes; without, no id and no checksum.", "", "Why not:", ""]
    lines += [f"- {', '.join(names)}: {why}." for why, names in reasons.items()]
    return _HEAD + "\n".join(lines) + "\n" + _NOTES


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
