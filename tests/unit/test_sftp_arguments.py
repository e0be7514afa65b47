"""``sftp`` URIs: where they lead, what is refused in words, and what is kept from the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import paramiko
import pytest

from rud._registry import resolve
from rud.backends.sftp import SFTPObjectStore
from rud.errors import ConfigurationError, InvalidKeyError, StoreClosedError


@pytest.mark.parametrize(
    ("uri", "given", "address"),
    [
        ("sftp://host", {}, "sftp://host/k"),
        ("sftp://host/a/b/", {}, "sftp://host/a/b/k"),
        ("sftp://host/./a", {}, "sftp://host/a/k"),
        ("sftp://host//a", {}, "sftp://host//a/k"),
        ("sftp://host//", {}, "sftp://host//k"),
        ("sftp://me@host:2222/a", {}, "sftp://me@host:2222/a/k"),
        ("sftp://host", {"port": 2222, "username": "me", "cwd": "/a/"}, "sftp://me@host:2222//a/k"),
        ("sftp://host", {"host": "sftp://me@host:2222/./a"}, "sftp://me@host:2222/a/k"),
        ("sftp://host", {"host": "sftp://me:secret@host//a"}, "sftp://me@host//a/k"),
        ("sftp://[::1]:2222/a", {}, "sftp://[::1]:2222/a/k"),
    ],
)
def test_where_a_uri_leads(uri: str, given: dict[str, Any], address: str) -> None:
    """Below the folder in which sessions begin, or, after ``//``, to an absolute one; a password is in no address."""
    assert resolve(uri, given).open().uri("k") == address


@pytest.mark.parametrize(
    ("uri", "given", "words"),
    [
        ("sftp://me:secret@host", {}, "password"),
        ("sftp://host", {"host": "other"}, "say it once"),
        ("sftp://host:22x", {}, "is none"),
        ("sftp://me@host", {"username": "you"}, "username .* twice"),
        ("sftp://host:2222", {"port": 2223}, "port .* twice"),
        ("sftp://host/a", {"cwd": "b"}, "folder .* twice"),
        ("sftp://host", {"host": "ftp://host"}, "is none"),
        ("sftp://host", {"missing_host_key_policy": "rejectpolicy"}, "did you mean 'RejectPolicy'"),
        ("sftp://host", {"connect_kwargs": {"hostname": "host"}}, "give it as 'host'"),
        ("sftp://host", {"connect_kwargs": {"timeot": 1}}, "did you mean 'timeout'"),
        ("sftp://host", {"host": "host:2222", "port": 2223}, "port .* twice"),
        ("sftp://host", {"key_filename": "/no/such/key"}, "key_filename names '/no/such/key'"),
        ("sftp://host", {"known_hosts_filename": "/no/such/file"}, "known_hosts_filename names"),
    ],
)
def test_a_wrong_argument_is_told_before_any_request(uri: str, given: dict[str, Any], words: str) -> None:
    """In one sentence."""
    with pytest.raises(ConfigurationError, match=words) as raised:
        resolve(uri, given).open()
    assert "secret" not in str(raised.value)


def test_no_host_at_all_is_told() -> None:
    """Of a store that is built without a URI."""
    with pytest.raises(ConfigurationError, match="needs a host"):
        SFTPObjectStore()


def test_files_that_variables_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the documentation's, or others; one that leads to no file is named."""
    monkeypatch.setenv("COMPOSER_SFTP_KNOWN_HOSTS_FILE", str(tmp_path / "no"))
    with pytest.raises(ConfigurationError, match="known_hosts_filename_environ, by COMPOSER_SFTP_KNOWN_HOSTS_FILE"):
        SFTPObjectStore("host")
    monkeypatch.delenv("COMPOSER_SFTP_KNOWN_HOSTS_FILE")
    monkeypatch.setenv("MY_KEY", str(tmp_path / "no"))
    with pytest.raises(ConfigurationError, match="key_filename_environ, by MY_KEY"):
        SFTPObjectStore("host", key_filename_environ="MY_KEY")


def test_a_key_file_with_a_passphrase(tmp_path: Path) -> None:
    """It is told when the passphrase is missing or wrong; with it the store is built."""
    path = str(tmp_path / "key")
    paramiko.ECDSAKey.generate().write_private_key_file(path, password="a passphrase")

    with pytest.raises(ConfigurationError, match=r"has a passphrase.*connect_kwargs"):
        SFTPObjectStore("host", key_filename=path)
    with pytest.raises(ConfigurationError, match="cannot be read with this passphrase") as raised:
        SFTPObjectStore("host", key_filename=path, connect_kwargs={"passphrase": "another"})
    assert "another" not in str(raised.value)
    SFTPObjectStore("host", key_filename=path, connect_kwargs={"passphrase": "a passphrase"})
    SFTPObjectStore("host", key_filename=path, password="a passphrase")
    with pytest.raises(ConfigurationError, match="has a passphrase"):
        SFTPObjectStore("host", key_filename=path, password="of the account")


def test_a_file_that_is_no_key(tmp_path: Path) -> None:
    """It is told before anything is sent."""
    (tmp_path / "key").write_text("nonsense")

    with pytest.raises(ConfigurationError, match="cannot be read"):
        SFTPObjectStore("host", key_filename=tmp_path / "key")


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "./a", "../a", "a/..", "n" * 256, ".rud-put-x", "a\0b"])
def test_a_key_that_a_folder_cannot_keep_is_refused(key: str) -> None:
    """Before any request, also when only its address is asked for."""
    with pytest.raises(InvalidKeyError):
        SFTPObjectStore("host").uri(key)


def test_no_secret_is_part_of_the_destination() -> None:
    """Port, user and folder are; the password and the names of files are not."""
    given = {"password": "a-secret", "port": 2222, "connect_kwargs": {"passphrase": "another-secret"}}
    spec = resolve("sftp://host/a", given)

    assert spec.destination == {"scheme": "sftp", "bucket": "host", "prefix": "a", "port": 2222}
    assert "secret" not in json.dumps(spec.destination) + repr(spec)


def test_all_that_a_host_says_of_the_place_is_part_of_the_destination() -> None:
    """Or a later run, with another folder, would send there what was meant for this one."""
    spec = resolve("sftp://host", {"host": "sftp://me:a-secret@host:2222/runs"})

    assert spec.destination == {
        "scheme": "sftp",
        "bucket": "host",
        "prefix": "",
        "port": 2222,
        "username": "me",
        "cwd": "runs",
    }
    assert spec.open().uri("k") == "sftp://me@host:2222/runs/k"


LAZY = """
import sys
from rud.backends.sftp import SFTPObjectStore
store = SFTPObjectStore("host", password="secret")
assert not {"paramiko", "cryptography"} & set(sys.modules)
store.prepare()
assert "paramiko" in sys.modules
store.close()
"""


def test_the_sdk_is_imported_when_it_is_needed() -> None:
    """Who only builds a store does not pay for it, but for a look at a key file; a worker does before it is ready."""
    subprocess.run([sys.executable, "-c", LAZY], env={**os.environ}, check=True)


def test_after_close_every_operation_says_so() -> None:
    """Without a connection being made."""
    store = SFTPObjectStore("host")
    store.close()
    store.close()

    with pytest.raises(StoreClosedError):
        store.head("k")
