"""What the next runs make of what one has left."""

from __future__ import annotations

import threading

import pytest

from rud import Uploader
from rud._links import Link
from rud._pool import WorkerPool
from rud._resume import owner_folders, resume
from tests.support.place import Place
from tests.support.processes import PATIENCE


def no_worker(pool: WorkerPool) -> Link:
    raise OSError("no more processes")


def leave(uploader: Uploader) -> None:
    """Once everything decided is in the log, go without having sent anything."""
    pool = uploader._pool
    assert pool._runtime.wait_until(pool._monitor, lambda: not pool._settling.untold, 20)
    uploader.close(0)


@pytest.mark.parametrize("way", ["new run", "rud resume"])
def test_dependencies_hold_over_two_runs(place: Place, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """I8: what comes after an upload waits for the one that has superseded it, even when that was accepted by another
    run, and a third one takes up what both have left."""
    with monkeypatch.context() as patched:
        patched.setattr(WorkerPool, "_hire", no_worker)
        first = place.uploader()
        shard = first.upload(place.file("old"), "shard")
        first.upload(place.file("latest"), "latest", after=[shard])
        leave(first)
        second = place.uploader()
        second.upload(place.file("newer"), "shard")
        second.upload(place.file("new"), "shard")
        leave(second)
    place.plan({"shard": ["gate"]})
    third = threading.Thread(target=resume_in_a_run if way == "new run" else resume_by_command, args=[place])
    third.start()
    place.events.wait_for("begin", "shard")
    place.open_gate()
    third.join(PATIENCE)

    assert place.leftovers() == []
    assert place.stored() == {"shard": "new", "latest": "latest"}
    events = [(event["what"], event["key"]) for event in place.journal() if event["what"] in ("begin", "end")]
    assert events == [("begin", "shard"), ("end", "shard"), ("begin", "latest"), ("end", "latest")]


def resume_in_a_run(place: Place) -> None:
    uploader = place.uploader(num_concurrent_uploads=2)
    uploader._pool.drain_adopted(20)
    uploader.close(10)


def resume_by_command(place: Place) -> None:
    resume(owner_folders(str(place.staging)), workers=2)


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
