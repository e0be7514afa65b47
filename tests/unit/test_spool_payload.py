"""How the bytes of a file get into the spool."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import google_crc32c
import pytest

from rud import _faultpoints
from rud._spool import Outcome, files, payload
from rud.errors import SpoolError
from tests.support.spools import accept, failing, open_spool, payload_of, write

LARGE = os.urandom(400_000)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write(tmp_path / "large", LARGE)


@pytest.mark.parametrize("mode", ["auto", "copy", "link", "move"])
def test_a_large_payload_is_what_the_source_was(tmp_path: Path, large: Path, mode: str) -> None:
    """Every mode keeps bytes, size and time of the source; a copy is summed, and the sum outlives a crash."""
    time = large.stat().st_mtime_ns
    spool = open_spool(tmp_path / "st", mode=mode)
    entry = accept(spool, large)

    assert payload_of(entry) == LARGE
    assert os.stat(entry.path).st_mtime_ns == entry.mtime_ns == time
    assert entry.crc == (google_crc32c.value(LARGE) if mode in {"auto", "copy"} else None)
    assert large.exists() == (mode != "move")

    spool.abandon()
    again = open_spool(tmp_path / "st")
    assert [one.crc for one in again.adopt().entries] == [entry.crc]
    again.abandon()


@pytest.mark.parametrize(
    "missing",
    [["copy_file_range"], ["copy_file_range", "sendfile"], ["copy_file_range", "sendfile", "pwritev", "fdatasync"]],
)
def test_copies_without_the_calls_of_one_system(
    tmp_path: Path, large: Path, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system lacks a call another does the work."""
    for name in missing:
        monkeypatch.delattr(os, name, raising=False)
    spool = open_spool(tmp_path / "st", mode="copy", fsync=True)
    entries = [accept(spool, large), accept(spool, write(tmp_path / "small", b"small"))]

    assert [payload_of(entry) for entry in entries] == [LARGE, b"small"]
    for entry in entries:
        assert spool.settle(entry, Outcome.STORED)
    assert spool.close() is None


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EINVAL, errno.ENOSYS])
def test_a_kernel_that_refuses_to_copy_is_replaced(
    tmp_path: Path, large: Path, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``copy_file_range`` that refuses these files gives way to the next means."""
    monkeypatch.setattr(os, "copy_file_range", failing(error), raising=False)
    spool = open_spool(tmp_path / "st", mode="copy")

    assert payload_of(accept(spool, large)) == LARGE
    spool.abandon()


@pytest.mark.parametrize("size", [0, 1, 256 << 10])
def test_a_small_payload_lies_in_the_log(tmp_path: Path, size: int) -> None:
    """Up to the limit, the limit included, a payload is part of its record; it is summed at once."""
    content = os.urandom(size)
    spool = open_spool(tmp_path / "st")
    entry = accept(spool, write(tmp_path / "small", content))

    assert not entry.large
    assert payload_of(entry) == content
    assert entry.crc == google_crc32c.value(content)
    spool.abandon()


def test_what_is_no_file_is_refused_in_words(tmp_path: Path) -> None:
    """A missing file, a folder and a named pipe each raise what a Python person expects, and nothing is staged."""
    spool = open_spool(tmp_path / "st")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match="absent"):
        spool.stage(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match="a folder cannot be uploaded"):
        spool.stage(tmp_path)
    with pytest.raises(SpoolError, match="pipe is not a regular file"):
        spool.stage(tmp_path / "pipe")

    assert spool.close() is None


@pytest.mark.parametrize("inline_limit", [0, 1 << 20])
def test_a_source_that_changes_meanwhile_is_refused(
    tmp_path: Path, large: Path, inline_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that grows while it is read is not accepted, whatever its size."""
    spool = open_spool(tmp_path / "st", mode="copy", inline_limit=inline_limit)
    real = payload._check_unchanged

    def grow(descriptor: int, staged: payload.Staged) -> None:
        with open(large, "ab") as file:
            file.write(b"more")
        real(descriptor, staged)

    monkeypatch.setattr(payload, "_check_unchanged", grow)
    with pytest.raises(SpoolError, match="changed while it was being staged"):
        spool.stage(large)

    assert os.listdir(os.path.join(spool.folder, "big")) == []
    assert spool._limit.used < 1000
    assert spool.close() is None


def test_a_link_that_cannot_be_made_names_both_file_systems(
    tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of ``link`` across file systems says which two they are and what to do."""
    spool = open_spool(tmp_path / "st", mode="link")
    monkeypatch.setattr(os, "link", failing(errno.EXDEV))
    with pytest.raises(SpoolError, match=r"large \(file system at /.*\) cannot be linked into .* \(file system at /"):
        spool.stage(large)

    assert spool.close() is None


def test_a_move_across_file_systems_copies(tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``move`` that cannot link copies, and removes the source all the same."""
    spool = open_spool(tmp_path / "st", mode="move")
    monkeypatch.setattr(os, "link", failing(errno.EXDEV))

    assert payload_of(accept(spool, large)) == LARGE
    assert not large.exists()
    spool.abandon()


@pytest.mark.parametrize("size", [10, 400_000])
def test_a_move_removes_its_source_last(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process dies before the unlink both the upload and the source are there; a refused move keeps it too."""
    source = write(tmp_path / "source", b"m" * size)
    spool = open_spool(tmp_path / "st", mode="move")

    def die(point: str, _: object) -> None:
        if point == "accept.unlink.before":
            raise KeyboardInterrupt

    monkeypatch.setattr(_faultpoints, "active", die)
    with pytest.raises(KeyboardInterrupt):
        accept(spool, source)
    monkeypatch.setattr(_faultpoints, "active", None)
    spool.abandon()
    again = open_spool(tmp_path / "st")

    assert source.read_bytes() == b"m" * size
    assert [payload_of(entry) for entry in again.adopt().entries] == [b"m" * size]

    with pytest.raises(ValueError, match="refused"):
        accept(again, source, check=lambda: (_ for _ in ()).throw(ValueError("refused")))
    assert source.exists()
    again.abandon()


def test_a_move_that_cannot_be_synced_keeps_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``fsync`` the source goes only once the accept is on the disk."""
    source = write(tmp_path / "source", b"x")
    spool = open_spool(tmp_path / "st", mode="move", fsync=True)
    monkeypatch.setattr(files, "sync_data", failing(errno.EIO))
    with pytest.raises(SpoolError, match="could not be synced"):
        accept(spool, source)

    assert source.exists()
    spool.abandon()


def test_a_move_leaves_a_source_that_was_replaced(tmp_path: Path) -> None:
    """Another file that has taken the name of the source meanwhile is not removed."""
    source = write(tmp_path / "source", b"first")
    spool = open_spool(tmp_path / "st", mode="move")
    staged = spool.stage(source)
    os.replace(write(tmp_path / "other", b"second"), source)
    spool.accept(staged, "k", overwrite=True, check=lambda: None, enlist=lambda entry: None)

    assert source.read_bytes() == b"second"
    spool.abandon()


def test_a_disk_that_fills_during_a_copy_leaves_nothing(
    tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC in a large copy is a ``SpoolError`` with the sizes; the half copy is gone."""
    spool = open_spool(tmp_path / "st", mode="copy")
    monkeypatch.setattr(os, "copy_file_range", failing(errno.ENOSPC), raising=False)
    with pytest.raises(SpoolError, match=r"\(400000 bytes\) could not be staged .* bytes are free") as caught:
        spool.stage(large)

    assert caught.value.errno == errno.ENOSPC
    assert spool.close() is None
