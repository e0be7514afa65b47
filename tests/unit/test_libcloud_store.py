"""``libcloud`` URIs: the documented arguments, what is refused, what is kept from whom, how errors are told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rud_fakes.hmac_gcs import HmacGCSServer
from rud_fakes.s3 import Fault, S3Server

from rud import LibcloudObjectStore, ObjectStoreTransientError, RemoteUploaderDownloader, Uploader
from rud._body import Body
from rud._registry import resolve
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    InvalidKeyError,
    StoreError,
    ThrottledError,
    UnsupportedOperationError,
)
from rud.store import PutMode

KEYS = {"GOOGKEY": "a-secret-of-libcloud"}


@pytest.fixture
def server() -> Iterator[S3Server]:
    """S3, for whom it knows."""
    with S3Server("my-bucket", credentials=KEYS, minimum_part=1) as running:
        yield running


@pytest.fixture
def google() -> Iterator[HmacGCSServer]:
    """Cloud Storage, for whom it knows."""
    with HmacGCSServer("my-gcs-bucket", credentials=KEYS) as running:
        yield running


def arguments(server: S3Server, **others: Any) -> dict[str, Any]:
    """Of the provider ``s3``, to ``server``."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    where = {"host": host, "port": int(port), "secure": False, "region": "us-east-1"}
    return {
        "provider": "s3",
        "provider_kwargs": {"key": "GOOGKEY", "secret": KEYS["GOOGKEY"], **where},
        **others,
    }


def put(store: LibcloudObjectStore, key: str, data: bytes, mode: PutMode = PutMode.OVERWRITE) -> None:
    """``data`` under ``key``."""
    body = Body(io.BytesIO(data), len(data))
    store.put(key, body, mode=mode, checksum=None, entry_id="id", durable=False, on_multipart=lambda _: None)


# The documentation's examples


def test_the_documented_example_of_s3() -> None:
    """It is taken as it stands there, with its misspelt ``provider_kwargs=``; without a request."""
    remote_uploader_downloader = RemoteUploaderDownloader(
        bucket_uri="libcloud://my-bucket",
        backend_kwargs={
            "provider": "s3",
            "container": "my-bucket",
            "provider_kwargs=": {
                "key": "AKIA...",
                "secret": "*********",
                "region": "ap-northeast-1",
            },
        },
    )

    assert remote_uploader_downloader.remote_backend_name == "libcloud"
    assert remote_uploader_downloader.remote_bucket_name == "my-bucket"


