"""One attempt: what it looks at, what it sends, and what it says when it may not know."""

from __future__ import annotations

import io
import logging
import os
from dataclasses import replace
from pathlib import Path

import google_crc32c
import pytest
from rud_fakes import FakeClock, Fault, FaultyBackend, MemoryBackend

from rud._attempt import Job, Verdict, attempt
from rud._body import Body
from rud._child import Outbox, _ToParent
from rud._clock import SystemClock
from rud._frames import Decoder, Message
from rud._worker import PROGRESS_EVERY, Worker, _Progress, error_from
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
    ThrottledError,
)
from rud.store import Backend, PutMode

DATA = b"weights"
CRC = google_crc32c.value(DATA)
OURS, EARLIER, LATER = f"{20:016x}", f"{10:016x}", f"{30:016x}"


@pytest.fixture
def store(tmp_path: Path) -> MemoryBackend:
    return MemoryBackend(tmp_path.name)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "payload"
    path.write_bytes(DATA)
    return Job(
        id=20,
        key="k",
        path=str(path),
        offset=0,
        size=len(DATA),
        crc=CRC,
        mtime_ns=None,
        overwrite=True,
        entry_id=OURS,
        durable=False,
        accepted_ns=SystemClock().time_ns(),
    )


def make(store: Backend, job: Job) -> Verdict:
    return attempt(
        store, job, on_read=lambda _: None, on_multipart=lambda _: None, on_sum=lambda _: None, revoked=lambda: False
    )


def put(store: MemoryBackend, data: bytes, entry_id: str | None) -> None:
    store.put(
        "k",
        Body(io.BytesIO(data), len(data)),
        mode=PutMode.OVERWRITE,
        checksum=None,
        entry_id=entry_id,
        durable=False,
        on_multipart=lambda _: None,
    )


def content(store: MemoryBackend) -> bytes:
    sink = io.BytesIO()
    store.get("k", sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("there", "verdict", "left"),
    [
        (None, "stored", DATA),
        (EARLIER, "stored", DATA),
        (OURS, "stored", b"there"),
        (LATER, "superseded", b"there"),
    ],
)
def test_a_look_decides_by_the_entry_id(
    store: MemoryBackend, job: Job, there: str | None, verdict: str, left: bytes
) -> None:
    """Ours: stored. An earlier one of ours: sent over it. A later one: superseded, never overwritten (I5)."""
    if there is not None:
        put(store, b"there", there)

    assert make(store, replace(job, look=True, adopted=True, accepted_ns=int(OURS, 16))).outcome == verdict
    assert content(store) == left


def test_a_clock_that_was_ahead_does_not_supersede(store: MemoryBackend, job: Job) -> None:
    """An upload of this run, tried again, is sent over an object with a later id: an earlier run has sent that."""
    put(store, b"there", LATER)

    assert make(store, replace(job, look=True)).outcome == "stored"
    assert content(store) == DATA


@pytest.mark.parametrize(("force", "verdict", "left"), [(False, "aside", b"theirs"), (True, "stored", DATA)])
def test_a_newer_object_of_somebody_else_is_left_unless_forced(
    store: MemoryBackend, job: Job, *, force: bool, verdict: str, left: bytes
) -> None:
    """An adopted upload does not overwrite what came after it."""
    put(store, b"theirs", None)

    assert make(store, replace(job, look=True, force=force)).outcome == verdict
    assert content(store) == left


@pytest.mark.parametrize("there", [None, EARLIER, LATER])
def test_a_create_is_superseded_by_nothing(store: MemoryBackend, job: Job, there: str | None) -> None:
    """Who asked for no overwriting is told that the key is taken, whoever took it and when."""
    put(store, b"there", there)

    with pytest.raises(ObjectExistsError):
        make(store, replace(job, look=True, overwrite=False))
    assert content(store) == b"there"


def test_an_older_object_of_somebody_else_is_overwritten(store: MemoryBackend, job: Job) -> None:
    """It lay there when the upload was accepted: overwriting it is what was asked for."""
    put(store, b"theirs", None)
    late = replace(job, look=True, accepted_ns=SystemClock().time_ns() + 3_600_000_000_000)

    assert make(store, late).outcome == "stored"
    assert content(store) == DATA


