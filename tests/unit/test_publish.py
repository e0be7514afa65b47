"""Pointers to whole saves, of one rank: ``Uploader.publish`` and ``rud verify``. Of several: ``test_publish_kills``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud import Uploader
from rud._manifest import Shard, from_bytes, to_bytes
from rud.cli import exits
from rud.errors import (
    ConfigurationError,
    DependencyFailedError,
    InvalidKeyError,
    PoolClosedError,
    UploadTimeoutError,
)
from tests.support.commands import Rud, runner
from tests.support.place import Place


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path) -> Iterator[Place]:
    """A slow store, with threads for workers."""
    with Place(tmp_path) as place:
        yield place


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str]) -> Rud:
    return runner(capfd)


def file(place: Place, name: str, content: bytes | None = None) -> Path:
    path = place.folder / name
    path.write_bytes(name.encode() if content is None else content)
    return path


def test_the_pointer_comes_last(place: Place) -> None:
    """It lists what it was given, with sizes and sums, and is sent when all of that is stored."""
    place.plan({"1": ["gate"]})
    uploader = place.uploader(use_procs=False, num_concurrent_uploads=2)
    shards = [uploader.upload(file(place, name), f"save/{name}") for name in ("0", "2")]
    shards.append(uploader.upload(file(place, "1"), "1"))
    pointer = uploader.publish("latest", after=shards)
    place.wait_until_begun(3)
    with pytest.raises(UploadTimeoutError, match=r"'latest' is not published within 0\.01 s; it goes on"):
        pointer.result(0.01)
    place.open_gate()

    assert pointer.result(20) == uploader.get_uri("latest")
    assert place.begun()[-1] == "latest"
    told = {shard.key: shard for shard in from_bytes(place.stored()["latest"].encode())}
    assert set(told) == {"save/0", "save/2", "1"}
    for upload, name in zip(shards, ("0", "2", "1"), strict=True):
        crc = f"{google_crc32c.value(name.encode()):08x}"
        assert told[upload.key] == Shard(upload.key, 1, crc, 0, upload.id)


def test_draining_includes_it(place: Place) -> None:
    """``drain``, ``close`` and the end of a ``with`` block wait for what is to be published."""
    place.uploader(use_procs=False).close()
    with Uploader(**place.config(), use_procs=False) as uploader:
        uploader.publish("one", after=[uploader.upload(file(place, "a"), "a")])
        uploader.drain(20)
        assert "one" in place.stored()
        uploader.publish("two", after=[])
    assert from_bytes(place.stored()["two"].encode()) == []


def test_a_part_fails(place: Place) -> None:
    """The old pointer stays, and why is raised: by the handle, or else by the next report, once."""
    place.plan({"bad": ["denied"]})
    uploader = place.uploader(use_procs=False)
    uploader.publish("latest", after=[uploader.upload(file(place, "good"), "good")]).result(20)
    before = place.stored()["latest"]
    bad = uploader.upload(file(place, "bad"), "bad")
    pointer = uploader.publish("latest", after=[bad])

    with pytest.raises(
        DependencyFailedError, match=r"'latest' was not published.*'bad' failed.*AccessDenied"
    ) as caught:
        pointer.result(20)
    assert caught.value.key == "latest"
    assert place.stored()["latest"] == before
    with pytest.raises(Exception, match="upload of 'bad'"):
        uploader.drain(20)
    uploader.raise_if_failed()

    uploader.publish("latest", after=[bad])
    with pytest.raises(DependencyFailedError, match="'latest' was not published"):
        uploader.drain(20)
    uploader.raise_if_failed()
    assert place.stored()["latest"] == before


def test_another_upload_of_the_name_does_not_count(place: Place) -> None:
    """What counts is the upload: one that a newer one of its key has replaced is not part of the save."""
    place.plan({"other": ["gate"]})
    uploader = place.uploader(use_procs=False)
    uploader.upload(file(place, "other"), "other")
    place.wait_until_begun(1)
    first = uploader.upload(file(place, "k", b"first"), "k")
    uploader.upload(file(place, "k", b"second"), "k")
    pointer = uploader.publish("latest", after=[first])
    place.open_gate()
    with pytest.raises(DependencyFailedError, match="'k' was superseded by a newer upload of its key"):
        pointer.result(20)
    uploader.drain(20)
    assert place.stored() == {"k": "second", "other": "other"}


def test_cancelled(place: Place) -> None:
    """A cancelled upload is not stored, so nothing is published."""
    place.plan({"other": ["gate"]})
    uploader = place.uploader(use_procs=False)
    uploader.upload(file(place, "other"), "other")
    place.wait_until_begun(1)
    upload = uploader.upload(file(place, "k"), "k")
    pointer = uploader.publish("latest", after=[upload])
    assert upload.cancel()
    place.open_gate()
    with pytest.raises(DependencyFailedError, match="'k' was cancelled"):
        pointer.result(20)


def test_closed_before(place: Place) -> None:
    """An uploader that is closed while a part is under way leaves the old pointer, and says so."""
    place.plan({"slow": ["gate"]})
    uploader = place.uploader(use_procs=False)
    pointer = uploader.publish("latest", after=[uploader.upload(file(place, "slow"), "slow")])
    place.wait_until_begun(1)
    uploader.close(0.0)
    with pytest.raises(PoolClosedError, match="'latest' was not published: the uploader was closed; the old one stays"):
        pointer.result(20)
    assert "latest" not in place.stored()
    with pytest.raises(PoolClosedError):
        uploader.publish("latest", after=[])


def test_in_the_order_asked_for(place: Place) -> None:
    """A pointer that is asked for later is never stored before, or under, an earlier one."""
    place.plan({"first": ["gate"]})
    uploader = place.uploader(use_procs=False, num_concurrent_uploads=3)
    one = uploader.publish("latest", after=[uploader.upload(file(place, "first"), "first")])
    two = uploader.publish("latest", after=[uploader.upload(file(place, "second"), "second")])
    place.wait_until_begun(2)
    assert not two.done()
    place.open_gate()
    one.result(20)
    two.result(20)
    uploader.drain(20)
    assert [shard.key for shard in from_bytes(place.stored()["latest"].encode())] == ["second"]
    assert place.begun().count("latest") == 2


def test_bad_input(place: Place) -> None:
    """A key that cannot be kept, an upload of another uploader and a group without torch are refused at once."""
    uploader, other = place.uploader(use_procs=False), place.uploader(use_procs=False)
    with pytest.raises(InvalidKeyError):
        uploader.publish("", after=[])
    with pytest.raises(ConfigurationError, match="an upload of another uploader"):
        uploader.publish("latest", after=[other.upload(file(place, "a"), "a")])
    with pytest.raises(ConfigurationError, match=r"process_group was given, but torch\.distributed is not initialised"):
        place.uploader(process_group=object())


keys = st.text(min_size=1, max_size=8)
shards = st.builds(
    Shard, keys, st.integers(0, 1 << 50), st.integers(0, 0xFFFFFFFF).map("{:08x}".format), st.integers(0, 9999), keys
)


@given(st.lists(shards, max_size=5))
def test_a_manifest_says_what_was_written(given: list[Shard]) -> None:
    """Reading gives back what was written, whatever the keys."""
    assert sorted(from_bytes(to_bytes(given)), key=repr) == sorted(given, key=repr)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema": 1}', b'{"schema": "rud.manifest/1", "objects": [1]}'])
def test_no_manifest(data: bytes) -> None:
    """What is no manifest is refused in words."""
    with pytest.raises(ConfigurationError, match=r"no manifest of rud|this version of rud reads"):
        from_bytes(data)


def test_verify(rud: Rud, tmp_path: Path) -> None:
    """``rud verify`` finds objects that are missing, of another size, or with other bytes; a good run is good."""
    store = (tmp_path / "store").as_uri()
    with Uploader(store, use_procs=False, upload_staging_folder=tmp_path / "staging") as uploader:
        for name in ("a", "b", "c"):
            (tmp_path / name).write_bytes(name.encode() * 10)
        uploader.publish("latest", after=[uploader.upload(tmp_path / name, f"save/{name}") for name in ("a", "b", "c")])
    manifest = tmp_path / "store" / "latest"

    done = rud("verify", store, "--manifest", manifest)
    assert (done.code, done.last) == (exits.DONE, "3 of 3 objects (30 B) are as published")
    (tmp_path / "store/save/a").unlink()
    (tmp_path / "store/save/b").write_bytes(b"b" * 9)
    (tmp_path / "store/save/c").write_bytes(b"d" * 10)
    done = rud("verify", store, "--manifest", manifest, "--read", "--json")
    assert done.code == exits.FAILED
    sums = [google_crc32c.value(letter * 10) for letter in (b"c", b"d")]
    assert done.json["wrong"] == [
        "'save/a' (of rank 0) is not there",
        "'save/b' (of rank 0) has 9 bytes, not 10",
        f"'save/c' (of rank 0) has the checksum {sums[1]:08x}, not {sums[0]:08x}",
    ]
    assert rud("verify", store, "--manifest", tmp_path / "nothing").code == exits.USAGE
    (tmp_path / "other").write_text(json.dumps({"schema": "x"}))
    assert rud("verify", store, "--manifest", tmp_path / "other").code == exits.USAGE
