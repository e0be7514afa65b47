"""The table of the 82 faults, and the page that it makes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from rud_fakes.faults.points import POINTS
from rud_fakes.faults.table import ROWS, SERVER, SWEEP, Row, page

from tests.failures.test_server_points import ROWS as SERVER_ROWS
from tests.support.kill_sweep import every_change

ROOT = Path(__file__).parents[2]
NAMES_OF_THE_LIST = """
fs.payload.create fs.payload.write fs.payload.fsync fs.payload.close fs.payload.link fs.payload.read fs.log.create
fs.log.append fs.log.fsync fs.log.rollback fs.dir.fsync fs.log.outcome fs.payload.unlink fs.log.retire fs.log.rotate
fs.scan fs.lock fs.unsynced fs.source fs.clock ipc.cmd.write ipc.result.write ipc.frame ipc.result.read ipc.wakeup
ipc.inherit ipc.version worker.spawn worker.import worker.start worker.idle worker.upload.begin worker.part.sent
worker.upload.stored worker.result.sent worker.memory worker.segv worker.exit worker.loop worker.unpicklable
worker.crashloop dns tcp.connect tls http.request.head http.request.body http.response.none
http.response.none_not_stored http.response http.response.200error http.response.truncated http.response.trickle
http.response.duplicate auth.expired auth.skew auth.denied_read store.checksum store.part store.stale_head
store.late_put store.precondition store.quota store.redirect store.gone store.slow parent.accept parent.loop
parent.exit parent.sigterm parent.sigint parent.sigstop parent.supervisor parent.fork parent.gil parent.atexit
parent.recover parent.two_owners host.clock host.fds host.space host.pidreuse host.power
"""


def test_the_table_has_the_82() -> None:
    """In the order of the list, none left out, and every point of ours is of some row."""
    assert [(row.number, row.name) for row in ROWS] == list(enumerate(NAMES_OF_THE_LIST.split(), 1))
    assert len(ROWS) == 82
    assert {point for row in ROWS for point in row.points} == set(POINTS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_exercised(row: Row) -> None:
    """Its tests are there, and what its points allow is done by them."""
    taken = {(case.place.point, word) for case in every_change() for word in _words(case.action)}
    taken |= {(one.point, one.action) for one in SERVER_ROWS}

    assert row.where
    assert [test for test in row.tests if not _exists(test)] == []
    assert {(point, action) for point, actions in row.actions.items() for action in actions} <= taken


def _words(actions: str) -> list[str]:
    return [action.partition("(")[0] for action in actions.split("+")]


def _exists(test: str) -> bool:
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


def test_the_tests_of_all_points_are_those_that_the_table_names() -> None:
    """They are what stands for each point of a row."""
    assert _exists(SWEEP)
    assert _exists(SERVER)


def test_the_page_is_current() -> None:
    """``docs/fault-points.md`` is what ``python -m rud_fakes.faults.table`` prints."""
    assert (ROOT / "docs/fault-points.md").read_text(encoding="utf-8") == page()
