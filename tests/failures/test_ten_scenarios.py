"""The ten faults under which the incumbent loses uploads or hangs: real processes, a store on disk and S3, both kinds
of workers."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from rud import Uploader, UploadError
from tests.support.place import Place
from tests.support.processes import Program, wait_for_end, workers_of
from tests.support.s3_place import S3Place
from tests.support.scene import Scene

TEN = [str(number) for number in range(10)]


@pytest.fixture(params=[Place, S3Place], ids=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """Every scenario is gone through on both stores."""
    made: Scene = request.param(tmp_path)
    with made:
        yield made


def upload(place: Scene, uploader: Uploader, names: list[str]) -> None:
    for name in names:
        uploader.upload(place.file(name), name)


def assert_all_stored(place: Scene, names: list[str] = TEN) -> None:
    """Every byte is in the store, and nothing in staging or beside the objects."""
    assert place.stored() == {name: name for name in names}
    assert place.leftovers() == []


def program(place: Scene, name: str, *, use_procs: bool) -> Program:
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
    place.wait_until_begun(2)
    return started


def finish_in_a_new_run(place: Scene, *, use_procs: bool) -> None:
    """What a run has left is adopted by the next, and stored."""
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=2)
    uploader._pool.drain_adopted(20)
    report = uploader.close(10)
    assert report.complete, report
    assert_all_stored(place)


def test_01_no_fault(place: Scene, *, use_procs: bool) -> None:
    """Without a fault all six are stored, the waits return, and nothing is left behind."""
    uploader = place.uploader(use_procs=use_procs)
    upload(place, uploader, TEN[:6])
    uploader.drain(20)
    report = uploader.close(10)

    assert (report.stored, report.complete, report.left) == (6, True, ())
    assert_all_stored(place, TEN[:6])


def test_02_an_idle_worker_is_killed(place: Scene, *, use_procs: bool) -> None:
    """The only worker is killed between uploads: another takes its place, and the nine that follow are stored."""
    uploader = place.uploader(use_procs=use_procs)
    uploader.upload(place.file("0"), "0").result(20)
    place.kill_a_worker(uploader)
    upload(place, uploader, TEN[1:])
    uploader.drain(20)

    assert uploader.close(10).stored == 10
    assert_all_stored(place)


@pytest.mark.parametrize("workers", [pytest.param(1, id="03"), pytest.param(4, id="04")])
def test_03_04_a_busy_worker_is_killed(place: Scene, *, use_procs: bool, workers: int) -> None:
    """I11: a worker is killed in the middle of one of ten uploads: that one is sent again, no other is touched."""
    place.plan({"*": ["gate"]})
    uploader = place.uploader(use_procs=use_procs, num_concurrent_uploads=workers)
    upload(place, uploader, TEN)
    place.wait_until_begun(workers)
    place.kill_a_worker(uploader)
    place.open_gate()
    uploader.drain(20)

    assert uploader.close(10).stored == 10
    assert_all_stored(place)
    attempts = Counter(place.begun())
    assert sorted(attempts.values()) == [1] * 9 + [2]
    assert set(list(attempts)[:workers]) >= {key for key, count in attempts.items() if count == 2}


def test_05_a_503_is_retried(place: Scene, *, use_procs: bool) -> None:
    """I16: a failure that a later attempt has overcome is never raised."""
    place.plan({"3": ["503", ""]})
    uploader = place.uploader(use_procs=use_procs)
    upload(place, uploader, TEN)
    uploader.drain(20)
    uploader.raise_if_failed()

    assert uploader.close(10).stored == 10
    assert_all_stored(place)


def test_06_a_call_never_returns(place: Scene, *, use_procs: bool) -> None:
    """I9, I16: the upload whose call never returns fails after its attempts, by name; all others are stored, and both
    waits and the close return."""
    place.plan({"0": ["hang"]})
    uploader = place.impatient_uploader(use_procs=use_procs, num_concurrent_uploads=2, num_attempts=2)
    upload(place, uploader, TEN)

    with pytest.raises(UploadError, match=r"'0'.*after 2 attempts.*no sign of life") as caught:
        uploader.drain(20)
    assert (caught.value.key, caught.value.attempts) == ("0", 2)
    uploader.drain(20)
    report = uploader.close(10)
    assert (report.stored, report.failed, [left.key for left in report.left]) == (9, 1, ["0"])
    assert place.stored() == {name: name for name in TEN[1:]}


def test_06_a_call_that_once_never_returns(place: Scene, *, use_procs: bool) -> None:
    """A call that never returns is ended and made again: all are stored, nothing is raised."""
    place.plan({"0": ["hang", ""]})
    uploader = place.impatient_uploader(use_procs=use_procs, num_concurrent_uploads=2)
    upload(place, uploader, TEN)
    uploader.drain(20)

    assert uploader.close(10).stored == 10
    assert_all_stored(place)


def test_07_ctrl_c(place: Scene, *, use_procs: bool) -> None:
    """Ctrl-C to the whole group: the program goes its normal way out, on which all ten are stored."""
    running = program(place, "wait", use_procs=use_procs)
    running.signal(signal.SIGINT)
    place.open_gate()

    assert running.wait() != 0
    assert "KeyboardInterrupt" in running.errors()
    assert_all_stored(place)


def test_08_sigterm(place: Scene, *, use_procs: bool) -> None:
    """I2: SIGTERM to the whole group ends the program at once; its workers finish what they hold, the next run the
    rest."""
    running = program(place, "wait", use_procs=use_procs)
    workers = workers_of(running.pid)
    running.signal(signal.SIGTERM)
    assert running.wait() == -signal.SIGTERM
    place.open_gate()
    for pid in workers:
        wait_for_end(pid)
    assert len(workers) == (2 if use_procs else 0)
    assert len(place.finished()) in ({2} if use_procs else range(place.may_arrive_late + 1))

    finish_in_a_new_run(place, use_procs=use_procs)


def test_09_exit_without_close(place: Scene, *, use_procs: bool) -> None:
    """``sys.exit(0)`` without a close: the exit hook has all ten stored before the program ends."""
    running = program(place, "exit_", use_procs=use_procs)
    place.open_gate()

    assert running.wait() == 0
    assert_all_stored(place)


def test_10_the_parent_is_killed(place: Scene, *, use_procs: bool) -> None:
    """I2, I10: SIGKILL of the parent: within the grace no worker is left, none has begun anything, and the next run
    stores all ten."""
    running = program(place, "wait", use_procs=use_procs)
    workers = workers_of(running.pid)
    running.signal(signal.SIGKILL, group=False)
    assert running.wait() == -signal.SIGKILL
    for pid in workers:
        wait_for_end(pid, 10 * (0.5 + 1))
    assert len(place.begun()) == 2
    place.open_gate()

    finish_in_a_new_run(place, use_procs=use_procs)
