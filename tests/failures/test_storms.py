"""A destination that answers, and refuses: retries must not make it worse, and nothing waits longer than it has to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rud_fakes import MemoryBackend
from rud_fakes.runtime import InlineRuntime

from rud import Uploader
from tests.support import scripted_store
from tests.support.commands import runner
from tests.support.scripted_store import SCRIPTS

scripted_store.register()

STEP = 0.1
"""Seconds of the fake clock."""


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """A bucket of its own."""
    yield tmp_path.name
    MemoryBackend.forget(tmp_path.name)
    SCRIPTS.pop(tmp_path.name, None)


class Storm:
    """Eight workers, two uploads in each tenth of a second, and a store that answers every put with 503 as long as
    ``on``."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.runtime = InlineRuntime()
        self.script = SCRIPTS[bucket]
        self.uploader = Uploader(
            f"scripted://{bucket}",
            upload_staging_folder=folder / "staging",
            num_concurrent_uploads=8,
            use_procs=False,
            on_failure="warn",
            _runtime=self.runtime,
        )
        self.source = folder / "source"
        self.source.write_bytes(b"x")
        self.uploader.upload(self.source, "first")
        self.uploader.drain()
        self.accepted = self.refused = 0

    def go_on(self, seconds: float, *, accept: bool = True, on: bool = True) -> None:
        self.accepted = self.refused = 0
        for _ in range(round(seconds / STEP)):
            self.script.puts.extend(["transient"] * 100 * on)
            for _ in range(2 * accept):
                self.accepted += 1
                self.uploader.upload(self.source, f"{self.runtime.clock.monotonic()}/{self.accepted}")
            self.runtime.settle()
            self.runtime.clock.advance(STEP)
            self.runtime.settle()
            self.refused += 100 * on - len(self.script.puts)
            self.script.puts.clear()


def test_a_storm_of_puts_is_not_made_worse(bucket: str, tmp_path: Path) -> None:
    """I17: ten seconds into a storm of 503 the store sees at most 1.1 puts for each upload that is accepted, though
    every probe is answered."""
    storm = Storm(bucket, tmp_path)
    storm.go_on(10.0)
    storm.go_on(20.0)

    assert storm.accepted == 400
    assert 400 <= storm.refused <= 1.1 * storm.accepted
    storm.uploader.close(0.0)


def test_a_storm_of_everything_is_waited_for(bucket: str, tmp_path: Path) -> None:
    """I17: where probes get 503 as well, they alone go on asking, less and less often."""
    storm = Storm(bucket, tmp_path)
    storm.script.out = True
    storm.go_on(10.0)
    before = storm.script.probes
    storm.go_on(60.0)

    assert storm.refused == 0
    assert 1 <= storm.script.probes - before <= 12
    storm.uploader.close(0.0)


def test_after_a_storm_all_of_it_is_sent_at_once(bucket: str, tmp_path: Path) -> None:
    """No retry waits for a time that was reckoned while nothing worked: each answer lets two more go."""
    storm = Storm(bucket, tmp_path)
    storm.go_on(20.0)
    waiting = len(storm.uploader.pending())
    storm.go_on(6.0, accept=False, on=False)

    assert waiting >= 300
    assert storm.uploader.pending() == []
    storm.uploader.close()


def test_status_tells_what_is_tried_again(bucket: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """While it is, and by whoever looks: how often, why, and when again at the earliest; not when it was stored."""
    storm = Storm(bucket, tmp_path)
    storm.script.puts.append("transient")
    upload = storm.uploader.upload(storm.source, "again")
    storm.runtime.settle()
    rud = runner(capfd)

    (one,) = rud("status", "--json", tmp_path / "staging").json["folders"]
    said = rud("status", tmp_path / "staging").out
    upload.result()
    (after,) = rud("status", "--json", tmp_path / "staging").json["folders"]

    (waiting,) = one["waiting"]
    assert (one["spooled"], one["in_flight"]) == (1, 0)
    assert (waiting["key"], waiting["tries"], waiting["reason"]["class"]) == ("again", 1, "ObjectStoreTransientError")
    assert waiting["due"] >= one["oldest"]
    assert "in flight 0, to be tried again 1, queued 0" in said
    assert "'again': 1 attempt failed, the next not before " in said
    assert after["waiting"] == []
    storm.uploader.close()
