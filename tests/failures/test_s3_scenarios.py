"""Longer stories on S3: workers and programs that die in the middle of parts, credentials that expire, all sizes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from rud_fakes.runtime import InlineRuntime
from rud_fakes.s3 import Fault

from rud import Downloader, OutageError, Uploader, UploadTimeoutError
from rud.cli import exits, main
from tests.support.processes import wait_for_end, workers_of
from tests.support.s3 import PART, SMALL_PARTS, content
from tests.support.s3_place import ACCESS_KEY, SECRET_KEY, S3Place

PARTS: dict[str, Any] = {"transfer_config": SMALL_PARTS}
BODY = 2 * PART + 1000
TWENTY = [str(number) for number in range(20)]


def stored_bytes(s3: S3Place) -> dict[str, bytes | None]:
    """Nothing unfinished lies beside it, and nothing is left in staging."""
    assert s3.server.uploads == {}
    assert s3.leftovers() == []
    return {key: one.data for key, one in s3.server.objects.items()}


# Deaths in the middle of parts


@pytest.mark.parametrize("overwrite", [True, False], ids=["overwrite", "create"])
def test_a_worker_is_killed_in_the_middle_of_parts(s3: S3Place, *, use_procs: bool, overwrite: bool) -> None:
    """The attempt is made again, the multipart upload that nobody will complete is aborted, and there is one object."""
    s3.server.add(Fault("UploadPart", "never", part=2))
    uploader = s3.uploader(use_procs=use_procs, num_attempts=1, backend_kwargs=PARTS)
    upload = uploader.upload(s3.binary_file("k", content(BODY)), "k", overwrite=overwrite)
    s3.server.wait_for("UploadPart", 2)
    s3.kill_a_worker(uploader)
    s3.open_gate()
    upload.result(20)

    assert uploader.close(10).stored == 1
    assert stored_bytes(s3) == {"k": content(BODY)}
    assert (s3.count("CreateMultipartUpload"), s3.count("CompleteMultipartUpload")) == (2, 1)
    assert s3.count("AbortMultipartUpload") >= 1


def test_a_worker_is_killed_before_it_has_the_id(s3: S3Place, *, use_procs: bool) -> None:
    """A multipart upload that was begun for a worker which never heard of it is found by its key, and aborted."""
    s3.server.add(Fault("CreateMultipartUpload", "call", call=lambda _: s3.kill_a_worker(uploader)))
    uploader = s3.uploader(use_procs=use_procs, num_attempts=1, backend_kwargs=PARTS)
    uploader.upload(s3.binary_file("k", content(BODY)), "k").result(20)

    assert uploader.close(10).stored == 1
    assert stored_bytes(s3) == {"k": content(BODY)}
    assert (s3.count("CreateMultipartUpload"), s3.count("AbortMultipartUpload")) == (2, 1)


@pytest.mark.parametrize("size", [1000, BODY], ids=["one request", "parts"])
def test_superseded_in_the_middle_of_parts(s3: S3Place, size: int) -> None:
    """An upload whose worker has died is superseded by one that waits behind it: what it has begun is aborted by that
    one, even if that has no parts itself."""
    s3.server.add(Fault("UploadPart", "never", part=2))
    uploader = s3.uploader_within(late_window=0.1, backend_kwargs=PARTS)
    first = uploader.upload(s3.binary_file("first", content(BODY)), "k")
    s3.server.wait_for("UploadPart", 2)
    second = uploader.upload(s3.binary_file("second", content(size)), "k")
    s3.kill_a_worker(uploader)
    second.result(20)

    assert (first.state.value, second.state.value) == ("superseded", "stored")
    assert uploader.close(10).stored == 1
    assert stored_bytes(s3) == {"k": content(size)}


@pytest.mark.parametrize(
    ("way", "use_procs"),
    [("a new run", True), ("rud resume", False)],
    ids=["process, a new run", "thread, rud resume"],
)
def test_a_program_is_killed_in_the_middle_of_parts(
    s3: S3Place, monkeypatch: pytest.MonkeyPatch, *, use_procs: bool, way: str
) -> None:
    """I2: what a dead program has begun is aborted by whoever takes over what it has left, and sent whole."""
    s3.server.add(Fault("UploadPart", "never", part=2, times=None))
    files = {"k": str(s3.binary_file("k", content(BODY))), "small": str(s3.file("small"))}
    program = s3.program("wait", use_procs=use_procs, orphan_grace=0.2, backend_kwargs=PARTS, files=files)
    program.expect("accepted")
    s3.server.wait_for("UploadPart", 2)
    workers = workers_of(program.pid)
    program.signal(signal.SIGKILL, group=False)
    program.wait()
    for pid in workers:
        wait_for_end(pid)
    s3.open_gate()
    assert len(s3.server.uploads) == 1
    if way == "a new run":
        uploader = s3.uploader(backend_kwargs=PARTS)
        uploader.drain(20, adopted=True)
        uploader.close(10)
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        assert main(["resume", str(s3.staging)]) == exits.DONE

    assert stored_bytes(s3) == {"k": content(BODY), "small": b"small"}


def test_what_a_dead_program_has_sent_may_still_arrive(s3: S3Place) -> None:
    """I5: what a program was sending when it died may be carried out yet, so no other bytes of that key are sent before
    the time for that is over; other keys are."""
    s3.plan({"k": ["gate"]})
    program = s3.program("wait", use_procs=False, files={"k": str(s3.file("k", "old"))})
    program.expect("accepted")
    s3.wait_until_begun(1)
    program.signal(signal.SIGKILL)
    program.wait()
    s3.open_gate()
    uploader = s3.uploader(_runtime=InlineRuntime())
    uploader.upload(s3.file("k", "new"), "k")
    uploader.upload(s3.file("other"), "other").result()
    with pytest.raises(UploadTimeoutError):
        uploader.drain(9.9)
    assert s3.begun() == ["k", "other"]
    uploader.drain(1.0)

    assert s3.begun() == ["k", "other", "k"]
    assert s3.stored() == {"k": "new", "other": "other"}


# Credentials


class Shared:
    """A shared credentials file, which somebody else rewrites."""

    def __init__(self, s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = s3.folder / "credentials"
        self.write("first")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(self._path))
        monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)

    def write(self, token: str) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(
            f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
            f"aws_session_token = {token}\n"
        )
        new.rename(self._path)


@pytest.fixture
def shared(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> Shared:
    return Shared(s3, monkeypatch)


FROM_THE_FILE = {"aws_access_key_id": None, "aws_secret_access_key": None}


def accept_twenty(s3: S3Place, uploader: Uploader) -> None:
    for name in TWENTY:
        uploader.upload(s3.file(name), name)


def test_a_token_expires_and_is_renewed(s3: S3Place, shared: Shared, *, use_procs: bool) -> None:
    """A token that expires in the middle of twenty uploads costs none of them an attempt; once the file has another,
    all are stored."""
    s3.server.add(Fault("PutObject", "call", skip=7, call=lambda _: s3.server.expire("first")))
    # The first probe still comes with the old token.
    s3.server.add(Fault("CreateMultipartUpload", "call", call=lambda _: shared.write("second")))
    uploader = s3.uploader(use_procs=use_procs, num_concurrent_uploads=2, num_attempts=1, backend_kwargs=FROM_THE_FILE)
    accept_twenty(s3, uploader)
    uploader.drain(30)

    assert len(s3.server.fired) == 2
    assert uploader.close(10).stored == 20
    assert s3.stored() == {name: name for name in TWENTY}


def test_a_token_expires_and_is_not_renewed(s3: S3Place, shared: Shared, *, use_procs: bool) -> None:
    """The waits raise after ``outage_timeout``, nothing has failed, and what is left is sent by ``rud resume`` when
    there are good credentials."""
    s3.server.add(Fault("PutObject", "call", skip=7, call=lambda _: s3.server.expire("first")))
    uploader = s3.uploader(
        use_procs=use_procs,
        num_concurrent_uploads=2,
        num_attempts=1,
        outage_timeout=0.3,
        backend_kwargs=FROM_THE_FILE,
    )
    accept_twenty(s3, uploader)
    with pytest.raises(OutageError, match=r"(?is)expired.*rud resume"):
        uploader.drain(20)
    report = uploader.close(0.1)
    assert (report.failed, report.stored + report.spooled) == (0, 20)
    assert len(report.left) == s3.spooled() >= 12
    shared.write("second")

    assert main(["resume", str(s3.staging)]) == exits.DONE
    assert s3.stored() == {name: name for name in TWENTY}
    assert s3.leftovers() == []


# Sizes


def test_round_trips(s3: S3Place, tmp_path: Path) -> None:
    """I4: from nothing to 64 MiB, on all defaults, what is stored and what comes back is what was handed over."""
    sizes = [0, 1, 1000, (256 << 10) + 1, PART, 16 << 20, (16 << 20) + 1, 64 << 20]
    uploader = s3.uploader(num_concurrent_uploads=2)
    for size in sizes:
        uploader.upload(s3.binary_file("source", content(size)), f"{size}")
    uploader.drain(60)

    assert uploader.close(10).stored == len(sizes)
    config = s3.config()
    with Downloader(config["uri"], backend_kwargs=config["backend_kwargs"]) as downloader:
        for size in sizes:
            stored = s3.server.object(f"{size}")
            assert (stored.size, stored.crc32c) == (size, google_crc32c.value(content(size)))
            downloader.download(f"{size}", tmp_path / "copy", overwrite=True)
            assert (tmp_path / "copy").read_bytes() == content(size)
    assert s3.server.uploads == {}
