"""What a caller sees of a store: names, callbacks, files that appear whole or not at all, errors with their context."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.faulty import Fault, FaultyBackend
from rud_fakes.memory import MemoryBackend

from rud._object_store import ObjectStore
from rud.errors import (
    AccessDeniedError,
    IntegrityError,
    InvalidKeyError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreClosedError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import Capabilities, ObjectMeta, PutResult, Sink, Source, check_key
from tests.support.contract import put

MIB = 1 << 20


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> MemoryBackend:
    MemoryBackend.forget(request.node.nodeid)
    return MemoryBackend(request.node.nodeid)


@pytest.fixture
def store(memory: MemoryBackend) -> ObjectStore:
    return ObjectStore(memory)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"x" * (2 * MIB + 5))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where downloads go: empty, so that everything in it comes from the download."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, and every folder with ``b"/"``."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"/" for path in folder.rglob("*")}


class Calls(list[tuple[int, int]]):
    """A callback that notes what it is told, and raises at its ``fail_at``-th call."""

    def __init__(self, fail_at: int = 0) -> None:
        super().__init__()
        self._fail_at = fail_at

    def __call__(self, done: int, total: int) -> None:
        self.append((done, total))
        if len(self) == self._fail_at:
            raise ZeroDivisionError("the callback's own")


def test_round_trip(store: ObjectStore, source: Path, folder: Path) -> None:
    """What was uploaded is listed, measured and downloaded as it was, until it is deleted."""
    store.upload_object("a/b", source)
    store.download_object("a/b", folder / "copy")

    assert source.read_bytes() == (folder / "copy").read_bytes()
    assert store.get_object_size("a/b") == 2 * MIB + 5
    assert store.list_objects() == store.list_objects("a") == store.list_objects("") == ["a/b"]
    assert store.list_objects("b") == []

    store.delete_object("a/b")
    store.delete_object("a/b")

    assert store.list_objects() == []
    with pytest.raises(FileNotFoundError):
        store.get_object_size("a/b")


@given(size=st.sampled_from([0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB]))
def test_callbacks_keep_their_promises(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    """Cumulative, one total, never above it, and the last call alone has both numbers equal."""
    folder = tmp_path_factory.mktemp("callbacks")
    (folder / "source").write_bytes(b"x" * size)
    store = ObjectStore(MemoryBackend("callbacks"))
    transfers: list[Callable[[Calls], None]] = [
        lambda calls: store.upload_object("k", folder / "source", callback=calls),
        lambda calls: store.download_object("k", folder / "copy", callback=calls),
    ]
    for transfer in transfers:
        calls = Calls()
        transfer(calls)
        done = [first for first, _ in calls]

        assert {total for _, total in calls} == {size}
        assert done == sorted(set(done))
        assert done[-1] == size
        assert size == 0 or all(0 < first < size for first in done[:-1])
        assert size > 0 or calls == [(0, 0)]


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_callback_that_raises_in_an_upload(store: ObjectStore, source: Path, fail_at: int) -> None:
    """Its exception comes out unchanged; unless it was the last call, nothing is stored."""
    with pytest.raises(ZeroDivisionError):
        store.upload_object("k", source, callback=Calls(fail_at))

    assert store.list_objects() == (["k"] if fail_at == 3 else [])


@pytest.mark.parametrize("fail_at", [1, 2, 3])
@pytest.mark.parametrize("there", [None, b"old"])
def test_a_callback_that_raises_in_a_download(
    store: ObjectStore, source: Path, folder: Path, fail_at: int, there: bytes | None
) -> None:
    """Its exception comes out unchanged, at the last call too, and the folder is what it was."""
    store.upload_object("k", source)
    if there is not None:
        (folder / "copy").write_bytes(there)
    before = contents(folder)
    with pytest.raises(ZeroDivisionError):
        store.download_object("k", folder / "copy", overwrite=True, callback=Calls(fail_at))

    assert contents(folder) == before


def test_a_callback_may_ask_the_store(store: ObjectStore, source: Path) -> None:
    """Asking from within a callback does not lock up."""
    sizes: list[list[str]] = []
    store.upload_object("k", source, callback=lambda *_: sizes.append(store.list_objects()))

    assert sizes == [[], [], ["k"]]


class _OnAnotherThread(MemoryBackend):
    """Reads the body as backends do that send parts: on a thread that the put waits for."""

    def put(self, key: str, source: Source, **given: Any) -> PutResult:
        section = source.section(len(source))
        reader = threading.Thread(target=lambda: [section.read(MIB) for _ in range(3)], daemon=True)
        reader.start()
        reader.join(30)
        assert not reader.is_alive(), "the callback waits for the put that waits for it"
        source.seek(0)
        return super().put(key, source, **given)


def test_a_callback_on_another_thread_may_ask_the_store(request: pytest.FixtureRequest, source: Path) -> None:
    """Nor does it where the backend reads the body on a thread of its own."""
    store = ObjectStore(_OnAnotherThread(request.node.nodeid))
    asked: list[list[str]] = []
    store.upload_object("k", source, callback=lambda *_: asked.append(store.list_objects()))

    assert asked[:2] == [[], []]
    assert asked[-1] == ["k"]


def test_create_only(store: ObjectStore, source: Path) -> None:
    """``overwrite=False`` stores what is new, refuses what is there, and tells no callback that it is done."""
    store.upload_object("k", source, overwrite=False)
    before = store.backend.head("k")
    calls = Calls()
    with pytest.raises(FileExistsError):
        store.upload_object("k", source, overwrite=False, callback=calls)

    assert store.backend.head("k") == before
    assert (2 * MIB + 5, 2 * MIB + 5) not in calls


class Limited(MemoryBackend):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, create="it cannot know")


def test_create_only_where_it_is_not_offered(source: Path) -> None:
    """A store that does not offer it refuses ``overwrite=False`` in its own words; nothing is guessed."""
    store = ObjectStore(Limited("limited"))
    with pytest.raises(UnsupportedOperationError, match="it cannot know"):
        store.upload_object("k", source, overwrite=False)

    assert store.list_objects() == []


@pytest.mark.parametrize(
    ("name", "expected"), [("missing", FileNotFoundError), ("folder", IsADirectoryError), ("pipe", ValueError)]
)
def test_sources_that_are_no_files(
    tmp_path: Path, folder: Path, memory: MemoryBackend, name: str, expected: type[Exception]
) -> None:
    """What cannot be uploaded is refused as what it is, before any request."""
    os.mkfifo(tmp_path / "pipe")
    store = ObjectStore(FaultyBackend(memory, [Fault("put", AssertionError("a request was made"))]))
    with pytest.raises(expected) as caught:
        store.upload_object("k", tmp_path / name)

    assert folder.is_dir()
    assert not isinstance(caught.value, StoreError)


@pytest.mark.parametrize("change", ["rewrite", "grow", "shrink"])
def test_a_source_that_changes(store: ObjectStore, source: Path, change: str) -> None:
    """A file that changes while it is sent is refused, and nothing of it is stored."""

    def alter(done: int, _: int) -> None:
        if done == MIB:
            with source.open("r+b") as file:
                file.seek(0, os.SEEK_END if change == "grow" else os.SEEK_SET)
                if change == "shrink":
                    file.truncate(MIB)
                else:
                    file.write(b"changed")

    with pytest.raises(IntegrityError):
        store.upload_object("k", source, callback=alter)

    assert store.list_objects() == []


def test_an_unreadable_source(store: ObjectStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ``OSError`` of the local file comes out as it is, although it struck inside the backend."""
    from rud._source import SourceFile

    def fail(self: SourceFile, size: int) -> bytes:
        with self._noting():
            raise OSError(errno.EIO, "the disk")

    monkeypatch.setattr(SourceFile, "read", fail)
    with pytest.raises(OSError, match="the disk") as caught:
        store.upload_object("k", source)

    assert type(caught.value) is OSError


