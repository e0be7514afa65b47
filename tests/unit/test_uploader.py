"""What callers of ``Uploader`` and ``Upload`` see: bad input, handles, waits, failures, close. All on one thread."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from rud_fakes.memory import MemoryBackend
from rud_fakes.runtime import InlineRuntime

from rud import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    DependencyFailedError,
    InvalidKeyError,
    ObjectStoreTransientError,
    OutageError,
    PoolClosedError,
    PoolError,
    Upload,
    UploadDeniedError,
    Uploader,
    UploadError,
    UploadExistsError,
    UploadState,
    UploadTimeoutError,
)
from rud._clock import SystemClock
from rud._retry import Destination
from rud._scheduler import Effects
from rud._transfer import Transfer
from tests.support import scripted_store
from tests.support.scripted_store import SCRIPTS, Script, ScriptedStore

scripted_store.register()


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    name = tmp_path.name
    yield name
    MemoryBackend.forget(name)
    SCRIPTS.pop(name, None)


@pytest.fixture
def script(bucket: str) -> Script:
    return SCRIPTS[bucket]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


Build = Callable[..., Uploader]


@pytest.fixture
def build(bucket: str, tmp_path: Path) -> Iterator[Build]:
    built: list[Uploader] = []

    def make(**arguments: Any) -> Uploader:
        arguments.setdefault("_runtime", InlineRuntime())
        arguments.setdefault("upload_staging_folder", tmp_path / "staging")
        uploader = Uploader(f"scripted://{bucket}", use_procs=False, **arguments)
        built.append(uploader)
        return uploader

    yield make
    for uploader in built:
        uploader.close(1.0)


def staged(tmp_path: Path) -> list[Path]:
    return [
        path for path in (tmp_path / "staging").rglob("*") if path.is_file() and path.parent.name in ("big", "failed")
    ]


@pytest.mark.parametrize(
    ("uri", "arguments", "says"),
    [
        ("nope://bucket", {}, "file"),
        ("just/a/path", {}, "file:///"),
        ("scripted://", {}, "bucket"),
        ("scripted://b", {"num_concurrent_uploads": 0}, "num_concurrent_uploads"),
        ("scripted://b", {"num_concurrent_uploads": True}, "num_concurrent_uploads"),
        ("scripted://b", {"num_attempts": 0}, "num_attempts"),
        ("scripted://b", {"num_attempts": 1.5}, "num_attempts"),
        ("scripted://b", {"staging_mode": "teleport"}, "reflink"),
        ("scripted://b", {"max_staged_bytes": "much"}, "max_staged_bytes"),
        ("scripted://b", {"when_full": "drop"}, "block"),
        ("scripted://b", {"stall_timeout": -1}, "stall_timeout"),
        ("scripted://b", {"on_failure": "ignore"}, "warn"),
        ("scripted://b", {"backend_kwargs": {"colour": "red"}}, "colour"),
        ("memory://b", {"use_procs": True}, "use_procs=False"),
    ],
)
def test_bad_input_is_refused_when_it_is_built(tmp_path: Path, uri: str, arguments: dict[str, Any], says: str) -> None:
    """One clear sentence that names what was given and what is allowed; nothing is left behind."""
    staging = tmp_path / "staging"
    all_arguments: dict[str, Any] = {"use_procs": False, "upload_staging_folder": staging, **arguments}
    with pytest.raises(ConfigurationError, match=says) as caught:
        Uploader(uri, **all_arguments)

    assert isinstance(caught.value, ValueError)
    assert not staging.exists()


def test_a_misspelt_option_is_a_type_error(tmp_path: Path) -> None:
    """A misspelt keyword is no silent default."""
    with pytest.raises(TypeError, match="stall_timout"):
        Uploader("scripted://b", use_procs=False, stall_timout=3)  # type: ignore[call-arg]  # the misspelling is the case


def test_a_bad_value_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever set it knows where to look."""
    monkeypatch.setenv("RUD_STALL_TIMEOUT", "soon")

    with pytest.raises(ConfigurationError, match="RUD_STALL_TIMEOUT"):
        Uploader("scripted://b", use_procs=False)


