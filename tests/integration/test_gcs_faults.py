"""What the Cloud Storage store makes of answers that are no success, and what an uploader makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from rud_fakes.gcs import Fault, GCSServer

from rud import Downloader, Uploader
from rud.backends import _gcs_json
from rud.backends.gcs import GCSObjectStore
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
    ThrottledError,
    UnsupportedOperationError,
    UploadExistsError,
)
from rud.store import PutMode
from tests.support.contract import get, put
from tests.support.gcs import CHUNK
from tests.support.s3 import content


@pytest.fixture(autouse=True)
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is seen is what one answer leads to, and small objects have several chunks."""
    monkeypatch.setattr(_gcs_json.JsonStore, "chunk", CHUNK)
    monkeypatch.setattr(_gcs_json, "RETRY_FOR", 0.0)


@pytest.fixture
def server() -> Iterator[GCSServer]:
    with GCSServer("bucket") as made:
        yield made


@pytest.fixture
def store(server: GCSServer) -> GCSObjectStore:
    return GCSObjectStore("bucket", endpoint_url=server.url)


ANSWERS: list[tuple[int, type[RudError]]] = [
    (400, StoreError),
    (401, ConfigurationError),  # without credentials none can have expired
    (403, AccessDeniedError),
    (405, UnsupportedOperationError),
    (408, ObjectStoreTransientError),
    (413, StoreError),
    (418, StoreError),
    (425, ObjectStoreTransientError),
    (429, ThrottledError),
    (500, ObjectStoreTransientError),
    (501, UnsupportedOperationError),
    (502, ObjectStoreTransientError),
    (503, ObjectStoreTransientError),
    (504, ObjectStoreTransientError),
    (599, ObjectStoreTransientError),
]


@pytest.mark.parametrize(("status", "expected"), ANSWERS, ids=str)
def test_answers(server: GCSServer, store: GCSObjectStore, status: int, expected: type[RudError]) -> None:
    """The status decides the class, whatever was asked for; the text has what it was about, and no digits of a key
    mislead."""
    server.put("k-404", b"x")
    server.add(Fault("*", "status", status=status, times=None, retry_after=7.0))
    operations: list[Callable[[], object]] = [
        lambda: put(store, "k-404", b"x"),
        lambda: put(store, "k-404", content(CHUNK + 1)),
        lambda: get(store, "k-404"),
        lambda: store.head("k-404"),
        lambda: store.delete("k-404"),
        lambda: store.list("k-404"),
        store.probe,
    ]
    for operation in operations:
        with pytest.raises(RudError) as raised:
            operation()
        assert type(raised.value) is expected
        assert operation == store.probe or "k-404" in str(raised.value)
        if isinstance(raised.value, ObjectStoreTransientError):
            assert raised.value.retry_after == 7.0


@pytest.mark.parametrize(("status", "expected"), ANSWERS, ids=str)
def test_answers_to_a_chunk(server: GCSServer, store: GCSObjectStore, status: int, expected: type[RudError]) -> None:
    """So it does in the middle of a resumable upload, which leaves no object."""
    server.add(Fault("UploadChunk", "status", status=status, skip=1))

    with pytest.raises(RudError) as raised:
        put(store, "k", content(CHUNK + 1))

    assert type(raised.value) is expected
    assert server.objects == {}


def test_not_found(server: GCSServer, store: GCSObjectStore) -> None:
    """A 404 is of the object where there can be none, of the bucket where nothing else can be missing."""
    server.add(Fault("*", "status", status=404, times=3))
    with pytest.raises(BucketNotFoundError):
        put(store, "k", b"x")
    with pytest.raises(BucketNotFoundError):
        store.head("k")

    with pytest.raises(ObjectNotFoundError):
        store.head("k")


BREAKS = [
    Fault("*", "reset_before", times=None),
    Fault("*", "reset_after", times=None),
    Fault("*", "lost_reply", times=None),
    Fault("UploadChunk", "reset_in_body", bytes=1000, times=None),
]


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: f"{fault.operation}-{fault.action}")
def test_connections_that_break(server: GCSServer, store: GCSObjectStore, fault: Fault) -> None:
    """A connection that breaks may pass, and is an error with the key's name."""
    server.add(fault)

    for size in (1, CHUNK + 1)[fault.operation != "*" :]:
        with pytest.raises(ObjectStoreTransientError, match="'k'"):
            put(store, "k", content(size))

    assert server.fired


def test_a_server_that_is_away(server: GCSServer, store: GCSObjectStore) -> None:
    """A refused connection may pass, too; and the store works again when the server is back."""
    server.stop()
    for operation in (lambda: put(store, "k", b"x"), lambda: store.head("k"), lambda: store.list(""), store.probe):
        with pytest.raises(ObjectStoreTransientError):
            operation()
    server.start()

    put(store, "k", b"x")


