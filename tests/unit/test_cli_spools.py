"""``rud status`` and ``rud discard``, and which folders a person means."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from rud._resume import owner_folders
from rud.cli import exits, spools
from rud.errors import ConfigurationError
from tests.support.commands import Rud, runner
from tests.support.dead_runs import Run


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str]) -> Rud:
    return runner(capfd)


@pytest.fixture(name="run")
def fixture_run(tmp_path: Path) -> Run:
    return Run(tmp_path, {"a": b"1" * 1000, "b": b"2" * 500_000, "c": b"3"}, rank=5, failed=("c",))


def test_status_says_whose_it_is(rud: Rud, run: Run) -> None:
    """Host, process, whether it lives, rank, user, time, destination; and what waits or has failed, and why."""
    folder = run.die()

    told = rud("status", "--json", run.staging_folder).json

    (one,) = told["folders"]
    assert (told["spooled"], told["failed"]) == (2, 1)
    assert (one["folder"], one["host"], one["alive"]) == (str(folder), os.uname().nodename, False)
    assert (one["rank"], one["spooled"], one["spooled_bytes"]) == (5, 2, 501_000)
    assert one["in_flight"] == 0
    assert one["created"] <= one["oldest"]
    assert one["destination"]["bucket"] == str(run.store)
    assert one["user"]
    assert [(failed["key"], failed["reason"]["text"]) for failed in one["failed"]] == [("c", "it was made to fail")]


def test_status_in_words(rud: Rud, run: Run) -> None:
    """The text says the same, with the command to type next; the last line has the states."""
    folder = run.die()

    done = rud("status", folder)

    assert (done.code, done.last) == (exits.DONE, "failed 1, spooled 2")
    assert "(dead), rank 5, user " in done.out
    assert "'c': it was made to fail" in done.out
    assert f"next: rud resume {folder}" in done.out


def test_status_changes_nothing(rud: Rud, run: Run) -> None:
    """Looking leaves every byte as it was."""
    run.die()

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run.staging_folder.rglob("*") if path.is_file()}

    before = contents()
    rud("status", run.staging_folder)

    assert contents() == before


def test_status_of_a_running_process(rud: Rud, run: Run) -> None:
    """A run that lives is said to be running, and no command is advised."""
    process, folder = run.start(alive=True)
    try:
        done = rud("status", folder)
    finally:
        process.communicate()

    assert f"process {process.pid} on {os.uname().nodename} (running)" in done.out
    assert "next:" not in done.out


@pytest.mark.parametrize("place", ["", "rud-spool", "rud-spool/v1"])
def test_folders_that_may_be_given(run: Run, place: str) -> None:
    """A staging folder, the folders in it, or one owner folder mean the owner folders in them."""
    folder = run.die()

    assert owner_folders(str(run.staging_folder / place)) == [str(folder)]
    assert owner_folders(str(folder)) == [str(folder)]


def test_default_staging_folder(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a folder it is that of an uploader; one that was never made has nothing in it."""
    folder = run.die()
    monkeypatch.setenv("RUD_UPLOAD_STAGING_FOLDER", str(run.staging_folder))
    assert owner_folders() == [str(folder)]

    monkeypatch.setenv("RUD_UPLOAD_STAGING_FOLDER", str(tmp_path / "never made"))
    assert owner_folders() == []


def test_folder_that_was_emptied(run: Run) -> None:
    """An owner folder that is gone from its spool was emptied: nothing is left, and it is no mistake to ask."""
    folder = run.die()

    assert owner_folders(str(folder.with_name("0123-4-56"))) == []


@pytest.mark.parametrize("given", ["missing", "."])
def test_folder_without_a_spool(tmp_path: Path, given: str) -> None:
    """A folder that is missing, or has no spool in it, is refused by name."""
    with pytest.raises(ConfigurationError, match="there is no "):
        owner_folders(str(tmp_path / given))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_folder_that_may_not_be_read(run: Run) -> None:
    """The spool of another user is not taken for an empty one, nor for a missing one."""
    folder = run.die()
    run.tmp_path.chmod(0o700)
    os.seteuid(12345)
    try:
        for given in (run.staging_folder, folder):
            with pytest.raises(ConfigurationError, match="may not be read: ask as its owner, or as root"):
                owner_folders(str(given))
    finally:
        os.seteuid(0)


def test_discard_all(rud: Rud, run: Run) -> None:
    """Everything of a dead run is given up, spooled and failed, and its folder is gone."""
    folder = run.die()

    done = rud("discard", "--yes", run.staging_folder)

    assert (done.code, done.last) == (exits.DONE, "discarded 3")
    assert not folder.exists()


def test_discard_by_id(rud: Rud, run: Run) -> None:
    """Ids are those that status prints; the others stay."""
    folder = run.die()
    (failed,) = rud("status", "--json", folder).json["folders"][0]["failed"]

    assert rud("discard", "--yes", "--json", folder, failed["id"]).json["discarded"] == 1
    assert rud("status", folder).last == "failed 0, spooled 2"


def test_discard_refuses_a_running_process(rud: Rud, run: Run) -> None:
    """What a living run holds is left as it is."""
    process, folder = run.start(alive=True)
    try:
        done = rud("discard", "--yes", folder)
    finally:
        process.communicate()

    assert (done.code, done.last) == (exits.LEFT, "discarded 0")
    assert f"{folder} was left as it is" in done.err
    assert rud("status", folder).last == "failed 1, spooled 2"


@pytest.mark.parametrize("answer", ["yes", "no", ""])
def test_discard_asks(rud: Rud, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """On a terminal it shows what would go, and does it only after a yes."""

    class Person:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer and f"{answer}\n"

    run.die()
    monkeypatch.setattr(sys, "stdin", Person())

    done = rud("discard", run.staging_folder)

    assert done.code == (exits.DONE if answer == "yes" else exits.LEFT)
    assert "2 spooled and 1 failed uploads for good" in done.out
    assert rud("status", "--json", run.staging_folder).json["spooled"] == (0 if answer == "yes" else 2)


def test_discard_nothing(rud: Rud, run: Run) -> None:
    """A spool in which nothing is left needs no question."""
    run.die()
    rud("discard", "--yes", run.staging_folder)

    assert rud("discard", run.staging_folder).last == "discarded 0"


def test_unreadable_owner(rud: Rud, tmp_path: Path) -> None:
    """A folder whose owner.json is broken is shown as damaged, and taken by nobody."""
    folder = Run(tmp_path, {"a": b"1"}).die()
    (folder / "owner.json").write_text("{", encoding="utf-8")

    assert "damaged: " in rud("status", folder).out
    assert rud("resume", folder).code == exits.USAGE
    assert rud("discard", "--yes", folder).code == exits.LEFT


def test_support_kills_its_runs(run: Run) -> None:
    """The runs of these tests die as a killed process does."""
    process, _ = run.start()
    process.communicate()

    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("place", "words"),
    [((1, 1, 1), ""), ((2, 1, 3), "folder 2 of 3: "), ((2, 2, 4), "folders 2 to 3 of 4: ")],
)
def test_progress_says_which_folders(place: tuple[int, int, int], words: str) -> None:
    """The counts are those of the folders that are sent together, and it says which of how many they are."""
    assert spools._place(*place) == words