def test_a_look_that_fails_says_nothing(store: MemoryBackend, job: Job) -> None:
    """I18: the failure itself is what is reported; nothing is sent and nothing inferred."""
    put(store, b"there", LATER)
    broken = FaultyBackend(store, [Fault("head", ObjectStoreTransientError.during("head", "k", "503"))])

    with pytest.raises(ObjectStoreTransientError, match="503"):
        make(broken, replace(job, look=True))

    assert content(store) == b"there"


def test_a_look_that_is_not_allowed_leaves_the_upload_spooled_unless_forced(store: MemoryBackend, job: Job) -> None:
    """I18: 403 is not "missing"."""
    put(store, b"there", LATER)
    denied = AccessDeniedError.during("head", "k", "403")

    assert make(FaultyBackend(store, [Fault("head", denied)]), replace(job, look=True)).outcome == "unread"
    assert content(store) == b"there"
    forced = replace(job, look=True, force=True)
    assert make(FaultyBackend(store, [Fault("head", denied)]), forced).outcome == "stored"


def test_a_create_is_ours_by_its_id_only(store: MemoryBackend, job: Job) -> None:
    """I7: the same bytes of somebody else are somebody else's."""
    create = replace(job, overwrite=False)
    put(store, DATA, LATER)
    with pytest.raises(ObjectExistsError):
        make(store, create)
    put(store, DATA, OURS)

    assert make(store, create) == Verdict("stored")


def test_a_create_on_a_store_without_ids_is_ours_by_its_bytes(store: MemoryBackend, job: Job) -> None:
    """Size and checksum are all that there is to go by."""
    put(store, DATA, None)

    assert make(store, replace(job, overwrite=False)).outcome == "stored"


def test_a_payload_that_is_not_what_was_accepted_is_never_stored(store: MemoryBackend, job: Job) -> None:
    """I4: other bytes, a shorter file, or another time of a file that has no sum yet."""
    with pytest.raises(IntegrityError, match="was accepted"):
        make(store, replace(job, crc=CRC ^ 1))
    with pytest.raises(IntegrityError, match="ends after"):
        make(store, replace(job, size=job.size + 1, crc=None))
    with pytest.raises(IntegrityError, match="changed after it was accepted"):
        make(store, replace(job, crc=None, mtime_ns=1))

    with pytest.raises(ObjectNotFoundError):
        store.head("k")


def test_the_first_attempt_sums_what_had_no_sum(store: MemoryBackend, job: Job) -> None:
    """Whether it succeeds or not, once it has read all."""
    sums: list[int] = []
    lost = FaultyBackend(store, [Fault("put", ObjectStoreTransientError("the reply was lost"), after=True)])
    with pytest.raises(ObjectStoreTransientError):
        attempt(
            lost,
            replace(job, crc=None),
            on_read=lambda _: None,
            on_multipart=lambda _: None,
            on_sum=sums.append,
            revoked=lambda: False,
        )

    assert sums == [CRC]


@pytest.mark.parametrize(
    "error",
    [
        ThrottledError("slow down", operation="put", key="k", reason="503", retry_after=2.0),
        ObjectNotFoundError.during("head", "k", "404"),
        IntegrityError("the payload is shorter"),
    ],
)
def test_our_errors_cross_as_values(store: MemoryBackend, job: Job, error: RudError) -> None:
    """Class, sentence and facts are the same on the other side."""
    (message,) = answers(FaultyBackend(store, [Fault("put", error)]), job)
    again = error_from(message["error"])

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("error", [ZeroDivisionError("of the author"), OSError(5, "Input/output error")])
def test_foreign_errors_become_a_store_error_that_names_them(store: MemoryBackend, job: Job, error: Exception) -> None:
    """A bug of a backend's author is a failure for good, with its own name and place."""
    (message,) = answers(FaultyBackend(store, [Fault("put", error)]), job)
    again = error_from(message["error"])

    assert type(again) is StoreError
    assert type(error).__name__ in str(again)


def test_no_secret_is_in_what_a_worker_says(store: MemoryBackend, job: Job) -> None:
    """I23: an SDK that prints the key of the account does not get it into our texts."""
    leaky = FaultyBackend(store, [Fault("put", ValueError("bad signature for hunter22"))])
    (message,) = answers(leaky, job, secrets=("hunter22",))

    assert "hunter22" not in str(message)
    assert "***" in message["error"]["text"]


def answers(store: Backend, job: Job, *, secrets: tuple[str, ...] = ()) -> list[Message]:
    said: list[Message] = []
    worker = Worker(lambda: store, secrets, said.append, SystemClock())
    assert worker.handle({"do": "upload", "job": job.to_wire()})
    return [message for message in said if message["re"] == "result"]


