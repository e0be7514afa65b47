"""The supervisor's end of a worker process: whatever is at the other end, nothing blocks, raises, or is believed."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rud import _links
from rud._frames import Message, encode
from rud._links import Mux, ProcessLink
from rud._registry import StoreSpec, resolve

PATIENCE = 20.0


@pytest.fixture
def mux() -> Iterator[Mux]:
    made = Mux()
    yield made
    made.close()


@pytest.fixture
def spec(tmp_path: Path) -> StoreSpec:
    return resolve(tmp_path / "objects")


def _hire(spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch, script: str) -> ProcessLink:
    """A link whose worker is ``script`` instead."""

    def popen(stdin: int, stdout: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-I", "-S", "-c", script], stdin=stdin, stdout=stdout, bufsize=0)

    monkeypatch.setattr(_links, "_popen", popen)
    return ProcessLink(spec, mux, lock_paths=[], orphan_grace=0.0)


def _to_the_end(link: ProcessLink, mux: Mux) -> list[Message]:
    """All that it says until it has ended."""
    said = link.receive()
    while not link.ended:
        mux.wait(PATIENCE)
        said += link.receive()
    return said + link.receive()


def _says(data: bytes) -> str:
    return f"import os; os.write(1, {data!r})"


READY = encode({"re": "ready"})
PROBED = encode({"re": "probed"})


def test_what_came_whole_counts_though_the_rest_was_cut(
    spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a worker that dies in the middle of a message all that it has said before is taken, and nothing of that."""
    link = _hire(spec, mux, monkeypatch, _says(READY + PROBED[:-2]))

    assert _to_the_end(link, mux) == [{"re": "ready"}]


@pytest.mark.parametrize("garbage", [b"a line that a store has printed\n" * 3, READY[:-1] + b"?", b"\xff" * 40])
def test_garbage_ends_the_worker(spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch, garbage: bytes) -> None:
    """What is no message is never taken for one; whoever sent it is killed, and the obituary says so."""
    link = _hire(spec, mux, monkeypatch, f"{_says(garbage)}; os.read(0, 1 << 20); os.read(0, 1)")

    assert _to_the_end(link, mux) == []
    assert "was killed" in link.obituary()


def test_a_worker_that_reads_nothing_blocks_nobody(spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a pipe holds waits with us, and goes when there is room."""
    link = _hire(spec, mux, monkeypatch, f"import os, select; {_says(READY)}; select.select([], [], [])")
    for _ in range(3):
        link.send({"do": "upload", "filling": "x" * (1 << 16)})
    link.kill()

    assert _to_the_end(link, mux) == [{"re": "ready"}] or link.ended


def test_a_full_pipe_is_gone_on_with(spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was sent arrives, in its order, at a worker that begins to read late."""
    script = "import os, sys\nn = 0\nwhile n < (3 << 16): n += len(os.read(0, 1 << 16))\n" + _says(READY)
    link = _hire(spec, mux, monkeypatch, script)
    for _ in range(3):
        link.send({"do": "upload", "filling": "x" * (1 << 16)})

    assert _to_the_end(link, mux) == [{"re": "ready"}]


def test_a_dead_worker_is_told_things_in_vain(spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch) -> None:
    """EPIPE is a worker's death, which is seen elsewhere, and no error of who sends."""
    link = _hire(spec, mux, monkeypatch, "pass")
    link._process.wait(PATIENCE)
    link.send({"do": "upload", "filling": "x" * (1 << 17)})

    assert _to_the_end(link, mux) == []
    link.send({"do": "quit"})


def test_a_worker_of_another_version(spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that two versions are mixed, and does nothing."""
    monkeypatch.setattr(_links, "PROTOCOL", 0)
    link = ProcessLink(spec, mux, lock_paths=[], orphan_grace=0.0)
    (said,) = _to_the_end(link, mux)

    assert said["error"]["class"] == "ConfigurationError"
    assert "two versions of rud are mixed" in said["error"]["text"]


def test_the_kernel_ran_out_of_memory(
    spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """When the container's count of such kills has moved the obituary says that it was this."""
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom_kill 3\n")
    monkeypatch.setattr(_links, "_CGROUP_EVENTS", str(events))
    link = _hire(spec, mux, monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    events.write_text("low 0\noom_kill 4\n")
    _to_the_end(link, mux)

    assert "out-of-memory killer has struck" in link.obituary()


def test_wake_ups_are_not_lost_and_fill_nothing(mux: Mux) -> None:
    """One that comes before the wait ends it, however many came before, and all of them are over with it."""
    for _ in range(5_000):
        mux.wake()
    mux.wait(PATIENCE)

    assert select.select([mux._wake_read], [], [], 0)[0] == []
    mux.wake()
    mux.wait(PATIENCE)
    assert select.select([mux._wake_read], [], [], 0)[0] == []


def test_descriptors_are_given_back(spec: StoreSpec, mux: Mux, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a worker that has ended no descriptor is left."""
    before = set(os.listdir("/dev/fd"))
    _to_the_end(_hire(spec, mux, monkeypatch, "pass"), mux)

    assert set(os.listdir("/dev/fd")) == before
