"""The kill test, small; in full it is a command: ``python -m tests.support.kill_harness``. And a test of its judge: one
that never finds anything would prove nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rud_fakes.servers import Versitygw

from tests.support.journal_store import make
from tests.support.kill_harness import Harness, kill_test
from tests.support.kill_stores import BUCKET, FolderKillStore, VersitygwKillStore
from tests.support.kill_verdict import Folders, Verdict, summary, violations


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers of a dead program in /proc")
@pytest.mark.parametrize("seed", [1, 2])
def test_kills(tmp_path: Path, seed: int) -> None:
    """I1, I2, I4, I5, I8, I19: whatever instant the whole process tree is killed at, nothing accepted is lost, nothing
    older comes after anything newer or before what it depends on, and nothing is left in the spool."""
    tally, verdict = kill_test(tmp_path, kills=4, uploads=1, seed=seed)

    assert violations(tally, verdict) == [], (tmp_path / "stderr").read_text() + summary(tally, verdict, 0)
    assert tally.kills >= 4
    assert verdict.accepted > 0


def _lay(folders: Folders, key: str, version: int) -> None:
    path = folders.objects / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make(key, version, b"filling"))


@pytest.fixture
def finished(tmp_path: Path) -> Folders:
    """What a test without a fault has left: three uploads, the last after the second."""
    folders = Folders(tmp_path)
    (folders.staging / "rud-spool" / "v1").mkdir(parents=True)
    _lay(folders, "state/0", 2)
    _lay(folders, "latest", 3)
    folders.ledger.write_text("1 state/0\n2 state/0\n3 latest state/0@2\n")
    folders.journal.write_text(
        "begin state/0 1 a 0\ndone state/0 1 a\nbegin state/0 2 b 1\ndone state/0 2 b\nbegin latest 3 c 0\n"
    )
    return folders


def _lose(folders: Folders) -> None:
    (folders.objects / "latest").unlink()


def _go_back(folders: Folders) -> None:
    _lay(folders, "state/0", 1)


def _put_older_over_newer(folders: Folders) -> None:
    with folders.journal.open("a") as journal:
        journal.write("begin state/0 1 a 2\n")


def _send_too_early(folders: Folders) -> None:
    folders.journal.write_text("begin latest 3 c 0\n" + folders.journal.read_text())


def _leave_an_owner(folders: Folders) -> None:
    (folders.staging / "rud-spool" / "v1" / "owner").mkdir()


def _damage(folders: Folders) -> None:
    (folders.objects / "latest").write_bytes(make("latest", 3, b"filling")[:-1])


def _judged(folders: Folders) -> tuple[list[str], Verdict]:
    harness = Harness(FolderKillStore(folders), 0)
    harness.tally.seen = {"state/0": 2}
    harness._look()
    verdict = harness.judge()
    return violations(harness.tally, verdict), verdict


def test_the_judge_finds_nothing_in_order(finished: Folders) -> None:
    """A test in order passes; duplicates are counted, not blamed."""
    with finished.journal.open("a") as journal:
        journal.write("begin state/0 2 b 2\ndone state/0 2 b\n")
    found, verdict = _judged(finished)

    assert found == []
    assert (verdict.accepted, verdict.sent, verdict.duplicates) == (3, 4, 1)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_lose, "lost: 1"),
        (_go_back, "state/0 shows 1 after 2"),
        (_put_older_over_newer, "older_after_newer: 1"),
        (_send_too_early, "too_early: 1"),
        (_leave_an_owner, "left_in_staging: 1"),
        (_damage, "with other content"),
    ],
)
def test_the_judge_finds(finished: Folders, spoil: Callable[[Folders], None], word: str) -> None:
    """Each violation is found by its name."""
    spoil(finished)
    found, _ = _judged(finished)

    assert any(word in line for line in found), found


# On S3


@pytest.fixture
def bucket(tmp_path: Path, rud_versitygw: Versitygw) -> Iterator[VersitygwKillStore]:
    """An empty bucket that keeps versions; ``rud_versitygw`` says what is to be done where there is no versitygw."""
    with VersitygwKillStore(Folders(tmp_path)) as store:
        (tmp_path / "ledger").touch()
        store.folders.spool.mkdir(parents=True)
        yield store


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers of a dead program in /proc")
def test_kills_on_s3(tmp_path: Path, rud_versitygw: Versitygw) -> None:
    """The same on a real S3 server, with bodies in parts: nor is any multipart upload left unfinished."""
    tally, verdict = kill_test(tmp_path, kills=2, uploads=1, seed=1, store="versitygw")

    assert violations(tally, verdict) == [], (tmp_path / "stderr").read_text() + summary(tally, verdict, 0)
    assert verdict.sent > 0


def test_the_judge_sees_every_version(bucket: VersitygwKillStore) -> None:
    """On S3 it is the versions that tell what was ever visible: an older one between newer ones is found though it is
    gone, and so are what came before its dependencies, duplicates, and parts that nobody has completed."""
    client = bucket.client()
    for key, version in [("k", 1), ("k", 3), ("k", 2), ("k", 4), ("k", 4), ("latest", 6), ("shard", 5)]:
        client.put_object(Bucket=BUCKET, Key=key, Body=make(key, version, b"filling"))
    for version in range(10, 60):  # faster than the clock of files ticks
        client.put_object(Bucket=BUCKET, Key="quick", Body=make("quick", version, b"filling"))
    client.create_multipart_upload(Bucket=BUCKET, Key="half")
    bucket.folders.ledger.write_text("4 k\n5 shard\n6 latest shard@5\n")
    found = Harness(bucket, 0).judge()

    assert (found.sent, found.duplicates, found.older_after_newer, found.too_early) == (57, 1, 1, 1)
    assert (found.unfinished_in_parts, found.told_otherwise, found.lost) == (1, 0, 0)
