"""S3 keeps the contract: on a server that makes trouble, and on versitygw."""

from __future__ import annotations

import pytest
from rud_conformance.harness import Harness
from rud_conformance.harnesses import S3, FakeS3
from rud_conformance.suite import ConformanceSuite
from rud_fakes.servers import Versitygw


class AtTheRoot(FakeS3):
    """Scopes begin at the root of the bucket."""

    def __init__(self) -> None:
        super().__init__(nested=False)


class TestNested(ConformanceSuite):
    """On the faulty server, under a prefix."""

    harness = FakeS3
    profile = "smoke"


class TestRoot(ConformanceSuite):
    """On the faulty server, at the root of the bucket."""

    harness = AtTheRoot
    profile = "smoke"


class TestVersitygw(ConformanceSuite):
    """On a server that many people use."""

    profile = "smoke"

    @pytest.fixture
    def rud_harness(self, rud_versitygw: Versitygw) -> Harness:
        """Below a prefix of the bucket that every test of the session uses."""
        return S3("s3://bucket/some/prefix", rud_versitygw.address.backend_kwargs)