def test_half_set_ranks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank without a world size is a broken launch, and says what was seen."""
    monkeypatch.setenv("RANK", "3")

    with pytest.raises(ConfigurationError, match="RANK"):
        Uploader("scripted://b", use_procs=False)


def test_arguments_that_cannot_cross_to_a_worker_are_refused_in_words(tmp_path: Path) -> None:
    """The worker would only be able to say that it died."""
    with pytest.raises(ConfigurationError, match="cannot be sent to a worker process"):
        Uploader(
            "picky://bucket",
            backend_kwargs={"hook": lambda: None},
            upload_staging_folder=tmp_path / "staging",
        )


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda folder: folder / "missing", FileNotFoundError),
        (lambda folder: folder, IsADirectoryError),
    ],
)
def test_a_source_that_is_no_file_is_refused_and_nothing_accepted(
    build: Build, tmp_path: Path, make: Callable[[Path], Path], error: type[OSError]
) -> None:
    """The built-in error that one would expect, and an empty spool."""
    uploader = build()

    with pytest.raises(error):
        uploader.upload(make(tmp_path), "k")

    assert uploader.close().spooled == 0
    assert staged(tmp_path) == []


def test_a_folder_is_refused_with_the_loop_that_uploads_it(build: Build, tmp_path: Path) -> None:
    """The message shows what to type."""
    with pytest.raises(IsADirectoryError) as caught:
        build().upload(tmp_path, "k")

    loop = str(caught.value)
    assert "rglob" in loop
    assert "uploader.upload(path, key)" in loop


@pytest.mark.parametrize("key", ["", "a\0b", "\ud800"])
def test_a_key_that_no_store_can_keep_is_refused(build: Build, source: Path, key: str) -> None:
    """Before anything is staged."""
    with pytest.raises(InvalidKeyError):
        build().upload(source, key)


def test_a_handle_behaves_as_a_future_does(build: Build, source: Path, bucket: str) -> None:
    """Not done, then done with the URI; callbacks get the handle, also when they are added late."""
    uploader = build()
    upload = uploader.upload(source, "a/b.pt")
    seen: list[Upload] = []
    upload.add_done_callback(seen.append)

    assert (upload.key, upload.uri) == ("a/b.pt", f"memory://{bucket}/a/b.pt")
    assert not upload.done()
    assert upload.result() == upload.uri
    assert upload.exception() is None
    assert upload.state is UploadState.STORED
    upload.add_done_callback(seen.append)
    assert seen == [upload, upload]
    assert upload.cancel() is False


def test_a_callback_that_raises_is_logged_and_harms_nobody(
    build: Build, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As for a ``Future``."""

    def fail(upload: Upload) -> None:
        raise ZeroDivisionError("of the callback")

    upload = build().upload(source, "k")
    upload.add_done_callback(fail)
    upload.result()

    assert "of the callback" in caplog.text


def test_a_cancelled_upload_is_never_sent(build: Build, source: Path, script: Script) -> None:
    """It ends as cancelled, its waiters hear ``CancelledError``, its callbacks are called once, its dependents fail."""
    uploader = build(_runtime=InlineRuntime(stepped=True), on_failure="warn")
    upload = uploader.upload(source, "k")
    dependent = uploader.upload(source, "l", after=[upload])
    seen: list[Upload] = []
    upload.add_done_callback(seen.append)

    assert upload.cancel() is True
    assert upload.cancelled()
    assert seen == [upload]
    assert upload.cancel() is True
    assert seen == [upload]
    with pytest.raises(CancelledError):
        upload.result()
    with pytest.raises(DependencyFailedError, match="'k'"):
        dependent.result()
    assert script.journal == []


