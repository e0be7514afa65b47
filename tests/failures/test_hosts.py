"""What host programs and clusters do to an uploader: many uploaders, forks, reaped children, signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from tests.support.place import Place
from tests.support.processes import PATIENCE, is_running, wait_for_end

TEN = [str(number) for number in range(10)]


def sources(place: Place, names: list[str]) -> dict[str, str]:
    return {name: str(place.file(name)) for name in names}


# One uploader


def test_one_key_fifty_times(place: Place, *, use_procs: bool) -> None:
    """I5, I6: of fifty uploads of one key the last is stored in the end, none older after a newer one, one at a time,
    and every handle answers."""
    place.plan({"*": ["gate", ""]})
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=3)
    first = uploader.upload(place.file("source", "0"), "key")
    place.events.wait_for("begin", "key")
    others = [uploader.upload(place.file("source", str(number)), "key") for number in range(1, 50)]
    place.open_gate()
    uploader.drain(20)

    assert {upload.result(0) for upload in (first, *others)} == {first.uri}
    report = uploader.close(10)
    assert (report.stored, report.superseded) == (2, 48)
    assert place.stored() == {"key": "49"}
    assert [event["what"] for event in place.journal() if event["key"] == "key"] == ["begin", "end"] * 2
    ids = [event["entry_id"] for event in place.journal("end")]
    assert ids == [first.id, others[-1].id]
    assert place.leftovers() == []


@pytest.mark.parametrize("size", [10, 400_000], ids=["small", "large"])
def test_source_changed_right_after_the_call(place: Place, *, use_procs: bool, size: int) -> None:
    """I4: what is stored is what the file held when it was accepted, however it was changed or removed since."""
    place.plan({"*": ["gate"]})
    uploader = place.uploader(use_procs=use_procs)
    before, after = "a" * size, "b" * size
    changed, removed = place.file("changed", before), place.file("removed", before)
    uploader.upload(changed, "changed")
    changed.write_text(after)
    uploader.upload(removed, "removed")
    removed.unlink()
    place.open_gate()
    uploader.drain(20)

    assert place.stored() == {"changed": before, "removed": before}
    assert changed.read_text() == after


def test_two_uploaders_on_one_folder(place: Place, *, use_procs: bool) -> None:
    """I20: two uploaders of one process share a staging folder, and neither takes the other's uploads for a dead
    run's."""
    place.plan({"*": ["gate"]})
    one = place.uploader(use_procs=use_procs)
    one.upload(place.file("a"), "a")
    two = place.uploader(use_procs=use_procs)
    two.upload(place.file("b"), "b")
    assert (one.counts().spooled, two.counts().spooled) == (1, 1)
    place.open_gate()
    one.drain(20)
    two.drain(20)

    assert (one.close(10).stored, two.close(10).stored) == (1, 1)
    assert place.stored() == {"a": "a", "b": "b"}
    assert place.leftovers() == []


def test_eight_processes_start_at_once(place: Place) -> None:
    """I20: eight processes that start together on one folder each send their own, and leave nothing."""
    os.mkfifo(place.folder / "start")
    programs = [
        place.program(
            "starts_with_others",
            start=str(place.folder / "start"),
            files=sources(place, [f"{number}-{name}" for name in "abc"]),
        )
        for number in range(8)
    ]
    start = os.open(place.folder / "start", os.O_RDWR)
    os.write(start, b"12345678")
    for program in programs:
        program.expect("accepted")
        assert program.expect("closed") == "stored 3, failed 0, spooled 0"
        assert program.wait() == 0, program.errors()
    os.close(start)

    assert place.stored() == {name: name for name in (f"{number}-{name}" for number in range(8) for name in "abc")}
    assert len(place.journal("end")) == 24
    assert place.leftovers() == []


# Forks


def test_a_fork_in_the_middle(place: Place, *, use_procs: bool) -> None:
    """A forked child is told that it cannot upload; its close and its exit hooks change nothing for the parent."""
    place.plan({"0": ["trickle 0.3"]})
    program = place.program("forks", use_procs=use_procs, files=sources(place, TEN))
    program.expect("accepted")
    refused = program.expect("refused")
    assert re.search(r"a fork of \d+ .*nothing was accepted", refused)
    assert program.expect("child") == "0"
    assert program.expect("closed") == "stored 10, failed 0, spooled 0"
    assert program.wait() == 0, program.errors()

    assert place.stored() == {name: name for name in TEN}
    assert place.leftovers() == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_data_loader_in_the_middle(place: Place, *, use_procs: bool, method: str) -> None:
    """A data loader's processes come and go, and their exit hooks do nothing to the uploads of the parent."""
    program = place.program("loads_data", use_procs=use_procs, method=method, files=sources(place, TEN))
    program.expect("accepted")
    assert program.expect("loaded") == "[1, 2, 3, 4]"
    assert program.expect("child") == "0"
    assert program.expect("closed") == "stored 10, failed 0, spooled 0"
    assert program.wait() == 0, program.errors()

    assert place.stored() == {name: name for name in TEN}
    assert place.leftovers() == []


@pytest.mark.parametrize("gate", ["shut", "open"])
def test_orphans_beside_a_forked_sibling(place: Place, gate: str) -> None:
    """I10: the parent is killed while a forked child of it lives on: no worker begins another upload, and none is
    alive after the grace, whether the upload that it holds can be finished or not."""
    place.plan({"*": ["gate"]})
    program = place.program("leaves_a_fork", num_concurrent_uploads=2, orphan_grace=0.5, files=sources(place, TEN))
    program.expect("accepted")
    sibling = int(program.expect("forked"))
    place.events.wait_for("begin", count=2)
    program.signal(signal.SIGKILL, group=False)
    program.wait()
    if gate == "open":
        place.open_gate()
    for pid in place.events.worker_pids():
        wait_for_end(pid, 10 * (0.5 + 1))

    assert is_running(sibling)
    os.kill(sibling, signal.SIGKILL)
    assert len(place.journal("begin")) == 2
    assert len(place.journal("end")) == (2 if gate == "open" else 0)
    assert place.spooled() == 10