@pytest.mark.parametrize("key", ["", "a\0", "\ud800", 1, None, b"a"])
def test_keys_that_no_store_keeps(key: object) -> None:
    """An impossible key is refused, whatever the store."""
    with pytest.raises(InvalidKeyError):
        check_key(key)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_other_keys_are_left_alone(key: str) -> None:
    """Every other text is returned as it is."""
    assert check_key(key) == key


@pytest.mark.parametrize("overwrite", [False, True])
def test_download_into_missing_folders(store: ObjectStore, source: Path, folder: Path, *, overwrite: bool) -> None:
    """Missing folders are made, and only they and the file are new."""
    store.upload_object("k", source)
    store.download_object("k", folder / "a/b/c", overwrite=overwrite)

    assert contents(folder) == {"a": b"/", "a/b": b"/", "a/b/c": source.read_bytes()}


def test_a_relative_destination(
    store: ObjectStore, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A destination without a folder lies in the working directory."""
    monkeypatch.chdir(folder)
    store.upload_object("k", source)
    store.download_object("k", "copy")

    assert contents(folder) == {"copy": source.read_bytes()}


class Odd(MemoryBackend):
    """Answers a get with bytes or metadata of its own."""

    data: bytes = b""
    described: Callable[[ObjectMeta], ObjectMeta] = staticmethod(lambda meta: meta)

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        sink.write(self.data)
        return self.described(self.head(key))


@pytest.mark.parametrize(
    ("data", "described", "expected"),
    [
        (b"shor", None, ObjectStoreTransientError),
        (b"flippee", None, IntegrityError),
        (b"too long!", None, IntegrityError),
        (b"another", lambda meta: replace(meta, etag="other"), ObjectStoreTransientError),
        (b"longer than before", lambda meta: replace(meta, size=18, etag=None), ObjectStoreTransientError),
    ],
)
def test_wrong_bytes_never_appear(
    memory: MemoryBackend,
    folder: Path,
    data: bytes,
    described: Callable[[ObjectMeta], ObjectMeta] | None,
    expected: type[Exception],
) -> None:
    """Bytes that are too few, too many, others or of another version raise, and leave no trace."""
    put(memory, "k", b"flipped")
    backend = Odd(memory._name)
    backend.data = data
    if described is not None:
        backend.described = described
    calls = Calls()
    with pytest.raises(expected):
        ObjectStore(backend).download_object("k", folder / "new/copy", callback=calls)

    assert contents(folder) == {}
    assert (7, 7) not in calls


@pytest.mark.parametrize(
    "error", [ObjectStoreTransientError("later"), AccessDeniedError("no"), KeyboardInterrupt(), SystemExit(1)]
)
@pytest.mark.parametrize("there", [None, b"old"])
def test_a_failing_download_leaves_no_trace(
    memory: MemoryBackend, folder: Path, error: BaseException, there: bytes | None
) -> None:
    """Whatever ends a download half-way, the destination is what it was and nothing new lies beside it."""
    put(memory, "k", b"content")
    if there is not None:
        (folder / "copy").write_bytes(there)
    before = contents(folder)
    backend = FaultyBackend(memory, [Fault("get", error, bytes_first=3)])
    for name in ("copy", "new/folder/copy"):
        backend = FaultyBackend(memory, [Fault("get", error, bytes_first=3)])
        with pytest.raises(type(error)) as caught:
            ObjectStore(backend).download_object("k", folder / name, overwrite=True)
        backend.verify_all_used()

        assert caught.value is error
        assert contents(folder) == before


def test_a_missing_object(store: ObjectStore, folder: Path) -> None:
    """An object that is not there is a ``FileNotFoundError``, and no folder is made for it."""
    with pytest.raises(ObjectNotFoundError):
        store.download_object("k", folder / "new/copy")

    assert contents(folder) == {}


def test_a_destination_that_exists(memory: MemoryBackend, folder: Path) -> None:
    """Without ``overwrite`` it is refused before any request, be it a file or a dangling link; with it, replaced."""
    put(memory, "k", b"new")
    (folder / "file").write_bytes(b"old")
    (folder / "link").symlink_to(folder / "nowhere")
    refusing = ObjectStore(FaultyBackend(memory, [Fault("head", AssertionError("a request was made"))]))
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            refusing.download_object("k", folder / name)
        ObjectStore(memory).download_object("k", folder / name, overwrite=True)

    assert not (folder / "link").is_symlink()
    assert contents(folder) == {"file": b"new", "link": b"new"}


def test_a_link_is_replaced_not_followed(store: ObjectStore, source: Path, folder: Path, tmp_path: Path) -> None:
    """Nothing is written through a link, to a file or to a folder."""
    (tmp_path / "target").write_bytes(b"target")
    (folder / "file").symlink_to(tmp_path / "target")
    (folder / "dir").symlink_to(tmp_path)
    store.upload_object("k", source)
    for name in ("file", "dir"):
        store.download_object("k", folder / name, overwrite=True)

    assert (tmp_path / "target").read_bytes() == b"target"
    assert [path.is_symlink() for path in folder.iterdir()] == [False, False]


@pytest.mark.parametrize("name", ["there", "there/", ""])
def test_a_destination_that_is_a_folder(store: ObjectStore, source: Path, folder: Path, name: str) -> None:
    """A folder is never replaced."""
    (folder / "there").mkdir()
    store.upload_object("k", source)
    with pytest.raises(IsADirectoryError):
        store.download_object("k", f"{folder}/{name}", overwrite=True)

    assert contents(folder) == {"there": b"/"}


@pytest.mark.parametrize("links", [True, False])
def test_a_destination_that_appears_meanwhile(
    memory: MemoryBackend,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    links: bool,
) -> None:
    """A file that somebody else makes during the download is left as it is, at the latest moment too."""
    put(memory, "k", b"mine")
    if not links:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    store = ObjectStore(memory)

    def rival(*_: int) -> None:
        (folder / "copy").write_bytes(b"theirs")

    with pytest.raises(FileExistsError):
        store.download_object("k", folder / "copy", callback=rival)
    store.download_object("k", folder / "other")

    assert contents(folder) == {"copy": b"theirs", "other": b"mine"}


def test_no_callback_hears_of_a_download_that_came_too_late(memory: MemoryBackend, folder: Path) -> None:
    """When the destination appears before the last byte, the callback is not told that all is done."""

    class Rival(MemoryBackend):
        def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
            (folder / "copy").write_bytes(b"theirs")
            return super().get(key, sink, start=start)

    put(memory, "k", b"mine")
    calls = Calls()
    with pytest.raises(FileExistsError):
        ObjectStore(Rival(memory._name)).download_object("k", folder / "copy", callback=calls)

    assert calls == []
    assert contents(folder) == {"copy": b"theirs"}


@pytest.mark.parametrize("before", [None, 0o600, 0o444])
def test_the_mode_is_that_of_open(store: ObjectStore, source: Path, folder: Path, before: int | None) -> None:
    """A new file has the mode that the umask allows, a replaced one keeps its own."""
    store.upload_object("k", source)
    (folder / "expected").write_bytes(b"")
    if before is not None:
        (folder / "copy").write_bytes(b"old")
        (folder / "copy").chmod(before)
    expected = before if before is not None else stat.S_IMODE((folder / "expected").stat().st_mode)
    store.download_object("k", folder / "copy", overwrite=True)

    assert stat.S_IMODE((folder / "copy").stat().st_mode) == expected


def test_trouble_of_this_machine_is_its_own(
    store: ObjectStore, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk during a download is the machine's ``OSError``, no error of the store."""
    store.upload_object("k", source)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="space") as caught:
            store.download_object("k", folder / "copy")

    assert type(caught.value) is OSError
    assert contents(folder) == {}


