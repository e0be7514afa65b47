"""OCI on a server that verifies every signature: what the suite does not ask, and the incumbent's defects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rud_fakes.oci import ApiKey, OCIServer
from rud_fakes.s3 import Fault

from rud import ObjectStore, Uploader
from rud._registry import resolve
from rud.errors import AccessDeniedError, BucketNotFoundError, ConfigurationError, StoreError
from tests.support.contract import get, put
from tests.support.s3 import content

PART = 1 << 20


@pytest.fixture
def key(tmp_path: Path) -> ApiKey:
    return ApiKey.make(tmp_path)


@pytest.fixture
def server(key: ApiKey) -> Iterator[OCIServer]:
    with OCIServer("bucket", keys=[key]) as made:
        key.write_config(made.url)
        yield made


@pytest.fixture
def given(server: OCIServer, key: ApiKey) -> dict[str, Any]:
    assert server.url
    return {"config_file": str(key.folder / "config"), "part_size": PART}


def operations(server: OCIServer) -> list[str]:
    return [request.operation for request in server.requests]


def test_the_prefix_counts_in_every_method(server: OCIServer, given: dict[str, Any]) -> None:
    """Put, head, get, list and delete speak of one object, whose name has it."""
    store = resolve("oci://bucket/some/prefix", given).open()
    put(store, "k", b"bytes")

    assert list(server.objects) == ["some/prefix/k"]
    assert (store.head("k").size, get(store, "k")[0]) == (5, b"bytes")
    assert [meta.key for meta in store.list("")] == ["k"]
    store.delete("k")
    assert server.objects == {}


def test_a_download_to_a_relative_path_in_a_folder(
    server: OCIServer, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives there, and nowhere else."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with ObjectStore(resolve("oci://bucket", given).open()) as store:
        put(store.backend, "k", b"bytes")
        store.download_object("k", "folder/copy")

    assert server.objects
    assert Path("folder/copy").read_bytes() == b"bytes"


def test_the_size_is_one_head_and_the_namespace_is_asked_once(server: OCIServer, given: dict[str, Any]) -> None:
    """Two sizes: one question for the namespace, two HEADs."""
    put(resolve("oci://bucket", given).open(), "k", b"bytes")
    before = len(server.requests)
    store = resolve("oci://bucket", given).open()
    assert [store.head("k").size, store.head("k").size] == [5, 5]
    assert operations(server)[before:] == ["GetNamespace", "HeadObject", "HeadObject"]


def test_parts_are_sent_and_a_failure_is_aborted(server: OCIServer, given: dict[str, Any]) -> None:
    """A part that is refused for good leaves no object and no upload."""
    store = resolve("oci://bucket", given).open()
    data = content(3 * PART + 5)
    put(store, "k", data)
    assert get(store, "k")[0] == data
    server.add(Fault("UploadPart", "status", status=413, code="EntityTooLarge"))
    with pytest.raises(StoreError):
        put(store, "other", data)
    assert list(server.objects) == ["k"]
    assert not server.at("bucket").uploads


@pytest.mark.parametrize(("bucket", "error"), [("nowhere", BucketNotFoundError)])
def test_a_bucket_that_is_not_there(given: dict[str, Any], bucket: str, error: type[Exception]) -> None:
    """Whatever was asked first, a HEAD too, whose answer says nothing."""
    store = resolve(f"oci://{bucket}", given).open()
    for ask in (lambda: store.head("k"), lambda: list(store.list("")), lambda: put(store, "k", b"x")):
        with pytest.raises(error):
            ask()


def test_a_key_that_the_service_does_not_know(server: OCIServer, given: dict[str, Any], tmp_path: Path) -> None:
    """A signature that is not verified is a refusal, which says what to look at; the bytes are not stored."""
    (tmp_path / "stranger").mkdir()
    stranger = ApiKey.make(tmp_path / "stranger").write_config(server.url)
    store = resolve("oci://bucket", {**given, "config_file": str(stranger)}).open()
    with pytest.raises((AccessDeniedError, ConfigurationError), match="the fingerprint"):
        put(store, "k", b"bytes")
    assert server.objects == {}


def test_an_uploader_by_processes(server: OCIServer, given: dict[str, Any], tmp_path: Path) -> None:
    """Workers find their own way: files arrive, one of them in parts, and a 503 in between costs nothing."""
    server.add(Fault("PutObject", "status", status=503, code="ServiceUnavailable"))
    for name, size in (("small", 10), ("large", 2 * PART + 1)):
        (tmp_path / name).write_bytes(content(size))
    with Uploader("oci://bucket/run", backend_kwargs=given, upload_staging_folder=tmp_path / "staging") as uploader:
        for name in ("small", "large"):
            uploader.upload(tmp_path / name, name)
        uploader.drain()

    assert {name: len(one.data or b"") for name, one in server.objects.items()} == {
        "run/small": 10,
        "run/large": 2 * PART + 1,
    }
