"""SFTP on OpenSSH's server: what it says of keys, files, and those who write at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import paramiko
import pytest
from rud_conformance.harnesses.sftp import arguments_of
from rud_fakes.servers import Sshd

from rud import Uploader
from rud.backends import _sftp_client
from rud.backends._sftp_client import Client, StatusError
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    ObjectExistsError,
    ObjectNotFoundError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import PutMode
from tests.support.sftp import got, opened, put

# Whom to believe, and whom to let in


def test_a_server_that_nobody_knows_is_not_talked_to(rud_sshd: Sshd, rud_prefix: str, tmp_path: Path) -> None:
    """The text says how to make it known; a policy of paramiko's lets it in."""
    (tmp_path / "known_hosts").write_text("")
    unknown = {"known_hosts_filename": tmp_path / "known_hosts"}

    with pytest.raises(ConfigurationError, match=r"not among the known hosts.*ssh-keyscan -p \d+ 127.0.0.1"):
        opened(rud_sshd, rud_prefix, **unknown).probe()
    store = opened(rud_sshd, rud_prefix, **unknown, missing_host_key_policy="AutoAddPolicy")
    store.probe()
    store.close()


def test_a_server_with_another_key_is_not_talked_to(rud_sshd: Sshd, rud_prefix: str, tmp_path: Path) -> None:
    """Whatever the policy."""
    user = rud_sshd.address.key_file.with_suffix(".pub").read_text().split()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{rud_sshd.address.port} {user[0]} {user[1]}\n")
    store = opened(
        rud_sshd,
        rud_prefix,
        known_hosts_filename=tmp_path / "known_hosts",
        missing_host_key_policy="AutoAddPolicy",
    )

    with pytest.raises(ConfigurationError, match="another key than the known hosts say"):
        store.probe()


def test_who_is_not_let_in_is_denied(rud_sshd: Sshd, rud_prefix: str, tmp_path: Path) -> None:
    """By the class of denied access, whatever kind of key it is: it will not pass by itself."""
    paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "ecdsa"))

    for key in (rud_sshd.address.key_file.with_name("host"), tmp_path / "ecdsa"):
        with pytest.raises(AccessDeniedError, match=r"does not let in .*Authentication failed"):
            opened(rud_sshd, rud_prefix, key_filename=key).probe()


# Files and folders


@pytest.mark.parametrize("key", ["$(touch made)/k", "a; touch made", "`touch made`/b", "x' && touch made #", "-rf /k"])
def test_a_name_is_never_a_command(rud_sshd: Sshd, rud_prefix: str, key: str) -> None:
    """The incumbent gives the folder's name to a shell; here it is a name, kept as it is."""
    store = opened(rud_sshd, rud_prefix)
    put(store, key, b"x")

    assert [meta.key for meta in store.list("")] == [key]
    assert not list(rud_sshd.address.folder.rglob("made"))
    store.close()


def test_what_is_no_object_stays_untouched(rud_sshd: Sshd, rud_prefix: str) -> None:
    """A symbolic link is neither listed nor read nor removed; a folder is not found; a file is no folder."""
    folder = rud_sshd.address.folder / rud_prefix
    (folder / "d").mkdir(parents=True)
    (folder / "file").write_bytes(b"x")
    (folder / "link").symlink_to("file")
    store = opened(rud_sshd, rud_prefix)

    assert [meta.key for meta in store.list("")] == ["file"]
    for act in (lambda: store.head("link"), lambda: got(store, "link"), lambda: store.delete("link")):
        with pytest.raises(StoreError, match="symbolic link"):
            act()
    with pytest.raises(ObjectNotFoundError):
        store.head("d")
    with pytest.raises(StoreError, match="cannot also be one"):
        put(store, "file/below", b"x")
    assert (folder / "link").is_symlink()
    store.close()


def test_a_name_that_is_no_text_is_left_out(rud_sshd: Sshd, rud_prefix: str) -> None:
    """Somebody else's file cannot spoil a listing."""
    store = opened(rud_sshd, rud_prefix)
    put(store, "k", b"x")
    Path(os.fsdecode(os.fsencode(rud_sshd.address.folder / rud_prefix) + b"/\xff")).write_bytes(b"x")

    assert [meta.key for meta in store.list("")] == ["k"]
    store.close()


