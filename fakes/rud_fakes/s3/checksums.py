"""The sums that S3 knows, as far as this server does."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable
from typing import Protocol

import google_crc32c

NOT_OFFERED = ("crc64nvme", "md5", "sha512", "xxhash64", "xxhash3", "xxhash128")
"""S3 has these too; here they are refused, never ignored."""


class Sum(Protocol):
    """A sum that grows."""

    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Crc32c:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = int(google_crc32c.extend(self._value, data))

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _md5() -> Sum:
    return hashlib.md5(usedforsecurity=False)


MAKERS: dict[str, Callable[[], Sum]] = {
    "crc32": _Crc32,
    "crc32c": _Crc32c,
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
    "md5": _md5,
}
ALGORITHMS = ("crc32", "crc32c", "sha1", "sha256")
"""What may stand behind ``x-amz-checksum-``."""
LINEAR = {"crc32": 0xEDB88320, "crc32c": 0x82F63B78}
"""The polynomials, lowest power first, of the sums from which the sum of a whole can be computed: FULL_OBJECT."""


def new(algorithm: str) -> Sum:
    """A sum over nothing yet."""
    return MAKERS[algorithm]()


def digest(algorithm: str, data: bytes) -> bytes:
    """The sum of ``data``."""
    made = new(algorithm)
    made.update(data)
    return made.digest()


def size(algorithm: str) -> int:
    """Bytes of a sum."""
    return len(new(algorithm).digest())


def encode(value: bytes) -> str:
    """As in headers and documents."""
    return base64.b64encode(value).decode("ascii")


def decode(algorithm: str, value: str) -> bytes | None:
    """The sum that ``encode`` has written; ``None`` if it cannot be one."""
    try:
        found = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == size(algorithm) else None


def _product(a: int, b: int, polynomial: int) -> int:
    """Of two polynomials over two elements, modulo the third; bit 31 is the power 0."""
    result = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            result ^= b
        b = b >> 1 ^ (polynomial if b & 1 else 0)
    return result


def _shifted(value: int, count: int, polynomial: int) -> int:
    """The sum after ``count`` more bytes of zeros, without the part that these bytes have in it: times x^(8 count)."""
    power = 1 << 31 - 8
    while count:
        if count & 1:
            value = _product(value, power, polynomial)
        power = _product(power, power, polynomial)
        count >>= 1
    return value


def whole(algorithm: str, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """The sum of a whole from the sums and sizes of its parts, for the ``LINEAR`` ones."""
    result = 0
    for value, length in parts:
        result = _shifted(result, length, LINEAR[algorithm]) ^ int.from_bytes(value, "big")
    return result.to_bytes(4, "big")


def composite(algorithm: str, parts: Iterable[bytes]) -> str:
    """The sum of the sums of the parts, and how many they are."""
    values = list(parts)
    return f"{encode(digest(algorithm, b''.join(values)))}-{len(values)}"
