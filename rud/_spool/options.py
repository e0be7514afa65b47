"""How a spool is set up."""

from __future__ import annotations

from dataclasses import dataclass

from rud._spool.payload import MODES
from rud.errors import ConfigurationError

_SMALLEST_SEGMENT = 64 << 10


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """``folder`` is the staging folder (``None``: the environment's, else the user's own under the system's
    temporary folder).

    ``mode`` is how large payloads are staged; ``max_bytes`` bounds log and payloads together, and ``when_full`` says
    whether an upload over it raises or waits; payloads up to ``inline_limit`` bytes lie in the log.
    """

    folder: str | None = None
    mode: str = "auto"
    fsync: bool = False
    max_bytes: int | None = None
    when_full: str = "raise"
    inline_limit: int = 256 << 10
    segment_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigurationError(f"the staging mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if self.when_full not in {"raise", "block"}:
            raise ConfigurationError(f"when_full is 'raise' or 'block', not {self.when_full!r}")
        if self.max_bytes is not None and self.max_bytes <= 0:
            raise ConfigurationError(f"max_bytes is a number of bytes greater than 0, not {self.max_bytes!r}")

    @property
    def segment_limit(self) -> int:
        """Small enough that a segment in use does not fill the limit."""
        if self.max_bytes is None:
            return self.segment_bytes
        return min(self.segment_bytes, max(self.max_bytes // 8, _SMALLEST_SEGMENT))
