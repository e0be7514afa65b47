"""Servers as children: they come up, come back, and go with whoever started them."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rud_fakes.servers import MissingServerError, Moto, S3Address, Versitygw, versitygw
from rud_fakes.servers._child import PORTS, Child

from tests.support.processes import is_running, wait_for_end

LISTENER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


def listener(*, chance: random.Random | None = None) -> Child:
    return Child("listener", lambda port: [sys.executable, "-c", LISTENER, str(port)], os.environ, chance=chance)


@pytest.fixture
def child() -> Iterator[Child]:
    made = listener()
    yield made
    made.kill()


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_child_is_ready_when_start_returns(child: Child) -> None:
    """It accepts connections at once, on a port that no outgoing connection is ever given."""
    child.start()

    assert accepts(child.port)
    assert child.port in PORTS


def test_a_child_that_was_killed_comes_back(child: Child) -> None:
    """After kill nobody listens and the process has ended; start brings another one to the same port."""
    child.start()
    port, pid = child.port, child.pid
    child.kill()
    child.kill()
    assert (accepts(port), is_running(pid)) == (False, False)

    child.start()

    assert (child.port, accepts(port)) == (port, True)
    assert child.pid != pid


def test_a_child_runs_once(child: Child) -> None:
    """A second start is refused, and leaves the first as it is."""
    child.start()

    with pytest.raises(RuntimeError, match="runs already"):
        child.start()

    assert accepts(child.port)


def test_a_child_that_ends_by_itself(child: Child) -> None:
    """The death of the program is no error of kill, and start brings it back."""
    child.start()
    os.kill(child.pid, signal.SIGKILL)
    wait_for_end(child.pid)

    child.kill()
    child.start()

    assert accepts(child.port)


@pytest.mark.parametrize("code", ["print('no such luck'); raise SystemExit(3)", "import no_such_luck"])
def test_a_child_that_does_not_come_up(code: str) -> None:
    """What the program printed stands in the error, and nothing is left of it."""
    child = Child("broken", lambda _: [sys.executable, "-c", code], os.environ)

    with pytest.raises(RuntimeError, match=r"(?s)broken did not accept.*no.such.luck"):
        child.start()

    assert not is_running(child.pid)


def test_a_program_that_is_not_there() -> None:
    """A command that cannot be run is an error with the system's reason."""
    with pytest.raises(RuntimeError, match=r"(?s)ghost did not accept.*No such file"):
        Child("ghost", lambda _: ["/nowhere/at/all"], {}).start()


def test_a_child_that_never_listens() -> None:
    """A program that stays silent is given up when its time is over, and ended."""
    child = Child("deaf", lambda _: [sys.executable, "-c", "input()"], os.environ, patience=10.0, clock=Hasty())

    with pytest.raises(RuntimeError, match="deaf did not accept connections"):
        child.start()

    assert not is_running(child.pid)


