"""What a Cloud Storage store is built from: what is wrong is refused without a request, what is right leads to one
place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rud._registry import resolve
from rud.backends.gcs import GCSObjectStore
from rud.errors import ConfigurationError, InvalidKeyError, StoreClosedError, UnsupportedOperationError
from rud.store import PutMode
from tests.support.contract import get, put

NOWHERE = "http://127.0.0.1:9"
HMAC = {"GCS_KEY": "GOOG1EXAMPLE", "GCS_SECRET": "a-long-secret"}


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ({"endpoint_url": "localhost:4443"}, {}, "no URL"),
        ({"endpoint_url": "http://"}, {}, "no URL"),
        ({"endpoint_url": "http://host:99999"}, {}, "no URL"),
        ({"endpoint_url": "http://user:secret@host"}, {}, "password"),
        ({"endpoint": NOWHERE}, {}, "did you mean 'endpoint_url'"),
        ({}, {"STORAGE_EMULATOR_HOST": "ftp://host"}, "no URL"),
        ({}, {}, "no Google Cloud credentials were found"),
        ({}, {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}, "'/nowhere/key.json', which is not there"),
        ({}, {"REQUESTS_CA_BUNDLE": "/nowhere/authority.pem"}, "REQUESTS_CA_BUNDLE names"),
        ({}, {"GCS_KEY": "GOOG1EXAMPLE"}, "GCS_SECRET is not"),
        ({}, {"GCS_SECRET": "a-long-secret"}, "GCS_KEY is not"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(
    arguments: dict[str, Any], environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any request, and without a secret in the text."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=says) as caught:
        resolve("gs://bucket/prefix", arguments).open()

    assert "secret" not in str(caught.value).replace("GCS_SECRET", "")


@pytest.mark.parametrize("bucket", ["", "ab", "a/b", "bücket", "-bucket", "bucket."])
def test_a_name_that_no_bucket_has(bucket: str) -> None:
    """It would lead to another address than the one that is meant."""
    with pytest.raises(ConfigurationError, match="no name of a bucket"):
        GCSObjectStore(bucket, endpoint_url=NOWHERE)


@pytest.mark.parametrize("way", [{}, HMAC], ids=["JSON", "HMAC"])
@pytest.mark.parametrize(
    ("prefix", "key", "says"),
    [
        ("", "a\nb", "line break"),
        ("", "a\rb", "line break"),
        ("p", "a\n", "line break"),
        ("", ".", "reserves"),
        ("", "..", "reserves"),
        ("", ".well-known/acme-challenge/x", "reserves"),
        (".well-known", "acme-challenge/x", "reserves"),
        ("", "x" * 1025, "1025 bytes"),
        ("prefix", "é" * 509, "1025 bytes"),
    ],
)
def test_keys_that_cloud_storage_does_not_keep(
    prefix: str, key: str, says: str, way: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused without a request, by everything that takes one."""
    for name, value in way.items():
        monkeypatch.setenv(name, value)
    store = GCSObjectStore("bucket", prefix, endpoint_url=NOWHERE)
    for operation in (
        lambda: put(store, key, b"x"),
        lambda: get(store, key),
        lambda: store.head(key),
        lambda: store.delete(key),
        lambda: store.abort(key, None),
        lambda: store.uri(key),
    ):
        with pytest.raises(InvalidKeyError, match=says):
            operation()


def test_keys_that_only_look_reserved() -> None:
    """What is reserved is a whole name: below a prefix, or as a part of a longer one, it is as good as any."""
    below = GCSObjectStore("bucket", "p", endpoint_url=NOWHERE)
    assert below.uri(".") == "gs://bucket/p/."
    assert below.uri("..") == "gs://bucket/p/.."
    assert below.uri(".well-known/acme-challenge/x") == "gs://bucket/p/.well-known/acme-challenge/x"
    assert GCSObjectStore("bucket", endpoint_url=NOWHERE).uri("...") == "gs://bucket/..."


