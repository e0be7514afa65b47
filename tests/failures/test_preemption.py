"""A signal announces the end of the machine: the newest checkpoint goes, the rest is in a spool that resume sends."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from rud import ConfigurationError
from rud._resume import owner_folders, resume
from rud._scheduler import Scheduler
from rud._transfer import Transfer
from tests.support.entries import entry
from tests.support.place import Place
from tests.support.processes import PATIENCE, Program, is_running, wait_for_end

SCRIPT = Path(__file__).parents[1] / "support" / "preempted.py"
CHECKPOINTS = [f"{number}/{name}" for number in range(10) for name in ("a", "b", "c", "latest")]
NEWEST = CHECKPOINTS[-4:]
LONG = 1000.0


def start(place: Place, name: str, keys: list[str], **config: Any) -> Program:
    files = {key: str(place.file(key.replace("/", "-"), key)) for key in keys}
    asked = {"preempt_on": "SIGTERM", "grace": LONG, "orphan_grace": 0}
    return place.program(name, script=SCRIPT, files=files, **{**asked, **config})


def until_said(program: Program, words: str) -> None:
    """Until it has written ``words`` to its log."""
    pause = 0.01
    for _ in range(int(PATIENCE / pause)):
        if words in program.errors(pause):
            return
    raise AssertionError(f"{words!r} was never said, but:\n{program.errors()}")


def resume_all(place: Place) -> None:
    """``rud resume``, once the last worker has gone."""
    for pid in place.events.worker_pids():
        wait_for_end(pid)
    place.plan({})
    assert resume(owner_folders(str(place.staging))).total.complete
    assert place.leftovers() == []


# What is sent


def test_the_newest_checkpoint_is_sent_first(place: Place) -> None:
    """Of forty queued uploads the newest checkpoint goes first and is complete; a second signal seals, the program dies
    of the signal, and ``rud resume`` sends the rest."""
    place.plan({"0/a": ["gate", ""], **{key: [""] for key in NEWEST}, "*": ["hang", ""]})
    program = start(place, "plain", CHECKPOINTS)
    program.expect("accepted")
    place.events.wait_for("begin", "0/a")
    program.signal(signal.SIGTERM)
    until_said(program, "newest uploads go first")
    place.open_gate()
    place.events.wait_for("end", "9/latest")
    place.events.wait_for("begin", "8/a")
    program.signal(signal.SIGTERM)

    assert program.wait() == -signal.SIGTERM
    assert place.begun() == ["0/a", *NEWEST, "8/a"]
    assert set(place.stored()) == {"0/a", *NEWEST}
    assert place.spooled() == 35
    assert "35: nothing is lost" in program.errors(1)
    resume_all(place)
    assert place.stored() == {key: key for key in CHECKPOINTS}


def test_what_is_in_flight_ends_before_the_program_does(place: Place) -> None:
    """At the seal nothing more is started, and a program without a handler dies of the signal once what was in flight
    has ended."""
    place.plan({"*": ["gate", ""]})
    program = start(place, "plain", CHECKPOINTS, grace=0.1, margins=(0.1, -PATIENCE))
    program.expect("accepted")
    place.events.wait_for("begin", "0/a")
    program.signal(signal.SIGTERM)
    until_said(program, "nothing more is sent")
    place.open_gate()

    assert program.wait() == -signal.SIGTERM
    assert place.finished() == place.begun() == ["0/a"]
    assert place.spooled() == 39
    resume_all(place)


def test_what_hangs_does_not_hold_up_the_end(place: Place) -> None:
    """What is in flight and does not end is left at the end of the grace, and sent again by ``rud resume``."""
    place.plan({"*": ["hang", ""]})
    program = start(place, "plain", CHECKPOINTS, grace=0.2, margins=(0.2, 0.1))
    program.expect("accepted")
    place.events.wait_for("begin")
    program.signal(signal.SIGTERM)

    assert program.wait() == -signal.SIGTERM
    assert place.stored() == {}
    assert place.spooled() == 40
    resume_all(place)
    assert len(place.stored()) == 40


def test_order_in_a_hurry() -> None:
    """Newest first, each after what it comes after; an old upload that a new one needs goes with the new one, and what
    is accepted meanwhile goes before all."""
    scheduler = Scheduler()
    transfers = {number: Transfer(entry(number, f"key {number}")) for number in range(1, 8)}
    for number in range(1, 6):
        scheduler.submit(transfers[number], [transfers[2]] if number == 5 else [])
    scheduler.hurry()
    scheduler.submit(transfers[6])
    scheduler.submit(transfers[7], [transfers[1], transfers[5]])

    order: list[int] = []
    while (transfer := scheduler.start(0.0)) is not None:
        order.append(transfer.entry.id)
        scheduler.stored(transfer)
    assert order == [1, 2, 5, 7, 6, 4, 3]
    assert len(scheduler) == 0


# How the program hears of it and ends


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_of_the_program(place: Place, when: str) -> None:
    """A handler that was there before, or is installed later, runs, may upload the last checkpoint, which is sent
    first, and decides on the exit status."""
    place.plan({"0": ["gate"]})
    program = start(place, "handles", ["0", "1", "2"], when=when, last=str(place.file("last")))
    program.expect("accepted")
    place.events.wait_for("begin", "0")
    program.signal(signal.SIGTERM)
    assert program.expect("handled") == "SIGTERM"
    until_said(program, "newest uploads go first")
    place.open_gate()

    assert program.wait() == 7
    assert place.finished() == ["0", "last", "2", "1"]
    assert place.leftovers() == []


def test_the_end_of_the_grace_bounds_the_exit(place: Place) -> None:
    """A program that leaves by its own handler waits for uploads no longer than the grace, whatever
    ``close_timeout`` says."""
    place.plan({"*": ["hang"]})
    program = start(
        place, "handles", ["0", "1"], when="before", last=str(place.file("last")), grace=0.2, close_timeout=LONG
    )
    program.expect("accepted")
    place.events.wait_for("begin", "0")
    program.signal(signal.SIGTERM)
    program.expect("handled")

    assert program.wait() == 7
    assert place.spooled() == 3


def test_a_signal_during_the_last_wait(place: Place) -> None:
    """A ``close`` that waits already is bounded by a grace that begins meanwhile."""
    place.plan({"*": ["hang"]})
    uploader = place.uploader(use_procs=False)
    uploader.upload(place.file("0"), "0")
    place.events.wait_for("begin", "0")
    closing = threading.Thread(target=uploader.close, args=(LONG,))
    closing.start()
    while not uploader._pool._closing:
        assert closing.is_alive()
    uploader._pool.hurry(0.0)
    closing.join(PATIENCE)
    assert not closing.is_alive()


def test_a_signal_that_is_ignored(place: Place) -> None:
    """A program that ignores the signal is not ended; its waits say why, what it uploads stays in the spool, and its
    ``close`` does not wait."""
    place.plan({"0": ["gate"]})
    program = start(place, "ignores", ["0", "1", "2"], last=str(place.file("last")), grace=0.1, margins=(0.1, -LONG))
    program.expect("accepted")
    place.events.wait_for("begin", "0")
    program.signal(signal.SIGTERM)
    assert "after SIGTERM nothing more is sent" in program.expect("refused")
    assert program.expect("late") == "queued"
    place.open_gate()

    assert program.expect("closed") == "stored 1, failed 0, spooled 3"
    assert program.wait() == 0
    resume_all(place)
    assert set(place.stored()) == {"0", "1", "2", "last"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_event_loop(place: Place, when: str) -> None:
    """An event loop that handles the signal, installed before or after, hears of it as ever, and so do we."""
    place.plan({"0": ["gate"]})
    program = start(place, "in_asyncio", ["0", "1"], when=when)
    program.expect("accepted")
    place.events.wait_for("begin", "0")
    program.signal(signal.SIGTERM)
    program.expect("heard")
    if when == "before":
        until_said(program, "newest uploads go first")
    place.open_gate()

    assert program.expect("closed") == "stored 2, failed 0, spooled 0"
    assert program.wait() == 0


def test_the_main_thread_is_in_a_c_call(place: Place) -> None:
    """The spool is sealed though no Python code of the main thread can run, and the program dies of the signal."""
    place.plan({"*": ["hang"]})
    program = start(place, "in_c", ["0", "1"], grace=0.1)
    program.expect("accepted")
    place.events.wait_for("begin", "0")
    program.signal(signal.SIGTERM)

    until_said(program, "nothing more is sent")
    assert program.wait() == -signal.SIGTERM
    assert place.spooled() == 2


def test_forked_children_get_the_signal_too(place: Place) -> None:
    """A signal to a group with data loaders in it is one signal, and the workers live on."""
    place.plan({"0": ["gate"]})
    program = start(place, "forks_loaders", ["0", "1", "2"])
    program.expect("accepted")
    (begun,) = place.events.wait_for("begin", "0")
    for _ in range(3):
        program.expect("forked")
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(begun["pid"], number)
    program.signal(signal.SIGTERM)
    until_said(program, "newest uploads go first")
    place.open_gate()
    for key in ("0", "2", "1"):
        assert place.events.wait_for("end", key)[0]["pid"] == begun["pid"]

    assert "nothing more is sent" not in program.errors()
    assert is_running(program.pid)


# Asked for in words


def test_nothing_is_installed_unless_asked_for(place: Place) -> None:
    """Without ``preempt_on`` the handlers of the program are its own; with it, or within ``preemption``, they are
    back afterwards."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    plain = place.uploader(use_procs=False, grace=30)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == before
    with plain.preemption(["SIGUSR1"]) as preemption:
        assert signal.getsignal(signal.SIGTERM) == before[0]
        assert signal.getsignal(signal.SIGUSR1) != before[1]
        assert preemption.received == ""
    asked = place.uploader(use_procs=False, preempt_on="SIGTERM", grace=30)
    assert signal.getsignal(signal.SIGTERM) != before[0]
    asked.close(0.0)

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == before


def test_what_is_missing_or_wrong_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grace comes from an argument or ``RUD_GRACE`` and from nowhere else; signals are names; the thread is the
    main one."""
    with pytest.raises(ConfigurationError, match="give grace in seconds, or set RUD_GRACE"):
        place.uploader(use_procs=False, preempt_on="SIGTERM")
    assert place.leftovers() == []
    uploader = place.uploader(use_procs=False)
    with pytest.raises(ConfigurationError, match="'SIGKILL' is no signal that can be handled"):
        uploader.preemption(["SIGKILL"], grace=30)
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            uploader.preemption(grace=30).__enter__()
        except ConfigurationError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])
    monkeypatch.setenv("RUD_GRACE", "30")
    place.uploader(use_procs=False, preempt_on=["SIGTERM"]).close(0.0)
