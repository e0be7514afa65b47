"""How a case may end, and what is told of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """How a case ended. Only the first two are good news."""

    PASS = "pass"
    REFUSED = "refused-as-declared"
    """The backend declares that it does not offer this, with a reason, and refuses it in words."""
    FAIL = "fail"
    QUIRK = "quirk"
    """Not tried, because of a defect of the server that is known by name and was seen to be there."""
    NOT_OFFERED = "not offered"
    """The backend declares a "no", or the harness has no means to look; the reason is told."""
    INCONCLUSIVE = "inconclusive"
    """A planned fault was never met, the store did not answer, or time ran out."""
    ERROR = "error in harness"
    """The harness raised, not the backend."""


class InconclusiveError(Exception):
    """Raised by a case that could not try what it was to try; the text says why."""


class HarnessError(Exception):
    """Raised when the author's harness does not do what ``Harness`` asks of it; ``__cause__`` is what it raised."""


class NotOfferedError(Exception):
    """Raised by a case that finds on its way that something which it needs is not offered."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one case. ``seconds`` it took; ``examples`` that were tried; ``troubles`` that were met."""

    case: str
    verdict: Verdict
    reason: str = ""
    seconds: float = 0.0
    examples: int = 1
    troubles: int = 0
    script: str = ""
    """A Python program that shows the failure again, without Hypothesis."""
    notes: tuple[str, ...] = ()
    at: str = ""
    """The line of the case that failed, as ``file:line``."""

    @property
    def executed(self) -> bool:
        """Whether the backend was really tried."""
        return self.verdict in (Verdict.PASS, Verdict.FAIL, Verdict.REFUSED)