def test_a_worker_gives_its_store_back(store: MemoryBackend) -> None:
    """When it is told to quit, whatever closing comes to."""
    closed: list[str] = []

    class Leaky(MemoryBackend):
        def close(self) -> None:
            closed.append(self.uri("k"))
            raise OSError("of the author")

    said: list[Message] = []
    worker = Worker(lambda: Leaky("b"), (), said.append, SystemClock())

    assert [worker.handle({"do": command}) for command in ("open", "quit")] == [True, False]
    assert closed == ["memory://b/k"]
    assert "of the author" in said[-1]["text"]


def test_what_a_worker_logs_reaches_its_parent() -> None:
    """A warning of an SDK in a worker process, which has no logging of its own, is a message to the parent."""
    read, write = os.pipe()
    warning = {"name": "botocore", "levelno": 30, "msg": "the clock is %d s off", "args": (900,)}
    _ToParent(Outbox(write)).handle(logging.makeLogRecord(warning))
    os.close(write)
    with open(read, "rb") as pipe:
        messages = list(Decoder().feed(pipe.read()))

    assert messages == [{"re": "log", "level": 30, "name": "botocore", "text": "the clock is 900 s off"}]


def test_a_worker_is_ready_when_its_store_is(store: MemoryBackend) -> None:
    """What an SDK takes to be imported is over before the first upload, and what is wrong is told at once."""

    class Heavy(MemoryBackend):
        def prepare(self) -> None:
            raise ConfigurationError("no such region")

    said: list[Message] = []
    Worker(lambda: Heavy("b"), (), said.append, SystemClock()).handle({"do": "open"})
    Worker(lambda: store, (), said.append, SystemClock()).handle({"do": "open"})

    assert [message["re"] for message in said] == ["ready", "ready"]
    assert type(error_from(said[0]["error"])) is ConfigurationError
    assert said[1]["capabilities"]["create"] is True


class Aborting(MemoryBackend):
    """Notes what it is asked to abort; ``error`` is raised for it."""

    asked: list[str | None]
    error: Exception | None = None

    def abort(self, key: str, upload_id: str | None) -> None:
        self.asked.append(upload_id)
        if self.error is not None:
            raise self.error


@pytest.fixture
def aborting(tmp_path: Path) -> Aborting:
    made = Aborting(tmp_path.name)
    made.asked = []
    return made


def test_what_earlier_attempts_have_begun_is_ended_first(aborting: Aborting, job: Job) -> None:
    """By its id, and by the key where there may be more; and nothing is looked for when there cannot be."""
    make(aborting, replace(job, aborts=("one", "two")))
    assert aborting.asked == ["one", "two"]
    make(aborting, replace(job, aborts=("one",), strays=True))
    assert aborting.asked == ["one", "two", "one", None]


@pytest.mark.parametrize("error", [AccessDeniedError("hunter2"), StoreError("hunter2")])
def test_parts_that_may_not_be_removed_keep_no_upload_from_being_stored(
    aborting: Aborting, job: Job, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Some may put and not abort: they are told, and what was accepted is stored."""
    aborting.error = error

    assert make(aborting, replace(job, aborts=("one",), strays=True)).outcome == "stored"
    assert aborting.asked == ["one", None]
    assert "'k'" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("error", [ObjectStoreTransientError("503"), CredentialsExpiredError("expired")])
def test_parts_that_cannot_be_removed_now_are_removed_by_the_next_attempt(
    aborting: Aborting, job: Job, error: Exception
) -> None:
    """It comes anyway, since the store does not answer, or not to us."""
    aborting.error = error

    with pytest.raises(type(error)):
        make(aborting, replace(job, aborts=("one",)))


def test_a_worker_tells_of_reading_again(job: Job) -> None:
    """A request that is made anew reads what was read: the supervisor hears that somebody is at work."""
    clock = FakeClock()
    said: list[Message] = []
    progress = _Progress(replace(job, size=100), said.append, clock)
    for seconds, count in ((0.0, 50), (PROGRESS_EVERY, 60), (0.0, 60), (0.0, 100), (0.0, 100), (PROGRESS_EVERY, 100)):
        clock.advance(seconds)
        progress.read(count)

    assert [message["read"] for message in said] == [60, 100, 100]
