"""Processes and the table of what was found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

LIMIT = 300.0
"""Seconds for one training process: Composer takes 15 s to import, and more on a busy machine."""


@dataclass
class Table:
    """Lines of what was tried, printed as they come."""

    rows: list[tuple[str, bool, str]] = field(default_factory=list)

    def add(self, what: str, ok: bool, note: str = "") -> None:  # noqa: FBT001 - it is a cell
        self.rows.append((what, ok, note))
        print(f"| {'yes' if ok else '**NO**'} | {what} | {note} |", flush=True)

    def note(self, what: str, note: str) -> None:
        """Something that is as it is."""
        print(f"| – | {what} | {note} |", flush=True)

    @property
    def complete(self) -> bool:
        return all(ok for _, ok, _ in self.rows)


def run_program(plan: dict[str, Any], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """``program.py`` with ``plan``, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.composer.training.program", json.dumps(plan)],
        env=environment_of(environment),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def environment_of(more: dict[str, str]) -> dict[str, str]:
    """Ours with ``more``; Python may keep what it has compiled, or every worker of Composer's compiles torch anew."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONWARNINGS": "ignore", **more}


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The last words of a process that has failed."""
    words = " / ".join(done.stderr.strip().splitlines()[-3:])
    return f"exit {done.returncode}: {words}" if done.returncode else ""
