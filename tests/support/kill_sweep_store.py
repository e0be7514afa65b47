"""The store of the kill sweep: the folder with a journal of the kill test, which refuses keys below ``denied/`` for as
long as a file ``denied`` stands beside its journal."""

from __future__ import annotations

from rud.errors import AccessDeniedError
from rud.store import OnMultipart, PutMode, PutResult, Source
from tests.support.journal_store import JournalStore

REFUSES = "denied"


class SweepStore(JournalStore):
    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        if key.startswith("denied/") and (self._journal.parent / REFUSES).exists():
            raise AccessDeniedError.during("put", key, "403 AccessDenied")
        return super().put(
            key,
            source,
            mode=mode,
            checksum=checksum,
            entry_id=entry_id,
            durable=durable,
            on_multipart=on_multipart,
        )
