"""The table of fault points, and how a plan reaches every process."""

from __future__ import annotations

import ast
import logging
import re
from collections import Counter
from pathlib import Path

import pytest

import rud
from rud import _faultpoints

PACKAGE = Path(rud.__file__).parent
USED = re.compile(r'_faultpoints\.hit\(\s*"([^"]+)"')
GUARDED = re.compile(
    r'if (?:[^\n]* and )?_faultpoints\.active is not None(?: and [^\n]*)?:\n\s+_faultpoints\.hit\(\s*"([^"]+)"'
)


def _sources() -> str:
    return "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "_faultpoints.py")


def test_every_point_is_declared_and_used_once() -> None:
    """What the sources use and what the table declares are the same names, each once and each behind its guard."""
    sources = _sources()

    assert Counter(USED.findall(sources)) == Counter(list(_faultpoints.POINTS))
    assert sorted(GUARDED.findall(sources)) == sorted(_faultpoints.POINTS)


def test_a_point_tells_what_the_table_says() -> None:
    """The facts at each use are those that the table declares, so that a rule by any other can be refused."""
    for path in PACKAGE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "_faultpoints.hit":
                name = ast.literal_eval(call.args[0])
                assert tuple(one.arg for one in call.keywords) == _faultpoints.POINTS[name].facts, name


def test_a_point_is_in_a_known_layer_and_says_what_may_be_done() -> None:
    """Every point is of one of the five layers, says in words what holds there, and can at least kill."""
    for point in _faultpoints.POINTS.values():
        assert point.layer in {"fs", "ipc", "worker", "accept", "recover"}, point
        assert point.contract
        assert "kill" in point.actions


def test_an_undeclared_point_is_refused() -> None:
    """A name that is not in the table cannot be reached, whoever listens."""
    with pytest.raises(KeyError):
        _faultpoints.hit("fs.nothing")


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_faultpoints, "active", None)
    monkeypatch.setattr(_faultpoints, "plan", None)


@pytest.mark.usefixtures("off")
def test_a_plan_is_obeyed_only_with_the_switch(caplog: pytest.LogCaptureFixture) -> None:
    """A variable left behind breaks no run: without the switch faults stay off, and the log says so."""
    _faultpoints.load({_faultpoints.PLAN: "plan.json", _faultpoints.LOADER: "tests.support.fault_loader:load"})

    assert _faultpoints.active is None
    assert "not obeyed" in caplog.text


@pytest.mark.usefixtures("off")
def test_a_plan_is_loaded_once_and_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """With the switch the loader is called with the plan's file, and the log says that faults are on."""
    environ = {
        _faultpoints.PLAN: "plan.json",
        _faultpoints.ENABLE: "1",
        _faultpoints.LOADER: "tests.support.fault_loader:load",
    }
    with caplog.at_level(logging.WARNING, "rud"):
        _faultpoints.load(environ)
        _faultpoints.load({**environ, _faultpoints.PLAN: "another.json"})

    assert _faultpoints.plan == "plan.json"
    assert caplog.text.count("FAULTS ARE ON") == 1


@pytest.mark.usefixtures("off")
def test_a_plan_without_a_loader_is_an_error() -> None:
    """Faults that are asked for and cannot be had are no run without faults."""
    with pytest.raises(ValueError, match="RUD_FAULTS_LOADER"):
        _faultpoints.load({_faultpoints.PLAN: "plan.json", _faultpoints.ENABLE: "1"})
