"""What the next runs make of what one has left."""

from __future__ import annotations

import pytest

from rud import Uploader
from rud._links import Link
from rud._pool import WorkerPool
from tests.support.place import Place


def no_worker(pool: WorkerPool) -> Link:
    raise OSError("no more processes")


def leave(uploader: Uploader) -> None:
    """Once everything decided is in the log, go without having sent anything."""
    pool = uploader._pool
    assert pool._runtime.wait_until(pool._changed, lambda: not pool._settling.untold, 20)
    uploader.close(0)


def test_dependencies_hold_over_two_runs(place: Place, monkeypatch: pytest.MonkeyPatch, *, use_procs: bool) -> None:
    """I8: what comes after an upload waits for the one that has superseded it, even when that was accepted by another
    run, and a third one takes up what both have left."""
    with monkeypatch.context() as patched:
        patched.setattr(WorkerPool, "_hire", no_worker)
        first = place.uploader(use_procs=use_procs)
        shard = first.upload(place.file("old"), "shard")
        first.upload(place.file("latest"), "latest", after=[shard])
        leave(first)
        second = place.uploader(use_procs=use_procs)
        second.upload(place.file("new"), "shard")
        leave(second)
    place.plan({"shard": ["gate"]})
    third = place.uploader(use_procs=use_procs, num_concurrent_uploads=2)
    place.events.wait_for("begin", "shard")
    place.open_gate()
    third._pool.drain_adopted(20)

    assert third.close(10).complete
    assert place.stored() == {"shard": "new", "latest": "latest"}
    events = [(event["what"], event["key"]) for event in place.journal() if event["what"] in ("begin", "end")]
    assert events == [("begin", "shard"), ("end", "shard"), ("begin", "latest"), ("end", "latest")]


@pytest.mark.parametrize("workers", [1, 3])
def test_new_uploads_of_an_adopted_key(place: Place, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """I5: the newest of a key wins over what an earlier run has left of it, however many runs there were."""
    with monkeypatch.context() as patched:
        patched.setattr(WorkerPool, "_hire", no_worker)
        for number in range(4):
            uploader = place.uploader()
            uploader.upload(place.file("source", f"{number}"), "key")
            uploader.upload(place.file("source", f"{number}"), f"key-{number}")
            leave(uploader)
    last = place.uploader(num_concurrent_uploads=workers)
    last.upload(place.file("source", "4"), "key")
    last._pool.drain_adopted(20)

    assert last.close(10).complete
    assert place.stored() == {"key": "4", **{f"key-{number}": f"{number}" for number in range(4)}}
    assert len([event for event in place.journal("end") if event["key"] == "key"]) == 1
    assert place.leftovers() == []
