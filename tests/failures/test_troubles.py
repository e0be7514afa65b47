"""Trouble with workers, the destination and the disk, and closing in the middle of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rud import OutageError, PoolClosedError, PoolError, SpoolError, UploadError
from tests.support.place import Place
from tests.support.processes import PATIENCE, wait_for_end

TEN = [str(number) for number in range(10)]


# Workers that cannot work


def test_workers_that_die_at_once(place: Place, *, use_procs: bool) -> None:
    """Workers that die one after another before any is ready: the waits say so, nothing is lost, and it goes on when
    the cause has gone."""
    (place.control / "die").touch()
    uploader = place.uploader(use_procs=use_procs)
    upload = uploader.upload(place.file("a"), "a")
    with pytest.raises(OutageError, match=r"4 workers died before they could work.*spooled 1"):
        uploader.drain(20)
    with pytest.raises(PoolError, match="workers died"):
        upload.result(20)
    (place.control / "die").unlink()
    place.events.wait_for("end", "a")

    assert uploader.close(10).stored == 1


def test_poison(place: Place, *, use_procs: bool) -> None:
    """I12: an upload that has killed three workers is set aside with its reason; all others are stored."""
    place.plan({"3": ["end"]})
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=2)
    uploads = {name: uploader.upload(place.file(name), name) for name in TEN}
    with pytest.raises(UploadError, match=r"'3'.*3 workers died while they held it") as caught:
        uploader.drain(20)
    uploader.drain(20)

    kept = caught.value.kept_at
    assert Path(kept, "payload").read_text() == "3"
    assert isinstance(uploads["3"].exception(0), UploadError)
    assert place.stored() == {name: name for name in TEN if name != "3"}
    assert len([event for event in place.journal("begin") if event["key"] == "3"]) == 3
    report = uploader.close(10)
    assert (report.stored, report.failed) == (9, 1)


def test_the_supervisor_dies(place: Place, *, use_procs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """I9, I22: when the supervisor dies of a bug, the waits and further uploads say so, close returns, and what was
    accepted stays for the next run."""
    place.plan({"*": ["gate"]})
    uploader = place.uploader(use_procs=use_procs)
    held = uploader.upload(place.file("a"), "a")
    place.events.wait_for("begin", "a")

    def break_down() -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(uploader._pool._supervisor, "_take_messages", break_down)
    uploader._pool._runtime.wake()
    with pytest.raises(PoolError, match="supervisor has died of RuntimeError: a bug"):
        held.result(20)
    with pytest.raises(PoolError, match="supervisor has died"):
        uploader.drain(20)
    with pytest.raises(PoolError, match="supervisor has died"):
        uploader.upload(place.file("b"), "b")
    report = uploader.close(10)
    assert (report.spooled, [left.key for left in report.left]) == (1, ["a"])
    with pytest.raises(PoolError):
        held.result(20)
    place.open_gate()
    for pid in place.events.worker_pids():
        wait_for_end(pid)

    after = place.uploader(use_procs=use_procs)
    after._pool.drain_adopted(20)
    assert after.close(10).complete
    assert place.stored() == {"a": "a"}


# A destination that does not answer


def test_an_outage(place: Place, *, use_procs: bool) -> None:
    """A destination that has answered and then does not: nothing fails, however few attempts an upload has, and all is
    stored when it is back."""
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=2, num_attempts=1)
    uploader.upload(place.file("first"), "first").result(20)
    (place.control / "down").touch()
    uploads = [uploader.upload(place.file(name), name) for name in TEN]
    # A probe that has failed: one that is answered would say that the uploads are at fault.
    place.events.wait_for("down", "")
    (place.control / "down").unlink()
    uploader.drain(30)

    assert [upload.state.value for upload in uploads] == ["stored"] * 10
    assert uploader.close(10).stored == 11


def test_an_outage_that_lasts(place: Place, *, use_procs: bool) -> None:
    """After ``outage_timeout`` the waits raise and say what is left; nothing has failed."""
    uploader = place.uploader(use_procs=use_procs, num_attempts=1, outage_timeout=0.1)
    uploader.upload(place.file("first"), "first").result(20)
    (place.control / "down").touch()
    uploader.upload(place.file("a"), "a")
    with pytest.raises(OutageError, match=r"no answer.*stored 1, failed 0, spooled 1.*rud resume"):
        uploader.drain(20)
    report = uploader.close(0.1)

    assert (report.stored, report.failed, report.spooled) == (1, 0, 1)


def test_a_destination_that_never_answers(place: Place, *, use_procs: bool) -> None:
    """I17: where nobody has ever answered, an upload fails after ``num_attempts``."""
    (place.control / "down").touch()
    uploader = place.uploader(use_procs=use_procs, num_attempts=2)
    uploader.upload(place.file("a"), "a")
    with pytest.raises(UploadError, match="after 2 attempts") as caught:
        uploader.drain(20)

    assert caught.value.attempts == 2
    assert [event["key"] for event in place.journal("down")] == ["a", "a"]


def test_what_is_refused_for_good_is_tried_once(place: Place, *, use_procs: bool) -> None:
    """I16, I17: an upload that the store does not allow is tried once, reported once, and the others go on."""
    place.plan({"3": ["denied"]})
    uploader = place.uploader(use_procs=use_procs)
    for name in TEN:
        uploader.upload(place.file(name), name)
    with pytest.raises(UploadError, match=r"'3'.*403") as caught:
        uploader.drain(20)
    uploader.raise_if_failed()
    uploader.drain(20)

    assert isinstance(caught.value, PermissionError)
    assert place.stored() == {name: name for name in TEN if name != "3"}
    assert len(place.journal("begin")) == 10


# A full staging folder


def test_staging_is_full(place: Place, *, use_procs: bool) -> None:
    """I13: beyond ``max_staged_bytes`` an upload is refused at once, in words; what was accepted is stored, and there
    is room again."""
    place.plan({"*": ["gate"]})
    uploader = place.uploader(use_procs=use_procs, max_staged_bytes="2MB")
    uploader.upload(place.file("a", "a" * 1_500_000), "a")
    with pytest.raises(SpoolError, match=r"1500000 bytes\) does not fit.*max_staged_bytes"):
        uploader.upload(place.file("b", "b" * 1_500_000), "b")
    place.open_gate()
    uploader.drain(20)
    uploader.upload(place.file("c", "c" * 1_500_000), "c")
    uploader.drain(20)

    assert {key: len(text) for key, text in place.stored().items()} == {"a": 1_500_000, "c": 1_500_000}


def test_staging_is_full_and_the_caller_waits(place: Place, *, use_procs: bool) -> None:
    """With ``when_full="block"`` an upload waits for room, and close wakes the one that waits."""
    place.plan({"*": ["gate"]})
    uploader = place.uploader(use_procs=use_procs, max_staged_bytes="2MB", when_full="block")
    uploader.upload(place.file("a", "a" * 1_500_000), "a")
    place.events.wait_for("begin", "a")
    waiter = threading.Thread(target=lambda: uploader.upload(place.file("b", "b" * 1_500_000), "b"))
    waiter.start()
    place.open_gate()
    waiter.join(PATIENCE)
    uploader.drain(20)
    assert sorted(place.stored()) == ["a", "b"]

    place.close_gate()
    uploader.upload(place.file("c", "c" * 1_500_000), "c")
    refused: list[BaseException] = []

    def wait_in_vain() -> None:
        try:
            uploader.upload(place.file("d", "d" * 1_500_000), "d")
        except PoolClosedError as error:
            refused.append(error)

    waiter = threading.Thread(target=wait_in_vain)
    waiter.start()
    assert uploader.close(0.1).spooled == 1
    waiter.join(PATIENCE)
    assert len(refused) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    if (
        sys.platform != "linux"
        or os.getuid() != 0
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("mounting a small file system needs root on Linux")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_the_disk_is_full(place: Place, *, use_procs: bool, small_disk: Path) -> None:
    """I13: a file that does not fit on the disk is refused with the sizes and leaves nothing; earlier uploads are
    stored, and uploads go on when there is room again."""
    place.plan({"a": ["gate"]})
    uploader = place.uploader(use_procs=use_procs, upload_staging_folder=str(small_disk))
    uploader.upload(place.file("a", "a" * 600_000), "a")
    place.events.wait_for("begin", "a")
    before = sorted(small_disk.rglob("*"))
    with pytest.raises(SpoolError, match=r"600000") as caught:
        uploader.upload(place.file("b", "b" * 600_000), "b")
    assert isinstance(caught.value, OSError)
    assert sorted(small_disk.rglob("*")) == before
    place.open_gate()
    uploader.drain(20)
    uploader.upload(place.file("c", "c" * 600_000), "c")
    uploader.drain(20)

    assert sorted(place.stored()) == ["a", "c"]
    assert uploader.close(10).complete


# Closing


def test_close_is_bounded_when_workers_hang(place: Place, *, use_procs: bool) -> None:
    """I9: with every worker hung, ``close(d)`` returns and names what is left; a second close says the same."""
    place.plan({"*": ["hang"]})
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=2)
    handles = [uploader.upload(place.file(name), name) for name in TEN]
    place.events.wait_for("begin", count=2)
    done = threading.Event()
    reports = []

    def close() -> None:
        reports.append(uploader.close(0.2))
        done.set()

    threading.Thread(target=close, daemon=True).start()
    assert done.wait(10 * 1.2), "close(0.2) did not return"
    (report,) = reports
    assert (report.spooled, [left.key for left in report.left]) == (10, TEN)
    assert uploader.close() is report
    with pytest.raises(TimeoutError, match="closed before '0' was stored"):
        handles[0].result(20)
    for size in (10, 400_000):
        with pytest.raises(PoolClosedError, match="is closed"):
            uploader.upload(place.file("late", "." * size), "late")
    with pytest.raises(TimeoutError, match=r"closed before everything was stored.*spooled 10"):
        uploader.drain()
    assert place.spooled() == 10
