"""What is promised of S3 beyond the suite: on a fake that is strict, on moto and on versitygw."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import google_crc32c
import pytest
from rud_fakes.s3 import S3Server
from rud_fakes.servers import S3Address, Versitygw

from rud.backends.s3 import S3ObjectStore
from rud.errors import InvalidKeyError, ObjectExistsError
from rud.store import PutMode
from tests.support.contract import by_utf8, get, put
from tests.support.s3 import OUTSIDE, PART, SMALL_PARTS, Place, content, new_place

# moto forgets a key with a line feed, and has two winners in some races of completions.
exact_servers = pytest.mark.parametrize("s3_server", ["fake", "versitygw", *OUTSIDE], indirect=True)


def test_round_trips(s3_place: Place) -> None:
    """Bytes come back as they were around every border of parts, from anywhere on, with their sum and their id."""
    store = s3_place.store(transfer_config=SMALL_PARTS)
    for size in (0, 1, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 3 * PART + 7):
        data = content(size)
        result = put(store, f"size/{size}", data, entry_id=f"id-{size}", checksum=google_crc32c.value(data))

        read, meta = get(store, f"size/{size}")
        assert (read == data, meta.size, meta.entry_id) == (True, size, f"id-{size}"), size
        assert result.etag == meta.etag == store.head(f"size/{size}").etag, size
        for start in {size // 2, max(0, size - 1), size, size + 1}:
            assert get(store, f"size/{size}", start)[0] == data[start:], (size, start)


def test_64_mib_with_the_defaults(s3_place: Place) -> None:
    """A checkpoint of some size goes up in parts and comes down as it was, on defaults."""
    data = content(64 << 20)
    store = s3_place.store()
    put(store, "k", data)

    read, meta = get(store, "k")
    assert (read == data, meta.size) == (True, len(data))


@exact_servers
def test_sums_of_parts_are_of_the_whole(s3_place: Place) -> None:
    """An object that went in parts has the same CRC32C as one that went whole: that of its bytes."""
    store = s3_place.store(transfer_config=SMALL_PARTS)
    data = content(2 * PART + 3)
    put(store, "parts", data)
    put(s3_place.store(), "whole", data)

    assert store.head("parts").checksum == store.head("whole").checksum == google_crc32c.value(data)


def test_a_listing_of_many_pages(rud_versitygw: Versitygw) -> None:
    """More keys than a page holds are all listed, once, in order, and none of another prefix."""
    place = new_place(rud_versitygw.address, "many")
    folder = rud_versitygw.folder_of(place.bucket) / "many"
    names = [f"{number:04}" for number in range(1100)]
    folder.mkdir()
    for name in [*names, "z"]:
        (folder / name).touch()
    (folder.parent / "many-not").touch()
    store = place.store()

    assert [meta.key for meta in store.list("")] == [*names, "z"]
    assert [meta.key for meta in store.list("00")] == names[:100]


def test_a_listing_of_small_pages() -> None:
    """Pages of two keys make one listing, also of keys that a request has to quote."""
    with S3Server("bucket", page=2) as server:
        keys = ["a", "a b", "a%20b", "a+b", "b/", "b//", "é", "\U0001f600", "\uffff"]
        for key in reversed(keys):
            server.put(f"p/{key}", b"x")
        server.put("p2", b"x")
        store = S3ObjectStore("bucket", "p", **S3Address(server.url, "rudtest", "rudtestsecret").backend_kwargs)

        assert [meta.key for meta in store.list("")] == by_utf8(keys)
        assert [meta.key for meta in store.list("a")] == by_utf8([key for key in keys if key[0] == "a"])
        assert len([one for one in server.requests if one.operation == "ListObjectsV2"]) >= 5


def test_the_longest_key(s3_place: Place) -> None:
    """A key of 1,024 bytes with its prefix is kept; one byte more is refused without a request."""
    room = 1024 - len("some/prefix/")
    longest = ("é" * 40 + "/") * (room // 81) + "x" * (room % 81)
    store = s3_place.store()
    put(store, longest, b"x")

    assert [meta.key for meta in store.list("")] == [longest]
    with pytest.raises(InvalidKeyError, match="1025 bytes"):
        put(s3_place.store(endpoint_url="http://127.0.0.1:9"), longest + "x", b"x")


RACERS = 16


def race(place: Place, size: int, stores: list[S3ObjectStore], *, parts: bool) -> list[int]:
    """Who has won of 16 creates of one key at once; checks that the winner's bytes are there."""
    start = threading.Barrier(RACERS)

    def create(number: int) -> bool:
        def wait(_: str = "") -> None:
            start.wait(60)

        if not parts:
            wait()
        try:
            # With parts, all wait until each has looked whether the key is free.
            data = bytes([number]) * size
            put(stores[number], f"{size}", data, mode=PutMode.CREATE, on_multipart=wait)
        except ObjectExistsError:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as pool:
        won = [number for number, has_won in enumerate(pool.map(create, range(RACERS))) if has_won]
    assert get(stores[0], f"{size}")[0] == bytes([won[0]]) * size
    assert place.unfinished() == 0
    return won


@exact_servers
def test_races_of_creates(s3_place: Place) -> None:
    """Of 16 creates of a key at once exactly one wins, of one request or of parts, and its bytes are what is there."""
    stores = [s3_place.store(transfer_config=SMALL_PARTS) for _ in range(RACERS)]
    for size in range(10, 13):
        assert len(race(s3_place, size, stores, parts=False)) == 1
    assert len(race(s3_place, PART + 1, stores, parts=True)) == 1


@pytest.mark.parametrize("size", [3, PART + 1], ids=["one request", "parts"])
def test_a_create_leaves_what_is_there(s3_place: Place, size: int) -> None:
    """A create of a taken key raises, and neither changes the object nor leaves anything beside it."""
    store = s3_place.store(transfer_config=SMALL_PARTS)
    put(store, "k", b"first", entry_id="first")
    before = store.head("k")

    with pytest.raises(ObjectExistsError, match="'k'"):
        put(store, "k", content(size), mode=PutMode.CREATE)

    assert (store.head("k"), [meta.key for meta in store.list("")]) == (before, ["k"])
    assert s3_place.unfinished() == 0


def test_abort_of_what_a_dead_put_has_begun(s3_place: Place) -> None:
    """A multipart upload that nobody ends is ended by its id, or without one by its key, and the object with it never
    is."""
    client, store = s3_place.client(), s3_place.store()
    begun = [
        client.create_multipart_upload(
            Bucket=s3_place.bucket,
            Key=f"some/prefix/{key}",
            ChecksumAlgorithm="CRC32C",
            ChecksumType="FULL_OBJECT",
        )["UploadId"]
        for key in ("by id", "by key", "by key", "by key and more")
    ]
    put(store, "by key", b"x")
    assert s3_place.unfinished() == 4

    store.abort("by id", begun[0])
    store.abort("by id", begun[0])
    assert s3_place.unfinished() == 3
    store.abort("by key", None)

    assert s3_place.unfinished() == 1
    assert get(store, "by key")[0] == b"x"