def test_a_superseded_upload_answers_as_its_successor(build: Build, source: Path, script: Script) -> None:
    """The older handle is done when the newer upload is, and succeeds with it."""
    uploader = build()
    first, second = uploader.upload(source, "k"), uploader.upload(source, "k")
    seen: list[Upload] = []
    first.add_done_callback(seen.append)

    assert first.state is UploadState.SUPERSEDED
    assert not first.done()
    assert first.result() == second.uri
    assert seen == [first]
    assert [entry_id for _, entry_id in script.journal] == [second.id]


def test_after_holds_back_until_all_are_stored(build: Build, source: Path, script: Script) -> None:
    """I8: a pointer is never there before what it points to, whatever fails in between."""
    uploader = build(num_concurrent_uploads=3)
    script.puts.extend(["transient", "ok", "transient"])
    shards = [uploader.upload(source, f"shard{i}") for i in range(3)]
    uploader.upload(source, "latest", after=shards)
    uploader.drain()

    assert [key for key, _ in script.journal][-1] == "latest"
    assert len(script.journal) == 4


def test_after_takes_uploads_of_this_uploader_only(build: Build, source: Path, tmp_path: Path) -> None:
    """Another uploader's handle says nothing here."""
    other = build(upload_staging_folder=tmp_path / "other").upload(source, "k")

    with pytest.raises(ConfigurationError, match="another uploader"):
        build().upload(source, "l", after=[other])


def test_a_second_create_of_a_key_under_way_is_refused(build: Build, source: Path) -> None:
    """``FileExistsError`` at the call; nothing is accepted."""
    uploader = build()
    uploader.upload(source, "k", overwrite=False)

    with pytest.raises(UploadExistsError) as caught:
        uploader.upload(source, "k", overwrite=False)

    assert isinstance(caught.value, FileExistsError)
    assert uploader.counts().spooled == 1


def test_a_create_leaves_what_is_there_as_it_was(build: Build, source: Path, script: Script) -> None:
    """I7: the object of somebody else stays, the upload fails and is kept with its reason."""
    uploader = build()
    uploader.upload(source, "k").result()
    source.write_bytes(b"other weights")
    upload = uploader.upload(source, "k", overwrite=False)

    error = upload.exception()

    assert isinstance(error, FileExistsError)
    assert isinstance(error, UploadExistsError)
    assert (Path(error.kept_at) / "payload").read_bytes() == b"other weights"
    assert len(script.journal) == 1


def test_a_create_whose_reply_was_lost_is_recognised_as_our_own(build: Build, source: Path, script: Script) -> None:
    """I7: no false ``FileExistsError`` for our own success."""
    script.puts.append("lost")
    upload = build().upload(source, "k", overwrite=False)

    assert upload.result() == upload.uri
    assert len(script.journal) == 1


def test_a_failure_that_was_overcome_is_never_raised(build: Build, source: Path, script: Script) -> None:
    """I16, and defect 1 of the incumbent: a retried and stored upload is a stored upload."""
    script.puts.append("transient")
    uploader = build()
    uploader.upload(source, "k")
    uploader.drain()
    uploader.raise_if_failed()

    assert uploader.counts().stored == 1


def test_credentials_that_may_only_write_retry_all_the_same(build: Build, source: Path, script: Script) -> None:
    """A look before the second attempt that is refused keeps nothing from being sent."""
    script.puts.append("transient")
    script.unreadable = True
    upload = build().upload(source, "k")

    assert upload.result() == upload.uri


def test_each_failure_is_reported_once_with_its_facts(build: Build, source: Path, script: Script) -> None:
    """I16: key, rank, attempts, URI and where it is kept; the further ones are notes of the first."""
    script.puts.extend(["denied", "denied"])
    uploader = build()
    uploader.upload(source, "a")
    uploader.upload(source, "b")

    with pytest.raises(UploadDeniedError) as caught:
        uploader.drain()

    error = caught.value
    assert isinstance(error, PermissionError)
    assert (error.key, error.attempts, error.rank) == ("a", 1, 0)
    assert "rank 0" in str(error)
    assert "'b'" in error.__notes__[0]
    assert (Path(error.kept_at) / "payload").read_bytes() == b"weights"
    uploader.raise_if_failed()
    uploader.drain()


