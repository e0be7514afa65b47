"""What the simulation has found, each as small as it could be made."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rud_fakes.memory import MemoryBackend
from rud_fakes.runtime import InlineRuntime

from rud import Uploader, UploadState
from rud._spool import Outcome, Spool, SpoolEntry, SpoolOptions, failed, files
from rud._spool.records import SEGMENT_START, SegmentHeader, scan
from rud.errors import SpoolError
from tests.support.spools import accept, failing, open_spool, segments, write


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small", b"content")


@pytest.fixture
def runtime() -> InlineRuntime:
    return InlineRuntime(stepped=True)


@pytest.fixture
def uploader(tmp_path: Path, runtime: InlineRuntime) -> Iterator[Uploader]:
    with Uploader(
        "memory://found", upload_staging_folder=tmp_path / "st", fsync=True, use_procs=False, _runtime=runtime
    ) as one:
        yield one
        work(runtime)
    MemoryBackend.forget("found")


def work(runtime: InlineRuntime) -> None:
    runtime.settle()
    while any(link.work() for link in runtime.links):
        runtime.settle()


def adopted(tmp_path: Path, spool: Spool) -> tuple[Spool, Any]:
    """What the next run finds after the death of ``spool``'s."""
    spool.abandon()
    again = open_spool(tmp_path / "st")
    return again, again.adopt()


def kept(spool: Spool) -> list[str]:
    return failed.kept(spool.folder)


# What has failed


