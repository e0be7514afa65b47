"""The limit of what may be staged."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rud._spool import Outcome, SpoolEntry
from rud.errors import PoolClosedError, RudError, SpoolError
from tests.support.spools import accept, open_spool, write


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write(tmp_path / "large", b"l" * 400_000)


def test_over_the_limit_an_upload_is_refused_with_the_sizes(tmp_path: Path, large: Path) -> None:
    """Nothing is evicted: the caller is told, and can go on once something is stored."""
    spool = open_spool(tmp_path / "st", max_bytes=1_000_000)
    entries = [accept(spool, large) for _ in range(2)]
    with pytest.raises(SpoolError, match=r"large \(400000 bytes\) does not fit: .* of at most 1000000 bytes"):
        spool.stage(large)
    assert spool.settle(entries[0], Outcome.STORED)
    accept(spool, large)

    assert spool._limit.used < 1_000_000
    spool.abandon()


@pytest.mark.parametrize("size", [1000, 400_000])
def test_over_the_limit_an_upload_waits(tmp_path: Path, size: int) -> None:
    """With ``block`` it goes on as soon as there is room, also when only the log has to shrink."""
    source = write(tmp_path / "source", b"x" * size)
    spool = open_spool(tmp_path / "st", max_bytes=1_000_000, when_full="block", segment_bytes=1 << 20)
    waiting: list[SpoolEntry] = []
    done: list[SpoolEntry] = []
    more = threading.Semaphore(0)

    def enlist(entry: SpoolEntry) -> None:
        waiting.append(entry)
        more.release()

    def upload() -> None:
        for _ in range(2_500_000 // size):
            accept(spool, source, enlist=enlist)

    thread = threading.Thread(target=upload)
    thread.start()
    while len(done) < 2_500_000 // size:
        assert more.acquire(timeout=30)
        if spool._limit.used + size > 900_000 or not thread.is_alive() or len(waiting) > 0:
            entry = waiting.pop(0)
            assert spool.settle(entry, Outcome.STORED)
            done.append(entry)
    thread.join(30)

    assert not thread.is_alive()
    assert spool.close() is None


def test_what_can_never_fit_is_refused_though_it_may_wait(tmp_path: Path, large: Path) -> None:
    """A file larger than the limit raises at once."""
    spool = open_spool(tmp_path / "st", max_bytes=300_000, when_full="block")
    with pytest.raises(SpoolError, match="does not fit"):
        spool.stage(large)
    assert spool.close() is None


def test_sealing_wakes_who_waits(tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that waits for room when the spool is sealed raises ``PoolClosedError``."""
    spool = open_spool(tmp_path / "st", max_bytes=500_000, when_full="block")
    accept(spool, large)
    raised: list[RudError] = []
    asked = threading.Event()
    monkeypatch.setattr(spool._limit._log, "spare", asked.set)

    def upload() -> None:
        try:
            spool.stage(large)
        except RudError as error:
            raised.append(error)

    thread = threading.Thread(target=upload)
    thread.start()
    assert asked.wait(30)
    spool.seal()
    thread.join(30)

    assert [type(error) for error in raised] == [PoolClosedError]
    spool.abandon()
