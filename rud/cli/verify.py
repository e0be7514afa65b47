"""``rud verify``: whether the objects that a manifest names are what was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import google_crc32c

from rud._manifest import Shard, from_bytes
from rud.cli import exits
from rud.cli.arguments import add_backend_kwargs, add_json, backend_kwargs, new_command
from rud.cli.screen import printable, size_in_words
from rud.errors import ConfigurationError, ObjectNotFoundError
from rud.store import Backend

if TYPE_CHECKING:
    from rud.cli import Subparsers


def add(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "verify",
        "compare a run's objects with a manifest",
        "Looks at each object that FILE names: whether it is there, of the size and with the checksum that were "
        "published. FILE is what Uploader.publish has stored; `rud download URI KEY FILE` fetches it.",
    )
    parser.add_argument("uri", metavar="URI", help="the store, as it was given to the uploader")
    parser.add_argument("--manifest", required=True, metavar="FILE", help="the manifest")
    parser.add_argument("--read", action="store_true", help="read every object, also where the store tells its sum")
    add_backend_kwargs(parser)
    add_json(parser)
    parser.set_defaults(run=verify)


def verify(args: Any) -> int:
    from rud._registry import resolve

    shards = _read(args.manifest)
    spec = resolve(args.uri, backend_kwargs(args))
    backend = spec.open()
    wrong: list[str] = []
    try:
        for number, shard in enumerate(shards):
            args.screen.progress(f"{number} of {len(shards)} objects", number / len(shards))
            fault = _fault(backend, shard, read=args.read)
            if fault:
                wrong.append(f"{shard.key!r} (of rank {shard.rank}) {fault}")
    finally:
        backend.close()
    size = size_in_words(sum(shard.size for shard in shards))
    text = "\n".join([*wrong, f"{len(shards) - len(wrong)} of {len(shards)} objects ({size}) are as published"])
    code = exits.FAILED if wrong else exits.DONE
    return exits.finish(args, code, printable(text), objects=len(shards), wrong=wrong)


def _read(path: str) -> list[Shard]:
    try:
        with open(path, "rb") as file:
            return from_bytes(file.read())
    except OSError as error:
        raise ConfigurationError(f"the manifest {path!r} cannot be read: {error.strerror}") from error


@dataclass
class _Sum:
    value: int = 0
    size: int = 0

    def write(self, chunk: bytes, /) -> object:
        self.value = google_crc32c.extend(self.value, bytes(chunk))
        self.size += len(chunk)
        return len(chunk)


def _fault(backend: Backend, shard: Shard, *, read: bool) -> str:
    """What is wrong with the object; ``""`` when it is as published."""
    try:
        meta = backend.head(shard.key)
        size, crc = meta.size, meta.checksum
        if size == shard.size and (read or crc is None):
            found = _Sum()
            backend.get(shard.key, found)
            size, crc = found.size, found.value
    except ObjectNotFoundError:
        return "is not there"
    if size != shard.size:
        return f"has {size} bytes, not {shard.size}"
    if f"{crc or 0:08x}" != shard.crc32c:
        return f"has the checksum {crc or 0:08x}, not {shard.crc32c}"
    return ""
