"""A run that is killed in the middle, resumed, and compared with one that was not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.composer.training.tools import Table, environment_of, run_program, said

Losses = list[list[float]]
"""Of each batch its number and its loss."""

KILLED_AT = 8
"""The batch whose checkpoint is accepted and not sent: the last of the second epoch."""


def run(folder: Path, uris: Mapping[str, str], environment: dict[str, str], table: Table) -> None:
    """``uris``: of the destinations, by name. Where it is no S3 the checkpoint is loaded through the logger: Composer
    itself reads no other URI here."""
    for name, uri in uris.items():
        _one(folder / name, uri, environment, table)


def _one(folder: Path, uri: str, environment: dict[str, str], table: Table) -> None:
    name = folder.name
    whole, killed = folder / "whole", folder / "killed"
    for path in (whole, killed):
        path.mkdir(parents=True)
    plan = {"run": "train", "uri": uri}
    done = run_program({**plan, "folder": str(whole), "save_folder": f"{name}-whole/{{run_name}}"}, environment)
    table.add(f"{name}: a run that is not interrupted", done.returncode == 0, said(done))
    plan |= {"folder": str(killed), "save_folder": f"{name}-killed/{{run_name}}"}
    done = run_program({**plan, "kill_at": KILLED_AT}, environment)
    before = _losses(killed)
    table.add(f"{name}: SIGKILL of the run and its workers", done.returncode == -9, f"after batch {len(before)}")
    resumed = _rud("resume", str(killed / "staging"), environment=environment)
    table.add(f"{name}: `rud resume`", *resumed)
    latest = f"{name}-killed/run/latest-rank0.pt"
    of_s3 = uri.startswith("s3://")
    load = {"load_path": f"{uri}/{latest}" if of_s3 else latest, "load_by_logger": not of_s3}
    done = run_program({**plan, **load}, environment)
    table.add(f"{name}: load_path={load['load_path']}", done.returncode == 0, said(done))
    _compare(name, before, _losses(killed)[len(before) :], _losses(whole), table)


def _compare(name: str, before: Losses, after: Losses, whole: Losses, table: Table) -> None:
    first = int(after[0][0]) if after else 0
    same = bool(after) and first == KILLED_AT + 1 and before[:KILLED_AT] + after == whole
    note = f"{len(whole)} batches, gone on at batch {first}; the last loss {after[-1][1] if after else None}"
    table.add(f"{name}: losses equal to those of the uninterrupted run, to the last bit", same, note)


def _losses(folder: Path) -> Losses:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]


def _rud(*arguments: str, environment: dict[str, str]) -> tuple[bool, str]:
    done = subprocess.run(
        [sys.executable, "-m", "rud", *arguments],
        env=environment_of(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0, (done.stdout + done.stderr).strip().splitlines()[-1]
