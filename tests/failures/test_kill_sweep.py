"""The kill sweep, every point and action once; more by ``python -m tests.support.kill_sweep``. And a test of its judge:
one that never finds anything would prove nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rud_fakes.faults.check import check
from rud_fakes.faults.line import parse_line
from rud_fakes.faults.runtime import state_of

from rud._faultpoints import POINTS
from tests.support.journal_store import make
from tests.support.kill_sweep import Programs, Sweep, every_change, summary, sweep_all
from tests.support.kill_sweep_cases import Case, Place, drawn, home_of, pairs
from tests.support.kill_verdict import Folders

linux = pytest.mark.skipif(sys.platform != "linux", reason="not offered: finds the workers of a dead program in /proc")
CHUNKS = 6


@linux
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_point(tmp_path: Path, chunk: int) -> None:
    """I1, I2, I4, I5, I7, I8, I9, I10, I14, I15, I19: whatever strikes at whatever step, once, nothing accepted is
    lost, sent out of its order or more than once more than it was struck, and nothing is left; every fault has come."""
    results = sweep_all(every_change()[chunk::CHUNKS], tmp_path, jobs=2)

    print(summary(results, 0.0))
    assert not any(one.problems for one in results), summary(results, 0.0)


def test_every_point_and_action_has_a_case() -> None:
    """Each point of the table is killed at once, and each other action that it allows is taken there."""
    taken = {(case.place.point, action) for case in every_change() for action in _actions(case)}

    assert taken >= {(name, action) for name, point in POINTS.items() for action in point.actions}


def _actions(case: Case) -> list[str]:
    rule, *_ = parse_line(case.plan).rules
    return [name for name, _ in rule.actions]


def test_every_plan_can_be_obeyed() -> None:
    """Drawn ones and pairs, too; and a seed draws the same cases each time."""
    places = [home_of(point) for point in POINTS]
    cases = every_change() + drawn(places, 100, 3) + pairs([home_of("recover.retake.after")])

    assert drawn(places, 100, 3) == drawn(places, 100, 3) != drawn(places, 100, 4)
    for case in cases:
        check(parse_line(case.plan))
    assert all(check(parse_line(case.plan_of_resume)) for case in cases if case.second)


# The judge

CASE = Case(home_of("worker.upload.stored"))


@pytest.fixture
def over(tmp_path: Path) -> Sweep:
    """A case that is over and in order: three uploads, the last after the others, a worker killed on the way."""
    sweep = Sweep(Programs(), tmp_path)
    folders = sweep.folders
    for version, key in enumerate(["shard/0", "shard/1", "latest"], 1):
        path = folders.objects / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make(key, version, b"filling"))
        _add(folders.root / "offered", f"{version} {key}")
        _add(folders.ledger, f"{version} {key}" + " shard/0@1 shard/1@2" * (version == 3))
        _add(folders.journal, f"begin {key} {version} id-{version} 0")
        _add(folders.journal, f"done {key} {version} id-{version}")
    state = state_of(tmp_path / "plan") / "fired"
    state.mkdir(parents=True)
    firing = {"rule": "r1", "point": CASE.place.point, "scope": "", "n": 1, "pid": 1}
    (state / "r1.0.1").write_text(json.dumps(firing))
    _add(tmp_path / "said", json.dumps({"over": 0.2}))
    return sweep


def _add(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


def _send_twice(folders: Folders) -> None:
    _add(folders.journal, "begin shard/0 1 id-1 1")


def _send_thrice(folders: Folders) -> None:
    _send_twice(folders)
    _send_twice(folders)


def _send_older(folders: Folders) -> None:
    _add(folders.journal, "begin shard/0 1 id-1 4")


def _send_too_early(folders: Folders) -> None:
    lines = folders.journal.read_text().splitlines()
    folders.journal.write_text("\n".join(lines[4:] + lines[:4]) + "\n")


def _lose(folders: Folders) -> None:
    (folders.objects / "latest").unlink()


def _damage(folders: Folders) -> None:
    (folders.objects / "latest").write_bytes(make("latest", 3, b"filling")[:-1])


def _leave_in_store(folders: Folders) -> None:
    (folders.objects / "parts").mkdir()
    (folders.objects / "parts" / ".rud-put-1").touch()


def _leave_in_spool(folders: Folders) -> None:
    (folders.spool / "owner").mkdir(parents=True)


def _move_what_was_not_stored(folders: Folders) -> None:
    _add(folders.root / "offered", "4 shard/0")


def _close_late(folders: Folders) -> None:
    _add(folders.root / "said", json.dumps({"over": 1.4}))


@pytest.mark.parametrize("spoil", [lambda _: None, _send_twice])
def test_the_judge_finds_nothing_in_order(over: Sweep, spoil: Callable[[Folders], None]) -> None:
    """One that was struck once may send once more than it has to."""
    spoil(over.folders)

    assert over.conclude(CASE).problems == []


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_lose, "lost: 1"),
        (_damage, "with other content"),
        (_send_thrice, "2 sent twice after 1 faults"),
        (_send_older, "older_after_newer: 1"),
        (_send_too_early, "too_early: 1"),
        (_leave_in_store, "unfinished uploads are left in the store"),
        (_leave_in_spool, "left_in_staging: 1"),
        (_move_what_was_not_stored, "the source of shard/0@4 is gone"),
        (_close_late, "close took 1.4 s more"),
    ],
)
def test_the_judge_finds(over: Sweep, spoil: Callable[[Folders], None], word: str) -> None:
    """Each violation is found by its name."""
    spoil(over.folders)

    assert any(word in line for line in over.conclude(CASE).problems)


@linux
def test_a_fault_that_has_not_come_is_a_failure(tmp_path: Path) -> None:
    """A plan whose point is never reached proves nothing, and says so."""
    (result,) = sweep_all([Case(Place("send", "small", "recover.end.before"))], tmp_path, jobs=1)

    assert any("has fired 0 times" in line for line in result.problems)
    assert "lost or wrong in 1" in summary([result], 1.0)
