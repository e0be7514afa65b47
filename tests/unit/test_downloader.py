"""Downloads that go on after faults, and end where they should."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.clock import FakeClock
from rud_fakes.faulty import Fault, FaultyBackend
from rud_fakes.memory import MemoryBackend

from rud import _registry
from rud._spec import StoreSpec
from rud.downloader import Downloader
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    CredentialsExpiredError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreClosedError,
    ThrottledError,
)
from rud.store import Backend, ObjectMeta, Sink
from tests.support.contract import put

DATA = bytes(range(256)) * 40


class Rig:
    """A downloader over a memory store with faults, whose waits take no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
        MemoryBackend.forget(bucket)
        monkeypatch.setattr(_registry, "_registered", {})
        _registry.register_backend("memory", "rud_fakes.memory:MemoryBackend")
        self.memory = MemoryBackend(bucket)
        self.backend = FaultyBackend(self.memory)
        self.opened = 0
        self.waits: list[float] = []
        self.starts: list[int] = []
        self.clock = FakeClock()
        monkeypatch.setattr(StoreSpec, "open", lambda _: self._open())

    def _open(self) -> Backend:
        self.opened += 1
        return self.backend

    def faults(self, *faults: Fault) -> None:
        """From now on the store fails like this, and notes from where it is read."""
        rig = self

        class Noting(FaultyBackend):
            def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
                rig.starts.append(start)
                return super().get(key, sink, start=start)

            def close(self) -> None:
                pass

        self.backend = Noting(self.memory, faults)

    def downloader(self, num_attempts: int = 3) -> Downloader:
        return Downloader(
            "memory://" + self.memory._name,
            num_attempts=num_attempts,
            clock=self.clock,
            rng=random.Random(1),
            wait=self._wait,
        )

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.clock.advance(seconds)
        return False


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(monkeypatch, request.node.name.replace("[", "-").replace("]", ""))
    put(rig.memory, "k", DATA)
    yield rig
    if isinstance(rig.backend, FaultyBackend):
        rig.backend.verify_all_used()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "folder"


def test_download(rig: Rig, folder: Path) -> None:
    """Without faults there is one attempt, and the metadata is the object's."""
    rig.faults()
    with rig.downloader() as downloader:
        meta = downloader.download("k", folder / "copy")

    assert meta == rig.memory.head("k")
    assert (folder / "copy").read_bytes() == DATA
    assert (rig.waits, rig.starts) == ([], [0])


def test_it_goes_on_where_it_stopped(rig: Rig, folder: Path) -> None:
    """After a cut only what is missing is asked for, and the callback never falls."""
    cut = ObjectStoreTransientError("cut")
    rig.faults(Fault("get", cut, bytes_first=1000), Fault("get", cut, bytes_first=500))
    calls: list[tuple[int, int]] = []
    rig.downloader().download("k", folder / "copy", callback=lambda *call: calls.append(call))

    assert (folder / "copy").read_bytes() == DATA
    assert rig.starts == [0, 1000, 1500]
    assert calls == [(1000, len(DATA)), (1500, len(DATA)), (len(DATA), len(DATA))]
    assert len(rig.waits) == 2


@given(cuts=st.lists(st.integers(1, len(DATA)), max_size=4), replaced=st.integers(0, 4))
def test_any_cuts_and_any_replacement(cuts: list[int], replaced: int) -> None:
    """Wherever it is cut, and whenever the object is replaced, the file is the object as it is at the end."""
    import tempfile

    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        rig = Rig(monkeypatch, "cuts")
        put(rig.memory, "k", DATA)
        rig.faults(*(Fault("get", ObjectStoreTransientError("cut"), bytes_first=cut) for cut in cuts))
        expected = DATA

        def wait(seconds: float) -> bool:
            nonlocal expected
            rig.waits.append(seconds)
            if len(rig.waits) == replaced:
                expected = DATA[::-1] + b"tail"
                put(rig.memory, "k", expected)
            return False

        downloader = Downloader("memory://cuts", num_attempts=6, wait=wait)
        downloader.download("k", f"{folder}/copy")

        assert Path(folder, "copy").read_bytes() == expected
        assert [path.name for path in Path(folder).iterdir()] == ["copy"]


def test_a_replaced_object_is_read_from_its_start(rig: Rig, folder: Path) -> None:
    """Bytes of two versions never meet, although the sizes are equal."""
    rig.faults(Fault("get", ObjectStoreTransientError("cut"), bytes_first=1000))
    downloader = rig.downloader()
    monitor = downloader._wait

    def replace(seconds: float) -> object:
        put(rig.memory, "k", DATA[::-1])
        return monitor(seconds)

    downloader._wait = replace
    downloader.download("k", folder / "copy")

    assert (folder / "copy").read_bytes() == DATA[::-1]
    assert rig.starts == [0, 0]


def test_bytes_that_fail_verification_are_read_again(rig: Rig, folder: Path) -> None:
    """A sum that is wrong spoils all that was received: the next attempt begins at the start."""

    class Flipping(FaultyBackend):
        flips = 1

        def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
            rig.starts.append(start)
            if self.flips:
                self.flips -= 1
                sink.write(b"?" * 6000)
                sink.write(DATA[6000:])
                return self.head(key)
            return super().get(key, sink, start=start)

    rig.backend = Flipping(rig.memory, [Fault("get", ObjectStoreTransientError("cut"), bytes_first=1000)])
    calls: list[int] = []
    rig.downloader().download("k", folder / "copy", callback=lambda done, _: calls.append(done))

    assert (folder / "copy").read_bytes() == DATA
    assert rig.starts == [0, 0, 1000]
    assert calls == [6000, len(DATA)]


