"""A folder as a store: the contract, hostile keys, races, and what the system's errors become."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rud.backends import _folders, _hidden, local
from rud.backends.local import LocalObjectStore
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    InvalidKeyError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
)
from rud.store import PutMode
from tests.support.contract import Failing, get, put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def backend(folder: Path) -> LocalObjectStore:
    return LocalObjectStore(str(folder))


def snapshot(folder: str) -> dict[str, bytes | str]:
    """Every name below ``folder`` outside the store, with its content."""
    found: dict[str, bytes | str] = {}
    for path in sorted(Path(folder).rglob("*")):
        relative = str(path.relative_to(folder))
        if relative.partition("/")[0] != "store":
            found[relative] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
    return found


HOSTILE = ["..", ".", "", "a", "link", "file-link", "outside", "store", "canary", "a" * 256, "\0", "~", "\ud800"]
HOSTILE += [".rud-put-0123456789abcdef", "é" * 128, "\\..", "%2e%2e", "..\\"]
hostile_segments = st.sampled_from(HOSTILE)
hostile_keys = st.one_of(st.lists(hostile_segments, min_size=1, max_size=6).map("/".join), st.text(max_size=12))


@pytest.fixture(scope="module")
def parent() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        os.makedirs(name + "/store")
        os.makedirs(name + "/outside/a")
        Path(name, "outside/canary").write_bytes(b"canary")
        Path(name, "canary").write_bytes(b"canary")
        yield name


@settings(max_examples=150)
@given(key=hostile_keys, data=st.binary(max_size=8))
def test_no_key_leaves_the_folder(parent: str, key: str, data: bytes) -> None:
    """Whatever the key, and whatever links lie in the folder, nothing outside it is read, changed, made or removed."""
    store = os.path.join(parent, "store")
    for name, target in (("link", "../outside"), ("file-link", "../canary")):
        if not os.path.lexists(f"{store}/{name}"):
            os.symlink(target, f"{store}/{name}")
    before = snapshot(parent)
    backend = LocalObjectStore(store)
    try:
        put(backend, key, data)
    except (InvalidKeyError, StoreError):
        stored = False
    else:
        stored = True
        assert data == get(backend, key)[0]
        assert key in [meta.key for meta in backend.list("")]
    for operation in (
        backend.head,
        lambda key: get(backend, key),
        backend.delete,
        lambda key: backend.abort(key, "../x"),
    ):
        try:
            operation(key)
        except (InvalidKeyError, StoreError):
            assert not stored or operation is not backend.head

    assert before == snapshot(parent)
    assert not [meta.key for meta in backend.list("") if meta.key == key]


UNKEEPABLE = ["/a", "a/", "a//b", ".", "..", "a/..", "./a", "a/./b", "x" * 256, "é" * 128, "a/" * 2100 + "a"]
UNKEEPABLE += [".rud-put-", "a/.RUD-PUT-1"]


@pytest.mark.parametrize("key", UNKEEPABLE)
def test_keys_that_cannot_be_kept_are_refused(folder: Path, backend: LocalObjectStore, key: str) -> None:
    """A key that would have to be changed to be a path is refused before anything is made."""
    with pytest.raises(InvalidKeyError):
        put(backend, key, b"x")

    assert not folder.exists()


def test_a_key_and_a_key_below_it(backend: LocalObjectStore) -> None:
    """Of ``a`` and ``a/b`` the second is refused for good, in either order, and the first stays."""
    put(backend, "a", b"1")
    put(backend, "c/d", b"2")
    for mode in PutMode:
        with pytest.raises(StoreError, match="not a folder") as below:
            put(backend, "a/b", b"x", mode=mode)
        with pytest.raises(StoreError, match="begin with it") as above:
            put(backend, "c", b"x", mode=mode)
        for caught in (below, above):
            assert type(caught.value) is StoreError

    assert [(meta.key, meta.size) for meta in backend.list("")] == [("a", 1), ("c/d", 1)]
    with pytest.raises(ObjectNotFoundError):
        backend.head("c")


@pytest.mark.parametrize("mode", PutMode)
def test_an_empty_folder_is_no_object(folder: Path, backend: LocalObjectStore, mode: PutMode) -> None:
    """An empty folder, as a killed put leaves it, does not keep its name from an object."""
    (folder / "a").mkdir(parents=True)

    put(backend, "a", b"x", mode=mode)

    assert get(backend, "a")[0] == b"x"


def test_delete_removes_what_it_empties(folder: Path, backend: LocalObjectStore) -> None:
    """Folders that a delete leaves empty go, others and the root stay."""
    put(backend, "a/b/c/d", b"x")
    put(backend, "a/e", b"x")
    backend.delete("a/b/c/d")
    backend.delete("a/b")

    assert os.listdir(folder / "a") == ["e"]

    backend.delete("a/e")

    assert os.listdir(folder) == []


def test_create_has_one_winner(folder: Path) -> None:
    """Of many creates of one key at once exactly one succeeds, and its bytes are what is stored."""
    for turn in range(20):
        start = threading.Barrier(4)
        won: list[bytes] = []

        def create(number: int, turn: int = turn, start: threading.Barrier = start, won: list[bytes] = won) -> None:
            data = bytes([number]) * 5000
            start.wait()
            try:
                put(LocalObjectStore(str(folder)), f"d/{turn}", data, mode=PutMode.CREATE)
            except ObjectExistsError:
                return
            won.append(data)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert won == [(folder / "d" / str(turn)).read_bytes()]


def test_puts_and_deletes_beside_each_other(folder: Path) -> None:
    """A put into a folder that deletes keep removing succeeds all the same."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        backend = LocalObjectStore(str(folder))
        try:
            for _ in range(200):
                put(backend, f"d/e/{number}", b"x")
                backend.delete(f"d/e/{number}")
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (failures, os.listdir(folder)) == ([], [])


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_create_without_hard_links(
    folder: Path, backend: LocalObjectStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Where links are refused a create still has one winner and leaves no other file."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    put(backend, "k", b"first", mode=PutMode.CREATE)
    with pytest.raises(ObjectExistsError):
        put(backend, "k", b"second", mode=PutMode.CREATE)
    monkeypatch.setattr(_hidden.HiddenFile, "refuse_taken", lambda self: None)
    with pytest.raises(ObjectExistsError):
        put(backend, "k", b"third", mode=PutMode.CREATE)

    assert (os.listdir(folder), (folder / "k").read_bytes()) == (["k"], b"first")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, ObjectStoreTransientError),
        (errno.EDQUOT, ObjectStoreTransientError),
        (errno.EIO, ObjectStoreTransientError),
        (errno.ESTALE, ObjectStoreTransientError),
        (errno.EACCES, AccessDeniedError),
        (errno.EPERM, AccessDeniedError),
        (errno.EROFS, AccessDeniedError),
        (errno.ENAMETOOLONG, InvalidKeyError),
        (errno.EILSEQ, StoreError),
        (errno.EFBIG, StoreError),
    ],
)
def test_errors_of_the_system(
    folder: Path, backend: LocalObjectStore, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[Exception]
) -> None:
    """The number decides the class; the error names key and cause, and the object is as it was."""
    put(backend, "d/k", b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        with pytest.raises(expected, match="d/k") as caught:
            put(backend, "d/k", b"new")

    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, OSError)
    assert (os.listdir(folder / "d"), (folder / "d" / "k").read_bytes()) == (["k"], b"old")