def test_a_foreign_error_gets_its_context(memory: MemoryBackend, source: Path, folder: Path) -> None:
    """What a backend should have translated is a ``StoreError`` with operation, key and cause."""
    foreign = LookupError("SDK says 503")
    faults = [Fault(operation, foreign) for operation in ("put", "head", "list", "delete")]
    backend = FaultyBackend(memory, faults)
    store = ObjectStore(backend)
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: store.upload_object("k", source),
        "head": lambda: store.download_object("k", folder / "copy"),
        "list": lambda: store.list_objects("k"),
        "delete": lambda: store.delete_object("k"),
    }
    for operation, call in calls.items():
        with pytest.raises(StoreError, match="LookupError: SDK says 503") as caught:
            call()

        assert type(caught.value) is StoreError
        assert (caught.value.operation, caught.value.key) == (operation, "k")
        assert caught.value.__cause__ is foreign
    backend.verify_all_used()


def test_closed(memory: MemoryBackend, source: Path, folder: Path) -> None:
    """Closing is idempotent and closes the backend; every method after it raises ``StoreClosedError``."""
    with ObjectStore(memory) as store:
        pass
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.upload_object("k", source),
        lambda: store.download_object("k", folder / "copy"),
        lambda: store.get_object_size("k"),
        store.list_objects,
        lambda: store.get_uri("k"),
        lambda: store.delete_object("k"),
    ]
    for call in calls:
        with pytest.raises(StoreClosedError):
            call()
    with pytest.raises(StoreClosedError):
        memory.head("k")

    assert repr(store) == "<ObjectStore of MemoryBackend, closed>"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_refused(store: ObjectStore) -> None:
    """In a forked child the store raises, and closing it there does not close the parent's backend."""
    pid = os.fork()
    if pid == 0:
        try:
            store.list_objects()
        except StoreClosedError as error:
            store.close()
            os._exit(0 if "parent" in str(error) else 3)
        finally:
            os._exit(4)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.list_objects() == []


def test_threads_take_turns(memory: MemoryBackend) -> None:
    """Two threads never meet in the backend."""
    barrier = threading.Barrier(2)
    met: list[str] = []

    class Meeting(MemoryBackend):
        def delete(self, key: str) -> None:
            try:
                barrier.wait(0.05)
            except threading.BrokenBarrierError:
                barrier.reset()
            else:
                met.append(key)

    store = ObjectStore(Meeting(memory._name))
    threads = [threading.Thread(target=store.delete_object, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert met == []
