"""What a worker does with a command, whether it is a process, a thread, or called in line.

Commands: ``open`` (make the store, say ``ready``), ``upload``, ``probe``, ``quit``. Answers: ``ready``,
``progress``, ``multipart``, ``result``, ``probed``, ``log``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rud import _faultpoints, errors
from rud._attempt import Job, attempt
from rud._body import BodyRevoked
from rud._clock import Clock
from rud._frames import Message
from rud.errors import CredentialsExpiredError, ObjectStoreTransientError, RudError, StoreError
from rud.store import Backend

PROGRESS_EVERY = 0.25
"""Seconds: at most four reports a second."""

Send = Callable[[Message], None]


class Worker:
    """Holds one store and works on one command at a time.

    ``open_backend`` builds the store; ``send`` takes messages for the supervisor; ``revoked`` turns true when the
    attempt in hand was given up.
    """

    def __init__(
        self,
        open_backend: Callable[[], Backend],
        secrets: tuple[str, ...],
        send: Send,
        clock: Clock,
        revoked: Callable[[], bool] = lambda: False,
    ) -> None:
        self._open_backend = open_backend
        self._secrets = secrets
        self._send = send
        self._clock = clock
        self._revoked = revoked
        self._backend: Backend | None = None

    def handle(self, command: Message) -> bool:
        """Carry out one command; ``False`` once there is nothing more to do."""
        match command["do"]:
            case "open":
                self._guard("ready", self._open)
            case "upload":
                self._upload(Job.from_wire(command["job"]))
            case "probe":
                self._guard("probed", lambda: self._probe(reopen=command["reopen"]))
            case _:
                self.close()
                return False
        return True

    def close(self) -> None:
        """Give the store back; a store that fails at that has nothing of ours any more."""
        backend, self._backend = self._backend, None
        if backend is not None:
            try:
                backend.close()
            except Exception:  # noqa: BLE001  # whatever a store's author lets escape
                self._send({"re": "log", "level": 10, "text": "closing the store failed: " + traceback.format_exc()})

    def _store(self) -> Backend:
        if self._backend is None:
            if _faultpoints.active is not None:
                _faultpoints.hit("worker.import.before")
            self._backend = self._open_backend()
            if _faultpoints.active is not None:
                _faultpoints.hit("worker.import.after")
        return self._backend

    def _open(self) -> dict[str, Any]:
        store = self._store()
        store.prepare()
        return {"capabilities": asdict(store.capabilities)}

    def _probe(self, *, reopen: bool) -> dict[str, Any]:
        if reopen:
            self.close()
        self._store().probe()
        return {}

    def _guard(self, answer: str, work: Callable[[], dict[str, Any]]) -> None:
        try:
            message = work()
        except Exception as error:  # noqa: BLE001  # it crosses to the supervisor as values
            message = {"error": self._describe(error)}
        self._send({"re": answer, **message})

    def _upload(self, job: Job) -> None:
        report = _Progress(job, self._send, self._clock)
        message: dict[str, Any] = {"re": "result", "id": job.id}
        try:
            if _faultpoints.active is not None:
                _faultpoints.hit("worker.upload.begin", key=job.key, entry=job.entry_id)
            verdict = attempt(
                self._store(),
                job,
                on_read=report.read,
                on_multipart=lambda upload_id: self._send({"re": "multipart", "id": job.id, "upload": upload_id}),
                on_sum=lambda crc: message.update(crc=crc),
                revoked=self._revoked,
            )
            if _faultpoints.active is not None:
                _faultpoints.hit("worker.upload.stored", key=job.key, entry=job.entry_id)
            message.update(asdict(verdict))
        except BodyRevoked:
            message.update(error=self._describe(ObjectStoreTransientError.during("put", job.key, "given up")))
        except Exception as error:  # noqa: BLE001  # it crosses to the supervisor as values
            if isinstance(error, CredentialsExpiredError):
                self.close()
            message.update(error=self._describe(error))
        self._send(message)
        if _faultpoints.active is not None:
            _faultpoints.hit("worker.result.sent", key=job.key, entry=job.entry_id)

    def _describe(self, error: Exception) -> dict[str, Any]:
        """An error as values; the text of one that is not ours goes with it, and no secret does."""
        if isinstance(error, RudError):
            facts: dict[str, Any] = {"class": type(error).__name__, "text": str(error)}
            for name in ("operation", "key", "reason", "retry_after"):
                if getattr(error, name, None) is not None:
                    facts[name] = getattr(error, name)
        elif isinstance(error, OSError):
            facts = {"class": "StoreError", "text": f"{type(error).__name__}: {error}", "reason": type(error).__name__}
        else:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename}:{last.lineno}"
            facts = {
                "class": "StoreError",
                "text": f"{type(error).__name__} in {where}: {error}",
                "reason": type(error).__name__,
            }
        return {name: self._redact(value) if isinstance(value, str) else value for name, value in facts.items()}

    def _redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class _Progress:
    """Tells the supervisor how far the body was read, not too often, and always that it was read to the end; also when
    it is read again, for a request that is made again: whoever reads is alive."""

    def __init__(self, job: Job, send: Send, clock: Clock) -> None:
        self._job, self._send, self._clock = job, send, clock
        self._next = clock.monotonic() + PROGRESS_EVERY
        self._told = 0

    def read(self, count: int) -> None:
        if _faultpoints.active is not None:
            _faultpoints.hit("worker.part.sent", key=self._job.key, entry=self._job.entry_id, bytes=count)
        now = self._clock.monotonic()
        if now >= self._next or self._told < count == self._job.size:
            self._told, self._next = count, now + PROGRESS_EVERY
            self._send({"re": "progress", "id": self._job.id, "read": count})


def error_from(facts: dict[str, Any]) -> Exception:
    """The error that ``_describe`` put into values, as one of ``rud.errors`` again."""
    facts = dict(facts)
    cls: type[RudError] = getattr(errors, facts.pop("class"), StoreError)
    text = facts.pop("text")
    if not issubclass(cls, StoreError):
        return cls(text)
    if not issubclass(cls, ObjectStoreTransientError):
        facts.pop("retry_after", None)
    return cls(text, **facts)
