"""The contract of a store, kept by Cloud Storage: on a fake that is strict, and on fake-gcs-server."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import google_crc32c
import pytest
from rud_fakes.gcs import GCSServer
from rud_fakes.servers import FakeGcs, GCSAddress

from rud._body import Body
from rud.backends._gcs_json import JsonStore
from rud.backends.gcs import GCSObjectStore
from rud.errors import BucketNotFoundError, ObjectExistsError, ObjectNotFoundError
from rud.store import PutMode
from tests.support.contract import by_utf8, get, put
from tests.support.gcs import CHUNK, new_gcs_place
from tests.support.s3 import content


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JsonStore, "chunk", CHUNK)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
def test_round_trips(gcs_server: GCSAddress, size: int) -> None:
    """Bytes come back as they were around every border of chunks, from anywhere on, with their sum and their id; those
    of a resumable upload are told as they are sent."""
    store = new_gcs_place(gcs_server, "some/prefix").store()
    data, told = content(size), list[int]()
    for checksum in (google_crc32c.value(data), None):
        told.clear()
        body = Body(io.BytesIO(data), size, on_read=told.append)
        result = put(store, "k", body, entry_id=f"id-{size}", checksum=checksum)

        read, meta = get(store, "k")
        assert (read == data, meta.size, meta.entry_id) == (True, size, f"id-{size}")
        assert meta.checksum == google_crc32c.value(data)
        assert result.etag == meta.etag == store.head("k").etag
        assert (result.version or "").isdecimal()
        assert told == sorted(told)
        assert told[-1:] == [size][: size > 0]
    for start in {size // 2, max(0, size - 1), size, size + 1}:
        assert get(store, "k", start)[0] == data[start:], start


@pytest.mark.parametrize("size", [3, CHUNK + 1], ids=["one request", "chunks"])
def test_a_create_leaves_what_is_there(gcs_server: GCSAddress, size: int) -> None:
    """A create of a taken key raises, and neither changes the object nor leaves anything beside it."""
    store = new_gcs_place(gcs_server, "some/prefix").store()
    put(store, "k", b"first", entry_id="first")
    before = store.head("k")

    with pytest.raises(ObjectExistsError, match="'k'"):
        put(store, "k", content(size), mode=PutMode.CREATE)

    assert (store.head("k"), [meta.key for meta in store.list("")]) == (before, ["k"])


RACERS = 16


def test_races_of_creates(gcs_server: GCSAddress) -> None:
    """Of 16 creates of a key at once exactly one wins, and its bytes are what is there."""
    place = new_gcs_place(gcs_server)
    stores = [place.store() for _ in range(RACERS)]
    for key in ("a", "b", "c"):
        start = threading.Barrier(RACERS)

        def create(number: int, key: str = key, start: threading.Barrier = start) -> bool:
            start.wait(60)
            try:
                put(stores[number], key, bytes([number]) * 10, mode=PutMode.CREATE)
            except ObjectExistsError:
                return False
            return True

        with ThreadPoolExecutor(RACERS) as pool:
            won = [number for number, has_won in enumerate(pool.map(create, range(RACERS))) if has_won]
        assert len(won) == 1
        assert get(stores[0], key)[0] == bytes(won) * 10


def test_a_race_of_creates_by_chunks(gcs_server: GCSAddress) -> None:
    """A create of many requests that is overtaken between them loses, and the winner's bytes are what is there."""
    place = new_gcs_place(gcs_server)
    rival = place.store()

    class Overtaken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= CHUNK:
                put(rival, "k", b"rival")
            return super().read(size)

    with pytest.raises(ObjectExistsError):
        put(place.store(), "k", Body(Overtaken(content(CHUNK + 1)), CHUNK + 1), mode=PutMode.CREATE)

    assert get(rival, "k")[0] == b"rival"


def test_a_listing_tells_what_a_look_tells(gcs_server: GCSAddress) -> None:
    """Size, etag, sum, time and id; what somebody else has stored has no id."""
    place = new_gcs_place(gcs_server, "some/prefix")
    store = place.store()
    put(store, "a", b"content", entry_id="id")
    path = f"/upload/storage/v1/b/{place.bucket}/o?uploadType=media&name=some%2Fprefix%2Fb"
    assert gcs_server.ask("POST", path, b"theirs")[0] == 200

    assert list(store.list("")) == [store.head("a"), store.head("b")]
    assert [meta.entry_id for meta in store.list("")] == ["id", None]
    assert store.head("b").checksum == google_crc32c.value(b"theirs")


def test_the_longest_key(gcs_server: GCSAddress) -> None:
    """A key of 1,024 bytes with its prefix is kept."""
    room = 1024 - len("some/prefix/")
    longest = "é" * (room // 2)
    store = new_gcs_place(gcs_server, "some/prefix").store()
    put(store, longest, b"x")

    assert [meta.key for meta in store.list("")] == [longest]


def test_a_listing_of_small_pages() -> None:
    """Pages of two keys make one listing; an object named as the prefix with its slash, which consoles make, is no
    object of ours."""
    with GCSServer("bucket", page=2) as server:
        keys = ["a", "a b", "a%20b", "a+b", "b/", "b//", "é", "\U0001f600", "\uffff"]
        for key in ["", *reversed(keys)]:
            server.put(f"p/{key}", b"x")
        server.put("p2", b"x")
        store = GCSObjectStore("bucket", "p", endpoint_url=server.url)

        assert [meta.key for meta in store.list("")] == by_utf8(keys)
        assert [meta.key for meta in store.list("a")] == by_utf8([key for key in keys if key[0] == "a"])
        assert len([one for one in server.requests if one.operation == "ListObjects"]) >= 5


def test_a_listing_of_many_pages(rud_fake_gcs: FakeGcs) -> None:
    """More keys than a page holds are all listed, once and in order."""
    place = new_gcs_place(rud_fake_gcs.address, "many")
    names = [f"{number:04}" for number in range(1100)]
    for name in names:
        path = f"/upload/storage/v1/b/{place.bucket}/o?uploadType=media&name=many%2F{name}"
        assert rud_fake_gcs.address.ask("POST", path, b"x")[0] == 200

    assert [meta.key for meta in place.store().list("")] == names


def test_a_bucket_that_is_not_there(gcs_server: GCSAddress) -> None:
    """It is told apart from an object that is not there, by every operation; deleting in it is an error, too."""
    nowhere = GCSObjectStore("rud-nowhere", **gcs_server.backend_kwargs)
    for operation in (
        lambda: put(nowhere, "k", b"x"),
        lambda: put(nowhere, "k", content(CHUNK + 1)),
        lambda: get(nowhere, "k"),
        lambda: nowhere.head("k"),
        lambda: nowhere.list(""),
        lambda: nowhere.delete("k"),
        nowhere.probe,
    ):
        with pytest.raises(BucketNotFoundError):
            operation()
    with pytest.raises(ObjectNotFoundError):
        new_gcs_place(gcs_server).store().head("k")
