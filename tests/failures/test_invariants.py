"""The invariant that has no better place; ``tests/unit/test_design.py`` sees that each of the 24 has a test."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from rud_fakes.faults.runtime import environment, fired, state_of

from rud import Uploader, _faultpoints
from rud.errors import SpoolError
from tests.support.processes import PATIENCE

PLAN = (
    "seed({seed}); refused: fs.log.append.before[kind=accepted,scope=key]~0.3=errno(ENOSPC); "
    "slow: worker.upload.begin[scope=key]~0.5=delay(0.001); again: worker.upload.stored[scope=key]#1=delay(0.001)"
)
Fired = Counter[tuple[str, str, int]]
KEYS = [f"{number}" for number in range(12)]


def _firings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, seed: int, workers: int) -> Fired:
    """What has fired while all keys were uploaded thrice, in an order of this run's own, by so many workers."""
    folder = tmp_path / f"{seed}-{workers}"
    folder.mkdir()
    plan, source = folder / "plan", folder / "source"
    plan.write_text(PLAN.format(seed=seed))
    source.write_text("weights")
    with monkeypatch.context() as patch:
        patch.setattr(_faultpoints, "active", None)
        patch.setattr(_faultpoints, "plan", None)
        for name, value in environment(plan).items():
            patch.setenv(name, value)
        uploader = Uploader(folder / "store", num_concurrent_uploads=workers, upload_staging_folder=folder / "staging")
        for _ in range(3):
            for key in random.Random(workers).sample(KEYS, len(KEYS)):
                try:
                    uploader.upload(source, key)
                except SpoolError:
                    continue
            uploader.drain(PATIENCE)
        assert uploader.close(PATIENCE).complete
    return Counter((one.rule, one.scope, one.n) for one in fired(state_of(plan)))


def test_a_plan_fires_alike_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """I24: the same plan and seed give the same multiset of fired rule, scope and count, whatever the number of worker
    processes and the order of things; another seed gives another."""
    once = _firings(tmp_path, monkeypatch, seed=1, workers=1)

    assert {rule for rule, _, _ in once} == {"refused", "slow", "again"}
    assert _firings(tmp_path, monkeypatch, seed=1, workers=3) == once
    assert _firings(tmp_path, monkeypatch, seed=2, workers=1) != once
