"""The command as a process of its own: what a terminal, a pipe and another user do to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rud.cli import exits
from tests.support import switched_store
from tests.support.dead_runs import Run

_WITH_SWITCHED_STORE = """
import sys
from tests.support.switched_store import register
from rud.cli import main
register()
sys.exit(main())
"""


def start(*arguments: object, boot: str = "", stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command, in a session of its own."""
    code = ["-c", boot] if boot else ["-m", "rud"]
    return subprocess.Popen(
        [sys.executable, *code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("command", ["upload", "resume"])
def test_interrupt(tmp_path: Path, command: str) -> None:
    """Ctrl-C to the whole process group ends it soon, with what is left and how to go on, and no traceback."""
    store = tmp_path / "store"
    run = Run(tmp_path, {"a": b"1" * 1000}, uri=switched_store.uri_of(store))
    switched_store.register()
    switched_store.switch_off(store, "ObjectStoreTransientError")
    what: tuple[object, ...] = ("resume", run.staging_folder)
    if command == "upload":
        (tmp_path / "a").write_bytes(b"1" * 1000)
        what = ("upload", "--attempts", "1000", "--staging-folder", run.staging_folder, tmp_path / "a", run.uri)
    else:
        run.die(boot="from tests.support.switched_store import register; register()")
    process = start(*what, boot=_WITH_SWITCHED_STORE)
    while not switched_store.was_met(store) and process.poll() is None:
        pass
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()

    assert process.returncode == exits.LEFT
    assert out == "stored 0, failed 0, spooled 1\n"
    assert "interrupted" in err
    assert "Traceback" not in err


def test_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """``rud ls | head`` ends without a complaint."""
    (tmp_path / "a").write_bytes(b"")
    reading, writing = os.pipe()
    os.close(reading)
    process = start("ls", f"file://{tmp_path}", stdout=writing)
    os.close(writing)
    _, err = process.communicate()

    assert (process.returncode, err) == (exits.DONE, "")


def test_any_folder_may_be_the_current_one(tmp_path: Path) -> None:
    """Modules in the current folder are not run in place of the library's, in workers neither."""
    for name in ("queue.py", "json.py", "rud.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')", encoding="utf-8")
    rud = Path(sys.executable).with_name("python")
    process = subprocess.run(
        [rud, "-P", "-m", "rud", "upload", "rud.py", f"file://{tmp_path}/store"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (process.returncode, process.stdout) == (0, "stored 1, failed 0, spooled 0\n"), process.stderr