def test_a_server_may_give_less_than_was_asked_for(
    rud_sshd: Sshd, rud_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenSSH does with more than 255 KiB: the rest is asked for, in such pieces."""
    store = opened(rud_sshd, rud_prefix)
    data = os.urandom(3_000_000)
    put(store, "k", data)
    monkeypatch.setattr(_sftp_client, "PIECE", 1 << 20)

    assert got(store, "k") == data
    assert got(store, "k", 1_234_567) == data[1_234_567:]
    store.close()


def test_an_unfinished_file_is_hidden_and_can_be_aborted(rud_sshd: Sshd, rud_prefix: str) -> None:
    """Its name is announced, so that whoever comes after a killed worker can remove it."""
    store = opened(rud_sshd, rud_prefix)
    (name,) = put(store, "d/k", b"x" * ((1 << 20) + 1))
    left = rud_sshd.address.folder / rud_prefix / "d" / name
    left.write_bytes(b"half")

    assert [meta.key for meta in store.list("")] == ["d/k"]
    store.abort("d/k", name)
    store.abort("d/k", name)
    store.abort("d/k", "k")
    assert not left.exists()
    assert store.head("d/k").size == (1 << 20) + 1
    store.close()


def test_a_durable_put_syncs_the_file_and_its_folders(
    rud_sshd: Sshd, rud_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an extension of OpenSSH's, on each of them."""
    store = opened(rud_sshd, rud_prefix)
    synced: list[object] = []
    real = Client.sync

    def sync(client: Client, file: Any) -> None:
        synced.append(file)
        real(client, file)

    monkeypatch.setattr(Client, "sync", sync)
    put(store, "a/b/k", b"x", durable=True)

    assert len(synced) == 4
    store.close()


def test_a_server_without_extensions(rud_sshd: Sshd, rud_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A create works by the name that only one can take; what cannot be done in one step is refused in words."""

    def unsupported(*_: object) -> None:
        raise StatusError(8, "Operation unsupported")

    store = opened(rud_sshd, rud_prefix)
    monkeypatch.setattr(Client, "link", unsupported)
    monkeypatch.setattr(Client, "sync", unsupported)
    put(store, "created", b"one", PutMode.CREATE)
    with pytest.raises(ObjectExistsError):
        put(store, "created", b"two", PutMode.CREATE)
    with pytest.raises(UnsupportedOperationError, match="fsync"):
        put(store, "k", b"x", durable=True)
    monkeypatch.setattr(Client, "posix_rename", unsupported)
    put(store, "new", b"one")
    for key, mode in (("new", PutMode.OVERWRITE), ("another", PutMode.CREATE)):
        with pytest.raises(UnsupportedOperationError, match="posix-rename"):
            put(store, key, b"two", mode)

    assert {meta.key: got(store, meta.key) for meta in store.list("")} == {"created": b"one", "new": b"one"}
    store.close()


# At once


def test_of_creates_at_once_one_wins(rud_sshd: Sshd, rud_prefix: str) -> None:
    """Over connections of their own, in each of several rounds; its bytes are whole."""
    stores = [opened(rud_sshd, rud_prefix) for _ in range(6)]
    for store in stores:
        store.probe()
    for turn in range(10):
        won: list[int] = []
        barrier = threading.Barrier(len(stores))

        def create(number: int, key: str, won: list[int], barrier: threading.Barrier) -> None:
            barrier.wait(30)
            try:
                put(stores[number], key, bytes([number]) * 1000, PutMode.CREATE)
            except ObjectExistsError:
                return
            won.append(number)

        arguments = [(number, f"k{turn}", won, barrier) for number in range(len(stores))]
        threads = [threading.Thread(target=create, args=one) for one in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert len(won) == 1
        assert got(stores[0], f"k{turn}") == bytes(won) * 1000
    for store in stores:
        store.close()


def test_who_reads_while_an_object_is_replaced_sees_one_whole_version(rud_sshd: Sshd, rud_prefix: str) -> None:
    """The incumbent writes in place."""
    writer, reader = opened(rud_sshd, rud_prefix), opened(rud_sshd, rud_prefix)
    versions = [bytes([number]) * 300_000 for number in (1, 2)]
    put(writer, "k", versions[0])
    over = threading.Event()

    def replace() -> None:
        for turn in range(20):
            put(writer, "k", versions[turn % 2])
        over.set()

    thread = threading.Thread(target=replace)
    thread.start()
    seen = 0
    while not over.is_set():
        assert got(reader, "k") in versions
        seen += 1
    thread.join(60)

    assert seen
    writer.close()
    reader.close()


# The whole way


def test_a_worker_uploads_and_no_secret_lies_on_disk(rud_sshd: Sshd, rud_prefix: str, tmp_path: Path) -> None:
    """By the arguments as the documentation has them."""
    there = rud_sshd.address
    (tmp_path / "file").write_bytes(b"hi")
    given = {
        **arguments_of(rud_sshd),
        "host": f"sftp://{there.user}@127.0.0.1:{there.port}/./{rud_prefix}",
        "password": "a-password-of-nobody",
    }
    before = dict(given)

    with Uploader("sftp://127.0.0.1", backend_kwargs=given, upload_staging_folder=str(tmp_path / "spool")) as uploader:
        uploader.upload(tmp_path / "file", "d/key").result(60)
        on_disk = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())

    assert (there.folder / rud_prefix / "d" / "key").read_bytes() == b"hi"
    assert b"a-password-of-nobody" not in on_disk
    assert given == before