def test_a_failed_upload_is_on_the_disk_before_its_outcome_is(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``fsync`` the name of its folder is synced, too: a power cut leaves the upload in the log or in there."""
    spool = open_spool(tmp_path / "st", fsync=True)
    entry = accept(spool, small)
    done: list[str] = []
    real = files.sync_path

    def sync(path: str) -> None:
        done.append(os.path.basename(path))
        real(path)

    monkeypatch.setattr(files, "sync_path", sync)
    monkeypatch.setattr(files, "sync_data", lambda descriptor: done.append("data"))
    spool.fail(entry, {"reason": "denied"})

    last = len(done) - 1 - done[::-1].index("data")
    assert done[last - 2 : last] == [f".{entry.wire_id}", "failed"]
    spool.abandon()


def test_a_failure_whose_sync_has_failed_keeps_its_payload(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome may lie in the log all the same; whoever reads it there finds the upload."""
    spool = open_spool(tmp_path / "st", fsync=True)
    entry = accept(spool, small)
    with monkeypatch.context() as patched:
        patched.setattr(files, "sync_data", failing(errno.EIO, after=3))
        assert spool.fail(entry, {"reason": "denied"}) == ""
    again, adoption = adopted(tmp_path, spool)

    assert adoption.entries == []
    assert Path(spool.folder, "failed", entry.wire_id, "payload").read_bytes() == b"content"
    again.abandon()


def test_a_failed_payload_that_cannot_be_linked_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no links the payload is copied; the copy is on the disk before the outcome is."""
    spool = open_spool(tmp_path / "st", fsync=True)
    entry = accept(spool, write(tmp_path / "large", bytes(300_000)))
    synced: list[int] = []
    monkeypatch.setattr(files, "sync_data", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    kept_at = spool.fail(entry, {"reason": "denied"})

    assert os.stat(os.path.join(kept_at, "payload")).st_ino in synced
    spool.abandon()


def test_a_failed_upload_that_is_there_twice_is_no_obstacle(tmp_path: Path, small: Path) -> None:
    """Under its name and its hidden one, after a power cut: the folder is taken over, and one of them stays."""
    spool = open_spool(tmp_path / "st")
    spool.fail(entry := accept(spool, small), {"reason": "denied"})
    Path(spool.folder, "failed", f".{entry.wire_id}").mkdir()
    again, adoption = adopted(tmp_path, spool)

    assert (adoption.skipped, kept(spool)) == ([], [entry.wire_id])
    again.abandon()


def test_a_hidden_failure_of_which_the_log_knows_nothing_is_shown(tmp_path: Path, small: Path) -> None:
    """Its records are retired: it has failed, and its rename was lost."""
    spool = open_spool(tmp_path / "st")
    accept(spool, small)
    Path(spool.folder, "failed", ".0000000000000001").mkdir()
    again, _ = adopted(tmp_path, spool)

    assert kept(spool) == ["0000000000000001"]
    again.abandon()


def test_what_fails_and_cannot_be_filed_is_not_sent(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I8: an upload whose dependency has failed stays in the spool as it is when the disk does not take the note."""
    spool = open_spool(tmp_path / "st")
    first = accept(spool, small, "first")
    accept(spool, small, "second", after=(first,))
    spool.fail(first, {"reason": "denied"})
    monkeypatch.setattr(failed, "write_hidden", failing(errno.ENOSPC))
    again, adoption = adopted(tmp_path, spool)

    assert (adoption.entries, adoption.skipped, segments(spool)) == ([], [], ["log-1"])
    again.abandon()


# What an accept that fails must not do


def test_an_accept_that_could_not_be_synced_supersedes_nothing(
    uploader: Uploader, small: Path, runtime: InlineRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older upload of its key was promised; the newer one never was."""
    older = uploader.upload(small, "key")
    with monkeypatch.context() as patched:
        patched.setattr(files, "sync_data", failing(errno.EIO))
        with pytest.raises(SpoolError, match="could not be synced"):
            uploader.upload(small, "key")
    work(runtime)

    assert older.state is UploadState.STORED


@pytest.mark.parametrize("where", ["rud._pool.WorkerPool._enlist", "rud._spool.files.sync_data"])
def test_an_interrupt_leaves_no_upload_held_back(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Ctrl-C in the midst of an accept that is to be synced: what lies in the log is sent all the same."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    uploader = Uploader(
        "memory://found", upload_staging_folder=tmp_path / "st", fsync=True, use_procs=False, _runtime=InlineRuntime()
    )
    with monkeypatch.context() as patched:
        patched.setattr(where, interrupt)
        with pytest.raises(KeyboardInterrupt):
            uploader.upload(small, "key")
    uploader.drain(60)

    assert uploader.close(1).stored == 1
    MemoryBackend.forget("found")


def test_a_cancellation_that_could_not_be_recorded_is_recorded_later(
    uploader: Uploader, small: Path, runtime: InlineRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not come to life again with the next run; and nobody has to call for it."""
    upload = uploader.upload(small, "key")
    with monkeypatch.context() as patched:
        patched.setattr(Spool, "settle", lambda *_, **__: False)
        assert upload.cancel()
        runtime.settle()
    runtime.clock.advance(1.0)
    runtime.settle()

    assert upload._transfer.entry.outcome is Outcome.CANCELLED


def test_a_disk_that_has_room_again_is_found_without_being_told(
    uploader: Uploader, small: Path, runtime: InlineRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I21: an outcome that the log did not take holds its key back; it is offered again, and the key goes on."""
    real = Spool.settle
    monkeypatch.setattr(
        Spool, "settle", lambda self, *more, **facts: runtime.clock.monotonic() > 30 and real(self, *more, **facts)
    )
    first = uploader.upload(small, "key")
    runtime.settle()
    second = uploader.upload(small, "key")
    work(runtime)
    assert (first.state, second.state) == (UploadState.STORED, UploadState.QUEUED)
    assert runtime._timeout == 1.0
    for _ in range(32):
        runtime.clock.advance(1.0)
        work(runtime)

    assert second.state is UploadState.STORED
    assert runtime._timeout is None


# What one run leaves to the next


def test_who_takes_over_syncs_as_was_promised(tmp_path: Path, small: Path) -> None:
    """``fsync`` is a promise to whoever has offered: the next run and ``rud resume`` keep it, however they are set."""
    spool = open_spool(tmp_path / "st", fsync=True)
    accept(spool, small)
    again, adoption = adopted(tmp_path, spool)

    assert [entry.owner.log.fsync for entry in adoption.entries] == [True]
    again.abandon()


def test_what_the_next_run_acts_upon_is_on_the_disk(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead run may have recorded an outcome and not synced it: before a payload goes by it, it is."""
    spool = open_spool(tmp_path / "st", fsync=True)
    accept(spool, small)
    spool.abandon()
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_path", synced.append)
    again = open_spool(tmp_path / "st")
    again.adopt()

    assert os.path.join(spool.folder, "log-1") in synced
    again.abandon()


def test_what_comes_after_a_failure_is_doomed_from_the_start(tmp_path: Path, small: Path) -> None:
    """I8: an upload whose dependency had failed before it was accepted is not sent by the next run either, though the
    log that told of the failure is gone."""
    spool = open_spool(tmp_path / "st", segment_bytes=600)
    first = accept(spool, small, "first")
    between = [accept(spool, small, str(number)) for number in range(4)]
    spool.fail(first, {"reason": "denied"})
    for entry in between:
        spool.settle(entry, Outcome.STORED)
    assert "log-1" not in segments(spool)
    accept(spool, small, "second", after=(first,))
    again, adoption = adopted(tmp_path, spool)

    assert (adoption.entries, len(kept(spool))) == ([], 2)
    again.abandon()


def test_a_dependency_that_ends_in_another_log_is_known_there(tmp_path: Path, small: Path) -> None:
    """I8: what has superseded it is superseded, too, by a second run, whose folder is gone when the third comes."""
    first = open_spool(tmp_path / "st")
    old = accept(first, small, "key")
    latest = accept(first, small, "latest", after=(old,))
    first.abandon()
    second = open_spool(tmp_path / "st")
    [again, _] = second.adopt().entries
    newer, newest = (accept(second, small, "key") for _ in range(2))
    second.settle(again, Outcome.SUPERSEDED, facts={"by": newer.id})
    second.settle(newer, Outcome.SUPERSEDED, facts={"by": newest.id})
    second.abandon()
    shutil.rmtree(second.folder)
    third = open_spool(tmp_path / "st")
    adoption = third.adopt()

    assert [(entry.id, entry.after) for entry in adoption.entries] == [(latest.id, (newest.id,))]
    third.abandon()


class Stopped:
    """A clock that stands still, or was set back."""

    def __init__(self, now: int) -> None:
        self.now = now

    def time_ns(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return 0.0


def at(tmp_path: Path, now: int) -> Spool:
    return Spool(SpoolOptions(str(tmp_path / "st")), destination={"uri": "fake://bucket"}, rank=0, clock=Stopped(now))


def test_ids_outlive_the_folder_that_they_were_given_in(tmp_path: Path, small: Path) -> None:
    """After a run that was closed with everything stored, and a clock set back, ids are greater than its ids: its
    objects would pass for newer ones."""
    first = at(tmp_path, 2000)
    entry = accept(first, small)
    first.settle(entry, Outcome.STORED)
    assert first.close() is None
    second = at(tmp_path, 1000)

    assert accept(second, small).id > entry.id
    second.abandon()


def test_two_folders_with_the_same_ids_go_one_after_the_other(tmp_path: Path, small: Path) -> None:
    """Two owners at once, whose clock was set back, count up from the same number: neither hides the other."""
    spools = [at(tmp_path, 1000), at(tmp_path, 1000)]
    ids: list[set[int]] = [{accept(spool, small, f"{n}").id for n in range(3)} for spool in spools]
    assert ids[0] & ids[1]
    for spool in spools:
        spool.abandon()
    third = at(tmp_path, 1000)
    adoption = third.adopt()

    assert len(adoption.entries) == 3
    assert ["uploads of the same ids" in line for line in adoption.skipped] == [True]
    third.abandon()


def test_an_upload_comes_after_those_that_stand_for_what_it_names(uploader: Uploader, small: Path) -> None:
    """What is superseded already may be forgotten before the upload has ended."""
    older = uploader.upload(small, "key")
    newer = uploader.upload(small, "key")
    entry: SpoolEntry = uploader.upload(small, "latest", after=[older])._transfer.entry

    assert older.state is UploadState.SUPERSEDED
    assert entry.after == (int(newer.id, 16),)


# Segments that were never begun


HEADER = SegmentHeader(1, 2, 3).encode()


@pytest.mark.parametrize("known_end", [None, 0, SEGMENT_START])
def test_a_torn_header_is_no_damage_where_nothing_follows(known_end: int | None) -> None:
    """A segment whose making was broken off has held nothing, also when the next one counts it."""
    found = [scan(HEADER[:length], known_end) for length in range(SEGMENT_START)]

    assert {(one.end, *one.damage) for one in found} == {(0,)}


@pytest.mark.parametrize("left", [b"", HEADER[:40], bytes(500)])
def test_a_segment_that_is_gone_is_damage_where_something_was_in_it(left: bytes) -> None:
    """Else the payloads of what was in it would be swept as never accepted."""
    assert scan(left, 500).damage == [(0, 500)]


# A segment that could not be begun, and a folder that is removed


@pytest.mark.parametrize("stays", [False, True], ids=["is removed", "cannot be removed"])
def test_a_segment_that_could_not_be_begun_ends_no_other(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch, *, stays: bool
) -> None:
    """The disk is full once the header of a new segment is written: what the old one takes afterwards still counts."""
    spool = open_spool(tmp_path / "st", segment_bytes=4096)
    entry = accept(spool, small)
    large = write(tmp_path / "large", bytes(8000))
    real = files.write_at

    def header_only(descriptor: int, data: bytes, offset: int) -> None:
        if offset == 0:
            real(descriptor, data, offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor, data, offset)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_at", header_only)
        if stays:
            patched.setattr(files, "gone", lambda path: False)
        with pytest.raises(SpoolError):
            accept(spool, large, "other")
    assert spool.settle(entry, Outcome.STORED)
    _, adoption = adopted(tmp_path, spool)

    assert (adoption.entries, adoption.damage) == ([], [])


def test_a_folder_is_hidden_on_the_disk_before_anything_in_it_goes(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a loss of power could bring it back without the segment that says that all of it is stored."""
    spool = open_spool(tmp_path / "st", fsync=True)
    spool.settle(accept(spool, small), Outcome.STORED)
    folder, done = Path(spool.folder), list[str]()
    sync, remove = files.sync_path, files.remove_tree

    def told(what: str, act: Callable[[str], None], path: str) -> None:
        done.append(f"{what} {path}")
        act(path)

    monkeypatch.setattr(files, "sync_path", partial(told, "sync", sync))
    monkeypatch.setattr(files, "remove_tree", partial(told, "remove", remove))

    assert spool.close() is None
    assert done[-2:] == [f"sync {folder.parent}", f"remove {folder.parent}/.{folder.name}"]