def test_what_a_handle_has_told_is_not_told_again(build: Build, source: Path, script: Script) -> None:
    """I16: whoever asked the handle knows."""
    script.puts.append("denied")
    uploader = build()
    upload = uploader.upload(source, "a")

    with pytest.raises(UploadDeniedError):
        upload.result()

    uploader.drain()


def test_warn_warns_instead(build: Build, source: Path, script: Script) -> None:
    """``on_failure="warn"``: training goes on, and the failure is a ``RuntimeWarning``."""
    script.puts.append("denied")
    uploader = build(on_failure="warn")
    uploader.upload(source, "a")

    with pytest.warns(RuntimeWarning, match="'a'"):
        uploader.drain()


def test_attempts_are_bounded_and_permanent_errors_tried_once(build: Build, source: Path, script: Script) -> None:
    """I17: three attempts that are charged, then kept aside; a refusal is not repeated."""
    script.puts.extend(["transient"] * 3 + ["denied"])
    uploader = build(on_failure="warn")
    first = uploader.upload(source, "a").exception()
    second = uploader.upload(source, "b").exception()

    assert isinstance(first, UploadError)
    assert isinstance(second, UploadDeniedError)
    assert (first.attempts, second.attempts) == (3, 1)
    assert not script.puts
    assert script.journal == []


def test_an_outage_costs_nobody_an_attempt(build: Build, source: Path, script: Script) -> None:
    """Uploads wait, probes ask, and when the store is back everything is stored (I21)."""
    runtime = InlineRuntime()
    uploader = build(_runtime=runtime)
    uploader.upload(source, "first").result()
    script.out = True
    uploads = [uploader.upload(source, f"k{i}") for i in range(5)]
    with pytest.raises(UploadTimeoutError):
        uploader.drain(timeout=600.0)
    probes = script.probes
    script.out = False
    uploader.drain()

    assert probes > 3
    assert [upload.state for upload in uploads] == [UploadState.STORED] * 5


def test_the_waits_raise_when_an_outage_outlasts_its_limit_and_recover(
    build: Build, source: Path, script: Script
) -> None:
    """``outage_timeout`` bounds a wait without a limit of its own; nothing is lost, and the next answer ends it."""
    runtime = InlineRuntime()
    uploader = build(_runtime=runtime, outage_timeout=100)
    uploader.upload(source, "first").result()
    script.out = True
    upload = uploader.upload(source, "k")

    with pytest.raises(OutageError, match="rud resume"):
        uploader.drain()
    with pytest.raises(OutageError):
        upload.result()

    script.out = False
    runtime.clock.advance(60.0)
    runtime.settle()
    assert upload.result() == upload.uri


def test_a_store_that_has_never_answered_fails_after_the_documented_attempts(
    build: Build, source: Path, script: Script
) -> None:
    """A wrong address is no outage."""
    script.out = True
    uploader = build(num_attempts=2, on_failure="warn")
    error = uploader.upload(source, "k").exception()

    assert error is not None
    assert "2 attempts" in str(error)


def test_a_probe_that_is_answered_says_nothing(build: Build, script: Script) -> None:
    """One request by a worker, and the destination counts as one that has answered."""
    build().probe()

    assert script.probes == 1


@pytest.mark.parametrize(
    "error",
    [
        BucketNotFoundError.during("probe", "", "no such bucket"),
        AccessDeniedError.during("probe", "", "403"),
        ConfigurationError("the certificate does not verify"),
    ],
)
def test_a_probe_raises_at_once_what_will_not_pass(build: Build, script: Script, error: Exception) -> None:
    """A typing error is told before the first upload, as what it is."""
    script.probe_errors.append(error)
    uploader = build()

    with pytest.raises(type(error), match=str(error)):
        uploader.probe()
    assert script.probes == 1


