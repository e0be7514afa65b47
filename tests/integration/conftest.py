"""The servers that the contract is checked on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from rud_fakes.gcs import GCSServer
from rud_fakes.s3 import S3Server
from rud_fakes.servers import GCSAddress, S3Address

from tests.support.s3 import CREDENTIALS, OUTSIDE, Place, address_of, new_place


@pytest.fixture(scope="session")
def s3_fake() -> Iterator[S3Server]:
    """A fake of our own that checks signatures; of one worker, so faults belong to servers of a test's own."""
    with S3Server("bucket", credentials=CREDENTIALS) as server:
        yield server


@pytest.fixture(params=["fake", "moto", "versitygw", *OUTSIDE])
def s3_server(request: pytest.FixtureRequest) -> S3Address:
    """Each of the servers in turn."""
    if request.param == "outside":
        return S3Address.of(os.environ["RUD_S3_SERVER"])
    if request.param == "fake":
        return address_of(request.getfixturevalue("s3_fake"))
    address: S3Address = request.getfixturevalue(f"rud_{request.param}").address
    return address


@pytest.fixture
def s3_place(s3_server: S3Address) -> Place:
    """An empty bucket on each of the servers, and a prefix in it."""
    return new_place(s3_server, "some/prefix")


@pytest.fixture(scope="session")
def gcs_fake() -> Iterator[GCSServer]:
    """A fake of our own; of one worker, so faults belong to servers of a test's own."""
    with GCSServer("bucket") as server:
        yield server


@pytest.fixture(params=["fake", "fake-gcs-server"])
def gcs_server(request: pytest.FixtureRequest) -> GCSAddress:
    """Each of the servers in turn."""
    name = {"fake": "gcs_fake", "fake-gcs-server": "rud_fake_gcs"}[request.param]
    return GCSAddress(request.getfixturevalue(name).url)