@pytest.mark.parametrize("size", [1000, CHUNK + 1000], ids=["one request", "chunks"])
def test_bytes_that_rot(server: GCSServer, store: GCSObjectStore, size: int, tmp_path: Path) -> None:
    """What was stored well and is no longer what it was is refused by whoever downloads it, and not left there; so are
    bytes that are spoilt on the way."""
    server.add(Fault("UploadMultipart" if size < CHUNK else "UploadChunk", "flip"))
    put(store, "rotten", content(size))
    put(store, "spoilt", content(size))
    server.add(Fault("GetMedia", "flip", key="spoilt"))

    with Downloader("gs://bucket", backend_kwargs={"endpoint_url": server.url}, num_attempts=1) as downloader:
        for key in ("rotten", "spoilt"):
            with pytest.raises(IntegrityError, match=f"'{key}'"):
                downloader.download(key, tmp_path / "k")

    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_cut_short_goes_on(server: GCSServer, tmp_path: Path) -> None:
    """From where it was cut, and the whole is verified."""
    server.put("k", content(3 << 20))
    server.add(Fault("GetMedia", "truncate", bytes=2 << 20))
    with Downloader("gs://bucket", backend_kwargs={"endpoint_url": server.url}) as downloader:
        downloader.download("k", tmp_path / "k")

    assert (tmp_path / "k").read_bytes() == content(3 << 20)
    ranges = [one.headers.get("range") for one in server.requests if one.operation == "GetMedia"]
    assert [bool(one) for one in ranges] == [False, True]


LOST = [("UploadMultipart", 1000), ("StartUpload", CHUNK + 1000), ("UploadChunk", CHUNK + 1000)]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("operation", "size"), LOST, ids=[operation for operation, _ in LOST])
@pytest.mark.parametrize("again", [0.0, 8.0], ids=["asked once", "asked again"])
def test_a_create_whose_reply_is_lost(
    server: GCSServer,
    tmp_path: Path,
    *,
    operation: str,
    size: int,
    times: int,
    again: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A create whose reply never came is recognised as our own, whoever has sent it again: it is stored once, and
    reported as stored."""
    monkeypatch.setattr(_gcs_json, "RETRY_FOR", again)
    monkeypatch.setattr(_gcs_json, "PAUSES", {"initial": 0.001, "multiplier": 2.0, "maximum": 0.01})
    server.add(Fault(operation, "lost_reply", times=times, skip=operation == "UploadChunk"))
    (tmp_path / "file").write_bytes(content(size))
    with uploader_to(server, tmp_path) as uploader:
        handle = uploader.upload(tmp_path / "file", "k", overwrite=False)
        handle.result(60)

    assert server.fired
    assert server.object("k").data == content(size)
    assert list(server.objects) == ["k"]


@pytest.mark.parametrize("size", [1000, CHUNK + 1000], ids=["one request", "chunks"])
def test_a_create_that_finds_another_object(server: GCSServer, tmp_path: Path, size: int) -> None:
    """With a lost reply or without, somebody else's object stays as it is, and the create has failed."""
    server.put("k", b"somebody's")
    server.add(Fault("UploadMultipart" if size < CHUNK else "StartUpload", "lost_reply"))
    (tmp_path / "file").write_bytes(content(size))
    with pytest.raises(UploadExistsError), uploader_to(server, tmp_path) as uploader:
        uploader.upload(tmp_path / "file", "k", overwrite=False)

    assert server.object("k").data == b"somebody's"


@pytest.mark.parametrize(("entry_id", "theirs"), [(None, False), ("id", False), ("id", True)])
def test_a_create_by_hand_whose_reply_is_lost(
    server: GCSServer, store: GCSObjectStore, entry_id: str | None, monkeypatch: pytest.MonkeyPatch, *, theirs: bool
) -> None:
    """The request is made again, and finds the object: our own is a success, by its id or its sum."""
    monkeypatch.setattr(_gcs_json, "RETRY_FOR", 8.0)
    monkeypatch.setattr(_gcs_json, "PAUSES", {"initial": 0.001, "multiplier": 2.0, "maximum": 0.01})
    if theirs:
        server.put("k", content(1000))
    server.add(Fault("UploadMultipart", "lost_reply"))
    create = partial(put, store, "k", content(1000), mode=PutMode.CREATE, entry_id=entry_id)
    if theirs:
        with pytest.raises(ObjectExistsError):
            create()
    else:
        assert create().etag == server.object("k").etag


def test_a_create_by_hand(server: GCSServer, store: GCSObjectStore) -> None:
    """The condition is one of the service, for one request and for chunks."""
    for size in (1, CHUNK + 1):
        server.put("k", b"somebody's")
        with pytest.raises(ObjectExistsError):
            put(store, "k", content(size), mode=PutMode.CREATE)
    assert server.object("k").data == b"somebody's"


def test_an_outage_in_the_middle(server: GCSServer, tmp_path: Path) -> None:
    """An upload that is broken off by an outage is stored whole when the service is back."""
    server.add(Fault("UploadChunk", "status", skip=1))
    server.add(Fault("*", "reset_before", skip=3))
    (tmp_path / "file").write_bytes(content(2 * CHUNK))
    with uploader_to(server, tmp_path) as uploader:
        uploader.upload(tmp_path / "file", "k").result(60)

    assert server.object("k").data == content(2 * CHUNK)


def uploader_to(server: GCSServer, folder: Path) -> Uploader:
    return Uploader(
        "gs://bucket",
        backend_kwargs={"endpoint_url": server.url},
        use_procs=False,
        num_attempts=6,
        upload_staging_folder=folder / "staging",
    )


def test_workers_that_are_processes(server: GCSServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator that the environment names is where they go, though it is not named any more when they start."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    (tmp_path / "file").write_bytes(content(CHUNK + 1))
    with Uploader("gs://bucket/some/prefix", upload_staging_folder=tmp_path / "staging") as uploader:
        monkeypatch.delenv("STORAGE_EMULATOR_HOST")
        assert uploader.upload(tmp_path / "file", "k").result(60)

    assert server.object("some/prefix/k").data == content(CHUNK + 1)
