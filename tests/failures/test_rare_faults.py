"""Faults of the list of 82 that neither a point of the library nor one of the fault server can make."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rud_fakes.runtime import InlineRuntime

from rud import Uploader, _faultpoints
from rud._registry import resolve
from rud.backends.s3 import S3ObjectStore
from rud.errors import ObjectStoreTransientError, SpoolError
from tests.support.contract import get, put
from tests.support.dead_runs import contents_of
from tests.support.place import Place
from tests.support.processes import PATIENCE, wait_for_end
from tests.support.s3_place import S3Place
from tests.support.spools import accept, open_spool, payload_of, write

LARGE = 400_000


# The spool


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="not offered: the file of a descriptor cannot be told")
@pytest.mark.parametrize("error", [errno.EIO, errno.EDQUOT])
def test_a_payload_that_cannot_be_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """A network file system may say only now that the bytes are not there: nothing is accepted, nothing left."""
    spool, close = open_spool(tmp_path / "st", mode="copy"), os.close

    def fail(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        close(descriptor)
        if "/big/" in path:
            raise OSError(error, os.strerror(error))

    source = write(tmp_path / "source", bytes(LARGE))
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", fail)
        with pytest.raises(SpoolError, match=r"source \(400000 bytes\) could not be staged"):
            accept(spool, source)

    assert os.listdir(Path(spool.folder, "big")) == []
    assert payload_of(accept(spool, source)) == bytes(LARGE)
    spool.abandon()


@pytest.mark.parametrize("gone", [True, False])
def test_a_lock_that_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, gone: bool) -> None:
    """Between the look and the lock a folder may be ended by its owner, and its name be another's: it is not taken."""
    dead = open_spool(tmp_path / "st")
    accept(dead, write(tmp_path / "source", b"weights"))
    dead.abandon()
    lock = Path(dead.folder, "owner.lock")

    def lose(point: str, _: Mapping[str, object]) -> None:
        if point == "fs.lock.before" and lock.exists():
            lock.unlink()
            if not gone:
                lock.touch()

    spool = open_spool(tmp_path / "st")
    with monkeypatch.context() as patch:
        patch.setattr(_faultpoints, "active", lose)
        found = spool.adopt()

    assert found.entries == []
    assert f"it was {'removed' if gone else 'replaced'} meanwhile" in found.skipped[0]
    lock.touch()
    assert [payload_of(entry) for entry in spool.adopt().entries] == [b"weights"]
    spool.abandon()


@pytest.mark.parametrize("size", [100, LARGE])
def test_a_source_from_the_future(tmp_path: Path, size: int) -> None:
    """A file that claims to be of the year 2100, or of 1970, is stored as any other, by this run or the next."""
    store, staging = tmp_path / "store", tmp_path / "st"
    sources = {str(time): write(tmp_path / str(time), bytes(size)) for time in (0, 4_102_444_800)}
    dead = open_spool(staging, destination=resolve(store).destination)
    for key, source in sources.items():
        os.utime(source, (int(key), int(key)))
        accept(dead, source, f"dead/{key}")
    dead.abandon()
    uploader = Uploader(store, use_procs=False, upload_staging_folder=staging)
    for key, source in sources.items():
        uploader.upload(source, f"live/{key}")
    uploader.drain(PATIENCE, adopted=True)

    assert uploader.close(PATIENCE).complete
    assert contents_of(store) == {f"{run}/{key}": bytes(size) for run in ("dead", "live") for key in sources}


# Workers


