"""Runs that have died: what a real process accepted before it killed itself lies in a staging folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_DIE = """
import json, os, signal, sys
sys.path[:] = json.loads(sys.argv[1])
from rud._clock import SystemClock
from rud._registry import resolve
from rud._spool import Spool, SpoolOptions
run = json.loads(sys.argv[2])
exec(run["boot"])
destination = resolve(run["uri"]).destination
spool = Spool(SpoolOptions(run["staging"]), destination=destination, rank=run["rank"], clock=SystemClock())
for key, path in run["files"].items():
    entry = spool.accept(
        spool.stage(path), key, overwrite=run["overwrite"], check=lambda: None, enlist=lambda entry: None
    )
    if key in run["failed"]:
        spool.fail(entry, {"text": "it was made to fail", "attempts": 1})
print(spool.folder, flush=True)
if run["alive"]:
    sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Run:
    """What a run accepts for ``uri`` before it dies. Contents by key; ``failed``: keys that have failed by then."""

    tmp_path: Path
    contents: Mapping[str, bytes]
    uri: str = ""
    rank: int = 0
    overwrite: bool = True
    failed: tuple[str, ...] = ()
    staging: str = "staging"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def store(self) -> Path:
        return self.tmp_path / "store"

    @property
    def staging_folder(self) -> Path:
        return self.tmp_path / self.staging

    def start(self, *, alive: bool = False, boot: str = "") -> tuple[subprocess.Popen[str], Path]:
        """The process and its owner folder; ``alive``: it dies when its stdin is closed; ``boot``: code run first."""
        sources = self.tmp_path / "sources"
        sources.mkdir(exist_ok=True)
        files = {}
        for number, (key, content) in enumerate(self.contents.items()):
            path = sources / str(number)
            path.write_bytes(content)
            files[key] = str(path)
        facts = {
            "uri": self.uri or f"file://{self.store}",
            "staging": str(self.staging_folder),
            "rank": self.rank,
            "files": files,
            "failed": self.failed,
            "overwrite": self.overwrite,
            "alive": alive,
            "boot": boot,
        }
        process = subprocess.Popen(
            [sys.executable, "-c", _DIE, json.dumps(sys.path), json.dumps(facts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    def die(self, *, boot: str = "") -> Path:
        """Run it to its death; the owner folder that it left."""
        process, folder = self.start(boot=boot)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        return folder


def contents_of(store: Path) -> dict[str, bytes]:
    """What a folder store holds, by key."""
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}
