"""What a run has come to: counts in the five states of the promise, and everything that is not stored, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeftUpload:
    """An accepted upload that is not stored. ``state``: ``"spooled"``, ``"failed"``, ``"cancelled"``, or ``"stored, not
    recorded"`` (the log could not be written; it may be sent once more)."""

    id: int
    key: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of uploads, those adopted from earlier runs included, at the moment of the report."""

    stored: int = 0
    superseded: int = 0
    failed: int = 0
    cancelled: int = 0
    spooled: int = 0
    left: tuple[LeftUpload, ...] = ()
    folder: str = ""
    """Where what is left lies; ``""`` when nothing is."""
    verified_at_accept: int = 0
    """Stored uploads whose bytes were compared with a sum taken when they were accepted."""
    verified_while_sending: int = 0
    """Stored uploads whose sum was taken by the attempt itself; size and time stood for it until then."""

    @property
    def complete(self) -> bool:
        """Everything accepted is stored, superseded or was cancelled."""
        return self.failed == 0 and self.spooled == 0

    def __str__(self) -> str:
        text = f"stored {self.stored}, failed {self.failed}, spooled {self.spooled}"
        for name in ("superseded", "cancelled"):
            if getattr(self, name):
                text += f", {name} {getattr(self, name)}"
        return text

    def advice(self) -> str:
        """One or two sentences on what is left and what to type next; ``""`` when nothing is."""
        if self.complete:
            return ""
        text = f"{self}: nothing is lost. It lies in {self.folder}"
        if self.spooled:
            return f"{text}; `rud resume {self.folder}` sends it."
        return f"{text}; `rud status {self.folder}` says why, `rud resume --failed {self.folder}` tries again."
