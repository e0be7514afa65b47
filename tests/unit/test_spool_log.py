"""The log as its writer sees it: cut, rotate, retire, sync, and the full disk."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from rud import _faultpoints
from rud._spool import Outcome, SpoolEntry, files
from rud._spool.log import RESERVE
from rud.errors import PoolClosedError, SpoolError
from tests.support.spools import accept, failing, open_spool, payload_of, segments, write


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small", b"s" * 100)


def test_an_interrupt_between_write_and_commit_accepts_nothing(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that was written and not committed is cut before the next one; the next recovery does not see it."""
    spool = open_spool(tmp_path / "st")

    def interrupt(point: str, _: object) -> None:
        if point == "fs.log.append.written":
            raise KeyboardInterrupt

    monkeypatch.setattr(_faultpoints, "active", interrupt)
    with pytest.raises(KeyboardInterrupt):
        accept(spool, write(tmp_path / "longer", b"l" * 1000), "lost")
    monkeypatch.setattr(_faultpoints, "active", None)
    accept(spool, small, "kept")
    spool.abandon()
    again = open_spool(tmp_path / "st")
    adoption = again.adopt()

    assert [entry.key for entry in adoption.entries] == ["kept"]
    assert adoption.damage == []
    again.abandon()


def test_an_interrupt_after_the_commit_leaves_a_whole_upload(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large payload stays when the interrupt came after its record; ``catch_up`` enlists what was not."""
    spool = open_spool(tmp_path / "st", inline_limit=10)

    def interrupt(point: str, _: object) -> None:
        if point == "fs.log.append.after":
            raise KeyboardInterrupt

    monkeypatch.setattr(_faultpoints, "active", interrupt)
    with pytest.raises(KeyboardInterrupt):
        accept(spool, small)
    monkeypatch.setattr(_faultpoints, "active", None)
    enlisted: list[SpoolEntry] = []
    spool.catch_up(enlisted.append)

    assert [payload_of(entry) for entry in enlisted] == [b"s" * 100]
    spool.abandon()


def test_a_refused_accept_leaves_nothing(tmp_path: Path, small: Path) -> None:
    """When ``check`` raises, or after ``seal``, no byte of the upload stays."""
    spool = open_spool(tmp_path / "st", inline_limit=10)

    def refuse() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        accept(spool, small, check=refuse)
    staged = spool.stage(small)
    spool.seal()
    with pytest.raises(PoolClosedError, match="after close had begun"):
        spool.accept(staged, "k", overwrite=True, check=lambda: None, enlist=lambda entry: None)

    assert os.listdir(os.path.join(spool.folder, "big")) == []
    assert spool.close() is None


def test_segments_are_retired_from_the_oldest_only(tmp_path: Path, small: Path) -> None:
    """A spent segment stays while an older one is needed; then all spent ones go at once."""
    spool = open_spool(tmp_path / "st", segment_bytes=600)
    entries = [accept(spool, small, str(number)) for number in range(8)]
    before = segments(spool)
    for entry in entries[1:]:
        spool.settle(entry, Outcome.STORED)

    assert before[0] in segments(spool)
    assert set(before) <= set(segments(spool))

    spool.settle(entries[0], Outcome.STORED)

    assert not set(before[:-1]) & set(segments(spool))
    assert spool.close() is None


def test_a_full_disk_accepts_nothing_and_still_takes_outcomes(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing more can be written the reserve is given up for outcomes, and accepts say so with the sizes."""
    spool = open_spool(tmp_path / "st")
    entry = accept(spool, small)
    reserve = Path(spool.folder) / "reserve"
    real = files.write_at

    def full(descriptor: int, data: bytes, offset: int) -> None:
        if reserve.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor, data, offset)

    assert reserve.stat().st_size == RESERVE
    monkeypatch.setattr(files, "write_at", full)
    with pytest.raises(SpoolError, match=r"\(100 bytes\) could not be written.*nothing was accepted") as caught:
        accept(spool, small)
    assert caught.value.errno == errno.ENOSPC
    assert reserve.exists()
    assert spool.settle(entry, Outcome.STORED)
    assert not reserve.exists()
    with pytest.raises(SpoolError):
        accept(spool, small)
    monkeypatch.undo()
    assert spool.close() is None


