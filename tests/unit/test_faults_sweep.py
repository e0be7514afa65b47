"""From what was reached to a plan for each way in which it might have failed."""

from __future__ import annotations

from rud_fakes.faults.check import check
from rud_fakes.faults.points import OPERATIONS, SERVER_POINTS
from rud_fakes.faults.runtime import parse
from rud_fakes.faults.sweep import Reached, left_out, line_of, plans

from rud import _faultpoints

EVERYTHING = Reached(dict.fromkeys(_faultpoints.POINTS, True), dict.fromkeys(OPERATIONS, 100))


def test_everything_reached_gives_every_action_of_every_point() -> None:
    """Each is tried or told as left out; each plan can be obeyed, fires once, and can be written in a line."""
    made = list(plans(EVERYTHING))
    tried = {(rule.at, name) for plan in made for rule in plan.rules for name, _ in rule.actions}
    declared = {(point.name, action) for point in _faultpoints.POINTS.values() for action in point.actions}
    at_server = {(name, action) for name, point in SERVER_POINTS.items() for action in point.make}
    out = {(name, action) for name, _, action in (one.partition("=") for one in left_out(EVERYTHING))}

    assert tried | out == declared | at_server
    assert tried & out == set()
    assert {action for _, action in out} == {"stop", "pause", "hang"}
    for plan in made:
        assert parse(line_of(check(plan))) == plan
        assert [rule.pick.nth for rule in plan.rules] == [(1,)]


def test_what_a_request_cannot_meet_is_not_tried() -> None:
    """No body, no fault in a body; a read has no room to run out of; only a completion answers 200 and means no."""

    def points(**requests: int) -> set[str]:
        return {rule.at for plan in plans(Reached({}, requests)) for rule in plan.rules}

    assert "http.request.body" not in points(PutObject=0)
    assert {"http.request.body", "store.quota", "store.checksum"} <= points(PutObject=1)
    assert not {"store.quota", "store.part"} & points(GetObject=0)
    assert {"http.response.truncated", "auth.denied_read"} <= points(GetObject=0)
    assert "http.response.200error" in points(CompleteMultipartUpload=1) - points(PutObject=1)
    assert "http.response.trickle" not in points(get=0)  # a wrapped object's


def test_the_process_of_the_test_is_not_killed() -> None:
    """Where the test's own process comes by, what ends a process is left out, and the rest is tried."""
    point = "worker.upload.begin"
    tried = {name for plan in plans(Reached({point: False}, {})) for rule in plan.rules for name, _ in rule.actions}

    assert tried == {"errno", "raise", "delay"}
    assert f"{point}=kill" in left_out(Reached({point: False}, {}))
