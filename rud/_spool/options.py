"""How a spool is set up."""

from __future__ import annotations

from dataclasses import dataclass

_SMALLEST_SEGMENT = 64 << 10


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """``folder`` is the staging folder (``None``: the environment's, else the user's own under the system's
    temporary folder). The values are checked where they are given.

    ``mode`` is how large payloads are staged; ``max_bytes`` bounds log and payloads together, and ``when_full`` says
    whether an upload over it raises or waits; payloads up to ``inline_limit`` bytes lie in the log.
    """

    folder: str | None = None
    mode: str = "auto"
    fsync: bool = False
    max_bytes: int | None = None
    when_full: str = "raise"
    inline_limit: int = 256 << 10
    segment_bytes: int = 16 << 20

    @property
    def segment_limit(self) -> int:
        """Small enough that a segment in use does not fill the limit."""
        if self.max_bytes is None:
            return self.segment_bytes
        return min(self.segment_bytes, max(self.max_bytes // 8, _SMALLEST_SEGMENT))
