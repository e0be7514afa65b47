"""A memory store that does with each put what a test says, and keeps a journal of what became visible."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace

from rud_fakes import MemoryBackend

from rud.errors import AccessDeniedError, ConfigurationError, ObjectStoreTransientError, ThrottledError
from rud.store import Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Source


class Script:
    """What happens next in a bucket. ``puts``: one word a put, ``"ok"`` when it is empty; ``out``: nothing answers;
    ``unreadable``: the credentials may not look."""

    def __init__(self) -> None:
        self.puts: deque[str] = deque()
        self.out = False
        self.unreadable = False
        self.journal: list[tuple[str, str]] = []
        """(key, entry id) of every put that became visible, in order."""
        self.denied: set[str] = set()
        self.probes = 0
        self.probe_errors: deque[Exception] = deque()
        """One a probe, while there are any."""
        self.aborted: list[str | None] = []


SCRIPTS: dict[str, Script] = defaultdict(Script)


class ScriptedStore(MemoryBackend):
    """``scripted://bucket``: obeys ``SCRIPTS[bucket]``."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._script = SCRIPTS[bucket]

    def probe(self) -> None:
        self._script.probes += 1
        if self._script.probe_errors:
            raise self._script.probe_errors.popleft()
        if self._script.out:
            raise ObjectStoreTransientError.during("probe", "", "no answer")

    def abort(self, key: str, upload_id: str | None) -> None:
        self._script.aborted.append(upload_id)

    def head(self, key: str) -> ObjectMeta:
        if self._script.unreadable:
            raise AccessDeniedError.during("head", key, "403")
        return super().head(key)

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
        word = "transient" if self._script.out else self._script.puts.popleft() if self._script.puts else "ok"
        if word == "transient":
            raise ObjectStoreTransientError.during("put", key, "503")
        if word == "misconfigured":
            raise ConfigurationError("the certificate does not verify")
        if word == "parts":
            on_multipart("parts-1")
            raise ObjectStoreTransientError.during("put", key, "503")
        if word == "throttled":
            raise ThrottledError("slow down", operation="put", key=key, retry_after=3.0)
        if word == "denied":
            self._script.denied.add(str(entry_id))
            raise AccessDeniedError.during("put", key, "403")
        result = super().put(
            key,
            source,
            mode=mode,
            checksum=checksum,
            entry_id=entry_id,
            durable=durable,
            on_multipart=on_multipart,
        )
        self._script.journal.append((key, str(entry_id)))
        if word == "lost":
            raise ObjectStoreTransientError.during("put", key, "the reply was lost")
        return result


class PickyStore(MemoryBackend):
    """A memory store that claims to work in other processes, and takes an argument of any kind."""

    def __init__(self, bucket: str, prefix: str = "", *, hook: object = None) -> None:
        super().__init__(bucket, prefix)
        self.hook = hook

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, processes=True)


def register() -> None:
    """Let ``scripted://`` and ``picky://`` be served by the classes above."""
    from rud import register_backend

    register_backend("picky", "tests.support.scripted_store:PickyStore")
    register_backend("scripted", "tests.support.scripted_store:ScriptedStore")
