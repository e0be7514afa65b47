"""Taking over what a dead owner left."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rud import _faultpoints
from rud._spool import Outcome, Spool, SpoolEntry, discard, scan
from rud.errors import SpoolError
from tests.support.spools import accept, open_spool, payload_of, segments, write


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small", b"s" * 100)


def crashed(spool: Spool, staging: Path) -> tuple[Spool, list[SpoolEntry]]:
    spool.abandon()
    again = open_spool(staging)
    adoption = again.adopt()
    assert adoption.damage == []
    return again, adoption.entries


def test_an_adopted_entry_is_what_was_accepted(tmp_path: Path, small: Path) -> None:
    """Everything that the upload needs comes back, with what was noted while it was sent."""
    spool = open_spool(tmp_path / "st")
    first = accept(spool, small, "a/\udcff", overwrite=False)
    entry = accept(spool, small, "b", after=(first,))
    spool.started(entry, kills=1)
    spool.multipart(entry, "upload-1")
    spool.multipart(entry, "upload-2")
    spool.answered()
    again, [one, two] = crashed(spool, tmp_path / "st")

    assert (one.key, one.overwrite, one.size, one.crc, one.kills, one.in_flight) == (
        "a/\udcff", False, 100, first.crc, 0, False,
    )  # fmt: skip
    assert (two.id, two.after, two.multiparts) == (entry.id, (first.id,), ("upload-1", "upload-2"))
    assert (two.in_flight, two.kills, two.adopted) == (True, 1, True)
    assert two.wire_id > one.wire_id
    assert len(two.wire_id) == 16
    again.abandon()
    third = open_spool(tmp_path / "st")
    assert third.adopt().answered
    third.abandon()


@pytest.mark.parametrize(
    ("later", "survives"),
    [("started", False), ("stored", False), ("failed", True), ("waiting", True), ("create", True)],
)
def test_an_overtaken_overwrite_is_superseded(tmp_path: Path, small: Path, later: str, *, survives: bool) -> None:
    """An overwriting entry is never sent after a later one of its key was started or stored, unless that one failed."""
    spool = open_spool(tmp_path / "st")
    first = accept(spool, small, "k", overwrite=later != "create")
    second = accept(spool, small, "k")
    if later in {"started", "create"}:
        spool.started(second, kills=0)
    elif later == "stored":
        spool.settle(second, Outcome.STORED)
    elif later == "failed":
        spool.fail(second, {"reason": "no"})
    again, entries = crashed(spool, tmp_path / "st")

    assert (first.id in [entry.id for entry in entries]) == survives
    again.abandon()


def test_a_failed_entry_is_kept_for_people(tmp_path: Path, small: Path) -> None:
    """Its folder has the entry, the payload and the reason; the owner folder stays for it."""
    spool = open_spool(tmp_path / "st")
    entry = accept(spool, small, "k")
    kept_at = Path(spool.fail(entry, {"reason": "denied", "attempts": 3}))

    assert (kept_at / "payload").read_bytes() == b"s" * 100
    assert json.loads((kept_at / "entry.json").read_text())["key"] == "k"
    assert json.loads((kept_at / "reason.json").read_text()).items() >= {"reason": "denied", "attempts": 3}.items()
    assert spool.close() == spool.folder
    [status] = scan(str(tmp_path / "st"))
    assert [(one.id, one.key, one.reason["reason"]) for one in status.failed] == [(entry.id, "k", "denied")]
    assert (status.alive, status.spooled) == (False, 0)


@pytest.mark.parametrize("inline_limit", [10, 1000])
@pytest.mark.parametrize(
    ("point", "failed"),
    [("fs.failed.written", 0), ("fs.log.append.before", 0), ("fs.log.append.after", 1), ("fs.failed.recorded", 1)],
)
def test_a_failure_that_is_cut_off_is_finished_or_undone(
    tmp_path: Path, small: Path, *, point: str, failed: int, inline_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded outcome decides: without it the entry is spooled, with it its folder is there."""
    spool = open_spool(tmp_path / "st", inline_limit=inline_limit)
    entry = accept(spool, small, "k")

    def die(at: str, _: object) -> None:
        if at == point:
            raise KeyboardInterrupt

    monkeypatch.setattr(_faultpoints, "active", die)
    with pytest.raises(KeyboardInterrupt):
        spool.fail(entry, {"reason": "denied"})
    monkeypatch.setattr(_faultpoints, "active", None)
    again, entries = crashed(spool, tmp_path / "st")
    kept = [one for status in scan(str(tmp_path / "st")) for one in status.failed]

    assert (len(entries), len(kept)) == (1 - failed, failed)
    assert [payload_of(one) for one in entries] + [Path(one.folder, "payload").read_bytes() for one in kept] == [
        b"s" * 100
    ]
    again.abandon()


