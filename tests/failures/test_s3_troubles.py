"""An S3 server that loses its answers, refuses, throttles, is slow or not there: what the uploads come to."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from rud_fakes.runtime import InlineRuntime
from rud_fakes.s3 import Fault, S3Server
from rud_fakes.servers import S3Address

from rud import ConfigurationError, OutageError, UploadError, UploadTimeoutError
from rud.errors import BucketNotFoundError, UploadDeniedError, UploadExistsError
from tests.support.s3 import PART, SMALL_PARTS, content
from tests.support.s3_place import ACCESS_KEY, SECRET_KEY, S3Place

TEN = [str(number) for number in range(10)]
DEFAULTS: dict[str, Any] = {"client_config": None, "transfer_config": SMALL_PARTS}
"""The SDK asks as often as it does by default."""
SIZES = pytest.mark.parametrize("size", [1000, PART + 1000], ids=["one request", "parts"])


# Answers that do not come


@SIZES
def test_a_lost_reply_to_a_create(s3: S3Place, *, use_procs: bool, size: int) -> None:
    """I7: a create whose reply was lost is no conflict, whoever asks again: it is stored, once, and nothing is left."""
    s3.server.add(Fault("PutObject" if size < PART else "CompleteMultipartUpload", "lost_reply"))
    uploader = s3.uploader(use_procs=use_procs, num_attempts=1, backend_kwargs=DEFAULTS)
    uploader.upload(s3.binary_file("k", content(size)), "k", overwrite=False).result(20)

    assert uploader.close(10).stored == 1
    assert len(s3.server.fired) == 1
    assert {key: one.data for key, one in s3.server.objects.items()} == {"k": content(size)}
    assert s3.server.uploads == {}
    assert s3.leftovers() == []


@SIZES
def test_what_is_there_stays(s3: S3Place, *, use_procs: bool, size: int) -> None:
    """I7: a create of a taken key fails by that name, is tried once, and leaves the object as it was."""
    theirs = s3.server.put("k", b"somebody's")
    uploader = s3.uploader(use_procs=use_procs, backend_kwargs=DEFAULTS)
    uploader.upload(s3.binary_file("k", content(size)), "k", overwrite=False)
    with pytest.raises(UploadExistsError, match=r"'k'.*after 1 attempt"):
        uploader.drain(20)

    assert s3.server.objects == {"k": theirs}
    assert s3.server.uploads == {}


def test_a_connection_that_never_answers(s3: S3Place, *, use_procs: bool) -> None:
    """One request that is never answered is made again by the SDK, after its time limit: no attempt of ours is
    spent, and the others go on."""
    s3.server.add(Fault("PutObject", "never", key="3"))
    uploader = s3.uploader(
        use_procs=use_procs,
        num_concurrent_uploads=2,
        num_attempts=1,
        backend_kwargs={"client_config": {"read_timeout": 1}},
    )
    for name in TEN:
        uploader.upload(s3.file(name), name)
    uploader.drain(20)

    assert uploader.close(10).stored == 10
    assert s3.stored() == {name: name for name in TEN}
    assert s3.begun().count("3") == 2


def test_a_server_that_does_not_read(s3: S3Place, *, use_procs: bool) -> None:
    """A worker that cannot get rid of a body is replaced after ``stall_timeout``, and the upload is sent again."""
    reads = threading.Event()
    s3.server.add(Fault("PutObject", "call", key="k", call=lambda _: reads.wait(30)))
    uploader = s3.uploader(use_procs=use_procs, stall_timeout=1.5)
    uploader.upload(s3.binary_file("k", content(12 << 20)), "k")
    s3.wait_until_begun(1)
    before = uploader.worker_pids()
    try:
        uploader.drain(20)
    finally:
        reads.set()

    assert s3.server.object("k").data == content(12 << 20)
    assert len(s3.begun()) == 2
    assert len(before) == (1 if use_procs else 0)
    assert not set(before) & set(uploader.worker_pids())


@pytest.mark.parametrize(
    ("size", "rate", "operation"),
    [(8 << 20, 3.2 * (1 << 20), "PutObject"), (2 * PART, 2.2 * (1 << 20), "UploadPart")],
    ids=["one request", "parts"],
)
def test_a_server_that_reads_slowly(s3: S3Place, size: int, rate: float, operation: str) -> None:
    """However long a body takes, as long as it is read it is no stall: stored at the first attempt."""
    stall = 0.7
    s3.server.add(Fault(operation, "trickle_in", rate=rate, times=None))
    parts = SMALL_PARTS if operation == "UploadPart" else None
    arguments = {"transfer_config": parts}
    uploader = s3.uploader(use_procs=False, num_attempts=1, stall_timeout=stall, backend_kwargs=arguments)
    began = time.monotonic()
    uploader.upload(s3.binary_file("k", content(size)), "k").result(60)

    assert time.monotonic() - began > 3 * stall
    sent = [one for one in s3.server.requests if one.operation == operation]
    assert [one.part for one in sorted(sent, key=lambda one: one.part or 0)] == ([None] if parts is None else [1, 2])
    assert s3.server.object("k").data == content(size)


def test_a_completion_that_takes_its_time(s3: S3Place, *, use_procs: bool) -> None:
    """The answer to a completion is waited for longer than any other, by the SDK and by us: stored at the first
    attempt."""
    s3.server.add(Fault("CompleteMultipartUpload", "delay", seconds=1.5))
    arguments = {"client_config": {"read_timeout": 0.5}, "transfer_config": SMALL_PARTS}
    uploader = s3.uploader_within(reply=0.7, use_procs=use_procs, num_attempts=1, backend_kwargs=arguments)
    uploader.upload(s3.binary_file("k", content(PART + 1)), "k").result(20)

    assert (s3.count("CreateMultipartUpload"), s3.count("CompleteMultipartUpload")) == (1, 1)
    assert s3.server.object("k").data == content(PART + 1)


# Outages


def test_an_outage(s3: S3Place, *, use_procs: bool) -> None:
    """While nobody listens nothing fails, with all defaults; when the server is back everything is stored."""
    uploader = s3.uploader(use_procs=use_procs, num_concurrent_uploads=2, backend_kwargs=DEFAULTS)
    uploader.upload(s3.file("first"), "first").result(20)
    s3.server.stop()
    uploads = [uploader.upload(s3.file(name), name) for name in TEN]
    with pytest.raises(UploadTimeoutError):
        uploader.drain(2)
    s3.server.start()
    uploader.drain(30)

    assert [upload.state.value for upload in uploads] == ["stored"] * 10
    assert uploader.close(10).stored == 11


def test_an_outage_of_twenty_seconds(s3: S3Place) -> None:
    """The same for 20 s, which pass at once: nothing lost, nothing failed, and the server is not besieged meanwhile."""
    runtime = InlineRuntime()
    uploader = s3.uploader(_runtime=runtime)
    uploader.upload(s3.file("first"), "first").result()
    s3.server.stop()
    uploads = [uploader.upload(s3.file(name), name) for name in TEN]
    with pytest.raises(UploadTimeoutError, match=r"(?s)spooled 10"):
        uploader.drain(20.0)
    assert runtime.clock.monotonic() >= 20.0
    s3.server.start()
    uploader.drain(60.0)

    assert [upload.state.value for upload in uploads] == ["stored"] * 10
    assert s3.stored() == {name: name for name in ("first", *TEN)}


def test_retry_after_is_honoured(s3: S3Place) -> None:
    """I17: the server is not asked for an object again before the time that it has named."""
    runtime = InlineRuntime()
    s3.server.add(Fault("PutObject", "status", status=503, retry_after=17, key="k"))
    uploader = s3.uploader(_runtime=runtime)
    uploader.upload(s3.file("first"), "first").result()
    uploader.upload(s3.file("k"), "k")
    with pytest.raises(UploadTimeoutError):
        uploader.drain(16.9)
    assert s3.begun() == ["first", "k"]
    uploader.drain(1.0)

    assert s3.begun() == ["first", "k", "k"]


def test_throttling(s3: S3Place) -> None:
    """I17: a server that throttles is asked again no sooner than after a second, and as often as there are attempts."""
    runtime = InlineRuntime()
    s3.server.add(Fault("PutObject", "status", status=503, code="SlowDown", key="k", times=None))
    uploader = s3.uploader(_runtime=runtime)
    uploader.upload(s3.file("first"), "first").result()
    uploader.upload(s3.file("k"), "k")
    with pytest.raises(UploadError, match=r"after 3 attempts.*SlowDown"):
        uploader.drain()

    assert s3.begun() == ["first", "k", "k", "k"]
    assert runtime.clock.monotonic() >= 2.0


# Refusals


def texts_of(s3: S3Place) -> bytes:
    """Everything that is written in the folder of a scenario."""
    return b"\n".join(path.read_bytes() for path in s3.folder.rglob("*") if path.is_file())


def test_one_key_is_refused(
    s3: S3Place, *, use_procs: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """I16, I23: the upload that the server refuses is tried once and reported once, the others are stored, and the
    secret is in no text, file or argument of a process."""
    s3.server.add(Fault("PutObject", "status", status=403, key="3", times=None))
    caplog.set_level(logging.DEBUG, "rud")
    uploader = s3.uploader(use_procs=use_procs, num_concurrent_uploads=2)
    for name in TEN:
        uploader.upload(s3.file(name), name)
    with pytest.raises(UploadDeniedError, match=r"'3'.*403") as caught:
        uploader.drain(20)
    uploader.raise_if_failed()
    uploader.drain(20)
    commands = [Path(f"/proc/{pid}/cmdline") for pid in uploader.worker_pids()]
    said = "".join(path.read_text() for path in commands if path.exists())
    said += repr(uploader) + str(caught.value) + repr(caught.value.__cause__) + caplog.text
    report = uploader.close(10)

    assert (report.stored, report.failed) == (9, 1)
    assert s3.begun().count("3") == 1
    assert s3.stored() == {name: name for name in TEN if name != "3"}
    assert b"AccessDenied" in texts_of(s3)
    assert SECRET_KEY.encode() not in texts_of(s3)
    assert SECRET_KEY not in said + "".join(capfd.readouterr()) + str(report)


def test_a_missing_bucket(tmp_path: Path) -> None:
    """The waits raise at once, nothing has failed, and when the bucket is there everything goes on."""
    with S3Place(tmp_path, bucket="another") as s3:
        runtime = InlineRuntime()
        uploader = s3.uploader(_runtime=runtime, num_attempts=1)
        for name in TEN:
            uploader.upload(s3.file(name), name)
        with pytest.raises(OutageError, match="bucket") as caught:
            uploader.drain()
        assert isinstance(caught.value.__cause__, BucketNotFoundError)
        assert (uploader.counts().failed, uploader.counts().spooled) == (0, 10)
        S3Address(s3.server.url, ACCESS_KEY, SECRET_KEY).make_bucket("bucket")
        runtime.clock.advance(31.0)
        runtime.settle()
        uploader.drain()

        assert uploader.close().stored == 10


def test_a_wrong_clock(s3: S3Place) -> None:
    """A clock that the server does not believe is a matter of configuration, found by the probe and said so."""
    s3.server.add(Fault("*", "status", status=403, code="RequestTimeTooSkewed", times=None))
    uploader = s3.uploader(use_procs=False)

    with pytest.raises(ConfigurationError, match="set the clock"):
        uploader.probe()


def test_a_wrong_certificate(s3: S3Place) -> None:
    """So is a certificate of nobody's, and the text names the variable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with S3Server("bucket", tls=context) as server:
        uploader = s3.uploader(use_procs=False, backend_kwargs={"endpoint_url": server.url})
        with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE"):
            uploader.probe()
