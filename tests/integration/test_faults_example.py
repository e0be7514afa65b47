"""The worked example of ``docs/ci.md``, a project that is not ours: its naive upload fails under the sweep, the other
passes; and its workflow, as far as it can be run without GitHub."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.blocks import blocks

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"
_NAME = re.compile(r"# (\S+\.(?:py|yml))\n")


def files(name: str) -> list[str]:
    """What the page shows of a file, in order: the naive one comes first."""
    texts = [block.text for block in blocks(PAGE.read_text(encoding="utf-8"))]
    return [text for text in texts if (found := _NAME.match(text)) and found[1] == name]


def workflow() -> dict[Any, Any]:
    return dict(yaml.safe_load(files(".github/workflows/faults.yml")[0]))


def commands() -> list[str]:
    """What the workflow runs in a shell."""
    return [step["run"] for step in workflow()["jobs"]["sweep"]["steps"] if "run" in step]


def run(folder: Path, train: str, command: str) -> tuple[int, str]:
    """The command of the workflow in the project, with that script."""
    project = {"train.py": train, "test_train.py": files("test_train.py")[0], "conftest.py": files("conftest.py")[0]}
    for name, text in project.items():
        (folder / name).write_text(text, encoding="utf-8")
    # No plugins of ours, which take longer to load than its tests.
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    words = [sys.executable, "-m", *shlex.split(command), "-q", "--rootdir", "."]
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("naive", ["naive", ""])
def test_the_naive_upload_fails_under_the_sweep_and_the_other_passes(naive: str, tmp_path: Path) -> None:
    """Both pass as they are. Under each fault the naive one loses checkpoints where the page says so, and the other
    none."""
    train = files("train.py")[0 if naive else 1]
    _, plain, sweep = commands()
    assert run(tmp_path, train, plain)[0] == 0
    status, printed = run(tmp_path, train, f"{sweep} --rud-faults-limit 3" if naive else sweep)
    replays = re.findall(r"--rud-faults-replay '([\w.]+)\[op=(\w+)\]", printed)

    if naive:
        assert status == 1, printed
        assert {"auth.expired", "auth.skew", "store.checksum", "store.quota", "http.response"} <= dict(replays).keys()
        assert set(dict(replays).values()) == {"PutObject"}
        # A machine that is slower still may meet the time limit once more.
        shown = re.search(r"(\d+) of them make it fail", PAGE.read_text(encoding="utf-8"))
        assert shown is not None
        assert int(shown[1]) <= len(replays)
    else:
        assert (status, replays) == (0, []), printed
        assert " 0 of them make it fail" in printed


def test_the_workflow_is_one() -> None:
    """YAML with the keys that GitHub asks for, on pushes and pull requests, with a time limit; every command is shell;
    each step uses an action at a version, or runs something."""
    given = workflow()
    (job,) = given["jobs"].values()

    assert given.keys() == {"name", True, "jobs"}  # YAML 1.1 takes "on" for true, and GitHub does not mind
    assert given[True] == ["push", "pull_request"]
    assert job["timeout-minutes"] <= 10
    for step in job["steps"]:
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) if "uses" in step else step["run"]
    for command in commands():
        subprocess.run(["bash", "-n", "-c", command], check=True)
    assert [shlex.split(command)[0] for command in commands()] == ["pip", "pytest", "pytest"]
