"""The spool: what was accepted lies here until its outcome is recorded."""

from __future__ import annotations

from rud._spool.adoption import Adoption
from rud._spool.entry import Outcome, SpoolEntry
from rud._spool.options import SpoolOptions
from rud._spool.owner import Owner
from rud._spool.payload import Staged
from rud._spool.spool import Spool
from rud._spool.status import FailedUpload, OwnerStatus, discard, scan

__all__ = [
    "Spool",
    "SpoolOptions",
    "SpoolEntry",
    "Outcome",
    "Staged",
    "Adoption",
    "Owner",
    "OwnerStatus",
    "FailedUpload",
    "scan",
    "discard",
]
