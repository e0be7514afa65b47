"""``rud demo``: the main job, as a person would run it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rud.cli import exits

OK = r"OK: (\d+) files, 1 worker killed, 1 crash resumed, 0 lost"


def demo(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rud", "demo", "--checkpoints", "4", "--steps", "60", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_demo(tmp_path: Path) -> None:
    """It ends well, says what to type next, and leaves nothing behind."""
    process = demo(tmp_path)
    out, err = process.communicate()

    assert process.returncode == 0, out + err
    (files,) = re.findall(OK, out)
    assert files == "13"
    assert out.index("OK") < out.index("What to type next")
    assert "a new run goes on at step 180" in out
    assert list(tmp_path.iterdir()) == []


def test_demo_cleans_up_its_store(tmp_path: Path) -> None:
    """With ``--store`` alone nothing is left there either, and what was there before stays."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "latest.json").touch()
    process = demo(tmp_path, "--store", f"file://{tmp_path}/store")
    out, err = process.communicate()

    assert process.returncode == 0, out + err
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["store", "store/latest.json"]


def test_demo_with_a_store_of_its_own(tmp_path: Path) -> None:
    """With ``--store`` and ``--keep`` the objects lie there, below a prefix of the demo's own."""
    process = demo(tmp_path, "--json", "--keep", "--store", f"file://{tmp_path}/store", "--folder", str(tmp_path))
    out, err = process.communicate()

    told = json.loads(out)
    assert (process.returncode, told["exit"], told["files"], told["lost"]) == (0, 0, 13, 0), err
    (prefix,) = (tmp_path / "store").iterdir()
    assert (prefix / "latest.json").is_file()
    assert len(list(prefix.glob("step-*/*"))) == 12


@pytest.mark.parametrize(
    ("store", "said", "code"),
    [
        ("memory://demo", "it lives in the memory of one process", exits.USAGE),
        ("file://{tmp}/file", "is there and is not a folder", exits.FAILED),
        ("nowhere://x", "no store serves the scheme", exits.USAGE),
    ],
)
def test_store_that_cannot_be_used(tmp_path: Path, store: str, said: str, code: int) -> None:
    """A store that the demo cannot write is named before anything is trained, and nothing is left behind."""
    (tmp_path / "file").touch()
    process = demo(tmp_path, "--store", store.format(tmp=tmp_path))
    out, err = process.communicate()

    assert (process.returncode, out) == (code, "")
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_demo_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends it, its training run and its workers, and cleans up."""
    process = demo(tmp_path, "--steps", "100000")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate()

    assert process.returncode == 3
    assert list(tmp_path.iterdir()) == []
