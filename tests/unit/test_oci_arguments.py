"""``oci`` URIs: what is refused in words before any request, and what tells two destinations apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rud_fakes.oci import ApiKey

from rud._registry import resolve
from rud.errors import ConfigurationError, InvalidKeyError, StoreClosedError

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OCI_CONFIG_FILE", raising=False)


def config(folder: Path, *, passphrase: str = "", **others: str) -> dict[str, Any]:
    """Arguments with a profile of a new key, and in it ``others``."""
    return {"config_file": str(ApiKey.make(folder, passphrase).write_config(NOWHERE, **others))}


@pytest.mark.parametrize(
    ("profile", "given", "why"),
    [
        ({}, {"config_file": "/nowhere"}, "no OCI configuration at /nowhere"),
        ({}, {"profile": "OTHER"}, "has no profile 'OTHER'"),
        ({"region": ""}, {}, "has no region"),
        ({"user": ""}, {}, "lacks user"),
        ({"key_file": "/nowhere/key.pem"}, {}, "names the key file '/nowhere/key.pem': No such file"),
        ({"security_token_file": "/token"}, {}, "a session token, which runs out within the hour"),
        ({}, {"tenancy": "ocid1.tenancy.oc1..other"}, "is of another tenancy"),
        ({}, {"endpoint_url": "example.com"}, "the endpoint 'example.com' is no URL"),
        ({}, {"part_size": 0}, "part_size is a number of bytes"),
        ({}, {"colour": "red"}, "colour"),
    ],
)
def test_what_is_refused(profile: dict[str, str], given: dict[str, Any], why: str, tmp_path: Path) -> None:
    """One sentence each, when the store is built, without a request."""
    with pytest.raises(ConfigurationError, match=why):
        resolve("oci://bucket", {**config(tmp_path, **profile), **given}).open()


def test_without_a_configuration_it_says_how_to_make_one() -> None:
    """The default file, and both ways to name another."""
    with pytest.raises(ConfigurationError, match=r"oci setup config.*config_file or OCI_CONFIG_FILE"):
        resolve("oci://bucket").open()


def test_the_variable_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``OCI_CONFIG_FILE``, as for the SDK."""
    monkeypatch.setenv("OCI_CONFIG_FILE", config(tmp_path)["config_file"])
    store = resolve("oci://bucket/a/b").open()

    assert store.uri("k") == "oci://bucket/a/b/k"


def test_a_key_with_a_passphrase_needs_it(tmp_path: Path) -> None:
    """Told before the SDK asks a terminal that nobody sits at."""
    with pytest.raises(ConfigurationError, match="has a passphrase"):
        resolve("oci://bucket", config(tmp_path, passphrase="secret")).open()
    resolve("oci://bucket", config(tmp_path, passphrase="secret", pass_phrase="secret")).open().prepare()


@pytest.mark.parametrize("key", ["a\nb", "x" * 1025, "..", "  ", "\ud800"])
def test_keys_that_the_service_does_not_keep(key: str, tmp_path: Path) -> None:
    """Refused before any request."""
    with pytest.raises(InvalidKeyError):
        resolve("oci://bucket", config(tmp_path)).open().head(key)


def test_the_destination_has_where_and_no_secret(tmp_path: Path) -> None:
    """Two regions are two destinations; of the key nothing goes to the disk but where it lies."""
    one, other = (resolve("oci://bucket", {**config(tmp_path), "region": region}) for region in ("a", "b"))

    assert one.destination != other.destination
    assert "PRIVATE" not in str(one.destination)


def test_closed(tmp_path: Path) -> None:
    """A store that was closed says so, before any request."""
    store = resolve("oci://bucket", config(tmp_path)).open()
    store.close()
    with pytest.raises(StoreClosedError):
        store.head("k")