def test_nothing_is_asked_for_when_nothing_is_missing(rig: Rig, folder: Path) -> None:
    """A cut after the last byte needs no second get: services refuse a range that begins at the end."""
    rig.faults(Fault("get", ObjectStoreTransientError("cut"), bytes_first=len(DATA)))
    rig.downloader().download("k", folder / "copy")

    assert (folder / "copy").read_bytes() == DATA
    assert rig.starts == [0]


def test_a_body_that_ends_early_is_continued(rig: Rig, folder: Path) -> None:
    """A get that returns too soon, without an error, is transient."""

    class Short(FaultyBackend):
        def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
            rig.starts.append(start)
            sink.write(DATA[start : start + 5000])
            return self.head(key)

    rig.backend = Short(rig.memory)
    rig.downloader().download("k", folder / "copy")

    assert (folder / "copy").read_bytes() == DATA
    assert rig.starts == [0, 5000, 10000]


@pytest.mark.parametrize("num_attempts", [1, 3])
def test_it_gives_up(rig: Rig, folder: Path, num_attempts: int) -> None:
    """After the last attempt the last error comes out, says how many there were, and nothing is left behind."""
    error = ObjectStoreTransientError("cut")
    rig.faults(Fault("get", error, bytes_first=10, times=num_attempts))
    with pytest.raises(ObjectStoreTransientError) as caught:
        rig.downloader(num_attempts).download("k", folder / "copy")

    assert caught.value is error
    assert caught.value.__notes__ == [f"gave up after {num_attempts} attempts in {sum(rig.waits):.1f} s"]
    assert len(rig.waits) == num_attempts - 1
    assert not folder.exists()


@pytest.mark.parametrize(
    "error", [AccessDeniedError("no"), ObjectNotFoundError("gone"), LookupError("bug"), KeyboardInterrupt()]
)
def test_other_errors_are_not_retried(rig: Rig, folder: Path, error: BaseException) -> None:
    """What would fail again fails at once, and leaves nothing behind."""
    rig.faults(Fault("get", error, bytes_first=10))
    with pytest.raises((type(error), Exception)):
        rig.downloader().download("k", folder / "new/copy")

    assert rig.waits == []
    assert not folder.exists()


def test_heads_are_retried(rig: Rig, folder: Path) -> None:
    """The request for metadata is part of an attempt; throttling waits at least its floor."""
    rig.faults(Fault("head", ThrottledError("slow down", retry_after=7.0)))
    rig.downloader().download("k", folder / "copy")

    assert (folder / "copy").read_bytes() == DATA
    assert rig.waits[0] >= 7.0


def test_expired_credentials_open_the_store_anew(rig: Rig, folder: Path) -> None:
    """The next attempt has a new store, and goes on where the old one stopped."""
    rig.faults(Fault("get", CredentialsExpiredError("expired"), bytes_first=100))
    downloader = rig.downloader()
    downloader.download("k", folder / "copy")
    downloader.download("k", folder / "copy", overwrite=True)

    assert rig.opened == 2
    assert rig.starts == [0, 100, 0]


def test_a_destination_that_exists(rig: Rig, folder: Path) -> None:
    """It is refused before any request, unless ``overwrite``; then it stays whole until it is replaced."""
    folder.mkdir()
    (folder / "copy").write_bytes(b"old")
    rig.faults(Fault("get", ObjectStoreTransientError("cut"), bytes_first=10, times=4))
    with pytest.raises(FileExistsError):
        rig.downloader().download("k", folder / "copy")

    assert rig.opened == 0

    with pytest.raises(ObjectStoreTransientError):
        rig.downloader().download("k", folder / "copy", overwrite=True)

    assert (folder / "copy").read_bytes() == b"old"

    rig.downloader().download("k", folder / "copy", overwrite=True)

    assert (folder / "copy").read_bytes() == DATA
    assert [path.name for path in folder.iterdir()] == ["copy"]


def test_close_ends_a_wait(rig: Rig, folder: Path) -> None:
    """A download that waits for its next attempt ends when the downloader is closed, whatever the wait."""
    rig.faults(Fault("get", ThrottledError("later", retry_after=100.0), bytes_first=10))
    downloader = Downloader("memory://" + rig.memory._name)
    failed = threading.Event()
    wait = downloader._closing.wait

    def announce(seconds: float) -> bool:
        failed.set()
        return wait(seconds)

    downloader._wait = announce
    caught: list[BaseException] = []

    def run() -> None:
        try:
            downloader.download("k", folder / "copy")
        except StoreClosedError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert failed.wait(60)
    downloader.close()
    downloader.close()
    thread.join()

    assert len(caught) == 1
    assert not folder.exists()
    with pytest.raises(StoreClosedError):
        downloader.download("k", folder / "copy")


def test_an_interrupted_wait_leaves_nothing(rig: Rig, folder: Path) -> None:
    """Ctrl-C between two attempts removes what was received."""
    rig.faults(Fault("get", ObjectStoreTransientError("cut"), bytes_first=10))
    downloader = rig.downloader()

    def interrupt(_: float) -> bool:
        raise KeyboardInterrupt

    downloader._wait = interrupt
    with pytest.raises(KeyboardInterrupt):
        downloader.download("k", folder / "copy")

    assert not folder.exists()


def test_arguments(rig: Rig) -> None:
    """What is wrong with them is said when the downloader is built."""
    rig.faults()
    for uri, arguments, attempts in (("memory://b", {}, 0), ("memory://b", {"x": 1}, 1), ("nowhere://b", {}, 1)):
        with pytest.raises(ConfigurationError):
            Downloader(uri, backend_kwargs=arguments, num_attempts=attempts)
