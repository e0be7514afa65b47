"""What the plugin costs those who have rud installed and do not use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFTEST = """
import pathlib, sys

def pytest_unconfigure():
    pathlib.Path("modules").write_text("\\n".join(sys.modules))
"""


def modules_of_a_run(folder: Path, *options: str) -> set[str]:
    """What pytest has imported by the end of a run of one test that has nothing to do with us."""
    folder.mkdir()
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "test_other.py").write_text("def test_it(): pass\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", ".", *options, "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    return set((folder / "modules").read_text(encoding="utf-8").splitlines())


def test_a_run_that_does_not_use_the_plugin(tmp_path: Path) -> None:
    """It imports the plugin and its package for us, and no third module: neither hypothesis nor rud itself."""
    found = modules_of_a_run(tmp_path / "with")
    without = modules_of_a_run(tmp_path / "without", "-p", "no:rud_conformance.plugin")

    assert found - without == {"rud_conformance", "rud_conformance.plugin"}