@pytest.mark.parametrize("inline_limit", [10, 1000])
@pytest.mark.parametrize("point", ["", "fs.log.append.before", "fs.log.append.after", "recover.retake.after"])
def test_a_failed_entry_taken_up_again_is_failed_or_accepted(
    tmp_path: Path, small: Path, point: str, inline_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the retake is cut off, the upload is in exactly one place, with its bytes."""
    spool = open_spool(tmp_path / "st", inline_limit=inline_limit)
    entry = accept(spool, small, "k", overwrite=False)
    kept_at = spool.fail(entry, {"reason": "denied"})

    def die(at: str, _: object) -> None:
        if at == point:
            monkeypatch.setattr(_faultpoints, "active", None)
            raise KeyboardInterrupt

    monkeypatch.setattr(_faultpoints, "active", die)
    if point:
        with pytest.raises(KeyboardInterrupt):
            spool.retake(kept_at)
    else:
        assert spool.retake(kept_at).id > entry.id
    monkeypatch.setattr(_faultpoints, "active", None)
    again, entries = crashed(spool, tmp_path / "st")
    failed = [one for status in scan(str(tmp_path / "st")) for one in status.failed]

    assert len(entries) + len(failed) == 1
    assert [(one.key, one.overwrite, payload_of(one)) for one in entries] in ([], [("k", False, b"s" * 100)])
    again.abandon()


def test_what_comes_after_a_failed_entry_waits_for_it_again(tmp_path: Path, small: Path) -> None:
    """I8: taken up again together, a pointer comes after its shard as before, also when the resume is cut off."""
    spool = open_spool(tmp_path / "st")
    shard = accept(spool, small, "shard")
    kept_at = [spool.fail(one, {"reason": "denied"}) for one in (shard, accept(spool, small, "latest", after=(shard,)))]
    for one in kept_at:
        spool.retake(one)
    again, [shard, pointer] = crashed(spool, tmp_path / "st")

    assert (pointer.key, pointer.after) == ("latest", (shard.id,))
    again.abandon()


def test_only_a_whole_failed_entry_that_is_held_is_taken_up(tmp_path: Path, small: Path) -> None:
    """Another owner's, a missing one and one without its whole payload are refused in words."""
    spool = open_spool(tmp_path / "st")
    kept_at = spool.fail(accept(spool, small), {"reason": "denied"})
    with pytest.raises(SpoolError, match="not in a folder that was taken over"):
        spool.retake(str(tmp_path / "elsewhere" / "failed" / "1"))
    with pytest.raises(SpoolError, match="cannot be taken up again"):
        spool.retake(os.path.join(spool.folder, "failed", "1"))
    Path(kept_at, "payload").write_bytes(b"short")
    with pytest.raises(SpoolError, match="5 of 100 bytes"):
        spool.retake(kept_at)
    Path(kept_at, "payload").write_bytes(b"x" * 100)
    with pytest.raises(SpoolError, match="CRC32C"):
        spool.retake(kept_at)
    spool.abandon()


@pytest.mark.parametrize("inline_limit", [10, 1000])
def test_a_damaged_payload_is_set_aside(tmp_path: Path, small: Path, inline_limit: int) -> None:
    """A small payload with other bytes, or a large one with another size, goes to ``failed/`` with that reason."""
    spool = open_spool(tmp_path / "st", inline_limit=inline_limit)
    entry = accept(spool, small, "k")
    accept(spool, small, "other")
    spool.abandon()
    with open(entry.path, "r+b") as file:
        file.seek(entry.offset)
        file.write(b"X")
        if entry.large:
            file.truncate(50)
    again = open_spool(tmp_path / "st")
    adoption = again.adopt()
    [failed] = [one for status in scan(str(tmp_path / "st")) for one in status.failed]

    assert [one.key for one in adoption.entries] == ["other"]
    assert failed.id == entry.id
    assert "the accepted payload is damaged" in failed.reason["reason"]
    assert len(adoption.damage) == 1
    again.abandon()


def test_payloads_without_a_record_are_swept_only_when_all_could_be_read(tmp_path: Path, small: Path) -> None:
    """After a clean scan a payload that was never accepted goes; with damage in the log it is kept."""
    for damaged in (False, True):
        staging = tmp_path / str(damaged)
        spool = open_spool(staging, inline_limit=10)
        accept(spool, small)
        orphan = Path(spool.stage(small).path)
        if damaged:
            with open(Path(spool.folder, "log-1"), "r+b") as file:
                file.seek(100)
                file.write(b"XXXX")
        spool.abandon()
        again = open_spool(staging)
        adoption = again.adopt()
        kept = Path(spool.folder, "failed", f"unreadable-{orphan.name}", "payload")

        assert kept.exists() == damaged
        assert not orphan.exists()
        assert bool(adoption.damage) == damaged
        again.abandon()


def test_what_came_after_a_failure_fails_after_a_crash(tmp_path: Path, small: Path) -> None:
    """The segments that tell what has become of a dependency are kept until what comes after it has ended."""
    spool = open_spool(tmp_path / "st", segment_bytes=600)
    first = accept(spool, small, "first")
    between = [accept(spool, small, str(number)) for number in range(4)]
    accept(spool, small, "second", after=(first,))
    spool.fail(first, {"reason": "denied"})
    for entry in between:
        spool.settle(entry, Outcome.STORED)
    assert "log-1" in segments(spool)
    spool.abandon()
    again = open_spool(tmp_path / "st")
    adoption = again.adopt()

    assert (adoption.entries, adoption.skipped) == ([], [])
    assert [line for line in adoption.damage if line.startswith("'second' was not sent")]
    assert [name for name in os.listdir(spool.folder) if name.startswith("log-")] == ["log-5"]


def test_what_came_after_a_superseded_one_waits_for_its_successor_after_a_crash(tmp_path: Path, small: Path) -> None:
    """I8: that a dependency was superseded is known until what comes after it has ended."""
    spool = open_spool(tmp_path / "st", segment_bytes=600)
    first = accept(spool, small, "key")
    between = [accept(spool, small, str(number)) for number in range(4)]
    second = accept(spool, small, "second", after=(first,))
    newer = accept(spool, small, "key")
    spool.settle(first, Outcome.SUPERSEDED, facts={"by": newer.id})
    for entry in between:
        spool.settle(entry, Outcome.STORED)
    spool.abandon()
    again = open_spool(tmp_path / "st")
    adoption = again.adopt()

    assert {entry.id: entry.after for entry in adoption.entries} == {second.id: (newer.id,), newer.id: ()}
    again.abandon()
    again.abandon()


def test_ids_go_on_from_the_greatest_though_the_clock_was_set_back(tmp_path: Path, small: Path) -> None:
    """An id is greater than every one in the spool folder, whoever accepted it."""

    class Clock:
        def __init__(self, now: int) -> None:
            self.now = now

        def time_ns(self) -> int:
            return self.now

        def monotonic(self) -> float:
            return 0.0

    from rud._spool import SpoolOptions

    options = SpoolOptions(str(tmp_path / "st"))
    first = Spool(options, destination={}, rank=0, clock=Clock(10**18))
    second = Spool(options, destination={}, rank=1, clock=Clock(5))
    entry = accept(first, small)
    first.abandon()
    third = Spool(options, destination={}, rank=1, clock=Clock(5))

    assert accept(second, small).id > 10**18
    assert accept(third, small).id > entry.id
    for spool in (second, third):
        spool.abandon()


def test_discard_gives_up_what_is_named_and_refuses_a_living_owner(tmp_path: Path, small: Path) -> None:
    """Some ids or the whole folder; a folder in use is left as it is."""
    spool = open_spool(tmp_path / "st")
    entries = [accept(spool, small, str(number)) for number in range(3)]
    spool.fail(entries[0], {"reason": "x"})
    with pytest.raises(SpoolError, match="in use by this process"):
        discard(spool.folder, None)
    spool.abandon()

    assert discard(spool.folder, {entries[0].id, entries[1].id}) == 2
    [status] = scan(str(tmp_path / "st"))
    assert (status.spooled, status.spooled_bytes, status.failed) == (1, 100, ())
    assert discard(spool.folder, None) == 1
    assert scan(str(tmp_path / "st")) == []


def test_a_staging_folder_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    """Looking at it is no error and makes nothing."""
    assert scan(str(tmp_path / "absent")) == []
    assert list(tmp_path.iterdir()) == []
