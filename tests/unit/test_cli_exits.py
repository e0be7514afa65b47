"""One table of exit codes for every command."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import pytest

import rud as library
from rud.cli import exits
from rud.cli.screen import Screen
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    InvalidKeyError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    OutageError,
    SpoolError,
    UploadTimeoutError,
    WorkerDiedError,
)
from tests.support import switched_store
from tests.support.commands import Rud, runner
from tests.support.dead_runs import Run

COMMANDS = ("demo", "upload", "download", "ls", "check", "status", "resume", "discard", "env")


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rud:
    monkeypatch.setenv("RUD_UPLOAD_STAGING_FOLDER", str(tmp_path / "staging"))
    return runner(capfd)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), exits.USAGE),
        (InvalidKeyError("x"), exits.USAGE),
        (ObjectStoreTransientError.during("get", "k", "503"), exits.LEFT),
        (OutageError("x"), exits.LEFT),
        (WorkerDiedError("x"), exits.LEFT),
        (UploadTimeoutError("x"), exits.LEFT),
        (ObjectNotFoundError.during("get", "k", "none"), exits.FAILED),
        (AccessDeniedError.during("get", "k", "403"), exits.FAILED),
        (SpoolError("x"), exits.FAILED),
        (OSError(28, "No space left on device", "/x"), exits.FAILED),
        (KeyError("x"), exits.BUG),
    ],
)
def test_code_of_an_error(error: Exception, code: int) -> None:
    """Every class of error has one exit code, and what is none of ours is our bug."""
    assert exits.code_of(error) == code


@pytest.mark.parametrize(
    ("report", "why", "code"),
    [
        (library.Report(stored=3, superseded=1, cancelled=1), "", exits.DONE),
        (library.Report(stored=3, spooled=1), "", exits.LEFT),
        (library.Report(stored=3), "interrupted", exits.LEFT),
        (library.Report(failed=1, spooled=1), "interrupted", exits.FAILED),
    ],
)
def test_code_for_a_report(report: library.Report, why: str, code: int) -> None:
    """The worst state of an upload decides."""
    assert exits.code_for(report, why=why) == code


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_the_table(rud: Rud, command: str) -> None:
    """The help of each command ends with the exit codes, and asking for it is no error."""
    done = rud(command, "--help")

    assert done.code == exits.DONE
    assert done.out.rstrip().endswith(exits.TABLE.rstrip())


@pytest.mark.parametrize("command", COMMANDS)
def test_usage(rud: Rud, command: str) -> None:
    """An option that no command has is a matter of usage for each of them."""
    done = rud(command, "--no-such-option")

    assert (done.code, done.out) == (exits.USAGE, "")
    assert "Traceback" not in done.err


def test_no_command_is_usage(rud: Rud) -> None:
    """The command without a command says what there is."""
    done = rud()

    assert done.code == exits.USAGE
    assert "COMMAND" in done.err


def test_version(rud: Rud) -> None:
    """It tells its version."""
    assert rud("--version").out == f"rud {library.__version__}\n"


def test_interrupt_is_left_for_later(screen: Screen, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a command without a traceback, with the code of what can be gone on with."""

    def command() -> int:
        raise KeyboardInterrupt

    assert exits.guarded(command, json=True, screen=screen) == exits.LEFT
    out, err = capfd.readouterr()
    assert out.startswith('{"exit": 3, "error": "interrupted')
    assert "Traceback" not in err


def test_bug_is_shown_whole(screen: Screen, capfd: pytest.CaptureFixture[str]) -> None:
    """Our own bug has its traceback and the wish to hear of it."""

    def command() -> int:
        raise ZeroDivisionError

    assert exits.guarded(command, json=False, screen=screen) == exits.BUG
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert "please report" in err


@pytest.fixture(name="screen")
def fixture_screen() -> Screen:
    return Screen()


def test_codes_of_the_commands(rud: Rud, tmp_path: Path) -> None:
    """Each command ends with the code of the table, in the cases that it can come to."""
    source = tmp_path / "model.pt"
    source.write_bytes(b"model")
    store = f"file://{tmp_path}/store"
    switched_store.register()
    switched_store.switch_off(tmp_path / "taken", "BucketNotFoundError")
    dead = Run(tmp_path, {"k": b"1"}, uri=f"file://{tmp_path}/elsewhere").die()
    cases: list[tuple[int, tuple[object, ...]]] = [
        (exits.DONE, ("upload", "--threads", source, store)),
        (exits.USAGE, ("upload", tmp_path / "missing", store)),
        (exits.USAGE, ("upload", source, tmp_path)),
        (exits.LEFT, ("upload", "--threads", source, switched_store.uri_of(tmp_path / "taken"))),
        (exits.FAILED, ("upload", "--threads", "--no-overwrite", source, store)),
        (exits.DONE, ("download", store, "model.pt", tmp_path / "copy")),
        (exits.USAGE, ("download", store, "model.pt", tmp_path / "copy")),
        (exits.FAILED, ("download", store, "missing", tmp_path / "other")),
        (exits.DONE, ("ls", store)),
        (exits.USAGE, ("ls", "nowhere://x")),
        (exits.DONE, ("status",)),
        (exits.USAGE, ("status", tmp_path / "missing")),
        (exits.USAGE, ("resume", tmp_path / "missing")),
        (exits.USAGE, ("resume", dead, "--backend-kwargs", '{"bucket": "/other"}')),
        (exits.USAGE, ("discard", dead)),
        (exits.USAGE, ("discard", dead, "0123456789abcdef", "--yes")),
        (exits.DONE, ("discard", dead, "--yes")),
        (exits.DONE, ("env",)),
    ]

    assert [(rud(*arguments).code, arguments) for _, arguments in cases] == cases


@pytest.mark.parametrize("fault", [ImportError("no such module"), TypeError("it takes no arguments")])
def test_command_of_another_package_that_is_broken(rud: Rud, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    """A command of another package that cannot be loaded is named, and nobody else meets it."""

    def broken() -> Callable[..., object]:
        raise fault

    _install(monkeypatch, broken)

    listed, done = rud("--help"), rud("extra")

    assert (listed.code, "extra" in listed.out, listed.err) == (exits.DONE, True, "")
    assert done.code == exits.USAGE
    assert "'extra' of another package cannot be loaded" in done.err


def test_command_of_another_package(rud: Rud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point adds a command, and built-in commands do not even look for one."""

    def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        subparsers.add_parser("extra").set_defaults(run=lambda args: 3)

    _install(monkeypatch, lambda: add)
    assert rud("extra").code == 3

    monkeypatch.setattr(importlib.metadata, "entry_points", None)
    assert rud("status").code == exits.DONE


def _install(monkeypatch: pytest.MonkeyPatch, load: Callable[[], object]) -> None:
    class Point:
        name = "extra"

        def load(self) -> object:
            return load()

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Point()] if group == "rud.commands" else [])
