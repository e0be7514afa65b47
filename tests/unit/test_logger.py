"""``Logger`` and ``State``: the documented examples, and how names are formatted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud import Logger, State


class Recorder:
    """A destination that notes what it is given."""

    def __init__(self, *, takes_files: bool = True) -> None:
        self.given: list[dict[str, Any]] = []
        self._takes_files = takes_files

    def upload_file(self, *positional: Any, **arguments: Any) -> None:
        assert not positional
        self.given.append(arguments)

    def can_upload_files(self) -> bool:
        return self._takes_files


def name_of(remote_file_name: str) -> str:
    recorder = Recorder()
    Logger(State("foo"), recorder).upload_file(remote_file_name, "local")
    return str(recorder.given[0]["remote_file_name"])


def test_every_destination_gets_the_file() -> None:
    """By keywords only, as Composer does, with the path as a path."""
    one, two, state = Recorder(), Recorder(), State(run_name="foo")
    Logger(state, destinations=[one, two]).upload_file(remote_file_name="bar.txt", file_path="path/to/file.txt")
    Logger(state, one).upload_file("baz.txt", Path("b"), overwrite=True)

    first = {"state": state, "remote_file_name": "bar.txt", "file_path": Path("path/to/file.txt"), "overwrite": False}
    second = {"state": state, "remote_file_name": "baz.txt", "file_path": Path("b"), "overwrite": True}
    assert two.given == [first]
    assert one.given == [first, second]


def test_without_destinations_nothing_happens() -> None:
    """A logger may have nobody to log to."""
    logger = Logger(State("foo"), [])
    logger.upload_file("a", "b")

    assert not logger.has_file_upload_destination()


def test_whether_files_are_taken() -> None:
    """It asks each destination."""
    assert Logger(State("foo"), [Recorder(takes_files=False), Recorder()]).has_file_upload_destination()
    assert not Logger(State("foo"), Recorder(takes_files=False)).has_file_upload_destination()


@pytest.mark.parametrize(
    ("name", "formatted"),
    [
        ("{run_name}/ep{{1}}-rank{rank}.pt", "foo/ep{1}-rank3.pt"),
        ("{rank:04d}-{local_rank}-{world_size}-{local_world_size}-{node_rank}", "0003-1-4-2-1"),
        ("{epoch}/{what:03d}/{}/{0}/{rank.real}/{run_name!r}", "{epoch}/{what:03d}/{}/{0}/{rank.real}/{run_name!r}"),
        ("{rank:nonsense}", "{rank:nonsense}"),
        ("half{a-{rank}", "half{a-{rank}"),
        ("plain", "plain"),
    ],
)
def test_known_variables_are_replaced(monkeypatch: pytest.MonkeyPatch, name: str, formatted: str) -> None:
    """What is unknown, or cannot be formatted, stays as it is; it is for the destination to judge."""
    for variable, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(variable, value)

    assert name_of(name) == formatted


def test_a_number_that_nobody_tells_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under torchrun with Composer, where the node's rank is not known."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")

    assert name_of("n{node_rank}-r{rank}") == "n{node_rank}-r1"


def test_the_path_is_literal() -> None:
    """Braces in a local path are part of it."""
    recorder = Recorder()
    Logger(State("foo"), recorder).upload_file("a", "{rank}/{x}.txt")

    assert recorder.given[0]["file_path"] == Path("{rank}/{x}.txt")


@given(st.text(alphabet="{}:!ra.nk0 ", max_size=12))
def test_no_name_is_an_error(name: str) -> None:
    """Whatever stands in it."""
    assert isinstance(name_of(name), str)


def test_a_state_does_not_change() -> None:
    """It has a name, and no device."""
    state = State(run_name="foo")
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.run_name = "bar"  # type: ignore[misc]  # the assignment is the case

    assert (state.run_name, state.device) == ("foo", None)
