"""SFTP when the connection ends, falls silent or loses an answer, and when the server refuses a part."""

from __future__ import annotations

from typing import Any

import pytest
from rud_fakes.servers import Sshd

from rud.backends import _sftp_connection as connection
from rud.backends._sftp_client import Client
from rud.backends.sftp import SFTPObjectStore
from rud.errors import ObjectExistsError, ObjectStoreTransientError
from rud.store import PutMode
from tests.support.relay import Relay
from tests.support.sftp import got, opened, put


def through(relay: Relay, server: Sshd, prefix: str) -> SFTPObjectStore:
    """A store there, by way of ``relay``."""
    return opened(server, prefix, port=relay.port, missing_host_key_policy="AutoAddPolicy")


def hidden(server: Sshd, prefix: str) -> list[str]:
    """What unfinished puts have left."""
    return [path.name for path in (server.address.folder / prefix).rglob(".rud-put-*")]


def test_a_connection_that_ends_in_the_middle_leaves_the_old_object(rud_sshd: Sshd, rud_prefix: str) -> None:
    """It may pass, by the class of the error; the next operation connects anew."""
    with Relay(rud_sshd.address.port) as relay:
        store = through(relay, rud_sshd, rud_prefix)
        put(store, "k", b"old")
        relay.after = 300_000
        with pytest.raises(ObjectStoreTransientError, match="lost or not made"):
            put(store, "k", b"new" * 500_000)
        relay.after = None

        assert got(store, "k") == b"old"
        put(store, "k", b"new")
        assert got(store, "k", 1) == b"ew"
        assert relay.connections == 2
        assert not hidden(rud_sshd, rud_prefix)
        store.close()


def test_a_connection_that_ended_between_operations_is_made_anew(rud_sshd: Sshd, rud_prefix: str) -> None:
    """At the latest after one error that may pass."""
    with Relay(rud_sshd.address.port) as relay:
        store = through(relay, rud_sshd, rud_prefix)
        put(store, "k", b"x")
        relay.cut()
        try:
            store.head("k")
        except ObjectStoreTransientError:
            assert store.head("k").size == 1
        store.close()


def test_a_server_that_says_nothing_any_more_is_given_up(
    rud_sshd: Sshd, rud_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paramiko by itself would wait without end."""
    monkeypatch.setattr(connection, "READ_TIMEOUT", 0.5)
    with Relay(rud_sshd.address.port) as relay:
        store = through(relay, rud_sshd, rud_prefix)
        put(store, "k", b"old")
        store.close()
        store = through(relay, rud_sshd, rud_prefix)
        relay.after, relay.silent = 300_000, True

        with pytest.raises(ObjectStoreTransientError, match="Timeout"):
            put(store, "k", b"new" * 500_000)
        store.close()


def test_where_nobody_listens_is_an_outage(rud_sshd: Sshd, rud_prefix: str, capfd: pytest.CaptureFixture[str]) -> None:
    """And nothing is printed by paramiko, also where somebody hangs up at once."""
    with Relay(rud_sshd.address.port) as relay:
        relay.after = 0
        store = opened(rud_sshd, rud_prefix, port=relay.port)
        with pytest.raises(ObjectStoreTransientError, match="lost or not made"):
            store.probe()
    with pytest.raises(ObjectStoreTransientError, match="lost or not made"):
        store.probe()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mode", PutMode)
def test_an_answer_that_was_lost(
    rud_sshd: Sshd, rud_prefix: str, monkeypatch: pytest.MonkeyPatch, mode: PutMode
) -> None:
    """A create has then taken its place, and says so: the next attempt would take its own object for somebody else's.
    What may be sent again is sent again. Nothing else is left."""
    name = "link" if mode is PutMode.CREATE else "posix_rename"
    real = getattr(Client, name)

    with Relay(rud_sshd.address.port) as relay:

        def asks(client: Client, *arguments: Any) -> None:
            relay.deaf = True
            real(client, *arguments)

        store = through(relay, rud_sshd, rud_prefix)
        monkeypatch.setattr(Client, name, asks)
        if mode is PutMode.CREATE:
            put(store, "k", b"new", mode)
        else:
            with pytest.raises(ObjectStoreTransientError, match="lost or not made"):
                put(store, "k", b"new", mode)
        store.close()

    assert (rud_sshd.address.folder / rud_prefix / "k").read_bytes() == b"new"
    assert not hidden(rud_sshd, rud_prefix)


def test_a_create_that_met_another_and_lost_the_answer(
    rud_sshd: Sshd, rud_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's object, of the same size, is not taken for its own."""
    place = rud_sshd.address.folder / rud_prefix / "k"
    real = Client.link

    with Relay(rud_sshd.address.port) as relay:

        def link(client: Client, old: str, new: str) -> None:
            place.write_bytes(b"old")
            relay.deaf = True
            real(client, old, new)

        store = through(relay, rud_sshd, rud_prefix)
        monkeypatch.setattr(Client, "link", link)
        with pytest.raises(ObjectStoreTransientError):
            put(store, "k", b"new", PutMode.CREATE)
        with pytest.raises(ObjectExistsError):
            put(store, "k", b"new", PutMode.CREATE)
        store.close()

    assert place.read_bytes() == b"old"
    assert not hidden(rud_sshd, rud_prefix)


def test_a_connection_that_ends_while_we_are_let_in_may_pass(rud_sshd: Sshd, rud_prefix: str) -> None:
    """Paramiko says that authentication failed; that is not what the server said."""
    with Relay(rud_sshd.address.port) as relay:
        for after in range(0, 5000, 500):
            relay.after = after
            store = through(relay, rud_sshd, rud_prefix)
            with pytest.raises(ObjectStoreTransientError, match="lost or not made"):
                put(store, "k", b"x" * 5000)
            store.close()


def test_a_refused_write_in_the_middle_is_noticed(
    rud_sshd: Sshd, rud_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the size is right in the end: paramiko's own file does not look at the answers."""
    real = Client.write

    def write(client: Client, file: Any, offset: int, data: bytes) -> None:
        handle = file.handle
        if offset == 1 << 18:
            file.handle = b"of nobody"
        real(client, file, offset, data)
        file.handle = handle

    store = opened(rud_sshd, rud_prefix)
    monkeypatch.setattr(Client, "write", write)
    with pytest.raises(ObjectStoreTransientError, match="the server says"):
        put(store, "d/k", b"x" * (1 << 20))

    assert not list(store.list(""))
    assert not list((rud_sshd.address.folder / rud_prefix).iterdir())
    store.close()
