"""The spool: what was accepted lies here until its outcome is recorded."""

from __future__ import annotations

from rud._spool.adoption import Adoption as Adoption
from rud._spool.entry import Outcome as Outcome
from rud._spool.entry import SpoolEntry as SpoolEntry
from rud._spool.options import SpoolOptions as SpoolOptions
from rud._spool.owner import Owner as Owner
from rud._spool.payload import Staged as Staged
from rud._spool.spool import Spool as Spool
from rud._spool.status import FailedUpload as FailedUpload
from rud._spool.status import OwnerStatus as OwnerStatus
from rud._spool.status import WaitingUpload as WaitingUpload
from rud._spool.status import discard as discard
from rud._spool.status import scan as scan
