"""What an S3 store is built from: wrong arguments are refused without a request, right ones lead to one place."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED

from rud._registry import resolve
from rud.backends._s3_arguments import Transfer, transfer_from
from rud.backends.s3 import S3ObjectStore
from rud.errors import ConfigurationError, InvalidKeyError

KEYS: dict[str, Any] = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "a-long-secret"}


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"aws_access_key_id": "AKIA"}, "together"),
        ({"aws_session_token": "token"}, "aws_session_token"),
        ({"endpoint_url": "localhost:9000"}, "no URL"),
        ({"endpoint_url": "http://"}, "no URL"),
        ({"endpoint_url": "http://host:99999"}, "no URL"),
        ({"endpoint_url": "http://secret@host"}, "user"),
        ({"endpoint_url": "ftp://host"}, "no URL"),
        ({"endpoint_url": "http://user:secret@host"}, "password"),
        ({**KEYS, "client_config": {"retry": 3}}, "client_config"),
        ({**KEYS, "client_config": {"s3": {"addressing_style": "sideways"}}}, "client_config"),
        ({**KEYS, "transfer_config": {"chunks": 3}}, "transfer_config"),
        ({**KEYS, "transfer_config": {"multipart_chunksize": 1024}}, "5242880"),
        ({**KEYS, "transfer_config": {"multipart_chunksize": (5 << 20) - 1}}, "5242880"),
        ({**KEYS, "transfer_config": {"multipart_chunksize": (5 << 30) + 1}}, "5368709120"),
        ({**KEYS, "transfer_config": {"multipart_chunksize": 8e6 + 0.5}}, "whole number"),
        ({**KEYS, "transfer_config": {"max_concurrency": 2.5}}, "whole number"),
        ({**KEYS, "transfer_config": {"multipart_threshold": (5 << 30) + 1}}, "one put"),
        ({**KEYS, "transfer_config": {"max_concurrency": 0}}, "transfer_config"),
        ({**KEYS, "transfer_config": {"max_bandwidth": 1000}}, "max_bandwidth"),
        ({**KEYS, "extra_args": {"StorageClas": "GLACIER"}}, "did you mean 'StorageClass'"),
        ({**KEYS, "extra_args": {"ChecksumAlgorithm": "SHA1"}}, "ChecksumAlgorithm"),
        ({**KEYS, "region": "eu-west-1"}, "did you mean 'region_name'"),
        ({}, "no AWS credentials were found"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(arguments: dict[str, Any], says: str) -> None:
    """Before any request, and without a secret in the text."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        resolve("s3://bucket/prefix", arguments).open()
    assert "secret" not in str(caught.value).replace("aws_secret_access_key", "").replace("AWS_SECRET_ACCESS_KEY", "")


@pytest.mark.parametrize("bucket", ["ab", "a/b", "a b", "ä-bucket"])
def test_a_name_that_no_bucket_has_is_refused(bucket: str) -> None:
    """As botocore would, but when the store is built."""
    with pytest.raises(ConfigurationError, match="bucket"):
        S3ObjectStore(bucket, **KEYS)


def test_without_boto3_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library comes with an extra, and is not needed to import rud."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match="pip install boto3"):
        resolve("s3://bucket", KEYS).open()