def test_the_documented_example_of_google_storage(
    google: HmacGCSServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It uploads, by the HMAC key that the variables hold when the worker asks, against a server that verifies it."""
    monkeypatch.setenv("MY_HMAC_ACCESS_ID", "GOOGKEY")
    monkeypatch.setenv("MY_HMAC_SECRET", KEYS["GOOGKEY"])
    (tmp_path / "file").write_bytes(b"hi")
    given: dict[str, Any] = {
        "provider": "google_storage",
        "container": "my-gcs-bucket",
        "key_environ": "MY_HMAC_ACCESS_ID",
        "secret_environ": "MY_HMAC_SECRET",
        # Not in the documentation: it leads to this server instead of Google's.
        "provider_kwargs": {"secure": False, "proxy_url": google.url},
    }
    before = json.dumps(given)

    with Uploader(
        "libcloud://my-gcs-bucket", backend_kwargs=given, upload_staging_folder=str(tmp_path / "spool")
    ) as uploader:
        uploader.upload(tmp_path / "file", "key").result(60)
        on_disk = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())

    assert google.object("key").data == b"hi"
    assert json.dumps(given) == before
    assert KEYS["GOOGKEY"].encode() not in on_disk


def test_a_worker_uploads_by_the_provider_s3(server: S3Server, tmp_path: Path) -> None:
    """The arguments reach it, and no secret reaches the disk or a text."""
    (tmp_path / "file").write_bytes(b"hi")
    given = arguments(server, container="my-bucket")

    with Uploader(
        "libcloud://my-bucket/run", backend_kwargs=given, upload_staging_folder=str(tmp_path / "spool")
    ) as uploader:
        uploader.upload(tmp_path / "file", "key").result(60)
        on_disk = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())

    assert server.object("run/key").data == b"hi"
    assert KEYS["GOOGKEY"].encode() not in on_disk
    assert KEYS["GOOGKEY"] not in repr(resolve("libcloud://my-bucket", given))


# Arguments


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"provider": "google", "provider_kwargs": {"key": "k"}}, "no provider 'google'.*google_storage"),
        ({"provider": "s3"}, "needs a key"),
        ({"provider": "s3", "key_environ": "RUD_NO_SUCH"}, "key_environ names the variable 'RUD_NO_SUCH'"),
        ({"provider": "s3", "provider_kwargs": {"key": "k"}, "secret_environ": "RUD_NO_SUCH"}, "secret_environ"),
        ({"provider": "s3", "provider_kwargs": {"key": "k", "region": "eu-west"}}, "no region 'eu-west'"),
        ({"provider": "s3", "provider_kwargs": {"key": "k"}, "chunk_size": 0}, "chunk_size"),
        ({"provider": "s3", "provider_kwargs": {"key": "k"}, "container": "other"}, "say it once"),
        ({"provider": "s3", "provider_kwargs": ["key"]}, "provider_kwargs are a dict"),
        ({"provider": "google_storage", "provider_kwargs": {"key": "GOOG", "host": "h"}}, "proxy_url"),
        ({"provider": "google_storage", "provider_kwargs": {"key": "AKIA"}}, "begins with GOOG"),
        ({"provider": "s3", "provider_kwargs": {}, "provider_kwargs=": {"key": "k"}}, "both"),
        ({}, "'provider'"),
    ],
)
def test_a_wrong_argument_is_told_before_any_request(given: dict[str, Any], words: str) -> None:
    """In one sentence, by whoever builds the store."""
    with pytest.raises(ConfigurationError, match=words):
        resolve("libcloud://my-bucket", given).open()


def test_a_store_without_a_container_is_refused() -> None:
    """In the URI, or as an argument."""
    with pytest.raises(ConfigurationError, match="container"):
        LibcloudObjectStore(provider="s3", provider_kwargs={"key": "k"})
    assert LibcloudObjectStore(provider="s3", container="c", provider_kwargs={"key": "k"}).uri("a") == "libcloud://c/a"


def test_what_a_driver_refuses_is_told_without_its_secret(tmp_path: Path) -> None:
    """At the first request: the driver is made no earlier."""
    given = {"key": str(tmp_path / "no"), "secret": "a-secret-of-libcloud"}
    store = LibcloudObjectStore("my-bucket", provider="local", provider_kwargs=given)

    with pytest.raises(ConfigurationError, match="not a directory") as raised:
        store.prepare()
    assert "a-secret-of-libcloud" not in str(raised.value)


def test_where_a_store_leads_tells_runs_apart(server: S3Server) -> None:
    """The same container on another host is another destination; its key and secret are in no destination."""
    here = resolve("libcloud://my-bucket", arguments(server)).destination
    other = arguments(server)
    other["provider_kwargs"]["host"] = "storage.example.com"

    assert here != resolve("libcloud://my-bucket", other).destination
    assert not {"GOOGKEY", KEYS["GOOGKEY"]} & set(json.dumps(here).split('"'))


# Keys


@pytest.mark.parametrize("key", ["/a", "a//b", "./a", "a/../b", "a\nb", "a\x01", "a\x7f", "k" * 1025])
def test_a_key_that_libcloud_would_change_is_refused(key: str) -> None:
    """Before any request, also when only its address is asked for."""
    store = LibcloudObjectStore("my-bucket", provider="s3", provider_kwargs={"key": "k"})

    with pytest.raises(InvalidKeyError):
        store.uri(key)


@pytest.mark.parametrize(
    ("provider", "key"), [("local", "d/"), ("local", "a/.lock"), ("local", "n" * 256), ("azure_blobs", "a\\b")]
)
def test_a_key_that_one_provider_would_change_is_refused_there(provider: str, key: str) -> None:
    """And kept by others."""
    LibcloudObjectStore("c", provider="s3", provider_kwargs={"key": "k"}).uri(key)

    with pytest.raises(InvalidKeyError):
        LibcloudObjectStore("c", provider=provider, provider_kwargs={"key": "k"}).uri(key)


# Answers


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (Fault("*", "status", status=503), ThrottledError),
        (Fault("*", "status", status=502, code="Unnamed"), ObjectStoreTransientError),
        (Fault("*", "status", status=409, code="OperationAborted"), ObjectStoreTransientError),
        (Fault("*", "status", status=400, code="RequestTimeout"), ObjectStoreTransientError),
        (Fault("*", "status", status=403), AccessDeniedError),
        (Fault("CompleteMultipartUpload", "error_in_200", code="InternalError"), ObjectStoreTransientError),
        (Fault("*", "reset_before"), ObjectStoreTransientError),
        (Fault("UploadPart", "lost_reply"), ObjectStoreTransientError),
        (Fault("CompleteMultipartUpload", "lost_reply"), ObjectStoreTransientError),
    ],
)
def test_an_answer_is_classed_by_its_code_and_status(server: S3Server, fault: Fault, wanted: type[StoreError]) -> None:
    """Whatever text libcloud makes of it, and whatever digits are in the key; nothing is left unfinished."""
    store = LibcloudObjectStore("my-bucket", **arguments(server))
    server.add(fault)

    with pytest.raises(StoreError) as raised:
        put(store, "key-404-503", b"data")
    server.clear_faults()

    assert type(raised.value) is wanted
    assert not server.uploads
    store.close()


def test_a_refusal_is_no_outage_though_digits_of_one_are_in_its_text(server: S3Server) -> None:
    """The incumbent looks for 503 in the text, key included."""
    store = LibcloudObjectStore("my-bucket", **arguments(server))
    server.add(Fault("*", "status", status=400, code="Named503"))

    with pytest.raises(StoreError) as raised:
        put(store, "503", b"data")
    assert not isinstance(raised.value, ObjectStoreTransientError)
    store.close()


def test_a_missing_container_is_not_a_missing_object(server: S3Server) -> None:
    """For every operation."""
    store = LibcloudObjectStore("no-such-bucket", **arguments(server))
    acts: list[Any] = [
        lambda: put(store, "k", b"x"),
        lambda: store.head("k"),
        lambda: store.get("k", io.BytesIO()),
        lambda: list(store.list("")),
        store.probe,
    ]

    for act in acts:
        with pytest.raises(BucketNotFoundError):
            act()
    store.close()


def test_create_is_refused_as_declared_without_a_request(server: S3Server) -> None:
    """No driver can ask for a condition: to look and then write would be no create."""
    store = LibcloudObjectStore("my-bucket", **arguments(server))

    with pytest.raises(UnsupportedOperationError, match="condition"):
        put(store, "k", b"x", PutMode.CREATE)
    assert not server.requests


def test_a_failed_request_is_not_repeated_with_an_empty_body(
    google: HmacGCSServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libcloud's own repetition, which a variable turns on, stores an object without bytes."""
    monkeypatch.setenv("LIBCLOUD_RETRY_FAILED_HTTP_REQUESTS", "True")
    given = {"key": "GOOGKEY", "secret": KEYS["GOOGKEY"], "secure": False, "proxy_url": google.url}
    store = LibcloudObjectStore("my-gcs-bucket", provider="google_storage", provider_kwargs=given)
    google.add(Fault("PutObject", "reset_before"))

    with pytest.raises(ObjectStoreTransientError):
        put(store, "k", b"data")

    assert not google.objects
    assert len(google.requests) == 1
    store.close()


def test_head_is_one_request_without_a_body(server: S3Server) -> None:
    """Also where libcloud would ask for the container first."""
    store = LibcloudObjectStore("my-bucket", **arguments(server))
    put(store, "k", b"data")
    before = len(server.requests)

    assert (store.head("k").size, store.head("k").entry_id) == (4, "id")
    assert [one.operation for one in server.requests[before:]] == ["HeadObject"] * 2
    store.close()


def test_another_secret_is_refused_by_the_server_of_google(google: HmacGCSServer) -> None:
    """The signature is really looked at, or the test of the example would prove nothing."""
    given = {"key": "GOOGKEY", "secret": "another", "secure": False, "proxy_url": google.url}
    store = LibcloudObjectStore("my-gcs-bucket", provider="google_storage", provider_kwargs=given)

    with pytest.raises(AccessDeniedError, match="SignatureDoesNotMatch"):
        put(store, "k", b"data")
    store.close()
