"""The whole uploader on one thread and a clock that the test turns: a Hypothesis machine over faults and crashes."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rud_fakes.memory import MemoryBackend
from rud_fakes.runtime import InlineRuntime

from rud import Upload, Uploader, UploadState
from rud.errors import RudError
from tests.support import scripted_store

scripted_store.register()
BUCKETS = itertools.count()
KEYS = st.sampled_from(["a", "b", "latest"])
LIVE = (UploadState.HELD, UploadState.QUEUED, UploadState.UPLOADING, UploadState.RETRYING)


class UploaderMachine(RuleBasedStateMachine):
    """Accepts, attempts, faults, worker deaths, crashes of the whole program, and time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.bucket = f"machine{next(BUCKETS)}"
        self.script = scripted_store.SCRIPTS[self.bucket]
        self.accepted: dict[str, list[str]] = {}
        self.overwrites: dict[str, bool] = {}
        self.cancelled: set[str] = set()
        self.handles: list[Upload] = []
        self.created: dict[str, bytes] = {}
        self.serial = itertools.count()

    @initialize(workers=st.integers(1, 3))
    def begin(self, workers: int) -> None:
        self.workers = workers
        self.build()

    def build(self) -> None:
        self.runtime = InlineRuntime(stepped=True)
        # Later runs are later: ids and times of earlier ones lie behind.
        self.runtime.clock.advance(next(self.serial) * 3600.0)
        self.uploader = Uploader(
            f"scripted://{self.bucket}",
            use_procs=False,
            num_concurrent_uploads=self.workers,
            upload_staging_folder=self.folder / "staging",
            on_failure="warn",
            _runtime=self.runtime,
        )
        self.handles = []

    @rule(key=KEYS, large=st.booleans(), data=st.data())
    def upload(self, *, key: str, large: bool, data: st.DataObject) -> None:
        after = data.draw(st.lists(st.sampled_from(self.handles), max_size=2)) if self.handles else []
        self.offer(key, size=300_000 if large else 10, overwrite=True, after=after)

    @rule(key=st.sampled_from(["create-1", "create-2"]))
    def create(self, key: str) -> None:
        try:
            self.offer(key, size=10, overwrite=False, after=[])
        except FileExistsError:
            assert any(handle.key == key and handle.state in LIVE for handle in self.handles) or self.adopted(key)

    def adopted(self, key: str) -> bool:
        return key in self.accepted

    def offer(self, key: str, *, size: int, overwrite: bool, after: list[Upload]) -> None:
        source = self.folder / "source"
        source.write_bytes(f"{next(self.serial)} of {key}".encode().ljust(size, b"."))
        handle = self.uploader.upload(source, key, overwrite=overwrite, after=after)
        self.handles.append(handle)
        self.accepted.setdefault(key, []).append(handle.id)
        self.overwrites[handle.id] = overwrite

    @rule(words=st.lists(st.sampled_from(["ok", "transient", "lost", "throttled", "denied"]), min_size=1, max_size=4))
    def faults(self, words: list[str]) -> None:
        self.script.puts.extend(words)

    @rule(out=st.booleans())
    def outage(self, *, out: bool) -> None:
        self.script.out = out

    @rule()
    def supervisor_steps(self) -> None:
        self.runtime.settle()

    @rule(data=st.data())
    def worker_works(self, data: st.DataObject) -> None:
        self.runtime.settle()
        busy = [link for link in self.runtime.links if link.waiting]
        if busy:
            data.draw(st.sampled_from(busy)).work()

    @rule(data=st.data())
    def worker_dies(self, data: st.DataObject) -> None:
        self.runtime.settle()
        if self.runtime.links:
            data.draw(st.sampled_from(self.runtime.links)).die()

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.runtime.clock.advance(seconds)
        self.runtime.settle()

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        handle = data.draw(st.sampled_from(self.handles))
        if handle.cancel():
            self.cancelled.add(handle.id)

    @rule()
    def crash(self) -> None:
        """Every process dies at once; the next run of the same rank takes over."""
        self.uploader._spool.abandon()
        self.uploader._pid = -1
        self.build()

    @invariant()
    def one_state_each(self) -> None:
        """Every accepted upload is in exactly one state, and the counts know all of them (I1)."""
        if not hasattr(self, "uploader"):
            return
        counts = self.uploader.counts()
        total = counts.stored + counts.failed + counts.spooled + counts.superseded + counts.cancelled
        assert total >= len(self.handles)

    @invariant()
    def order_of_a_key(self) -> None:
        """The store never shows older bytes of a key after newer ones (I5)."""
        newest: dict[str, str] = {}
        for key, entry_id in self.script.journal:
            assert entry_id >= newest.get(key, ""), f"{key}: {entry_id} after {newest[key]}"
            newest[key] = entry_id

    @invariant()
    def creates_never_overwrite(self) -> None:
        """What ``overwrite=False`` has found is left as it was (I7)."""
        store = MemoryBackend(self.bucket)
        for key in ("create-1", "create-2"):
            content = content_of(store, key)
            if content is not None:
                assert self.created.setdefault(key, content) == content

    def teardown(self) -> None:
        """Once faults cease, everything ends, and the newest accepted bytes of each key are there (I21, I4)."""
        if not hasattr(self, "uploader"):
            return
        try:
            self.heal_and_drain()
            for key, ids in self.accepted.items():
                # A cancelled one may have superseded those before it: they are not sent then.
                if ids[-1] not in self.cancelled:
                    self.check_final(key, ids)
        finally:
            self.uploader.close(1.0)
            MemoryBackend.forget(self.bucket)
            shutil.rmtree(self.folder)

    def heal_and_drain(self) -> None:
        self.script.puts.clear()
        self.script.out = False
        for _ in range(200):
            self.runtime.settle()
            while any(link.work() for link in self.runtime.links):
                self.runtime.settle()
            if self.uploader.counts().spooled == 0:
                return
            self.runtime.clock.advance(5.0)
        raise AssertionError(f"does not come to an end: {self.uploader.counts()}")

    def check_final(self, key: str, ids: list[str]) -> None:
        if not self.overwrites[ids[-1]]:
            return
        stored = [entry_id for journal_key, entry_id in self.script.journal if journal_key == key]
        failed = [entry.name for entry in self.folder.glob("staging/rud-spool/v1/*/failed/*")]
        if ids[-1] not in failed:
            assert stored, f"{key} {ids[-1]} was never stored: {self.uploader.counts()}, {failed}"
            assert stored[-1] == ids[-1], f"{key}: {stored[-1]} is there, {ids[-1]} was accepted last"


def content_of(store: MemoryBackend, key: str) -> bytes | None:
    chunks: list[bytes] = []

    class Collect:
        def write(self, chunk: bytes, /) -> Any:
            chunks.append(chunk)

    try:
        store.get(key, Collect())
    except RudError:
        return None
    return b"".join(chunks)


TestUploaderMachine = UploaderMachine.TestCase
# Not shrunk: a history of forty steps, each on a real disk, would shrink for minutes.
TestUploaderMachine.settings = settings(
    max_examples=settings().max_examples * 3 // 2, stateful_step_count=40, phases=[Phase.generate]
)