def test_popen_beside_a_forking_thread(place: Place) -> None:
    """Workers are started while another thread forks children that keep what they inherit: nothing hangs."""
    program = place.program("forks_beside_popen", rounds=10, files=sources(place, ["a"]))
    assert program.expect("done") == "True"
    assert program.wait() == 0, program.errors()

    assert place.stored() == {str(number): "a" for number in range(10)}


def test_a_command_in_the_middle(place: Place) -> None:
    """A program that hands every descriptor on to a command of its own keeps its uploads."""
    program = place.program("runs_a_command", files=sources(place, TEN))
    program.expect("accepted")
    assert program.expect("ran") == "0"
    assert program.expect("closed") == "stored 10, failed 0, spooled 0"
    assert program.wait() == 0, program.errors()


# Children that are reaped or replaced


@pytest.mark.parametrize("name", ["reaps_all", "ignores_children"])
def test_a_host_that_reaps_all_children(place: Place, name: str) -> None:
    """A worker's death is seen though the host program has taken its exit status, and it is replaced."""
    place.plan({"0": ["end", ""]})
    program = place.program(name, files=sources(place, TEN))
    program.expect("accepted")
    if name == "reaps_all":
        program.expect("reaping")
    assert program.expect("closed") == "stored 10, failed 0, spooled 0"
    assert program.wait() == 0, program.errors()

    assert place.stored() == {name: name for name in TEN}


def test_workers_run_nothing_from_the_current_folder(place: Place) -> None:
    """A ``queue.py``, ``rud.py`` or ``sitecustomize.py`` in the current folder is not run by workers."""
    cwd = place.folder / "cwd"
    cwd.mkdir()
    for module in ("queue", "rud", "sitecustomize", "usercustomize", "json", "signal"):
        (cwd / f"{module}.py").write_text(f"open({str(place.folder / 'was-run')!r}, 'a').write({module!r})\n")
    script = place.folder / "script.py"
    script.write_text("from tests.support.programs import main\nmain()\n")
    program = place.program("drain", script=script, cwd=cwd, files=sources(place, TEN))
    program.expect("accepted")
    assert program.expect("closed") == "stored 10, failed 0, spooled 0"
    assert program.wait() == 0, program.errors()

    assert not (place.folder / "was-run").exists()


# Signals


def test_the_parent_is_stopped(place: Place) -> None:
    """A parent that was stopped for longer than ``stall_timeout`` does not blame its worker for it."""
    place.plan({"a": ["trickle 1.5"]})
    program = place.program("drain", stall_timeout=0.6, files=sources(place, ["a"]))
    program.expect("accepted")
    (begun,) = place.events.wait_for("begin", "a")
    os.kill(program.pid, signal.SIGSTOP)
    place.events.wait_for("end", "a")
    os.kill(program.pid, signal.SIGCONT)

    assert program.expect("closed") == "stored 1, failed 0, spooled 0"
    assert program.wait() == 0
    assert [event["pid"] for event in place.journal("begin")] == [begun["pid"]]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_worker_is_stopped(place: Place, *, goes_on: bool) -> None:
    """A worker that is stopped and goes on in time finishes; one that does not is replaced, and its upload sent
    again."""
    place.plan({"*": ["gate"]})
    uploader = place.uploader(stall_timeout=PATIENCE if goes_on else 0.3)
    uploader.upload(place.file("a"), "a")
    (begun,) = place.events.wait_for("begin", "a")
    os.kill(begun["pid"], signal.SIGSTOP)
    place.open_gate()
    if goes_on:
        os.kill(begun["pid"], signal.SIGCONT)
    uploader.drain(20)

    assert uploader.close(10).stored == 1
    assert [event["pid"] == begun["pid"] for event in place.journal("end")] == [goes_on]
    assert place.leftovers() == []


@pytest.mark.parametrize("name", ["wait", "with_block"])
def test_ctrl_c_twice(place: Place, *, use_procs: bool, name: str) -> None:
    """I9: the second Ctrl-C does not wait for the uploads; how many are left, where, and what to type is said."""
    place.plan({"*": ["gate"]})
    program = place.program(name, use_procs=use_procs, files=sources(place, TEN), close_timeout=1000)
    owner = program.expect("accepted")
    place.events.wait_for("begin")
    program.signal(signal.SIGINT)
    # When the first has been seen cannot be told from outside: one more is sent until it has gone.
    for _ in range(100):
        program.signal(signal.SIGINT)
        try:
            program.process.wait(0.3)
            break
        except subprocess.TimeoutExpired:
            continue

    assert program.wait() != 0
    assert f"stored 0, failed 0, spooled 10: nothing is lost. It lies in {owner}" in program.errors(2)
    assert f"`rud resume {owner}`" in program.errors()
    assert place.spooled() == 10


def test_exit_with_something_left(place: Place, *, use_procs: bool) -> None:
    """The exit hook gives up after ``close_timeout``; how many are left, where, and what to type is said on stderr."""
    place.plan({"9": ["hang"]})
    program = place.program("exit_", use_procs=use_procs, files=sources(place, TEN), close_timeout=0.5)
    owner = program.expect("accepted")

    assert program.wait(10 * 1.5) == 0
    assert f"stored 9, failed 0, spooled 1: nothing is lost. It lies in {owner}" in program.errors(2)
    assert f"`rud resume {owner}`" in program.errors()