def test_a_worker_that_holds_the_interpreter(place: Place) -> None:
    """C code that lets no other thread of the worker run, so that not even its watch on the parent does: the worker is
    ended after ``stall_timeout``, and another one sends the upload."""
    place.plan({"a": ["gil 3600", ""]})
    uploader = place.uploader(stall_timeout=0.3)
    uploader.upload(place.file("a"), "a").result(PATIENCE)

    assert uploader.close(PATIENCE).complete
    assert len({event["pid"] for event in place.journal("begin")}) == 2
    assert place.stored() == {"a": "a"}


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A group of processes that may have 48 MiB together."""
    roots = [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")]
    root = next((one for one in roots if (one / "cgroup.procs").exists()), roots[1])
    group, limits = root / f"rud-test-{os.getpid()}", ("memory.memsw.limit_in_bytes", "memory.swap.max")
    try:
        group.mkdir()
        limit = next(one for name in ("memory.limit_in_bytes", "memory.max") if (one := group / name).exists())
        limit.write_text(str(48 << 20))
        for name in limits:
            if (group / name).exists():
                (group / name).write_text("0" if "swap" in name else str(48 << 20))
    except (OSError, StopIteration) as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"not offered: no group of processes can be limited here ({error!r})")
    yield group
    group.rmdir()


def test_a_worker_out_of_memory(place: Place, little_memory: Path) -> None:
    """The kernel kills a worker that wants more than there is: its upload is sent by another, others are untouched."""
    place.plan({"a": ["eat 256", ""]})
    uploader = place.uploader()
    uploader.upload(place.file("b"), "b").result(PATIENCE)
    (pid,) = uploader.worker_pids()
    (little_memory / "cgroup.procs").write_text(str(pid))
    uploader.upload(place.file("a"), "a").result(PATIENCE)
    wait_for_end(pid)

    assert uploader.close(PATIENCE).complete
    assert place.begun() == ["b", "a", "a"]
    assert place.stored() == {"a": "a", "b": "b"}


def test_a_worker_dies_while_the_program_ends(place: Place) -> None:
    """The last wait is one of an exit hook, when no thread can be started any more: its worker is replaced all the
    same, and all is stored."""
    place.plan({"0": ["gate", ""]})
    program = place.program("exit_", files={key: str(place.file(key)) for key in ("0", "1")})
    program.expect("accepted")
    (begun,) = place.events.wait_for("begin", "0")
    os.kill(begun["pid"], signal.SIGKILL)
    wait_for_end(begun["pid"])

    assert program.wait() == 0
    assert place.stored() == {"0": "0", "1": "1"}
    assert place.leftovers() == []


# Names, connections, TLS


def test_names_that_are_not_found(s3: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not found, and one that leads where nobody listens, cost an attempt each; then it is stored."""
    real, asked = socket.getaddrinfo, list[object]()

    def look_up(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        asked.append(host)
        if len(asked) == 1:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            closed = nobody.getsockname()[1]
        return real(host, closed if len(asked) == 2 else port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    uploader = s3.uploader(_runtime=InlineRuntime(), use_procs=False)
    uploader.upload(s3.file("a"), "a").result(600)

    assert len(asked) >= 3
    assert s3.stored() == {"a": "a"}


Serve = Callable[[socket.socket], object]
SILENT: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "connect_timeout": 0.3, "read_timeout": 0.3}


@contextmanager
def _peer(serve: Serve) -> Iterator[int]:
    """The port of somebody who does ``serve`` with every connection."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        over = threading.Event()

        def work() -> None:
            while True:
                connection, _ = listening.accept()
                with connection:
                    if over.is_set():
                        return
                    serve(connection)

        thread = threading.Thread(target=work)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        socket.create_connection(listening.getsockname()).close()
        thread.join()


def _store(url: str) -> S3ObjectStore:
    return S3ObjectStore(
        "bucket", endpoint_url=url, region_name="us-east-1", aws_access_key_id="KEY", aws_secret_access_key="SECRET",
        client_config=SILENT,
    )  # fmt: skip


def _say_nothing(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def _hang_up(connection: socket.socket) -> None:
    connection.recv(1)


@pytest.mark.parametrize("serve", [_say_nothing, _hang_up])
def test_a_handshake_that_does_not_come_to_an_end(serve: Serve) -> None:
    """TLS that stalls or breaks off may pass."""
    with _peer(serve) as port, pytest.raises(ObjectStoreTransientError, match="'k'"):
        put(_store(f"https://127.0.0.1:{port}"), "k", b"x")


def test_an_answer_in_bad_chunks() -> None:
    """What is no HTTP any more in the middle of an answer may pass, and is no shorter object."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nno number\r\n")

    with _peer(answer) as port, pytest.raises(ObjectStoreTransientError, match="'k'"):
        get(_store(f"http://127.0.0.1:{port}"), "k")


def test_a_peer_that_takes_no_connection() -> None:
    """A connection that nobody takes or refuses is given up, and may pass."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with pytest.raises(ObjectStoreTransientError, match="'k'"):
            put(_store(f"http://127.0.0.1:{full.getsockname()[1]}"), "k", b"x")
        for one in waiting:
            one.close()