def test_nothing_heavy_is_imported_before_the_first_request() -> None:
    """The training process pays for botocore only when it talks to the store itself."""
    program = (
        "import sys; from rud import S3ObjectStore; from rud._registry import resolve;"
        "store = resolve('s3://bucket', {'aws_access_key_id': 'A', 'aws_secret_access_key': 'B'}).open();"
        "print(store.uri('a b'), [name for name in ('boto3', 'botocore', 'urllib3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "s3://bucket/a b []\n"


@pytest.mark.parametrize(
    ("environment", "config", "endpoint"),
    [
        ({}, "", None),
        ({"S3_ENDPOINT_URL": "http://one/", "AWS_ENDPOINT_URL": "http://two"}, "", "http://one"),
        ({"AWS_ENDPOINT_URL": "http://two", "AWS_ENDPOINT_URL_S3": "http://three"}, "", "http://three"),
        ({"AWS_ENDPOINT_URL": "http://two"}, "", "http://two"),
        ({"AWS_ENDPOINT_URL": "http://two", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "", None),
        ({}, "[default]\nendpoint_url = http://four\n", "http://four"),
        ({"AWS_PROFILE": "p"}, "[default]\nendpoint_url = http://four\n[profile p]\nregion = eu-west-1\n", None),
    ],
)
def test_the_destination_has_the_endpoint_that_the_environment_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], config: str, endpoint: str | None
) -> None:
    """What a run has left never goes to another server because a variable is another one."""
    (tmp_path / "config").write_text(config)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert resolve("s3://bucket", KEYS).destination.get("endpoint_url") == endpoint


def test_arguments_are_left_as_they_were() -> None:
    """Two stores may share what a caller has built once: none writes into it, neither when it is built nor later."""
    arguments: dict[str, Any] = {
        **KEYS,
        "client_config": {"retries": {"total_max_attempts": 2}, "s3": {"addressing_style": "path"}},
        "transfer_config": {"max_concurrency": 2},
        "extra_args": {"Metadata": {"team": "vision"}},
    }
    before = copy.deepcopy(arguments)
    for bucket in ("bucket-1", "bucket-2"):
        store = resolve(f"s3://{bucket}", arguments).open()
        store.prepare()
        store.close()

    assert arguments == before


def test_no_secret_is_in_the_destination_or_shown(tmp_path: Path) -> None:
    """What may be written to disk is scheme, bucket, prefix, endpoint and region."""
    spec = resolve("s3://bucket/a", {**KEYS, "region_name": "eu-west-1", "extra_args": {"SSECustomerKey": "hidden"}})

    assert set(spec.destination) == {"scheme", "bucket", "prefix", "region_name"}
    assert "a-long-secret" in spec.secrets
    assert "a-long-secret" not in repr(spec) + repr(spec.open())


def test_where_credentials_come_from_is_told_without_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For whoever wonders which of several it is."""
    given = S3ObjectStore("bucket", **KEYS).credentials_from()
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = AKIAFROMFILE\naws_secret_access_key = s\n")
    from_file = S3ObjectStore("bucket").credentials_from()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFROMENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    from_environment = S3ObjectStore("bucket").credentials_from()

    assert given == "backend_kwargs (access key …MPLE)"
    assert from_file == "the shared credentials file (access key …FILE)"
    assert from_environment == "the environment (access key …MENT)"


@pytest.mark.parametrize("key", ["x" * 1025, "é" * 513, "a\0b", "", "\ud800"])
def test_a_key_that_s3_does_not_keep_is_refused_before_any_request(key: str) -> None:
    """Also by ``uri``, which any thread may call."""
    store = S3ObjectStore("bucket", **KEYS)

    with pytest.raises(InvalidKeyError):
        store.uri(key)
    with pytest.raises(InvalidKeyError):
        store.head(key)


def test_the_prefix_counts_for_the_length_of_a_key() -> None:
    """1,024 bytes are for the whole name."""
    assert S3ObjectStore("bucket", **KEYS).uri("x" * 1024)
    with pytest.raises(InvalidKeyError, match="1030"):
        S3ObjectStore("bucket", "pre/x", **KEYS).uri("x" * 1024)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, Transfer(threshold=16 << 20, chunk=16 << 20, concurrency=4)),
        ({"multipart_chunksize": None, "max_concurrency": None, "use_threads": None}, Transfer()),
        ({"multipart_chunksize": 8e6}, Transfer(chunk=8_000_000)),
        ({"multipart_chunksize": 5 << 20, "multipart_threshold": 1}, Transfer(threshold=1, chunk=5 << 20)),
        ({"multipart_chunksize": 5 << 30, "multipart_threshold": 5 << 30}, Transfer(5 << 30, 5 << 30)),
        ({"max_concurrency": 9}, Transfer(concurrency=9)),
        ({"max_concurrency": 9, "use_threads": False}, Transfer(concurrency=1)),
        ({"io_chunksize": 1, "preferred_transfer_client": "classic"}, Transfer()),
    ],
)
def test_what_a_transfer_config_means(given: dict[str, Any] | None, meant: Transfer) -> None:
    """What boto3 takes for a number is one, its ``None`` is a default, and sizes are whole."""
    transfer = transfer_from(given)

    assert transfer == meant
    assert all(type(size) is int for size in (transfer.threshold, transfer.chunk, transfer.concurrency))


def test_to_find_the_endpoint_nobody_asks_for_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile with an endpoint may have a process that gives credentials, and fails just now."""
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://four\ncredential_process = false\n")

    assert resolve("s3://bucket").destination["endpoint_url"] == "http://four"


