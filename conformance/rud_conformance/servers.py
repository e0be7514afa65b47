"""Fixtures for tests against real servers, for those who ask: ``pytest_plugins = ["rud_fakes.servers"]``.

One server a session (of each xdist worker), started by the first test that needs it. A server that is missing skips the
test, and the summary (``-ra``) says how to install it; with ``RUD_REQUIRE_SERVERS=1`` in the environment it fails, if
it is no server that is only there on demand; with ``RUD_REQUIRE_SERVERS=all`` it fails in any case.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from rud_fakes.servers import (
    Azurite,
    FakeGcs,
    Minio,
    MissingServerError,
    Moto,
    Server,
    Sshd,
    Versitygw,
    azurite,
    fake_gcs,
    minio,
    moto,
    sshd,
    versitygw,
)

T = TypeVar("T", bound=Server[Any])

_prefixes = itertools.count(1)


@pytest.fixture(scope="session")
def rud_moto() -> Iterator[Moto]:
    """moto's server, with the bucket ``bucket``."""
    yield from _running(moto)


@pytest.fixture(scope="session")
def rud_versitygw() -> Iterator[Versitygw]:
    """versitygw, with the bucket ``bucket``."""
    yield from _running(versitygw)


@pytest.fixture(scope="session")
def rud_fake_gcs() -> Iterator[FakeGcs]:
    """fake-gcs-server, with the bucket ``bucket``."""
    yield from _running(fake_gcs)


@pytest.fixture(scope="session")
def rud_minio() -> Iterator[Minio]:
    """MinIO, on demand, with the bucket ``bucket``."""
    yield from _running(minio, on_demand=True)


@pytest.fixture(scope="session")
def rud_azurite() -> Iterator[Azurite]:
    """azurite, on demand, with the container ``bucket``."""
    yield from _running(azurite, on_demand=True)


@pytest.fixture(scope="session")
def rud_sshd() -> Iterator[Sshd]:
    """sshd for SFTP, with the folder ``bucket``."""
    yield from _running(sshd)


@pytest.fixture
def rud_prefix() -> str:
    """A prefix that no other test of this session has, so that tests can share a bucket."""
    return f"test-{next(_prefixes)}"


def _running(make: Callable[[], T], *, on_demand: bool = False) -> Iterator[T]:
    try:
        server = make()
        server.start()
    except MissingServerError as error:
        if os.environ.get("RUD_REQUIRE_SERVERS") in (("all",) if on_demand else ("1", "all")):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    try:
        yield server
    finally:
        server.stop()
