"""Whether a service is told our sums, and how: the one place that knows."""

from __future__ import annotations

from dataclasses import dataclass

from rud.backends import _sums
from rud.store import Arguments

_KIND = {"ChecksumType": "FULL_OBJECT"}


@dataclass(frozen=True, slots=True)
class Sums:
    """Arguments of requests; none if sums are not ``told``."""

    told: bool = True

    @property
    def mark(self) -> Arguments:
        """Of a multipart upload: also what distinguishes ours among unfinished ones. boto3's own are of CRC32."""
        return {"ChecksumAlgorithm": "CRC32C", **_KIND} if self.told else {}

    @property
    def asked(self) -> Arguments:
        """Of a request that is to tell the sum of an object."""
        return {"ChecksumMode": "ENABLED"} if self.told else {}

    def of(self, crc: int) -> Arguments:
        """The sum of the body of a request, or of a part."""
        return {"ChecksumCRC32C": _sums.written(crc)} if self.told else {}

    def of_whole(self, crc: int) -> Arguments:
        """The sum of all parts together."""
        return {**self.of(crc), **_KIND} if self.told else {}
