"""The disk of the simulation: what it shows while the power is on, and what it may have kept when it was cut."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.simulation.disk import Disk
from rud_fakes.simulation.faults import KINDS, Faults
from rud_fakes.simulation.fibers import Dead
from rud_fakes.simulation.layers import PAGE, File, Layers
from rud_fakes.simulation.world import Process, World

from rud._spool import Outcome, Spool, SpoolEntry
from tests.support.spools import accept, open_spool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="not offered: its locks are those of Linux")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    one = World(0, str(tmp_path), Faults(0, without=KINDS), lambda line: None)
    with one.disk.mounted(), one.running(one.spawn("program")):
        yield one


@pytest.fixture
def disk(world: World) -> Disk:
    return world.disk


def cut(world: World, seed: int) -> Layers:
    """What might be there after a power cut; nothing changes by asking."""
    return world.disk.layers.power_cut(random.Random(seed))


def contents(layers: Layers, path: str) -> bytes | None:
    file = layers.file(path)
    return None if file is None else file.content


def possible(world: World, path: str) -> set[bytes | None]:
    return {contents(cut(world, seed), path) for seed in range(300)}


def write(path: str, content: bytes, *, sync: bool = False, flags: int = os.O_CREAT) -> None:
    fd = os.open(path, os.O_RDWR | flags)
    os.pwrite(fd, content, 0)
    if sync:
        os.fsync(fd)
    os.close(fd)


def sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_a_synced_file_in_a_synced_folder_survives(world: World, disk: Disk) -> None:
    """Both syncs are needed, and both together are enough."""
    write(f"{disk.root}/a", b"content", sync=True)
    assert possible(world, "a") == {None, b"content"}
    sync_folder(disk.root)

    assert possible(world, "a") == {b"content"}


def test_what_was_not_synced_may_survive_in_part(world: World, disk: Disk) -> None:
    """Any of the pages, up to any length that the file has had; what was synced is never less than that."""
    write(f"{disk.root}/a", b"s" * PAGE, sync=True)
    sync_folder(disk.root)
    fd = os.open(f"{disk.root}/a", os.O_RDWR)
    os.pwrite(fd, b"1" * PAGE, PAGE)
    os.pwrite(fd, b"2" * PAGE, 2 * PAGE)
    os.close(fd)
    found = possible(world, "a")

    assert {b"s" * PAGE, b"s" * PAGE + b"1" * PAGE + b"2" * PAGE, b"s" * PAGE + bytes(PAGE) + b"2" * PAGE} <= found
    assert all(one is not None and one.startswith(b"s" * PAGE) for one in found)


def test_a_rename_is_kept_whole_or_not_at_all(world: World, disk: Disk) -> None:
    """Never both names, never none, also from one folder to another."""
    os.mkdir(f"{disk.root}/b")
    write(f"{disk.root}/a", b"x", sync=True)
    sync_folder(disk.root)
    os.rename(f"{disk.root}/a", f"{disk.root}/c")
    os.rename(f"{disk.root}/c", f"{disk.root}/b/d")
    found = {tuple(contents(cut(world, seed), path) for path in ("a", "c", "b/d")) for seed in range(300)}

    assert {(b"x", None, None), (None, b"x", None), (None, None, b"x")} <= found
    assert all(sum(name is not None for name in one) == 1 for one in found)


def test_a_failed_sync_is_final(world: World, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages are marked clean, and no later sync brings them to the disk."""
    write(f"{disk.root}/a", b"content")
    sync_folder(disk.root)
    node = disk.layers.file("a")
    assert node is not None
    node.spoilt = True
    write(f"{disk.root}/a", b"content", sync=True, flags=0)

    assert b"" in possible(world, "a")


def test_a_full_disk_takes_what_fits(disk: Disk) -> None:
    """A write is short, and the next one says why."""
    disk.capacity = 6
    fd = os.open(f"{disk.root}/a", os.O_RDWR | os.O_CREAT)

    assert os.pwrite(fd, b"12345678", 0) == 6
    with pytest.raises(OSError, match="No space") as caught:
        os.pwrite(fd, b"78", 6)
    assert caught.value.errno == errno.ENOSPC
    os.close(fd)


