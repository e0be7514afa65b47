"""What is known of libcloud's providers: what they keep, and which keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rud.errors import InvalidKeyError
from rud.store import Capabilities, Offer, check_key

ENTRY_ID = "rud-entry-id"
"""The name of the metadata that has it; the same as on ``s3`` URIs, so that either store knows the other's objects."""

LONGEST_KEY = 1024
"""Bytes in UTF-8, with the prefix: of S3 and of Cloud Storage; characters of Azure ("Naming and referencing
containers, blobs, and metadata")."""

_LONGEST_NAME = 255
"""Bytes of a file's name."""


@dataclass(frozen=True, slots=True)
class Provider:
    """``entry_id``: the name of the metadata that keeps it, or ``""``. ``account``: its ``key`` says where it is, and
    is no name of a credential. ``filters``: it can list what begins with a prefix. ``refuses``: why a name cannot be
    kept, or ``""``."""

    kept: str = ""
    ranges: Offer = "not known of this provider of libcloud"
    durable: Offer = "not known of this provider of libcloud"
    account: bool = False
    filters: bool = False
    refuses: Callable[[str], str] = lambda _: ""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            create="libcloud cannot ask for the condition that an object be absent",
            entry_ids=True
            if self.kept
            else "libcloud keeps no metadata with objects of this provider, as far as known",
            checksums="libcloud keeps no CRC32C",
            ranges=self.ranges,
            fsync=self.durable,
            reads_body=True,
            ends_with_worker="a request that has arrived whole is carried out, though its sender is gone",
            processes=True,
        )


def _no_file(name: str) -> str:
    parts = name.split("/")
    if not parts[-1]:
        return "a file has no name that ends in a slash"
    if any(len(part.encode()) > _LONGEST_NAME for part in parts):
        return f"a part between slashes has more than {_LONGEST_NAME} bytes"
    if {".lock", ".hash"} & set(parts):
        return "libcloud hides what is called '.lock' and '.hash'"
    return ""


def _no_blob(name: str) -> str:
    if "\\" in name:
        return "Azure takes a backslash for a slash"
    if any(part.endswith(".") for part in name.split("/")):
        return "Azure drops a full stop in front of a slash and at the end"
    return ""


_S3 = Provider(kept=ENTRY_ID, ranges=True, durable=True, filters=True)

_PROVIDERS: Mapping[str, Provider] = {
    "azure_blobs": Provider("rud_entry_id", ranges=True, durable=True, account=True, filters=True, refuses=_no_blob),
    "google_storage": _S3,
    "local": Provider(
        ranges=True, durable="libcloud's local driver syncs nothing to disk", account=True, refuses=_no_file
    ),
    "minio": _S3,
    "s3": _S3,
}


def provider_of(name: str) -> Provider:
    """What is known of it; of most, nothing."""
    return _PROVIDERS.get(name, _S3 if name.startswith("s3_") else Provider())


def is_known(name: str) -> bool:
    """Whether libcloud need not be asked if there is one of that name."""
    return name in _PROVIDERS


def whole_name(provider: Provider, prefix: str, key: str) -> str:
    """The name of the object ``key``; ``InvalidKeyError`` if it would not be kept as it is."""
    name = prefix + check_key(key)
    if reason := _reason(name) or provider.refuses(name):
        raise InvalidKeyError(f"the key {key[:60]!r} is not kept as it is: {reason}")
    return name


def _reason(name: str) -> str:
    if (length := len(name.encode())) > LONGEST_KEY:
        return f"it has {length} bytes with its prefix, and {LONGEST_KEY} is the most"
    if name.startswith("/") or "//" in name:
        return "libcloud makes one slash of several, and drops those in front"
    if {".", ".."} & set(name.split("/")):
        return "libcloud resolves parts that are '.' or '..'"
    if any(character < " " or character == "\x7f" or character in "\ufffe\uffff" for character in name):
        return "it has a character that the listings of XML 1.0 cannot tell"
    return ""


def place_of(provider: Provider, given: Mapping[str, Any], key: object) -> str:
    """Where the arguments of a driver lead, without secrets: ``host:port``, the region, and the account where there
    is one."""
    host, port = given.get("host"), given.get("port")
    where = f"{host or ''}:{port}" if port is not None else host
    parts = [where, given.get("region"), key if provider.account else None]
    return " ".join(str(part) for part in parts if part)