class Hasty:
    """A clock on which each look costs six seconds."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 6.0
        return self._now

    def time_ns(self) -> int:
        return 0


def test_a_port_that_is_taken_is_passed_over() -> None:
    """Somebody else's port is neither used nor taken for the child's."""
    port = random.Random(5).sample(PORTS, 20)[0]
    with socket.create_server(("127.0.0.1", port)):
        child = listener(chance=random.Random(5))
        child.start()
        try:
            assert child.port != port
        finally:
            child.kill()


PARENT = """
import sys
from tests.unit.test_servers import listener
child = listener()
child.start()
print(child.pid, child._guard.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_goes_with_its_parent(number: signal.Signals) -> None:
    """Whatever ends the process that started a server ends the server, and nothing else is left."""
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert [is_running(pid) for pid in pids] == [True, True]
        parent.send_signal(number)

    for pid in pids:
        wait_for_end(pid)


def test_versitygw_keeps_its_objects(rud_versitygw: Versitygw, tmp_path: Path) -> None:
    """An object survives SIGKILL of the server and its restart on the same port and folder."""
    with versitygw(tmp_path, buckets=["one", "two"]) as server:
        assert server.address.ask("PUT", "/two/k", b"content")[0] == 200
        before = server.url
        server.kill()
        server.start()

        assert (server.url, server.address.ask("GET", "/two/k")) == (before, (200, "content"))
    assert tmp_path.is_dir()


def test_versitygw_removes_what_it_made(rud_versitygw: Versitygw) -> None:
    """The temporary folder of a server goes with it, and it can be started anew."""
    server = versitygw()
    for _ in range(2):
        with server:
            folder = Path(server._folder)
            assert folder.is_dir()
        assert not folder.exists()


def test_versitygw_of_a_region(rud_versitygw: Versitygw) -> None:
    """A server of another region has its buckets, too, and refuses requests that are signed for ours."""
    with versitygw(region="eu-central-1") as server:
        assert server.address.ask("GET", "/bucket?list-type=2")[0] == 200
        elsewhere = type(server.address)(server.url, server.access_key, server.secret_key, "us-east-1")
        assert elsewhere.ask("GET", "/bucket?list-type=2")[0] >= 400


@pytest.mark.parametrize(
    ("may", "allowed"),
    [("read", {"get", "list"}), ("write", {"put", "multipart"})],
)
def test_users_of_versitygw(may: str, allowed: set[str], tmp_path: Path, rud_versitygw: Versitygw) -> None:
    """A user may do what it was added for, nothing else, and the server still knows it after a restart."""
    with versitygw(tmp_path) as server:
        server.address.ask("PUT", "/bucket/k", b"x")
        user = server.add_user("somebody", "somebodysecret", may=may)  # type: ignore[arg-type]  # parametrised
        server.add_user("other", "othersecret", may="read")
        for _ in range(2):
            answers = {
                "get": user.ask("GET", "/bucket/k"),
                "list": user.ask("GET", "/bucket?list-type=2"),
                "put": user.ask("PUT", "/bucket/new", b"x"),
                "multipart": user.ask("POST", "/bucket/new?uploads="),
                "delete": user.ask("DELETE", "/bucket/k"),
            }
            assert {name for name, (status, _) in answers.items() if status < 300} == allowed
            assert {status for name, (status, _) in answers.items() if name not in allowed} == {403}
            server.kill()
            server.start()


def test_moto_has_its_bucket_again(rud_moto: Moto, rud_prefix: str) -> None:
    """moto answers over http with the bucket made; what leads a store or another client there names the same place."""
    assert rud_moto.address.ask("PUT", f"/bucket/{rud_prefix}/k", b"x")[0] == 200
    assert rud_moto.backend_kwargs["endpoint_url"] == rud_moto.environment["AWS_ENDPOINT_URL_S3"] == rud_moto.url
    assert is_running(rud_moto.pid)


def test_no_secret_is_shown(rud_versitygw: Versitygw) -> None:
    """Neither what is shown of an address nor the arguments of the process, which anybody can read, has the secret."""
    shown = " ".join([repr(rud_versitygw.address), *rud_versitygw._command(1)])

    assert "versitygw" in shown
    assert rud_versitygw.secret_key not in shown


def test_a_file_system_without_attributes(
    rud_versitygw: Versitygw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """versitygw is not started where it could not keep what it knows of an object; the text says what to do."""
    if not hasattr(os, "setxattr"):
        pytest.skip("this system gives Python no way to ask for extended attributes")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(MissingServerError, match="TMPDIR"):
        versitygw(tmp_path).start()


def test_an_address() -> None:
    """A server of somebody else's is given as one URL, whose secret may need quoting and is not shown."""
    address = S3Address.of("http://key:a%2Fb@127.0.0.1:9000")

    assert (address.url, address.access_key, address.secret_key) == ("http://127.0.0.1:9000", "key", "a/b")
    assert "a/b" not in repr(address)
    for url in ("127.0.0.1:9000", "http://127.0.0.1:9000", "ftp://key:secret@host"):
        with pytest.raises(ValueError, match="KEY:SECRET"):
            S3Address.of(url)