def test_a_dead_process_changes_nothing_any_more(world: World, disk: Disk) -> None:
    """Not even in what it does while it unwinds; its locks are free at once."""
    process = world.current
    assert process is not None
    write(f"{disk.root}/a", b"x")
    fd = os.open(f"{disk.root}/a", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    world.kill(process)
    calls = (lambda: os.unlink(f"{disk.root}/a"), lambda: os.pwrite(fd, b"y", 0), lambda: os.mkdir(f"{disk.root}/b"))
    for call in calls:
        with pytest.raises(Dead):
            call()
    other = world.spawn("other")

    assert [fd for fd, opened in disk.opened.items() if opened.pid == process.pid] == [fd]
    with world.running(other):
        assert Path(disk.root, "a").read_bytes() == b"x"
        lock(disk, other)


def lock(disk: Disk, process: Process) -> int:
    fd = os.open(f"{disk.root}/a", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def test_a_lock_is_asked_for_and_dropped_as_in_life(world: World, disk: Disk) -> None:
    """F_GETLK names the holder; any ``close`` of the file by the holder drops its lock."""
    write(f"{disk.root}/a", b"")
    one, two = world.spawn("one"), world.spawn("two")
    with world.running(one):
        lock(disk, one)
    with world.running(two):
        fd = os.open(f"{disk.root}/a", os.O_RDWR)
        with pytest.raises(OSError, match="unavailable"):
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        asked = struct.pack("@hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
        kind, *_, pid = struct.unpack("@hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, asked))
        assert (kind, pid) == (fcntl.F_WRLCK, one.pid)
    with world.running(one):
        os.close(os.open(f"{disk.root}/a", os.O_RDONLY))
    with world.running(two):
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 9000), st.binary(min_size=1, max_size=3000)),
        st.tuples(st.just("cut"), st.integers(0, 9000), st.just(b"")),
        st.tuples(st.just("sync"), st.just(0), st.just(b"")),
    ),
    max_size=12,
)


@given(CHANGES, st.integers(0, 2**32))
def test_the_layers_are_what_a_real_file_is(changes: list[tuple[str, int, bytes]], seed: int) -> None:
    """Whatever is written, cut and synced: together they read as the file does; synced, nothing can be lost."""
    real, file = bytearray(), File()
    for when, (what, offset, data) in enumerate(changes):
        if what == "sync":
            file.sync()
        elif what == "cut":
            real[offset:] = b""
            real.extend(bytes(offset - len(real)))
            file.truncate(when, offset)
        else:
            real.extend(bytes(max(0, offset - len(real))))
            real[offset : offset + len(data)] = data
            file.write(when, offset, data)

    assert file.content == real
    assert len(file.survivor(random.Random(seed))) <= 12_000
    file.sync()
    assert file.survivor(random.Random(seed)) == real


# The real spool on it, cut off at every call


Work = Callable[[Spool, SpoolEntry], object]
WORKS: dict[str, Work] = {
    "accept": lambda spool, entry: None,
    "fail": lambda spool, entry: spool.fail(entry, {"reason": "denied"}),
    "store": lambda spool, entry: spool.settle(entry, Outcome.STORED),
}


@pytest.mark.parametrize("size", [20, 300_000], ids=["small", "large"])
@pytest.mark.parametrize("work", WORKS)
def test_power_cut_at_every_call(tmp_path: Path, work: str, size: int) -> None:
    """I2, I14: with ``fsync`` an accepted upload is in the log or among the failed ones, whole, wherever the power was
    cut; one that was not accepted yet, or was stored, may be."""
    calls = 1
    while not cut_at(tmp_path / f"{calls}", calls, WORKS[work], size, gone=work == "store"):
        calls += 1
    assert calls > 20


def cut_at(root: Path, call: int, work: Work, size: int, *, gone: bool) -> bool:
    """Whether everything was done before that call came."""
    root.mkdir()
    world = World(call, str(root), Faults(0, without=KINDS), lambda line: None)
    accepted: list[SpoolEntry] = []
    with world.disk.mounted():
        world.disk.make_folder("staging")
        world.disk.put("source", b"c" * size, 1)
        process = world.spawn("program")
        world.strike_at, world.strike = call, lambda: world.kill(process)
        try:
            with world.running(process):
                spool = open_spool(root / "staging", fsync=True)
                accepted.append(accept(spool, root / "source"))
                work(spool, accepted[0])
            done = True
        except Dead:
            done = False
        world.kill(process)
        world.bury(process)
        world.disk.power_cut(world.chance)
        with world.running(world.spawn("next")):
            check_found(root, accepted, size, gone=gone)
        world.end()
    shutil.rmtree(root)
    return done


def check_found(root: Path, accepted: list[SpoolEntry], size: int, *, gone: bool) -> None:
    again = open_spool(root / "staging", fsync=True)
    found = [entry.path for entry in again.adopt().entries]
    payloads = list((root / "staging").glob("rud-spool/v1/*/failed/*/payload"))
    assert len(found) + len(payloads) <= 1
    assert all(path.read_bytes() == b"c" * size for path in payloads)
    assert found or payloads or gone or not accepted
