"""The memory store keeps the contract."""

from __future__ import annotations

import itertools
import threading

from rud_fakes.memory import MemoryBackend

from rud.errors import ObjectExistsError
from rud.store import PutMode
from tests.support.contract import get, put

_names = (f"test-memory-{number}" for number in itertools.count())


def test_buckets_are_shared_by_name() -> None:
    """Two instances of one bucket are one store; another prefix or bucket is another."""
    name = next(_names)
    put(MemoryBackend(name, "p"), "k", b"x")

    assert get(MemoryBackend(name, "p"), "k")[0] == b"x"
    assert [meta.key for meta in MemoryBackend(name).list("")] == ["p/k"]
    assert list(MemoryBackend(name, "p2").list("")) == []
    assert list(MemoryBackend(next(_names)).list("")) == []


def test_forget() -> None:
    """A forgotten bucket is empty, also for those who hold it."""
    name = next(_names)
    backend = MemoryBackend(name)
    put(backend, "k", b"x")

    MemoryBackend.forget(name)

    assert list(backend.list("")) == []


def test_create_has_one_winner() -> None:
    """Of many creates of one key at once exactly one succeeds, and its bytes are what is stored."""
    name = next(_names)
    start = threading.Barrier(8)
    won: list[bytes] = []

    def create(number: int) -> None:
        start.wait()
        data = bytes([number]) * 1000
        try:
            put(MemoryBackend(name), "k", data, mode=PutMode.CREATE)
        except ObjectExistsError:
            return
        won.append(data)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won == [get(MemoryBackend(name), "k")[0]]


def test_processes_are_refused_in_words() -> None:
    """The store says why it is useless to a worker process."""
    assert MemoryBackend("any").capabilities.processes == "it lives in the memory of one process"
