"""A CRC32C between ourselves and services, which write it as its four bytes, big-endian, in base64."""

from __future__ import annotations

import base64

from rud.errors import IntegrityError


def written(crc: int) -> str:
    """``crc`` as services write it."""
    return base64.b64encode(crc.to_bytes(4, "big")).decode("ascii")


def read(text: str) -> int:
    """The CRC32C that a service has written."""
    return int.from_bytes(base64.b64decode(text), "big")


def same_as_declared(key: str, crc: int | None, declared: int | None) -> int:
    """``crc``, of all that was read; ``IntegrityError`` unless it is what was declared."""
    if crc is None or declared not in (None, crc):
        found = "no sum" if crc is None else f"CRC32C {crc:08x}"
        raise IntegrityError.during("put", key, f"the bytes have {found}, not {declared or 0:08x}")
    return crc