def test_a_probe_bears_what_may_pass_as_often_as_an_upload_does(build: Build, script: Script) -> None:
    """``num_attempts`` is the limit, and one failure less is none."""
    error = ObjectStoreTransientError.during("probe", "", "503")
    script.probe_errors.extend([error] * 2)
    uploader = build(num_attempts=3)
    uploader.probe()
    script.probe_errors.extend([error] * 3)

    with pytest.raises(ObjectStoreTransientError, match="503"):
        uploader.probe()
    assert script.probes == 6


def test_a_probe_that_cannot_be_made_says_so(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs a worker: none can be had, or the uploader is closed, or has died."""
    no_worker, closed, dead = InlineRuntime(), build(), InlineRuntime()

    def refuse(*arguments: Any, **named: Any) -> Any:
        raise OSError("too many processes")

    def die(timeout: float | None) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr(no_worker, "hire", refuse)
    monkeypatch.setattr(dead, "wait", die)
    closed.close(1.0)

    with pytest.raises(OutageError, match="too many processes"):
        build(_runtime=no_worker).probe()
    with pytest.raises(PoolClosedError, match="closed"):
        closed.probe()
    with pytest.raises(PoolError, match="a bug"):
        build(_runtime=dead).probe()


def test_a_store_that_cannot_be_opened_is_told_at_once(
    build: Build, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it may pass: then it is waited for."""
    errors: list[Exception] = [ObjectStoreTransientError.during("open", "", "no answer")]

    def prepare(self: ScriptedStore) -> None:
        if errors:
            raise errors.pop()

    monkeypatch.setattr(ScriptedStore, "prepare", prepare)
    assert build().upload(source, "k").result()
    errors.append(AccessDeniedError.during("open", "", "not for you"))
    runtime = InlineRuntime()
    uploader = build(_runtime=runtime)
    began = runtime.clock.monotonic()
    uploader.upload(source, "k")

    with pytest.raises(OutageError, match="not for you"):
        uploader.drain()
    assert runtime.clock.monotonic() - began < 1.0


@pytest.mark.parametrize("error", [AccessDeniedError("403"), ConfigurationError("the clock"), None])
def test_who_waits_for_a_probe_on_another_thread_is_woken(
    bucket: str, tmp_path: Path, script: Script, error: Exception | None
) -> None:
    """Whatever has come out: nothing else may happen for a long time."""
    if error is not None:
        script.probe_errors.append(error)
    with Uploader(f"scripted://{bucket}", use_procs=False, upload_staging_folder=tmp_path / "staging") as uploader:
        if error is None:
            uploader.probe()
        else:
            with pytest.raises(type(error)):
                uploader.probe()
    if error is None:
        with pytest.raises(PoolClosedError, match="closed"):
            uploader.probe()


def test_who_waits_for_a_probe_is_told_at_once_of_a_store_that_cannot_be_opened(
    bucket: str, tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another thread, and not when it is tried again half a minute later."""
    asked = threading.Event()
    ask = Destination.ask

    def ask_and_tell(destination: Destination, now: float) -> None:
        ask(destination, now)
        asked.set()

    def prepare(self: ScriptedStore) -> None:
        asked.wait(10)
        raise AccessDeniedError("not for you")

    monkeypatch.setattr(Destination, "ask", ask_and_tell)
    monkeypatch.setattr(ScriptedStore, "prepare", prepare)
    began = time.monotonic()
    with Uploader(f"scripted://{bucket}", use_procs=False, upload_staging_folder=tmp_path / "staging") as uploader:
        with pytest.raises(AccessDeniedError, match="not for you"):
            uploader.probe()
        assert time.monotonic() - began < 20
    assert script.probes == 0


def test_what_an_outage_has_befallen_is_not_charged_when_it_ends(build: Build, source: Path, script: Script) -> None:
    """The probe that failed has answered whose fault it was; the one that succeeds later says nothing more of it."""
    runtime = InlineRuntime()
    uploader = build(_runtime=runtime, num_attempts=1)
    uploader.upload(source, "first").result()
    runtime.clock.advance(1.0)
    script.out = True
    second = uploader.upload(source, "second")
    runtime.settle()
    script.out = False

    assert second.result() == second.uri
    assert script.probes >= 2


def test_parts_of_an_earlier_run_are_removed_by_their_id(build: Build, source: Path, script: Script) -> None:
    """It is in the log before the first part is sent: who takes the upload over knows it."""
    script.puts.extend(["parts"] * 2)
    first = build(on_failure="warn")
    first.upload(source, "k")
    first.close(0.0)
    script.puts.clear()
    script.aborted.clear()
    runtime = InlineRuntime()
    build(_runtime=runtime)
    runtime.settle()

    assert "parts-1" in script.aborted
    assert [key for key, _ in script.journal] == ["k"]


def test_a_probe_that_meets_expired_credentials_opens_the_store_anew(
    build: Build, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they come from is asked again only by a new store."""
    closed: list[int] = []
    monkeypatch.setattr(ScriptedStore, "close", lambda self: closed.append(script.probes))
    script.probe_errors.append(CredentialsExpiredError("expired"))
    build().probe()

    assert (closed, script.probes) == ([1], 2)


def test_a_worker_that_dies_while_it_probes(build: Build, source: Path, script: Script) -> None:
    """Nothing was learnt, so another one probes."""
    runtime = InlineRuntime(stepped=True)
    uploader = build(_runtime=runtime)

    def work() -> None:
        for _ in range(3):
            runtime.settle()
            for link in runtime.links:
                link.work()

    uploader.upload(source, "first")
    work()
    runtime.clock.advance(1.0)
    script.out = True
    second = uploader.upload(source, "second")
    runtime.settle()
    (link,) = runtime.links
    link.work()
    runtime.settle()
    assert [command["do"] for command in link.waiting] == ["probe"]
    link.die()
    script.out = False
    for _ in range(5):
        runtime.clock.advance(10.0)
        work()

    assert (script.probes, second.state) == (1, UploadState.STORED)


def test_a_probe_that_is_never_answered(build: Build) -> None:
    """Each try is given up when there is no sign of life, and the tries are those of an upload."""
    runtime = InlineRuntime(stepped=True)
    uploader = build(_runtime=runtime, num_attempts=2, stall_timeout=7.0)
    began = runtime.clock.monotonic()

    with pytest.raises(ObjectStoreTransientError, match="no sign of life"):
        uploader.probe()
    assert 14.0 <= runtime.clock.monotonic() - began < 20.0


@pytest.mark.parametrize("how", ["dies", "hangs"])
def test_what_an_attempt_without_an_end_may_have_begun_is_looked_for(
    build: Build, source: Path, script: Script, how: str
) -> None:
    """Its worker may have begun parts and taken their id along."""
    runtime = InlineRuntime(stepped=True)
    uploader = build(_runtime=runtime, num_attempts=2)
    runtime.settle()
    upload = uploader.upload(source, "k")
    runtime.settle()
    (link,) = runtime.links
    if how == "dies":
        link.die()
    while not script.aborted:
        runtime.settle()
        runtime.clock.advance(40.0)
        for one in runtime.links:
            if one is not link:
                one.work()
    runtime.settle()

    assert script.aborted == [None]
    assert upload.state is UploadState.STORED


def test_a_wrong_set_up_holds_uploads_back_and_fails_none(build: Build, source: Path, script: Script) -> None:
    """A clock or a certificate that is wrong says nothing about a file; what was accepted goes when it is mended."""
    script.puts.append("misconfigured")
    runtime = InlineRuntime()
    uploader = build(_runtime=runtime)
    upload = uploader.upload(source, "k")

    with pytest.raises(OutageError, match="certificate"):
        uploader.drain()
    assert not upload.done()
    runtime.clock.advance(60.0)
    runtime.settle()
    uploader.drain()
    assert upload.done()


@pytest.mark.parametrize("when", ["before", "in the midst", "after"])
def test_an_interrupt_while_an_upload_is_scheduled(
    build: Build, source: Path, script: Script, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Ctrl-C between the accept and its turn: it was accepted, so it is sent, once, and nothing waits for ever."""
    uploader = build()
    scheduler = uploader._pool._scheduler
    submit = scheduler.submit

    def broken_off(transfer: Transfer, after: Iterable[Transfer] = ()) -> Effects:
        monkeypatch.setattr(scheduler, "submit", submit)
        if when == "after":
            submit(transfer, after)
        elif when == "in the midst":
            scheduler._live[transfer.entry.id] = transfer
            scheduler._keys.setdefault(transfer.entry.key, []).append(transfer)
        raise KeyboardInterrupt

    monkeypatch.setattr(scheduler, "submit", broken_off)
    with pytest.raises(KeyboardInterrupt):
        uploader.upload(source, "k")
    report = uploader.close()

    assert [key for key, _ in script.journal] == ["k"]
    assert (report.stored, report.spooled) == (1, 0)


def test_who_takes_the_place_of_an_upload_removes_its_parts(build: Build, source: Path, script: Script) -> None:
    """A superseded upload makes no other attempt, which would have aborted what its last one has left."""
    script.puts.extend(["parts", "ok"])
    runtime = InlineRuntime()
    uploader = build(_runtime=runtime)
    uploader.upload(source, "k")
    runtime.settle()
    uploader.upload(source, "k")
    uploader.drain()

    assert script.aborted == ["parts-1"]
    assert len(script.journal) == 1


def test_waits_have_their_own_limits(build: Build, source: Path) -> None:
    """``UploadTimeoutError`` is a ``TimeoutError``; the upload goes on."""
    uploader = build(_runtime=InlineRuntime(stepped=True), stall_timeout=1000)
    upload = uploader.upload(source, "k")

    with pytest.raises(TimeoutError):
        upload.result(timeout=1.0)
    with pytest.raises(UploadTimeoutError):
        uploader.drain(timeout=1.0)

    assert upload.state is UploadState.UPLOADING


def test_close_names_what_is_left_and_the_next_run_sends_it(build: Build, source: Path, script: Script) -> None:
    """I9: every accepted upload that is not stored, by id and key, and where it lies; the next run takes it over."""
    uploader = build(_runtime=InlineRuntime(stepped=True), stall_timeout=1000)
    upload = uploader.upload(source, "k")
    report = uploader.close(timeout=2.0)

    assert (report.spooled, report.stored) == (1, 0)
    assert [(left.key, left.state) for left in report.left] == [("k", "spooled")]
    assert Path(report.folder).is_dir()
    assert f"rud resume {report.folder}" in report.advice()
    assert "spooled 1" in str(report)
    with pytest.raises(UploadTimeoutError, match="stays spooled"):
        upload.result()

    again = build()
    again._pool.drain_adopted()
    assert [key for key, _ in script.journal] == ["k"]


def test_a_clean_close_leaves_nothing(build: Build, source: Path, tmp_path: Path) -> None:
    """Everything stored: no folder of the owner, an empty report, and closing again says the same."""
    uploader = build()
    uploader.upload(source, "k")
    report = uploader.close()

    assert str(report) == "stored 1, failed 0, spooled 0"
    assert (report.complete, report.left, report.folder, report.advice()) == (True, (), "", "")
    assert uploader.close() is report
    assert list((tmp_path / "staging" / "rud-spool" / "v1").iterdir()) == []


def test_after_close_nothing_is_accepted(build: Build, source: Path, tmp_path: Path) -> None:
    """``PoolClosedError`` is a ``ValueError``, as for a closed file."""
    uploader = build()
    uploader.close()

    with pytest.raises(ValueError, match="clos"):
        uploader.upload(source, "k")

    assert staged(tmp_path) == []


def test_a_with_block_drains_and_raises_what_failed(build: Build, source: Path, script: Script) -> None:
    """Leaving it normally means stored, or an error."""
    with build() as uploader:
        uploader.upload(source, "k")
    assert len(script.journal) == 1

    script.puts.append("denied")
    with pytest.raises(UploadDeniedError), build() as uploader:
        uploader.upload(source, "l")


def test_an_exception_in_the_block_is_never_hidden(
    build: Build, source: Path, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is left is said on stderr; the exception goes on."""
    uploader = build(_runtime=InlineRuntime(stepped=True), stall_timeout=1000, close_timeout=1)

    def training() -> None:
        with uploader:
            uploader.upload(source, "k")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        training()

    said = capsys.readouterr().err
    assert "spooled 1" in said
    assert "rud resume" in said


def test_a_forked_child_is_told_and_touches_nothing(build: Build, source: Path) -> None:
    """``upload`` and the waits raise in words there; ``close`` does nothing."""
    uploader = build()
    upload = uploader.upload(source, "k")
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of any fork beside a thread; that the child is safe is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            new = lambda: uploader.upload(source, "l")  # noqa: E731  # one of five calls that are made alike
            for call in (new, uploader.drain, uploader.probe, upload.result, upload.cancel):
                try:
                    call()
                except PoolClosedError as error:
                    os.write(writer, f"{error}\n".encode())
        finally:
            uploader.close()
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader, encoding="utf-8") as said:
        assert said.read().count("a fork of") == 5

    assert upload.result() == upload.uri


def test_building_one_inside_a_worker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that builds an uploader in its worker would never come to an end."""
    monkeypatch.setenv("RUD_WORKER_OF", str(os.getppid()))

    with pytest.raises(ConfigurationError, match="worker process"):
        Uploader("scripted://b", use_procs=False)


def test_a_frozen_program_uses_threads_and_says_so(
    monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path, bucket: str
) -> None:
    """There is no interpreter to start; one warning, no failure."""
    monkeypatch.setattr("sys.frozen", True, raising=False)

    with pytest.warns(RuntimeWarning, match="threads"):
        uploader = Uploader(f"memory://{bucket}", upload_staging_folder=tmp_path / "staging")

    assert uploader.upload(source, "k").result(30.0)
    assert uploader.close().complete


def test_windows_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """``import rud`` works there, and says what is missing when it is asked for more."""
    import rud

    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.delitem(vars(rud), "Uploader", raising=False)

    with pytest.raises(ConfigurationError, match="POSIX"):
        _ = rud.Uploader
    monkeypatch.undo()


def test_the_repr_tells_the_state(build: Build, source: Path, bucket: str) -> None:
    """A person at a prompt sees where things stand, without logging."""
    uploader = build()
    upload = uploader.upload(source, "k")

    assert repr(upload) == f"<Upload memory://{bucket}/k queued>"
    assert "spooled 1" in repr(uploader)


def test_close_is_bounded_though_the_disk_hangs(source: Path, tmp_path: Path, bucket: str) -> None:
    """I9: whoever writes the log may hold its lock for ever; ``close`` returns with what memory knows."""
    uploader = Uploader(f"memory://{bucket}", use_procs=False, upload_staging_folder=tmp_path / "staging")
    upload = uploader.upload(source, "k")
    upload.result(30.0)
    log = uploader._spool._owned().log
    clock = SystemClock()
    with log.lock:
        began = clock.monotonic()
        report = uploader.close(0.0)
        took = clock.monotonic() - began

    assert took < 3.0
    assert report.stored == 1
    assert uploader._pool._runtime.wait_until(uploader._pool._monitor, lambda: uploader._pool.finished, 30.0)
