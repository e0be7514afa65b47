"""What the system below does to us: calls that fail, limits, clocks that jump, process ids that come again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rud_fakes import FakeClock
from rud_fakes.memory import MemoryBackend
from rud_fakes.runtime import InlineRuntime

from rud import Uploader
from rud._registry import resolve
from rud._spool import files
from tests.support import scripted_store
from tests.support.place import Place
from tests.support.processes import PATIENCE
from tests.support.scripted_store import SCRIPTS
from tests.support.spools import accept, open_spool, payload_of

scripted_store.register()
SCRIPT = Path(__file__).parents[1] / "support" / "limited.py"
LARGE = 300_000


def strace() -> list[str]:
    """``strace``, which can have system calls of a program fail; where it may not, the tests are not offered."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("not offered: strace is not installed")
    tried = subprocess.run([found, "-qq", "-o", os.devnull, "true"], check=False, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"not offered: strace may not trace here ({tried.stderr.strip()})")
    return [found, "-f", "-qq", "-o", os.devnull]


@pytest.mark.parametrize("when", ["1+2", "2+3", "1+1"])
@pytest.mark.parametrize(
    "faults",
    [
        ["pwritev,pwrite64:error=ENOSPC"],
        ["pwritev,pwrite64:error=EIO", "ftruncate:error=EIO"],
        ["fdatasync,fsync:error=EIO"],
        ["unlink,unlinkat:error=EACCES"],
        ["copy_file_range,sendfile:error=EIO"],
    ],
    ids=lambda faults: "-".join(fault.partition(":")[0] for fault in faults),
)
def test_calls_that_fail(tmp_path: Path, faults: list[str], when: str) -> None:
    """I1, I2, I13: whatever calls of the real spool the system refuses, what was accepted is there with its bytes,
    and what was refused is not."""
    contents = {f"{number}": f"{number}".encode() * (LARGE if number % 2 else 10) for number in range(8)}
    sources = {key: tmp_path / key for key in contents}
    for key, source in sources.items():
        source.write_bytes(contents[key])
    staging = tmp_path / "staging"
    staging.mkdir(mode=0o700)
    config = {
        "staging": str(staging),
        "files": {key: str(path) for key, path in sources.items()},
        "ends": ["2", "3", "6"],
    }
    injected = [word for fault in faults for word in ("-e", f"inject={fault}:when={when}")]
    ran = subprocess.run(
        [*strace(), *injected, sys.executable, str(SCRIPT), "spools", json.dumps(config)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if not ran.stdout:  # the folder itself could not be made: nothing was accepted, and it is said
        assert "ConfigurationError" in ran.stderr
        return
    came = json.loads(ran.stdout)
    spool = open_spool(staging, destination=resolve("scripted://limited").destination)
    found = {entry.key: payload_of(entry) for entry in spool.adopt().entries}
    spool.abandon()

    assert sorted(came["accepted"] + came["refused"]) == sorted(contents)
    assert found == {key: contents[key] for key in found}
    assert set(came["accepted"]) - set(came["stored"]) <= set(found) <= set(came["accepted"])


def test_no_descriptor_is_left(place: Place) -> None:
    """I13, I22: without a descriptor an upload is refused as an ``OSError``, and goes when there are some again."""
    config = place.config(path=str(place.file("source")))
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), "has_few_descriptors", json.dumps(config)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    came = json.loads(ran.stdout or f'{{"stderr": {json.dumps(ran.stderr)}}}')

    assert came["refused"] in {"OSError", "SpoolError"}
    assert came == {**came, "closed": "stored 2, failed 0, spooled 0"}
    assert place.stored() == {"before": "source", "after": "source"}


# Clocks and process ids


class JumpingClock(FakeClock):
    """Its time of day jumps; what is monotonic stays so."""

    jump = 0.0

    def time_ns(self) -> int:
        return super().time_ns() + round(self.jump * 1e9)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    yield tmp_path.name
    MemoryBackend.forget(tmp_path.name)
    SCRIPTS.pop(tmp_path.name, None)


def inline(bucket: str, tmp_path: Path, runtime: InlineRuntime, **more: Any) -> Uploader:
    return Uploader(
        f"scripted://{bucket}", use_procs=False, upload_staging_folder=tmp_path / "staging", on_failure="warn",
        _runtime=runtime, **more,
    )  # fmt: skip


def versions(tmp_path: Path, *texts: str) -> list[Path]:
    paths = [tmp_path / text for text in texts]
    for path in paths:
        path.write_text(path.name)
    return paths


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_the_clock_jumps(bucket: str, tmp_path: Path, jump: float) -> None:
    """I5: the time of day may jump during a run, and between two; the last accepted of a key wins, and nothing is held
    up."""
    old, new, newest = versions(tmp_path, "old", "new", "newest")
    clock = JumpingClock()
    runtime = InlineRuntime(clock, stepped=True)
    first = inline(bucket, tmp_path, runtime)
    first.upload(old, "key")
    clock.jump = jump
    first.upload(new, "key")
    first._spool.abandon()
    first._pid = -1
    later = JumpingClock()
    later.jump = 2 * jump
    second = inline(bucket, tmp_path, InlineRuntime(later))
    second.upload(newest, "key")
    later.jump = 0.0
    second.drain(adopted=True)

    assert second.close(1).complete
    assert [key for key, _ in SCRIPTS[bucket].journal][-1:] == ["key"]
    assert MemoryBackend(bucket).head("key").size == len("newest")
    assert later.monotonic() < 60


def test_the_process_id_came_again(tmp_path: Path) -> None:
    """I20: another process that has the id of a dead owner does not make it alive: the lock decides."""
    source = tmp_path / "source"
    source.write_text("weights")
    dead = open_spool(tmp_path / "staging")
    accept(dead, source)
    dead.abandon()
    facts = Path(dead.folder) / "owner.json"
    files.write_json(str(facts), {**files.read_json(str(facts)), "pid": os.getppid()})
    spool = open_spool(tmp_path / "staging")
    (entry,) = spool.adopt().entries
    spool.abandon()

    assert payload_of(entry) == b"weights"


# Figures


def test_a_dead_worker_is_replaced_at_once(place: Place) -> None:
    """A worker that is killed while it rests has a successor within a second (of a machine with nothing else to do)."""
    uploader = place.uploader()
    uploader.upload(place.file("a"), "a").result(20)
    (pid,) = uploader.worker_pids()
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    place.events.wait_for("open")
    while place.events.seen[-1]["pid"] in {pid, os.getpid()}:
        place.events.wait_for("open")

    assert time.monotonic() - began < 10 * 1.0
    assert uploader.close(10).complete