@pytest.mark.parametrize(
    ("argument", "variable", "expected"),
    [
        (None, None, None),
        (None, "http://127.0.0.1:4443/", "http://127.0.0.1:4443"),
        (None, "127.0.0.1:4443", "http://127.0.0.1:4443"),
        ("https://private.example", "http://127.0.0.1:4443", "https://private.example"),
    ],
)
def test_where_it_leads(
    argument: str | None, variable: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint is the argument, else the variable, and is part of the destination that is written down."""
    if variable is not None:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", variable)
    spec = resolve("gs://bucket/prefix", {} if argument is None else {"endpoint_url": argument})

    assert spec.destination.get("endpoint_url") == expected


@pytest.mark.parametrize(
    ("endpoint", "environment", "says"),
    [
        (NOWHERE, {}, "nowhere"),
        (None, {"GOOGLE_APPLICATION_CREDENTIALS": __file__}, "GOOGLE_APPLICATION_CREDENTIALS names"),
        (None, {"CLOUDSDK_CONFIG": "{folder}"}, "of gcloud"),
        (None, {"NO_GCE_CHECK": ""}, "service account of this machine"),
        (None, HMAC, r"GCS_KEY and GCS_SECRET \(access key …MPLE\)"),
        (NOWHERE, HMAC, r"GCS_KEY and GCS_SECRET \(access key …MPLE\)"),
    ],
)
def test_where_the_credentials_come_from(
    endpoint: str | None, environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is said in words, without a secret and without a request."""
    (tmp_path / "application_default_credentials.json").write_text("{}")
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(folder=tmp_path))
    said = GCSObjectStore("bucket", endpoint_url=endpoint).credentials_from()

    with pytest.raises(AssertionError, match=says):
        raise AssertionError(said)
    assert "a-long-secret" not in said


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text says what to install; by an HMAC key it is boto3 that is needed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="pip install google-cloud-storage"):
        GCSObjectStore("bucket", endpoint_url=NOWHERE)
    for name, value in HMAC.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="pip install boto3"):
        GCSObjectStore("bucket", endpoint_url=NOWHERE)


LAZY = """
import sys
from rud.backends.gcs import GCSObjectStore
store = GCSObjectStore("bucket", endpoint_url="http://127.0.0.1:9")
heavy = {"google.cloud.storage", "google.auth", "requests", "boto3", "botocore"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
store.prepare()
assert {"google.cloud.storage", "requests"} <= set(sys.modules)
store.close()
"""


def test_the_sdk_is_imported_when_it_is_needed() -> None:
    """Who only builds a store does not pay for the SDK; a worker does before it is ready."""
    subprocess.run([sys.executable, "-c", LAZY], env={**os.environ}, check=True)


@pytest.mark.parametrize("way", [{}, HMAC], ids=["JSON", "HMAC"])
def test_closed(way: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing twice is no error; every operation after it is, except to say an address."""
    for name, value in way.items():
        monkeypatch.setenv(name, value)
    store = GCSObjectStore("bucket", endpoint_url=NOWHERE)
    store.close()
    store.close()
    for operation in (
        lambda: put(store, "k", b"x"),
        lambda: get(store, "k"),
        lambda: store.head("k"),
        lambda: store.list(""),
        lambda: store.delete("k"),
        lambda: store.abort("k", None),
        store.probe,
    ):
        with pytest.raises(StoreClosedError):
            operation()
    assert store.uri("k") == "gs://bucket/k"


def test_what_an_hmac_key_does_not_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Create-only and checksums are a declared "no" with a reason, and a create is refused without a request."""
    for name, value in HMAC.items():
        monkeypatch.setenv(name, value)
    store = GCSObjectStore("bucket", endpoint_url=NOWHERE)

    assert "GCS_KEY" in str(store.capabilities.create)
    assert "CRC32C" in str(store.capabilities.checksums)
    assert store.capabilities.entry_ids is True
    with pytest.raises(UnsupportedOperationError, match="GCS_KEY"):
        put(store, "k", b"x", mode=PutMode.CREATE)


def test_a_start_before_the_beginning() -> None:
    """A negative offset is a mistake of the caller."""
    with pytest.raises(ValueError, match="not -1"):
        get(GCSObjectStore("bucket", endpoint_url=NOWHERE), "k", -1)
