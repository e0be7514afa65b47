"""The ten faults under which the incumbent loses uploads or hangs: real processes, a store on disk, both kinds of
workers."""

from __future__ import annotations

import os
import signal

import pytest

from rud import Uploader, UploadError
from tests.support.place import Place
from tests.support.processes import Program, wait_for_end

TEN = [str(number) for number in range(10)]


def upload(place: Place, uploader: Uploader, names: list[str]) -> None:
    for name in names:
        uploader.upload(place.file(name), name)


def assert_all_stored(place: Place, names: list[str] = TEN) -> None:
    """Every byte is in the store, and nothing in staging or beside the objects."""
    assert place.stored() == {name: name for name in names}
    assert place.leftovers() == []


def program(place: Place, name: str, *, use_procs: bool) -> Program:
    """It has accepted ten uploads when this returns, and both of its workers hold one at the gate."""
    place.plan({"*": ["gate"]})
    started = place.program(
        name,
        use_procs=use_procs,
        num_concurrent_uploads=2,
        orphan_grace=0.5,
        files={number: str(place.file(number)) for number in TEN},
    )
    started.expect("accepted")
    place.events.wait_for("begin", count=2)
    return started


def finish_in_a_new_run(place: Place, *, use_procs: bool) -> None:
    """What a run has left is adopted by the next, and stored."""
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=2)
    uploader._pool.drain_adopted(20)
    report = uploader.close(10)
    assert report.complete, report
    assert_all_stored(place)


def test_01_no_fault(place: Place, *, use_procs: bool) -> None:
    """Without a fault all six are stored, the waits return, and nothing is left behind."""
    uploader = place.uploader(use_procs=use_procs)
    upload(place, uploader, TEN[:6])
    uploader.drain(20)
    report = uploader.close(10)

    assert (report.stored, report.complete, report.left) == (6, True, ())
    assert_all_stored(place, TEN[:6])


def test_02_an_idle_worker_is_killed(place: Place, *, use_procs: bool) -> None:
    """The only worker is killed between uploads: another takes its place, and the nine that follow are stored."""
    # A thread cannot be killed while it is idle; the nearest is one that ends when its work is done.
    place.plan({} if use_procs else {"0": ["store and end", ""]})
    uploader = place.uploader(use_procs=use_procs)
    first = uploader.upload(place.file("0"), "0")
    if use_procs:
        first.result(20)
        place.events.wait_for("end", "0")
        (pid,) = place.events.worker_pids()
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    else:
        place.events.wait_for("end", "0")
    upload(place, uploader, TEN[1:])
    uploader.drain(20)

    assert uploader.close(10).stored == 10
    assert_all_stored(place)


@pytest.mark.parametrize("workers", [pytest.param(1, id="03"), pytest.param(4, id="04")])
def test_03_04_a_busy_worker_is_killed(place: Place, *, use_procs: bool, workers: int) -> None:
    """I11: a worker is killed in the middle of one of ten uploads: that one is sent again, no other is touched."""
    place.plan({"*": ["gate"], "0": ["gate" if use_procs else "end", "gate"]})
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=workers)
    upload(place, uploader, TEN)
    (begun,) = place.events.wait_for("begin", "0")
    if use_procs:
        os.kill(begun["pid"], signal.SIGKILL)
    place.open_gate()
    uploader.drain(20)

    assert uploader.close(10).stored == 10
    assert_all_stored(place)
    attempts = {name: max(event["attempt"] for event in place.journal("begin") if event["key"] == name) for name in TEN}
    assert attempts == {name: 2 if name == "0" else 1 for name in TEN}


def test_05_a_503_is_retried(place: Place, *, use_procs: bool) -> None:
    """I16: a failure that a later attempt has overcome is never raised."""
    place.plan({"3": ["503", ""]})
    uploader = place.uploader(use_procs=use_procs)
    upload(place, uploader, TEN)
    uploader.drain(20)
    uploader.raise_if_failed()

    assert uploader.close(10).stored == 10
    assert_all_stored(place)


def test_06_a_call_never_returns(place: Place, *, use_procs: bool) -> None:
    """I9, I16: the upload whose call never returns fails after its attempts, by name; all others are stored, and both
    waits and the close return."""
    place.plan({"0": ["hang"]})
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=2, stall_timeout=0.3, num_attempts=2)
    upload(place, uploader, TEN)

    with pytest.raises(UploadError, match=r"'0'.*after 2 attempts.*no sign of life") as caught:
        uploader.drain(20)
    assert (caught.value.key, caught.value.attempts) == ("0", 2)
    uploader.drain(20)
    report = uploader.close(10)
    assert (report.stored, report.failed, [left.key for left in report.left]) == (9, 1, ["0"])
    assert place.stored() == {name: name for name in TEN[1:]}


def test_06_a_call_that_once_never_returns(place: Place, *, use_procs: bool) -> None:
    """A call that never returns is ended and made again: all are stored, nothing is raised."""
    place.plan({"0": ["hang", ""]})
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=2, stall_timeout=0.3)
    upload(place, uploader, TEN)
    uploader.drain(20)

    assert uploader.close(10).stored == 10
    assert_all_stored(place)


def test_07_ctrl_c(place: Place, *, use_procs: bool) -> None:
    """Ctrl-C to the whole group: the program goes its normal way out, on which all ten are stored."""
    running = program(place, "wait", use_procs=use_procs)
    running.signal(signal.SIGINT)
    place.open_gate()

    assert running.wait() != 0
    assert "KeyboardInterrupt" in running.errors()
    assert_all_stored(place)


def test_08_sigterm(place: Place, *, use_procs: bool) -> None:
    """I2: SIGTERM to the whole group ends the program at once; its workers finish what they hold, the next run the
    rest."""
    running = program(place, "wait", use_procs=use_procs)
    running.signal(signal.SIGTERM)
    assert running.wait() == -signal.SIGTERM
    place.open_gate()
    for pid in place.events.worker_pids() - {running.pid}:
        wait_for_end(pid)
    assert len(place.journal("end")) == (2 if use_procs else 0)

    finish_in_a_new_run(place, use_procs=use_procs)


def test_09_exit_without_close(place: Place, *, use_procs: bool) -> None:
    """``sys.exit(0)`` without a close: the exit hook has all ten stored before the program ends."""
    running = program(place, "exit_", use_procs=use_procs)
    place.open_gate()

    assert running.wait() == 0
    assert_all_stored(place)


def test_10_the_parent_is_killed(place: Place, *, use_procs: bool) -> None:
    """I2, I10: SIGKILL of the parent: within the grace no worker is left, none has begun anything, and the next run
    stores all ten."""
    running = program(place, "wait", use_procs=use_procs)
    running.signal(signal.SIGKILL, group=False)
    assert running.wait() == -signal.SIGKILL
    for pid in place.events.worker_pids():
        wait_for_end(pid, 10 * (0.5 + 1))
    assert len(place.journal("begin")) == 2
    place.open_gate()

    finish_in_a_new_run(place, use_procs=use_procs)