def test_a_segment_that_cannot_be_cut_is_left(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed write whose cut fails too a new segment is begun, and the rest of the old one never counts."""
    spool = open_spool(tmp_path / "st")
    accept(spool, small, "first")
    real = files.write_at

    def half(descriptor: int, data: bytes, offset: int) -> None:
        real(descriptor, data, offset)
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_at", half)
        patched.setattr(files, "cut", failing(errno.EIO))
        with pytest.raises(SpoolError, match="broken"):
            accept(spool, small, "refused")
    accept(spool, small, "second")
    spool.abandon()
    again = open_spool(tmp_path / "st")
    adoption = again.adopt()

    assert [entry.key for entry in adoption.entries] == ["first", "second"]
    assert adoption.damage == []
    again.abandon()


def test_a_failed_sync_gives_the_segment_up(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accept is refused in words, its cancellation goes to a new segment, and the old one is not synced again."""
    spool = open_spool(tmp_path / "st", fsync=True)
    enlisted: list[SpoolEntry] = []
    synced: list[int] = []
    real = files.sync_data
    with monkeypatch.context() as patched:
        patched.setattr(files, "sync_data", failing(errno.EIO))
        with pytest.raises(SpoolError, match="could not be synced"):
            accept(spool, small, enlist=enlisted.append)
    broken = os.stat(os.path.join(spool.folder, "log-1")).st_ino

    def note(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(files, "sync_data", note)
    [entry] = enlisted

    assert spool.settle(entry, Outcome.CANCELLED)
    assert segments(spool) == ["log-2"]  # the first is spent and retired
    assert broken not in synced
    assert synced
    assert spool.close() is None


def test_waiters_share_a_sync(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepts that come while a sync runs are on the disk after one more, and none returns before its own."""
    spool = open_spool(tmp_path / "st", fsync=True)
    entered, go_on = threading.Event(), threading.Event()
    syncs = []

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        entered.set()
        assert go_on.wait(30)

    monkeypatch.setattr(files, "sync_data", slow)
    arrived = threading.Semaphore(0)
    threads = [
        threading.Thread(target=accept, args=(spool, small), kwargs={"enlist": lambda entry: arrived.release()})
        for _ in range(6)
    ]
    threads[0].start()
    assert entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=30)  # appends go on while the sync runs
    assert all(thread.is_alive() for thread in threads)
    go_on.set()
    for thread in threads:
        thread.join(30)

    assert len(syncs) == 2
    spool.abandon()


def test_a_log_that_cannot_be_written_keeps_the_entry(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system gone read-only an outcome is not recorded and says so; it can be recorded later."""
    spool = open_spool(tmp_path / "st", inline_limit=10)
    entry = accept(spool, small)
    with monkeypatch.context() as patched:
        patched.setattr(files, "write_at", failing(errno.EROFS))
        spool.started(entry, kills=0)
        assert not spool.settle(entry, Outcome.STORED)
        assert spool.fail(entry, {"reason": "x"}) == ""
    assert payload_of(entry) == b"s" * 100
    assert spool.settle(entry, Outcome.STORED)
    assert spool.close() is None


def test_the_first_outcome_stands(tmp_path: Path, small: Path) -> None:
    """A second outcome of an entry changes nothing."""
    spool = open_spool(tmp_path / "st")
    entry = accept(spool, small)
    assert spool.settle(entry, Outcome.STORED)
    assert spool.settle(entry, Outcome.CANCELLED)

    assert entry.outcome is Outcome.STORED
    assert spool.close() is None