def config_of(client_config: dict[str, Any] | None = None, *, patient: bool = False, concurrency: int = 4) -> Any:
    requests = S3ObjectStore(
        "bucket", **KEYS, client_config=client_config, transfer_config={"max_concurrency": concurrency}
    )._requests
    return (requests._patient_client if patient else requests._client).meta.config


def test_what_a_client_is_made_with() -> None:
    """Each number is documented where it stands; an SDK's default may change with any version of it."""
    config = config_of(concurrency=7)

    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (10, 60, 7)
    assert config.tcp_keepalive is True
    assert config.request_checksum_calculation == config.response_checksum_validation == "when_required"
    assert config.s3["payload_signing_enabled"] is False


def test_what_a_caller_sets_is_what_a_client_has() -> None:
    """One setting among those of ``s3`` leaves the others as they are."""
    config = config_of({"read_timeout": 5, "retries": {"mode": "legacy"}, "s3": {"addressing_style": "virtual"}})

    assert (config.read_timeout, config.retries["mode"]) == (5, "legacy")
    assert config.s3 == {"payload_signing_enabled": False, "addressing_style": "virtual"}
    assert config_of({"s3": {"payload_signing_enabled": True}}).s3["payload_signing_enabled"] is True


@pytest.mark.parametrize(("given", "waits"), [({}, 600), ({"read_timeout": 5}, 600), ({"read_timeout": 900}, 900)])
def test_a_completion_is_waited_for_ten_minutes_at_least(given: dict[str, Any], waits: int) -> None:
    """A read timeout that is meant for other requests would have it repeated while it is carried out."""
    assert config_of(given, patient=True).read_timeout == waits


def test_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument's, else the environment's, else the one that needs no name."""

    def region(**arguments: Any) -> str:
        client: Any = S3ObjectStore("bucket", **KEYS, **arguments)._requests._client
        name: str = client.meta.region_name
        return name

    assert region() == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert region() == "eu-west-3"
    assert region(region_name="eu-west-1") == "eu-west-1"


def test_a_store_that_is_built_by_hand_goes_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is named by its URI."""
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://one")
    client: Any = S3ObjectStore("bucket", **KEYS)._requests._client

    assert client.meta.endpoint_url == "http://one"


def test_connections_are_closed_with_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of both clients, once."""
    closed: list[Any] = []
    store = S3ObjectStore("bucket", **KEYS)
    clients = [store._requests._client, store._requests._patient_client]
    for client in clients:
        monkeypatch.setattr(client, "close", lambda client=client: closed.append(client))
    store.close()
    store.close()

    assert len(closed) == 2
    assert all(client in closed for client in clients)


def test_who_may_ask_without_credentials() -> None:
    """Nobody is asked for any where the configuration says that requests are not signed."""
    assert S3ObjectStore("bucket", client_config={"signature_version": UNSIGNED}).uri("k") == "s3://bucket/k"