def test_a_put_that_fails_leaves_no_folder(backend: LocalObjectStore, folder: Path) -> None:
    """Folders that were made for a put that fails are removed again."""
    put(backend, "a/k", b"x")
    with pytest.raises(KeyboardInterrupt):
        put(backend, "a/b/c", Failing(KeyboardInterrupt()))

    assert [path.name for path in folder.rglob("*")] == ["a", "k"]


def test_a_link_that_takes_the_place_of_an_object(
    backend: LocalObjectStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that becomes a link between the look at it and its opening is not followed."""
    put(backend, "k", b"inside")
    outside = folder.parent / "outside"
    outside.write_bytes(b"outside")

    def swap(*_: object) -> None:
        (folder / "k").unlink()
        (folder / "k").symlink_to(outside)

    monkeypatch.setattr(local, "_check_regular", swap)
    with pytest.raises(StoreError):
        get(backend, "k")


def test_errors_of_the_source_are_its_own(backend: LocalObjectStore, folder: Path) -> None:
    """An ``OSError`` of the payload is no error of the store."""

    with pytest.raises(OSError, match="disk of the payload") as caught:
        put(backend, "k", Failing(OSError(errno.EIO, "the disk of the payload")))

    assert type(caught.value) is OSError
    assert os.listdir(folder) == []


def test_errors_of_the_sink_are_its_own(backend: LocalObjectStore) -> None:
    """An ``OSError`` of where a download goes is no error of the store."""

    class Full:
        def write(self, chunk: bytes, /) -> int:
            raise OSError(errno.ENOSPC, f"no room for {chunk!r}")

    put(backend, "k", b"x")
    with pytest.raises(OSError, match="no room") as caught:
        backend.get("k", Full())

    assert type(caught.value) is OSError


def test_a_get_from_before_the_beginning(backend: LocalObjectStore) -> None:
    """A negative start is the caller's mistake, not a trouble of the file system."""
    put(backend, "k", b"x")

    with pytest.raises(ValueError, match="-1"):
        get(backend, "k", -1)


def test_a_large_put_that_was_killed_can_be_aborted(folder: Path, backend: LocalObjectStore) -> None:
    """What a kill leaves of a put over 1 MiB is no object, and ``abort`` removes it by the id that was announced."""
    told: list[str] = []
    put(backend, "d/large", b"x" * (1 << 20) + b"y", on_multipart=told.append)
    put(backend, "d/small", b"x" * (1 << 20), on_multipart=told.append)
    (left,) = told
    (folder / "d" / left).write_bytes(b"half")

    assert [meta.key for meta in backend.list("")] == ["d/large", "d/small"]

    LocalObjectStore(str(folder)).abort("d/large", left)

    assert sorted(os.listdir(folder / "d")) == ["large", "small"]


def test_a_put_whose_hidden_file_was_aborted(folder: Path, backend: LocalObjectStore) -> None:
    """A put that outlives its own abort is transient, and stores nothing."""

    def abort(upload_id: str) -> None:
        LocalObjectStore(str(folder)).abort("k", upload_id)

    for mode in PutMode:
        with pytest.raises(ObjectStoreTransientError, match="removed by somebody else"):
            put(backend, "k", b"x" * (1 << 20) + b"y", mode=mode, on_multipart=abort)

    assert os.listdir(folder) == []


def test_durable_puts_sync_the_file_and_every_folder(
    folder: Path, backend: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is synced under its hidden name, then each folder from its own to the one that holds the root."""
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append("file" if _folders.TEMPORARY in path else os.path.relpath(path, folder))
        fsync(descriptor)

    put(backend, "d/e/other", b"x")
    monkeypatch.setattr(os, "fsync", note)
    put(backend, "d/e/k", b"x")

    assert synced == []

    put(backend, "d/e/k", b"x", durable=True)

    assert synced == ["file", "d/e", "d", ".", ".."]


def test_links_are_no_objects(folder: Path, backend: LocalObjectStore) -> None:
    """A link in the folder is not listed, read or written through; a put replaces the link itself."""
    folder.mkdir()
    outside = folder.parent / "outside"
    outside.write_bytes(b"outside")
    (folder / "link").symlink_to(outside)

    assert list(backend.list("")) == []
    for operation in (backend.head, lambda key: get(backend, key), backend.delete):
        with pytest.raises(StoreError, match="symbolic link"):
            operation("link")
    with pytest.raises(ObjectExistsError):
        put(backend, "link", b"x", mode=PutMode.CREATE)
    put(backend, "link", b"inside")

    assert ((folder / "link").read_bytes(), outside.read_bytes()) == (b"inside", b"outside")


def test_the_root_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    """Where the folder itself leads is the choice of whoever named it."""
    (tmp_path / "real").mkdir()
    folder.symlink_to(tmp_path / "real")
    put(LocalObjectStore(str(folder)), "k", b"x")

    assert (tmp_path / "real" / "k").read_bytes() == b"x"


def test_names_that_are_no_text_are_not_listed(folder: Path, backend: LocalObjectStore) -> None:
    """A file whose name is not UTF-8 is no object and does not keep the others from being listed."""
    put(backend, "k", b"x")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"")
    os.mkfifo(folder / "pipe")

    assert [meta.key for meta in backend.list("")] == ["k"]
    with pytest.raises(StoreError, match="pipe"):
        backend.head("pipe")


def test_probe_while_the_folder_is_missing(folder: Path, backend: LocalObjectStore) -> None:
    """A probe makes nothing, neither the folder nor a file in it, and sees a file in the folder's place."""
    backend.probe()

    assert not folder.exists()

    folder.write_bytes(b"")
    with pytest.raises(BucketNotFoundError):
        backend.probe()


def test_probe_without_permission(folder: Path, backend: LocalObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe of what may not be written is an ``AccessDeniedError``, whether the folder is there or not."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(AccessDeniedError):
        backend.probe()
    folder.mkdir()
    opened = os.open

    def refuse(path: str, flags: int, *rest: int, **named: int) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AccessDeniedError):
        backend.probe()


def test_without_extended_attributes(backend: LocalObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no attributes the store says so, and works without ids and sums."""

    def refuse(*_: object, **__: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "getxattr", refuse)
    monkeypatch.setattr(os, "setxattr", refuse)
    put(backend, "k", b"x", entry_id="id")
    meta = backend.head("k")

    assert "keeps no extended attributes" in str(backend.capabilities.entry_ids)
    assert backend.capabilities.entry_ids == backend.capabilities.checksums
    assert (meta.checksum, meta.entry_id) == (None, None)


@pytest.mark.parametrize("bucket", ["relative", "", "~/x"])
def test_a_relative_folder_is_refused(bucket: str) -> None:
    """A folder is absolute, since workers may have another working directory."""
    with pytest.raises(ConfigurationError):
        LocalObjectStore(bucket)


def test_a_prefix_that_leaves_the_folder_is_refused(folder: Path) -> None:
    """A prefix is held to the rules of keys."""
    with pytest.raises(InvalidKeyError):
        LocalObjectStore(str(folder), "../x")


def test_a_killed_put_is_not_visible(folder: Path, backend: LocalObjectStore) -> None:
    """After a SIGKILL in the middle of a put the old object stands and nothing new is listed."""
    put(backend, "k", b"old")
    script = """
import os, signal, sys
from rud.backends.local import LocalObjectStore
from rud.store import PutMode

class Source:
    def __len__(self): return 1 << 30
    def read(self, size=-1): os.kill(os.getpid(), signal.SIGKILL)

LocalObjectStore(sys.argv[1]).put(sys.argv[2], Source(), mode=PutMode[sys.argv[3]], checksum=None, entry_id=None,
                                  durable=False, on_multipart=lambda _: None)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for key, mode in (("k", "OVERWRITE"), ("d/new", "CREATE")):
        ended = subprocess.run(
            [sys.executable, "-c", script, str(folder), key, mode], check=False, env=environment, timeout=60
        )
        assert ended.returncode == -9

    assert [(meta.key, meta.size) for meta in backend.list("")] == [("k", 3)]


def test_a_root_that_is_a_file_is_a_missing_bucket(tmp_path: Path) -> None:
    """Not the fault of one key: the destination itself is not there, and every upload would fail."""
    (tmp_path / "store").write_bytes(b"")
    store = LocalObjectStore(str(tmp_path / "store"))

    with pytest.raises(BucketNotFoundError):
        store.probe()
    with pytest.raises(BucketNotFoundError):
        put(store, "k", b"x")
